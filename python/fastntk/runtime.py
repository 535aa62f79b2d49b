"""What this installation is and uses: versions, compiler, instruction set, threads."""

from __future__ import annotations

import os
import platform
from functools import cache

from . import _core
from ._validation import unknown_name

_forked = False


def _after_fork_in_child() -> None:
    # libgomp waits for ever for threads that a fork did not copy; with a team of one it starts none.
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def threads() -> int:
    """Threads that the next call may use."""
    return 1 if _forked else _core.max_threads()


@cache
def instruction_set() -> str:
    """The instruction set of the kernels: the best this processor has, or that of FASTNTK_ISA."""
    supported = _core.supported_instruction_sets()
    wanted = os.environ.get("FASTNTK_ISA", "")
    if wanted and wanted not in supported:
        raise unknown_name("instruction set in FASTNTK_ISA", wanted, supported)
    return wanted or supported[-1]


def config() -> dict[str, object]:
    """Describe this installation.

    Returns
    -------
    dict
        ``version`` of fastntk; ``numpy``, ``python`` and ``compiler`` (of the C++ core) versions; the
        ``instruction_set`` in use and those ``supported`` here (set the environment variable FASTNTK_ISA to
        one of them to choose); ``threads`` that the next call may use (OMP_NUM_THREADS or threadpoolctl
        change it; 1 in a forked child).

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
