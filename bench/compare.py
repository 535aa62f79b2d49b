"""Compare fastntk with NumPy's matrix product, with BLAS, with its own NumPy reference and with its peers.

    python bench/compare.py                          # prints the tables
    python bench/compare.py --write                  # and puts them into bench/README.md
    python bench/compare.py --only gram micro --rounds 9
    python bench/compare.py --peer neural-tangents=PYTHON --peer scikit-ntk=PYTHON    # see peers/README.md

Every table comes from one run, its contenders interleaved; ratios are medians over the rounds with quartiles.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import fastntk
from activations import activations, depth, numerical, slow
from fastntk import _core
from inference import fitting
from inputs import inputs
from interleave import clock, interleave, machine, show_ratio
from peers.client import Peer
from residual import residual
from tables import write_table

DTYPES = ("float32", "float64")
NET = fastntk.mlp(3, "relu", sigma_w=2**0.5, sigma_b=0.1)


def data(n: int, d: int, dtype: str) -> np.ndarray[Any, Any]:
    """Normal rows, the same in every run."""
    return np.random.default_rng(0).normal(size=(n, d)).astype(dtype)


def gram(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """NTK of 3 hidden ReLU layers against `X @ X.T` alone, n = 8192."""
    n = 8192
    yield "| dtype | d | NumPy, existing memory | NTK, existing memory | ratio | ratio, fresh results |"
    yield "|---|---|---|---|---|---|"
    ratios = []
    for dtype in DTYPES:
        out = np.zeros((n, n), dtype)
        for d in (16, 64, 784):
            x = data(n, d, dtype)
            existing = interleave(
                {
                    "numpy": clock(partial(np.matmul, x, x.T, out=out)),
                    "ntk": clock(partial(NET.ntk, x, out=out)),
                },
                rounds,
            )
            fresh = interleave(
                {"numpy": clock(partial(np.matmul, x, x.T)), "ntk": clock(partial(NET.ntk, x))},
                max(3, rounds // 2),
            )
            ratio = existing.ratio("ntk", "numpy")
            ratios.append(ratio[0])
            yield (
                f"| {dtype} | {d} | {existing.median('numpy'):.3f} s | {existing.median('ntk'):.3f} s "
                f"| {show_ratio(ratio)} | {show_ratio(fresh.ratio('ntk', 'numpy'))} |"
            )
    yield ""
    yield f"Geometric mean of the six ratios into existing memory: **{math.prod(ratios) ** (1 / len(ratios)):.2f}**."


def micro(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """Micro-kernel, packing included, against BLAS: X Y^T of n = 3072 rows each on one thread."""
    n = 3072
    yield "| dtype | d | BLAS, GFLOP/s | fastntk, GFLOP/s | BLAS time / fastntk time |"
    yield "|---|---|---|---|---|"
    isa = str(fastntk.config()["instruction_set"])
    with threadpool_limits(1):
        for dtype in DTYPES:
            ones, out = np.ones(n), np.zeros((n, n), dtype)
            for d in (64, 128, 256, 784, 1536, 3072):
                x, y = data(n, d, dtype), data(n, d, dtype)[::-1].copy()
                times = interleave(
                    {
                        "blas": clock(partial(np.matmul, x, y.T, out=out)),
                        "ours": clock(partial(_core.product, isa, 1, x, ones, y, ones, np.zeros(d), out)),
                    },
                    rounds,
                )
                work = 2e-9 * n * n * d
                yield (
                    f"| {dtype} | {d} | {work / times.median('blas'):.1f} | {work / times.median('ours'):.1f} "
                    f"| {show_ratio(times.ratio('blas', 'ours'))} |"
                )


def against_peers(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:
    """NTK of 3 hidden ReLU layers on n = 4096, d = 64 against its peers (each compiled and warm)."""
    n, d = 4096, 64
    yield "| dtype | contender | seconds | times fastntk's |"
    yield "|---|---|---|---|"
    for dtype in DTYPES:
        x = data(n, d, dtype)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "x.npy")
            np.save(path, x)
            case = {"x": path, "depth": 3, "sigma_w": 2**0.5, "sigma_b": 0.1, "dtype": dtype}
            contenders = {"fastntk": clock(partial(NET.ntk, x))}
            for name, peer in peers.items():
                contenders[name] = partial(peer.seconds, **case)
            times = interleave(contenders, rounds)
            slow = interleave(
                {
                    "fastntk": clock(partial(NET.ntk, x[:1024])),
                    "fastntk.reference (NumPy, float64), n = 1024": clock(
                        partial(fastntk.reference.ntk, NET, x[:1024])
                    ),
                },
                max(2, rounds // 2),
            )
        for result in (times, slow):
            for name in result.seconds:
                if name == "fastntk" and result is slow:
                    continue
                middle, low, high = result.ratio(name, "fastntk")
                yield f"| {dtype} | {name} | {result.median(name):.3f} | {middle:.1f} ({low:.1f} to {high:.1f}) |"


def small(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """Small inputs and start-up."""
    x = data(10, 16, "float64")
    calls = 2000

    def many(call: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(calls):
                call()

        return run

    nets = {
        "without bias": fastntk.mlp(3, "relu", 2**0.5),
        "with bias": NET,
        "erf": fastntk.mlp(3, "erf", 1.5, 0.1),
    }
    times = interleave({name: clock(many(partial(net.ntk, x))) for name, net in nets.items()}, rounds)
    yield "| what | time |"
    yield "|---|---|"
    for name in nets:
        yield f"| `net.ntk(X)`, n = 10, d = 16, depth 3, {name} | {times.median(name) / calls * 1e6:.0f} µs |"

    rows, point = data(1000, 64, "float64"), data(1, 64, "float64")
    prepared = NET.ntk.prepare(rows)
    one = interleave(
        {
            "`net.ntk(x, Y)`": clock(many(partial(NET.ntk, point, rows))),
            "`net.ntk.prepare(Y)(x)`": clock(many(partial(prepared, point))),
        },
        rounds,
    )
    for name in one.seconds:
        yield f"| {name}, 1 x 1000, d = 64, depth 3, with bias | {one.median(name) / calls * 1e6:.0f} µs |"

    with tempfile.TemporaryDirectory() as kept:  # compiled modules, which who installed it has
        environment = os.environ | {"PYTHONPYCACHEPREFIX": kept, "PYTHONDONTWRITEBYTECODE": ""}

        def start(statement: str) -> Callable[[], object]:
            return lambda: subprocess.run([sys.executable, "-c", statement], check=True, env=environment)

        start("import numpy, fastntk")()
        imports = interleave(
            {"numpy": clock(start("import numpy")), "both": clock(start("import numpy, fastntk"))}, 2 * rounds
        )
    extra = imports.median("both") - imports.median("numpy")
    yield f"| `import fastntk` beyond `import numpy` | {extra * 1e3:.0f} ms |"


PEAK = """
import numpy as np, fastntk
def status(key):
    lines = open("/proc/self/status")
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024
n, d, dtype = {n}, {d}, "{dtype}"
x = np.random.default_rng(0).normal(size=(n, d)).astype(dtype)
net = fastntk.mlp(3, "relu", 2**0.5, 0.1)
net.ntk(x[:500])
out = np.zeros((n, n), dtype)
out.fill(0)
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
net.ntk(x, out=out)
print(status("VmHWM") - before)
"""


def memory(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """Peak memory beyond inputs and result, n = 20,000, by the operating system's count (VmHWM)."""
    yield "| dtype | d | MiB |"
    yield "|---|---|---|"
    for dtype in DTYPES:
        for d in (64, 784):
            script = PEAK.format(n=20_000, d=d, dtype=dtype)
            printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
            yield f"| {dtype} | {d} | {float(printed):.0f} |"


SECTIONS = {
    "gram": gram,
    "micro": micro,
    "peers": against_peers,
    "small": small,
    "memory": memory,
    "activations": activations,
    "slow": slow,
    "numerical": numerical,
    "depth": depth,
    "fitting": fitting,
    "residual": residual,
    "inputs": inputs,
}


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md")
    arguments = parser.parse_args()
    peers = {name: Peer(name, python) for name, python in (peer.split("=", 1) for peer in arguments.peer)}
    for key in arguments.only:
        section = SECTIONS[key]
        command = f"python bench/compare.py --only {key} --rounds {arguments.rounds}"
        lines = [f"### {(section.__doc__ or '').partition(chr(10))[0]}", "", f"`{command}`: {machine()}", ""]
        print("\n".join(lines), flush=True)
        for line in section(arguments.rounds, peers):
            print(line, flush=True)
            lines.append(line)
        print()
        if arguments.write:
            write_table(key, "\n".join(lines))
    for peer in peers.values():
        peer.close()


if __name__ == "__main__":
    main()
