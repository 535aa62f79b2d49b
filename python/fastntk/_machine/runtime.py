"""What this installation is and uses: versions, compiler, instruction set, threads."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec

from .. import _core
from . import limits

#: A Cholesky factor of so many rows takes about a millisecond.
_FEW_ROWS = 500

_forked = False


def _after_fork_in_child() -> None:
    # libgomp waits for ever for threads that a fork did not copy; with a team of one it starts none.
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@cache
def _bounds() -> tuple[int, int, int]:
    """Processors of this process, threads where nobody has asked for a number, and threads at most."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = None if "OMP_NUM_THREADS" in os.environ else limits.processors()
    return processors, min(processors, quota or processors), max(16, 4 * processors)


def threads() -> int:
    """Threads that the next call may use: as many as OpenMP says, within reason, or as a container has a quota for."""
    if _forked:
        return 1
    threads, (processors, unasked, most) = _core.max_threads(), _bounds()
    return unasked if threads == processors else min(threads, most)


def blas_threads(n: int) -> AbstractContextManager[object]:
    """Within it BLAS has one thread, if that is enough for matrices of n rows and somebody can tell it so.

    Threads of OpenBLAS spin while they wait for each other, which on a busy machine takes longer than the work.
    """
    if n > _FEW_ROWS or (find_spec("threadpoolctl") is None):
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits


@cache
def instruction_set() -> str:
    """The instruction set of the kernels: the best this processor has, or that of FASTNTK_ISA."""
    supported = _core.supported_instruction_sets()
    wanted = os.environ.get("FASTNTK_ISA", "")
    if wanted and wanted not in supported:
        raise ValueError(f"unknown instruction set in FASTNTK_ISA {wanted!r}. Known are {', '.join(supported)}.")
    return wanted or supported[-1]


def config() -> dict[str, object]:
    """Describe this installation.

    Returns
    -------
    dict
        ``version`` of fastntk; ``numpy``, ``python`` and ``compiler`` (of the C++ core) versions; the
        ``instruction_set`` in use and those ``supported`` here (set the environment variable FASTNTK_ISA to
        one of them to choose); ``threads`` that the next call may use (OMP_NUM_THREADS or threadpoolctl
        change it, up to four a processor; without them one a processor, fewer where a container has a quota;
        1 in a forked child). Calls of less than about a millisecond use one.

    Examples
    --------
    >>> import fastntk
    >>> sorted(fastntk.config())
    ['compiler', 'instruction_set', 'numpy', 'python', 'supported', 'threads', 'version']
    """
    import numpy as np

    return {
        "version": _core.version,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "compiler": _core.compiler,
        "instruction_set": instruction_set(),
        "supported": _core.supported_instruction_sets(),
        "threads": threads(),
    }
