"""What a recurrent layer does to K and Theta: its recursion, step by step."""

from __future__ import annotations

from math import inf

import numpy as np

from ..layers.recurrent import Recurrent
from .forms import Array
from .quadrature import angle
from .recursion import Rule, State, _behind, _moved, of_zeros


@_behind.register
def _(layer: Recurrent, state: State, rule: Rule) -> State:
    ordered = _backwards(state) if layer.reverse else state
    end = _states(layer, ordered, rule)
    if layer.readout is None:
        return _backwards(end) if layer.reverse else end
    lengths = state.mask.sum(axis=1, keepdims=True)
    weights = state.mask / lengths
    if layer.readout == "last":
        weights = (np.arange(state.mask.shape[1]) == lengths - 1).astype(float)
    first, second = end.of_both(weights)
    mean = (weights * end.mean).sum(axis=1, keepdims=True)
    read = _moved(end, lambda k: (first * k * second).sum(axis=(1, 2), keepdims=True), mean, ())
    return read._replace(mask=np.ones_like(mean, dtype=bool))


def _states(layer: Recurrent, state: State, rule: Rule) -> State:
    """The states of all steps, which are read as they come: once more, until the last step is right too."""
    w2, u2, b2 = layer.sigma_w**2, layer.sigma_u**2, layer.sigma_b**2
    own = u2 * state.K + b2
    z = _gaussians(state, own, own + u2 * state.Theta)
    for _ in range(1, own.shape[1]):
        h = _behind(layer.activation, z, rule)
        K, Theta = (w2 * np.pad(k[:, :-1, :-1], ((0, 0), (1, 0), (1, 0))) for k in (h.K, h.Theta))
        K = K + own
        z = _gaussians(state, K, K + Theta + u2 * state.Theta)
    return _behind(layer.activation, z, rule)._replace(units=inf if layer.width is None else layer.width)


def _gaussians(state: State, K: Array, Theta: Array) -> State:
    """What is behind weights that sum over what comes in and the state before."""
    z = state._replace(K=K, Theta=Theta)
    q1, q2 = z.of_both(z.variance)
    return z._replace(theta=np.where(z.same, 0, angle(K, q1, q2, of_zeros(q1, q2))))


def _backwards(state: State) -> State:
    """The steps of each sample from the last to the first, those that it has not still behind them."""
    step, lengths = np.indices(state.mask.shape)[1], state.mask.sum(axis=1, keepdims=True)
    order = np.where(state.mask, lengths - 1 - step, step)
    first, second = order[state.pairs.first][:, :, None], order[state.pairs.second][:, None, :]
    mean = np.take_along_axis(state.mean, order, axis=1)

    def reordered(k: Array) -> Array:
        return np.take_along_axis(np.take_along_axis(k, first, axis=1), second, axis=2)

    return _moved(state, reordered, mean, state.positions)
