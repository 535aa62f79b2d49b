"""Derivatives of kernels of samples with positions in the hyper-parameters, by differences of float64 kernels.

Kernels depend on the squares of nearly all of them, so that they are smooth across 0, and central differences of
fourth order are good to 1e-9 of the kernel: what is left out is of order h^4, and rounding is divided by h. Where they
do not, and are not across 0, differences are to one side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._checks.progress import Progress, portions
from ..layers.base import walk
from .mixed import position_pairs

if TYPE_CHECKING:
    from ..layers.base import Layer, Layers
    from .inputs import Input

Kind = Literal["nngp", "ntk"]
Float = NDArray[np.float64]

_FLOAT64 = np.dtype(np.float64)

#: Steps, in units of h, and their weights.
_STENCIL = ((-2.0, 1 / 12), (-1.0, -2 / 3), (1.0, 2 / 3), (2.0, -1 / 12))

#: To one side, likewise.
_FORWARD = ((0.0, -25 / 12), (1.0, 4.0), (2.0, -3.0), (3.0, 4 / 3), (4.0, -1 / 4))

#: The step, relative to the hyper-parameters that are moved.
_STEP = 1e-3


def compute(
    layers: Layers,
    left: Input,
    right: Input | None,
    kind: Kind,
    moves: list[list[float]],
    kernel: Float,
    slopes: Float,
    result: np.dtype[Any],
    progress: Progress,
) -> None:
    """Compute a kernel, of shape (n, m), and its derivatives in parameters that move the hyper-parameters so."""
    beside = [list(_beside(layers, move)) for move in moves]
    with portions(1 + sum(map(len, beside)), progress) as portion:
        position_pairs(layers, left, right, kind, result)  # refuses what is out of its range
        position_pairs(layers, left, right, kind, _FLOAT64).compute(kind, [kernel], portion(1))
        moved = np.empty_like(kernel)
        for slope, networks in zip(slopes, beside, strict=True):
            slope[:] = 0
            for near, weight in networks:
                position_pairs(near, left, right, kind, _FLOAT64).compute(kind, [moved], portion(1))
                slope += weight * moved


def contract(
    layers: Layers,
    left: Input,
    right: Input | None,
    kind: Kind,
    moves: list[list[float]],
    weights: Float,
    progress: Progress,
) -> Float:
    """Compute the derivatives of the sum of a kernel times weights."""
    sums = np.zeros(len(moves))
    moved = np.empty(weights.shape)
    beside = [list(_beside(layers, move)) for move in moves]
    with portions(sum(map(len, beside)), progress) as portion:
        for i, networks in enumerate(beside):
            for near, weight in networks:
                position_pairs(near, left, right, kind, _FLOAT64).compute(kind, [moved], portion(1))
                sums[i] += weight * np.vdot(weights, moved)
    return sums


def _beside(layers: Layers, move: list[float]) -> Iterator[tuple[Layers, float]]:
    """Networks on both sides along a move, and their weights in a difference."""
    named = [
        (value, name in layer.signed) for _, layer in walk(layers) for name, value in layer.hyperparameters.items()
    ]
    size = max((abs(value) for (value, _), by in zip(named, move, strict=True) if by), default=0.0)
    h = _STEP * (size or 1.0)
    ends = [by for (value, signed), by in zip(named, move, strict=True) if by and signed and value <= 2 * h * abs(by)]
    if not (size or ends):
        return  # of even functions of what is 0
    side = 1.0 if not ends or max(ends) > 0 else -1.0
    for step, weight in ((side * step, side * weight) for step, weight in (_FORWARD if ends else _STENCIL)):
        there = iter([abs(value + step * h * by) for (value, _), by in zip(named, move, strict=True)])

        def moved(layer: Layer, rest: Iterator[float] = there) -> Layer:
            found = {name: next(rest) for name in layer.hyperparameters}
            return layer.with_values(**found) if found else layer

        yield tuple(layer.changed(moved) for layer in layers), weight / h
