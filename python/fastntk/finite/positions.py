"""How weights and pools act on positions at finite width: each a linear map, forward, back and on products of samples.

What comes in is h, of shape (n, *positions, channels); a vector has no axes of positions. Which position goes where is
said by the axes of a layer alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce, singledispatch
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.pool import Pooling
from ..layers.weighted import Weighted
from ..layers.window import Axis
from .parameters import Array


class Action(Protocol):
    """What weights W, of shape (units, *taps, channels), make of h: z = W h, at each position that they give."""

    #: Of a convolution, along each axis.
    taps: tuple[int, ...]

    def forward(self, h: Array, w: Array) -> Array:
        """Z, of shape (n, *positions', units)."""

    def back(self, g: Array, w: Array) -> Array:
        """Of cotangents of z, (n, c, *positions', units), those of h, (n, c, *positions, channels)."""

    def slope(self, g: Array, h: Array) -> Array:
        """Derivative of sum(g * z) in W, for g of the shape of z."""

    def pairs(self, k: Array) -> Array:
        """Of products of h with others, (m, *positions, *positions), those summed over the taps of W, for each P, P'.

        So k becomes (m, *positions', *positions').
        """

    def products(self, h: Array, other: Array) -> Array:
        """Mean of `pairs` over P = P', divided by the fan-in, of shape (n, m)."""


class AtEach:
    """The same weights at every position by itself."""

    taps: tuple[int, ...] = ()

    def forward(self, h: Array, w: Array) -> Array:
        """W h."""
        return _times(h, w.T)

    def back(self, g: Array, w: Array) -> Array:
        """W^T g."""
        return g @ w if g.ndim == 3 else _times(g, w)

    def slope(self, g: Array, h: Array) -> Array:
        """Sum of g h^T over samples and positions."""
        return _rows(g).T @ _rows(h)

    def pairs(self, k: Array) -> Array:
        """The same."""
        return k

    def products(self, h: Array, other: Array) -> Array:
        """Mean over positions and channels."""
        size = math.prod(h.shape[1:])
        return h.reshape(len(h), size) @ other.reshape(len(other), size).T / size


class _Tap(NamedTuple):
    """One tap: its index, the output positions that it has, and from where each takes it."""

    at: tuple[Any, ...]
    to: tuple[Any, ...]
    source: tuple[Any, ...]


class Windows:
    """A convolution, one tap after the other: no copy of h has all taps."""

    def __init__(self, axes: tuple[Axis, ...]) -> None:
        self.axes = axes
        self.taps = tuple(axis.taps for axis in axes)
        self._each = []
        for taps in product(*(enumerate(axis.sources.T) for axis in axes)):
            at, sources = zip(*taps, strict=True)
            to = _places([np.flatnonzero(source >= 0) for source in sources])
            self._each.append(_Tap(at, to, _places([source[source >= 0] for source in sources])))

    def forward(self, h: Array, w: Array) -> Array:
        """Σ_o W_o h(source)."""
        z = np.zeros((len(h), *(axis.outputs for axis in self.axes), len(w)))
        for tap in self._each:
            z[:, *tap.to] += _times(h[:, *tap.source], w[:, *tap.at].T)
        return z

    def back(self, g: Array, w: Array) -> Array:
        """W_o^T g, brought back to where each tap takes from."""
        d = np.zeros((*g.shape[:2], *(axis.inputs for axis in self.axes), w.shape[-1]))
        for tap in self._each:
            d[:, :, *tap.source] += _times(g[:, :, *tap.to], w[:, *tap.at])
        return d

    def slope(self, g: Array, h: Array) -> Array:
        """Sum of g h(source)^T over samples and positions, for each tap."""
        slope = np.zeros((g.shape[-1], *self.taps, h.shape[-1]))
        for tap in self._each:
            slope[:, *tap.at] = _rows(g[:, *tap.to]).T @ _rows(h[:, *tap.source])
        return slope

    def pairs(self, k: Array) -> Array:
        """Sum over the taps of which both positions are inside, along one axis after the other."""
        for i, axis in enumerate(self.axes):
            both = (1 + i, 1 + i + len(self.axes))
            k = np.moveaxis(_both_inside(np.moveaxis(k, both, (-2, -1)), axis), (-2, -1), both)
        return k

    def products(self, h: Array, other: Array) -> Array:
        """Each position of h as often as windows take it."""
        uses = [np.bincount(axis.sources[axis.sources >= 0], minlength=axis.inputs) for axis in self.axes]
        weighted = h * reduce(np.multiply.outer, uses)[..., None]
        size, of = math.prod(h.shape[1:]), h.shape[-1] * math.prod(axis.taps * axis.outputs for axis in self.axes)
        return np.asarray(weighted.reshape(len(h), size) @ other.reshape(len(other), size).T / of)


def _both_inside(k: Array, axis: Axis) -> Array:
    """Sum over the taps of one axis of both positions, the last two of k, where both are inside."""
    total = np.zeros((*k.shape[:-2], axis.outputs, axis.outputs))
    for source in axis.sources.T:
        to, taken = np.flatnonzero(source >= 0), source[source >= 0]
        total[..., *_places([to, to])] += k[..., *_places([taken, taken])]
    return total


def _places(each: Sequence[NDArray[np.int64]]) -> tuple[Any, ...]:
    """Index of all combinations of these positions along several axes: slices where that can be, or arrays."""
    slices = []
    for at in each:
        steps = np.diff(at)
        if len(at) == 0 or (steps != steps[:1]).any() or (steps < 1).any():
            return np.ix_(*each)
        slices.append(slice(int(at[0]), int(at[-1]) + 1, int(steps[0]) if len(steps) else 1))
    return tuple(slices)


@singledispatch
def action(layer: Weighted, positions: tuple[int, ...]) -> Action:
    """How the weights of a layer act on what comes in at these positions."""
    raise NotImplementedError(type(layer), positions)


@action.register
def _(layer: Dense, positions: tuple[int, ...]) -> Action:  # noqa: ARG001
    return AtEach()


@action.register
def _(layer: Conv, positions: tuple[int, ...]) -> Action:
    return Windows(layer.axes(positions))


def pool_matrices(layer: Pooling, axes: tuple[Axis, ...]) -> list[Array]:
    """What a pool does along each axis, as a matrix (outputs, inputs)."""
    found = []
    for axis in axes:
        matrix = np.zeros((axis.outputs, axis.inputs))
        for source in axis.sources.T:
            to = np.flatnonzero(source >= 0)
            matrix[to, source[to]] += layer.weights(axis)[to]
        found.append(matrix)
    return found


def along_axes(h: Array, matrices: Iterable[Array]) -> Array:
    """Apply one matrix along each of the axes of positions, the last ones before the channels."""
    each = list(matrices)
    for i, matrix in enumerate(each):
        axis = i - len(each) - 1
        h = np.moveaxis(np.moveaxis(h, axis, -1) @ matrix.T, -1, axis)
    return h


def _rows(h: Array) -> Array:
    """All positions of all samples one after the other."""
    return h.reshape(math.prod(h.shape[:-1]), h.shape[-1])


def _times(h: Array, matrix: Array) -> Array:
    """One product for all positions. Of vectors it is no view, and may be scaled in place."""
    return h @ matrix if h.ndim == 2 else (_rows(h) @ matrix).reshape(*h.shape[:-1], matrix.shape[1])
