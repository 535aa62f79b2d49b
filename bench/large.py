"""Kernels that do not fit in memory: to disk, matrix-free, over landmarks, on a cluster.

python bench/large.py store --scratch FOLDER     # 10 GB to disk, then again, killed 20 times; needs 21 GB of disk
python bench/large.py images                     # the same of a convolutional kernel of the digits, a minute or two
python bench/large.py operator                   # products at n = 100,000
python bench/large.py million                    # regression on a million rows
python bench/large.py dask                       # two worker processes
python bench/large.py sizes                      # what n rows will take, here and on larger machines
python bench/large.py ... --write                # puts the table into docs/large.md
"""

from __future__ import annotations

import argparse
import filecmp
import functools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastntk
from fastntk.demo.data import load
from interleave import clock, interleave, show_ratio
from measured import gib, measured
from tables import LARGE, run

Array = NDArray[Any]

NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)
POOLED = fastntk.Sequential(fastntk.Reshape(8, 8, 1), fastntk.cnn(2, "relu", 2**0.5, 0.1, head="gap"))
STORED = {"vectors": (NET, None), "images": (POOLED, 50)}  # networks, and the side of their chunks
KILLS = 20


def nothing() -> None:
    """Take what the imports take."""


def write_store(samples: str, path: str, of: str) -> None:
    """Compute, or go on with, the NTK of the samples in a .npy file."""
    net, chunk = STORED[of]
    fastntk.store.compute(
        net, np.load(samples, mmap_mode="r"), path, chunk=chunk, max_memory="768 MiB", progress=lambda _: tell_begun()
    )


@functools.cache
def tell_begun() -> None:
    """Once: what is killed is work, however long it took to begin."""
    print("begun", flush=True)


def chunk_files(store: Path) -> dict[Path, int]:
    """Finished chunks and when they were written."""
    return {file: file.stat().st_mtime_ns for file in store.glob("c/*/*") if file.suffix != ".partial"}


def store(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of 50,000 Fashion-MNIST images to disk, float32: 10 GB; and again, killed 20 times (SIGKILL)."""
    data = load("fashion-mnist", arguments.data, 50_000, 1, np.float32).train
    yield from killed(data, "vectors", arguments.scratch)


def images(arguments: argparse.Namespace) -> Iterator[str]:
    """NTK of 600 digits under 2 convolutions and a global pool to disk, float32; and again, killed 20 times."""
    yield from killed(load("digits", None, 600, 1, np.float32).train, "images", arguments.scratch)


def killed(data: Array, of: str, scratch: str | None) -> Iterator[str]:
    """A store written at once, and one whose process is killed at 20 random moments: bit for bit the same."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        samples, whole, broken = str(folder / "X.npy"), folder / "whole.zarr", folder / "broken.zarr"
        np.save(samples, data)
        base = measured("large", "nothing").bytes
        once = measured("large", "write_store", samples, str(whole), of)
        yield "| | |"
        yield "|---|---|"
        rate = len(data) * (len(data) + 1) / 2 / once.seconds
        yield f"| time | {once.seconds:.0f} s, {show_rate(rate)} pairs per second |"
        yield f"| peak memory beyond imports and data ({gib(data.nbytes)}) | {gib(once.bytes - base - data.nbytes)} |"
        rng, again, found = random.Random(0), 0, []
        start = time.perf_counter()
        command = [sys.executable, __file__, "--worker", samples, str(broken), of]
        for _ in range(KILLS):
            before = chunk_files(broken)
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.05, 1.2 * once.seconds / KILLS))
            process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                raise SystemExit("it was done before it could be killed.")
            after = chunk_files(broken)
            again += sum(after.get(file) != written for file, written in before.items())
            found.append(len(after))
        last = measured("large", "write_store", samples, str(broken), of)
        again += sum(chunk_files(broken)[file] != written for file, written in after.items())
        files = [file.relative_to(whole) for file in sorted(chunk_files(whole))]
        _, different, missing = filecmp.cmpfiles(whole, broken, [str(file) for file in files], shallow=False)
        yield f"| chunks after each of {KILLS} kills, of {len(files)} | {', '.join(map(str, found))} |"
        yield f"| finished chunks that were written again | {again} |"
        yield f"| chunks that differ in the end | {len(different) + len(missing)} |"
        yield f"| time of all runs together | {time.perf_counter() - start:.0f} s, the last {last.seconds:.0f} s |"


def show_rate(rate: float) -> str:
    """In millions, or in thousands where there are few."""
    return f"{rate / 1e6:.0f} million" if rate >= 1e6 else f"{rate / 1e3:.0f} thousand"


def operator(arguments: argparse.Namespace) -> Iterator[str]:
    """Products with the NTK of 100,000 samples, float32, never stored, beside the kernel of 20,000.

    Pairs per second of the kernel over those of the product: 1 would be a product for nothing.
    """
    del arguments
    yield "| features | vectors | kernel, n = 20,000 | product, n = 100,000 | time per pair over the kernel's |"
    yield "|---|---|---|---|---|"
    for features in (20, 784):
        x = np.random.default_rng(0).normal(size=(100_000, features)).astype(np.float32)
        small = np.empty((20_000, 20_000), np.float32)
        whole = NET.ntk.operator(x)
        for vectors in (1, 10):
            v = np.ones((100_000, vectors))
            rounds = interleave(
                {
                    "kernel": clock(lambda: NET.ntk(x[:20_000], out=small, univariate=False)),  # noqa: B023
                    "product": clock(lambda: whole @ v),  # noqa: B023
                },
                3,
            )
            middle, low, high = (ratio / 25 for ratio in rounds.ratio("product", "kernel"))
            yield (
                f"| {features} | {vectors} | {rounds.median('kernel'):.2f} s | {rounds.median('product'):.2f} s | "
                f"{show_ratio((middle, low, high))} |"
            )


def teacher(rows: int, seed: int) -> tuple[Array, Array]:
    """Samples of 20 features, and the outputs of a random network of 64 tanh units, with noise of 0.1."""
    weights = np.random.default_rng(0)
    w, v = weights.normal(size=(20, 64)) / 20**0.5, weights.normal(size=64) / 64**0.5
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 20)).astype(np.float32)
    return x, np.tanh(2 * x @ w) @ v * 1.4 + 0.1 * rng.normal(size=rows)


def fit_million(rows: int, landmarks: int, max_memory: str) -> list[float]:
    """Explained variance of 100,000 new rows, of the noise-free part at most 0.99, and iterations."""
    x, y = teacher(rows, 1)
    model = fastntk.solvers.nystrom(
        NET, x, y, landmarks=landmarks, choice="uniform", ridge=0.1, max_memory=max_memory, rng=0
    )
    x_test, y_test = teacher(100_000, 2)
    return [1 - float(np.mean((model.predict(x_test) - y_test) ** 2) / y_test.var()), model.iterations]


def million(arguments: argparse.Namespace) -> Iterator[str]:
    """Regression on the NTK over uniform landmarks: a teacher network of 20 inputs, noise of standard deviation 0.1."""
    del arguments
    yield "| rows | landmarks | max_memory | time | peak memory | explained variance of 100,000 new rows | passes |"
    yield "|---|---|---|---|---|---|---|"
    for rows, landmarks, memory in (
        (100_000, 1000, "1 GiB"),
        (100_000, 4000, "1 GiB"),
        (1_000_000, 1000, "1 GiB"),
        (1_000_000, 4000, "1 GiB"),
        (1_000_000, 4000, "5 GiB"),
    ):
        (score, passes), seconds, peak = measured("large", "fit_million", rows, landmarks, memory)
        yield f"| {rows:,} | {landmarks:,} | {memory} | {seconds:.0f} s | {gib(peak)} | {score:.4f} | {passes:.0f} |"


def on_dask(arguments: argparse.Namespace) -> Iterator[str]:
    """Two worker processes of one thread each, beside one process of two threads: the same bits."""
    del arguments
    import dask.array as da
    from distributed import Client, LocalCluster

    import fastntk.dask as fd

    x, y = teacher(200_000, 1)
    options: dict[str, Any] = {"landmarks": 1000, "choice": "uniform", "ridge": 0.1, "rng": 0}
    start = time.perf_counter()
    kernel = NET.ntk(x[:10_000], univariate=False)
    kernel_done = time.perf_counter()
    model = fastntk.solvers.nystrom(NET, x, y, **options)
    done = time.perf_counter()
    yield "| | one process | Dask | entries that differ |"
    yield "|---|---|---|---|"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        lazy = da.from_array(x, chunks=(2500, 20))
        begin = time.perf_counter()
        theirs = fd.ntk(NET, lazy[:10_000]).compute()
        kernel_ended = time.perf_counter()
        fitted = fd.nystrom(NET, lazy, y, **options, persist=True)
        ended = time.perf_counter()
    for name, ours, dasks, differ in (
        ("NTK of 10,000 rows, 20 features, to the client", kernel_done - start, kernel_ended - begin, theirs != kernel),
        (
            "regression on 200,000 rows over 1,000 landmarks",
            done - kernel_done,
            ended - kernel_ended,
            fitted.coefficients != model.coefficients,
        ),
    ):
        yield f"| {name} | {ours:.1f} s | {dasks:.1f} s | {np.count_nonzero(differ)} |"


#: Machines: cores (None: as many as here), and memory in GB that a single factorisation can use.
MACHINES = {
    "this machine, {cores} cores, 24 GB": (None, 24),
    "64 cores, 512 GB": (64, 512),
    "Dask on 16 of those": (1024, 0),
}
PASSES = 50
LANDMARKS = 5000


def rates() -> dict[str, float]:
    """What this machine does in a second: pairs, multiply-adds of a Cholesky factor, bytes of a product."""
    x = np.random.default_rng(0).normal(size=(20_000, 100)).astype(np.float32)
    small = np.empty((20_000, 20_000), np.float32)
    v = np.ones((20_000, 10))
    whole = NET.ntk.operator(x)

    def exact() -> None:
        fastntk.solvers.cholesky(small, v, ridge=1e3, refine=0)

    seconds = {
        "pairs": min(clock(lambda: NET.ntk(x, out=small, univariate=False))() for _ in range(3)),
        "pairs of a product": min(clock(lambda: whole @ v)() for _ in range(3)),
        "multiply-adds": clock(exact)(),
    }
    n = len(x)
    work = {"pairs": n**2 / 2, "pairs of a product": n**2 / 2, "multiply-adds": n**3 / 6}
    return {name: work[name] / seconds[name] for name in seconds}


def sizes(arguments: argparse.Namespace) -> Iterator[str]:
    """Time that n rows of 100 features will take in float32, ten targets, by rates measured here at n = 20,000.

    Depth-3 ReLU NTK. Kernel: computed, in memory or to disk. Cholesky: factorised in place, where it fits into 9 tenths
    of memory. CG: 50 passes over a kernel that is never stored. Landmarks: 5,000 of them, 30 passes, and the
    preconditioner. On more cores the rates are multiplied by their number: perfect scaling is assumed, not measured,
    and neither disks nor networks are in it.
    """
    del arguments
    measured_rates = rates()
    here = os.cpu_count() or 1
    yield "| | n | kernel, float32 | kernel | Cholesky | CG, matrix-free | landmarks |"
    yield "|---|---|---|---|---|---|---|"
    for name, (cores, memory) in MACHINES.items():
        faster = (cores or here) / here
        for n in (10_000, 100_000, 1_000_000, 10_000_000):
            size = 4 * n**2
            pairs, product = measured_rates["pairs"] * faster, measured_rates["pairs of a product"] * faster
            factor = n**3 / 6 / (measured_rates["multiply-adds"] * faster)
            cells = [
                duration(n**2 / 2 / pairs),
                duration(factor + n**2 / 2 / pairs) if size < 0.9e9 * memory else "too large" if memory else "",
                duration(PASSES * n**2 / 2 / product),
                duration(30 * n * LANDMARKS / product + 8 * LANDMARKS**3 / (measured_rates["multiply-adds"] * faster)),
            ]
            title = name.format(cores=here) if n == 10_000 else ""
            yield f"| {title} | {n:,} | {decimal(size)} | {' | '.join(cells)} |"


def duration(seconds: float) -> str:
    """To two digits, in a unit that suits."""
    for unit, length in (("years", 3.156e7), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}" if seconds < 100 * length else f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.2g} s" if seconds >= 1 else "< 1 s"


def decimal(size: float) -> str:
    """Bytes in decimal units."""
    for unit, length in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if size >= length:
            return f"{size / length:.3g} {unit}"
    return f"{size / 1e6:.3g} MB"


SECTIONS = {"sizes": sizes, "store": store, "images": images, "operator": operator, "million": million, "dask": on_dask}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        write_store(*sys.argv[2:])
    else:
        run(
            "large", __doc__, SECTIONS, LARGE,
            data={"type": Path, "help": "folder with Fashion-MNIST's files"},
            scratch={"type": Path, "help": "of store: folder for 21 GB; of images, for 10 MB"},
        )  # fmt: skip
