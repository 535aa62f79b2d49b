"""Samples, checked: the norms of their rows, and the centre that arithmetic is relative to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arrays import input_array, refuse_faint_rows, refuse_rows
from .._machine import runtime
from .._machine.rows import engine_rows
from ..layers.base import VARIOUS
from ..samples import Graphs, Ragged
from .shapes import ends_in_nodes, scale_of, shaped

if TYPE_CHECKING:
    from ..layers.base import Layers

#: Rows whose mean is the centre subtracted at the input: any centre is right, the mean is the most accurate.
_CENTRE_ROWS = 1024


_CENTRE_NUMBERS = 10_000_000

#: Of samples that are a row each.
_NO_STARTS = np.empty(0, np.intp)


class Input:
    """Checked samples as rows, the norms of these, and what the engine needs of them.

    `first` is the number of its first sample in the whole, for messages. Samples with positions, for layers that know
    of them, are rows too; `positions` and `channels` tell what of. Where layers mix positions, or samples have
    different numbers of them, every node is a row: those of sample i are from `starts[i]` to `starts[i + 1]`. A first
    layer Scale is done here, and nothing else knows of it: `given` are the samples without, `x` and the norms with it.
    """

    def __init__(self, value: ArrayLike | Ragged, name: str, *, layers: Layers = (), first: int = 0) -> None:
        ragged = isinstance(value, Ragged)  # asked once, as it takes a moment
        with_positions = ragged or getattr(value, "ndim", 2) > 2 or True in [layer.on_positions for layer in layers]
        scale = scale_of(layers)
        look = with_positions or True in [layer.multiplies for layer in layers]
        looking = layers if look else layers[:1] if scale else ()  # at the shape of samples
        given: Any = shaped(looking, value, name) if looking else input_array(value, name)
        self.given = given
        self.positions: tuple[int, ...] = (VARIOUS,) if ragged else tuple(given.shape[1:-1])
        self.channels: int = given.channels if ragged else given.shape[-1]
        self.with_positions = bool(layers) and with_positions
        self.mixed = ragged or (with_positions and True in [layer.mixes for layer in layers])
        self.name, self.first = name, first
        self.starts: NDArray[np.intp]
        rows, self.starts = (given.values, given.starts) if ragged else _rows(given, nodes=self.mixed)
        self.x = scale(rows) if scale else rows
        self.adjacency = given.adjacency if ragged and isinstance(given, Graphs) else None
        self.by_nodes = ragged and ends_in_nodes(layers, given)
        self.step = centre_step(*self.x.shape)
        self.norms, self.inverse_norms, squarable, self.nonzero = _core.row_norms(self.x, runtime.threads())
        if not squarable:
            refuse_rows(self.norms, *self._for_messages())
        if not self.nonzero:
            refuse_faint_rows((self.norms > 0) & (self.inverse_norms == 0), self.norms, *self._for_messages())

    def __len__(self) -> int:
        """Rows, or columns, that a kernel of them has: one a sample, or one a node of a single sample."""
        return len(self.x) if self.by_nodes else self.samples

    def __bool__(self) -> bool:
        """That there is one, of no samples too: `right or left` asks for it."""
        return True

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.given)

    def rows_of(self, part: slice) -> slice:
        """Rows that a kernel has of samples from one number to another."""
        return slice(int(self.starts[part.start]), int(self.starts[part.stop])) if self.by_nodes else part

    def samples_of(self, begin: int, end: int) -> tuple[int, int]:
        """Samples that these rows of a kernel are of."""
        return (0, self.samples) if self.by_nodes else (begin, end)

    @property
    def grids(self) -> list[tuple[int, ...]]:
        """Positions of each sample, along its axes."""
        if isinstance(self.given, Ragged):
            return [(int(length),) for length in self.given.lengths]
        return [self.positions] * self.samples

    @property
    def memory(self) -> NDArray[Any]:
        """Where the numbers of the samples are, which nothing may be written to."""
        return self.given.values if isinstance(self.given, Ragged) else self.given

    def _for_messages(self) -> tuple[NDArray[Any], str, int, NDArray[np.intp] | None]:
        array = self.x if self.mixed else self.given
        return array, self.name, self.first, self.starts if self.mixed else None


def _rows(given: NDArray[Any], *, nodes: bool) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Samples as the engine reads them, as a row each, or as a row a node; and where those of each begin."""
    count = len(given)
    if not nodes:
        return engine_rows(given.reshape(count, math.prod(given.shape[1:])) if given.ndim > 2 else given), _NO_STARTS
    each = math.prod(given.shape[1:-1])
    return engine_rows(given.reshape(count * each, given.shape[-1])), each * np.arange(count + 1)


def centre_step(rows: int, features: int) -> int:
    """Distance of the rows of a matrix that its centre is made of."""
    most = max(16, min(_CENTRE_ROWS, _CENTRE_NUMBERS // max(features, 1)))
    return max(1, -(-rows // most))


def excess_of_squares(data: Input) -> NDArray[np.float64]:
    """What rounding took from the norms of rows: |x|^2 / norm^2 - 1, of shape (n,)."""
    return _core.square_excess(data.x, data.norms, data.inverse_norms, runtime.threads())


class Centre(NamedTuple):
    """What arithmetic is relative to. Any centre is right; one amid the samples is the most accurate.

    It is part of the bits of a result: a block of a kernel is computed with that of the whole.
    """

    unit: NDArray[np.float64]  # mean of rows of length one; one number more if rows of the whole are zero
    norms: NDArray[np.float64]  # of these rows

    @classmethod
    def of(cls, inputs: list[Input], *, zero_rows: bool | None = None) -> Centre:
        """Make it of some rows of each; whether the whole has zero rows is seen from these, if it is not given."""
        if zero_rows is None:
            zero_rows = not all(data.nonzero for data in inputs)
        return cls(*_core.centre([(data.x, data.norms, data.inverse_norms, data.step) for data in inputs], zero_rows))


def read_inputs(
    layers: Layers, X: ArrayLike, Y: ArrayLike | Input | None, first: tuple[int, int] = (0, 0)
) -> tuple[Input, Input | None]:
    """Check samples of a network; they may be rows from `first` on of larger ones, and Y may have been checked."""
    left = Input(X, "X", layers=layers, first=first[0])
    right = Y if Y is None or isinstance(Y, Input) else Input(Y, "Y", layers=layers, first=first[1])
    if right is None:
        return left, right
    if type(right.given) is not type(left.given):
        made = f": pass fastntk.{_kind(right)}(...)" if isinstance(right.given, Ragged) else ""
        raise TypeError(f"{left.name} are {_kind(left)} and {right.name} {_kind(right)}; they must be alike{made}.")
    if right.given.shape[1:] != left.given.shape[1:] and left.with_positions:
        raise ValueError(
            f"X has samples of shape {left.given.shape[1:]} and Y of shape {right.given.shape[1:]}; they must be alike."
        )
    if right.x.shape[1] != left.x.shape[1]:
        what = "channels" if left.mixed else "features"
        counts = f"{left.name} has {left.x.shape[1]} {what} but {right.name} has {right.x.shape[1]}"
        raise ValueError(f"{counts}; they must have the same number.")
    return left, right


def _kind(data: Input) -> str:
    return type(data.given).__name__ if isinstance(data.given, Ragged) else "arrays"
