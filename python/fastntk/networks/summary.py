"""What a network does to the size of its kernels, layer by layer, as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.caller import without
from .._checks.shown import counted
from .._machine import runtime
from .._machine.floating import undisturbed
from ..activations.interpolation import ToleranceWarning
from ..kernels.inputs import Input
from ..kernels.mixed import MixingProgram, Whole, mixing_program
from ..kernels.shapes import scale_of, shaped, start_of
from ..kernels.stages import StagedNetwork
from ..layers.base import VARIOUS, Layer, Signal, follow_each
from .tree import layer_count, tree

if TYPE_CHECKING:
    from ..activations.duals import Program

#: Samples times layers that are compiled at once: the tables of an expansion have some hundred numbers for each.
_AT_ONCE = 2**17

#: Rows of a table that is printed; of a longer one a third are its first, a third its last and a third in between.
_MOST_ROWS = 40

_RANGE = np.finfo(np.float64)

Float = NDArray[np.float64]
_Row = tuple[str, ...]


@dataclass(frozen=True, repr=False, eq=False)
class Summary:
    """Layers of a network and the diagonals of its kernels after each, as `Sequential.summary` gives them.

    Attributes
    ----------
    layers : tuple of Layer
        Those of the network; what is in their branches is drawn below them.
    samples : tuple of int, or None
        Shape of X, -1 where samples differ. Without samples, all below is None too.
    shapes : tuple of tuple
        Of one sample, after each layer; math.inf where there are infinitely many units.
    at_input : tuple of three floats
        Mean, least and largest K(x, x) = ``|x|² / d`` of the samples, before the first layer; of images and sequences
        the mean over their positions.
    nngp_mean, nngp_min, nngp_max : ndarray of shape (layers,)
        Of K(x, x) over the samples: ``nngp_mean[i]`` is that of ``net[:i + 1].nngp.diag(X)``. In squared output units;
        inf and 0 where it leaves the range of float64, nan after that layer. Of images and sequences the K(x, x) of a
        sample is its mean over positions.
    ntk_mean, ntk_min, ntk_max : ndarray of shape (layers,)
        Likewise of Theta(x, x).
    end : str
        Where and why a kernel ended before the network did, or nothing.
    """

    layers: tuple[Layer, ...]
    samples: tuple[int, ...] | None = None
    shapes: tuple[tuple[float, ...], ...] | None = None
    at_input: tuple[float, float, float] | None = None
    nngp_mean: Float | None = None
    nngp_min: Float | None = None
    nngp_max: Float | None = None
    ntk_mean: Float | None = None
    ntk_min: Float | None = None
    ntk_max: Float | None = None
    end: str = ""

    def _title(self) -> str:
        title = f"Sequential of {layer_count(self.layers)}"
        if self.samples is None or self.at_input is None:
            return title
        (n, *shape), (mean, least, largest) = self.samples, map(_short, self.at_input)
        nodes = "any number of nodes, " if shape[0] == VARIOUS else ""
        features = counted(shape[-1], "feature") if len(shape) == 1 or nodes else f"{_shape(shape)} features"
        return f"{title}, {counted(n, 'sample')} of {nodes}{features}: K(x, x) = {mean}, from {least} to {largest}"

    def _rows(self) -> Iterator[_Row]:
        """Entries of the table, of those layers that are shown."""
        yield ("", "layer", *(("shape",) if self.shapes else ()), *(_COLUMNS if self.nngp_mean is not None else ()))
        columns = [column for column in (getattr(self, name) for name in _NAMES) if column is not None]
        for i in self._shown():
            if i is None:
                yield ("…", *[""] * (len(columns) + bool(self.shapes) + 1))
                continue
            shape = (_shape(self.shapes[i]),) if self.shapes else ()
            row: _Row = (*shape, *(_short(column[i]) for column in columns))
            for place, text in tree(self.layers[i : i + 1], first=i):
                yield (place, text, *row)
                row = ("",) * len(row)  # there are diagonals behind the branches, not within

    def _shown(self) -> list[int | None]:
        """Layers that have a row; None: here some are left out."""
        if len(self.layers) <= _MOST_ROWS:
            return list(range(len(self.layers)))
        known = len(self.layers) if self.nngp_mean is None else np.count_nonzero(~np.isnan(self.nngp_mean))
        half = _MOST_ROWS // 2
        last = range(max(half, known - half), known)
        return [*range(min(half, known)), *([None] if last and last[0] > half else []), *last]

    def __repr__(self) -> str:
        rows = list(self._rows())
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(f"{x:<{w}}" if k < 3 else f"{x:>{w}}" for k, (x, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        return "\n".join([self._title(), *(line.rstrip() for line in lines), *([self.end] if self.end else [])])

    def _repr_html_(self) -> str:
        from html import escape

        head, *rows = self._rows()

        def line(row: _Row, tag: str) -> str:
            sides = ("left" if k < 3 else "right" for k in range(len(row)))
            cells = zip(sides, map(escape, row), strict=True)
            return "<tr>" + "".join(f"<{tag} style='text-align: {side}'>{text}" for side, text in cells)

        body = "".join(line(row, "td") for row in rows)
        title = f"<caption>{escape(self._title())}</caption>"
        table = f"<table style='white-space: pre'>{title}{line(head, 'th')}{body}</table>"
        return table + (f"<p>{escape(self.end)}</p>" if self.end else "")


_NAMES = ("nngp_mean", "nngp_min", "nngp_max", "ntk_mean", "ntk_min", "ntk_max")
_COLUMNS = ("mean K(x, x)", "least", "largest", "mean Theta(x, x)", "least", "largest")


def _short(value: Any) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def _shape(shape: Sequence[float]) -> str:
    return " x ".join("∞" if np.isinf(length) else "any" if length == VARIOUS else f"{length:.0f}" for length in shape)


@undisturbed
def summarize(layers: tuple[Layer, ...], X: ArrayLike | None) -> Summary:
    """Follow the samples through the layers, some at a time."""
    if X is None:
        return Summary(layers)
    x = shaped(layers, X, "X")
    data = Input(x, "X", layers=layers)
    n, d = len(x), data.channels * math.prod(x.shape[1:-1])
    raw = Input(x, "X") if scale_of(layers) else None
    if not n:
        raise ValueError("X has no rows: a summary is of samples; net.summary() shows the layers alone.")
    shapes = tuple(signal.shape for signal in follow_each(layers, start_of(x)))
    known, why = len(layers), ""
    columns = np.zeros((6, 1 + len(layers)))  # at the input, and after each layer
    columns[[1, 4]], columns[[2, 5]] = np.inf, -np.inf
    positions = max(1, len(data.x) // n) if data.mixed else math.prod(x.shape[1:-1])
    step = min(8192, max(256 // positions, _AT_ONCE // (positions * max(1, len(layers))), 1))
    with np.errstate(over="ignore"), without(ToleranceWarning):  # of pairs
        for first in range(0, n, step):
            part = slice(first, min(n, first + step))
            if data.mixed or x.ndim > 2:
                followed, reason = _follow_positions(layers[:known], data, part)
            else:
                followed, reason = _follow(layers[:known], data.norms[part], d)
                if raw:
                    followed[0, 0] = raw.norms[part] ** 2 / d
            if reason:
                known, why = followed.shape[1] - 1, reason
            for row, values in zip((0, 3), followed, strict=True):
                mean, least, most = columns[row : row + 3, : known + 1]
                mean += (values / n).sum(axis=1)
                np.minimum(least, values.min(axis=1), out=least)
                np.maximum(most, values.max(axis=1), out=most)
    columns[:, known + 1 :] = np.nan
    at_input = float(columns[0, 0]), float(columns[1, 0]), float(columns[2, 0])
    columns = columns[:, 1:]
    return Summary(
        layers, (n, *(start_of(x).positions or ()), data.channels), shapes, at_input,
        nngp_mean=columns[0], nngp_min=columns[1], nngp_max=columns[2],
        ntk_mean=columns[3], ntk_min=columns[4], ntk_max=columns[5], end=why,
    )  # fmt: skip


def _follow(layers: tuple[Layer, ...], norms: Float, features: int) -> tuple[Float, str]:
    """K(x, x) and Theta(x, x) of some samples before all and after each layer; why that is not all of them."""
    program = _core.ProgramFloat64(runtime.instruction_set(), runtime.threads(), norms, features)
    if any(layer.needs_mean for layer in layers):
        program.follow_means()
    found = np.empty((2, 1 + len(layers), len(norms)))
    found[0, 0], found[1, 0] = program.variance, program.ntk
    for i, layer in enumerate(layers, start=1):
        try:
            layer.emit(program)
        except ValueError as error:  # of an activation that does not accept such a variance
            return found[:, :i], f"Layer {i - 1} does not go on: {error}"
        found[0, i], found[1, i] = program.variance, program.ntk
        if side := _out_of_range(program):
            np.nan_to_num(found[:, i], copy=False, nan=np.inf, posinf=np.inf)
            return found[:, : i + 1], f"After layer {i - 1} a kernel is {side} the range of float64."
    return found, ""


def _out_of_range(program: Program) -> str:
    """Whether a kernel is "beyond" or "below" the range of float64, or nothing."""
    out = program.first_out_of_range(float(_RANGE.tiny), float(_RANGE.max), True)
    if out < 0:
        return ""
    largest = np.nan_to_num([program.variance[out], program.ntk[out]], nan=np.inf, posinf=np.inf).max()
    return "beyond" if largest > _RANGE.max else "below"


class _Look(Layer):
    """A layer that does nothing but look at what a program knows of its samples there."""

    def __init__(self, see: Callable[[Program], None]) -> None:
        self._see = see

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append nothing, and look."""
        self._see(program)

    def follow(self, signal: Signal) -> Signal:
        """The same."""
        return signal


class _EndedError(Exception):
    """A kernel has left the range of float64."""


def _follow_positions(layers: tuple[Layer, ...], data: Input, part: slice) -> tuple[Float, str]:
    """As `_follow`, of samples with positions: means over these."""
    count = part.stop - part.start
    seen: list[Float] = []

    def see(program: Program, number: int) -> None:
        both = np.array([program.variance, program.ntk])
        side = _out_of_range(program)
        both = np.nan_to_num(both, nan=np.inf, posinf=np.inf) if side else both
        del seen[number:]  # it may begin again, once it is known what its layers choose
        seen.append(_means(both, program, count))
        if side:
            raise _EndedError(f"After layer {number - 1} a kernel is {side} the range of float64.")

    looks = [_Look(partial(see, number=number)) for number in range(1 + len(layers))]
    looked = (looks[0], *(each for pair in zip(layers, looks[1:], strict=True) for each in pair))
    why = ""
    try:
        if data.mixed:
            mixing_program(data, part, Whole.of([data])).follow(looked)
        else:
            StagedNetwork(looked, data.positions, data.channels, np.dtype(np.float64)).compile(data.x[part])
    except _EndedError as ended:
        why = str(ended)
    except ValueError as error:  # of an activation that does not accept such a variance
        why = f"Layer {len(seen) - 1} does not go on: {error}"
    return np.stack(seen, axis=1), why


def _means(values: Float, program: Program, count: int) -> Float:
    """Of numbers of every position of so many samples the mean of each."""
    if not isinstance(program, MixingProgram):
        return np.asarray(values.reshape(2, -1, count).mean(axis=1))
    lengths = np.diff(program.starts)
    of = np.repeat(np.arange(count), lengths)
    return np.stack([np.bincount(of, row, count) / np.maximum(lengths, 1) for row in values])
