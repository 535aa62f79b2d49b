"""What each layer does to K and Theta in `reference`, and to the rest that is known of pairs of samples.

Nothing is shared with the engine: K is a plain array here, over all pairs of positions, not gaps and tables. What an
activation does to a Gaussian pair is either its textbook closed form or a tensor Gauss-Hermite rule on phi and phi'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from math import inf, pi
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy import cos, sqrt
from numpy.typing import NDArray

from ..layers.activation import Activation
from ..layers.aggregate import Aggregate
from ..layers.attention import SelfAttention
from ..layers.base import Layer, Layers
from ..layers.branching import Branching
from ..layers.concat import Concat
from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.identity import Identity
from ..layers.layer_norm import LayerNorm
from ..layers.pool import Pooling
from ..layers.product import Product
from ..layers.reshape import Reshape
from ..layers.scale import Scale
from ..layers.sum import Sum
from ..layers.weighted import Weighted
from ..layers.window import Axis, behind
from .forms import CLOSED_FORMS, Array, Dual, Pair
from .means import MEANS, kinks
from .quadrature import angle, mean_by_hermite, mean_in_panels, tensor_rule

N = TypeVar("N", bound=np.generic)

How = Literal["closed_form", "quadrature"]

#: Stand for a variance that tends to 0: at the first erf(b x) is b x to rounding; at the other x^20 is in range.
_VANISHING = (1e-30, 1e-14)

#: Sums over positions are rounded to this part of what they would be without cancellation.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


class Rule(NamedTuple):
    """How activations act."""

    method: How | None
    nodes: int


class Pairs(NamedTuple):
    """Pairs of samples: the numbers of both, and where each sample is paired with itself."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    itself: NDArray[np.intp]


class State(NamedTuple):
    """What is known of pairs of samples behind a layer, at all pairs of the P positions that samples have there."""

    #: Of shape (pairs, P, P), the positions of the first sample before those of the second.
    K: Array
    Theta: Array

    #: The angle whose cosine is the correlation: carried on where there is no variance.
    theta: Array

    #: Over the units of a sample, of shape (samples, P).
    mean: Array

    #: How many units there are at a position.
    units: float

    #: Positions along each axis, P in all.
    positions: tuple[int, ...]
    pairs: Pairs

    #: Of samples of different sizes, of shape (samples, P): which positions are some, and which fill up.
    valid: NDArray[np.bool_] | None = None

    #: Of graphs, of shape (samples, P, P).
    adjacency: Array | None = None

    @property
    def variance(self) -> Array:
        """K of each sample with itself at the same position, of shape (samples, P)."""
        return self.K[self.pairs.itself].diagonal(axis1=1, axis2=2)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Where a sample is paired with itself at the same position."""
        itself = np.zeros(len(self.K), dtype=bool)
        itself[self.pairs.itself] = True
        return np.asarray(itself[:, None, None] & np.eye(self.K.shape[1], dtype=bool))

    @property
    def pair(self) -> Pair:
        """The units of two samples at two positions, as Gaussians."""
        return Pair(self.K, *self.of_both(self.variance), self.theta)

    def of_both(self, values: NDArray[N]) -> tuple[NDArray[N], NDArray[N]]:
        """Of what is known of each sample and position, that of the first and of the second of each pair."""
        return values[self.pairs.first][:, :, None], values[self.pairs.second][:, None, :]


def through(layers: Layers, state: State, rule: Rule) -> State:
    """Behind layers, one after the other."""
    for layer in layers:
        before, state = state, _behind(layer, state, rule)
        c, q1, q2, carried = state.pair
        vanishing = carried if state.variance.all() else _vanishing_angle(layer, before, rule)
        state = state._replace(theta=np.where(state.same, 0, angle(c, q1, q2, vanishing)))
    return state


def _vanishing_angle(layer: Layer, state: State, rule: Rule) -> Array:
    """Angle behind a layer, of variances that tend to 0 at the angle they have before it."""
    for vanishing in _VANISHING:
        q1, q2 = state.of_both(np.where(state.variance > 0, state.variance, vanishing))
        small = _behind(layer, state._replace(K=sqrt(q1 * q2) * cos(state.theta)), rule)
        if small.variance.min() > 1e-290:
            break
    # Their product may be out of range: powers of 2 are taken out, which is exact.
    c, v1, v2, carried = small.pair
    e1, e2 = (np.frexp(v)[1] // 2 for v in (v1, v2))
    return angle(np.ldexp(c, -e1 - e2), np.ldexp(v1, -2 * e1), np.ldexp(v2, -2 * e2), carried)


@singledispatch
def _behind(layer: Layer, state: State, rule: Rule) -> State:
    """K, Theta, means, units and positions behind a layer; its angle is left to `through`."""
    del state, rule
    raise NotImplementedError(f"the reference does not know {type(layer).__name__}.")


@_behind.register(Identity)
@_behind.register(Reshape)  # samples have their shape and scale from the start
@_behind.register(Scale)
def _(layer: Layer, state: State, rule: Rule) -> State:
    del layer, rule
    return state


@_behind.register
def _(layer: Dense, state: State, rule: Rule) -> State:
    del rule
    return _weights(layer, state)


@_behind.register
def _(layer: Conv, state: State, rule: Rule) -> State:
    """Weights over the mean of the taps of which both positions are inside."""
    del rule
    axes = layer.axes(state.positions)
    taps = _sources(axes).T

    def mean(k: Array) -> Array:
        k = np.pad(k, ((0, 0), (0, 1), (0, 1)))  # the position -1, outside, is the last
        return np.asarray(sum(k[:, tap[:, None], tap] for tap in taps) / len(taps))

    moved = _moved(state, mean, np.zeros((len(state.mean), taps.shape[1])), behind(axes))
    return _weights(layer, moved._replace(units=state.units * len(taps)))


@_behind.register
def _(layer: Pooling, state: State, rule: Rule) -> State:
    """A linear map A of positions: K = A K Aᵀ."""
    del rule
    if state.valid is not None:  # it is one of all positions
        each = [layer.weights(*layer.axes((max(1, count),))) for count in state.valid.sum(axis=1)]
        whole = _mixed(state, np.reshape(each, (len(each), 1, 1)) * state.valid[:, None, :])
        return whole._replace(positions=(), valid=None, adjacency=None)
    axes = layer.axes(state.positions)
    sources = _sources(axes)
    A = np.zeros((len(sources), state.K.shape[1] + 1))
    np.add.at(A, (np.arange(len(sources))[:, None], sources), 1)  # a circular window may take a position twice
    A = A[:, :-1] * np.prod(np.meshgrid(*map(layer.weights, axes), indexing="ij"), axis=0).reshape(-1, 1)
    return _mixed(state, np.broadcast_to(A, (len(state.mean), *A.shape)), layer.given(axes))


@_behind.register
def _(layer: Aggregate, state: State, rule: Rule) -> State:
    """A linear map M of the nodes of each graph: K = M K M'ᵀ."""
    del rule
    assert state.adjacency is not None
    M = state.adjacency.swapaxes(1, 2) + (np.eye(state.K.shape[1]) if layer.self_loops else 0)
    if layer.normalize is not None and (M < 0).any():
        raise ValueError(f"{layer!r}: weights of edges are negative.")
    largest = M.max(axis=2, initial=0)  # degrees are these times what they are of M / largest: sums may be out of range
    none = largest == 0
    root = np.sqrt(np.where(none, 1, largest))
    share = np.where(none, 1, (M / root[:, :, None] / root[:, :, None]).sum(axis=2))
    if layer.normalize == "mean":
        M = M / root[:, :, None] / root[:, :, None] / share[:, :, None]
    elif layer.normalize == "sym":
        for factor in (root, sqrt(share)):
            M = M / factor[:, :, None] / factor[:, None, :]
        M = np.where(none[:, None, :], 0, M)
    return _mixed(state, _by_itself(state, M))


@_behind.register
def _(layer: SelfAttention, state: State, rule: Rule) -> State:
    """Values, weighted by what queries and keys have in common."""
    del rule
    a, b = {None: (1, 0), "sum": (1, 1), "concat": (1 - layer.position_share, layer.position_share)}[layer.position]
    R = b * layer.position_sigma**2 * _similar(layer, state.positions)
    K_hat, Theta_hat = a * state.K + R, a * state.Theta + R
    values = state._replace(K=K_hat, Theta=Theta_hat) if layer.position_in_values else state
    s_qk, s2, b2 = layer.sigma_q * layer.sigma_k, (layer.sigma_v * layer.sigma_o) ** 2, layer.sigma_b**2
    if layer.scaling == "linear":
        scores = s_qk * K_hat[state.pairs.itself]
        mixed = _mixed(values, _by_itself(state, _attention(layer.mechanism, scores, state.valid)))
        K, Theta = s2 * mixed.K, s2 * (mixed.Theta + 2 * mixed.K)
    else:
        both = True if state.valid is None else np.logical_and(*state.of_both(state.valid))

        def dot(k: Array, other: Array) -> Array:
            return np.asarray(np.sum(k * other, axis=(1, 2), keepdims=True, where=both))

        s2 *= s_qk**2
        K = s2 * dot(K_hat, values.K) * K_hat
        slope = dot(K_hat, values.Theta) + dot(Theta_hat, values.K)
        Theta = s2 * (slope * K_hat + dot(K_hat, values.K) * (Theta_hat + 4 * K_hat))
    q1, q2 = state.of_both((K + b2)[state.pairs.itself].diagonal(axis1=1, axis2=2))
    return state._replace(
        K=K + b2,
        Theta=Theta + b2,
        theta=angle(K + b2, q1, q2, vanishing=of_zeros(q1, q2)),
        mean=np.zeros_like(state.mean),
        units=inf if layer.width is None else layer.width,
    )


@_behind.register
def _(layer: Flatten, state: State, rule: Rule) -> State:
    """The mean over pairs of the same position."""
    del layer, rule
    count = state.K.shape[1]
    mean = state.mean.mean(axis=1, keepdims=True)
    flat = _moved(state, lambda k: np.einsum("bpp->b", k)[:, None, None] / count, mean, ())
    return flat._replace(units=state.units * count)


@_behind.register
def _(layer: Activation, state: State, rule: Rule) -> State:
    K, slope = _dual(layer, rule)(state.pair)
    return state._replace(K=K, Theta=slope * state.Theta, mean=_mean(layer, state.variance, rule))


@_behind.register
def _(layer: LayerNorm, state: State, rule: Rule) -> State:
    del rule
    v = state.variance - state.mean**2
    if layer.axes == "all":
        v = v.mean(axis=1, keepdims=True)
    if np.isnan(v).any():
        raise ValueError(f"{layer!r}: what comes in has no known mean.")
    if layer.eps == 0 and not (v > 0).all():
        raise ValueError(f"{layer!r}: a sample has variance 0 there; pass eps > 0.")
    (v1, v2), (mean1, mean2) = state.of_both(v), state.of_both(state.mean)
    root = sqrt((v1 + layer.eps) * (v2 + layer.eps))
    return state._replace(K=(state.K - mean1 * mean2) / root, Theta=state.Theta / root, mean=np.zeros_like(state.mean))


@_behind.register
def _(layer: Dropout, state: State, rule: Rule) -> State:
    del rule
    keep = np.where(state.same, 1 - layer.p, 1)
    return state._replace(K=state.K / keep, Theta=state.Theta / keep)


@_behind.register
def _(layer: Sum, state: State, rule: Rule) -> State:
    parts = _branches(layer, state, rule)
    return _combined(parts, [1.0] * len(parts))._replace(units=min(part.units for part in parts))


@_behind.register
def _(layer: Concat, state: State, rule: Rule) -> State:
    parts = _branches(layer, state, rule)
    return _combined(parts, layer.fractions)._replace(units=sum(part.units for part in parts))


@_behind.register
def _(layer: Product, state: State, rule: Rule) -> State:
    parts = _branches(layer, state, rule)
    K = [part.K for part in parts]
    return parts[0]._replace(
        K=_product(K),
        Theta=np.sum([part.Theta * _product(K[:i] + K[i + 1 :]) for i, part in enumerate(parts)], axis=0),
        mean=_product([part.mean for part in parts]),
        units=min(part.units for part in parts),
    )


def _weights(layer: Weighted, state: State) -> State:
    """Behind weights that sum over all units."""
    w2, b2 = layer.sigma_w**2, layer.sigma_b**2
    K = b2 + w2 * state.K
    own = state.units * state.K + layer.bias if layer.parametrization == "standard" else K
    return state._replace(
        K=K,
        Theta=(own if layer.trainable else 0) + w2 * state.Theta,
        mean=np.zeros_like(state.mean),
        units=inf if layer.width is None else layer.width,
    )


def _sources(axes: Sequence[Axis]) -> NDArray[np.int64]:
    """Of each output position the input positions that its window takes, of all axes together; -1 outside."""
    sources = np.zeros((1, 1), np.int64)
    for axis in axes:
        outer, inner = sources[:, None, :, None], axis.sources[None, :, None, :]
        outside = (outer < 0) | (inner < 0)
        sources = np.where(outside, -1, outer * axis.inputs + inner).reshape(len(sources) * axis.outputs, -1)
    return sources


def _similar(layer: SelfAttention, positions: tuple[int, ...]) -> Array:
    """Whether two positions are the same, or how near they are."""
    at = np.stack([axis.ravel() for axis in np.indices(positions)], axis=1)
    squares = ((at[:, None] - at[None, :]) ** 2).sum(axis=2)
    return np.asarray(squares == 0 if layer.position_decay is None else np.exp(-layer.position_decay * squares), float)


def _attention(mechanism: str, scores: Array, valid: NDArray[np.bool_] | None) -> Array:
    """Weights that each position gives to those that are some."""
    others = True if valid is None else valid[:, None, :]
    if mechanism != "softmax":
        functions = {"identity": scores, "relu": np.maximum(scores, 0), "abs": np.abs(scores)}
        return np.where(others, functions[mechanism], 0)
    largest = scores.max(axis=2, keepdims=True, where=others, initial=-np.inf)
    weights = np.where(others, np.exp(scores - np.where(np.isfinite(largest), largest, 0)), 0)
    return np.asarray(weights / np.maximum(weights.sum(axis=2, keepdims=True), np.finfo(float).tiny))


def _by_itself(state: State, A: Array) -> Array:
    """Maps of the positions of each sample, of which those that fill up stay as they are."""
    if state.valid is None:
        return A
    return np.where(state.valid[:, :, None], A, np.eye(A.shape[1]))


def _mixed(state: State, A: Array, positions: tuple[int, ...] | None = None) -> State:
    """Behind linear maps of the positions of each sample, of shape (samples, Q, P)."""
    left, right = A[state.pairs.first], A[state.pairs.second].swapaxes(1, 2)
    itself = state.pairs.itself

    def both_sides(k: Array) -> Array:
        moved = left @ k @ right
        sizes = np.einsum("sqp,sp->sq", abs(A), sqrt(k[itself].diagonal(axis1=1, axis2=2)))
        gone = moved[itself].diagonal(axis1=1, axis2=2) < _ROUNDING * sizes**2  # what cancels, and may be below 0
        first, second = state.of_both(gone)
        return np.where(first | second, 0.0, moved)

    mean = np.einsum("sqp,sp->sq", A, state.mean)
    return _moved(state, both_sides, mean, state.positions if positions is None else positions)


def _moved(state: State, to: Callable[[Array], Array], mean: Array, positions: tuple[int, ...]) -> State:
    """K and Theta at other positions; where nothing comes from inside, as a sample that is 0."""
    moved = state._replace(K=to(state.K), Theta=to(state.Theta), mean=mean, positions=positions)
    q1, q2 = moved.of_both(moved.variance)
    return moved._replace(theta=angle(moved.K, q1, q2, vanishing=of_zeros(q1, q2)))


def of_zeros(q1: Array, q2: Array) -> Array:
    """Angle of samples one of which is 0, or both: as along a direction of their own."""
    return np.where(q1 == q2, 0, pi / 2)


def _branches(layer: Branching, state: State, rule: Rule) -> list[State]:
    return [through(branch, state, rule) for branch in layer.branches]


def _product(parts: list[Array]) -> Array:
    return np.asarray(np.prod(parts, axis=0))


def _combined(parts: Sequence[State], weights: Sequence[float]) -> State:
    """Weighted sums of what is linear."""

    def total(values: Sequence[Array]) -> Array:
        return np.asarray(sum(weight * value for weight, value in zip(weights, values, strict=True)))

    return parts[0]._replace(
        K=total([part.K for part in parts]),
        Theta=total([part.Theta for part in parts]),
        mean=total([part.mean for part in parts]),
    )


def _dual(layer: Activation, rule: Rule) -> Dual:
    # A callable may go by any name.
    form = CLOSED_FORMS.get(layer.name) if layer.function is None else None
    if rule.method == "quadrature" or (rule.method is None and form is None):
        return lambda p: (tensor_rule(layer, p, rule.nodes), tensor_rule(layer.derivative, p, rule.nodes))
    if form is None:
        raise ValueError(f"{layer!r} has no closed form here; pass method='quadrature'.")
    return lambda p: form(p, **dict(layer.parameters))


def _mean(layer: Activation, q: Array, rule: Rule) -> Array:
    if rule.method == "quadrature":
        return mean_by_hermite(layer, q, rule.nodes)
    form = MEANS.get(layer.name) if layer.function is None else None
    return mean_in_panels(layer, q, kinks(layer)) if form is None else form(q, **dict(layer.parameters))
