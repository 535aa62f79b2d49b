"""``fastntk compute``: a kernel of the rows of a file into a file."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from .arguments import NETWORKS, Error, add_network, add_quiet, at_least, check_network, network
from .output import check_folder, new_npy
from .tables import FORMATS, RAGGED, read_given

DESCRIPTION = f"""\
Compute the NTK or the NNGP kernel of an infinitely wide network on the rows of X, or of X with the rows of Y.
Files may be {FORMATS}; nothing is unpickled.

The result is a .npy file, that numpy.load(..., mmap_mode="r") reads, there when it is whole; or a folder K.zarr,
written in chunks, that --resume goes on with after Ctrl-C, a crash or a full disk. fastntk.store.open reads it.
"""

EPILOG = f"""\
examples:
  fastntk compute X.npy --out K.npy                                  depth 1, ReLU, sigma_w 1, sigma_b 0
  fastntk compute test.csv train.csv --activation erf --out K.npy    of two sets of samples
  fastntk compute X.npy --depth 3 --activation relu --sigma-w 1.414 --sigma-b 0.1 \\
      --kernel ntk --dtype float32 --out K.zarr --resume             large: begin, or go on
  fastntk compute X.npy --net 'Sequential(Dense(1.4, 0.1), "relu", Dense())' --out K.npy
  fastntk compute images.npy --net 'cnn(5, "relu", 2**0.5)' --out K.npy      of shape (n, height, width, channels)
  fastntk compute graphs.npz --net 'gntk(2)' --out K.npy

{NETWORKS}
{RAGGED}
Rows of X are as they are: scale them first (standardised columns suit most data). float32 takes half the disk and
half the time, with some 7 digits. 50,000 rows are 10 GB in float32.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("X", help="samples, one a row")
    parser.add_argument("Y", nargs="?", help="other samples (default: the kernel of X with itself)")
    parser.add_argument("--out", type=Path, required=True, metavar="K", help="K.npy or K.zarr")
    add_network(parser)
    parser.add_argument("--dtype", choices=("float64", "float32"), help="default: that of X")
    parser.add_argument("--resume", action="store_true", help="go on with K.zarr if it is there")
    parser.add_argument("--half", action="store_true", help="of K.zarr, store only what is above the diagonal")
    parser.add_argument(
        "--chunk", type=at_least(1), metavar="SIDE", help="of K.zarr, side of its chunks (default: some 4096 or less)"
    )
    parser.add_argument(
        "--max-memory", metavar="M", help='such as "4 GiB", at least 64 MiB (default: a quarter of what is free)'
    )
    add_quiet(parser)


def check(arguments: argparse.Namespace, error: Error) -> None:
    """Refuse what does not go together."""
    check_network(arguments, error)
    out: Path = arguments.out
    if out.suffix not in (".npy", ".zarr"):
        error(f"--out must end in .npy or .zarr, got {out}.")
    if out.suffix == ".npy" and (arguments.resume or arguments.half or arguments.chunk):
        error("--resume, --half and --chunk are for --out K.zarr.")
    if arguments.half and arguments.Y is not None:
        error("--half is for the kernel of X with itself.")


def run(arguments: argparse.Namespace) -> None:
    """Compute."""
    from .. import store

    out: Path = arguments.out
    check_folder(out)
    if out.exists() and not arguments.resume:
        hint = "pass --resume to go on with it, or remove it" if out.suffix == ".zarr" else "remove it first"
        raise FileExistsError(f"{out} exists: {hint}.")
    x = read_given(arguments.X)
    net, kind = network(arguments, x)
    y = None if arguments.Y is None else read_given(arguments.Y)
    how = {"dtype": arguments.dtype, "max_memory": arguments.max_memory, "progress": not arguments.quiet}
    start = time.perf_counter()
    if out.suffix == ".zarr":
        parts = {"resume": arguments.resume, "half": arguments.half, "chunk": arguments.chunk}
        stored = store.compute(net, x, out, y, kind=kind, **parts, **how)
        shape, dtype = stored.shape, stored.dtype
    else:
        operator = getattr(net, kind).operator(x, y, dtype=arguments.dtype)  # checks everything
        shape, dtype = operator.shape, operator.kernel_dtype
        with new_npy(out, shape, dtype) as kernel:
            getattr(net, kind)(x, y, out=kernel, **how)
    size, seconds = shape[0] * shape[1] * dtype.itemsize / 2**20, time.perf_counter() - start
    print(f"{out}: {kind}, {shape[0]} x {shape[1]}, {dtype}, {size:.1f} MiB, {seconds:.1f} s")
