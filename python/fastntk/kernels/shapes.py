"""Samples of layers that know of their shape: it is checked against them before work starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import NDArray

from .._checks.arrays import input_array
from .._checks.caller import warn
from ..layers.aggregate import Aggregate
from ..layers.base import VARIOUS, MisplacedError, Signal, follow_all, walk
from ..layers.recurrent import Recurrent
from ..layers.reshape import Reshape
from ..layers.scale import Scale
from ..layers.window import MOST_AXES
from ..samples import Graphs, Ragged

if TYPE_CHECKING:
    from ..layers.base import Layers


#: Pixels on a side of what may be an image with its channels first.
_SMALLEST_IMAGE = 8


def scale_of(layers: Layers) -> Scale | None:
    """The layer that the samples are multiplied by, if there is one."""
    first = layers[0] if layers else None
    return first if isinstance(first, Scale) else None


def start_of(x: NDArray[Any] | Ragged) -> Signal:
    """What is known of checked samples."""
    if isinstance(x, Ragged):
        return Signal((VARIOUS,), x.channels, "given", "unknowable", alike=x.channels == 1)
    return Signal(x.shape[1:-1], x.shape[-1], "given", "unknowable", alike=x.shape[-1] == 1)


@overload
def shaped(layers: Layers, value: Ragged, name: str) -> Ragged: ...
@overload
def shaped(layers: Layers, value: object, name: str) -> Any: ...
def shaped(layers: Layers, value: object, name: str) -> NDArray[Any] | Ragged:
    """``value`` as samples that the layers take: an array of shape (n, positions ..., channels), or a container.

    Raises
    ------
    ValueError, TypeError
        If it is no array of real numbers; naming the layer, if one cannot act on what comes in; if the network ends in
        positions, but for the nodes of a single graph or sequence.
    """
    if isinstance(value, Ragged):
        return _shaped_ragged(layers, value, name)
    x = input_array(value, name, most_axes=MOST_AXES + 2)
    first = layers[0] if layers else None
    if isinstance(first, Reshape):
        given = x.shape[1:]
        # As rows, or without the axis of one channel.
        if (x.ndim == 2 and given[0] == math.prod(first.shape)) or (*given, 1) == first.shape:
            x = x.reshape(len(x), *first.shape)
        elif x.ndim > 2 and given != first.shape:
            raise ValueError(f"{name} has samples of shape {given}, which {first} does not fit.")
    elif x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[2] == x.shape[3] >= _SMALLEST_IMAGE:
        warn(
            f"{name} has shape {x.shape}: channels come last, so that these are {x.shape[1]} x {x.shape[2]} positions "
            f"of {x.shape[3]} channels. If they are images as PyTorch has them, pass {name}.transpose(0, 2, 3, 1)."
        )
    try:
        end = follow_all(layers, start_of(x))
    except MisplacedError as error:
        raise ValueError(f"{name} has samples of shape {x.shape[1:]}: {error}") from None
    if end.positions:
        raise ValueError(
            f"the network ends with {' x '.join(map(str, end.positions))} positions, and a kernel is of whole samples: "
            "append fastntk.Flatten(), which keeps them apart, or fastntk.GlobalAvgPool(), and fastntk.Dense(); "
            f"{name}.reshape(len({name}), -1), or fastntk.Flatten() as the first layer, makes vectors of images."
        )
    return x


def _shaped_ragged(layers: Layers, samples: Ragged, name: str) -> Ragged:
    graphs = isinstance(samples, Graphs)
    for place, layer in walk(layers):
        if isinstance(layer, Aggregate) and not graphs:
            raise ValueError(
                f"{name} are {type(samples).__name__}, without edges, and layer {place}, {layer}, is for graphs: "
                "fastntk.Graphs(features, adjacency)."
            )
        if isinstance(layer, Recurrent) and graphs:
            raise ValueError(
                f"{name} are Graphs, whose nodes have no order, and layer {place}, {layer}, reads one step after the "
                "other: fastntk.Sequences(values)."
            )
    try:
        ends = ends_in_nodes(layers, samples)
    except MisplacedError as error:
        raise ValueError(f"{name} are {type(samples).__name__} of {samples.channels} channels: {error}") from None
    if ends and len(samples) != 1:
        raise ValueError(
            f"the network ends with the {samples.node}s of each sample, and a kernel is of whole samples: append "
            "fastntk.GlobalSumPool() or fastntk.GlobalAvgPool(); of one sample, "
            f"{name}[:1], it is the kernel between its {samples.node}s."
        )
    return samples


def ends_in_nodes(layers: Layers, samples: Ragged) -> bool:
    """Whether a network ends with the nodes of samples, and not with what they are as a whole."""
    return bool(follow_all(layers, start_of(samples)).positions)
