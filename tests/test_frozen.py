"""Layers that are not trained: they contribute to K but not to Theta."""

from __future__ import annotations

import numpy as np
import pytest

import fastntk
from fastntk import Activation, Dense, Sequential, mlp

X = np.random.default_rng(0).normal(size=(12, 5))
SIGMAS = [(1.3, 0.2), (1.1, 0.0), (0.9, 0.4), (1.2, 0.1)]


def network(trainable: list[bool], activation: str = "relu") -> Sequential:
    """Three hidden layers, each Dense with its own sigmas."""
    dense = [Dense(*sigma, trainable=flag) for sigma, flag in zip(SIGMAS, trainable, strict=True)]
    hidden = Activation(activation)
    return Sequential(dense[0], *(layer for d in dense[1:] for layer in (hidden, d)))


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh"])
def test_theta_is_the_sum_over_trained_layers(activation: str) -> None:
    """Theta is linear in what each layer adds, and K knows nothing of training."""
    whole = network([True] * 4, activation)
    alone = [network([i == only for i in range(4)], activation) for only in range(4)]
    np.testing.assert_allclose(sum(net.ntk(X) for net in alone), whole.ntk(X), rtol=1e-13)
    for net in alone:
        np.testing.assert_array_equal(net.nngp(X), whole.nngp(X))


@pytest.mark.parametrize("frozen", range(5))
def test_against_the_reference(frozen: int) -> None:
    """Kernel and diagonal."""
    net = network([i >= frozen for i in range(4)])
    np.testing.assert_allclose(net.ntk(X), fastntk.reference.ntk(net, X), rtol=1e-11)
    np.testing.assert_allclose(net.ntk.diag(X), np.diag(net.ntk(X)), rtol=1e-13)


def test_only_the_last_layer_is_the_nngp() -> None:
    """The NTK of a network whose last layer alone is trained is its NNGP kernel (random features)."""
    K, T = mlp(3, "relu", 1.4, 0.1, frozen=3).kernels(X)
    np.testing.assert_array_equal(T, K)
    assert not mlp(3, frozen=4).ntk(X).any()


def test_one_polynomial_in_the_angle_knows_of_it() -> None:
    """The shortcut for networks of one variable gives the same."""
    x = np.random.default_rng(1).normal(size=(1100, 3))
    net = mlp(9, "relu", 2**0.5, frozen=4)
    scale = np.abs(net.ntk.diag(x)).max()
    np.testing.assert_allclose(net.ntk(x), net.ntk(x, univariate=False), atol=1e-14 * scale, rtol=1e-13)


def test_names() -> None:
    """Which layers `mlp` freezes, representation, equality, errors."""
    assert mlp(2, frozen=1).layers[::2] == (Dense(trainable=False), Dense(), Dense())
    assert repr(Dense(1.5, trainable=False)) == "Dense(sigma_w=1.5, sigma_b=0.0, trainable=False)"
    assert Dense() != Dense(trainable=False)
    for frozen in (-1, 4):
        with pytest.raises(ValueError, match="frozen must be an integer from 0 to 3"):
            mlp(2, frozen=frozen)
    with pytest.raises(TypeError, match="trainable must be True or False"):
        Dense(trainable=1)  # type: ignore[arg-type]
