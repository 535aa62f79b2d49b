"""The command line: ``fastntk demo`` and ``fastntk config``, also as ``python -m fastntk``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__, config

_DESCRIPTION = """\
Kernels of infinitely wide neural networks (NNGP and NTK).

  fastntk demo     classify images with them, in seconds
  fastntk config   say what this installation uses: versions, instruction set, threads
"""

_EPILOG = """\
example:
  pip install 'fastntk[demo]'
  fastntk demo --output digits.png
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
    try:
        if arguments.command == "config":
            _config()
        else:
            _demo(arguments)
    except KeyboardInterrupt:
        _fail("interrupted.")
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"matplotlib", "sklearn", "threadpoolctl"}:
            raise
        return _fail(f"the demo needs {package}, which is not here; install it with pip install 'fastntk[demo]'.")
    except OSError as error:
        return _fail(f"cannot use {error.filename}: {error.strerror}." if error.filename else str(error))
    except (ValueError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__)
    return 0


def _config() -> None:
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
    commands = parser.add_subparsers(dest="command", required=True, metavar="{demo,config}")
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
