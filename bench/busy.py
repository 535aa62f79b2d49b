"""Small kernels and fits beside processes that keep every processor busy.

    python bench/busy.py

Each line is a median, with one thread (OMP_NUM_THREADS=1) and with as many as there are.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import fastntk

ROUNDS = 15


def median(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of a call, of several, after one."""
    call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure() -> None:
    """Print the times of this process."""
    net, slow = fastntk.mlp(3, "relu", 1.4, 0.1), fastntk.mlp(2, "tanh", 1.4, 0.1)
    for n in (50, 100, 200, 500, 2000):
        x = np.random.default_rng(0).normal(size=(n, 20))
        print(f"ntk, n = {n}\t{median(partial(net.ntk, x))}")
        if n <= 200:
            print(f"ntk of tanh, n = {n}\t{median(partial(slow.ntk, x))}")
            print(f"ntk with gradient, n = {n}\t{median(partial(net.ntk.value_and_gradient, x, shared=True))}")
            print(f"product, n = {n}\t{median(partial(net.ntk.operator(x).dot, np.ones(n)))}")
    x = np.random.default_rng(0).normal(size=(100, 5))
    y = np.sin(x[:, 0])
    print(f"fit, n = 100\t{median(lambda: fastntk.inference.fit_marginal_likelihood(net, x, y), 3)}")


def main() -> None:
    """Measure in processes of their own, beside a busy loop for every processor."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        columns = []
        for threads in ("1", str(os.cpu_count())):
            command = [sys.executable, __file__, "--alone"]
            output = subprocess.check_output(command, env=os.environ | {"OMP_NUM_THREADS": threads}, text=True)
            columns.append([line.split("\t") for line in output.splitlines()])
    finally:
        for loop in loops:
            loop.kill()
    print(f"| beside {len(loops)} busy loops, ms | 1 thread | {threads} threads |\n|---|---|---|")
    for (name, one), (_, many) in zip(*columns, strict=True):
        print(f"| {name} | {1e3 * float(one):.2f} | {1e3 * float(many):.2f} |")


if __name__ == "__main__":
    measure() if "--alone" in sys.argv else main()
