"""Time what a user of a library writes, the files of cases/: as worker.py, under the library's own interpreter.

    {"peer": "mlp_scikit_ntk", "arrays": ["x.npy"], "save": "k.npy"}        (a single line)
    {"seconds": [0.72], "bytes": 67108864}

`seconds` are from arrays of NumPy to an array of NumPy, so that what is computed later is waited for; those of the
first request include what is compiled. `bytes` is the most memory that the process has had so far beyond what it had
when the file was loaded and the first arrays were read.
"""

import functools
import importlib.util
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

CASES = Path(__file__).with_name("cases")

#: What a file of cases/ has one of.
FUNCTIONS = ("kernel", "gradient", "fit")


def load(name: str) -> Callable[..., Any]:
    """Return the function of a file."""
    spec = importlib.util.spec_from_file_location(name, CASES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (function,) = (getattr(module, function) for function in FUNCTIONS if hasattr(module, function))
    return function  # type: ignore[no-any-return]


@functools.cache
def loaded(name: str) -> tuple[Callable[..., Any], int]:
    """Return the function, and the bytes of memory before its first call; the peak is counted from here."""
    function = load(name)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return function, memory("VmRSS")


def memory(key: str) -> int:
    """Bytes by the operating system's count."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition(f"{key}:")[2].split()[0])


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run one request."""
    arrays = [np.load(path) for path in request["arrays"]]
    function, before = loaded(request["peer"])
    start = time.perf_counter()
    result = np.asarray(function(*arrays))
    seconds = time.perf_counter() - start
    if "save" in request:
        np.save(request["save"], result)
    return {"seconds": [seconds], "bytes": memory("VmHWM") - before}


if __name__ == "__main__":
    import_module("worker").serve(answer)  # of this folder
