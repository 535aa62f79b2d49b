"""``fastntk predict``: a fitted model applied to the rows of a file."""

from __future__ import annotations

import argparse
import csv
import io
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import Error, add_quiet
from .model import load
from .output import check_new, new_file
from .tables import FORMATS, RAGGED, features, read_samples

DESCRIPTION = f"""\
Apply a model that fastntk fit has written to the rows of X: a number or a label for each, or several numbers.
X may be {FORMATS}; nothing is unpickled.
"""

EPILOG = f"""\
examples:
  fastntk predict model.npz X_test.npy --out predictions.npy
  fastntk predict model.npz X_test.csv --out predictions.csv

Columns of X must be those of the training samples, scaled as they were.

{RAGGED}"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("model", type=Path, metavar="model.npz")
    parser.add_argument("X", help="samples, one a row")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="predictions.npy or predictions.csv")
    add_quiet(parser)


def check(arguments: argparse.Namespace, error: Error) -> None:
    """Refuse what does not go together."""
    if arguments.out.suffix not in (".npy", ".csv"):
        error(f"--out must end in .npy or .csv, got {arguments.out}.")


def run(arguments: argparse.Namespace) -> None:
    """Predict."""
    out: Path = arguments.out
    check_new(out)
    start = time.perf_counter()
    model = load(arguments.model)
    x = read_samples(arguments.X)
    if features(x) != features(model.rows):
        raise ValueError(
            f"{arguments.X} has {features(x)}, and the model was fitted to {features(model.rows)}; they must be the "
            "same."
        )
    predictions = model.predict(x, progress=not arguments.quiet)
    with new_file(out) as file:
        if out.suffix == ".npy":
            np.lib.format.write_array(file, predictions, allow_pickle=False)
        else:
            _write_csv(file, predictions, labels=bool(len(model.classes)))
    seconds = time.perf_counter() - start
    print(f"{out}: {len(predictions)} predictions, {seconds:.1f} s")


def _write_csv(file: IO[bytes], predictions: NDArray[Any], *, labels: bool) -> None:
    """A line a sample; labels in quotes where they need some."""
    if not labels:
        np.savetxt(file, predictions, delimiter=",", fmt="%.17g", encoding="utf-8")
        return
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    csv.writer(text, lineterminator="\n").writerows([label] for label in predictions.tolist())
    text.detach()  # flushed, and the file stays open
