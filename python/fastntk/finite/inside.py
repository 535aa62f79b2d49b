"""What layers are made of at finite width: those with several matrices of weights have a `Dense` for each."""

from __future__ import annotations

import math
from functools import singledispatch

from ..layers.attention import SelfAttention
from ..layers.base import VARIOUS, Layer, Layers, Signal
from ..layers.branching import Branch
from ..layers.dense import Dense
from ..layers.recurrent import Recurrent
from ..layers.sum import Sum
from ..layers.weighted import Weighted

#: Layers that have a width.
HAVE_WIDTH = (Weighted, Recurrent, SelfAttention)


class Codes(Layer):
    """Instead of what comes in, a code of the number of each node in its sample, of similarity R.

    Of as many units as there are positions; where samples have different numbers of them as many as the most that are
    seen first.
    """

    def __init__(self, attention: SelfAttention) -> None:
        self.similarity = attention.similarity

    def emit(self, program: object, like: object = None) -> object:
        """Of finite networks alone."""
        raise NotImplementedError(program, like)

    def follow(self, signal: Signal) -> Signal:
        """Units are as many as positions, if that is known."""
        known = signal.positions is not None and VARIOUS not in signal.positions
        units = math.prod(signal.positions or ()) if known else math.nan
        return Signal(signal.positions, units, "other", "unknowable", raw=False)


@singledispatch
def inside(layer: Layer) -> tuple[Layers, ...]:
    """Layers inside of it, one after the other in each branch."""
    return layer.branches


@inside.register
def _(layer: Recurrent) -> tuple[Layers, ...]:
    """Once around: from what comes in to a state, and from that to the next."""
    read = Dense(layer.sigma_u, layer.sigma_b, width=layer.width)
    return ((read, layer.activation, Dense(layer.sigma_w, width=layer.width)),)


@inside.register
def _(layer: SelfAttention) -> tuple[Layers, ...]:
    """Queries, or queries and keys; and values, followed by the layer over all heads."""
    if layer.scaling == "linear":
        scores: tuple[Layers, ...] = (_weights((layer.sigma_q * layer.sigma_k) ** 0.5, layer, positions=True),)
    else:
        scores = tuple(_weights(sigma, layer, positions=True) for sigma in (layer.sigma_q, layer.sigma_k))
    values = _weights(layer.sigma_v, layer, positions=layer.position_in_values)
    return (*scores, (*values, Dense(layer.sigma_o, layer.sigma_b, width=layer.width)))


def _weights(sigma: float, layer: SelfAttention, *, positions: bool) -> Layers:
    """Weights of all heads, over what comes in and features of positions.

    These features are units beside what comes in, and queries, keys and values have their own: in the limit that is the
    same as one set of them, added to what comes in.
    """
    units = None if layer.width is None else heads(layer) * (layer.width // heads(layer))
    if not positions or layer.position is None:
        return (Dense(sigma, width=units),)
    a, b = (share**0.5 for share in layer.shares)
    features = (Codes(layer), Dense(width=layer.width), Dense(sigma * b, width=units))
    return (Sum(Branch((Dense(sigma * a, width=units),)), Branch(features)),)


def heads(layer: SelfAttention) -> int:
    """How many heads it has; it has a width."""
    assert layer.width is not None
    if layer.heads is not None:
        return layer.heads
    return 1 if layer.scaling == "linear" else math.isqrt(layer.width)
