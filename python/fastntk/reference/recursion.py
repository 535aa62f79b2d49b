"""What each layer does to K and Theta in `reference`, and to the rest that is known of two sets of samples.

Nothing is shared with the engine: K, q1 and q2 are plain arrays here, not gaps and tables. What an activation
does to a Gaussian pair is either its textbook closed form or a tensor Gauss-Hermite rule on phi and phi'.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from math import inf
from typing import Literal, NamedTuple

import numpy as np
from numpy import cos, sqrt
from numpy.typing import NDArray

from ..layers.activation import Activation
from ..layers.base import Layer, Layers
from ..layers.branching import Branching
from ..layers.concat import Concat
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.identity import Identity
from ..layers.layer_norm import LayerNorm
from ..layers.product import Product
from ..layers.sum import Sum
from .forms import CLOSED_FORMS, Array, Dual, Pair
from .means import MEANS, kinks
from .quadrature import angle, mean_by_hermite, mean_in_panels, tensor_rule

How = Literal["closed_form", "quadrature"]

#: Stand for a variance that tends to 0: at the first erf(b x) is b x to rounding; at the other x^20 is in range.
_VANISHING = (1e-30, 1e-14)


class Rule(NamedTuple):
    """How activations act."""

    method: How | None
    nodes: int


class State(NamedTuple):
    """What is known of n and m samples behind a layer."""

    pair: Pair
    Theta: Array

    #: Of the units of a sample, of shape (n, 1) and (1, m).
    mean1: Array
    mean2: Array

    #: How many there are.
    units: float

    #: Of shape (n, m): where the sample is one and the same.
    same: NDArray[np.bool_]


def through(layers: Layers, state: State, rule: Rule) -> State:
    """Behind layers, one after the other."""
    for layer in layers:
        before, state = state, _behind(layer, state, rule)
        p = state.pair
        vanishing = before.pair.theta if (p.q1 * p.q2).all() else _vanishing_angle(layer, before, rule)
        theta = np.where(state.same, 0, angle(p.c, p.q1, p.q2, vanishing))
        state = state._replace(pair=p._replace(theta=theta))
    return state


def _vanishing_angle(layer: Layer, state: State, rule: Rule) -> Array:
    """Angle behind a layer, of variances that tend to 0 at the angle they have before it."""
    theta = state.pair.theta
    for vanishing in _VANISHING:
        q1, q2 = (np.where(q > 0, q, vanishing) for q in (state.pair.q1, state.pair.q2))
        small = state._replace(pair=Pair(sqrt(q1 * q2) * cos(theta), q1, q2, theta))
        c, v1, v2, _ = _behind(layer, small, rule).pair
        if min(v1.min(), v2.min()) > 1e-290:
            break
    # Their product may be out of range: powers of 2 are taken out, which is exact.
    e1, e2 = (np.frexp(v)[1] // 2 for v in (v1, v2))
    return angle(np.ldexp(c, -e1 - e2), np.ldexp(v1, -2 * e1), np.ldexp(v2, -2 * e2), theta)


@singledispatch
def _behind(layer: Layer, state: State, rule: Rule) -> State:
    """K, q1, q2, Theta, means and units behind a layer; its angle is left to `through`."""
    del state, rule
    raise NotImplementedError(f"the reference does not know {type(layer).__name__}.")


@_behind.register
def _(layer: Identity, state: State, rule: Rule) -> State:
    del layer, rule
    return state


@_behind.register
def _(layer: Dense, state: State, rule: Rule) -> State:
    del rule
    (c, q1, q2, theta), w2, b2 = state.pair, layer.sigma_w**2, layer.sigma_b**2
    K = b2 + w2 * c
    own = state.units * c + layer.bias if layer.parametrization == "standard" else K
    return state._replace(
        pair=Pair(K, b2 + w2 * q1, b2 + w2 * q2, theta),
        Theta=(own if layer.trainable else 0) + w2 * state.Theta,
        mean1=np.zeros_like(q1),
        mean2=np.zeros_like(q2),
        units=inf if layer.width is None else layer.width,
    )


@_behind.register
def _(layer: Activation, state: State, rule: Rule) -> State:
    p, dual = state.pair, _dual(layer, rule)
    K, slope = dual(p)
    return state._replace(
        pair=Pair(K, _variance(dual, p.q1), _variance(dual, p.q2), p.theta),
        Theta=slope * state.Theta,
        mean1=_mean(layer, p.q1, rule),
        mean2=_mean(layer, p.q2, rule),
    )


@_behind.register
def _(layer: LayerNorm, state: State, rule: Rule) -> State:
    del rule
    (c, q1, q2, theta), mean1, mean2 = state.pair, state.mean1, state.mean2
    v1, v2 = q1 - mean1**2, q2 - mean2**2
    if np.isnan(v1).any() or np.isnan(v2).any():
        raise ValueError(f"{layer!r}: what comes in has no known mean.")
    if layer.eps == 0 and not ((v1 > 0).all() and (v2 > 0).all()):
        raise ValueError(f"{layer!r}: a sample has variance 0 there; pass eps > 0.")
    root = sqrt((v1 + layer.eps) * (v2 + layer.eps))
    return state._replace(
        pair=Pair((c - mean1 * mean2) / root, v1 / (v1 + layer.eps), v2 / (v2 + layer.eps), theta),
        Theta=state.Theta / root,
        mean1=np.zeros_like(q1),
        mean2=np.zeros_like(q2),
    )


@_behind.register
def _(layer: Dropout, state: State, rule: Rule) -> State:
    del rule
    (c, q1, q2, theta), keep = state.pair, 1 - layer.p
    c, Theta = (np.where(state.same, k / keep, k) for k in (c, state.Theta))
    return state._replace(pair=Pair(c, q1 / keep, q2 / keep, theta), Theta=Theta)


@_behind.register
def _(layer: Sum, state: State, rule: Rule) -> State:
    behind = _branches(layer, state, rule)
    return _combined(behind, [1.0] * len(behind))._replace(units=min(branch.units for branch in behind))


@_behind.register
def _(layer: Concat, state: State, rule: Rule) -> State:
    behind = _branches(layer, state, rule)
    return _combined(behind, layer.fractions)._replace(units=sum(branch.units for branch in behind))


@_behind.register
def _(layer: Product, state: State, rule: Rule) -> State:
    behind = _branches(layer, state, rule)
    K, q1, q2 = ([branch.pair[i] for branch in behind] for i in range(3))
    parts = [branch.Theta * _product(K[:i] + K[i + 1 :]) for i, branch in enumerate(behind)]
    return state._replace(
        pair=Pair(_product(K), _product(q1), _product(q2), state.pair.theta),
        Theta=np.sum(parts, axis=0),
        mean1=_product([branch.mean1 for branch in behind]),
        mean2=_product([branch.mean2 for branch in behind]),
        units=min(branch.units for branch in behind),
    )


def _branches(layer: Branching, state: State, rule: Rule) -> list[State]:
    return [through(branch, state, rule) for branch in layer.branches]


def _product(parts: list[Array]) -> Array:
    return np.asarray(np.prod(parts, axis=0))


def _combined(behind: Sequence[State], weights: Sequence[float]) -> State:
    """Weighted sums of what is linear."""

    def total(parts: Sequence[Array]) -> Array:
        return np.asarray(sum(weight * part for weight, part in zip(weights, parts, strict=True)))

    pairs, Thetas, means1, means2, *_ = zip(*behind, strict=True)
    c, q1, q2, _ = (total(parts) for parts in zip(*pairs, strict=True))
    return behind[0]._replace(
        pair=Pair(c, q1, q2, behind[0].pair.theta), Theta=total(Thetas), mean1=total(means1), mean2=total(means2)
    )


def _dual(layer: Activation, rule: Rule) -> Dual:
    # A callable may go by any name.
    form = CLOSED_FORMS.get(layer.name) if layer.function is None else None
    if rule.method == "quadrature" or (rule.method is None and form is None):
        return lambda p: (tensor_rule(layer, p, rule.nodes), tensor_rule(layer.derivative, p, rule.nodes))
    if form is None:
        raise ValueError(f"{layer!r} has no closed form here; pass method='quadrature'.")
    return lambda p: form(p, **dict(layer.parameters))


def _variance(dual: Dual, q: Array) -> Array:
    return dual(Pair(q, q, q, np.zeros_like(q)))[0]


def _mean(layer: Activation, q: Array, rule: Rule) -> Array:
    if rule.method == "quadrature":
        return mean_by_hermite(layer, q, rule.nodes)
    form = MEANS.get(layer.name) if layer.function is None else None
    return mean_in_panels(layer, q, kinks(layer)) if form is None else form(q, **dict(layer.parameters))
