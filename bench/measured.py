"""A function run in a process of its own, with what it took: seconds and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Measured(NamedTuple):
    """What a function returned, its wall-clock time, and the most memory its process had."""

    value: Any
    seconds: float
    bytes: int


def measured(script: str, function: str, *arguments: Any) -> Measured:
    """Run a function of a script of this folder: arguments and result are JSON."""
    command = [sys.executable, __file__, script, function, json.dumps(arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(*json.loads(done.stdout.splitlines()[-1]))


def gib(size: float) -> str:
    """Bytes as GiB."""
    return f"{size / 2**30:.2f} GiB"


def _main() -> None:
    script, function, arguments = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).parent))
    call: Callable[..., Any] = getattr(__import__(script), function)
    start = time.perf_counter()
    value = call(*json.loads(arguments))
    seconds = time.perf_counter() - start
    sys.stdout.write(os.linesep + json.dumps([value, seconds, _peak()]))


def _peak() -> int:
    """Most memory that this process had; its ru_maxrss would include what its parent had when it began."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    _main()
