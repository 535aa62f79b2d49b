"""Pairs of images have the same bits however they come: of one set, of two, of parts of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Sequential

CONV = Conv((3, 3), sigma_w=1.4, sigma_b=0.3)

CLOSED = {
    "flatten": Sequential(CONV, "relu", CONV, "relu", Flatten(), Dense(1.4)),
    "global pool": Sequential(CONV, "leaky_relu", CONV, "abs", GlobalAvgPool(), Dense(1.4, 0.1)),
    "pools": Sequential(Conv((3, 3)), "relu", AvgPool((2, 2)), CONV, "relu", AvgPool((2, 2)), CONV, "relu", Flatten()),
    "pool at the end": Sequential(CONV, "relu", AvgPool((3, 3), stride=1), Flatten()),
}
NETS = CLOSED | {"tables": Sequential(CONV, "erf", CONV, "tanh", GlobalAvgPool())}

with_sizes = pytest.mark.parametrize("n", [2, 5, 16, 35])
with_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def images(n: int, dtype: type) -> NDArray[Any]:
    """Some with black rows."""
    x: NDArray[Any] = np.random.default_rng(n).standard_normal((n, 7, 6, 2)).astype(dtype)
    x[0, 2:5] = 0
    return x


@with_dtypes
@with_sizes
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_symmetric_as_rectangular(net: Sequential, n: int, dtype: type) -> None:
    """Above the diagonal, where the first of a pair is the same one."""
    x = images(n, dtype)
    for whole, of_two in zip(net.kernels(x), net.kernels(x, x.copy()), strict=True):
        np.testing.assert_array_equal(whole, whole.T)
        np.testing.assert_array_equal(whole[np.triu_indices(n, 1)], of_two[np.triu_indices(n, 1)])


@with_dtypes
@with_sizes
@pytest.mark.parametrize("net", CLOSED.values(), ids=CLOSED)
def test_whole_as_part(net: Sequential, n: int, dtype: type) -> None:
    """Tables of other activations are relative to the samples of a call."""
    x, half = images(n, dtype), n // 2
    above = np.triu(np.ones((half, n), bool), 1)
    for whole, part in zip(net.kernels(x), net.kernels(x[:half], x), strict=True):
        np.testing.assert_array_equal(whole[:half][above], part[above])
