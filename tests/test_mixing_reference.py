"""Attention and aggregation in the reference: against loops over nodes, and against neural-tangents."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.ragged import AGGREGATION, ATTENTION, close, graphs, sequences

from fastntk import (
    Activation,
    Aggregate,
    Concat,
    Dense,
    Dropout,
    GlobalAvgPool,
    GlobalSumPool,
    Graphs,
    LayerNorm,
    Product,
    Residual,
    SelfAttention,
    Sequences,
    Sequential,
    Sum,
    network,
    reference,
)
from fastntk.layers import Layer
from fastntk.samples import Ragged

Float = NDArray[np.float64]

TABLES = np.load(Path(__file__).parent / "data" / "attention_tables.npz")


class Loops:
    """K and Theta of all nodes of all samples, entry by entry: a matrix of lists, without padding and masks."""

    def __init__(self, samples: Ragged) -> None:
        self.x = samples.values.tolist()
        self.starts = samples.starts.tolist()
        self.edges = samples.adjacency.toarray().tolist() if isinstance(samples, Graphs) else None
        self.K = [[sum(a * b for a, b in zip(u, v, strict=True)) / len(u) for v in self.x] for u in self.x]
        self.Theta = [[0.0] * len(self.x) for _ in self.x]

    def nodes(self, sample: int) -> range:
        """Numbers of the nodes of a sample."""
        return range(self.starts[sample], self.starts[sample + 1])

    def of(self, node: int) -> int:
        """The sample of a node."""
        return next(i for i in range(len(self.starts) - 1) if node in self.nodes(i))

    def act(self, layer: Layer) -> None:
        """Pass a layer."""
        size = range(len(self.x))
        if isinstance(layer, Dense):
            w2, b2 = layer.sigma_w**2, layer.sigma_b**2
            self.K = [[b2 + w2 * self.K[p][q] for q in size] for p in size]
            self.Theta = [[self.K[p][q] + w2 * self.Theta[p][q] for q in size] for p in size]
        elif isinstance(layer, Activation):
            assert layer.name == "relu"
            both = [[relu(self.K[p][p], self.K[q][q], self.K[p][q]) for q in size] for p in size]
            self.K = [[both[p][q][0] for q in size] for p in size]
            self.Theta = [[both[p][q][1] * self.Theta[p][q] for q in size] for p in size]
        elif isinstance(layer, Aggregate):
            self.mix([[self.edge(layer, i, j) for j in size] for i in size])
        elif isinstance(layer, SelfAttention):
            self.attend(layer)
        else:
            raise AssertionError(layer)

    def mix(self, A: list[list[float]]) -> None:
        """K <- A K A^T, Theta likewise."""
        size = range(len(self.x))

        def both_sides(k: list[list[float]]) -> list[list[float]]:
            left = [[math.fsum(A[i][p] * k[p][q] for p in size) for q in size] for i in size]
            return [[math.fsum(left[i][q] * A[j][q] for q in size) for j in size] for i in size]

        self.K, self.Theta = both_sides(self.K), both_sides(self.Theta)

    def edge(self, layer: Aggregate, i: int, j: int) -> float:
        """What node i takes of node j."""

        def weight(to: int, source: int) -> float:
            assert self.edges is not None
            return float(self.edges[source][to] + (layer.self_loops and source == to))

        def degree(node: int) -> float:
            return math.fsum(weight(node, source) for source in range(len(self.x)))

        if layer.normalize is None or weight(i, j) == 0:
            return weight(i, j)
        if layer.normalize == "mean":
            return weight(i, j) / degree(i)
        return weight(i, j) / math.sqrt(degree(i) * degree(j)) if degree(j) else 0.0

    def attend(self, layer: SelfAttention) -> None:
        """Attention of one sample after another."""
        size = range(len(self.x))
        a, b = {None: (1.0, 0.0), "sum": (1.0, 1.0), "concat": (1 - layer.position_share, layer.position_share)}[
            layer.position
        ]

        def similar(p: int, q: int) -> float:
            distance = (p - self.starts[self.of(p)]) - (q - self.starts[self.of(q)])
            if layer.position_decay is None:
                return float(distance == 0)
            return math.exp(-layer.position_decay * distance**2)

        R = [[b * layer.position_sigma**2 * similar(p, q) for q in size] for p in size]
        hat = [[a * self.K[p][q] + R[p][q] for q in size] for p in size]
        theta_hat = [[a * self.Theta[p][q] + R[p][q] for q in size] for p in size]
        K, Theta = (hat, theta_hat) if layer.position_in_values else (self.K, self.Theta)
        b2, s2 = layer.sigma_b**2, (layer.sigma_o * layer.sigma_v) ** 2
        if layer.scaling == "linear":
            A = [[0.0] * len(self.x) for _ in size]
            for p in size:
                own = self.nodes(self.of(p))
                scores = [layer.sigma_q * layer.sigma_k * hat[p][q] for q in own]
                total = math.fsum(math.exp(score) for score in scores)
                for q, s in zip(own, scores, strict=True):
                    weights = {"softmax": math.exp(s) / total, "identity": s, "relu": max(s, 0.0), "abs": abs(s)}
                    A[p][q] = weights[layer.mechanism]
            self.K, self.Theta = K, Theta
            self.mix(A)
            both = [[s2 * self.K[p][q] + b2 for q in size] for p in size]
            self.Theta = [[s2 * (self.Theta[p][q] + 2 * self.K[p][q]) + b2 for q in size] for p in size]
            self.K = both
            return
        s2 *= (layer.sigma_q * layer.sigma_k) ** 2
        new_K, new_Theta = [row[:] for row in K], [row[:] for row in K]
        for p in size:
            for q in size:
                pairs = [(i, j) for i in self.nodes(self.of(p)) for j in self.nodes(self.of(q))]
                whole = math.fsum(hat[i][j] * K[i][j] for i, j in pairs)
                slope = math.fsum(hat[i][j] * Theta[i][j] + theta_hat[i][j] * K[i][j] for i, j in pairs)
                new_K[p][q] = b2 + s2 * whole * hat[p][q]
                new_Theta[p][q] = b2 + s2 * (slope * hat[p][q] + whole * (theta_hat[p][q] + 4 * hat[p][q]))
        self.K, self.Theta = new_K, new_Theta

    def pooled(self, k: list[list[float]], *, mean: bool) -> Float:
        """Sums, or means, over all pairs of nodes of two samples: 0 where there is none."""
        n = len(self.starts) - 1
        found = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                entries = [k[p][q] for p in self.nodes(i) for q in self.nodes(j)]
                found[i, j] = math.fsum(entries) / (max(1, len(entries)) if mean else 1)
        return found


def relu(q1: float, q2: float, c: float) -> tuple[float, float]:
    """E[relu(u) relu(v)] and E[relu'(u) relu'(v)], by the angle between u and v (Cho and Saul)."""
    s = math.sqrt(q1 * q2)
    angle = math.acos(max(-1.0, min(1.0, c / s)))
    return s * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi), 0.5 - angle / (2 * math.pi)


@pytest.mark.parametrize("pool", [GlobalSumPool(), GlobalAvgPool()], ids=str)
@pytest.mark.parametrize("layer", [*ATTENTION, *AGGREGATION], ids=str)
def test_loops(layer: Layer, pool: GlobalSumPool | GlobalAvgPool, rng: np.random.Generator) -> None:
    """The same as entry by entry, between layers that act on nodes, twice."""
    samples: Ragged = sequences(rng) if isinstance(layer, SelfAttention) else graphs(rng)
    inner: list[Layer] = [Dense(1.4, 0.2), layer, Dense(0.9, 0.1), Activation("relu"), layer, Dense(1.1, 0.4)]
    loops = Loops(samples)
    for one in inner:
        loops.act(one)
    expected = [loops.pooled(k, mean=isinstance(pool, GlobalAvgPool)) for k in (loops.K, loops.Theta)]
    close(reference.kernels(Sequential(*inner, pool), samples), expected)


def test_attention_between_nodes_of_graphs(rng: np.random.Generator) -> None:
    """It needs no edges, but bears them, and samples without nodes."""
    layers = [SelfAttention(sigma_b=0.3), Activation("relu"), Aggregate(), Dense(1.2)]
    loops = Loops(samples := graphs(rng))
    for one in layers:
        loops.act(one)
    expected = [loops.pooled(k, mean=False) for k in (loops.K, loops.Theta)]
    close(reference.kernels(Sequential(*layers, GlobalSumPool()), samples), expected)


@pytest.mark.parametrize("name", [name for name in TABLES.files if name.startswith("Sequential")])
def test_neural_tangents(name: str) -> None:
    """Its kernels, of padded and masked samples."""
    x, lengths, edges = (TABLES[key] for key in ("x", "lengths", "edges"))
    samples: Ragged = Sequences(x, lengths)
    if "Aggregate" in name:
        parts = zip(x, edges, lengths, strict=True)
        samples = Graphs(*zip(*((nodes[:size], some[:size, :size]) for nodes, some, size in parts), strict=True))
    close(reference.kernels(network(name), samples), TABLES[name])


def every_kind_of_layer() -> Sequential:
    """Attention and aggregation among all layers that act at each node."""
    return Sequential(
        Dense(1.2, 0.3),
        Residual(LayerNorm(), SelfAttention(1.2, position="sum", position_decay=0.4)),
        Sum(Sequential(LayerNorm(), "relu", Dense()), Concat(Aggregate("sym"), Aggregate("mean"))),
        Product(Aggregate(), Sequential(SelfAttention(mechanism="relu", sigma_b=0.5), "erf")),
        Dense(0.8, 0.1),
        "relu",
        Dropout(0.3),
        Aggregate(),
    )


@pytest.mark.parametrize("pool", [GlobalSumPool(), GlobalAvgPool()], ids=str)
def test_padding_changes_nothing(pool: Layer, rng: np.random.Generator) -> None:
    """To how many nodes a sample is filled up: pairs alone have the kernels that they have beside large samples."""
    samples = graphs(rng)
    net = Sequential(every_kind_of_layer(), pool)
    whole = reference.kernels(net, samples)
    for i, one in enumerate(samples):
        alone = reference.kernels(net, one)
        np.testing.assert_allclose(np.ravel(alone), [k[i, i] for k in whole], rtol=1e-13)
    Y = graphs(np.random.default_rng(9))
    crossed = reference.kernels(net, samples, Y)
    for i, one in enumerate(samples):
        for j, other in enumerate(Y):
            alone = reference.kernels(net, one, other)
            np.testing.assert_allclose(np.ravel(alone), [k[i, j] for k in crossed], rtol=1e-12, atol=1e-13)


def test_lengths(rng: np.random.Generator) -> None:
    """Sequences of one length are an array of them, whatever array they were cut from."""
    x = rng.standard_normal((3, 5, 2))
    net = Sequential(Dense(1.1, 0.2), "relu", SelfAttention(position="concat"), GlobalAvgPool(), Dense())
    expected = reference.kernels(net, x)
    padded = np.concatenate((x, np.full((3, 4, 2), np.nan)), axis=1)
    for samples in (Sequences(x), Sequences(padded, [5, 5, 5])):
        close(reference.kernels(net, samples), expected, 1e-15)


def test_images(rng: np.random.Generator) -> None:
    """Positions of images are those of a sequence, in the order of C."""
    x = rng.standard_normal((3, 2, 4, 2))
    net = Sequential(SelfAttention(position="sum", sigma_b=0.2), "relu", GlobalAvgPool(), Dense())
    close(reference.kernels(net, x), reference.kernels(net, x.reshape(3, 8, 2)), 1e-15)


def test_order_of_nodes_does_not_matter(rng: np.random.Generator) -> None:
    """Of a graph whose edges go with them, but for rounding; and there is no difference to sequences, without."""
    samples = graphs(rng)
    order = [rng.permutation(size) for size in samples.lengths]
    parts = [(one.values, one.adjacency.toarray()) for one in samples]
    moved = Graphs(
        [nodes[p] for (nodes, _), p in zip(parts, order, strict=True)],
        [edges[np.ix_(p, p)] for (_, edges), p in zip(parts, order, strict=True)],
    )
    inner = [Dense(1.2, 0.3), Residual(LayerNorm(), SelfAttention()), Aggregate("sym"), Activation("relu")]
    for pool in (GlobalSumPool(), GlobalAvgPool()):
        net = Sequential(*inner, pool, Dense(1.0, 0.2))
        close(reference.kernels(net, moved), reference.kernels(net, samples))


def test_graphs_without_nodes(rng: np.random.Generator) -> None:
    """Their sum is 0, and so is their mean: a bias behind is all that is left."""
    samples = graphs(rng)
    for pool in (GlobalSumPool(), GlobalAvgPool()):
        K, Theta = reference.kernels(Sequential(Aggregate(), Dense(1.0, 0.5), "relu", pool), samples)
        assert (samples.lengths == 0).tolist() == [False, False, True, False, False]
        assert not K[2].any()
        assert not Theta[:, 2].any()
        assert K[0, samples.lengths > 0].all()
        K, Theta = reference.kernels(Sequential(Aggregate(), pool, Dense(1.0, 0.5)), samples)
        assert (K[2] == 0.25).all()
        assert (Theta[2] == 0.25).all()


def test_nodes_of_one_graph(rng: np.random.Generator) -> None:
    """A network that ends with nodes gives the kernel between them, or those of one graph and of another."""
    samples = graphs(rng)
    layers = [Dense(1.2, 0.2), Aggregate("sym"), Activation("relu"), Aggregate("sym"), Dense(0.9, 0.1)]
    loops = Loops(samples)
    for one in layers:
        loops.act(one)
    net, K = Sequential(*layers), [np.array(loops.K), np.array(loops.Theta)]
    at = samples.starts
    for i, j in ((0, 1), (1, 3), (3, 0)):
        nodes, others = slice(at[i], at[i + 1]), slice(at[j], at[j + 1])
        close(reference.kernels(net, samples[i]), [k[nodes, nodes] for k in K])
        found = reference.kernels(net, samples[i], samples[j])
        np.testing.assert_allclose(found, [k[nodes, others] for k in K], rtol=1e-13)
    assert reference.nngp(net, samples[2]).shape == (0, 0)


REFUSED: list[tuple[Sequential, Any, str]] = [
    (
        Sequential(Aggregate()),
        graphs,
        r"ends with the nodes of each sample, .* of one sample, X\[:1\], it is the kernel between its nodes",
    ),
    (Sequential(Dense()), sequences, r"ends with the steps of each sample"),
    (
        Sequential(Aggregate(), GlobalSumPool()),
        sequences,
        r"X are Sequences, without edges, and layer 0, Aggregate\(\)",
    ),
    (
        Sequential(Residual(Aggregate(), Dense()), GlobalSumPool()),
        sequences,
        r"X are Sequences, without edges, and layer 0\.0\.0, Aggregate\(\), is for graphs: fastntk\.Graphs",
    ),
    (
        Sequential(Aggregate(), GlobalSumPool()),
        lambda rng: rng.standard_normal((2, 3, 1)),
        r"layer 0, Aggregate\(\): Aggregate is for the nodes of graphs, and what comes in are no graphs",
    ),
    (
        Sequential(SelfAttention(), "relu", Dense()),
        lambda rng: rng.standard_normal((2, 3)),
        r"layer 0, SelfAttention\(.*\): attention is between the positions of a sample",
    ),
    (Sequential(SelfAttention(), LayerNorm("all")), sequences, r"layer 1, .*pass axes='channels'"),
    (Sequential(LayerNorm(), GlobalSumPool()), sequences, r"layer 0, .*the mean of the raw input over its features"),
    (Sequential(Aggregate("sym"), GlobalSumPool()), "negative", r"Aggregate.*some are negative|are negative"),
]


@pytest.mark.parametrize(("net", "make", "sentence"), REFUSED)
def test_what_is_refused(net: Sequential, make: Any, sentence: str, rng: np.random.Generator) -> None:
    """In one sentence, which names the layer."""
    samples = Graphs([np.ones((2, 1))], [[[0, -1], [-1, 0]]]) if make == "negative" else make(rng)
    with pytest.raises(ValueError, match=sentence) as raised:
        reference.kernels(net, samples)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("layer", [SelfAttention(), Aggregate()], ids=str)
def test_nothing_is_mixed_behind_a_pool(layer: Layer) -> None:
    """There are no positions any more, whatever the samples were."""
    with pytest.raises(ValueError, match=r"layer 1, .* what comes in are (vectors, without any|no graphs)"):
        Sequential(GlobalSumPool(), layer)


def test_others_must_be_alike(rng: np.random.Generator) -> None:
    """X and Y are the same kind of samples, with as many channels."""
    net = Sequential(SelfAttention(), GlobalAvgPool())
    for X, Y in (
        (sequences(rng), graphs(rng)),
        (sequences(rng), np.ones((2, 3, 3))),
        (np.ones((2, 3, 3)), graphs(rng)),
    ):
        with pytest.raises(ValueError, match=r"X has samples of .* but Y of .*; they must have the same"):
            reference.kernels(net, X, Y)
    with pytest.raises(ValueError, match=r"X has samples of 3 channels, Sequences, but Y of 2 channels, Sequences,"):
        reference.kernels(net, sequences(rng), Sequences(np.ones((1, 2, 2))))
