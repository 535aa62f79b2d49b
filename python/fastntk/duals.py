"""Families of activation functions: phi, phi', and how the core is told of them.

One class per family. The mathematics of the dual activations F(q1, q2, c) = E[phi(u) phi(v)] is in C++:
per sample in cpp/core/program.cpp, per pair in cpp/isa. Written out in NumPy it stands in `reference`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import _core

Program = _core.ProgramFloat32 | _core.ProgramFloat64


class Dual(Protocol):
    """What a family of activations has to provide."""

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        """Evaluate phi(x)."""
        ...

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        """Evaluate phi'(x), almost everywhere."""
        ...

    def add_to(self, program: Program) -> None:
        """Append the activation to a program of the core."""
        ...


@dataclass(frozen=True)
class PiecewiseLinear:
    """phi(x) = a x for x < 0, b x for x > 0. Cho and Saul (2009), eq. 6, for ReLU."""

    a: float
    b: float

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        above = self.b * np.maximum(x, 0) if self.b else np.zeros_like(x)
        return np.asarray(above + (self.a * np.minimum(x, 0) if self.a else 0))

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(0.5 * (self.a + self.b) + 0.5 * (self.b - self.a) * np.sign(x), x.dtype)

    def add_to(self, program: Program) -> None:
        program.piecewise_linear(self.a, self.b)


@dataclass(frozen=True)
class RectifiedMonomial:
    """phi(x) = max(x, 0)^degree, the step function for degree 0. Cho and Saul (2009), eq. 3-8."""

    degree: int

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.degree == 0:
            return np.asarray(np.heaviside(x, 0), x.dtype)
        return np.asarray(np.maximum(x, 0) ** self.degree)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        n = self.degree
        if n == 0:
            return np.zeros_like(x)
        if n == 1:
            return np.asarray(np.heaviside(x, 0.5), x.dtype)
        return np.asarray(n * np.maximum(x, 0) ** (n - 1))

    def add_to(self, program: Program) -> None:
        program.rectified_monomial(self.degree)


@dataclass(frozen=True)
class Sign:
    """phi(x) = sign x."""

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.sign(x))

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.zeros_like(x)

    def add_to(self, program: Program) -> None:
        program.sign()


@dataclass(frozen=True)
class Erf:
    """phi(x) = a erf(b x) + c. Williams (1997), eq. 11; derivative: Lee et al. (2019), appendix C."""

    a: float
    b: float
    c: float

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        from scipy.special import erf

        return np.asarray(self.a * erf(self.b * x) + self.c)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(
            2.0 * self.a * self.b / math.sqrt(math.pi) * np.exp(-np.square(np.minimum(np.abs(self.b * x), 40.0)))
        )

    def add_to(self, program: Program) -> None:
        program.erf(self.a, self.b, self.c)
