"""The engine of nodes, on images that the engine of planes can do too, and where samples differ much in size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.images import KINDS, SMOOTH, errors, images, random_network, random_positions

from fastntk import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    LayerNorm,
    Product,
    SelfAttention,
    Sequences,
    Sequential,
    Sum,
    reference,
)
from fastntk.kernels.inputs import Input

#: Behind it all layers are those of nodes.
NODES = Sum(Sequential(AvgPool(1), Dense(trainable=False)))


def kernels_or_reason(net: Sequential, X: Any) -> tuple[Any, str]:
    """K and Theta, or why not."""
    try:
        return net.kernels(X), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("first", range(0, 90, 10))
def test_as_planes(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random networks, images of each kind, of one channel and of three, by both engines."""
    compared = 0
    for seed in range(first, first + 10):
        rng = np.random.default_rng(seed)
        positions, channels = random_positions(rng, 5), int(rng.choice([1, 1, 3]))
        net = random_network(rng, positions, channels, SMOOTH)
        for kind in KINDS:
            X = images(kind, rng, positions, channels)
            planes, reason = kernels_or_reason(net, X)
            assert not Input(X, "X", layers=net.layers).mixed
            with monkeypatch.context() as patch:
                patch.setattr(Conv, "mixes", True)
                assert Input(X, "X", layers=net.layers).mixed
                nodes, why = kernels_or_reason(net, X)
            # Nodes are refused for positions too that no window takes.
            assert "a LayerNorm divides" in why or "a layer divides" in why or bool(reason) == bool(why)
            if reason or why:
                continue
            compared += 1
            for found, truth, bound in zip(nodes, planes, (1e-12, 1e-7), strict=True):
                sizes = truth.diagonal() + 1e-150
                assert errors(found, truth, sizes, sizes).max() < bound, (seed, kind, net)
    assert compared > 40


@pytest.mark.parametrize("eps", [0.0, 0.3])
@pytest.mark.parametrize(
    "before",
    [SelfAttention(), NODES, Sequential(Conv(2, sigma_b=0.2), NODES), Sequential(NODES, Conv(1), "relu", Conv(2))],
)
def test_layer_norm_of_all_positions(before: Any, eps: float) -> None:
    """It is over the nodes of each sample."""
    X = np.random.default_rng(0).normal(size=(5, 4, 3, 2)) * np.geomspace(0.3, 2, 5)[:, None, None, None]
    X[2, 1] = 0
    all_over, channels = (
        Sequential(before, LayerNorm(axes, eps + 0.01), "relu", Conv(2), GlobalAvgPool())
        for axes in ("all", "channels")
    )
    expected = reference.kernels(all_over, X)
    np.testing.assert_allclose(all_over.nngp(X), expected.nngp, rtol=1e-12)
    np.testing.assert_allclose(all_over.ntk(X), expected.ntk, rtol=1e-12)
    np.testing.assert_allclose(all_over.nngp(X[:2], X[2:]), expected.nngp[:2, 2:], rtol=1e-12)
    assert abs(channels.nngp(X) / expected.nngp - 1).max() > 1e-3


def test_layer_norm_of_all_positions_of_nothing() -> None:
    """A sample that is 0 all over is named; what overflows is too."""
    X = np.ones((3, 4, 2))
    X[1, :3] = 0
    net = Sequential(SelfAttention(), LayerNorm("all"), GlobalAvgPool())
    assert np.isfinite(net.nngp(X)).all()
    X[2] = 0
    with pytest.raises(ValueError, match=r"^K\(x, x\) of sample 2 of X is 0 where a LayerNorm divides by it"):
        net.nngp(X)
    large = Sequential(Dense(1e70), SelfAttention(mechanism="identity"), LayerNorm("all"), GlobalAvgPool())
    with pytest.raises(ValueError, match=r"sample 0 of X .* beyond the range of float64"):
        large.nngp(np.ones((1, 4, 2)))


@pytest.mark.parametrize("size", [1.0, 10.0, 1e3, 1e10, 1e20])
@pytest.mark.parametrize(
    "net",
    [
        Sequential(SelfAttention(mechanism="identity"), "relu", GlobalAvgPool(), Dense()),
        Sequential(Dense(), NODES, "relu", Flatten(), Dense()),
        Sequential(NODES, AvgPool(2), Conv(2), "relu", NODES, Flatten()),
    ],
)
def test_samples_that_differ_in_size(net: Sequential, size: float) -> None:
    """The correlation of two is not that much less accurate."""
    first, second = np.random.default_rng(0).normal(size=(2, 1, 3, 2))
    X = np.concatenate([first, second * size, -first * size, first * size])
    expected = reference.kernels(net, X)
    for found, truth in zip(net.kernels(X), expected, strict=True):
        sizes = truth.diagonal()
        apart = errors(found, truth, sizes, sizes)
        assert apart[:2, :2].max() < 1e-14
        assert apart.max() < 1e-7  # the third and the fourth are the first, but for their size


def test_sequences_that_differ_in_size() -> None:
    """Through what makes the larger one larger still."""
    rng = np.random.default_rng(1)
    attention = SelfAttention(mechanism="identity")
    net = Sequential(attention, attention, "relu", GlobalAvgPool(), Dense())
    values = [rng.normal(size=(length, 2)) for length in (2, 3, 5)]
    X = Sequences([values[0], 30 * values[1], 1e4 * values[2]])
    np.testing.assert_allclose(net.nngp(X), reference.nngp(net, X), rtol=1e-12)


def test_products_of_features() -> None:
    """The features of samples have laws of their own, as the members of a Concat: they do not meet at random."""
    parted = Product(Identity(), Concat(Dense(1.0), Dense(2.0)))
    X = np.eye(2)
    for net in (
        Sequential(parted, Dense()),
        Sequential("relu", parted),
        Sequential(Sum(parted, Dense()), Dense()),
    ):
        with pytest.raises(ValueError, match="several laws side by side, as the features of samples are"):
            net.nngp(X)
    images = np.ones((2, 3, 2))
    with pytest.raises(ValueError, match="several laws side by side"):
        Sequential(parted, Conv(2), Flatten()).nngp(images)
    # Behind weights units are alike, and a single feature is.
    np.testing.assert_allclose(Sequential(Dense(), parted).nngp(X), 0.5 * X * 1.25, rtol=1e-15)
    assert Sequential(parted, Dense()).nngp(X[:, :1]).shape == (2, 2)
