"""Samples of layers that know of their shape: it is checked against them before work starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .._checks.arrays import input_array
from ..layers.base import MisplacedError, Signal, follow_all
from ..layers.reshape import Reshape
from ..layers.scale import Scale
from ..layers.window import MOST_AXES

if TYPE_CHECKING:
    from ..layers.base import Layers


def scale_of(layers: Layers) -> Scale | None:
    """The layer that the samples are multiplied by, if there is one."""
    first = layers[0] if layers else None
    return first if isinstance(first, Scale) else None


def shaped(layers: Layers, value: object, name: str) -> NDArray[Any]:
    """``value`` as an array of samples, of shape (n, positions ..., channels), as the layers take it.

    Raises
    ------
    ValueError, TypeError
        If it is no array of real numbers; naming the layer, if one cannot act on what comes in; if the network ends in
        positions.
    """
    x = input_array(value, name, most_axes=MOST_AXES + 2)
    first = layers[0] if layers else None
    if isinstance(first, Reshape):
        given = x.shape[1:]
        # As rows, or without the axis of one channel.
        if (x.ndim == 2 and given[0] == math.prod(first.shape)) or (*given, 1) == first.shape:
            x = x.reshape(len(x), *first.shape)
        elif x.ndim > 2 and given != first.shape:
            raise ValueError(f"{name} has samples of shape {given}, which {first} does not fit.")
    start = Signal(x.shape[1:-1], x.shape[-1], "given", "unknowable")
    try:
        end = follow_all(layers, start)
    except MisplacedError as error:
        raise ValueError(f"{name} has samples of shape {x.shape[1:]}: {error}") from None
    if end.positions:
        raise ValueError(
            f"the network ends with {' x '.join(map(str, end.positions))} positions, and a kernel is of whole samples: "
            "append fastntk.Flatten(), which keeps them apart, or fastntk.GlobalAvgPool(), and fastntk.Dense(); "
            f"{name}.reshape(len({name}), -1), or fastntk.Flatten() as the first layer, makes vectors of images."
        )
    return x
