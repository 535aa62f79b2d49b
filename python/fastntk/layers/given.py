"""What users may write for a layer: a name or a function of an array stands for its Activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from .._checks.shown import shown
from .activation import Activation
from .base import Layer

LayerLike = Layer | str | Callable[[NDArray[Any]], NDArray[Any]]


def as_layer(value: object) -> Layer:
    """``value`` if it is a layer, or the Activation that a name or a function stands for."""
    if isinstance(value, Layer):
        return value
    if isinstance(value, str) or (callable(value) and not isinstance(value, type)):
        return Activation(value)
    hint = ""
    if isinstance(value, (list, tuple)):
        hint = " Pass a list of layers as Sequential(*layers)."
    elif isinstance(value, type):
        hint = f" Make one: {value.__name__}(...)."
    expected = "a layer is a Dense, an Activation or its name or function, or a Sequential"
    raise TypeError(f"{expected}, got {shown(value)}.{hint}")
