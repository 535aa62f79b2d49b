"""Threads of Python that begin at once, with nothing computed yet, and share all that may be shared.

The core gives up the GIL while it computes, and Python without one has none: nothing may depend on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.activations import expansion, hermite
from fastntk.kernels import compilation

X = np.random.default_rng(0).normal(size=(40, 6))
IMAGES = np.random.default_rng(1).random((9, 5, 4, 2))
WORKERS, CALLS = 4, 3

TANH = fastntk.mlp(2, "tanh", 1.5, 0.1)
CNN = fastntk.cnn(2, "erf", 1.4, 0.1, head="gap")
V = np.random.default_rng(2).normal(size=40)

#: What is shared, and a call of it by the number of the call.
SHARED: dict[str, tuple[Callable[[], Any], Callable[[Any, int], Any]]] = {
    "a network": (lambda: TANH, lambda net, k: net.ntk((1 + k) * X)),
    "prepared rows": (lambda: TANH.ntk.prepare(X), lambda fixed, k: fixed(5.0**k * X[:7])),
    "an operator": (lambda: TANH.ntk.operator(X), lambda operator, k: operator @ (V + k)),
    "images": (lambda: CNN, lambda net, k: net.nngp(IMAGES[k:])),
    "prepared images": (lambda: CNN.ntk.prepare(IMAGES), lambda fixed, k: fixed(IMAGES[k : k + 4])),
    "an operator of images": (lambda: CNN.ntk.operator(IMAGES), lambda operator, k: operator @ V[k : k + 9]),
    "a dual": (lambda: fastntk.Activation("mish"), lambda act, k: act.dual(0.3, 1.0 + k, 1.0)),
    "a gradient": (lambda: TANH, lambda net, k: net.nngp.gradient(X[: 5 + k])),
    "a process": (
        lambda: fastntk.inference.GaussianProcess(TANH, X, V, noise=0.1),
        lambda process, k: process.predict(X[: 3 + k]).mean,
    ),
}


def forget() -> None:
    """All that is kept between calls."""
    compilation._recipes.clear()
    for module in (expansion, hermite):
        for kept in vars(module).values():
            if hasattr(kept, "cache_clear"):
                kept.cache_clear()


@pytest.fixture(autouse=True)
def _often() -> Iterator[None]:
    """Threads take turns all the time, where they take turns."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("name", SHARED)
def test_each_gets_its_own(name: str) -> None:
    """The bits that one thread gets alone."""
    make, call = SHARED[name]
    forget()
    shared = make()
    wanted = [call(shared, k) for k in range(CALLS)]
    forget()
    shared, begin = make(), Barrier(WORKERS)

    def work(number: int) -> list[Any]:
        begin.wait()
        order = [(number + k) % CALLS for k in range(CALLS)]
        found = {k: call(shared, k) for k in order}
        return [found[k] for k in range(CALLS)]

    with ThreadPoolExecutor(WORKERS) as pool:
        for found in pool.map(work, range(WORKERS)):
            for one, expected in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(one, expected)
