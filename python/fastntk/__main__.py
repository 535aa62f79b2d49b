"""The command line: ``fastntk compute``, ``info``, ``demo`` and ``config``, also as ``python -m fastntk``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__, config
from .files import FORMATS, new_npy, read_table

_DESCRIPTION = """\
Kernels of infinitely wide neural networks (NNGP and NTK).

  fastntk compute  compute a kernel of the rows of a file into a file
  fastntk info     say what a kernel on disk is of, and whether it is finished
  fastntk demo     classify images with both kernels, in seconds
  fastntk config   say what this installation uses: versions, instruction set, threads
"""

_EPILOG = """\
examples:
  pip install 'fastntk[demo]'
  fastntk demo --output digits.png
  fastntk compute X.npy --depth 3 --sigma-w 1.414 --sigma-b 0.1 --out K.npy
  fastntk compute --help
"""

_COMPUTE_DESCRIPTION = f"""\
Compute the NTK or the NNGP kernel of a fully connected network on the rows of X, or of X with the rows of Y.
Files may be {FORMATS}; nothing is unpickled.

The result is a .npy file, that numpy.load(..., mmap_mode="r") reads, there when it is whole; or a folder K.zarr,
written in chunks, that --resume goes on with after Ctrl-C, a crash or a full disk. fastntk.store.open reads it.
"""

_COMPUTE_EPILOG = """\
examples:
  fastntk compute X.npy --out K.npy                                  depth 1, ReLU, sigma_w 1, sigma_b 0
  fastntk compute test.csv train.csv --activation erf --out K.npy    of two sets of samples
  fastntk compute X.npy --depth 3 --activation relu --sigma-w 1.414 --sigma-b 0.1 \\
      --kernel ntk --dtype float32 --out K.zarr --resume             large: begin, or go on

Rows of X are as they are: scale them first (standardised columns suit most data). float32 takes half the disk and
half the time, with some 7 digits. 50,000 rows are 10 GB in float32.
"""

_DEMO_DESCRIPTION = """\
Classify images by kernel ridge regression with three kernels: the NNGP and the NTK of an infinitely wide
ReLU network, and the RBF kernel as the baseline. Ridge and bandwidth are chosen on a part of the training
images. Prints accuracies and times, and draws the NTK of the test images and both kernels as functions of the
angle between two inputs.
"""

_DEMO_EPILOG = """\
examples:
  fastntk demo                                   digits of scikit-learn, a few seconds
  fastntk demo --depth 10 --dtype float32        a deeper network, in single precision
  fastntk demo --data fashion-mnist              10,000 + 10,000 images, some minutes and 2 GiB
  fastntk demo --data fashion-mnist --data-dir ~/fashion --train 2000 --test 5000 --output fashion.png

Fashion-MNIST is Debian's package dataset-fashion-mnist, or four idx .gz files in a folder named by
--data-dir or by the environment variable FASTNTK_DATA.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        0, or 1 after one sentence on stderr about what was wrong, or 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        With code 2 for a wrong usage, with code 0 after ``--help`` and ``--version``.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "demo" and arguments.data_dir is not None and arguments.data != "fashion-mnist":
        parser.error("--data-dir is for --data fashion-mnist; the digits come with scikit-learn.")
    if arguments.command == "compute" and arguments.out.suffix not in (".npy", ".zarr"):
        parser.error(f"--out must end in .npy or .zarr, got {arguments.out}.")
    if arguments.command == "compute" and arguments.out.suffix == ".npy" and (arguments.resume or arguments.half):
        parser.error("--resume and --half are for --out K.zarr.")
    if arguments.command == "compute" and arguments.half and arguments.Y is not None:
        parser.error("--half is for the kernel of X with itself.")
    try:
        _COMMANDS[arguments.command](arguments)
    except KeyboardInterrupt:
        logging.getLogger("asyncio").disabled = True  # Zarr's writers are cut short, and would say so at exit
        resumable = arguments.command == "compute" and arguments.out.suffix == ".zarr"
        _fail(f"interrupted{'; the same call with --resume goes on' if resumable else ''}.")
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"matplotlib", "sklearn", "threadpoolctl", "zarr"}:
            raise
        extra = "store" if package == "zarr" else "demo"
        return _fail(f"this needs {package}, which is not here; install it with pip install 'fastntk[{extra}]'.")
    except OSError as error:
        return _fail(f"cannot use {error.filename}: {error.strerror}." if error.filename else str(error))
    except (TypeError, ValueError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__)
    return 0


def _compute(arguments: argparse.Namespace) -> None:
    from . import mlp, store

    out: Path = arguments.out
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(2, "No such file or directory", str(out.parent))
    if out.exists() and not arguments.resume:
        hint = "pass --resume to go on with it, or remove it" if out.suffix == ".zarr" else "remove it first"
        raise FileExistsError(f"{out} exists: {hint}.")
    net = mlp(arguments.depth, arguments.activation, arguments.sigma_w, arguments.sigma_b)
    x = read_table(arguments.X)
    y = None if arguments.Y is None else read_table(arguments.Y)
    how = {"dtype": arguments.dtype, "max_memory": arguments.max_memory, "progress": not arguments.quiet}
    start = time.perf_counter()
    if out.suffix == ".zarr":
        stored = store.compute(
            net, x, out, y, kind=arguments.kernel, resume=arguments.resume, half=arguments.half, **how
        )
        shape, dtype = stored.shape, stored.dtype
    else:
        operator = net.operator(x, y, kind=arguments.kernel, dtype=arguments.dtype)  # checks everything
        shape, dtype = operator.shape, operator.kernel_dtype
        with new_npy(out, shape, dtype) as kernel:
            (net.ntk if arguments.kernel == "ntk" else net.nngp)(x, y, out=kernel, **how)
    size, seconds = shape[0] * shape[1] * dtype.itemsize / 2**20, time.perf_counter() - start
    print(f"{out}: {arguments.kernel}, {shape[0]} x {shape[1]}, {dtype}, {size:.1f} MiB, {seconds:.1f} s")


def _info(arguments: argparse.Namespace) -> None:
    from . import store

    about = store.about(arguments.store)
    done, total = store.count(arguments.store)
    print(f"kernel: {about['kind']}, {' x '.join(map(str, about['shape']))}, {about['dtype']}")
    print("finished: " + ("yes" if done == total else f"no, {done} of {total} chunks are there"))
    print(f"stored: {'chunks on and above the diagonal' if about['half'] else 'whole'}")
    for i, layer in enumerate(about["network"]):
        print(f"layer {i}: {layer}")
    for name, data in about["data"].items():
        print(f"{name}: {' x '.join(map(str, data['shape']))}, {data['dtype']}, sha256 {data['sha256']}")
    print(f"made by: fastntk {about['version']}, instruction set {about['instruction_set']}")


def _config(arguments: argparse.Namespace) -> None:
    del arguments
    for name, value in config().items():
        print(f"{name}: {', '.join(value) if isinstance(value, (list, tuple)) else value}")


def _demo(arguments: argparse.Namespace) -> None:
    from .demo import run

    run(
        arguments.data,
        data_dir=arguments.data_dir,
        train=arguments.train,
        test=arguments.test,
        depth=arguments.depth,
        dtype=arguments.dtype,
        output=arguments.output,
    )


_COMMANDS = {"compute": _compute, "info": _info, "config": _config, "demo": _demo}


def _fail(sentence: str) -> int:
    print(f"fastntk: {sentence}", file=sys.stderr)
    return 1


def _at_least(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"must be an integer >= {least}, got {text!r}")
        return number

    return convert


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fastntk", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=layout)
    parser.add_argument("--version", action="version", version=f"fastntk {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{compute,info,demo,config}")
    compute = commands.add_parser(
        "compute", description=_COMPUTE_DESCRIPTION, epilog=_COMPUTE_EPILOG, formatter_class=layout
    )
    compute.add_argument("X", help="samples, one a row")
    compute.add_argument("Y", nargs="?", help="other samples (default: the kernel of X with itself)")
    compute.add_argument("--out", type=Path, required=True, metavar="K", help="K.npy or K.zarr")
    compute.add_argument("--depth", type=_at_least(0), default=1, metavar="L", help="hidden layers (default: 1)")
    compute.add_argument("--activation", default="relu", metavar="NAME", help="relu, erf, tanh, ... (default: relu)")
    compute.add_argument("--sigma-w", type=float, default=1.0, metavar="S", help="of the weights (default: 1)")
    compute.add_argument("--sigma-b", type=float, default=0.0, metavar="S", help="of the biases (default: 0)")
    compute.add_argument("--kernel", choices=("ntk", "nngp"), default="ntk", help="default: ntk")
    compute.add_argument("--dtype", choices=("float64", "float32"), help="default: that of X")
    compute.add_argument("--resume", action="store_true", help="go on with K.zarr if it is there")
    compute.add_argument("--half", action="store_true", help="of K.zarr, store only what is above the diagonal")
    compute.add_argument(
        "--max-memory", metavar="M", help='such as "4 GiB", at least 64 MiB (default: a quarter of what is free)'
    )
    compute.add_argument("--quiet", action="store_true", help="no progress bar")
    info = commands.add_parser("info", description="Say what a kernel that fastntk has stored in Zarr is of.")
    info.add_argument("store", type=Path, metavar="K.zarr")
    commands.add_parser("config", description="Say what this installation uses, one entry per line.")
    demo = commands.add_parser("demo", description=_DEMO_DESCRIPTION, epilog=_DEMO_EPILOG, formatter_class=layout)
    demo.add_argument("--data", choices=("digits", "fashion-mnist"), default="digits", help="default: digits")
    demo.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the Fashion-MNIST files")
    demo.add_argument("--train", type=_at_least(10), metavar="N", help="training images (1000; 10000)")
    demo.add_argument("--test", type=_at_least(10), metavar="N", help="test images (797; 10000)")
    demo.add_argument("--depth", type=_at_least(0), default=3, metavar="L", help="hidden layers (default: 3)")
    demo.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="default: float64")
    output = Path("fastntk-demo.png")
    demo.add_argument("--output", type=Path, default=output, metavar="FILE", help=f"default: {output}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
