"""Finite graph networks: by hand, derivatives by finite differences, limits of `fastntk.reference`."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.derivatives import Instead, check_derivatives, check_some_of_many, check_training, jacobian
from tests.limits import check_limit

from fastntk import (
    Aggregate,
    Concat,
    Dense,
    Dropout,
    GlobalAvgPool,
    GlobalSumPool,
    Graphs,
    Identity,
    LayerNorm,
    Residual,
    SelfAttention,
    Sequential,
    Sum,
)
from fastntk.finite import FiniteNetwork, convergence, output_distribution

Array = NDArray[np.float64]


def graphs(*sizes: int, seed: int = 0) -> Graphs:
    """Random ones with as many nodes; edges have directions and weights."""
    rng = np.random.default_rng(seed)
    edges = [rng.uniform(size=(size, size)) * rng.integers(0, 2, (size, size)) for size in sizes]
    return Graphs([rng.normal(size=(size, 2)) for size in sizes], edges)


X, Y = graphs(4, 1, 3), graphs(2, 5, seed=1)

MEAN, SYM, ALONE = Aggregate("mean"), Aggregate("sym"), Aggregate(self_loops=False)


def by_hand(layer: Aggregate, one: Graphs) -> Array:
    """The matrix of a graph, entry by entry."""
    a = one.adjacency.toarray().T + (np.eye(len(one.values)) if layer.self_loops else 0)
    degree = [float(sum(row)) for row in a]
    powers = {None: (0, 0), "mean": (1, 0), "sym": (0.5, 0.5)}[layer.normalize]
    found = np.zeros(a.shape)
    for i, j in np.argwhere(a):
        found[i, j] = a[i, j] / (degree[i] ** powers[0] * degree[j] ** powers[1])
    return found


@pytest.mark.parametrize("layer", [Aggregate(), MEAN, SYM, ALONE])
def test_forward(layer: Aggregate) -> None:
    """Two blocks and a sum over nodes, graph by graph."""
    net = Sequential(layer, Dense(1.2, 0.3), "tanh", layer, Dense(0.9), "tanh", GlobalSumPool(), Dense())
    network = FiniteNetwork(net, 5, rng=0)
    outputs = network.forward(X)
    (u, a), (v, _), (w, _) = network.parameters
    for one, out in zip(X, outputs, strict=True):
        m = by_hand(layer, one)
        h = np.tanh(1.2 / 2**0.5 * m @ one.values @ u.T + 0.3 * a)
        h = np.tanh(0.9 / 5**0.5 * m @ h @ v.T).sum(axis=0)
        np.testing.assert_allclose(out, h @ w.T / 5**0.5, rtol=1e-12)


#: Readouts of all blocks, added up.
JUMPING = Sequential(
    Aggregate(), Dense(), "relu",
    Sum(Dense(2**0.5), Sequential(Aggregate(), Dense(2**0.5), "relu", Dense(2**0.5), "relu", Dense(2**0.5))),
    GlobalSumPool(),
)  # fmt: skip

NETWORKS: dict[str, Sequential] = {
    "sum": Sequential(Aggregate(), Dense(1.2, 0.3), "tanh", Aggregate(), Dense(), "relu", GlobalSumPool(), Dense()),
    "mean": Sequential(MEAN, Dense(), "tanh", Dense(), "tanh", MEAN, GlobalAvgPool(), Dense(1.0, 0.1)),
    "sym": Sequential(Dense(), SYM, "tanh", SYM, GlobalAvgPool(), Dense(), "tanh", Dense()),
    "jumping": JUMPING,
    "readouts in branches": Sequential(
        MEAN, Dense(), "tanh", Sum(Sequential(GlobalSumPool(), Dense()), Sequential(SYM, GlobalAvgPool(), Dense()))
    ),
    "Residual": Sequential(Dense(), Residual("tanh", SYM, Dense()), LayerNorm(), "tanh", GlobalSumPool(), Dense()),
    "Concat": Sequential(Dense(), Concat(Identity(), Sequential(MEAN, Dense())), GlobalSumPool(), Dense()),
    "Dropout": Sequential(SYM, Dense(), "tanh", Dropout(0.3), SYM, GlobalSumPool(), Dropout(0.4), Dense()),
    "attention": Sequential(MEAN, Dense(), SelfAttention(0.8, heads=2), "tanh", GlobalSumPool(), Dense()),
    "no layer that mixes": Sequential(Dense(), "tanh", GlobalAvgPool(), Dense(1.1, 0.2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_derivatives(name: str) -> None:
    """Empirical NTK, gradient, directional derivative and Taylor model, to 1e-6."""
    network = FiniteNetwork(NETWORKS[name], 4, 4 if name == "jumping" else 2, rng=1)
    check_derivatives(network, X, Y)
    k = network.empirical_ntk(X)
    np.testing.assert_array_equal(k, k.T)


def test_kernels_of_hidden_layers() -> None:
    """Of nodes the mean over all pairs: Theta by differences of the mean of a unit, and K of products."""
    network = FiniteNetwork(NETWORKS["sum"], 3, rng=1)
    x = network.read(X)
    nodes = [slice(*X.starts[i : i + 2]) for i in range(3)]

    def mean(i: int) -> Array:
        z = network.pre_activations(x)[i]
        return np.array([z[at].mean(axis=0) for at in nodes] if len(z) > 3 else z)

    for i in range(3):
        j = jacobian(Instead(network, lambda _, i=i: mean(i)[:, 0]), None)  # type: ignore[arg-type, misc]
        wanted = np.einsum("pn,pm->nm", j, j)
        assert np.abs(network.empirical_ntk(x, layer=i) - wanted).max() <= 1e-6 * np.abs(wanted).max()
    given = network.propagate(x).given[1]
    k = np.array([[np.mean(given[one] @ given[other].T) / given.shape[1] for other in nodes] for one in nodes])
    np.testing.assert_allclose(network.empirical_nngp(x)[1], k, rtol=1e-12)


def test_samples_do_not_depend_on_others() -> None:
    """Some of many, masks too; in whatever panels rows are taken."""
    network = FiniteNetwork(NETWORKS["Dropout"], 6, 2, rng=0)
    check_some_of_many(network, X)
    x = network.read(X)
    ntk, f = network.empirical_ntk(x), network.forward(x)
    gradient = network.gradient(x, np.ones_like(f))
    network.panels = lambda rows, *_: (slice(i, i + 1) for i in range(rows))  # type: ignore[method-assign]
    np.testing.assert_allclose(network.empirical_ntk(x), ntk, rtol=1e-12)
    for one, other in zip(network.gradient(x, np.ones_like(f)), gradient, strict=True):
        np.testing.assert_allclose(one.W, other.W, rtol=1e-10, atol=1e-13)


def test_order_of_nodes() -> None:
    """Is nothing but rounding."""
    order = np.random.default_rng(0).permutation(4)
    features, edges = X[0].values, X[0].adjacency.toarray()
    turned = Graphs([features[order]], [edges[np.ix_(order, order)]])
    for name in ("sum", "sym", "attention"):
        network = FiniteNetwork(NETWORKS[name], 6, rng=0)
        np.testing.assert_allclose(network.forward(turned), network.forward(X[0]), rtol=1e-12)
        np.testing.assert_allclose(network.empirical_ntk(turned), network.empirical_ntk(X[0]), rtol=1e-12)


def test_small_graphs() -> None:
    """Without nodes, of one node, without edges; and none at all."""
    few = Graphs([np.zeros((0, 2)), np.ones((1, 2)), np.ones((3, 2))], [np.zeros((n, n)) for n in (0, 1, 3)])
    for name in ("mean", "attention"):
        network = FiniteNetwork(NETWORKS[name], 6, rng=0)
        f, ntk = network.forward(few), network.empirical_ntk(few)
        np.testing.assert_allclose(f[0], network.parameters[-1].b * (0.1 if name == "mean" else 0), rtol=1e-12)
        assert np.isfinite(ntk).all()
        assert ntk[0, 0] == pytest.approx(0.01 if name == "mean" else 0)
        assert network.forward(few[:0]).shape == (0, 1)
        assert network.empirical_ntk(few, few[:0]).shape == (3, 0)


# Limits: means over networks

WIDTH, DRAWS = 256, 80

LIMITS: dict[str, Sequential] = {
    "sum": Sequential(Aggregate(), Dense(1.2, 0.3), "erf", Aggregate(), Dense(), "relu", GlobalSumPool(), Dense()),
    "mean": Sequential(MEAN, Dense(2), "relu", Dense(), "relu", MEAN, Dense(), "erf", GlobalAvgPool(), Dense()),
    "sym": Sequential(SYM, Dense(1.5), "relu", SYM, GlobalSumPool(), Dense()),
    "Residual": Sequential(Dense(), Residual("relu", SYM, Dense()), LayerNorm(), "erf", GlobalSumPool(), Dense()),
    "Dropout": Sequential(SYM, Dense(), "relu", Dropout(0.3), SYM, GlobalSumPool(), Dropout(0.4), Dense()),
    "attention": Sequential(MEAN, Dense(), SelfAttention(0.8), "relu", GlobalSumPool(), Dense()),
    "jumping": Sequential(*JUMPING, Dense()),
}  # fmt: skip


@pytest.mark.sweep
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    """Means over networks are the kernels of the reference, within their errors."""
    check_limit(LIMITS[name], X, width=WIDTH, draws=DRAWS, most=0.035)


@pytest.mark.sweep
def test_jumping_knowledge_ends_with_many_outputs() -> None:
    """Readouts of Dense layers, one for each block: outputs are as many as units."""
    check_limit(JUMPING, X, width=WIDTH, draws=DRAWS, most=0.1)


@pytest.mark.sweep
def test_masks_of_other_graphs() -> None:
    """Equal graphs of two sets are different samples."""
    check_limit(LIMITS["Dropout"], X, X[1:], width=WIDTH, draws=DRAWS)


# What is made of them


def test_training() -> None:
    """A step is that of the empirical NTK."""
    check_training(FiniteNetwork(NETWORKS["sum"], 20, rng=0), X, np.array([1.0, -1.0, 0.5]), Y)


@pytest.mark.sweep
def test_convergence() -> None:
    """Of every layer with others before it; of nodes the mean over all pairs."""
    net = Sequential(SYM, Dense(), "relu", SYM, Dense(), "relu", GlobalSumPool(), Dense())
    found = convergence(net, X, (16, 64, 256), draws=20, rng=0)
    assert found.nngp_errors.shape == (3, 20, 2)
    assert np.abs(found.nngp_exponent + 0.5).max() < 0.15
    assert np.abs(found.ntk_exponent + 0.5).max() < 0.15


def test_outputs() -> None:
    """Their covariance is that of the limit."""
    found = output_distribution(NETWORKS["mean"], X, 64, 400, rng=0)
    assert (np.abs(found.covariance - found.gp_covariance) <= 5 * found.covariance_error + 5 / 64).all()


def test_errors() -> None:
    """What is no graph says so."""
    with pytest.raises(ValueError, match=r"Aggregate\(\), is for graphs|Aggregate is for the nodes of graphs"):
        FiniteNetwork(NETWORKS["sum"], 4).forward(np.ones((2, 3, 2)))
