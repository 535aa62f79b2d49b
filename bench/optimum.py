"""Does a fit by marginal likelihood find the optimum, wherever it starts?

    python bench/optimum.py --data FOLDER            # uci90.npz is there; without it scikit-learn's sets alone
    python bench/optimum.py --data FOLDER --write    # puts the table into bench/README.md

Samples are standardised, targets are not: labels as numbers, and diabetes as it is.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastntk
from fastntk.inference import FitWarning, fit_marginal_likelihood
from interleave import machine
from tables import publish

Array = NDArray[Any]
NETS = {"ReLU, depth 2": fastntk.mlp(2, "relu", 1.0, 1.0), "erf, depth 1": fastntk.mlp(1, "erf", 1.0, 1.0)}
UCI = ("energy-y1", "energy-y2", "glass", "parkinsons", "ecoli")


def data_sets(folder: Path | None, most: int) -> Iterator[tuple[str, Array, Array]]:
    """Name, standardised samples, targets; at most so many rows."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

    sets = [(f.__name__[5:], *f(return_X_y=True)) for f in (load_diabetes, load_iris, load_wine)]
    sets += [(f.__name__[5:], *f(return_X_y=True)) for f in (load_breast_cancer, load_digits)]
    if folder is not None:
        stored = np.load(folder / "uci90.npz")
        sets += [(name, stored[f"{name}/X"], stored[f"{name}/y"]) for name in UCI]
    for name, x, y in sets:
        rows = np.random.default_rng(0).permutation(len(y))[:most]
        x, y = np.asarray(x, np.float64)[rows], np.asarray(y, np.float64)[rows]
        deviation = x.std(axis=0)
        yield name, (x - x.mean(axis=0))[:, deviation > 0] / deviation[deviation > 0], y


def optimum(folder: Path | None, most: int, restarts: int) -> Iterator[str]:
    """Log marginal likelihood found by a fit, over start noises from 1e-3 to 10 var(y), and against many restarts."""
    yield "| data | n | network | log likelihood | evaluations | start noises differ by | restarts find more by |"
    yield "|---|---|---|---|---|---|---|"
    for name, x, y in data_sets(folder, most):
        for title, net in NETS.items():
            noises = (1e-3, 0.1 * y.var(), 10 * y.var())
            fits = [fit_marginal_likelihood(net, x, y, noise=noise) for noise in noises]
            values = [fit.log_marginal_likelihood for fit in fits]
            best = fit_marginal_likelihood(net, x, y, restarts=restarts, random_state=0).log_marginal_likelihood
            yield (
                f"| {name} | {len(y)} | {title} | {values[0]:.2f} | {fits[0].evaluations} "
                f"| {max(values) - min(values):.2g} | {best - values[0]:.2g} |"
            )


def main() -> None:
    """Print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with uci90.npz")
    parser.add_argument("--most", type=int, default=500, help="rows of a set")
    parser.add_argument("--restarts", type=int, default=8)
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FitWarning)
    command = f"python bench/optimum.py --most {arguments.most} --restarts {arguments.restarts}"
    rows = []
    for row in optimum(arguments.data, arguments.most, arguments.restarts):
        print(row, flush=True)
        rows.append(row)
    if arguments.write:
        publish("optimum", optimum.__doc__ or "", [f"`{command}`: {machine()}", "", *rows], write=True)


if __name__ == "__main__":
    main()
