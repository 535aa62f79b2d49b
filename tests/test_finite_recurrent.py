"""Finite recurrent networks: by a loop over steps, derivatives by differences, limits of `fastntk.reference`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.derivatives import Instead, check_derivatives, check_training, jacobian
from tests.limits import check_limit

from fastntk import (
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    GlobalSumPool,
    LayerNorm,
    Recurrent,
    Residual,
    SelfAttention,
    Sequences,
    Sequential,
    rnn,
)
from fastntk.finite import FiniteNetwork, convergence, output_distribution

Array = NDArray[np.float64]


def sequences(*lengths: int) -> Sequences:
    """Random ones of these lengths."""
    rng = np.random.default_rng(sum(lengths))
    return Sequences([rng.normal(size=(length, 2)) for length in lengths])


X, Y = sequences(3, 1, 5), sequences(4, 2)


def recurrent(activation: str = "tanh", **own: Any) -> Recurrent:
    """All standard deviations are others."""
    return Recurrent(activation, 1.2, 0.9, 0.3, **own)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("readout", ["last", "mean", None])
def test_forward(readout: Any, reverse: bool) -> None:
    """One step after the other, from either end."""
    pool = [GlobalSumPool()] if readout is None else []
    network = FiniteNetwork(Sequential(recurrent(readout=readout, reverse=reverse), *pool, Dense()), 5, rng=0)
    outputs = network.forward(X)
    (u, b), (w, _), (v, _) = network.parameters
    for one, out in zip(X, outputs, strict=True):
        h, states = np.zeros(5), []
        for x in one.values[::-1] if reverse else one.values:
            h = np.tanh(1.2 / 5**0.5 * w @ h + 0.9 / 2**0.5 * u @ x + 0.3 * b)
            states.append(h)
        end = {"last": h, "mean": np.mean(states, axis=0), None: np.sum(states, axis=0)}[readout]
        np.testing.assert_allclose(out, v @ end / 5**0.5, rtol=1e-12)


def test_states_stay_at_their_steps() -> None:
    """Of a layer that reads from the end, too: a Dense behind it is at each step."""
    network = FiniteNetwork(
        Sequential(recurrent(readout=None, reverse=True), Dense(), GlobalSumPool(), Dense()), 4, rng=0
    )
    states = network.propagate(network.read(X)).given[2]
    (u, b), (w, _), *_ = network.parameters
    last = X[2].values[-1]
    np.testing.assert_allclose(states[-1], np.tanh(0.9 / 2**0.5 * u @ last + 0.3 * b), rtol=1e-12)
    before = np.tanh(0.6 * w @ states[-1] + 0.9 / 2**0.5 * u @ X[2].values[-2] + 0.3 * b)
    np.testing.assert_allclose(states[-2], before, rtol=1e-12)


NETWORKS: dict[str, Sequential] = {
    "last": Sequential(recurrent(), Dense(1.0, 0.1)),
    "mean": Sequential(recurrent("relu", readout="mean", reverse=True), Dense(), "tanh", Dense()),
    "states": Sequential(Dense(), recurrent(readout=None), Dropout(0.3), GlobalAvgPool(), Dense(), "tanh", Dense()),
    "reversed states": Sequential(recurrent(readout=None, reverse=True), Dense(), "tanh", GlobalSumPool(), Dense()),
    "stacked": rnn(3, "tanh", 1.2, 0.9, 0.3),
    "both directions": rnn(2, "tanh", 1.2, 0.9, 0.3, bidirectional=True),
    "both directions, mean": rnn(2, "relu", 1.2, 0.9, 0.3, readout="mean", bidirectional=True),
    "Residual": Sequential(
        Dense(), Residual(recurrent(readout=None), Dense()), LayerNorm(), "tanh", GlobalAvgPool(), Dense()
    ),
    "with attention": Sequential(recurrent(readout=None), SelfAttention(heads=2), recurrent(), Dense()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_derivatives(name: str) -> None:
    """Weights of all steps are the same: gradients sum over steps. To 1e-6, of samples of different lengths."""
    network = FiniteNetwork(NETWORKS[name], 4, 2, rng=1)
    check_derivatives(network, X, Y)
    k = network.empirical_ntk(X)
    np.testing.assert_array_equal(k, k.T)


def test_derivatives_on_arrays() -> None:
    """Behind a convolution; as of Sequences of one length."""
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    net = Sequential(Conv(3, 2), recurrent(readout=None, reverse=True), Conv(2), "tanh", GlobalAvgPool(), Dense())
    check_derivatives(FiniteNetwork(net, 4, 2, rng=0), x, x[:2] + 0.1)
    one, other = (FiniteNetwork(NETWORKS["both directions"], 6, rng=0) for _ in range(2))
    np.testing.assert_allclose(one.forward(x), other.forward(Sequences(x)), rtol=1e-12)
    np.testing.assert_allclose(one.empirical_ntk(x), other.empirical_ntk(Sequences(x)), rtol=1e-12)


def test_kernels_of_hidden_layers() -> None:
    """Of what the whole layer gives: of its states, read as they are."""
    network = FiniteNetwork(NETWORKS["last"], 3, rng=1)
    x = network.read(X)

    def state(_: Any) -> Array:
        return network.propagate(x).given[2][:, :1]

    j = jacobian(Instead(network, lambda x: state(x)[:, 0]), None)  # type: ignore[arg-type]
    wanted = np.einsum("pn,pm->nm", j, j)
    for i in (0, 1):
        assert np.abs(network.empirical_ntk(x, layer=i) - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_widths() -> None:
    """A recurrent layer is one: of its own width, or one in a list."""
    network = FiniteNetwork(rnn(2, "tanh"), [7, 5], rng=0, n_inputs=(4, 2))
    assert [layer.W.shape for layer in network.parameters] == [(7, 2), (7, 7), (5, 7), (5, 5), (1, 5)]
    halves = FiniteNetwork(NETWORKS["both directions"], 9, rng=0, n_inputs=(4, 2))
    assert [layer.W.shape[0] for layer in halves.parameters] == [5, 5, 4, 4, 5, 5, 4, 4, 1]
    own = FiniteNetwork(Sequential(recurrent(width=6), Dense(parametrization="standard")), rng=0, n_inputs=(4, 2))
    assert own.parameters[-1].W.shape == (1, 6)
    assert own.weighted[0] == Dense(0.9, 0.3, width=6)


# Limits: means over networks

WIDTH, DRAWS = 256, 80

LIMITS: dict[str, Sequential] = {
    "relu, last": Sequential(Recurrent("relu", 2**0.5, 1.0, 0.3), Dense(1.2, 0.1)),
    "relu, mean": Sequential(Recurrent("relu", 1.2, 1.0, 0.3, readout="mean"), Dense()),
    "erf, last": Sequential(Recurrent("erf", 1.5, 0.9, 0.3, reverse=True), Dense()),
    "erf, mean": Sequential(Recurrent("erf", 1.5, 0.9, 0.3, readout="mean"), Dense()),
    "states": Sequential(Dense(), Recurrent("relu", 1.2, readout=None), Dense(), "erf", GlobalSumPool(), Dense()),
    "stacked": rnn(2, "erf", 1.3, 0.9, 0.2),
    "both directions": rnn(2, "relu", 1.2, 1.0, 0.3, bidirectional=True),
    "both directions, mean": rnn(2, "relu", 1.2, 1.0, 0.3, readout="mean", bidirectional=True),
}  # fmt: skip


@pytest.mark.sweep
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    """Means over networks are the kernels of the reference, within their errors."""
    check_limit(LIMITS[name], X, width=WIDTH, draws=DRAWS, most=0.035)


# What is made of them


def test_training() -> None:
    """A step is that of the empirical NTK."""
    check_training(FiniteNetwork(NETWORKS["both directions"], 20, rng=0), X, np.array([1.0, -1.0, 0.5]), Y)


def test_outputs() -> None:
    """Their covariance is that of the limit."""
    found = output_distribution(NETWORKS["last"], X, 64, 400, rng=0)
    assert (np.abs(found.covariance - found.gp_covariance) <= 5 * found.covariance_error + 5 / 64).all()


def test_errors() -> None:
    """What cannot be done says so before work starts."""
    with pytest.raises(ValueError, match=r"^convergence compares layer by layer, and Recurrent"):
        convergence(NETWORKS["last"], X)
    with pytest.raises(ValueError, match=r"width is needed, .*Recurrent"):
        FiniteNetwork(NETWORKS["last"])
