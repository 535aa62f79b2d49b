"""What every layer is. What is done with layers elsewhere is one `functools.singledispatch` each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ..activations.duals import Program


class Layer(ABC):
    """A map of the kernels: with parameters of its own, and how it becomes an op of the engine.

    `hyperparameters` names the numbers that kernels are differentiated in, in the order of the engine.
    """

    __slots__ = ()

    hyperparameters: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def emit(self, program: Program, like: object = None) -> object:
        """Append itself to a program of the engine; give what was chosen by the variances of its samples, if anything.

        For other samples, `like` these, that is chosen again: so that they can be paired.
        """

    @property
    def noise(self) -> float:
        """How far its float64 kernel is from being a smooth function, relative to the diagonals."""
        return 0.0
