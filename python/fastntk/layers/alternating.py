"""Stacks whose fluctuation at finite width is predicted: Dense layers, with at most one Activation between each two."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, singledispatch
from typing import NamedTuple, Protocol

import numpy as np

from .._checks.arguments import per_layer, whole_number
from .._checks.shown import shown
from .activation import Activation
from .base import Layer
from .dense import Dense
from .scale import Scale

_IDENTITY = Activation("identity")


class _Parts(NamedTuple):
    dense: list[Dense]
    between: list[Activation]


@singledispatch
def _put(layer: Layer, parts: _Parts) -> bool:
    """Put a layer behind those that are there; whether it fits."""
    del layer, parts
    return False


@_put.register
def _(layer: Scale, parts: _Parts) -> bool:  # noqa: ARG001
    return True  # it is of the samples


@_put.register
def _(layer: Dense, parts: _Parts) -> bool:
    if len(parts.between) < len(parts.dense):
        parts.between.append(_IDENTITY)
    parts.dense.append(layer)
    return True


@_put.register
def _(layer: Activation, parts: _Parts) -> bool:
    fits = len(parts.between) == len(parts.dense) - 1
    parts.between.append(layer)
    return fits


def dense_and_activations(layers: tuple[Layer, ...]) -> tuple[list[Dense], list[Activation]]:
    """Dense layers, and what is between each two of them.

    Raises
    ------
    ValueError
        If there is anything else; the sentence names the first layer that is.
    """
    parts = _Parts([], [])
    wrong = next((i for i, layer in enumerate(layers) if not _put(layer, parts)), None)
    if wrong is None and len(parts.between) != len(parts.dense) - 1:
        wrong = len(layers) - 1
    if wrong is not None:
        named = f"layer {wrong} is {shown(layers[wrong])}" if layers else "there is no layer"
        raise ValueError(
            "the fluctuation at finite width is predicted where a network begins and ends with Dense and has at most "
            f"one Activation between two of them; {named}. fastntk.finite.monte_carlo samples that of other networks."
        )
    return parts.dense, parts.between


def is_alternating(layers: tuple[Layer, ...]) -> bool:
    """Whether `dense_and_activations` takes them."""
    try:
        dense_and_activations(layers)
    except ValueError:
        return False
    return True


class HasWidth(Protocol):
    """A layer that may have a width of its own."""

    @property
    def width(self) -> int | None:
        """Number of units."""


def widths(width: int | Sequence[int] | None, hidden: Sequence[HasWidth]) -> list[int]:
    """Units of every hidden layer: its own, or those given for all or for each.

    Raises
    ------
    ValueError
        If one is given for a layer that has another, or none for a layer that has none.
    """
    if width is None:
        bare = next((dense for dense in hidden if dense.width is None), None)
        if bare is not None:
            raise ValueError(f"width is needed, the units of hidden layers: {shown(bare)} has none of its own.")
        return [dense.width or 0 for dense in hidden]
    given = per_layer(width, "width", len(hidden), "hidden layers", partial(whole_number, least=1))
    for i, (dense, units) in enumerate(zip(hidden, given, strict=True)):
        if np.ndim(width) and dense.width not in (None, units):
            raise ValueError(f"width[{i}] is {units}, but that layer is {shown(dense)}.")
    return [dense.width or units for dense, units in zip(hidden, given, strict=True)]
