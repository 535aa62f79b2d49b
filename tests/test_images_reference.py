"""The reference at positions, against loops over positions and taps, and wide random networks."""

from __future__ import annotations

from itertools import product
from math import ceil, pi, prod, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.images import (
    PADDINGS,
    SHAPES,
    Positions,
    three_and_two,
)

from fastntk import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Sequential,
    SumPool,
    reference,
)
from fastntk.layers.window import Padding

Float = NDArray[np.float64]
Field = dict[tuple[tuple[int, ...], tuple[int, ...]], float]


def taps(length: int, size: int, stride: int, dilation: int, padding: Padding) -> list[list[int | None]]:
    """Positions along an axis that each output position takes; None outside. By the words of the documentation."""
    span = dilation * (size - 1) + 1
    if isinstance(padding, int):
        low, high = padding, padding
    elif padding == "valid":
        low = high = 0
    else:
        total = max((ceil(length / stride) - 1) * stride + span - length, 0)
        low, high = total // 2, total - total // 2
    if padding == "circular":
        padded: list[int | None] = [i % length for i in range(-low, length + high)]
    else:
        padded = [i if 0 <= i < length else None for i in range(-low, length + high)]
    return [padded[first : first + span : dilation] for first in range(0, len(padded) - span + 1, stride)]


def windows(positions: Positions, *window: Any) -> dict[tuple[int, ...], list[tuple[int, ...] | None]]:
    """Of every output position the input positions of all taps, None outside."""
    along = [taps(length, *window) for length in positions]
    return {
        P: [None if None in tap else tap for tap in product(*[axis[i] for axis, i in zip(along, P, strict=True)])]  # type: ignore[misc]
        for P in product(*[range(len(axis)) for axis in along])
    }


def inner(x: Float, y: Float) -> Field:
    """K of two samples at all pairs of positions."""
    at = list(np.ndindex(x.shape[:-1]))
    return {(p, r): sum(a * b for a, b in zip(x[p], y[r], strict=True)) / x.shape[-1] for p in at for r in at}


def convolved(K: Field, window: dict[tuple[int, ...], list[Any]]) -> Field:
    """Mean over the taps that are inside at both positions."""
    count = len(next(iter(window.values())))
    return {
        (P, R): sum(K[p, r] for p, r in zip(window[P], window[R], strict=True) if p and r) / count
        for P in window
        for R in window
    }


def pooled(K: Field, window: dict[tuple[int, ...], list[Any]], divide: str) -> Field:
    """Sum over all pairs of positions of two windows: alone, or by how many there are, or are inside."""
    inside = {P: [p for p in sources if p] for P, sources in window.items()}
    count = {P: {"": 1, "size": len(window[P]), "inside": max(len(inside[P]), 1)}[divide] for P in window}
    return {
        (P, R): sum(K[p, r] for p in inside[P] for r in inside[R]) / (count[P] * count[R])
        for P in window
        for R in window
    }


def relu(K: float, q1: float, q2: float) -> tuple[float, float]:
    """The arc-cosine kernels of degrees 1 and 0."""
    if q1 * q2 == 0:
        return 0.0, 0.5
    theta = np.arccos(min(max(K / sqrt(q1 * q2), -1.0), 1.0))
    return sqrt(q1 * q2) * (np.sin(theta) + (pi - theta) * np.cos(theta)) / (2 * pi), (pi - theta) / (2 * pi)


def flattened(K: Field) -> float:
    """Mean over pairs of the same position."""
    own = [value for (p, r), value in K.items() if p == r]
    return sum(own) / len(own)


def whole(K: Field) -> float:
    """Mean over all pairs."""
    return sum(K.values()) / len(K)


def fits(positions: Positions, size: int, dilation: int, padding: Padding) -> bool:
    """Whether there is a window at all."""
    more = 2 * padding if isinstance(padding, int) else 0
    return padding in ("same", "circular") or min(positions) + more >= dilation * (size - 1) + 1


WINDOWS = [
    (positions, size, stride, padding)
    for positions, size, stride, padding in product(SHAPES, range(1, 6), (1, 2, 3), PADDINGS)
    if prod(positions) < 10 or (size + stride) % 3 == 0  # some of the larger ones
]


@pytest.mark.parametrize("padding", PADDINGS)
def test_convolutions_tap_by_tap(padding: Padding) -> None:
    """Two sizes, strides and dilations, summed over one position, over all, and with a bias."""
    for positions, size, stride, _ in [case for case in WINDOWS if case[3] == padding]:
        dilation = 2 if size == 2 else 1
        if not fits(positions, size, dilation, padding):
            continue
        X, Y = three_and_two(positions)
        window = windows(positions, size, stride, dilation, padding)
        layer = Conv(size, stride, padding, dilation=dilation, sigma_w=1.3, sigma_b=0.4)
        for head, end in ((Flatten(), flattened), (GlobalAvgPool(), whole)):
            K, Theta = reference.kernels(Sequential(layer, head), X, Y)
            truth = [[0.16 + 1.69 * end(convolved(inner(x, y), window)) for y in Y] for x in X]
            np.testing.assert_allclose(K, truth, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(Theta, truth, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("padding", PADDINGS)
def test_pools_pair_by_pair(padding: Padding) -> None:
    """Sums, averages, and averages over what is inside."""
    for positions, size, stride, _ in [case for case in WINDOWS if case[3] == padding and case[1] <= 3]:
        if not fits(positions, size, 1, padding):
            continue
        X, Y = three_and_two(positions, seed=1)
        window = windows(positions, size, stride, 1, padding)
        for layer, divide in (
            (AvgPool(size, stride, padding), "size"),
            (AvgPool(size, stride, padding, normalize_edges=True), "inside"),
            (SumPool(size, stride, padding), ""),
        ):
            K = reference.nngp(Sequential(Dense(), layer, Flatten()), X, Y)
            truth = [[flattened(pooled(inner(x, y), window, divide)) for y in Y] for x in X]
            np.testing.assert_allclose(K, truth, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid", "circular", 1])
def test_a_network_by_loops(padding: Padding, stride: int) -> None:
    """Two convolutions with ReLU, a pool, another convolution: every formula once more, with dictionaries."""
    positions, (X, Y) = (4, 3), three_and_two((4, 3))
    first = windows(positions, 2, 1, 1, padding)
    shape = tuple(max(P[axis] for P in first) + 1 for axis in range(2))
    second = windows(shape, 2, stride, 1, "same")
    shape = tuple(max(P[axis] for P in second) + 1 for axis in range(2))
    pool = windows(shape, 2, 1, 1, "same")
    net = Sequential(
        *(Conv(2, padding=padding, sigma_w=1.2, sigma_b=0.3), "relu", Conv(2, stride, sigma_w=1.4), "relu"),
        *(AvgPool(2, 1, "same"), Conv(1, sigma_b=0.1, trainable=False), GlobalAvgPool()),
    )

    def variances(x: Float) -> list[dict[Any, float]]:
        K = convolved(inner(x, x), first)
        K = {key: 0.09 + 1.44 * k for key, k in K.items()}
        own1 = {p: K[p, p] for p in first}
        F = {(p, r): relu(k, own1[p], own1[r])[0] for (p, r), k in K.items()}
        return [own1, {P: 1.96 * convolved(F, second)[P, P] for P in second}]

    def both(x: Float, y: Float) -> tuple[float, float]:
        own, other = variances(x), variances(y)
        K = {key: 0.09 + 1.44 * k for key, k in convolved(inner(x, y), first).items()}
        Theta = dict(K)
        duals = {(p, r): relu(k, own[0][p], other[0][r]) for (p, r), k in K.items()}
        Theta = convolved({key: duals[key][1] * t for key, t in Theta.items()}, second)
        K = {key: 1.96 * k for key, k in convolved({key: d[0] for key, d in duals.items()}, second).items()}
        Theta = {key: K[key] + 1.96 * t for key, t in Theta.items()}
        duals = {(p, r): relu(k, own[1][p], other[1][r]) for (p, r), k in K.items()}
        Theta = pooled({key: duals[key][1] * t for key, t in Theta.items()}, pool, "size")
        K = pooled({key: d[0] for key, d in duals.items()}, pool, "size")
        return 0.01 + whole(K), whole(Theta)

    for columns, found in ((Y, reference.kernels(net, X, Y)), (X, reference.kernels(net, X))):
        truth = np.array([[both(x, y) for y in columns] for x in X])
        np.testing.assert_allclose(found.nngp, truth[..., 0], rtol=1e-7)  # the arc cosine of near 1
        np.testing.assert_allclose(found.ntk, truth[..., 1], rtol=1e-7)


def test_wide_random_networks() -> None:
    """K by the mean of products of units of random filters, within five standard errors."""
    rng = np.random.default_rng(7)
    X = rng.standard_normal((2, 5, 3))
    net = Sequential(Conv(3, 2, sigma_w=1.3, sigma_b=0.2), "relu", GlobalAvgPool())
    K = reference.nngp(net, X)
    draws, window = 200_000, windows((5,), 3, 2, 1, "same")
    w, b = rng.standard_normal((draws, 3, 3)), rng.standard_normal(draws)
    units = np.zeros((2, draws))
    for sources in window.values():
        inside = [(o, p) for o, p in enumerate(sources) if p]
        z = sum(w[:, o] @ X[:, p[0]].T for o, p in inside) * 1.3 / sqrt(9) + 0.2 * b[:, None]
        units += np.maximum(z, 0).T / len(window)
    products = units[:, None] * units[None, :]
    deviation = products.std(axis=2) / sqrt(draws)
    assert (np.abs(products.mean(axis=2) - K) <= 5 * deviation).all()
