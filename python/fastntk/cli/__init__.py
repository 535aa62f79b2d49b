"""The command line: ``fastntk compute``, ``info``, ``fit``, ``predict``, ``demo`` and ``config``, one file each.

A command is a module with `add`, which describes its arguments, `check`, which refuses those that do not go together,
and `run`. `tables` reads what users have, `output` writes what is whole, `model` is what fit writes and predict reads.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from .. import __version__
from . import compute, config, demo, fit, info, predict

_DESCRIPTION = """\
Kernels of infinitely wide neural networks (NNGP and NTK).

  fastntk compute  compute a kernel of the rows of a file into a file
  fastntk info     say what a kernel on disk is of, and whether it is finished
  fastntk fit      fit a wide network to the rows of a file and their targets or labels
  fastntk predict  apply it to the rows of another
  fastntk demo     classify images with both kernels, in seconds
  fastntk config   say what this installation uses: versions, instruction set, threads
"""

_EPILOG = """\
examples:
  pip install 'fastntk[demo]'
  fastntk demo --output digits.png
  fastntk compute X.npy --depth 3 --sigma-w 1.414 --sigma-b 0.1 --out K.npy
  fastntk fit X.csv y.csv --depth 3 --sigma-w 1.414 --sigma-b 0.1 --out model.npz
  fastntk predict model.npz X_test.csv --out predictions.csv
  fastntk fit --help
"""

_COMMANDS = {
    "compute": compute, "info": info, "fit": fit, "predict": predict, "demo": demo, "config": config,
}  # fmt: skip


class Terminated(BaseException):
    """The process was asked to end: files are to be left as after Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        0, or 1 after one sentence on stderr about what was wrong, or 130 after Ctrl-C, 143 after SIGTERM.

    Raises
    ------
    SystemExit
        With code 2 for a wrong usage, with code 0 after ``--help`` and ``--version``.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    command = _COMMANDS[arguments.command]
    command.check(arguments, parser.error)
    try:
        with _termination():
            command.run(arguments)
    except (KeyboardInterrupt, Terminated) as end:
        logging.getLogger("asyncio").disabled = True  # Zarr's writers are cut short, and would say so at exit
        resumable = arguments.command == "compute" and arguments.out.suffix == ".zarr"
        code, how = (end.args[0], "terminated") if isinstance(end, Terminated) else (130, "interrupted")
        _fail(f"{how}{'; the same call with --resume goes on' if resumable else ''}.")
        return int(code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        if extra is None:
            raise
        return _fail(f"this needs {package}, which is not here; install it with pip install 'fastntk[{extra}]'.")
    except OSError as error:
        return _fail(f"cannot use {error.filename}: {error.strerror}." if error.filename else str(error))
    except (TypeError, ValueError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__)
    return 0


_EXTRAS = {
    "matplotlib": "demo", "sklearn": "demo", "threadpoolctl": "demo", "zarr": "store", "filelock": "store",
    "google_crc32c": "store",
}  # fmt: skip


@contextmanager
def _termination() -> Iterator[None]:
    """SIGTERM and SIGHUP end what is going on as Ctrl-C does, instead of the process at once."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise Terminated(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in signal.Signals if number.name in ("SIGTERM", "SIGHUP")]  # Windows has the first
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            if before[number] is signal.SIG_DFL:  # and not what nohup or who calls this wanted
                signal.signal(number, end)
        yield
    finally:
        for number in numbers:
            if before[number] is signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)


def _fail(sentence: str) -> int:
    with suppress(OSError):  # after SIGHUP there may be nobody to tell
        print(f"fastntk: {sentence}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("fastntk", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=layout)
    parser.add_argument("--version", action="version", version=f"fastntk {__version__}")
    names = "{" + ",".join(_COMMANDS) + "}"
    commands = parser.add_subparsers(dest="command", required=True, metavar=names)
    for name, command in _COMMANDS.items():
        command.add(
            commands.add_parser(name, description=command.DESCRIPTION, epilog=command.EPILOG, formatter_class=layout)
        )
    return parser
