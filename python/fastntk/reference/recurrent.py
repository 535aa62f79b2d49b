"""What a recurrent layer does to K and Theta: its recursion, step by step."""

from __future__ import annotations

import numpy as np

from ..layers.recurrent import Recurrent
from .forms import Array, Pair
from .quadrature import angle
from .recursion import Rule, State, _behind, _dual, _mean, _moved, of_zeros


@_behind.register
def _(layer: Recurrent, state: State, rule: Rule) -> State:
    ordered = _backwards(state) if layer.reverse else state
    end = _states(layer, ordered, rule)
    if layer.readout is None:
        return _backwards(end) if layer.reverse else end
    lengths = state.mask.sum(axis=1, keepdims=True)
    weights = state.mask / np.maximum(lengths, 1)
    if layer.readout == "last":
        weights = (np.arange(state.mask.shape[1]) == lengths - 1).astype(float)
    first, second = end.of_both(weights)
    mean = (weights * end.mean).sum(axis=1, keepdims=True)
    read = _moved(end, lambda k: (first * k * second).sum(axis=(1, 2), keepdims=True), mean, ())
    return read._replace(mask=np.ones_like(mean, dtype=bool))


def _states(layer: Recurrent, state: State, rule: Rule) -> State:
    """The states of all steps, which are read as they come."""
    dual, w2, u2, b2 = _dual(layer.activation, rule), layer.sigma_w**2, layer.sigma_u**2, layer.sigma_b**2
    q = u2 * state.variance + b2
    for before, now in zip(q.T[:-1], q.T[1:], strict=True):
        now += w2 * dual(Pair(before, before, before, np.zeros_like(before)))[0]
    q1, q2 = state.of_both(q)
    K = u2 * state.K + b2
    Theta = K + u2 * state.Theta

    def behind(t: slice, u: slice) -> tuple[Array, Array]:
        """F and F' at steps t of the first and u of the second of each pair."""
        c, v1, v2 = K[:, t, u], q1[:, t], q2[:, :, u]
        return dual(Pair(c, v1, v2, np.where(state.same[:, t, u], 0, angle(c, v1, v2, of_zeros(v1, v2)))))

    for t in range(1, K.shape[1]):
        F, slope = behind(slice(t - 1, t), slice(-1))
        K[:, t, 1:] += w2 * F[:, 0]
        Theta[:, t, 1:] += w2 * (F + slope * Theta[:, t - 1 : t, :-1])[:, 0]
    F, slope = behind(slice(None), slice(None))
    return state._replace(K=F, Theta=slope * Theta, mean=_mean(layer.activation, q, rule))


def _backwards(state: State) -> State:
    """The steps of each sample from the last to the first, those that it has not still behind them."""
    step, lengths = np.indices(state.mask.shape)[1], state.mask.sum(axis=1, keepdims=True)
    order = np.where(state.mask, lengths - 1 - step, step)
    first, second = order[state.pairs.first][:, :, None], order[state.pairs.second][:, None, :]
    mean = np.take_along_axis(state.mean, order, axis=1)

    def reordered(k: Array) -> Array:
        return np.take_along_axis(np.take_along_axis(k, first, axis=1), second, axis=2)

    return _moved(state, reordered, mean, state.positions)
