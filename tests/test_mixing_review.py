"""The engine of nodes where samples differ: in sign, in precision, in size, and where nothing is left of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import (
    Aggregate,
    Dense,
    GlobalAvgPool,
    GlobalSumPool,
    Graphs,
    LayerNorm,
    Recurrent,
    SelfAttention,
    Sequences,
    Sequential,
    reference,
)
from fastntk.kernels import mixed

READ = (GlobalAvgPool(), Dense(1.0, 0.1))

IDENTITY = {
    "by products": SelfAttention(mechanism="identity"),
    "by root": SelfAttention(1, 1, 1, 1, 0, "identity", "sqrt"),
}


def graphs(sizes: list[int], sign: float, seed: int = 0) -> Graphs:
    """Random ones, whose edges have weights of both signs, or of one."""
    rng = np.random.default_rng(seed)
    edges = [np.triu(rng.uniform(min(sign, 0.0), 1.0, (size, size)), 1) for size in sizes]
    return Graphs([rng.normal(size=(size, 3)) for size in sizes], [half + half.T for half in edges])


def sequences(lengths: list[int], scale: float = 1.0) -> Sequences:
    """Random ones."""
    rng = np.random.default_rng(1)
    return Sequences([scale * rng.normal(size=(length, 3)) for length in lengths])


@pytest.mark.parametrize("deeper", [(), (Dense(), "relu", Dense(), Aggregate())])
def test_signs_of_edges(deeper: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Some samples have weights below 0, and others none: their kernels may be below 0, whichever come first."""
    net = Sequential(Dense(), "relu", Aggregate(), *deeper, GlobalSumPool())
    X, Y = graphs([4, 3, 5], 1.0), graphs([4, 2], -3.0, seed=1)
    monkeypatch.setattr(mixed, "_NODES", 4)
    for left, right in ((X, Y), (Y, X), (X.followed_by(Y), None)):
        found, expected = net.kernels(left, right), reference.kernels(net, left, right)
        np.testing.assert_allclose(found.nngp, expected[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.ntk, expected[1], rtol=1e-12, atol=1e-12)
    assert net.nngp(X, Y).min() < 0


@pytest.mark.parametrize("kept", [0, 2**22])
def test_mixed_input(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """What mixes nodes before any activation mixes rows: in blocks, with nodes that cancel, and of much in common."""
    monkeypatch.setattr(mixed, "_NODES", 4)
    monkeypatch.setattr(mixed, "_KEPT", kept)
    apart, alike = graphs([4, 3, 5, 1], 1.0), graphs([4, 2], 1.0, seed=1)
    opposite = np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [0.5, 0.0, 1.0]])
    cancels = Graphs([opposite], [np.ones((3, 3)) - np.eye(3)])
    near = Graphs([100 + 1e-3 * alike[i].values for i in range(2)], [alike[i].adjacency for i in range(2)])
    for tail in ((GlobalSumPool(),), ("relu", Dense(1.0, 0.1), Aggregate(), "erf", *READ)):
        net = Sequential(Dense(1.3), Aggregate(), Dense(trainable=False), SelfAttention(), *tail)
        X, Y = apart.followed_by(cancels), alike.followed_by(near)
        for left, right in ((X, None), (Y, None), (X, Y), (Y, X)):
            found, expected = net.kernels(left, right), reference.kernels(net, left, right)
            for kind, k, wanted in zip(("nngp", "ntk"), found, expected, strict=True):
                diagonals = [getattr(net, kind).diag(samples) for samples in (left, left if right is None else right)]
                few_digits = kind == "ntk" and Y in (left, right)  # of the reference, near duplicates
                rounding = 1e-8 if few_digits else 1e-12
                assert (abs(k - wanted) < rounding * np.sqrt(np.outer(*diagonals))).all()


@pytest.mark.parametrize("apart", [1e-2, 1e-5, 3e-8, 1e-10])
def test_mixed_input_that_nearly_cancels(apart: float) -> None:
    """Rows are mixed as numbers are added, and do not lose twice the digits, as sums of their products do."""
    rng = np.random.default_rng(2)
    x, change = rng.normal(size=3), apart * rng.normal(size=(4, 3))
    features = [np.array([x + step, -x]) for step in change]
    net = Sequential(Dense(1.5), Aggregate(), Dense(0.7), GlobalSumPool())
    found = net.kernels(Graphs(features, [np.ones((2, 2)) - np.eye(2)] * 4))
    sums = 2 * np.array([values.sum(axis=0) for values in features])
    expected = (1.5 * 0.7) ** 2 * sums @ sums.T / 3
    np.testing.assert_allclose(found.nngp, expected, rtol=0, atol=1e-15 / apart * abs(expected).max())
    np.testing.assert_allclose(found.ntk, 2 * found.nngp, rtol=1e-14)


def test_precisions_that_differ() -> None:
    """X in float32 and Y in float64, some of it the same."""
    X = sequences([4, 6]).astype(np.float32)
    Y = X.astype(np.float64)
    net = Sequential(SelfAttention(), "relu", *READ)
    for left, right in ((X, Y), (Y, X)):
        found = net.ntk(left, right)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, net.ntk(Y), rtol=1e-12)


@pytest.mark.parametrize("name", IDENTITY)
def test_width_of_attention(name: str) -> None:
    """It is what a Dense in the standard parametrisation has as its fan-in."""
    attention = IDENTITY[name].with_values(width=9)
    net = Sequential(attention, "relu", Dense(parametrization="standard", width=5, sigma_b=0.2), *READ)
    X = sequences([4, 1, 6])
    np.testing.assert_allclose(net.ntk(X), reference.ntk(net, X), rtol=1e-12)


def test_no_samples() -> None:
    """Of none there is an empty kernel, here and in the reference."""
    X = graphs([2, 3], 1.0)
    net = Sequential(Aggregate(), GlobalSumPool())
    assert net.ntk(X[:0], X).shape == reference.ntk(net, X[:0], X).shape == (0, 2)


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples too large for what is free are refused before work starts."""
    monkeypatch.setattr(mixed, "available_memory", lambda: 2**26)
    with pytest.raises(MemoryError, match=r"samples of 1200 nodes take 0\.1 GiB at once, and 0\.1 GiB are free"):
        Sequential(SelfAttention(), *READ).nngp(sequences([1200]))


def test_average_of_no_nodes() -> None:
    """It is 0, as the sum is."""
    X = graphs([0, 3, 0], 1.0)
    net = Sequential(Aggregate(), Dense(), *READ)
    np.testing.assert_allclose(net.ntk(X), reference.ntk(net, X), rtol=1e-12)
    np.testing.assert_allclose(net.nngp(X)[0], 0.01)


def test_edges_between_samples() -> None:
    """They are refused, if somebody exchanged the arrays of the matrix: the engine would read what is nobody's."""
    X = graphs([3, 4], 1.0)
    elsewhere = X.adjacency.indices.copy()
    elsewhere[0] = 5
    X.adjacency.indices = elsewhere
    with pytest.raises(ValueError, match="an edge is between nodes of two samples"):
        Sequential(Aggregate(), GlobalSumPool()).nngp(X)


def test_which_sample_is_lost() -> None:
    """The one whose node LayerNorm divides by 0, though all are mixed afterwards."""
    values = [np.ones((2, 3)), np.ones((3, 3)), np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])]
    with pytest.raises(ValueError, match="of sample 2 of X is 0 where a LayerNorm"):
        Sequential(Dense(), LayerNorm(), SelfAttention(), *READ).nngp(Sequences(values))


def test_nodes_that_cancel() -> None:
    """Rounding that is left of them has no direction that LayerNorm could make a unit of."""
    rows = np.array([[0.0, -0.3, -0.7], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).T
    X = Graphs([np.tile([1.0, 2.0, 0.1], (3, 1)) / 3], [rows])
    net = Sequential(Dense(1.3), Aggregate(), Dense())
    assert net.nngp(X)[0, 0] == 0
    assert net.ntk(X)[0, 0] == 0
    with pytest.raises(ValueError, match="of sample 0 of X is 0 where a LayerNorm"):
        (net + LayerNorm()).nngp(X)


@pytest.mark.parametrize("name", IDENTITY)
@pytest.mark.parametrize("scale", [1e-150, 1e-110, 1e-70, 1e-50])
def test_powers_of_small_kernels(name: str, scale: float) -> None:
    """What is too small for float64 is refused, not 0; next to a bias it is nothing."""
    net = Sequential(IDENTITY[name], GlobalSumPool(), Dense())
    with pytest.raises(ValueError, match="below the range of float64"):
        net.nngp(sequences([4, 2], scale))
    np.testing.assert_allclose(Sequential(*net, Dense(1.0, 0.5)).nngp(sequences([4, 2], scale)), 0.25)


def test_small_samples() -> None:
    """Down to 1e-145 they are as others; what is below the engine's range is refused, unless it is next to more."""
    net = Sequential(Dense(), "relu", Aggregate(), Dense(), "relu", GlobalSumPool())
    features = [np.random.default_rng(i).normal(size=(3, 2)) for i in range(2)]

    def kernel(*scales: float) -> NDArray[np.float64]:
        X = Graphs([scale * rows for scale, rows in zip(scales, features, strict=True)], [np.ones((3, 3))] * 2)
        return np.asarray(net.ntk(X))

    ordinary = kernel(1.0, 1.0)
    np.testing.assert_allclose(kernel(1e-140, 1e-140) / 1e-280, ordinary, rtol=1e-12)
    np.testing.assert_allclose(kernel(1e140, 1e140) / 1e280, ordinary, rtol=1e-12)
    with pytest.raises(ValueError, match="sample 1 of X with itself is below the range of float64"):
        kernel(1.0, 1e-150)
    mixture = Graphs([np.array([[1.0], [1e-150]])], [np.array([[0, 1], [1, 0]])])
    np.testing.assert_allclose(net.nngp(mixture), reference.nngp(net, mixture), rtol=1e-12)


@pytest.mark.parametrize("mechanism", ["softmax", "identity", "relu", "abs"])
def test_large_scores(mechanism: Any) -> None:
    """Those beyond float64 are refused, and nothing warns; softmax takes all others."""
    rng = np.random.default_rng(2)
    X = Sequences([1e100 * rng.normal(size=(3, 4)), 1e100 * rng.normal(size=(2, 4))])
    with pytest.raises(ValueError, match="of X with itself is beyond the range of float64"):
        Sequential(SelfAttention(1e60, 1e60, mechanism=mechanism), *READ).nngp(X)
    if mechanism == "softmax":
        sharp, sharper = (Sequential(SelfAttention(sigma, sigma), *READ).nngp(X) for sigma in (1.0, 1e20))
        np.testing.assert_allclose(sharp, sharper, rtol=1e-12)


def test_overflow_on_the_way() -> None:
    """Before attention and within a recurrence: refused by name, and nothing warns."""
    X = sequences([3, 2], 1e150)
    for net in (Sequential(Dense(1e10), SelfAttention(), *READ), Sequential(Recurrent("relu", 1.0, 1e10), Dense())):
        with pytest.raises(ValueError, match="sample 0 of X with itself is beyond the range of float64"):
            net.nngp(X)
