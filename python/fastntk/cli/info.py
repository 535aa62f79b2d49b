"""``fastntk info``: what a kernel on disk is of."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import Error

DESCRIPTION = "Say what a kernel that fastntk has stored in Zarr is of, and whether it is finished."
EPILOG = """\
example:
  fastntk info K.zarr
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("store", type=Path, metavar="K.zarr")


def check(arguments: argparse.Namespace, error: Error) -> None:
    """Accept all."""
    del arguments, error


def run(arguments: argparse.Namespace) -> None:
    """Say it."""
    from .. import store
    from ..networks.description import text

    about = store.about(arguments.store)
    done, total = store.count(arguments.store)
    print(f"kernel: {about['kind']}, {' x '.join(map(str, about['shape']))}, {about['dtype']}")
    print("finished: " + ("yes" if done == total else f"no, {done} of {total} chunks are there"))
    print(f"stored: {'chunks on and above the diagonal' if about['half'] else 'whole'}")
    for i, layer in enumerate(about["network"]):
        print(f"layer {i}: {text(layer)}")
    for name, data in about["data"].items():
        print(f"{name}: {' x '.join(map(str, data['shape']))}, {data['dtype']}, sha256 {data['sha256']}")
    print(f"made by: fastntk {about['version']}, instruction set {about['instruction_set']}")
