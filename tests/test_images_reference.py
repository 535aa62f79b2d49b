"""The reference at positions, against loops over positions and taps, wide random networks, and what has to be equal."""

from __future__ import annotations

from itertools import product
from math import ceil, pi, prod, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.images import KINDS, PADDINGS, Positions, averages, images, random_network, random_positions
from tests.trees import kinds

import fastntk
from fastntk import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    LayerNorm,
    Reshape,
    Residual,
    Sequential,
    Sum,
    SumPool,
    reference,
)
from fastntk.layers.window import Padding

Float = NDArray[np.float64]
Field = dict[tuple[tuple[int, ...], tuple[int, ...]], float]
SHAPES: tuple[Positions, ...] = ((1,), (2,), (5,), (8,), (1, 3), (4, 5), (6, 3), (2, 3, 2))


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


def x_and_y(positions: Positions, channels: int = 3, seed: int = 0) -> tuple[Float, Float]:
    """Three images and two others."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, *positions, channels)), rng.standard_normal((2, *positions, channels))


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
        X, Y = x_and_y(positions)
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
        X, Y = x_and_y(positions, seed=1)
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
    positions, (X, Y) = (4, 3), x_and_y((4, 3))
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


@pytest.mark.parametrize("kind", KINDS)
def test_one_position_is_a_vector(kind: str) -> None:
    """A convolution of one tap is a Dense layer, and so is one of nine of which one or all are inside."""
    rng = np.random.default_rng(3)
    X = images(kind, rng, (1, 1), 5)
    at_positions = Sequential(
        *(Conv(1, sigma_w=1.2, sigma_b=0.3), "relu", Conv(3, sigma_w=2.7), LayerNorm("all", eps=0.1)),
        *(Residual("erf", Conv(3, padding="circular")), Dense(), "gelu", Conv(1), AvgPool(1), GlobalSumPool()),
    )
    vectors = Sequential(
        *(Dense(1.2, 0.3), "relu", Dense(0.9), LayerNorm(eps=0.1)),
        *(Residual("erf", Dense()), Dense(), "gelu", Dense(), Flatten()),
    )
    one = reference.kernels(at_positions, X)
    other = reference.kernels(vectors, X.reshape(len(X), 5))
    for found, truth in zip(one, other, strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("positions", SHAPES)
def test_flatten_is_a_dense_network_on_flattened_images(positions: Positions) -> None:
    """In the input, and where a layer takes every position with its own weights: one kernel as large as the image."""
    X, Y = x_and_y(positions)
    rows, columns = X.reshape(3, -1), Y.reshape(2, -1)
    behind: list[Any] = ["relu", Dense(0.9, parametrization="standard"), "erf", Dense()]
    plain = Sequential(Dense(1.3, 0.2, width=7), *behind)
    nets = [
        Sequential(Flatten(), Dense(1.3, 0.2, width=7), *behind),
        Sequential(Conv(positions, padding="valid", sigma_w=1.3, sigma_b=0.2, width=7), GlobalAvgPool(), *behind),
        Sequential(Conv(positions, padding="valid", sigma_w=1.3, sigma_b=0.2, width=7), *behind, Flatten()),
    ]
    for net in nets:
        for samples, vectors in (((X,), (rows,)), ((X, Y), (rows, columns))):
            for found, truth in zip(reference.kernels(net, *samples), reference.kernels(plain, *vectors), strict=True):
                np.testing.assert_allclose(found, truth, rtol=1e-13)
    reshaped = Sequential(Reshape(*positions, 3), Conv(3), "relu", Flatten())
    for data, image in ((rows, X), (X, X)):
        np.testing.assert_array_equal(reference.ntk(reshaped, data), reference.ntk(reshaped[1:], image))


def test_standard_parametrization_counts_taps_and_positions() -> None:
    """Theta' = N k^S K~ + 1 + sigma_w² Theta~ of a convolution; behind Flatten N is the units of all positions."""
    X, _ = x_and_y((4, 5))
    mean = reference.nngp(Sequential(Conv((2, 3)), Flatten()), X)
    net = Sequential(Conv((2, 3), sigma_w=0.7, parametrization="standard", bias=True), Flatten())
    np.testing.assert_allclose(reference.ntk(net, X), 3 * 6 * mean + 1, rtol=1e-13)
    wide = Sequential(Conv(2, sigma_w=1.1, width=8), "relu", Flatten())
    K, Theta = reference.kernels(wide, X)
    last = Sequential(wide, Dense(0.6, parametrization="standard"))
    np.testing.assert_allclose(reference.ntk(last, X), 8 * 20 * K + 0.36 * Theta, rtol=1e-13)


@pytest.mark.parametrize("seed", range(12))
def test_shifts_flips_and_turns(seed: int) -> None:
    """Circular nets do not see a shift of both images, global pools none of one; no net a flip where pads are even."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((3, 5, 5, 3))
    one, other = (int(i) for i in rng.integers(1, 5, 2))
    circular = Sequential(
        Conv(3, padding="circular", sigma_b=0.2), "relu", Conv(3, padding="circular", dilation=2), "gelu"
    )
    moved = np.roll(X, (one, other), (1, 2))
    for head in (Flatten(), AvgPool(3, 1, "circular"), GlobalAvgPool()):
        net = Sequential(circular, head, *([Flatten()] if isinstance(head, AvgPool) else []))
        for found, truth in zip(reference.kernels(net, moved), reference.kernels(net, X), strict=True):
            np.testing.assert_allclose(found, truth, rtol=1e-12)
    pooled = Sequential(circular, GlobalAvgPool())
    for found, truth in zip(reference.kernels(pooled, moved, X), reference.kernels(pooled, X, X.copy()), strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-6)  # of images with themselves half the digits
    padded = Sequential(
        Conv(3, sigma_b=0.2), "relu", AvgPool(3, 2, 1, normalize_edges=True), Conv(3), "relu", Flatten()
    )
    for turned in (X[:, ::-1], X[:, :, ::-1], X.swapaxes(1, 2)):
        for found, truth in zip(reference.kernels(padded, turned), reference.kernels(padded, X), strict=True):
            np.testing.assert_allclose(found, truth, rtol=1e-12)


def test_sequences_are_images_of_one_row() -> None:
    """With windows of one row."""
    X, _ = x_and_y((7,))
    one = Sequential(Conv(3, 2), "relu", AvgPool(2, 1), Conv(2), "relu", GlobalAvgPool())
    two = Sequential(Conv((1, 3), (1, 2)), "relu", AvgPool((1, 2), 1), Conv((1, 2)), "relu", GlobalAvgPool())
    for found, truth in zip(reference.kernels(two, X[:, None]), reference.kernels(one, X), strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-14)


def test_layer_norm_over_all_axes() -> None:
    """Divides by the mean of the variances of all positions; over channels by each of them."""
    X, Y = x_and_y((3, 2))
    first = Conv(2, sigma_w=1.3, sigma_b=0.2)

    def q(samples: Float) -> Float:
        return np.diag(reference.nngp(Sequential(first, Flatten()), samples))

    K, Theta = reference.kernels(Sequential(first, GlobalAvgPool()), X, Y)
    root = np.sqrt(np.outer(q(X) + 0.3, q(Y) + 0.3))
    found = reference.kernels(Sequential(first, LayerNorm("all", eps=0.3), GlobalAvgPool()), X, Y)
    np.testing.assert_allclose(found.nngp, K / root, rtol=1e-13)
    np.testing.assert_allclose(found.ntk, Theta / root, rtol=1e-13)
    each = reference.nngp(Sequential(first, LayerNorm(), Flatten()), X)
    np.testing.assert_allclose(np.diag(each), 1.0, rtol=1e-14)


def test_dropout_of_a_sample_with_itself_at_the_same_position() -> None:
    """Of each of P² pairs of positions only P are divided by 1 - p, and only without Y."""
    X, _ = x_and_y((4,))
    head = Conv(1), "relu", GlobalAvgPool()
    dropped = Sequential(*head[:2], Dropout(0.25), head[2])
    flat = np.diag(reference.nngp(Sequential(*head[:2], Flatten()), X))
    K = reference.nngp(Sequential(*head), X)
    np.testing.assert_allclose(reference.nngp(dropped, X), K + np.diag(flat / 4 / 3), rtol=1e-13)
    np.testing.assert_allclose(reference.nngp(dropped, X, X.copy()), K, rtol=1e-13)


def test_branches_at_positions() -> None:
    """Sums and concatenations of convolutions, by their parts; a shortcut with a stride."""
    X, Y = x_and_y((5, 4))
    main, short = Sequential(Conv(3, 2, sigma_b=0.2), "relu", Conv(3)), Sequential(Conv(1, 2, sigma_w=0.7))
    for head in (Flatten(), GlobalAvgPool()):
        (K1, T1), (K2, T2) = (reference.kernels(Sequential(part, head), X, Y) for part in (main, short))
        added = reference.kernels(Sequential(Residual(main, shortcut=short), head), X, Y)
        beside = reference.kernels(Sequential(Concat(main, short, fractions=[0.3, 0.7]), head), X, Y)
        for found, truth in zip(
            (*added, *beside), (K1 + K2, T1 + T2, 0.3 * K1 + 0.7 * K2, 0.3 * T1 + 0.7 * T2), strict=True
        ):
            np.testing.assert_allclose(found, truth, rtol=1e-13)
    with pytest.raises(ValueError, match="6 x 6 and 3 x 3 positions"):
        reference.nngp(Sequential(Sum(Conv(3), Conv(3, 2)), Flatten()), np.ones((1, 6, 6, 1)))


def test_variances_behind_a_pool_are_of_pairs_of_positions() -> None:
    """Of constant images as at one position; of checkered ones 0."""
    grid = np.indices((4, 4)).sum(axis=0) % 2
    X = np.array([np.ones((4, 4)), 1.0 - 2 * grid])[..., None]
    net = Sequential(Conv(1), AvgPool(2), "relu", Conv(1), GlobalAvgPool())
    K, _ = reference.kernels(net, X)
    np.testing.assert_allclose(K, [[0.5, 0.0], [0.0, 0.0]], atol=1e-15)


@pytest.mark.parametrize("activation", ["sign", "step", "relu", "erf"])
def test_black_positions_have_a_direction_of_their_own(activation: str) -> None:
    """As nearly black ones of one more channel."""
    X = images("black borders", np.random.default_rng(0), (5, 4), 2)
    X[1, 1:] = 0
    near = np.zeros((*X.shape[:-1], 6))  # so that 3 X has the kernel of X
    near[..., :2] = sqrt(3) * X
    near[..., 5] = 1e-30 * ~X.any(axis=-1)
    for layers in (
        (Conv(1), activation, Conv(3)),
        (Conv(3), activation, Conv(3)),
        (Conv(3), activation, Conv(2, 2), activation, AvgPool(2, 1), Dense()),
        (Conv(1), Residual("relu", Conv(3)), activation, Conv(3)),
    ):
        for head in (Flatten(), GlobalAvgPool()):
            net = Sequential(*layers, head)
            for found, limit in zip(reference.kernels(net, X), reference.kernels(net, near), strict=True):
                np.testing.assert_allclose(found, limit, rtol=1e-6, atol=1e-7)  # the reference at parallel patches


def test_quadrature_at_positions() -> None:
    """Gauss-Hermite rules for every activation and mean, against the closed forms."""
    X, _ = x_and_y((3,))
    net = Sequential(
        *(Conv(2, sigma_b=0.2), "gelu", LayerNorm(eps=0.1), AvgPool(2, 1), Conv(1), "erf"),
        *(Conv(2, 2), GlobalAvgPool(), Dense(), "gelu", Dense()),
    )
    for found, truth in zip(reference.kernels(net, X, method="quadrature"), reference.kernels(net, X), strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-8)


def test_samples_of_other_shapes() -> None:
    """X and Y alike, and as the layers take them."""
    net = Sequential(Conv(3), "relu", GlobalAvgPool())
    with pytest.raises(ValueError, match=r"X has samples of shape \(4, 4, 1\) but Y of \(4, 5, 1\)"):
        reference.nngp(net, np.ones((2, 4, 4, 1)), np.ones((2, 4, 5, 1)))
    with pytest.raises(ValueError, match=r"append fastntk\.Flatten"):
        reference.nngp(net[:2], np.ones((2, 4, 4, 1)))
    assert reference.nngp(net, np.ones((0, 4, 4, 1)), np.ones((3, 4, 4, 1))).shape == (0, 3)


def test_random_networks_have_everything() -> None:
    """Every layer, every closed form, both ends; positive semidefinite, symmetric, and a part of a larger kernel."""
    seen: dict[str, int] = {}
    ends = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        positions = random_positions(rng)
        net = random_network(rng, positions, 3)
        for name in kinds(net):
            seen[name] = seen.get(name, 0) + 1
        ends.add(averages(net))
        if seed >= 12:
            continue
        X, Y = x_and_y(positions)
        for kernel, other in zip(
            reference.kernels(net, X), reference.kernels(net, np.concatenate((X, Y))), strict=True
        ):
            np.testing.assert_allclose(kernel, other[:3, :3], rtol=0, atol=1e-13 * np.abs(other).max())
            np.testing.assert_allclose(other, other.T, rtol=0, atol=1e-13 * np.abs(other).max())
            assert np.linalg.eigvalsh(other)[0] >= -1e-9 * np.abs(other).max()
    assert ends == {True, False}
    assert seen.keys() == set(fastntk.layers.__all__) - {"Layer", "Reshape"}
    assert min(seen.values()) >= 5
