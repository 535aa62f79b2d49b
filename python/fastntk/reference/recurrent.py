"""What a recurrent layer does to K and Theta: its recursion, step by step."""

from __future__ import annotations

from math import inf

import numpy as np

from ..layers.recurrent import Recurrent
from .forms import Array
from .quadrature import angle
from .recursion import Rule, State, _behind, _mixed, of_zeros


@_behind.register
def _(layer: Recurrent, state: State, rule: Rule) -> State:
    steps = state.K.shape[1]
    valid = np.ones((len(state.mean), steps), bool) if state.valid is None else state.valid
    last = valid.sum(axis=1, keepdims=True) - 1
    order = np.where(valid, last - np.arange(steps), np.arange(steps))
    backwards = np.eye(steps)[order]
    end = _states(layer, _mixed(state, backwards) if layer.reverse else state, rule)
    if layer.readout is None:
        return _mixed(end, backwards) if layer.reverse else end
    weights = np.eye(steps)[last] if layer.readout == "last" else (valid / (last + 1))[:, None]
    return _mixed(end, weights)._replace(positions=(), valid=None)


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
