"""What every network is: an immutable tuple of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeAlias, TypeVar, overload

from numpy.typing import NDArray

from ._shown import shown
from ._validation import per_layer, standard_deviation, true_or_false
from .activations import Activation
from .layers import Dense, Layer
from .migration import check_replace, refuse

T = TypeVar("T")

#: What a layer may be given as: a name or a function of an array stands for its Activation.
LayerLike = Layer | str | Callable[[NDArray[Any]], NDArray[Any]]

#: One for all layers, or one for each.
PerLayer: TypeAlias = T | Sequence[T]


class Stack:
    """Layers one after the other, that can be compared, hashed, pickled, cut and joined."""

    __slots__ = ("layers",)

    layers: tuple[Layer, ...]

    def __init__(self, *layers: LayerLike | Stack) -> None:
        flat = [part for layer in layers for part in (layer.layers if isinstance(layer, Stack) else [as_layer(layer)])]
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

    def __add__(self, other: LayerLike | Stack) -> Self:
        return type(self)(self, other)

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

    @refuse(check_replace)
    def replace(
        self,
        *,
        sigma_w: PerLayer[float] | None = None,
        sigma_b: PerLayer[float] | None = None,
        trainable: PerLayer[bool] | None = None,
    ) -> Self:
        """Make the same network with other Dense layers.

        Parameters
        ----------
        sigma_w, sigma_b : float >= 0, or sequence of those, optional
            Of every Dense layer, or one for each of them; by default as they are.
        trainable : bool, or sequence of bool, optional
            Likewise.

        Raises
        ------
        ValueError, TypeError
            As for `Dense`, or if a sequence is not as long as there are Dense layers.

        Examples
        --------
        >>> import fastntk
        >>> net = fastntk.mlp(1, "erf", sigma_w=1.5, sigma_b=0.1)
        >>> net.replace(sigma_w=[2.0, 1.0], trainable=False)[2]
        Dense(sigma_w=1.0, sigma_b=0.1, trainable=False)
        """
        dense = [layer for layer in self.layers if isinstance(layer, Dense)]
        given = {"sigma_w": sigma_w, "sigma_b": sigma_b, "trainable": trainable}
        columns = {
            name: [getattr(layer, name) for layer in dense]
            if value is None
            else per_layer(value, name, len(dense), "Dense layers", _CHECKS[name])
            for name, value in given.items()
        }
        changed = (Dense(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))
        return type(self)(*(next(changed) if isinstance(layer, Dense) else layer for layer in self.layers))


_CHECKS: dict[str, Callable[[object, str], Any]] = {
    "sigma_w": standard_deviation,
    "sigma_b": standard_deviation,
    "trainable": true_or_false,
}


def check_network(net: object) -> None:
    """Refuse what is no network."""
    if not isinstance(net, Stack):
        raise TypeError(f"net must be a Sequential, got {shown(net)}.")


def as_layer(value: object) -> Layer:
    """``value`` if it is a layer, or the Activation that a name or a function stands for."""
    if isinstance(value, (Dense, Activation)):
        return value
    if isinstance(value, str) or (callable(value) and not isinstance(value, (type, Stack))):
        return Activation(value)
    hint = ""
    if isinstance(value, (list, tuple)):
        hint = " Pass a list of layers as Sequential(*layers)."
    elif isinstance(value, type):
        hint = f" Make one: {value.__name__}(...)."
    expected = "a layer is a Dense, an Activation or its name or function, or a Sequential"
    raise TypeError(f"{expected}, got {shown(value)}.{hint}")
