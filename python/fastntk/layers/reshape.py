"""Reshape: rows of numbers as images or sequences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from .._checks.arguments import whole_number
from .base import VARIOUS, Signal, Unchanging
from .migration import check_reshape, refuse
from .window import MOST_AXES

if TYPE_CHECKING:
    from ..activations.duals import Program


class Reshape(Unchanging):
    """Rows as images or sequences, channels last: the first layer of a network for data in a 2-D array.

    Parameters
    ----------
    *shape : int
        Of one sample: (height, width, channels) of an image, (length, channels) of a sequence. A row is read in this
        order, the channels of a position side by side.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net = fastntk.Sequential(fastntk.Reshape(8, 8, 1), fastntk.Conv(3), "relu", fastntk.Flatten(), fastntk.Dense())
    >>> net.nngp(np.ones((2, 64))).shape
    (2, 2)
    """

    on_positions: ClassVar[bool] = True

    __slots__ = ("shape",)

    shape: tuple[int, ...]

    @refuse(check_reshape)
    def __init__(self, *shape: int) -> None:
        if not 1 <= len(shape) <= MOST_AXES + 1:
            raise ValueError(
                f"Reshape takes the shape of a sample, up to {MOST_AXES} axes of positions and its channels, such as "
                f"Reshape(28, 28, 1); got {len(shape)} numbers."
            )
        self._set(shape=tuple(whole_number(one, f"shape[{i}]", least=1) for i, one in enumerate(shape)))

    def __repr__(self) -> str:
        return f"Reshape({', '.join(map(str, self.shape))})"

    def __eq__(self, other: object) -> bool:
        return self.shape == other.shape if isinstance(other, Reshape) else NotImplemented

    def __hash__(self) -> int:
        return hash((Reshape, self.shape))

    def __reduce__(self) -> tuple[type[Reshape], tuple[int, ...]]:
        return Reshape, self.shape

    def emit(self, program: Program, like: object = None) -> None:
        """Append nothing: samples have their shape before the engine sees them."""

    def follow(self, signal: Signal) -> Signal:
        """The same numbers, at positions."""
        elsewhere = ValueError("Reshape is for the samples themselves, as the first layer of a network.")
        if signal.positions == (VARIOUS,):
            raise ValueError("Reshape is for rows, and these samples have positions already; leave it out.")
        if signal.law not in ("given", "unknown") or signal.mean in ("zero", "known"):
            raise elsewhere
        if not math.isnan(signal.units) and math.prod(signal.shape) != math.prod(self.shape):
            raise ValueError(
                f"a sample of {math.prod(signal.shape):.0f} features is none of shape {self.shape}, which has "
                f"{math.prod(self.shape)}."
            )
        if signal.positions not in (None, self.shape[:-1]):  # samples have this shape as they are read
            raise elsewhere
        return signal._replace(positions=self.shape[:-1], units=self.shape[-1])
