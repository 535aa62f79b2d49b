"""How many units every layer of a finite network has, and which networks exist at finite width."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import singledispatch
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from .._checks.arguments import whole_number
from .._checks.shown import shown
from ..layers.activation import Activation
from ..layers.alternating import widths
from ..layers.attention import SelfAttention
from ..layers.base import Layer, Layers, MisplacedError, Signal, follow_all, walk
from ..layers.branching import Branching
from ..layers.concat import Concat
from ..layers.dense import Dense
from ..layers.flatten import Flatten
from ..layers.layer_norm import LayerNorm
from ..layers.recurrent import Recurrent
from ..layers.weighted import Weighted
from ..layers.window import count
from ..networks.sequential import Sequential
from .inside import HAVE_WIDTH, inside


class _Span(NamedTuple):
    """A part of the outputs, or of the units that a hidden layer has: from 0 to 1 of them."""

    of_outputs: bool
    start: float = 0.0
    stop: float = 1.0

    def units(self, width: int) -> int:
        """Number of units. Those of parts that together are a whole add up."""
        return math.floor(self.stop * width + 0.5) - math.floor(self.start * width + 0.5)

    def parts(self, fractions: Sequence[float]) -> list[_Span]:
        """Itself in parts."""
        length = self.stop - self.start
        inner = [self.start + length * share for share in accumulate(fractions[:-1])]
        return [_Span(self.of_outputs, *ends) for ends in pairwise([self.start, *inner, self.stop])]


_HIDDEN = _Span(of_outputs=False)


@singledispatch
def _before(layer: Layer, span: _Span | None, weighted: list[_Span]) -> _Span | None:
    """Units that have to come in for those that have to come out; None: any number. Appends those with weights have."""
    del layer, weighted
    return span


@_before.register(Weighted)
@_before.register(Recurrent)
@_before.register(SelfAttention)
def _(layer: Layer, span: _Span | None, weighted: list[_Span]) -> None:  # noqa: ARG001
    weighted.append(span or _HIDDEN)


@_before.register
def _(layer: Flatten, span: _Span | None, weighted: list[_Span]) -> None:
    """Units of all positions come out: how many that are is known of samples only."""
    del layer, span, weighted


@_before.register
def _(layer: Branching, span: _Span | None, weighted: list[_Span]) -> _Span | None:
    return _before_branches(layer, [span] * len(layer.branches), weighted)


@_before.register
def _(layer: Concat, span: _Span | None, weighted: list[_Span]) -> _Span | None:
    return _before_branches(layer, (span or _HIDDEN).parts(layer.fractions), weighted)


def _before_branches(layer: Layer, spans: Sequence[_Span | None], weighted: list[_Span]) -> _Span | None:
    each = list(zip(layer.branches, spans, strict=True))
    wanted = [_before_all(branch, span, weighted) for branch, span in reversed(each)]
    return next((span for span in reversed(wanted) if span is not None), None)


def _before_all(layers: Layers, span: _Span | None, weighted: list[_Span]) -> _Span | None:
    for layer in reversed(layers):
        span = _before(layer, span, weighted)
    return span


class Sized(NamedTuple):
    """A network whose layers with weights all have a width; those of hidden ones in order, the number of outputs."""

    net: Sequential
    hidden: list[int]
    n_outputs: int


def with_units(net: Sequential, width: int | Sequence[int] | None, n_outputs: int | None, *, alone: int = 1) -> Sized:
    """Give every layer with weights a width, as `FiniteNetwork` describes; by default `alone` to one that ends it.

    Raises
    ------
    ValueError
        If no layer with weights makes the outputs, widths contradict each other, or there is no such network.
    """
    spans: list[_Span] = []
    _before_all(net.layers, _Span(of_outputs=True), spans)
    spans.reverse()
    if not any(span.of_outputs for span in spans):
        raise ValueError(
            f"the outputs of a finite network are those of layers with weights, and none ends {shown(net)}; append "
            "fastntk.Dense()."
        )
    weighted = [layer for _, layer in walk(net.layers) if isinstance(layer, HAVE_WIDTH)]
    hidden = widths(width, [layer for layer, span in zip(weighted, spans, strict=True) if not span.of_outputs])
    one_for_all = None if width is None or np.ndim(width) else whole_number(width, "width", least=1)
    outputs = alone if ends_with_dense(net) else max([*hidden, one_for_all or 1])
    if n_outputs is not None:
        outputs = whole_number(n_outputs, "n_outputs", least=1)

    units, rest = [], iter(hidden)
    for layer, span in zip(weighted, spans, strict=True):
        whole = outputs if span.of_outputs else next(rest)
        units.append(layer.width or (span.units(whole) if span.of_outputs or one_for_all else whole))
        if not units[-1]:
            raise ValueError(f"of {whole} units none is left for {shown(layer)} in its part of a Concat.")
    numbers = iter(units)
    try:
        sized = net.changed(
            lambda layer: layer.with_values(width=next(numbers)) if isinstance(layer, HAVE_WIDTH) else layer
        )
    except ValueError as error:
        raise ValueError(
            f"the layers with weights of {shown(net)} cannot have {units} units; pass one for each hidden one: {error}"
        ) from None
    last = check(sized.layers)
    if not math.isnan(last) and last != outputs:
        if n_outputs is not None:
            raise ValueError(f"n_outputs is {n_outputs}, but {shown(net)} ends with {last:.0f} units.")
        outputs = int(last)
    return Sized(sized, [n for n, span in zip(units, spans, strict=True) if not span.of_outputs], outputs)


def ends_with_dense(net: Sequential) -> bool:
    """Whether the outputs are those of one Dense layer: given all others they are Gaussian, however few they are."""
    return isinstance(net.layers[-1], Dense)


def check(layers: Layers, shape: tuple[int, ...] | None = None) -> float:
    """Refuse what does not exist at finite width, or has another limit than the kernels; give the number of outputs.

    As far as it is known, for samples of this shape or before there are any.

    Raises
    ------
    MisplacedError
        Naming the layer that is wrong.
    """
    signal = Signal(law="given", mean="unknowable")
    if shape is not None:
        signal = signal._replace(positions=shape[:-1], units=shape[-1])
    for place, layer, given in visited(layers, signal):
        why = _why_not(layer, given)
        if why:
            raise MisplacedError(place, layer, why)
    return follow_all(layers, signal).units


@singledispatch
def _why_not(layer: Layer, given: Signal) -> str:
    """Why a layer cannot follow at finite width, if so."""
    del layer, given
    return ""


@_why_not.register
def _(layer: Activation, given: Signal) -> str:  # noqa: ARG001
    if given.law == "gaussian":
        return ""
    return (
        "at finite width an activation acts on what layers with weights give, their sum or norm; put a Dense before it."
    )


@_why_not.register
def _(layer: LayerNorm, given: Signal) -> str:
    size = given.units * (count(given.positions) if layer.axes == "all" else 1)
    if size == 1 and layer.eps == 0:
        return "one unit alone has no variance to divide by: there must be more."
    return ""


def visited(layers: Layers, signal: Signal, place: str = "") -> Iterator[tuple[str, Layer, Signal]]:
    """Layers with their places and what comes into each, those with branches before what is inside of them."""
    for i, layer in enumerate(layers):
        yield f"{place}{i}", layer, signal
        for b, branch in enumerate(inside(layer)):
            yield from visited(branch, signal, f"{place}{i}.{b}.")
        try:
            signal = layer.follow(signal)
        except ValueError as error:
            raise MisplacedError(f"{place}{i}", layer, str(error)) from None
