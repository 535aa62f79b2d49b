"""Layers that put the nodes of a sample together, at finite width: samples are rows of nodes one after the other."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from ..layers.activation import Activation
from ..layers.aggregate import Aggregate
from ..layers.attention import SelfAttention
from ..layers.dense import Dense
from ..layers.recurrent import Recurrent
from .inside import Codes, heads
from .nodes import Nodes
from .parameters import Array, scales
from .steps import Parameters, Pass, Sensitivities, Step, chained, in_turn, linear, step
from .tree import Node


def _nodes(way: Pass) -> Nodes:
    assert way.samples.nodes is not None  # as of all samples of networks with such layers
    return way.samples.nodes


@step.register
def _(layer: Aggregate, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    if way.samples.adjacency is None:
        raise ValueError(f"{layer} is for graphs: fastntk.Graphs(features, adjacency).")
    return linear(layer.matrix(way.samples.adjacency), h)


@step.register
def _(layer: Recurrent, node: Node, h: Array, way: Pass) -> Step:
    if way.samples.adjacency is not None:
        raise ValueError(f"{layer} is for sequences, and nodes of graphs have no order.")
    nodes = _nodes(way)
    steps = [linear(nodes.backwards, h)] if layer.reverse else []
    steps.append(_states(node, steps[-1].out if steps else h, way))
    if layer.readout is not None:
        steps.append(linear(nodes.last if layer.readout == "last" else nodes.means, steps[-1].out))
    elif layer.reverse:
        steps.append(linear(nodes.backwards, steps[-1].out))
    return in_turn(steps)


def _states(node: Node, h: Array, way: Pass) -> Step:
    """States of all steps, phi(U x + W h): W takes those before, 0 before the first."""
    reading, phi, again = node.branches[0]
    assert isinstance(phi.layer, Activation)
    assert isinstance(again.layer, Dense)
    activation = phi.layer
    read = step(reading.layer, reading, h, way)
    w, _ = way.parameters[again.number]
    scale, _ = scales(again.layer, w.shape[1])
    later = _nodes(way).at_steps[1:]
    z, before = read.out.copy(), np.zeros_like(read.out)
    for rows in later:
        before[rows] = activation(z[rows - 1])
        z[rows] += scale * before[rows] @ w.T
    slope = np.asarray(activation.derivative(z), np.float64)
    way.given[again.number], way.pre_activations[again.number] = before, z - read.out

    def back(g: Array, found: Sensitivities) -> Array:
        g = g * slope[:, None]
        for rows in reversed(later):
            g[rows - 1] += scale * (g[rows] @ w) * slope[rows - 1, None]
        found[again.number] = g
        return read.back(g, found)

    def along(d: Array, direction: Parameters) -> Array:
        dz = read.along(d, direction) + scale * before @ direction[again.number][0].T
        for rows in later:
            dz[rows] += scale * (dz[rows - 1] * slope[rows - 1]) @ w.T
        return np.asarray(dz * slope)

    return Step(np.asarray(activation(z), np.float64), back, along)


@step.register
def _(layer: Codes, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    numbers, most = _nodes(way).numbers, way.most_positions
    if numbers.max(initial=0) >= most:
        raise ValueError(
            f"a sample has {numbers.max() + 1} nodes, and the network features of {most} positions, the most it saw "
            "first: show it the longest samples first."
        )
    values, vectors = np.linalg.eigh(layer.similarity(np.abs(np.subtract.outer(np.arange(most), np.arange(most)))))
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    zeros = np.zeros((len(h), most))
    return Step(
        most**0.5 * root[numbers],  # divided by their number, as they are units, products are R
        lambda g, _: np.broadcast_to(0.0, (*g.shape[:2], h.shape[1])),
        lambda d, _: zeros,  # noqa: ARG005
    )


@step.register
def _(layer: SelfAttention, node: Node, h: Array, way: Pass) -> Step:
    """Sums over heads and samples, one after the other: A = zeta(scale Q K^T) V."""
    *scores, (*values, last) = node.branches
    parts = [chained(branch, h, way) for branch in (*scores, tuple(values))]
    count = heads(layer)
    query, key, value = (_by_head(parts[i].out, count) for i in (0, -2, -1))  # of linear scaling keys are queries
    scale = query.shape[2] ** (-1.0 if layer.scaling == "linear" else -0.5)
    samples = list(_nodes(way))
    scored = [scale * query[:, rows] @ key[:, rows].swapaxes(1, 2) for rows in samples]
    weights = [_weights(layer, s) for s in scored]
    mixed = np.zeros_like(value)
    for rows, g in zip(samples, weights, strict=True):
        mixed[:, rows] = g @ value[:, rows]
    out = step(last.layer, last, _together(mixed), way)

    def back(g: Array, found: Sensitivities) -> Array:
        g = out.back(g, found)
        changes = [np.zeros((*g.shape[:2], part.out.shape[1])) for part in parts]
        for c in range(g.shape[1]):
            above = _by_head(g[:, c], count)
            of_query, of_key, of_value = (np.zeros_like(part) for part in (query, key, value))
            for rows, s, w in zip(samples, scored, weights, strict=True):
                of_value[:, rows] = w.swapaxes(1, 2) @ above[:, rows]
                of_scores = scale * _slope(layer, s, w, above[:, rows] @ value[:, rows].swapaxes(1, 2))
                of_query[:, rows] = of_scores @ key[:, rows]
                of_key[:, rows] = of_scores.swapaxes(1, 2) @ query[:, rows]
            for change, part in zip((changes[0], changes[-2], changes[-1]), (of_query, of_key, of_value), strict=True):
                change[:, c] += _together(part)
        return np.asarray(sum(part.back(change, found) for part, change in zip(parts, changes, strict=True)))

    def along(d: Array, direction: Parameters) -> Array:
        moved = [part.along(d, direction) for part in parts]
        dq, dk, dv = (_by_head(moved[i], count) for i in (0, -2, -1))
        change = np.zeros_like(value)
        for rows, s, w in zip(samples, scored, weights, strict=True):
            ds = dq[:, rows] @ key[:, rows].swapaxes(1, 2) + query[:, rows] @ dk[:, rows].swapaxes(1, 2)
            change[:, rows] = _slope(layer, s, w, scale * ds) @ value[:, rows] + w @ dv[:, rows]
        return out.along(_together(change), direction)

    return Step(out.out, back, along)


def _by_head(units: Array, heads: int) -> Array:
    """Of units of all heads side by side, (rows, units), those of each: (heads, rows, units)."""
    return units.reshape(len(units), heads, -1).swapaxes(0, 1)


def _together(units: Array) -> Array:
    """The inverse of `_by_head`."""
    return units.swapaxes(0, 1).reshape(units.shape[1], -1)


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
