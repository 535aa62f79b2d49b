"""Fixtures that several test files use."""

import os
from collections.abc import Callable, Iterator
from typing import Any

# Several processes run tests at once, of several threads each: what spins while it waits takes the time of others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fastntk import Activation, config
from fastntk.__main__ import main
from fastntk.reference import recursion
from fastntk.reference.forms import CLOSED_FORMS, Dual

# Figures are drawn without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# Generators of stored data: they need more than the test extra.
collect_ignore_glob = ["data/*"]


def pytest_xdist_auto_num_workers() -> int:
    """As many processes as a kernel has threads, up to eight: a container's quota and OMP_NUM_THREADS count.

    Each has two threads, or more where there are more processors, so that threads are tested too.
    """
    threads = int(str(config()["threads"]))
    if threads == 1:
        return 0
    processes = min(threads, 8)
    os.environ["OMP_NUM_THREADS"] = str(max(2, threads // processes))
    return processes


@pytest.fixture(scope="session", autouse=True)
def _blas_of_one_thread() -> Iterator[None]:
    """In each of several processes: OpenBLAS's threads spin, whatever they are told. Not in those that tests start."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    import scipy.linalg  # noqa: F401  # which has one of its own

    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for every test."""
    return np.random.default_rng(0)


@pytest.fixture
def duals_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reference take single activations without closed form from the engine: `test_duals` is about them."""
    plain = recursion._dual

    def dual(layer: Activation, rule: recursion.Rule) -> Dual:
        if layer.function is None and layer.name in CLOSED_FORMS:
            return plain(layer, rule)
        return lambda p: (layer.dual(p.c, p.q1, p.q2), layer.dual_derivative(p.c, p.q1, p.q2))

    monkeypatch.setattr(recursion, "_dual", dual)


@pytest.fixture
def leave(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], tuple[Any, str, str]]:
    """Run the command line up to where it exits: its code, and what it wrote to both streams."""

    def run(arguments: list[str]) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
        return exit_info.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def error_in_float32() -> Callable[[Any, Any], float | None]:
    """Largest error of both kernels against float64, relative to diagonals; None where they are refused."""

    def error(net: Any, x: Any) -> float | None:
        try:
            found = net.kernels(x)
        except ValueError as refused:
            assert "below the range of float32" in str(refused)  # noqa: PT017
            return None
        worst = []
        for kernel, truth in zip(found, net.kernels(x, dtype="float64"), strict=True):
            s = np.sqrt(np.diag(truth))
            worst.append(float((np.abs(kernel - truth) / np.outer(s, s)).max()))
        assert np.isfinite(worst).all()
        return max(worst)

    return error
