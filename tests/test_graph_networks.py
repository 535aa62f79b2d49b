"""transformer, gntk and gcn: what they are made of, and the published formulas, in the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.ragged import close

from fastntk import (
    Aggregate,
    Dense,
    GlobalAvgPool,
    GlobalSumPool,
    Graphs,
    LayerNorm,
    Residual,
    SelfAttention,
    Sequential,
    gcn,
    gntk,
    network,
    reference,
    transformer,
)

Float = NDArray[np.float64]


def undirected(rng: np.random.Generator) -> tuple[list[Float], list[Float]]:
    """Nodes and edges of graphs, one of which has no edges, one a single node."""
    edges = [np.triu(rng.random((size, size)) < 0.4, 1).astype(float) for size in (5, 1, 7, 3)]
    edges[-1][:] = 0
    return [rng.standard_normal((len(one), 4)) for one in edges], [one + one.T for one in edges]


class Published:
    """GNTK of two graphs, by section 3.2 of Du et al. with the covariances of the graphs with themselves at hand."""

    def __init__(self, blocks: int, mlp_layers: int, jumping: bool, scale: str) -> None:
        self.blocks, self.mlp_layers, self.jumping, self.scale = blocks, mlp_layers, jumping, scale

    def aggregated(self, k: Float, edges: tuple[Float, Float]) -> Float:
        """Sums over neighbours, times c_u c_u'."""
        left, right = (one + np.eye(len(one)) for one in edges)
        both: Float = np.kron(left, right).dot(k.ravel()).reshape(k.shape)
        return both / np.outer(left.sum(axis=1), right.sum(axis=1)) if self.scale == "degree" else both

    def __call__(self, nodes: tuple[Float, Float], edges: tuple[Float, Float]) -> float:
        """Theta of the two graphs."""
        pairs = [(0, 1), (0, 0), (1, 1)]
        sigma = [nodes[i] @ nodes[j].T for i, j in pairs]
        theta, found = sigma[0], [sigma[0].sum()]
        for _ in range(self.blocks):
            sigma = [self.aggregated(k, (edges[i], edges[j])) for k, (i, j) in zip(sigma, pairs, strict=True)]
            theta = self.aggregated(theta, edges)
            for _ in range(self.mlp_layers):
                left, right = (np.sqrt(k.diagonal()) for k in sigma[1:])
                scales = [np.outer(*both) for both in ((left, right), (left, left), (right, right))]
                rho = [np.clip(k / scale, -1, 1) for k, scale in zip(sigma, scales, strict=True)]
                theta = theta * (np.pi - np.arccos(rho[0])) / np.pi
                sigma = [
                    s * (r * (np.pi - np.arccos(r)) + np.sqrt(1 - r**2)) / np.pi
                    for r, s in zip(rho, scales, strict=True)
                ]
                theta = theta + sigma[0]
            found.append(theta.sum())
        return float(sum(found) if self.jumping else found[-1])


@pytest.mark.parametrize("scale", ["uniform", "degree"])
@pytest.mark.parametrize("jumping", [True, False])
@pytest.mark.parametrize(("blocks", "mlp_layers"), [(1, 1), (1, 3), (2, 2), (4, 1)])
def test_gntk(blocks: int, mlp_layers: int, jumping: bool, scale: Any, rng: np.random.Generator) -> None:
    """By the formulas of the paper, whose kernel of nodes is a sum over channels; arccos keeps half the digits at 1."""
    nodes, edges = undirected(rng)
    found = reference.ntk(gntk(blocks, mlp_layers, jumping, scale), Graphs(nodes, edges))
    published = Published(blocks, mlp_layers, jumping, scale)
    for i in range(len(nodes)):
        for j in range(len(nodes)):
            expected = published((nodes[i], nodes[j]), (edges[i], edges[j])) / nodes[i].shape[1]
            np.testing.assert_allclose(found[i, j], expected, rtol=1e-7 if i == j else 1e-11)


def test_gntk_of_many_blocks(rng: np.random.Generator) -> None:
    """They are one within the other; text is read up to 19."""
    nodes, edges = undirected(rng)
    graphs = Graphs(nodes, edges)
    assert np.isfinite(reference.ntk(gntk(60, 1), graphs)).all()
    assert network(repr(gntk(19, 3))) == gntk(19, 3)
    assert network("gntk(100, 1)") == gntk(100, 1)
    with pytest.raises(ValueError, match="nested too deeply"):
        network(repr(gntk(21, 1)))


def test_gcn(rng: np.random.Generator) -> None:
    """Of Kipf and Welling: Theta of the nodes of one graph by products of whole matrices."""
    nodes, edges = undirected(rng)
    looped = edges[2] + np.eye(7)
    A = looped / np.sqrt(np.outer(looped.sum(axis=1), looped.sum(axis=1)))
    K = Theta = 1.5**2 * A @ nodes[2] @ nodes[2].T @ A / 4 + 0.3**2
    s = np.sqrt(np.outer(K.diagonal(), K.diagonal()))
    angle = np.arccos(np.clip(K / s, -1, 1))
    np.fill_diagonal(angle, 0)
    F = s * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    K_end = 1.5**2 * A @ F @ A + 0.3**2
    Theta_end = K_end + 1.5**2 * A @ (Theta * (np.pi - angle) / (2 * np.pi)) @ A
    found = reference.kernels(gcn(1, "relu", 1.5, 0.3), Graphs(nodes[2:3], edges[2:3]))
    np.testing.assert_allclose(found, (K_end, Theta_end), rtol=1e-12)


@pytest.mark.parametrize(("readout", "pool"), [("sum", GlobalSumPool()), ("mean", GlobalAvgPool())])
def test_gcn_of_whole_graphs(readout: Any, pool: GlobalSumPool | GlobalAvgPool) -> None:
    """A pool in the place of the last aggregation."""
    hidden: list[Any] = [Aggregate("sym"), Dense(1.1, 0.2), "erf"] * 2
    assert gcn(2, "erf", 1.1, 0.2, readout=readout) == Sequential(*hidden, pool, Dense(1.1, 0.2))


def test_transformer() -> None:
    """Blocks of two residual branches, each with its own numbers."""
    looks = [SelfAttention(2.0), SelfAttention(mechanism="relu", position="concat")]
    net = transformer(2, ["relu", "erf"], [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], 0.1, attention=looks)
    assert net == Sequential(
        Dense(1.0, 0.1),
        Residual(LayerNorm(), looks[0]),
        Residual(LayerNorm(), Dense(1.1, 0.1), "relu", Dense(1.2, 0.1)),
        Residual(LayerNorm(), looks[1]),
        Residual(LayerNorm(), Dense(1.3, 0.1), "erf", Dense(1.4, 0.1)),
        LayerNorm(),
        GlobalAvgPool(),
        Dense(1.5, 0.1),
    )
    assert len(transformer(0)) == 4


NETWORKS = [transformer(3), gcn(2), gcn(readout="sum"), gntk(), gntk(3, 1, False, "degree")]


@pytest.mark.parametrize("net", NETWORKS)
def test_engine(net: Sequential, rng: np.random.Generator) -> None:
    """The same as the reference; of a network that ends with nodes, one graph with itself and with another."""
    graphs = Graphs(*undirected(rng))
    X, Y = (graphs[2], graphs[0]) if net == gcn(2) else (graphs, graphs[::-1])
    close(net.kernels(X), reference.kernels(net, X), 1e-12)
    np.testing.assert_allclose(net.ntk(X, Y), reference.ntk(net, X, Y), rtol=1e-7)  # arccos, of a graph with itself


@pytest.mark.parametrize("net", NETWORKS)
def test_text(net: Sequential) -> None:
    """What they say of themselves is read."""
    assert network(repr(net)) == net


@pytest.mark.parametrize(
    ("text", "net"),
    [
        (
            "transformer(1, 'gelu', attention=SelfAttention(position='sum'))",
            transformer(1, "gelu", attention=SelfAttention(position="sum")),
        ),
        ("gcn(1, 'relu', 2**0.5, readout='mean')", gcn(1, "relu", 2**0.5, readout="mean")),
        ("gntk(2, 1, jumping=False, scale='degree')", gntk(2, 1, False, "degree")),
    ],
)
def test_short_text(text: str, net: Sequential) -> None:
    """As calls of the functions."""
    assert network(text) == net


#: With arguments of any type.
TANGENT: Any = gntk
CONVOLVED: Any = gcn
BLOCKS: Any = transformer


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: TANGENT(0), ValueError, r"blocks must be an integer from 1 to 100, got 0"),
        (lambda: TANGENT(1, 0), ValueError, r"mlp_layers must be an integer >= 1, got 0"),
        (lambda: TANGENT(1, 1, 1), TypeError, r"jumping must be True or False, got 1"),
        (lambda: TANGENT(scale="mean"), ValueError, r"scale must be 'uniform' or 'degree', got 'mean'"),
        (lambda: CONVOLVED(1, readout="max"), ValueError, r"readout must be None or 'sum' or 'mean', got 'max'"),
        (lambda: CONVOLVED(2, "relu", 64), ValueError, r"fastntk's gcn has no widths"),
        (lambda: BLOCKS(-1), ValueError, r"blocks must be an integer >= 0, got -1"),
        (lambda: BLOCKS(2, attention=Dense()), TypeError, r"attention must be a SelfAttention, got Dense"),
        (lambda: BLOCKS(2, attention=[SelfAttention()]), ValueError, r"attention must be one for all or one for"),
        (lambda: BLOCKS(1, d_model=512), TypeError, r"transformer has no 'd_model': the network is infinitely"),
        (lambda: BLOCKS(1, "relu", [1.0] * 3), ValueError, r"sigma_w must be one for .* 4 Dense layers, got 3"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, error: type[Exception], sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(error, match=sentence):
        make()
