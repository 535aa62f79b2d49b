"""Layers that put the nodes of a sample together, at finite width."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
from scipy.special import softmax

from ..layers.activation import Activation
from ..layers.aggregate import Aggregate
from ..layers.attention import SelfAttention
from ..layers.dense import Dense
from ..layers.recurrent import Recurrent
from .inside import Codes, heads
from .nodes import Nodes, placed, rows, rows_of
from .parameters import Array, scales
from .steps import Parameters, Pass, Sensitivities, Step, chained, in_turn, linear, step
from .tree import Node


def _nodes(h: Array, way: Pass) -> Nodes:
    """Those of what comes in: of arrays all have as many."""
    return way.samples.nodes if h.ndim == 2 and way.samples.nodes is not None else Nodes.of_array(h)


@step.register
def _(layer: Aggregate, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    assert way.samples.adjacency is not None  # others than graphs are refused as they are read
    return linear(layer.matrix(way.samples.adjacency), h)


@step.register
def _(layer: Recurrent, node: Node, h: Array, way: Pass) -> Step:
    nodes, samples = _nodes(h, way), h.shape[:-1]
    steps = [linear(nodes.backwards, h, samples)] if layer.reverse else []
    steps.append(_states(node, steps[-1].out if steps else h, way))
    if layer.readout is not None:
        steps.append(linear(nodes.last if layer.readout == "last" else nodes.means, steps[-1].out))
    elif layer.reverse:
        steps.append(linear(nodes.backwards, steps[-1].out, samples))
    return in_turn(steps)


def _states(node: Node, h: Array, way: Pass) -> Step:
    """States of all steps, phi(U x + W h): W takes those before, 0 before the first."""
    reading, phi, again = node.branches[0]
    assert isinstance(phi.layer, Activation)
    assert isinstance(again.layer, Dense)
    activation = phi.layer
    read = step(reading.layer, reading, h, way)
    shape, later = read.out.shape, _nodes(h, way).at_steps[1:]
    w, _ = way.parameters[again.number]
    scale, _ = scales(again.layer, w.shape[1])
    z, before = rows(read.out).copy(), np.zeros_like(rows(read.out))
    for at in later:
        before[at] = activation(z[at - 1])
        z[at] += scale * before[at] @ w.T
    slope = np.asarray(activation.derivative(z), np.float64)
    way.given[again.number], way.pre_activations[again.number] = before.reshape(shape), z.reshape(shape) - read.out

    def back(g: Array, found: Sensitivities) -> Array:
        g = rows_of(g) * slope[:, None]
        for at in reversed(later):
            g[at - 1] += scale * (g[at] @ w) * slope[at - 1, None]
        found[again.number] = placed(g, shape[:-1])
        return read.back(found[again.number], found)

    def along(d: Array, direction: Parameters) -> Array:
        dz = rows(read.along(d, direction)) + scale * before @ direction[again.number][0].T
        for at in later:
            dz[at] += scale * (dz[at - 1] * slope[at - 1]) @ w.T
        return np.asarray(dz * slope).reshape(shape)

    return Step(np.asarray(activation(z), np.float64).reshape(shape), back, along)


@step.register
def _(layer: Codes, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    nodes = _nodes(h, way)
    most = nodes.longest if h.ndim > 2 else way.most_positions
    if nodes.longest > most:
        raise ValueError(
            f"a sample has {nodes.longest} positions, and features were drawn for {most}, the most that samples had "
            "which the network saw first: show it the longest ones first."
        )
    grid = h.shape[1:-1] if h.ndim > 2 else (most,)
    values, vectors = np.linalg.eigh(layer.similarity(grid).within(most))
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    codes = most**0.5 * root[nodes.numbers]  # units are divided by their number: their products are R
    return Step(
        codes.reshape(*h.shape[:-1], most),
        lambda g, _: np.broadcast_to(0.0, (*g.shape[:-1], h.shape[-1])),
        lambda d, _: np.zeros((*d.shape[:-1], most)),
    )


@step.register
def _(layer: SelfAttention, node: Node, h: Array, way: Pass) -> Step:
    """Of each sample and head zeta(scale Q K^T) V; and weights over all heads."""
    *scores, (*values, last) = node.branches
    parts = [chained(branch, h, way) for branch in (*scores, tuple(values))]
    samples, shape, count = list(_nodes(h, way)), h.shape[:-1], heads(layer)
    query, key, value = (_by_head(rows(parts[i].out), count) for i in (0, -2, -1))  # keys may be queries
    scale = query.shape[2] ** (-1.0 if layer.scaling == "linear" else -0.5)
    scored = [scale * query[:, at] @ key[:, at].swapaxes(1, 2) for at in samples]
    weights = [_weights(layer, s) for s in scored]
    mixed = np.zeros_like(value)
    for at, w in zip(samples, weights, strict=True):
        mixed[:, at] = w @ value[:, at]
    out = step(last.layer, last, _together(mixed).reshape(*shape, parts[-1].out.shape[-1]), way)

    def back(g: Array, found: Sensitivities) -> Array:
        above = rows_of(out.back(g, found))
        changes = [np.zeros((*above.shape[:2], part.out.shape[-1])) for part in parts]
        for c in range(above.shape[1]):
            of_mixed = _by_head(above[:, c], count)
            of_query, of_key, of_value = (np.zeros_like(part) for part in (query, key, value))
            for at, s, w in zip(samples, scored, weights, strict=True):
                of_value[:, at] = w.swapaxes(1, 2) @ of_mixed[:, at]
                of_scores = scale * _slope(layer, s, w, of_mixed[:, at] @ value[:, at].swapaxes(1, 2))
                of_query[:, at] = of_scores @ key[:, at]
                of_key[:, at] = of_scores.swapaxes(1, 2) @ query[:, at]
            for i, change in ((0, of_query), (-2, of_key), (-1, of_value)):
                changes[i][:, c] += _together(change)
        return reduce(add, [part.back(placed(g, shape), found) for part, g in zip(parts, changes, strict=True)])

    def along(d: Array, direction: Parameters) -> Array:
        moved = [rows(part.along(d, direction)) for part in parts]
        dq, dk, dv = (_by_head(moved[i], count) for i in (0, -2, -1))
        change = np.zeros_like(value)
        for at, s, w in zip(samples, scored, weights, strict=True):
            ds = dq[:, at] @ key[:, at].swapaxes(1, 2) + query[:, at] @ dk[:, at].swapaxes(1, 2)
            change[:, at] = _slope(layer, s, w, scale * ds) @ value[:, at] + w @ dv[:, at]
        return out.along(_together(change).reshape(*shape, moved[-1].shape[-1]), direction)

    return Step(out.out, back, along)


def _by_head(units: Array, heads: int) -> Array:
    """Of units of all heads side by side, (rows, units), those of each: (heads, rows, units)."""
    return units.reshape(len(units), heads, units.shape[1] // heads).swapaxes(0, 1)


def _together(units: Array) -> Array:
    """The inverse of `_by_head`."""
    return units.swapaxes(0, 1).reshape(units.shape[1], units.shape[0] * units.shape[2])


def _weights(layer: SelfAttention, scores: Array) -> Array:
    """What zeta makes of scores, a sample at a time; softmax over the last axis."""
    if layer.mechanism == "softmax":
        return np.asarray(softmax(scores, axis=-1))
    return _factor(layer, scores) * scores


def _slope(layer: SelfAttention, scores: Array, weights: Array, change: Array) -> Array:
    """The derivative of zeta, a symmetric matrix for each row, times a change of its scores."""
    if layer.mechanism == "softmax":
        moved = weights * change
        return np.asarray(moved - weights * moved.sum(axis=-1, keepdims=True))
    return _factor(layer, scores) * change


def _factor(layer: SelfAttention, scores: Array) -> Array:
    """What the others, which are linear on both sides of 0, multiply scores by."""
    return np.where(scores > 0, 1.0, {"identity": 1.0, "relu": 0.0, "abs": -1.0}[layer.mechanism])
