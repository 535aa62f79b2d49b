"""Finite networks with attention: heads by hand, derivatives by finite differences, limits of `fastntk.reference`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.derivatives import check_derivatives, check_some_of_many, check_training
from tests.limits import check_limit

from fastntk import (
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    LayerNorm,
    Residual,
    SelfAttention,
    Sequences,
    Sequential,
)
from fastntk.finite import FiniteNetwork, convergence

Array = NDArray[np.float64]

MECHANISMS = ("softmax", "identity", "relu", "abs")


def sequences(*lengths: int, channels: int = 2) -> Sequences:
    """Random ones of these lengths."""
    rng = np.random.default_rng(sum(lengths))
    return Sequences([rng.normal(size=(length, channels)) for length in lengths])


X, Y = sequences(3, 1, 5), sequences(4, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, 4, 4, 2))


def attention(mechanism: Any = "softmax", scaling: Any = "linear", **own: Any) -> SelfAttention:
    """All standard deviations are others."""
    return SelfAttention(1.2, 0.9, 1.1, 0.8, 0.3, mechanism, scaling, **own)


def zeta(mechanism: str, scores: Array) -> Array:
    """What makes weights of scores, in its own words."""
    if mechanism == "softmax":
        return np.asarray(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    return {"identity": scores, "relu": scores * (scores > 0), "abs": abs(scores)}[mechanism]


@pytest.mark.parametrize(("mechanism", "scaling"), [*((one, "linear") for one in MECHANISMS), ("identity", "sqrt")])
def test_heads_by_hand(mechanism: str, scaling: str) -> None:
    """One matrix of queries and keys, divided by their number; or two, divided by its root."""
    network = FiniteNetwork(
        Sequential(attention(mechanism, scaling, heads=3, width=6), GlobalSumPool(), Dense()), 6, rng=0
    )
    weighted = [network.pre_activations(X)[-1]]
    w = [layer.W for layer in network.parameters]
    *scores, value, last = w[:-1]
    assert len(scores) == (1 if scaling == "linear" else 2)
    totals = []
    for one in X:
        x, heads = one.values / 2**0.5, []
        for head in range(3):
            units = slice(2 * head, 2 * head + 2)  # of 6 in all
            q, k = (x @ matrix[units].T for matrix in (scores[0], scores[-1]))
            g = zeta(mechanism, 1.2 * 0.9 * q @ k.T / (2 if scaling == "linear" else 2**0.5))
            heads.append(g @ (1.1 * x @ value[units].T))
        totals.append((0.8 / 6**0.5 * np.hstack(heads) @ last.T + 0.3 * network.parameters[-2].b).sum(axis=0))
    np.testing.assert_allclose(weighted[0], np.array(totals) @ w[-1].T / 6**0.5, rtol=1e-12, atol=1e-13)


def behind(*layers: Any) -> Sequential:
    """Attention, and an end of two layers."""
    return Sequential(*layers, GlobalAvgPool(), Dense(1.0, 0.1), "tanh", Dense())


#: A block of a transformer, layer norm first.
BLOCK = (
    Residual(LayerNorm(), attention(position="sum", heads=2)),
    Residual(LayerNorm(), Dense(1.2, 0.1), "relu", Dense(0.9, 0.2)),
)

NETWORKS: dict[str, Sequential] = {
    **{f"raw, {one}": behind(attention(one)) for one in MECHANISMS},
    **{f"heads, {one}": behind(Dense(), attention(one, heads=2), "tanh", attention(one)) for one in MECHANISMS},
    "sqrt": behind(Dense(), attention("identity", "sqrt", heads=2)),
    "positions": behind(attention(position="sum", position_decay=0.3)),
    "positions beside, in values": behind(attention(position="concat", position_share=0.3, position_in_values=True)),
    "positions, sqrt": behind(attention("identity", "sqrt", position="sum", position_in_values=True)),
    "block": behind(Dense(), *BLOCK),
    "Dropout": behind(Dense(), attention(), "tanh", Dropout(0.3), attention("relu"), Dropout(0.4)),
    "Concat": behind(Concat(attention(), Dense())),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_derivatives(name: str) -> None:
    """Of samples of different lengths: empirical NTK, gradient, directional derivative and Taylor model, to 1e-6."""
    network = FiniteNetwork(NETWORKS[name], 4, 2, rng=1)
    network.read(X)  # which has the longest
    check_derivatives(network, X, Y)
    k = network.empirical_ntk(X)
    np.testing.assert_array_equal(k, k.T)


@pytest.mark.parametrize(
    "net",
    [
        Sequential(Conv(3, 2), "tanh", attention(position="sum"), "relu", Conv(2), Flatten(), Dense()),
        Sequential(Conv(2), attention("abs", heads=2), LayerNorm(), "relu", Dropout(0.2), GlobalAvgPool(), Dense()),
        Sequential(attention(position="concat", position_decay=0.4), "tanh", GlobalAvgPool(), Dense()),
    ],
)
def test_derivatives_on_images(net: Sequential) -> None:
    """Between convolutions."""
    check_derivatives(FiniteNetwork(net, 4, 2, rng=0), IMAGES, IMAGES[:2] + 0.1)


def test_arrays_are_sequences_of_one_length() -> None:
    """Outputs and kernels, with the same parameters."""
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    one, other = (FiniteNetwork(NETWORKS["block"], 6, 2, rng=0) for _ in range(2))
    np.testing.assert_allclose(one.forward(x), other.forward(Sequences(x)), rtol=1e-12)
    ntk = other.empirical_ntk(Sequences(x), outputs="all")
    np.testing.assert_allclose(one.empirical_ntk(x, outputs="all"), ntk, rtol=1e-10, atol=1e-12 * ntk.max())


def test_samples_do_not_depend_on_others() -> None:
    """Some of many, masks too; and one alone."""
    check_some_of_many(FiniteNetwork(NETWORKS["Dropout"], 6, 2, rng=0), X)
    alone = FiniteNetwork(NETWORKS["block"], 6, 2, rng=0)
    np.testing.assert_allclose(alone.forward(X)[1:2], alone.forward(X[1]), rtol=1e-12)


# Limits: means over networks, which are those of many units of a head, or of many heads

WIDTH, DRAWS = 256, 80

LIMITS: dict[str, Sequential] = {
    "softmax": Sequential(Dense(1.5, 0.2), attention(), "relu", GlobalAvgPool(), Dense()),
    "raw": Sequential(attention(), GlobalSumPool(), Dense()),
    "two": Sequential(Dense(), attention(), attention(heads=2), GlobalAvgPool(), Dense()),
    "relu": Sequential(Dense(1.0, 0.3), SelfAttention(1.0, 0.7, mechanism="relu"), GlobalAvgPool(), Dense()),
    "abs": Sequential(Dense(1.0, 0.3), SelfAttention(1.0, 0.7, mechanism="abs"), "erf", GlobalAvgPool(), Dense()),
    "sqrt": Sequential(Dense(), attention("identity", "sqrt", heads=64), GlobalSumPool(), Dense()),
    "positions": Sequential(attention(position="sum", position_decay=0.5), GlobalSumPool(), Dense()),
    "positions in values": Sequential(
        Dense(), attention(position="concat", position_share=0.3, position_in_values=True), GlobalSumPool(), Dense()
    ),
    "block": Sequential(Dense(), *BLOCK, LayerNorm(), GlobalAvgPool(), Dense()),
}


@pytest.mark.sweep
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    """Means over networks are the kernels of the reference, within their errors."""
    check_limit(LIMITS[name], X, width=WIDTH, draws=DRAWS, most=0.035)


@pytest.mark.sweep
@pytest.mark.parametrize("decay", [None, 0.5])
def test_limit_on_images(decay: float | None) -> None:
    """Behind a convolution, on arrays."""
    net = Sequential(Conv(3, 2), "relu", attention(position="sum", position_decay=decay), "relu", Flatten(), Dense())
    check_limit(net, IMAGES, width=WIDTH, draws=20)


# What is made of them


def test_training() -> None:
    """A step is that of the empirical NTK."""
    run = check_training(FiniteNetwork(NETWORKS["block"], 20, rng=0), X, np.array([1.0, -1.0, 0.5]), Y)
    assert run.test_predicted.shape == (3, 2, 1)


def test_errors() -> None:
    """What cannot be done says so before work starts."""
    ends = Sequential(Dense(), attention())
    with pytest.raises(ValueError, match=r"^the network ends with the steps of each sample"):
        FiniteNetwork(ends, 4).forward(X)
    with pytest.raises(ValueError, match=r"of whole samples, and this one ends with their nodes"):
        FiniteNetwork(ends, 4).forward(X[0])
    network = FiniteNetwork(NETWORKS["positions"], 4, rng=0)
    network.forward(Y)
    with pytest.raises(ValueError, match=r"a sample has 5 positions, and features were drawn for 4"):
        network.forward(X)
    with pytest.raises(ValueError, match=r"^convergence compares layer by layer, and SelfAttention"):
        convergence(NETWORKS["block"], X)
    with pytest.raises(ValueError, match=r"cannot have .*of 4 units none is left for each of 8 heads"):
        FiniteNetwork(behind(attention(heads=8)), 4)
    with pytest.raises(ValueError, match=r"^Y has samples of shape \(nodes, 3\), but the network .*\(nodes, 2\)"):
        network.empirical_ntk(Y, sequences(2, 3, channels=3))
