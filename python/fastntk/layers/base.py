"""What every layer is. What is done with layers elsewhere is one `functools.singledispatch` each."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from ..activations.duals import Program

#: Of one sample, channels last: (units,), later (height, width, channels). `math.inf` where a layer is infinitely wide.
Shape: TypeAlias = tuple[float, ...]

_LONG_NUMBER = re.compile(r"\d+\.\d{4,}(?:e[+-]?\d+)?")


class Layer(ABC):
    """A map of the kernels: with parameters of its own, and how it becomes an op of the engine.

    `hyperparameters` names the numbers that kernels are differentiated in, in the order of the engine. The repr of a
    layer is its text, which `fastntk.network` reads; its str has short numbers, for people.
    """

    __slots__ = ()

    hyperparameters: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def emit(self, program: Program, like: object = None) -> object:
        """Append itself to a program of the engine; give what was chosen by the variances of its samples, if anything.

        For other samples, `like` these, that is chosen again: so that they can be paired.
        """

    @abstractmethod
    def shape(self, before: Shape) -> Shape:
        """Shape of what it makes of one sample of the shape `before`."""

    @property
    def noise(self) -> float:
        """How far its float64 kernel is from being a smooth function, relative to the diagonals."""
        return 0.0

    def __str__(self) -> str:
        return _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.4g}", repr(self))
