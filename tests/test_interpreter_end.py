"""Daemon threads that compute while the interpreter ends: the process ends well, and says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

CODE = """
    import sys, threading, time
    import numpy as np
    import fastntk

    X = np.random.default_rng(0).normal(size=(1500, 4))
    deep, small = fastntk.mlp(300, "relu", 1.4, 0.1), fastntk.mlp(2, "tanh")
    A, G = deep.ntk.operator(X), np.ones((300, 300))

    class Slow:
        # Modules are taken apart, and threads that come back to Python are not let in any more.
        def __del__(self, sleep=time.sleep):
            sleep(0.4)

    def work():
        while True:
            {call}

    slow = Slow()
    for _ in range({threads}):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.1)
    print("end", flush=True)
"""

CALLS = {
    "long": "deep.ntk(X, univariate=False)",
    "with progress": "deep.ntk(X, univariate=False, progress=lambda fraction: sum(range(10**6)))",
    "with a bar": "deep.ntk(X, univariate=False, progress=True)",
    "product": "A @ np.ones(1500)",
    "vjp": "deep.ntk.vjp(X[:300], G)",
    "short": "small.ntk(X[:20])",
    "dual": "small[1].dual(np.zeros(1000), 1.0, 1.0)",
}


@pytest.fixture(scope="module")
def processes() -> dict[str, subprocess.Popen[str]]:
    """All of them at once."""
    return {
        name: subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CODE).format(call=call, threads=3)],
            env=os.environ | {"OMP_NUM_THREADS": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, call in CALLS.items()
    }


@pytest.mark.parametrize("name", CALLS)
def test_daemon_threads(processes: dict[str, subprocess.Popen[str]], name: str) -> None:
    """No abort, no hanging, no message."""
    process = processes[name]
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail("it hangs")
    assert (process.returncode, output) == (0, "end\n"), errors
    assert name == "with a bar" or not errors
