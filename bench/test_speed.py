"""pytest-benchmark cases: `pytest -n 0 bench --benchmark-autosave`, later `--benchmark-compare`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", [16, 64, 784])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_ntk(benchmark: Any, activation: str, d: int, dtype: str) -> None:
    """The NTK of 3 hidden layers, n = 4096, into existing memory."""
    n = 4096
    x = np.random.default_rng(0).normal(size=(n, d)).astype(dtype)
    out = np.zeros((n, n), dtype)
    net = fastntk.mlp(3, activation, 1.2, 0.1)
    benchmark(net.ntk, x, out=out)


@pytest.mark.parametrize("kind", ["nngp", "ntk", "kernels"])
def test_small(benchmark: Any, kind: str) -> None:
    """A call on ten samples: all overhead."""
    x = np.random.default_rng(0).normal(size=(10, 16))
    benchmark(getattr(fastntk.mlp(3, "relu", 1.2, 0.1), kind), x)


@pytest.mark.parametrize("d", [64, 784])
def test_gram(benchmark: Any, d: int) -> None:
    """NumPy's product alone, the yardstick."""
    n = 4096
    x = np.random.default_rng(0).normal(size=(n, d))
    out = np.zeros((n, n))
    benchmark(lambda: np.matmul(x, x.T, out=out))
