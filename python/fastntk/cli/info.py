"""``fastntk info``: what is in a file: a kernel on disk, a model, a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..networks.description import Described
from . import model
from .arguments import Error
from .tables import features, has_samples, read_given, read_table

DESCRIPTION = """\
Say what a kernel that fastntk has stored in Zarr is of, and whether it is finished; what a model of fastntk fit is;
what sequences or graphs a .npz file has; or the shape and dtype of a .npy file.
"""
EPILOG = """\
examples:
  fastntk info K.zarr
  fastntk info model.npz
  fastntk info X.npz
  fastntk info K.npy
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="K.zarr, model.npz, X.npz or a .npy file")


def check(arguments: argparse.Namespace, error: Error) -> None:
    """Accept all."""
    del arguments, error


def run(arguments: argparse.Namespace) -> None:
    """Say it."""
    file: Path = arguments.file
    if file.suffix == ".npz" and has_samples(file):
        print(f"samples: {read_given(str(file))}")
        return
    {".npy": _array, ".npz": _model}.get(file.suffix, _store)(file)


def _array(file: Path) -> None:
    array = read_table(str(file))
    print(f"array: {_size(array.shape) or 1}, {array.dtype}")


def _model(file: Path) -> None:
    try:
        fitted = model.load(file)
    except model.OtherArraysError as error:
        what = "sequences (values, lengths) or graphs (features, nodes, edges) alone"
        raise ValueError(f"{error} Nor has it {what}.") from None
    labels = len(fitted.classes)
    print(f"model: {fitted.kind}, {len(fitted.rows)} rows of {features(fitted.rows)}, {fitted.rows.dtype}")
    print(f"classes: {labels}" if labels else f"targets: {len(fitted.offset)}")
    print(f"network: {fitted.network!r}")


def _store(file: Path) -> None:
    from .. import store

    about = store.about(file)
    done, total = store.count(file)
    print(f"kernel: {about['kind']}, {_size(about['shape'])}, {about['dtype']}")
    print("finished: " + ("yes" if done == total else f"no, {done} of {total} chunks are there"))
    print(f"stored: {'chunks on and above the diagonal' if about['half'] else 'whole'}")
    _network(about["network"])
    for name, data in about["data"].items():
        print(f"{name}: {_size(data['shape'])}, {data['dtype']}, sha256 {data['sha256']}")
    print(f"made by: fastntk {about['version']}, instruction set {about['instruction_set']}")


def _network(described: Described) -> None:
    if isinstance(described, str):
        print(f"network: {described}")
        return
    for i, text in enumerate(described):
        print(f"layer {i}: {text}")


def _size(shape: tuple[int, ...] | list[int]) -> str:
    return " x ".join(map(str, shape))
