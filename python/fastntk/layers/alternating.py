"""Stacks that exist at finite width: Dense layers, with at most one Activation between each two."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, singledispatch
from typing import NamedTuple

from .._checks.arguments import per_layer, whole_number
from .._checks.shown import shown
from .activation import Activation
from .base import Layer
from .dense import Dense

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
        If they are none that exists at finite width.
    """
    parts: _Parts = _Parts([], [])
    if not all(_put(layer, parts) for layer in layers) or len(parts.between) != len(parts.dense) - 1:
        raise ValueError(
            "a network of finite width begins and ends with Dense, and has at most one Activation between two of "
            f"them; got {shown(list(layers))}."
        )
    return parts.dense, parts.between


def widths(width: int | Sequence[int], hidden: int) -> list[int]:
    """One width per hidden layer."""
    return per_layer(width, "width", hidden, "hidden layers", partial(whole_number, least=1))
