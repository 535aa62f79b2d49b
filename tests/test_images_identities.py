"""The reference at positions: what has to be equal, by symmetry or in a limit."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.images import (
    KINDS,
    SHAPES,
    Positions,
    averages,
    images,
    random_network,
    random_positions,
    three_and_two,
)
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
    reference,
)

Float = NDArray[np.float64]


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
    X, Y = three_and_two(positions)
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
    X, _ = three_and_two((4, 5))
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
    X, _ = three_and_two((7,))
    one = Sequential(Conv(3, 2), "relu", AvgPool(2, 1), Conv(2), "relu", GlobalAvgPool())
    two = Sequential(Conv((1, 3), (1, 2)), "relu", AvgPool((1, 2), 1), Conv((1, 2)), "relu", GlobalAvgPool())
    for found, truth in zip(reference.kernels(two, X[:, None]), reference.kernels(one, X), strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-14)


def test_layer_norm_over_all_axes() -> None:
    """Divides by the mean of the variances of all positions; over channels by each of them."""
    X, Y = three_and_two((3, 2))
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
    X, _ = three_and_two((4,))
    head = Conv(1), "relu", GlobalAvgPool()
    dropped = Sequential(*head[:2], Dropout(0.25), head[2])
    flat = np.diag(reference.nngp(Sequential(*head[:2], Flatten()), X))
    K = reference.nngp(Sequential(*head), X)
    np.testing.assert_allclose(reference.nngp(dropped, X), K + np.diag(flat / 4 / 3), rtol=1e-13)
    np.testing.assert_allclose(reference.nngp(dropped, X, X.copy()), K, rtol=1e-13)


def test_branches_at_positions() -> None:
    """Sums and concatenations of convolutions, by their parts; a shortcut with a stride."""
    X, Y = three_and_two((5, 4))
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
    X, _ = three_and_two((3,))
    net = Sequential(
        *(Conv(2, sigma_b=0.2), "gelu", LayerNorm(eps=0.1), AvgPool(2, 1), Conv(1), "erf"),
        *(Conv(2, 2), GlobalAvgPool(), Dense(), "gelu", Dense()),
    )
    for found, truth in zip(reference.kernels(net, X, method="quadrature"), reference.kernels(net, X), strict=True):
        np.testing.assert_allclose(found, truth, rtol=1e-8)


def test_samples_of_other_shapes() -> None:
    """X and Y alike, and as the layers take them."""
    net = Sequential(Conv(3), "relu", GlobalAvgPool())
    with pytest.raises(ValueError, match=r"X has samples of shape \(4, 4, 1\) but Y of shape \(4, 5, 1\)"):
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
        X, Y = three_and_two(positions)
        for kernel, other in zip(
            reference.kernels(net, X), reference.kernels(net, np.concatenate((X, Y))), strict=True
        ):
            np.testing.assert_allclose(kernel, other[:3, :3], rtol=0, atol=1e-13 * np.abs(other).max())
            np.testing.assert_allclose(other, other.T, rtol=0, atol=1e-13 * np.abs(other).max())
            assert np.linalg.eigvalsh(other)[0] >= -1e-9 * np.abs(other).max()
    assert ends == {True, False}
    assert seen.keys() == set(fastntk.layers.__all__) - {
        *("Layer", "Reshape", "Scale"),
        *("Aggregate", "Recurrent", "SelfAttention"),  # of `test_mixing`
    }
    assert min(seen.values()) >= 5
