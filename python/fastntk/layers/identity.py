"""Identity: what comes in, as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .base import Layer, Signal

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True)
class Identity(Layer):
    """What comes in, as it is: a shortcut, K and Theta unchanged.

    Examples
    --------
    >>> import fastntk
    >>> block = fastntk.Sum(fastntk.Identity(), fastntk.Sequential("relu", fastntk.Dense()))
    >>> block == fastntk.Sum(fastntk.Identity(), fastntk.Sequential("relu", fastntk.Dense(1.0)))
    True
    """

    def emit(self, program: Program, like: object = None) -> None:
        """Append nothing."""

    def follow(self, signal: Signal) -> Signal:
        """What it is."""
        return signal


#: The branch that does nothing.
IDENTITY = (Identity(),)
