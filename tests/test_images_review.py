"""Blocks of symmetric kernels, windows that read nothing, and pixels next to nothing: where buffers and ranges end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.images import Positions, images, largest_errors, x_and_y

from fastntk import Activation, Conv, Dense, Flatten, GlobalAvgPool, LayerNorm, Sequential, reference
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


FAINT = [("float32", 1e-15), ("float32", 1e-20), ("float32", 1e-30), ("float64", 1e-140), ("float64", 1e-200)]


@pytest.mark.parametrize(("dtype", "size"), FAINT)
@pytest.mark.parametrize("head", [Flatten(), GlobalAvgPool()], ids=["Flatten", "GlobalAvgPool"])
@pytest.mark.parametrize("parts", [[Conv(1)], [Conv(3), "relu", Conv(3)], [Conv(3), LayerNorm(eps=0.1), "relu"]])
def test_pixels_next_to_nothing(dtype: str, size: float, head: Flatten | GlobalAvgPool, parts: list[Any]) -> None:
    """Of an image that has others: they count as black."""
    X = np.random.default_rng(2).standard_normal((4, 5, 5, 2))
    X[1, 0] = X[0, 0]
    black, X = np.where(np.arange(5)[:, None, None] < 2, 0, X), np.where(np.arange(5)[:, None, None] < 2, size * X, X)
    net = Sequential(*parts, head, Dense())
    truth = reference.kernels(net, black.astype(dtype).astype(np.float64))
    for kernel, found in zip(truth, net.kernels(X.astype(dtype)), strict=True):
        np.testing.assert_allclose(found, kernel, rtol=0, atol={"float32": 1e-6, "float64": 1e-13}[dtype])


@pytest.mark.parametrize(("dtype", "size"), [FAINT[1], FAINT[-1]])
@pytest.mark.parametrize("layer", [LayerNorm(), Activation("sign"), Activation("step")])
def test_where_pixels_next_to_nothing_count(dtype: str, size: float, layer: Any) -> None:
    """Of those the direction is lost."""
    X = np.random.default_rng(2).standard_normal((4, 5, 5, 2))
    X[:, :2] *= size
    with pytest.raises(ValueError, match="sample 0 of X"):
        Sequential(Conv(3), layer, Conv(1), Flatten()).nngp(X.astype(dtype))


def test_theta_of_faint_positions() -> None:
    """Where LayerNorm makes them as large as others: Theta as of pixels that are less faint."""
    X = np.random.default_rng(1).standard_normal((3, 5, 5, 2))
    net = Sequential(Conv(3), LayerNorm(), "relu", GlobalAvgPool(), Dense())
    scale = np.ones((5, 1, 1))
    for dtype, size in (("float32", 1e-14), ("float64", 1e-130)):
        scale[:2] = size
        near = np.where(scale < 1, 2.0**-30, 1.0)
        np.testing.assert_allclose(net.ntk((scale * X).astype(dtype)), net.ntk(near * X), rtol=1e-5)


@pytest.mark.parametrize("black", [slice(0, 20), slice(300, 400)])
def test_black_images_together(black: slice) -> None:
    """They are compiled by themselves, and look untouched by the layer before the first window."""
    untrained = Dense(2.0, sigma_b=0.0, trainable=False)
    net = Sequential(untrained, Conv(3), "relu", Flatten(), Dense())
    X = np.random.default_rng(0).random((400, 6, 6, 1))
    X[black] = 0
    bright = X.any(axis=(1, 2, 3))
    np.testing.assert_array_equal(net.ntk(X)[np.ix_(bright, bright)], net.ntk(X[bright]))
