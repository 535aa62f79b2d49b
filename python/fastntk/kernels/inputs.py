"""Samples, checked: the norms of their rows, and the centre that arithmetic is relative to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arrays import input_array, refuse_faint_rows, refuse_rows
from .._machine import runtime
from .._machine.rows import engine_rows
from .shapes import scale_of, shaped

if TYPE_CHECKING:
    from ..layers.base import Layers

#: Rows whose mean is the centre subtracted at the input: any centre is right, the mean is the most accurate.
_CENTRE_ROWS = 1024


_CENTRE_NUMBERS = 10_000_000


class Input:
    """Checked samples as rows, the norms of these, and what the engine needs of them.

    `first` is the number of its first row in the whole, for messages. Samples with positions, for layers that know of
    them, are rows too; `positions` and `channels` tell what of. A first layer Scale is done here, and nothing else
    knows of it: `given` are the samples without, `x` and the norms with it.
    """

    def __init__(self, value: ArrayLike, name: str, *, layers: Layers = (), first: int = 0) -> None:
        with_positions = getattr(value, "ndim", 2) > 2 or True in [layer.on_positions for layer in layers]
        scale = scale_of(layers)
        looking = layers if with_positions else layers[:1] if scale else ()  # at the shape of samples
        self.given = shaped(looking, value, name) if looking else input_array(value, name)
        self.positions, self.channels = tuple(self.given.shape[1:-1]), self.given.shape[-1]
        self.with_positions = bool(layers) and with_positions
        self.name, self.first = name, first
        shape = len(self.given), math.prod(self.given.shape[1:])
        rows = engine_rows(self.given.reshape(shape) if self.positions else self.given)
        self.x = scale(rows) if scale else rows
        self.step = centre_step(*self.x.shape)
        self.norms, self.inverse_norms, squarable, self.nonzero = _core.row_norms(self.x, runtime.threads())
        if not squarable:
            refuse_rows(self.norms, self.given, name, first)
        if not self.nonzero:
            refuse_faint_rows((self.norms > 0) & (self.inverse_norms == 0), self.norms, self.given, name, first)


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
    if right is not None and right.given.shape[1:] != left.given.shape[1:] and left.with_positions:
        raise ValueError(
            f"X has samples of shape {left.given.shape[1:]} and Y of shape {right.given.shape[1:]}; they must be alike."
        )
    if right is not None and right.x.shape[1] != left.x.shape[1]:
        raise ValueError(
            f"X has {left.x.shape[1]} features but Y has {right.x.shape[1]}; they must have the same number."
        )
    return left, right
