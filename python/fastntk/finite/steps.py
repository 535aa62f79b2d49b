"""What each layer makes of samples at finite width, and its derivatives there, back and forward: one rule each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce, singledispatch
from itertools import pairwise
from operator import add
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from .._checks.shown import shown
from ..layers.activation import Activation
from ..layers.base import Layer
from ..layers.concat import Concat
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.identity import Identity
from ..layers.layer_norm import LayerNorm
from ..layers.pool import GlobalAvgPool, Pooling
from ..layers.product import Product
from ..layers.reshape import Reshape
from ..layers.scale import Scale
from ..layers.sum import Sum
from ..layers.weighted import Weighted
from .nodes import placed, rows, rows_of
from .parameters import Array, scales
from .positions import action, along_axes, pool_matrices
from .samples import Samples
from .tree import Chain, Node

#: (W, b) of every layer with weights.
Parameters = Sequence[tuple[Array, Array]]

#: By number of a layer with weights: derivatives of c numbers in each of its outputs, (n, c, *positions, units).
Sensitivities = dict[int, Array]


class Step(NamedTuple):
    """What a layer gives, of shape (n, *positions, units), and its derivatives; vectors have no axes of positions.

    Of samples with as many nodes as they like, all of these are rows, (nodes, units), as long as there are nodes.
    """

    out: Array

    #: Of c cotangents of what it gives, (n, c, *positions, units), those of what it gets; leaves behind those of layers
    #: with weights.
    back: Callable[[Array, Sensitivities], Array]

    #: Of the change of what it gets and of all parameters, that of what it gives.
    along: Callable[[Array, Parameters], Array]


class Pass:
    """Samples on their way through layers.

    Attributes
    ----------
    out : ndarray of shape (n, *positions, units)
    given, pre_activations : dict of ndarray
        What every layer with weights gets and what it gives, by its number.
    most_positions : int
        That the network has parameters for.
    """

    def __init__(self, chain: Chain, parameters: Parameters, samples: Samples, most_positions: int) -> None:
        self.parameters, self.samples, self.most_positions = parameters, samples, most_positions
        self.given: dict[int, Array] = {}
        self.pre_activations: dict[int, Array] = {}
        self._step = chained(chain, samples.x, self)
        self.out = self._step.out

    def sensitivities(self, cotangents: Array) -> Sensitivities:
        """Derivatives of `cotangents`, of shape (n, c, units), times the outputs."""
        found: Sensitivities = {}
        self._step.back(cotangents, found)
        return found

    def derivative(self, direction: Parameters) -> Array:
        """Of the outputs, as the parameters move in a direction."""
        return self._step.along(np.zeros_like(self.samples.x), direction)


def chained(chain: Chain, h: Array, way: Pass) -> Step:
    """Layers one after the other."""
    steps = [Step(h, lambda g, _: g, lambda d, _: d)]
    for node in chain:
        steps.append(step(node.layer, node, steps[-1].out, way))
    return in_turn(steps)


def in_turn(steps: Sequence[Step]) -> Step:
    """One after the other, as one."""
    return Step(
        steps[-1].out,
        lambda g, found: reduce(lambda g, step: step.back(g, found), reversed(steps), g),
        lambda d, direction: reduce(lambda d, step: step.along(d, direction), steps, d),
    )


def _branches(node: Node, h: Array, way: Pass) -> list[Step]:
    return [chained(branch, h, way) for branch in node.branches]


def _scaled(out: Array, slope: Callable[[], Array]) -> Step:
    """A map of each unit by itself, of this slope."""
    return Step(out, lambda g, _: g * slope()[:, None], lambda d, _: d * slope())


def linear(matrix: csr_array, h: Array, shape: tuple[int, ...] = (-1,)) -> Step:
    """What a matrix makes of nodes; these are rows, or placed in arrays of this shape."""

    def forward(h: Array) -> Array:
        return np.asarray(matrix @ rows(h)).reshape(*shape, h.shape[-1])

    def back(g: Array, found: Sensitivities) -> Array:  # noqa: ARG001
        above = rows_of(g)
        below = np.asarray(matrix.T @ above.reshape(len(above), math.prod(above.shape[1:])))
        return placed(below.reshape(-1, *above.shape[1:]), h.shape[:-1])

    return Step(forward(h), back, lambda d, _: forward(d))


@singledispatch
def step(layer: Layer, node: Node, h: Array, way: Pass) -> Step:
    """What a layer makes of h, which it gets from samples on their way."""
    del node, h, way
    raise TypeError(f"{shown(layer)} is not known at finite width.")


@step.register
def _(layer: Weighted, node: Node, h: Array, way: Pass) -> Step:
    w, b = way.parameters[node.number]
    weight_scale, bias_scale = scales(layer, w[0].size)
    act = action(layer, h.shape[1:-1])

    def back(g: Array, found: Sensitivities) -> Array:
        found[node.number] = g
        if not node.behind_weights:  # no parameters there, and inputs may be many
            return np.broadcast_to(0.0, (*g.shape[:2], *h.shape[1:]))
        return weight_scale * act.back(g, w)

    def along(d: Array, direction: Parameters) -> Array:
        dz = weight_scale * act.forward(d, w)
        if layer.trainable:
            dw, db = direction[node.number]
            dz += weight_scale * act.forward(h, dw) + bias_scale * db
        return dz

    z = weight_scale * act.forward(h, w) + bias_scale * b
    way.given[node.number], way.pre_activations[node.number] = h, z
    return Step(z, back, along)


@step.register
def _(layer: Activation, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    return _scaled(np.asarray(layer(h), np.float64), lambda: np.asarray(layer.derivative(h), np.float64))


@step.register(Identity)
@step.register(Reshape)  # samples are read in their shape and scale
@step.register(Scale)
def _(layer: Layer, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    return Step(h, lambda g, _: g, lambda d, _: d)


@step.register
def _(layer: Flatten, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    units = math.prod(h.shape[1:])
    return Step(
        h.reshape(len(h), units),
        lambda g, _: g.reshape(*g.shape[:2], *h.shape[1:]),
        lambda d, _: d.reshape(len(d), units),
    )


@step.register
def _(layer: Pooling, node: Node, h: Array, way: Pass) -> Step:
    nodes = way.samples.nodes
    if nodes is not None and node.at_positions:
        return linear(nodes.means if isinstance(layer, GlobalAvgPool) else nodes.sums, h)
    axes = layer.axes(h.shape[1:-1])
    matrices = pool_matrices(layer, axes)
    transposed = [matrix.T for matrix in matrices]
    windows, given = tuple(axis.outputs for axis in axes), layer.given(axes)

    def pooled(h: Array) -> Array:
        return along_axes(h, matrices).reshape(len(h), *given, h.shape[-1])

    return Step(
        pooled(h),
        lambda g, _: along_axes(g.reshape(*g.shape[:2], *windows, g.shape[-1]), transposed),
        lambda d, _: pooled(d),
    )


@step.register
def _(layer: Dropout, node: Node, h: Array, way: Pass) -> Step:
    numbers = way.samples.uniform(node.number, h.shape[1:], at_nodes=node.at_positions)
    kept = (numbers >= layer.p) / (1 - layer.p)
    return _scaled(h * kept, lambda: kept)


@step.register
def _(layer: LayerNorm, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    axes = tuple(range(-1 if layer.axes == "channels" else 1 - h.ndim, 0))
    centred = h - h.mean(axis=axes, keepdims=True)
    deviation = np.sqrt(np.mean(centred**2, axis=axes, keepdims=True) + layer.eps)
    if not deviation.all():
        raise ValueError(f"all units of a sample are equal before {layer}, and it divides by 0: pass eps > 0.")
    y = centred / deviation

    def change(d: Array, y: Array, deviation: Array) -> Array:
        # the derivative, a symmetric matrix: what moves mean or deviation is taken away
        moved = d - d.mean(axis=axes, keepdims=True) - y * np.mean(y * d, axis=axes, keepdims=True)
        return np.asarray(moved / deviation)

    return Step(y, lambda g, _: change(g, y[:, None], deviation[:, None]), lambda d, _: change(d, y, deviation))


@step.register
def _(layer: Sum, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    members = _branches(node, h, way)
    return Step(
        reduce(add, [one.out for one in members]),
        lambda g, found: reduce(add, [one.back(g, found) for one in members]),
        lambda d, direction: reduce(add, [one.along(d, direction) for one in members]),
    )


@step.register
def _(layer: Product, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    members = _branches(node, h, way)
    outs = np.stack([one.out for one in members])
    others = [np.prod(np.delete(outs, i, axis=0), axis=0) for i in range(len(outs))]
    return Step(
        np.prod(outs, axis=0),
        lambda g, found: reduce(
            add, [one.back(g * rest[:, None], found) for one, rest in zip(members, others, strict=True)]
        ),
        lambda d, direction: reduce(
            add, [one.along(d, direction) * rest for one, rest in zip(members, others, strict=True)]
        ),
    )


@step.register
def _(layer: Concat, node: Node, h: Array, way: Pass) -> Step:  # noqa: ARG001
    members = _branches(node, h, way)
    edges = np.cumsum([0, *(one.out.shape[-1] for one in members)])
    parts = [slice(start, stop) for start, stop in pairwise(edges)]
    return Step(
        np.concatenate([one.out for one in members], axis=-1),
        lambda g, found: reduce(add, [one.back(g[..., part], found) for one, part in zip(members, parts, strict=True)]),
        lambda d, direction: np.concatenate([one.along(d, direction) for one in members], axis=-1),
    )
