"""What every network is: an immutable tuple of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, overload

from .activations import Activation
from .layers import Dense, Layer


class Stack:
    """Layers one after the other, that can be compared, hashed, pickled and cut."""

    __slots__ = ("layers",)

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer | Stack) -> None:
        flat: list[Layer] = []
        for layer in layers:
            if isinstance(layer, Stack):
                flat.extend(layer.layers)
            elif isinstance(layer, (Dense, Activation)):
                flat.append(layer)
            else:
                hint = " Pass a list of layers as Sequential(*layers)." if isinstance(layer, (list, tuple)) else ""
                raise TypeError(f"a layer is a Dense, an Activation or a Sequential, got {layer!r}.{hint}")
        object.__setattr__(self, "layers", tuple(flat))

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: make a new one.")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.layers))})"

    def __eq__(self, other: object) -> bool:
        return self.layers == other.layers if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self.layers))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.layers

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token  # knows functions by their code, not by their names

        return normalize_token((type(self).__name__, self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, key: int) -> Layer: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    def __getitem__(self, key: int | slice) -> Layer | Self:
        return type(self)(*self.layers[key]) if isinstance(key, slice) else self.layers[key]
