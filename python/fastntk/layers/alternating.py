"""Stacks that exist at finite width: Dense layers, with at most one Activation between each two."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .._checks.arguments import per_layer, whole_number
from .._checks.shown import shown
from .activation import Activation
from .base import Layer
from .dense import Dense

_IDENTITY = Activation("identity")


def dense_and_activations(layers: tuple[Layer, ...]) -> tuple[list[Dense], list[Activation]]:
    """Dense layers, and what is between each two of them.

    Raises
    ------
    ValueError
        If they are none that exists at finite width.
    """
    dense: list[Dense] = []
    between: list[Activation] = []
    for layer in layers:
        if isinstance(layer, Dense):
            if len(between) < len(dense):
                between.append(_IDENTITY)
            dense.append(layer)
        elif isinstance(layer, Activation) and len(between) == len(dense) - 1:
            between.append(layer)
        else:
            break
    if not dense or len(between) != len(dense) - 1:
        raise ValueError(
            "a network of finite width begins and ends with Dense, and has at most one Activation between two of "
            f"them; got {shown(list(layers))}."
        )
    return dense, between


def widths(width: int | Sequence[int], hidden: int) -> list[int]:
    """One width per hidden layer."""
    return per_layer(width, "width", hidden, "hidden layers", partial(whole_number, least=1))
