"""fastntk inside Python: threads, the GIL, Ctrl-C, progress, forks, imports, and what it says of itself."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import threadpoolctl

import fastntk

LIMIT = 60  # seconds, after which a subprocess counts as hanging
DATA = np.random.default_rng(0).normal(size=(700, 300))
NET = fastntk.mlp(depth=2, activation="relu", sigma_w=1.4, sigma_b=0.1)

#: Several seconds of work, with little memory, in subprocesses that are expected not to finish it.
LONG_JOB = """
    import os, signal, sys, threading, time
    import numpy as np
    import fastntk

    # A parent that runs in the background may have left it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    deep = fastntk.mlp(300, "relu", 1.4, 0.1)
    rows = np.random.default_rng(0).normal(size=(6000, 4))
    small = fastntk.mlp(1, "relu", 2**0.5)
    expected = small.ntk(np.eye(3))

    def usable():
        assert (small.ntk(np.eye(3)) == expected).all()
        assert small.ntk(rows[:2000]).shape == (2000, 2000)
"""


def start(code: str, **environment: str) -> subprocess.Popen[str]:
    """Python on `code`, of two threads unless told otherwise."""
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", textwrap.dedent(code)]
    variables = os.environ | {"OMP_NUM_THREADS": "2"} | environment
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Output and errors of what ends well and in time."""
    try:
        output, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it hangs: {process.communicate()}")
    assert process.returncode == 0, errors
    return output, errors


def some_kernels() -> bytes:
    """Bits that threads may not change: of one tile and many, square and not, of both precisions."""
    parts = []
    for n, d in ((5, 3), (50, 300), (300, 20), (700, 300)):
        for x in (DATA[:n, :d], DATA[:n, :d].astype(np.float32)):
            parts += [*NET.kernels(x), NET.ntk(x, x[: n // 3]), fastntk.mlp(1, "erf").ntk(x)]
    return b"".join(part.tobytes() for part in parts)


# Threads


def test_threads_do_not_change_bits() -> None:
    """One, two or three, as threadpoolctl says."""
    results = set()
    for count in (1, 2, 3):
        with threadpoolctl.threadpool_limits(limits=count, user_api="openmp"):
            assert fastntk.config()["threads"] == count
            results.add(some_kernels())
    assert len(results) == 1


def test_environment_sets_threads_and_instruction_set() -> None:
    """OMP_NUM_THREADS and FASTNTK_ISA; bits are the same for any number of threads."""
    code = """
        import hashlib, json, numpy, fastntk
        x = numpy.random.default_rng(0).normal(size=(500, 40))
        kernel = fastntk.mlp(3, "relu", 1.4, 0.1).ntk(x)
        print(json.dumps([fastntk.config(), hashlib.sha256(kernel.tobytes()).hexdigest()]))
    """
    hashes = set()
    for count in ("1", "2", "3"):
        config, digest = json.loads(finish(start(code, OMP_NUM_THREADS=count, FASTNTK_ISA="baseline"))[0])
        assert (config["threads"], config["instruction_set"]) == (int(count), "baseline")
        hashes.add(digest)
    assert len(hashes) == 1


def test_concurrent_calls() -> None:
    """Four Python threads at once, each with its own data, get what they would get alone."""
    blocks = [DATA[i : i + 150 + 40 * i, : 200 - 30 * i] for i in range(5)]
    alone = [[kernel.tobytes() for kernel in NET.kernels(block)] for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(6):
            together = list(pool.map(NET.kernels, blocks))
            assert [[kernel.tobytes() for kernel in kernels] for kernels in together] == alone


def test_gil_is_released() -> None:
    """Another thread runs on while a kernel is computed."""
    deep = fastntk.mlp(60, "relu", 1.4, 0.1)
    started = threading.Event()

    def work() -> None:
        started.set()
        deep.ntk(DATA[:, :4].repeat(2, axis=0))

    thread = threading.Thread(target=work)
    ticks = 0
    thread.start()
    started.wait()
    while thread.is_alive():
        time.sleep(0.001)
        ticks += 1
    assert ticks > 10


# Ctrl-C and progress


def test_ctrl_c() -> None:
    """KeyboardInterrupt at once, and all is well afterwards."""
    code = f"""{LONG_JOB}
    def press():
        press.at = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    for kernel in (deep.ntk, deep.nngp, deep.kernels, lambda x: deep.ntk(x, x)):
        threading.Timer(0.3, press).start()
        try:
            kernel(rows)
            print("finished")
        except KeyboardInterrupt:
            print(time.perf_counter() - press.at)
        usable()
    """
    output, _ = finish(start(code))
    assert "finished" not in output
    waits = [float(line) for line in output.split()]
    assert len(waits) == 4
    assert max(waits) < 1.5


def test_ctrl_c_in_a_very_deep_network() -> None:
    """Neither the compilation of a network nor one tile of it is too long to be interrupted."""
    code = f"""{LONG_JOB}
    deeper = fastntk.mlp(20_000, sigma_w=2**0.5)
    x = rows[:900].copy()

    def press(_):
        if not press.at:
            press.at = time.perf_counter()
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()

    press.at = 0.0
    try:
        deeper.ntk(x, progress=press)
        print("finished")
    except KeyboardInterrupt:
        print(time.perf_counter() - press.at)
    usable()
    """
    output, _ = finish(start(code))
    assert float(output) < 1.5


def test_ctrl_c_within_a_pair_of_large_graphs() -> None:
    """While a graph is looked at by itself, and in its only tile: both multiply by its million edges, for seconds."""
    code = f"""{LONG_JOB}
    n = 2000
    half = np.triu(np.random.default_rng(0).random((n, n)) < 0.25, 1)
    graph = fastntk.Graphs([np.ones((n, 1))], [half | half.T])
    net = fastntk.Sequential(fastntk.Dense(), "relu", fastntk.Aggregate("mean"), fastntk.GlobalSumPool())

    def press():
        press.at = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    def in_its_tile(_):
        if not in_its_tile.begun:
            in_its_tile.begun = True
            threading.Timer(0.2, press).start()

    in_its_tile.begun = False
    threading.Timer(0.5, press).start()
    for progress in (False, in_its_tile):
        try:
            net.ntk(graph, progress=progress)
            print("finished")
        except KeyboardInterrupt:
            print(time.perf_counter() - press.at)
    assert in_its_tile.begun
    usable()
    """
    output, _ = finish(start(code))
    assert "finished" not in output
    waits = [float(line) for line in output.split()]
    assert len(waits) == 2
    assert max(waits) < 1.5


def test_ctrl_c_under_a_progress_bar() -> None:
    """From outside, as a terminal sends it; the bar does not claim to have finished."""
    code = f"""{LONG_JOB}
    try:
        deep.ntk(rows, progress=True)
        print("finished")
    except KeyboardInterrupt:
        usable()
        print("interrupted")
    """
    process = start(code)
    assert process.stderr is not None
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    seen = ""
    while seen.count("kernel") < 2 and (character := process.stderr.read(1)):  # it is there, and goes on
        seen += character
    process.send_signal(signal.SIGINT)
    output, errors = finish(process)
    watchdog.cancel()
    assert output.strip() == "interrupted"
    assert "Traceback" not in errors
    assert "100%" not in errors


def test_progress_is_called_with_the_fraction_done() -> None:
    """Never less than before, never more than 1, also where half the work is on the diagonal."""
    calls: list[float] = []
    deep = fastntk.mlp(3000, "relu", 1.4, 0.1)
    x = DATA[:200, :4].copy()
    with threadpoolctl.threadpool_limits(limits=1, user_api="openmp"):
        kernel = deep.ntk(x, progress=calls.append)
        assert np.array_equal(kernel, deep.ntk(x))
    assert len(calls) > 1
    assert calls == sorted(calls)
    assert calls[0] >= 0
    assert calls[-1] <= 1


class Stop(Exception):  # noqa: N818
    """Not an error of anybody else."""


def test_exception_in_progress_propagates() -> None:
    """From the main thread and from others; and all is well afterwards."""
    deep = fastntk.mlp(3000, "relu", 1.4, 0.1)
    x, expected = DATA[:300, :4].copy(), NET.ntk(DATA)

    def refuse(_: float) -> None:
        raise Stop("enough")

    def call() -> None:
        with pytest.raises(Stop, match="enough"):
            deep.ntk(x, progress=refuse)

    call()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: call(), range(2)))
    assert np.array_equal(NET.ntk(DATA), expected)


def test_progress_may_be_a_numpy_bool() -> None:
    """np.True_ is True, in short calls and in long ones."""
    deep = fastntk.mlp(3000, "relu", 1.4, 0.1)
    shown: Any = np.True_
    x = DATA[:200, :4].copy()
    assert np.isfinite(deep.ntk(x, progress=shown)).all()


def test_progress_callable_may_compute() -> None:
    """A call inside a call."""
    deep = fastntk.mlp(3000, "relu", 1.4, 0.1)
    inner: list[bytes] = []
    deep.ntk(DATA[:200, :4], progress=lambda _: inner.append(NET.ntk(DATA[:50]).tobytes()))
    assert inner
    assert set(inner) == {NET.ntk(DATA[:50]).tobytes()}


# Forks

FORK = """
    import multiprocessing, os, sys, time, warnings
    import numpy as np
    import fastntk

    warnings.simplefilter("ignore", DeprecationWarning)  # Python >= 3.12: fork of a process with threads
    x = np.random.default_rng(0).normal(size=(400, 50))
    net = fastntk.mlp(3, "relu", 1.4, 0.1)

    def bits(_=0):
        return net.ntk(x).tobytes()

    expected = bits()
    assert fastntk.config()["threads"] == 2
"""


def test_fork() -> None:
    """A child of a process that has used OpenMP computes the same bits, alone; its own child too."""
    code = f"""{FORK}
    child = os.fork()
    if child == 0:
        good = bits() == expected and fastntk.config()["threads"] == 1
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(not bits() == expected)
        os._exit(not (good and os.waitpid(grandchild, 0)[1] == 0))
    deadline = time.monotonic() + {LIMIT / 3}
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            sys.exit("the child hangs")
        time.sleep(0.01)
    assert ended[1] == 0, ended
    assert bits() == expected and fastntk.config()["threads"] == 2
    """
    finish(start(code))


def test_multiprocessing() -> None:
    """A pool of forked workers, also while other threads of the parent are computing."""
    code = f"""{FORK}
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(fastntk.mlp(100, "relu", 1.4, 0.1).ntk, x)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            results = pool.map_async(bits, range(4)).get({LIMIT / 3})
        running.result()
    assert set(results) == {{expected}}
    """
    finish(start(code))


# What it says of itself


def test_config() -> None:
    """Everything a bug report needs."""
    config: dict[str, Any] = fastntk.config()
    types = {key: type(value) for key, value in config.items()}
    texts = dict.fromkeys(("version", "numpy", "python", "compiler", "instruction_set"), str)
    assert types == {**texts, "supported": list, "threads": int}
    assert config["instruction_set"] in config["supported"]
    assert config["supported"][0] == "baseline"
    assert config["numpy"] == np.__version__
    assert config["python"] == sys.version.split()[0]
    assert config["threads"] >= 1
    json.dumps(config)


def test_version() -> None:
    """One, of the package, the core and the installation."""
    assert fastntk.__version__ == fastntk.config()["version"] == importlib.metadata.version("fastntk")


def test_import_is_light() -> None:
    """Importing and computing needs NumPy alone; SciPy and tqdm are imported where they are used."""
    code = """
        import sys
        import fastntk
        fastntk.mlp(2, "relu").ntk([[1.0, 2.0]]), fastntk.mlp(2, "erf").ntk([[1.0, 2.0]]), fastntk.config()
        late = ("scipy", "sklearn", "matplotlib", "tqdm", "pandas", "fastntk.inference", "fastntk.reference")
        print([name for name in late if name in sys.modules])
    """
    output, errors = finish(start(code))
    assert (output.strip(), errors) == ("[]", "")
