"""Make figures of docs/inference.md and docs/optimise.md, by the examples that say what is in them.

python docs/make_gallery.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))

import adversarial
import marginal_likelihood
import regression_1d

import images

HERE = Path(__file__).resolve().parent


def main(folder: Path = HERE) -> list[Path]:
    """Write all figures to a folder."""
    mpl.use("Agg")
    figures = [folder / f"{name}.png" for name in ("regression", "learning", "images", "adversarial")]
    regression_1d.main(figures[0])
    marginal_likelihood.main(figures[1])
    images.main(figure=figures[2])
    adversarial.main(figures[3])
    return figures


if __name__ == "__main__":
    main()
