"""Flatten: the units of all positions as those of one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .base import VARIOUS, Layer, Signal
from .migration import check_whole, refuse
from .nodes import Mixing, windows
from .window import Axis, count, window

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True, init=False)
class Flatten(Layer):
    """The units of all positions side by side: K is the mean of K(p, p) over the positions p, Theta likewise.

    Notes
    -----
    The kernel looks at pairs of the same position only, which makes it the least costly end of a convolutional network.
    An activation behind it would act on units of several variances: put it before.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> X = np.arange(12.0).reshape(2, 3, 2)  # two sequences of three steps
    >>> same = fastntk.Sequential(fastntk.Flatten(), fastntk.Dense()).nngp(X)
    >>> bool(np.allclose(same, fastntk.Sequential(fastntk.Dense()).nngp(X.reshape(2, 6))))
    True
    """

    on_positions: ClassVar[bool] = True

    @refuse(check_whole)
    def __init__(self) -> None:
        """Nothing to choose."""

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine."""
        if isinstance(program, Mixing):
            program.window(*windows(program, _all_of_them), [()] * len(program.grids))
        else:
            program.flatten()

    def follow(self, signal: Signal) -> Signal:
        """A vector; of several positions units have several laws."""
        positions = signal.positions
        if positions == (VARIOUS,):
            raise ValueError(
                "samples with different numbers of positions have no vectors of one length; use "
                "fastntk.GlobalAvgPool() or fastntk.GlobalSumPool()."
            )
        one = positions is not None and count(positions) == 1
        law = signal.law if one or signal.law == "unknown" else "other"
        mean = signal.mean if one or signal.mean in ("zero", "unknown") else "unknowable"
        units = signal.units * count(positions)
        return signal._replace(positions=(), units=units, law=law, mean=mean, alike=signal.alike and one)


def _all_of_them(grid: tuple[int, ...]) -> tuple[Axis, ...]:
    """One window of all positions."""
    return window(grid, grid or 1, 1, 1, "valid")
