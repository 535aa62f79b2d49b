"""What may stand for layers: a name or a function of an array for its Activation, a network for its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from .._checks.shown import shown
from .activation import Activation
from .base import Layer, Layers
from .migration import refuse_word


@runtime_checkable
class HasLayers(Protocol):
    """A network: layers one after the other."""

    @property
    def layers(self) -> Layers:
        """The layers."""


LayerLike: TypeAlias = Layer | str | Callable[[NDArray[Any]], NDArray[Any]]
Part: TypeAlias = LayerLike | HasLayers


def as_layer(value: object) -> Layer:
    """``value`` if it is a layer, or the Activation that a name or a function stands for."""
    if isinstance(value, Layer):
        return value
    if isinstance(value, str):
        refuse_word(value)
    if isinstance(value, str) or (callable(value) and not isinstance(value, type)):
        return Activation(value)
    hint = ""
    if isinstance(value, (list, tuple)):
        hint = " Pass a list of layers as Sequential(*layers)."
    elif isinstance(value, type):
        hint = f" Make one: {value.__name__}(...)."
    expected = (
        "a layer is one of fastntk's, such as Dense(), the name of an activation or its function, or a Sequential"
    )
    raise TypeError(f"{expected}, got {shown(value)}.{hint}")


def as_activation(value: Any, name: str) -> Activation:
    """``value``, or the Activation that a name or a function stands for."""
    if isinstance(value, Activation):
        return value
    if isinstance(value, (Layer, HasLayers)):
        raise TypeError(f"{name} must be the name of an activation, a function or an Activation, got {shown(value)}.")
    return Activation(value)


def chain(parts: Iterable[Part]) -> Layers:
    """Layers one after the other, as they act: those of networks, and of layers that take the next one in."""
    layers: list[Layer] = []
    for part in parts:
        # The second question is the one that takes time.
        network = not isinstance(part, (Layer, type)) and isinstance(part, HasLayers)
        for layer in part.layers if network else [as_layer(part)]:  # type: ignore[union-attr]
            one = layers[-1].with_next(layer) if layers else None
            if one is None:
                layers.append(layer)
            else:
                layers[-1] = one
    return tuple(layers)
