"""The engine of nodes against the reference: attention, graphs, recurrence, and what stands between and around them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fastntk import (
    Activation,
    Aggregate,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Graphs,
    LayerNorm,
    Product,
    Recurrent,
    Residual,
    SelfAttention,
    Sequences,
    Sequential,
    Sum,
    SumPool,
    reference,
)
from fastntk.kernels import mixed
from fastntk.samples import Ragged

Float = NDArray[np.float64]
Samples = Ragged | NDArray[Any]

RELU = ("relu", Dense(2**0.5, 0.1))


def sequences(lengths: list[int], channels: int = 3, seed: int = 0) -> Sequences:
    """Random ones."""
    rng = np.random.default_rng(seed)
    return Sequences([rng.normal(size=(length, channels)) for length in lengths])


def graphs(sizes: list[int], channels: int = 3, seed: int = 0, edges: float = 0.4) -> Graphs:
    """Random ones, without directions: of some nodes no edges."""
    rng = np.random.default_rng(seed)
    upper = [np.triu(rng.random((size, size)) < edges, 1) for size in sizes]
    return Graphs([rng.normal(size=(size, channels)) for size in sizes], [half | half.T for half in upper])


def relative(found: Float, expected: Float, diagonals: tuple[Float, Float]) -> float:
    """Largest error, relative to the diagonals."""
    return float((abs(found - expected) / np.sqrt(np.outer(*diagonals))).max(initial=0))


def compare(net: Sequential, X: Samples, Y: Samples, bound: float) -> None:
    """Both kernels of X with itself, and with Y, with the reference."""
    diagonals = [[getattr(net, kind).diag(samples) for kind in ("nngp", "ntk")] for samples in (X, Y)]
    for other in (None, Y):
        for k, (found, expected) in enumerate(
            zip(net.kernels(X, other), reference.kernels(net, X, other), strict=True)
        ):
            of_both = diagonals[0][k], diagonals[other is not None][k]
            assert relative(found, expected, of_both) < bound
            if other is None:
                np.testing.assert_array_equal(found, found.T)
                np.testing.assert_array_equal(found.diagonal(), of_both[0])


READ = (GlobalAvgPool(), Dense(1.0, 0.1))
POSITION: dict[str, Any] = {"position": "sum", "position_decay": 0.1}

SEQUENCES: dict[str, tuple[Any, ...]] = {
    "softmax": (SelfAttention(1.2, 0.8, 1.1, 0.9, 0.1), *READ),
    "identity": (Dense(), SelfAttention(mechanism="identity"), *READ),
    "relu": (Dense(), "relu", SelfAttention(mechanism="relu", position="sum"), *READ),
    "abs": (SelfAttention(mechanism="abs", **POSITION), "erf", *READ),
    "by root": (SelfAttention(1.2, 0.8, 1.1, 0.9, 0.1, "identity", "sqrt"), *RELU, *READ),
    "by root, positions": (
        Dense(),
        "relu",
        SelfAttention(mechanism="identity", scaling="sqrt", **POSITION),
        SelfAttention(mechanism="identity", scaling="sqrt", position="concat", position_in_values=True),
        *READ,
    ),
    "positions in values": (SelfAttention(position="concat", position_in_values=True, position_decay=0.3), *READ),
    "deep": (*(SelfAttention(), *RELU) * 3, GlobalSumPool(), *RELU),
    "transformer": (
        Dense(),
        *(Residual(LayerNorm(), SelfAttention(**POSITION)), Residual(LayerNorm(), Dense(), *RELU)) * 2,
        LayerNorm(),
        *READ,
    ),
    "concat": (Concat(SelfAttention(), Dense(2.0)), *RELU, *READ),
    "product": (Product(SelfAttention(), Sequential(Dense(), "erf")), Dense(), *READ),
    "dropout": (Dense(), "relu", Dropout(0.3), SelfAttention(), *READ),
    "frozen": (Dense(trainable=False), SelfAttention(), "relu", Dense(trainable=False), GlobalSumPool()),
    "recurrent": (Recurrent("relu", 1.2, 0.8, 0.3), Dense()),
    "mean of states": (Recurrent("erf", 1.2, 0.8, 0.3, readout="mean"), Dense()),
    "stacked": (Recurrent("relu", readout=None), Recurrent("erf", reverse=True, sigma_b=0.1), Dense()),
    "both ways": (Concat(Recurrent("erf"), Recurrent("erf", reverse=True)), *RELU),
    "last, norm": (Recurrent("relu", 1.2, 0.8, 0.3), LayerNorm(), *RELU),
    "reversed, norm": (
        Recurrent("erf", 1.2, 0.8, 0.3, readout=None, reverse=True),
        LayerNorm(),
        Recurrent("relu", sigma_b=0.2, reverse=True),
        LayerNorm(),
        Dense(1.0, 0.1),
    ),
    "recurrence, attention": (Recurrent("relu", sigma_b=0.2, readout=None), SelfAttention(), *READ),
    "standard": (Dense(width=64), SelfAttention(), Dense(parametrization="ntk", width=32), *READ),
}

GRAPHS: dict[str, tuple[Any, ...]] = {
    "sum": (Aggregate(), Dense(), GlobalSumPool()),
    "no loops": (
        Aggregate(self_loops=False),
        Dense(),
        *RELU,
        Aggregate(self_loops=False),
        GlobalSumPool(),
        Dense(1.0, 0.1),
    ),
    "gntk": (*(Aggregate("mean"), Dense(), *RELU, *RELU) * 2, GlobalSumPool()),
    "gcn": (*(Aggregate("sym"), Dense(), *RELU) * 3, *READ),
    "jumping": (
        Aggregate(),
        Dense(),
        Sum(GlobalSumPool(), Sequential("relu", Dense(), Aggregate(), *RELU, GlobalSumPool(), Dense())),
        Dense(),
    ),
    "residual": (Dense(), *(Residual(Aggregate("mean"), *RELU),) * 3, GlobalAvgPool()),
    "attention": (Aggregate(), Dense(), *RELU, SelfAttention(), *READ),
    "norm": (Aggregate(), Dense(), LayerNorm(), "gelu", Dense(), Aggregate("mean"), GlobalSumPool()),
}

IMAGES: dict[str, tuple[Any, ...]] = {
    "convolutions, attention": (Conv(3), *RELU, SelfAttention(), "relu", Conv((2, 3), 2), "relu", Flatten(), Dense()),
    "all windows": (
        SelfAttention(), "relu", Conv(3, padding="circular", sigma_b=0.1), "relu", Conv(2, padding="valid"), "erf",
        Conv(3, dilation=2), AvgPool(2, 1, "same"), Dense(), SumPool(2), Flatten(),
    ),
    "pools in branches": (
        Conv(3), "relu",
        Sum(Sequential(Conv(3), "relu", Conv(1), AvgPool(2)), Sequential(AvgPool(2, normalize_edges=True), Conv(1))),
        "relu", Conv(2), Sum(GlobalAvgPool(), Sequential("relu", Conv(3), GlobalSumPool())), Dense(),
    ),
    "standard": (Conv(3, width=8), "relu", Conv(3, width=8, parametrization="standard"), SelfAttention(), Flatten()),
    "near": (SelfAttention(**POSITION), "relu", AvgPool(2), SelfAttention(**POSITION, position_in_values=True), *READ),
    "near, by root": (Conv(2), "relu", SelfAttention(mechanism="identity", scaling="sqrt", **POSITION), Flatten()),
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name: str) -> None:
    """Of different lengths, and as arrays."""
    net = Sequential(*SEQUENCES[name])
    X = sequences([5, 1, 7, 2, 12])
    # Where attention makes nodes ever more alike the reference has half the digits of what is left between them.
    bound = 1e-8 if name == "deep" else 1e-12
    compare(net, X, sequences([3, 9, 1], seed=1), bound)
    array = np.random.default_rng(2).normal(size=(4, 6, 3))
    compare(net, array, array[:2] + 1, bound)
    np.testing.assert_allclose(net.ntk(array), net.ntk(Sequences(array)), rtol=1e-13)


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str) -> None:
    """Of different sizes, some nodes without edges."""
    compare(Sequential(*GRAPHS[name]), graphs([4, 1, 7, 2]), graphs([5, 3], seed=1), 1e-12)


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str) -> None:
    """Networks that the engine of planes has not."""
    rng = np.random.default_rng(3)
    compare(Sequential(*IMAGES[name]), rng.normal(size=(3, 6, 5, 2)), rng.normal(size=(2, 6, 5, 2)), 1e-13)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 1), (2, 3, 2)])
@pytest.mark.parametrize("decay", [None, 0.2])
def test_how_far_apart_positions_are(shape: tuple[int, ...], decay: float | None) -> None:
    """In sequences, images and films: softmax attention, position by position."""
    x = np.random.default_rng(4).normal(size=(3, *shape, 2))
    places = list(np.ndindex(shape))

    def similar(p: tuple[int, ...], q: tuple[int, ...]) -> float:
        return float(p == q) if decay is None else math.exp(-decay * math.dist(p, q) ** 2)

    R = np.array([[similar(p, q) for q in places] for p in places])
    rows = x.reshape(3, len(places), 2)
    weights = [np.exp(1.3 * (row @ row.T / 2 + R)) for row in rows]
    means = [(w / w.sum(axis=1, keepdims=True)).mean(axis=0) @ row for w, row in zip(weights, rows, strict=True)]
    net = Sequential(SelfAttention(1.3, position="sum", position_decay=decay), GlobalAvgPool())
    np.testing.assert_allclose(net.nngp(x), np.array(means) @ np.transpose(means) / 2, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("activation", ["tanh", "hard_tanh", "softplus"])
@pytest.mark.usefixtures("duals_of_the_engine")
def test_expansions(activation: str) -> None:
    """Activations whose expansions depend on the variances that occur: to their tolerance, in blocks, within steps."""
    tight = Activation(activation, tolerance=1e-13)
    X, Y = sequences([4, 9, 1]), sequences([2, 7], seed=5)
    bound = 1e-9 if activation == "hard_tanh" else 1e-11  # of the reference, whose K is rounded near duplicates
    compare(Sequential(Dense(1.5), tight, Dense(), SelfAttention(), tight, *READ), X, Y, bound)
    compare(Sequential(Recurrent(tight, 1.1, 0.9, 0.2, readout="mean"), Dense()), X, Y, bound)


@pytest.mark.parametrize("name", ["gntk", "transformer"])
def test_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bits for any number of threads; samples compiled apart, rows and products are those of the whole."""
    sizes = [3, 8, 1, 5, 6, 2, 9]
    net = Sequential(*{**GRAPHS, **SEQUENCES}[name])
    X = graphs(sizes) if name in GRAPHS else sequences(sizes)
    whole = net.kernels(X)
    with threadpool_limits(1, "openmp"):
        for one, several in zip(net.kernels(X), whole, strict=True):
            np.testing.assert_array_equal(one, several)
    monkeypatch.setattr(mixed, "_NODES", 9)
    for parts, all_at_once in zip(net.kernels(X), whole, strict=True):
        np.testing.assert_allclose(parts, all_at_once, rtol=1e-13)
    np.testing.assert_allclose(net.ntk(X[2:5], X), whole.ntk[2:5], rtol=1e-12)
    np.testing.assert_allclose(net.ntk.operator(X) @ np.ones(len(X)), whole.ntk.sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("layer", ["graph", "attention"])
def test_one_large_sample(layer: str) -> None:
    """Threads share it: the same bits for any number of them, and the kernel of the reference."""
    if layer == "graph":
        X: Samples = graphs([500], edges=0.01)
        net = Sequential(*(Dense(), *RELU, Aggregate("sym"), Dense()) * 2, LayerNorm())
    else:
        X = sequences([400])
        net = Sequential(Dense(), *RELU, Residual(SelfAttention(**POSITION)), *RELU, GlobalAvgPool())
    found = net.kernels(X)
    with threadpool_limits(1, "openmp"):
        for one, several in zip(net.kernels(X), found, strict=True):
            np.testing.assert_array_equal(one, several)
    for one, expected in zip(found, reference.kernels(net, X), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-12, atol=1e-12 * expected.diagonal().max())


def test_nodes_of_one_graph() -> None:
    """A kernel between the nodes of a graph, as a whole and in parts."""
    net = Sequential(*(Aggregate("sym"), Dense(), *RELU) * 2)
    X = graphs([40], edges=0.1)
    compare(net, X, graphs([3], seed=4), 1e-12)
    K = net.ntk(X)
    assert K.shape == (40, 40)
    half = net.ntk.operator(X)
    np.testing.assert_allclose(half @ np.eye(40), K, rtol=1e-12)


def test_order_of_nodes() -> None:
    """It changes nothing but rounding in graphs, and in sequences without positions."""
    rng = np.random.default_rng(6)
    X = graphs([6, 9, 4])
    parts = [(X[i].values, X[i].adjacency.toarray(), rng.permutation(X.lengths[i])) for i in range(3)]
    mixed_up = Graphs([values[order] for values, _, order in parts], [a[np.ix_(order, order)] for _, a, order in parts])
    net = Sequential(*(Aggregate(), Dense(), *RELU) * 2, SelfAttention(), GlobalSumPool())
    np.testing.assert_allclose(net.ntk(mixed_up), net.ntk(X), rtol=1e-13)
    # The same graph, written in another way: as equal as two samples can be.
    np.testing.assert_allclose(net.ntk(X, mixed_up).diagonal(), net.ntk.diag(X), rtol=1e-13)


def test_padding_is_nothing() -> None:
    """What is beyond the length of a sequence is not seen: neither numbers nor length."""
    rng = np.random.default_rng(7)
    array = rng.normal(size=(3, 8, 2))
    lengths = [5, 8, 1]
    net = Sequential(*SEQUENCES["transformer"])
    expected = net.ntk(Sequences([row[:length] for row, length in zip(array, lengths, strict=True)]))
    for row, length in zip(array, lengths, strict=True):
        row[length:] = np.nan
    np.testing.assert_array_equal(net.ntk(Sequences(array, lengths)), expected)


def test_sizes() -> None:
    """No node, one, and 500: sums over none are 0."""
    X = graphs([0, 1, 500, 3], edges=0.02)
    net = Sequential(Aggregate(), Dense(), *RELU, Aggregate("mean"), Dense(), *RELU, GlobalSumPool())
    K = net.ntk(X)
    assert (K[0] == 0).all()
    few = X[[1, 3]]
    np.testing.assert_allclose(K[np.ix_([1, 3], [1, 3])], reference.ntk(net, few), rtol=1e-12)
    np.testing.assert_allclose(K[2, 3], net.ntk(X[2:3], X[3:])[0, 0], rtol=1e-12)
    biased = net + Dense(1.0, 0.5)
    np.testing.assert_allclose(biased.nngp(X)[0], 0.25)


def test_precision() -> None:
    """float32 samples give a float32 kernel, computed in float64."""
    X = sequences([4, 7, 2])
    single = Sequences([X[i].values.astype(np.float32) for i in range(3)])
    double = Sequences([X[i].values.astype(np.float32).astype(np.float64) for i in range(3)])
    net = Sequential(*SEQUENCES["deep"])
    found = net.ntk(single)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, net.ntk(double), rtol=1e-7)
    out = np.empty((3, 3), np.float32)
    assert net.ntk(single, out=out) is out
    np.testing.assert_array_equal(out, found)


@pytest.mark.parametrize("reverse", [False, True])
def test_last_states_that_are_alike(reverse: bool) -> None:
    """They are as far apart as what was read: a kink sees the distance itself, in proportion to it."""
    rng = np.random.default_rng(4)
    x, other = rng.normal(size=(2, 6, 3))
    net = Sequential(Recurrent("relu", 1.2, 0.8, 0.3, reverse=reverse), *RELU)
    apart = []
    for step in (1e-6, 1e-9):
        K = net.ntk(Sequences([x, x + step * other]))
        apart.append((1 - K[0, 1] / np.sqrt(K[0, 0] * K[1, 1])) / step)
    np.testing.assert_allclose(apart[1], apart[0], rtol=1e-5)


def test_derivatives() -> None:
    """In the standard deviations of attention and of recurrence, by central differences."""
    X = sequences([4, 7, 2])
    net = Sequential(SelfAttention(1.1, 0.9, 1.2, 0.8, 0.3), "relu", Recurrent("relu", 1.2, 0.7, 0.2), Dense(1.0, 0.1))
    whole = net.ntk.gradient(X)
    values = [value for _, _, value in net.parameters]
    step = 1e-4
    for i, slope in enumerate(whole):
        near = [
            net.with_parameters([v + sign * step * (k == i) for k, v in enumerate(values)]).ntk(X) for sign in (1, -1)
        ]
        np.testing.assert_allclose(slope, (near[0] - near[1]) / (2 * step), atol=1e-6)


@pytest.mark.parametrize("zero", ["sigma_q", "sigma_k", "sigma_b"])
def test_derivatives_at_0(zero: str) -> None:
    """Of scores to one side; of what kernels are even functions of they are 0."""
    X = sequences([4, 7, 2])
    layer = SelfAttention(1.1, 0.9, 1.2, 0.8, 0.3).with_values(**{zero: 0.0})
    slope = Sequential(layer, *READ).ntk.gradient(X)[list(layer.hyperparameters).index(zero)]
    kernels = [Sequential(layer.with_values(**{zero: step * 1e-3}), *READ).ntk(X) for step in range(3)]
    one_sided = (-1.5 * kernels[0] + 2 * kernels[1] - 0.5 * kernels[2]) / 1e-3
    np.testing.assert_allclose(slope, one_sided, atol=1e-5)


@pytest.mark.parametrize("make", [lambda: graphs([30] * 60), lambda: sequences([30] * 60)], ids=["graphs", "sequences"])
def test_progress_and_stopping(make: Callable[[], Ragged]) -> None:
    """Work says how far it is, and stops where it is told to."""
    X = make()
    net = Sequential(*(GRAPHS["gcn"] if isinstance(X, Graphs) else SEQUENCES["deep"]))
    seen: list[float] = []
    net.ntk(X, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1

    class StoppedError(Exception):
        pass

    def stop(_: float) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        net.ntk(X, progress=stop)
