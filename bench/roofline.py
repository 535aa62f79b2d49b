"""What the machine can do, and how near the kernels come to it.

python bench/roofline.py avx512      # or avx2, baseline: the limits, ops on a strip, the six cases; two minutes
python bench/roofline.py threads     # seconds and speed-up, from one thread to twice as many as there are processors
python bench/roofline.py clustered   # rows that are nearly duplicates, over normal rows
python bench/roofline.py ... --write # puts the table into bench/README.md, and the figure of the cases beside it

With an instruction set, fastntk (FASTNTK_ISA) and NumPy's OpenBLAS (OPENBLAS_CORETYPE) both use it: the script starts
itself anew. By itself fastntk has as many threads as there are processors, two for a core with hyper-threads: `threads`
says which number of them is which.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import fastntk
from fastntk import Activation, Dense, _core
from fastntk.layers.base import Layer, emit_network
from interleave import Rounds, Run, clock, interleave, show_ratio
from tables import run

Array = NDArray[Any]

DTYPES = ("float32", "float64")
FEATURES = (16, 64, 784)
NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)
#: An odd number of rows, as data have: rows of the result do not begin at whole vectors.
ROWS = 8191

#: What OpenBLAS calls processors with no more than that instruction set.
CORE_TYPES = {"baseline": "Prescott", "avx2": "Haswell", "avx512": "SkylakeX"}


def data(n: int, d: int, dtype: str) -> Array:
    """Normal rows, the same in every run."""
    return np.random.default_rng(0).normal(size=(n, d)).astype(dtype)


def instruction_set() -> str:
    """The one in use."""
    return str(fastntk.config()["instruction_set"])


def threads_by_default() -> int:
    """How many threads a call has."""
    return int(str(fastntk.config()["threads"]))


def limits(arguments: argparse.Namespace) -> Iterator[str]:
    """The machine's limits, what ops cost in the first-level cache, and the share of the limits that is reached.

    Multiply-adds in registers, bandwidths of 512 MiB, each the fastest of some. Ops: on a strip of 192 pairs of normal
    rows, d = 64, with Theta, one thread; equivalents are multiply-adds that the thread could do meanwhile. Cases: NTK
    of 3 hidden ReLU layers into existing memory, n = 8191; the limit is half of NumPy's `X @ Y.T` of that size, or its
    filling of the result, whichever takes longer. Stores are a filling by all threads, past the caches; the product is
    that of a symmetric result with no layers, less the stores; layers are the rest.
    """
    peaks = yield from machine_limits(arguments.rounds)
    yield ""
    yield from ops(peaks, arguments.rounds)
    yield ""
    yield from share_of_limits(arguments)


def machine_limits(rounds: int) -> Generator[str, None, dict[str, float]]:
    """Print peak rates and bandwidths; return the multiply-adds a nanosecond of one thread, by dtype."""
    isa, every, steps = instruction_set(), threads_by_default(), 1_000_000  # some ms
    big = np.ones(128 << 20, np.float32)
    work: dict[str, Callable[[int], Callable[[], object]]] = {
        f"multiply-adds, {dtype}, 1e9/s": partial(multiply_adds, isa, dtype, steps) for dtype in DTYPES
    }
    work |= {
        "stores, GB/s": lambda threads: partial(_core.fill, isa, threads, big, 1.0, False),
        "stores past the caches, GB/s": lambda threads: partial(_core.fill, isa, threads, big, 1.0, True),
        "loads, GB/s": lambda threads: partial(_core.total, isa, threads, big),
    }
    calls = {
        (name, threads): best(call(threads)) for name, call in work.items() for threads in dict.fromkeys((1, every))
    }
    calls["NumPy's fill, GB/s", 1] = best(partial(big.fill, 1.0))
    times = interleave({f"{name} {threads}": call for (name, threads), call in calls.items()}, rounds)

    def rate(name: str, threads: int) -> float:
        dtype = name.split(", ")[1]
        done = _core.multiply_adds(isa, threads, dtype == "float32", steps) if dtype in DTYPES else big.nbytes
        return 1e-9 * done / min(times.seconds[f"{name} {threads}"])

    yield f"| the machine, {isa} | 1 thread | {every} threads |"
    yield "|---|---|---|"
    for name in (*work, "NumPy's fill, GB/s"):
        cells = [f"{rate(name, threads):.1f}" if (name, threads) in calls else "" for threads in (1, every)]
        yield f"| {name} | {' | '.join(cells)} |"
    return {dtype: rate(f"multiply-adds, {dtype}, 1e9/s", 1) for dtype in DTYPES}


def best(call: Callable[[], object], seconds: float = 0.2) -> Run:
    """Make a contender of the fastest of the calls that fit into that time: others on the machine only slow it down."""

    def run() -> float:
        end, runs = time.perf_counter() + seconds, [clock(call)()]
        while time.perf_counter() < end:
            runs.append(clock(call)())
        return min(runs)

    return run


def multiply_adds(isa: str, dtype: str, steps: int, threads: int) -> Callable[[], object]:
    """Return so many steps of them on each thread."""
    return partial(_core.multiply_adds, isa, threads, dtype == "float32", steps)


def expansion(name: str, **parameters: Any) -> Activation:
    """Return an activation by an expansion, as float32 wants it."""
    return Activation(name, tolerance=1e-6, **parameters)


#: Of each op, the layers it comes of behind Dense; it is the last op of them.
DENSE = Dense(2**0.5, 0.1)
OPS: dict[str, tuple[Layer, ...]] = {
    "dense": (Activation("erf"), DENSE),
    "dense, no bias": (Activation("erf"), Dense(2**0.5)),
    "relu": (Activation("relu"),),
    "relu and dense": (Activation("relu"), DENSE),
    "relu and dense, no bias": (Activation("relu"), Dense(2**0.5)),
    "step": (Activation("step"),),
    "sign": (Activation("sign"),),
    "squared_relu": (Activation("squared_relu"),),
    "cubed relu": (Activation("rectified_monomial", degree=3),),
    "erf": (Activation("erf"),),
    "sin": (Activation("sin"),),
    "gaussian": (Activation("gaussian", b=-0.5),),
    "gelu": (Activation("gelu"),),
    "smoothed_relu": (Activation("smoothed_relu"),),
    "gabor": (Activation("gabor"),),
    "polynomial, degree 3": (Activation("polynomial", coefficients=(0.0, 1.0, 0.2, 0.1)),),
    "tanh": (expansion("tanh"),),
    "elu": (expansion("elu"),),
    "softsign": (expansion("softsign"),),
    "hard_tanh": (Activation("hard_tanh"),),
    "relu6": (Activation("relu6"),),
    "hard_swish": (Activation("hard_swish"),),
    "dropout": (Activation("relu"), fastntk.Dropout(0.1)),
}

STRIP = 192


def ops(peaks: dict[str, float], rounds: int) -> Iterator[str]:
    """Print what a pair costs of each op."""
    yield "| op on a strip in L1 | float32, ns a pair | equivalents | float64, ns a pair | equivalents |"
    yield "|---|---|---|---|---|"
    costs = {dtype: strip_costs(dtype, rounds) for dtype in DTYPES}
    for name in OPS:
        cells = [f"{costs[dtype][name]:.2f} | {costs[dtype][name] * peaks[dtype]:.0f}" for dtype in DTYPES]
        yield f"| {name} | {' | '.join(cells)} |"


def strip_costs(dtype: str, rounds: int) -> dict[str, float]:
    """Nanoseconds a pair of each op, least of the rounds; less the copy that each repetition begins with."""
    x = data(STRIP + 1, 64, "float64")
    norms = np.linalg.norm(x, axis=1)
    rho = x[1:] @ x[0] / (norms[1:] * norms[0])
    gap = np.where(rho >= 0, 1 - rho, -(1 + rho)).astype(dtype)
    found = {}
    for name, layers in OPS.items():
        program = (_core.ProgramFloat32 if dtype == "float32" else _core.ProgramFloat64)(
            instruction_set(), 1, norms, x.shape[1]
        )
        emit_network((DENSE, *layers), program)
        call = partial(_core.repeat_last_op, instruction_set(), program)
        seconds = clock(partial(call, True, 20, gap))()
        many = max(20, int(20 * 2e-3 / seconds))
        runs = [clock(partial(call, apply, many, gap)) for apply in (True, False)]
        whole, copies = (min(run() for _ in range(10 * rounds)) for run in runs)
        found[name] = 1e9 * (whole - copies) / (many * STRIP)
    return found


@dataclass(frozen=True)
class Case:
    """Seconds of one case, by what was run."""

    name: str
    times: Rounds

    @property
    def limit(self) -> float:
        """What nobody is faster than who computes every entry once and stores it twice."""
        return max(self.times.median("gemm") / 2, self.times.median("fill"))

    @property
    def parts(self) -> tuple[float, float, float]:
        """Product, layers, stores; together the time of the kernel."""
        total, product, stores = (self.times.median(name) for name in ("ntk", "product", "stores"))
        stores, product = min(stores, total), min(product, total)
        return max(product - stores, 0.0), total - max(product, stores), stores


def measure(dtype: str, d: int, rounds: int) -> Case:
    """Run one of the six cases."""
    n, isa, threads = ROWS, instruction_set(), threads_by_default()
    x, out, ones = data(n, d, dtype), np.zeros((n, n), dtype), np.ones(n)
    y = x[::-1].copy()
    calls: dict[str, Callable[[], object]] = {
        "gemm": partial(np.matmul, x, y.T, out=out),
        "fill": partial(out.fill, 1),
        "stores": partial(_core.fill, isa, threads, out.view(np.float32).ravel(), 1.0, True),
        "product": partial(_core.product, isa, threads, x, ones, None, ones, np.zeros(d), out),
        "ntk": partial(NET.ntk, x, out=out),
    }
    return Case(f"{dtype}, d = {d}", interleave({name: clock(call) for name, call in calls.items()}, rounds))


def share_of_limits(arguments: argparse.Namespace) -> Iterator[str]:
    """Print the six cases, and draw them."""
    cases = [measure(dtype, d, arguments.rounds) for dtype in DTYPES for d in FEATURES]
    yield "| case | GEMM, s | fill, s | limit, s | NTK, s | share of the limit | product, layers, stores, s |"
    yield "|---|---|---|---|---|---|---|"
    for case in cases:
        gemm, fill, ntk = (f"{case.times.median(name):.3f}" for name in ("gemm", "fill", "ntk"))
        parts = ", ".join(f"{part:.3f}" for part in case.parts)
        share = case.limit / case.times.median("ntk")
        yield f"| {case.name} | {gemm} | {fill} | {case.limit:.3f} | {ntk} | {share:.2f} | {parts} |"
    mean = math.exp(sum(math.log(case.limit / case.times.median("ntk")) for case in cases) / len(cases))
    yield ""
    yield f"Geometric mean of the shares: **{mean:.2f}**."
    if arguments.write:
        path = Path(__file__).with_name(f"roofline-{instruction_set()}.png")
        draw(cases, mean, path)
        yield ""
        yield f"![Time a pair of each case, beside its limit]({path.name})"


def draw(cases: list[Case], mean: float, path: Path) -> None:
    """Draw the time a pair of every case, stacked, beside its limit."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    pair = 1e9 / (ROWS * (ROWS + 1) / 2)
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    places, below = np.arange(len(cases)), np.zeros(len(cases))
    for part, (name, colour) in enumerate(zip(("product", "layers", "stores"), ("C0", "C1", "C2"), strict=True)):
        heights = np.array([case.parts[part] * pair for case in cases])
        axes.bar(places, heights, 0.6, below, label=name, color=colour)
        below += heights
    axes.hlines([case.limit * pair for case in cases], places - 0.4, places + 0.4, color="black", label="limit")
    for place, height, case in zip(places, below, cases, strict=True):
        share = f"{case.limit / case.times.median('ntk'):.2f}"
        axes.annotate(share, (place, height), (0, 2), textcoords="offset points", ha="center")
    axes.set_xticks(places, [case.name.replace(", ", "\n") for case in cases])
    axes.set_ylabel("ns a pair of samples")
    axes.set_title(f"NTK of 3 ReLU layers, {instruction_set()}: {mean:.2f} of the limit in the mean", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def processors_and_cores() -> tuple[int, int]:
    """Processors of this process, and cores they belong to, as the operating system says."""
    available = os.sched_getaffinity(0)
    files = (Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in available)
    return len(available), len({file.read_text() if file.exists() else file for file in files})


def threads(arguments: argparse.Namespace) -> Iterator[str]:
    """Seconds and speed-up with more threads: n = 4096, 3 hidden layers, NTK into existing memory, float32.

    More threads than processors take turns: that shows what waiting for each other costs, not what more cores give.
    """
    processors, cores = processors_and_cores()
    yield f"{processors} processors, {cores} cores; by default {threads_by_default()} threads."
    yield ""
    n = 4096
    out = np.zeros((n, n), np.float32)
    nets = {
        "relu, d = 64": (NET, data(n, 64, "float32")),
        "relu, d = 784": (NET, data(n, 784, "float32")),
        "tanh, d = 64": (fastntk.mlp(3, expansion("tanh"), 2**0.5, 0.1), data(n, 64, "float32")),
    }
    counts = sorted({2**k for k in range(processors.bit_length())} | {cores, processors, 2 * processors})

    def on(count: int, call: Callable[[], object]) -> None:
        with threadpool_limits(count):
            call()

    yield f"| threads | {' | '.join(f'{name}, s | speed-up' for name in nets)} |"
    yield "|---|" + "---|---|" * len(nets)
    times = {
        name: interleave(
            {str(count): clock(partial(on, count, partial(net.ntk, x, out=out))) for count in counts}, arguments.rounds
        )
        for name, (net, x) in nets.items()
    }
    for count in counts:
        kind = " (emulated)" if count > processors else " (hyper-threads)" if count > cores else ""
        cells = [f"{t.median(str(count)):.3f} | {show_ratio(t.ratio('1', str(count)))}" for t in times.values()]
        yield f"| {count}{kind} | {' | '.join(cells)} |"


def clustered(arguments: argparse.Namespace) -> Iterator[str]:
    """Rows that are nearly duplicates, over normal rows: n = 4096, NTK of 3 hidden ReLU layers, into existing memory.

    Each row is one of so many normal centres, and noise relative to it.
    """
    n, noises = 4096, (1e-3, 1e-5, 1e-7)
    yield f"| dtype | d | clusters | {' | '.join(f'noise {noise:g}' for noise in noises)} |"
    yield "|---|---|---|---|---|---|"
    for dtype in DTYPES:
        out = np.zeros((n, n), dtype)
        for d in (64, 784):
            x = data(n, d, "float64")
            for clusters in (1, 10, 100):
                centres = data(n + clusters, d, "float64")[n:][np.arange(n) % clusters]
                rows = {f"{noise:g}": (centres + noise * x).astype(dtype) for noise in noises} | {
                    "normal": x.astype(dtype)
                }
                calls = {name: clock(partial(NET.ntk, each, out=out)) for name, each in rows.items()}
                times = interleave(calls, arguments.rounds)
                ratios = [show_ratio(times.ratio(f"{noise:g}", "normal")) for noise in noises]
                yield f"| {dtype} | {d} | {clusters} | {' | '.join(ratios)} |"


SECTIONS = {**dict.fromkeys(CORE_TYPES, limits), "threads": threads, "clustered": clustered}


def use(isa: str) -> None:
    """Start this script anew with that instruction set, if it is not the one asked for."""
    if os.environ.get("FASTNTK_ISA") != isa:
        environment = {"FASTNTK_ISA": isa, "OPENBLAS_CORETYPE": CORE_TYPES[isa]}
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | environment)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in CORE_TYPES:
        use(sys.argv[1])
    run(
        "roofline", __doc__, SECTIONS,
        rounds={"type": int, "default": 3, "help": "how often each contender runs, 3 by itself"},
    )  # fmt: skip
