"""Blocks of symmetric kernels, windows that read nothing, and pixels next to nothing: where buffers and ranges end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.images import Positions, images, largest_errors, x_and_y

from fastntk import Conv, Dense, Flatten, GlobalAvgPool, Sequential
from fastntk.kernels.blocks import KernelMatrix


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(0, 5), slice(None)), (slice(None), slice(0, 5)), (slice(3, 9), slice(3, 30)), (slice(7, 8), slice(None))],
)
def test_blocks_of_a_symmetric_kernel(rows: slice, columns: slice) -> None:
    """That begin at the same sample, and are not square."""
    X = images("natural", np.random.default_rng(0), (4, 3), 2).repeat(8, axis=0)
    net = Sequential(Conv(3), "relu", Flatten(), Dense())
    whole = net.ntk(X)[rows, columns]
    out = np.full(whole.shape, np.nan)
    KernelMatrix(net.layers, X, None, "ntk", None).write((rows, columns), [out])
    np.testing.assert_array_equal(out, whole)


@pytest.mark.parametrize("positions", [(1, 3, 4), (2, 1, 4), (1, 1, 1)])
@pytest.mark.parametrize("rest", [["erf", GlobalAvgPool()], ["relu", Flatten()], [Flatten()]])
def test_an_axis_with_nothing_inside(positions: Positions, rest: list[Any]) -> None:
    """Every window is outside, and gives its bias."""
    X, Y = x_and_y(np.random.default_rng(2), positions)
    stride, padding = ((length == 1) * 2 + 1 for length in positions), (int(length == 1) for length in positions)
    net = Sequential(Conv(1, tuple(stride), tuple(padding), sigma_b=0.3), *rest, Dense())
    for dtype, found in largest_errors(net, X, 4 * Y).items():
        assert max(found) <= {"float64": 1e-13, "float32": 1e-6}[dtype]
