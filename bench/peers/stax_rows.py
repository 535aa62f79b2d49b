"""Compare every row of the tables of layers in docs/from_neural_tangents.md with neural-tangents.

    python bench/peers/stax_rows.py PYTHON    # of an environment with neural-tangents, README.md

The left column is evaluated with neural-tangents, the right one with fastntk, each between two layers with weights.
Both kernels are compared, relative to their largest entry, but for diagonals that are NaN there. Ends with an error if
one is further off than 1e-6, or, of neural-tangents' quadrature, 1e-2.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "from_neural_tangents.md"
MOST, MOST_OF_QUADRATURE = 1e-6, 1e-2

#: Of each table: the shape of the samples, and what is before and behind a layer, there and here.
TABLES: dict[str, tuple[tuple[int, ...], tuple[str, str], tuple[str, str]]] = {
    "### For any samples": (
        (6, 5),
        ("Dense(64, 1.1, 0.3)", "Dense(1, 1.3, 0.2)"),
        ("Dense(1.1, 0.3, width=64)", "Dense(1.3, 0.2)"),
    ),
    "### For images and sequences": (
        (4, 6, 6, 2),
        ('Conv(64, (3, 3), padding="SAME", W_std=1.1, b_std=0.3)', "serial(Flatten(), Dense(1, 1.3, 0.2))"),
        ("Conv((3, 3), sigma_w=1.1, sigma_b=0.3)", "Sequential(Flatten(), Dense(1.3, 0.2))"),
    ),
}


def rows(table: str) -> list[tuple[str, str]]:
    """Both columns of a table of the page."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", text[text.index(table) :].split("\n#", 1)[0], re.MULTILINE)


def samples(shape: Sequence[int]) -> Any:
    """The same numbers in both interpreters."""
    return np.random.default_rng(0).normal(size=shape)


def neural_tangents() -> None:
    """Under its interpreter: kernels of networks that stdin has, to the file named last."""
    import_module("jax").config.update("jax_enable_x64", True)
    names = vars(import_module("neural_tangents.stax")) | {"jnp": import_module("jax.numpy")}
    found: dict[str, Any] = {}
    for i, (shape, network) in enumerate(json.load(sys.stdin)):
        _, _, kernel_fn = eval(network, dict(names))
        kernels = kernel_fn(samples(shape), None, ("nngp", "ntk"))
        found |= {f"nngp{i}": kernels.nngp, f"ntk{i}": kernels.ntk}
    np.savez(sys.argv[-1], **found)


def difference(ours: Any, theirs: Any) -> float:
    """The largest, relative to the largest entry; NaN unless it is on the diagonal."""
    known = np.isfinite(theirs) | ~np.eye(len(theirs), dtype=bool)
    return float(abs(ours - theirs)[known].max() / abs(theirs)[known].max())


def main() -> None:
    """Compare all rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="interpreter of an environment with neural-tangents")
    python = parser.parse_args().python
    import fastntk

    pairs = [(shape, *row, there, here) for table, (shape, there, here) in TABLES.items() for row in rows(table)]
    asked = json.dumps([(shape, f"serial({there[0]}, {left}, {there[1]})") for shape, left, _, there, _ in pairs])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernels.npz")
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"} | os.environ
        command = [python, "-W", "ignore", __file__, "there", path]
        subprocess.run(command, input=asked, text=True, check=True, env=environment)
        with np.load(path) as arrays:
            theirs = dict(arrays)
    wrong = 0
    for i, (shape, left, right, _, here) in enumerate(pairs):
        net = eval(f"Sequential({here[0]}, {right}, {here[1]})", vars(fastntk) | {"np": np})
        pair = net.kernels(samples(shape))
        errors = [difference(ours, theirs[f"{kind}{i}"]) for kind, ours in zip(("nngp", "ntk"), pair, strict=True)]
        most = MOST_OF_QUADRATURE if "Numerical" in left else MOST
        wrong += not max(errors) <= most
        print(f"{'' if max(errors) <= most else 'WRONG '}{errors[0]:.0e} {errors[1]:.0e}  {left}  ->  {right}")
    print(f"{len(pairs)} rows, {wrong} of them wrong")
    if wrong or not pairs:
        raise SystemExit(1)


if __name__ == "__main__":
    neural_tangents() if sys.argv[1:2] == ["there"] else main()
