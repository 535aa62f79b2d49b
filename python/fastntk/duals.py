"""Dual activations: what a nonlinearity does to variances, and how the core is told of it.

One class per family. Each gives phi and phi' (NumPy, elementwise), the one-point moments F(q, q) and
F'(q, q), and the op of the C++ core that does the pairs. Writing F(q1, q2, c) in normalised form,

    F = s1' s2' (1 - gap'),      s' = sqrt F(q, q),

the op maps the gap of a pair to gap' and multiplies Theta / (s1 s2) by F' s1 s2 / (s1' s2').
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.longdouble]


_PI = 4 * np.arctan(np.longdouble(1))


@dataclass(frozen=True)
class OpSpec:
    """An op of the C++ core: its name there, its scalars, and one table of numbers per sample."""

    name: str
    parameters: tuple[float, ...] = ()
    tables: tuple[Vector, ...] = ()


class Dual(Protocol):
    """What a family of activations has to provide."""

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        """Evaluate phi(x)."""
        ...

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        """Evaluate phi'(x), almost everywhere."""
        ...

    def variance(self, q: Vector) -> Vector:
        """Evaluate F(q, q) = E phi(u)^2, u ~ N(0, q), without the square of a mean (see `mean`)."""
        ...

    def slope_variance(self, q: Vector) -> Vector | float:
        """Evaluate F'(q, q) = E phi'(u)^2."""
        ...

    @property
    def mean(self) -> float:
        """A constant of phi that is kept apart: phi - mean is what `variance` and `op` are about."""
        ...

    def makes_nonnegative(self, already: bool) -> bool:
        """Whether rho >= 0 for every pair after phi, given whether that holds before."""
        ...

    def op(self, q: Vector, rounding: float) -> OpSpec | None:
        """The op of the core for samples of variance q in arithmetic of this rounding; None if linear."""
        ...


@dataclass(frozen=True)
class PiecewiseLinear:
    """phi(x) = a x for x < 0, b x for x > 0. Cho and Saul (2009), eq. 6, for ReLU."""

    a: float
    b: float
    mean: float = 0.0

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.where(x > 0, self.b * x, self.a * x)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.where(x > 0, self.b, np.where(x < 0, self.a, 0.5 * (self.a + self.b)))

    def _mean_square_slope(self) -> np.longdouble:
        return (np.longdouble(self.a) ** 2 + np.longdouble(self.b) ** 2) / 2

    def variance(self, q: Vector) -> Vector:
        return q * self._mean_square_slope()

    def slope_variance(self, q: Vector) -> np.longdouble:  # noqa: ARG002
        return self._mean_square_slope()

    def _bend(self) -> float:
        square_sum = self.a * self.a + self.b * self.b
        return (self.a - self.b) ** 2 / square_sum if square_sum > 0 else 0.0

    def makes_nonnegative(self, already: bool) -> bool:
        return already or self._bend() >= 1.0

    def op(self, q: Vector, rounding: float) -> OpSpec | None:  # noqa: ARG002
        return None if self._bend() == 0.0 else OpSpec("piecewise_linear", (self._bend(),))


@dataclass(frozen=True)
class RectifiedMonomial:
    """phi(x) = max(x, 0)^degree, the step function for degree 0. Cho and Saul (2009), eq. 3-8."""

    degree: int
    mean: float = 0.0

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.where(x > 0, x**self.degree, 0.0)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        n = self.degree
        return np.where(x > 0, n * x ** (n - 1), 0.0) if n > 0 else np.zeros_like(x)

    def variance(self, q: Vector) -> Vector:
        # E u^2n = (2n - 1)!! q^n
        return 0.5 * math.prod(range(1, 2 * self.degree, 2)) * q**self.degree

    def slope_variance(self, q: Vector) -> Vector:
        n = self.degree
        return 0.5 * n * n * math.prod(range(1, 2 * n - 2, 2)) * q ** (n - 1) if n > 0 else np.zeros_like(q)

    def makes_nonnegative(self, already: bool) -> bool:  # noqa: ARG002
        return True

    def op(self, q: Vector, rounding: float) -> OpSpec | None:  # noqa: ARG002
        # The gain F'(q, q) q / F(q, q) = n^2 / (2n - 1).
        return (
            OpSpec("step"),
            OpSpec("piecewise_linear", (1.0,)),
            OpSpec("rectified_square", (4.0 / 3.0,)),
            OpSpec("rectified_cube", (9.0 / 5.0,)),
        )[self.degree]


@dataclass(frozen=True)
class Sign:
    """phi(x) = sign x."""

    mean: float = 0.0

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.sign(x)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.zeros_like(x)

    def variance(self, q: Vector) -> Vector:
        return np.ones_like(q)

    def slope_variance(self, q: Vector) -> float:  # noqa: ARG002
        return 0.0

    def makes_nonnegative(self, already: bool) -> bool:
        return already

    def op(self, q: Vector, rounding: float) -> OpSpec | None:  # noqa: ARG002
        return OpSpec("sign")


@dataclass(frozen=True)
class Erf:
    """phi(x) = a erf(b x) + c. Williams (1997), eq. 11; derivative: Lee et al. (2019), appendix C."""

    a: float
    b: float
    c: float

    @property
    def mean(self) -> float:
        return self.c

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        from scipy.special import erf

        return np.asarray(self.a * erf(self.b * x) + self.c)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.a * self.b * 2.0 / math.sqrt(math.pi) * np.exp(-np.square(self.b * x))

    def _angle(self, big_q: Vector) -> Vector:
        # asin(Q / (1 + Q)) without the cancellation at large Q
        return np.arctan2(big_q, np.sqrt(1.0 + 2.0 * big_q))

    def variance(self, q: Vector) -> Vector:
        return self.a**2 * 2.0 / _PI * self._angle(2.0 * self.b**2 * q)

    def slope_variance(self, q: Vector) -> Vector:
        return (2.0 * self.a * self.b) ** 2 / _PI / np.sqrt(1.0 + 4.0 * self.b**2 * q)

    def makes_nonnegative(self, already: bool) -> bool:
        return already

    def op(self, q: Vector, rounding: float) -> OpSpec | None:
        # Below this Q = 2 b^2 q, erf is linear to rounding and its normalised dual does not depend on Q;
        # and the squares of the tables stay in range.
        big_q = np.maximum(2.0 * self.b**2 * q, 0.1 * rounding)
        rest = 1.0 / (1.0 + big_q)
        sine = big_q * rest
        cosine = np.sqrt(1.0 + 2.0 * big_q) * rest
        angle = self._angle(big_q)
        root = np.sqrt(angle)
        loss = 1.0 - np.sqrt(sine / angle)
        return OpSpec("erf", (), (sine, rest, cosine, sine * cosine, root, 1.0 / root, loss))
