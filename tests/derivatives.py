"""Derivatives of finite networks, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk.finite import FiniteNetwork, Trained, train

Array = NDArray[np.float64]


def jacobian(network: FiniteNetwork, x: Any) -> Array:
    """Of all trainable parameters by central differences, of shape (parameters, n, outputs)."""
    rows = []
    for dense, layer in zip(network.weighted, network.parameters, strict=True):
        for part in layer if dense.trainable else ():
            for at in np.ndindex(part.shape):
                here, step = part[at], 1e-5
                part[at] = here + step
                above = network.forward(x)
                part[at] = here - step
                rows.append((above - network.forward(x)) / (2 * step))
                part[at] = here
    return np.array(rows)


def check_derivatives(network: FiniteNetwork, X: Any, Y: Any) -> None:
    """Empirical NTK, gradient, directional derivative and Taylor model, to 1e-6."""
    x, y = network.read(X), network.read(Y)
    jx, jy = jacobian(network, x), jacobian(network, y)
    every = np.einsum("pnk,pml->nmkl", jx, jy)
    size = max(1.0, np.sqrt(np.sum(jx**2) * np.sum(jy**2)))

    def close(found: Array, wanted: Array, size: float) -> None:
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= 1e-6 * size

    close(network.empirical_ntk(x, y, outputs="all"), every, size)
    close(network.empirical_ntk(x, y, outputs="trace"), np.einsum("nmkk->nm", every), size)
    close(network.empirical_ntk(x, outputs=1), np.einsum("pn,pm->nm", jx[..., 1], jx[..., 1]), np.sum(jx**2))
    cotangents = np.random.default_rng(3).normal(size=(len(X), network.n_outputs))
    gradient = network.gradient(x, cotangents)
    each = list(zip(network.weighted, gradient, strict=True))
    moving = [part.ravel() for layer, own in each if layer.trainable for part in own]
    frozen = [part for layer, own in each if not layer.trainable for part in own]
    close(np.concatenate(moving), np.einsum("pnk,nk->p", jx, cotangents), np.abs(jx).sum())
    assert not any(part.any() for part in frozen)
    direction = [(np.ones_like(layer.W), np.ones_like(layer.b)) for layer in network.parameters]
    close(network.derivative(x, direction), jx.sum(axis=0), np.abs(jx).sum())
    linear, moved = network.linearize(x), network.copy()
    for layer in moved.parameters:
        layer.W[:] += 1e-3
        layer.b[:] += 1e-3
    close(linear.outputs(moved.parameters), linear.f0 + 1e-3 * jx.sum(axis=0), np.abs(jx).sum())


def check_training(network: FiniteNetwork, X: Any, y: Array, others: Any) -> Trained:
    """One small step of gradient descent moves the outputs by -rate Theta (f - y), and ten of them in proportion."""
    x = network.read(X)
    f = network.forward(x)[:, 0]
    run = train(network, x, y, [0, 1, 10], others, learning_rate=1e-5)
    np.testing.assert_array_equal(run.outputs[0, :, 0], f)
    step = -1e-5 * network.empirical_ntk(x) @ (f - y)
    np.testing.assert_allclose(run.outputs[1, :, 0] - f, step, rtol=1e-3)
    np.testing.assert_allclose(run.outputs[2] - run.linearized[2], 0, atol=1e-3 * np.abs(10 * step).max())
    assert (np.diff(run.loss) < 0).all()
    return run


def check_some_of_many(network: FiniteNetwork, X: Any) -> None:
    """Some samples, masks too, give what they give among all."""
    x = network.read(X)
    np.testing.assert_allclose(network.forward(x[1:]), network.forward(x)[1:], rtol=1e-12)
    np.testing.assert_allclose(network.empirical_ntk(x[1:], x[:2]), network.empirical_ntk(x)[1:, :2], rtol=1e-12)


class Instead:
    """A network whose outputs are others."""

    def __init__(self, network: FiniteNetwork, forward: Callable[[Any], Array]) -> None:
        self.weighted, self.parameters, self.forward = network.weighted, network.parameters, forward
