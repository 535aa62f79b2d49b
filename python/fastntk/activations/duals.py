"""Families of activation functions, and how the core is told of them.

One class per family. The mathematics of the dual activations F(q1, q2, c) = E[phi(u) phi(v)] is in C++: per sample in
cpp/core, per pair in cpp/isa; what has no closed form is expanded in `expansion`. Written out in NumPy it stands in
`reference`. phi and phi' of most are in `functions`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._checks.caller import without
from .._machine.floating import undisturbed
from . import expansion, functions, interpolation, means, pieces, polynomials
from .own_expansion import Shares

#: Of an expansion, where none is given.
DEFAULT_TOLERANCE = {"float32": 1e-6, "float64": 1e-10}

Program = _core.ProgramFloat32 | _core.ProgramFloat64

#: What is promised of every closed form in float64, relative to sqrt(F(q1, q1) F(q2, q2)).
CLOSED_FORM_ACCURACY = 2e-14

#: Of Theta relative to K, what an activation that is not 0 at 0 may miss where the variance is below its smallest.
_UNSEEN = 1e-9

_TINY = float(np.finfo(np.float64).tiny)


class Dual(Protocol):
    """What a family of activations has to provide."""

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        """Evaluate phi(x)."""
        ...

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        """Evaluate phi'(x), almost everywhere."""
        ...

    def add_to(self, program: Program, like: Any = None) -> object:
        """Append the activation to a program of the core; give what was chosen by the variances there, if anything.

        `like` is what was chosen for samples that those are paired with: it is taken again, or what is right for both.
        """
        ...

    @property
    def is_odd(self) -> bool:
        """Whether phi(-x) = -phi(x), so that the mean of a unit is 0."""
        ...

    @property
    def is_continuous(self) -> bool:
        """Whether phi is known, and does not jump: functions of a process behind a jump have no derivatives."""
        ...

    @property
    def noise(self) -> float:
        """How far the kernel of float64 is from being smooth."""
        ...

    @property
    def smallest_variance(self) -> float:
        """A variance at which F' has its limit at 0, and below which the core does not look."""
        ...

    def error_bound(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bound the error of F and F' of samples of variance q, relative to F(q, q) and F'(q, q)."""
        ...


class ClosedForm:
    """Accuracy of the families that have one."""

    smallest_variance: ClassVar[float] = _TINY
    noise: ClassVar[float] = 0.0

    @property
    def is_odd(self) -> bool:
        return False

    @property
    def is_continuous(self) -> bool:
        return True

    def error_bound(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(q.shape, CLOSED_FORM_ACCURACY)


@dataclass(frozen=True)
class PiecewiseLinear(ClosedForm):
    """phi(x) = a x for x < 0, b x for x > 0. Cho and Saul (2009), eq. 6, for ReLU."""

    a: float
    b: float

    @property
    def is_odd(self) -> bool:
        return self.a == self.b

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        above = self.b * np.maximum(x, 0) if self.b else np.zeros_like(x)
        return np.asarray(above + (self.a * np.minimum(x, 0) if self.a else 0))

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(0.5 * (self.a + self.b) + 0.5 * (self.b - self.a) * np.sign(x), x.dtype)

    def add_to(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        program.piecewise_linear(self.a, self.b)


@dataclass(frozen=True)
class RectifiedMonomial(ClosedForm):
    """phi(x) = max(x, 0)^degree, the step function for degree 0. Cho and Saul (2009), eq. 3-8."""

    degree: int

    @property
    def is_continuous(self) -> bool:
        return self.degree > 0

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

    def add_to(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        program.rectified_monomial(self.degree)


@dataclass(frozen=True)
class Sign(ClosedForm):
    """phi(x) = sign x."""

    @property
    def is_odd(self) -> bool:
        return True

    @property
    def is_continuous(self) -> bool:
        return False

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.sign(x))

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.zeros_like(x)

    def add_to(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        program.sign()


@dataclass(frozen=True)
class Erf(ClosedForm):
    """phi(x) = a erf(b x) + c. Williams (1997), eq. 11; derivative: Lee et al. (2019), appendix C."""

    a: float
    b: float
    c: float

    @property
    def is_odd(self) -> bool:
        return self.c == 0

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        from scipy.special import erf

        return np.asarray(self.a * erf(self.b * x) + self.c)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(
            2.0 * self.a * self.b / math.sqrt(math.pi) * np.exp(-np.square(np.minimum(np.abs(self.b * x), 40.0)))
        )

    def add_to(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        program.erf(self.a, self.b, self.c)


@dataclass(frozen=True)
class _FunctionDual:
    """phi and phi' of a function."""

    function: functions.Function

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.function.phi(x)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.function.derivative(x)


@dataclass(frozen=True)
class Smooth(_FunctionDual, ClosedForm):
    """A function whose dual the core knows by the name `op`."""

    op: str
    arguments: tuple[float, ...] = ()

    @property
    def is_odd(self) -> bool:
        return self.op == "gabor" or (self.op == "sinusoid" and self.arguments[-1] == 0)

    def add_to(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        program.smooth(self.op, list(self.arguments))


@dataclass(frozen=True)
class Polynomial(_FunctionDual, ClosedForm):
    """phi(x) = sum of coefficients[i] x^i: a Hermite expansion that ends, exact at any variance."""

    coefficients: tuple[float, ...]

    @property
    def is_odd(self) -> bool:
        return not any(self.coefficients[::2])

    @undisturbed
    def add_to(self, program: Program, like: polynomials.Middle | None = None) -> polynomials.Middle:
        means.announce(self.function, program, is_odd=self.is_odd)
        found, middle = polynomials.of_polynomial(self.coefficients, program.variance, like)
        found.add_to(program.expansion)
        return middle


@dataclass(frozen=True)
class PiecewisePolynomial(ClosedForm):
    """A piecewise polynomial of degree 2 at most, by truncated moments of the bivariate normal.

    Where phi saturates large parts cancel, so that the error grows with the variance.
    """

    function: functions.PiecewisePolynomial

    smallest_variance: ClassVar[float] = interpolation.SMALLEST_VARIANCE

    @property
    def is_odd(self) -> bool:
        return means.looks_odd(self.phi)

    @property
    def is_continuous(self) -> bool:
        return functions.is_continuous(self.phi, self.function.breakpoints)

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.function.phi(x)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.function.derivative(x)

    def error_bound(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        return CLOSED_FORM_ACCURACY + 2e-15 * q

    @undisturbed
    def add_to(self, program: Program, like: Shares | None = None) -> Hashable | None:
        means.announce(self.function, program, is_odd=self.is_odd)
        if self.phi(np.zeros(1)).any():
            program.limit_ntk(pieces.SMALLEST_VARIANCE, _UNSEEN / pieces.SMALLEST_VARIANCE)
        single = isinstance(program, _core.ProgramFloat32)
        found = pieces.expand(self.function, program.variance, single=single, gradient=program.with_gradient, like=like)
        found.add_to(program.pieces)
        return found.chosen


@dataclass(frozen=True)
class Expanded(_FunctionDual):
    """A function without closed form, to a tolerance: None for the default of the precision."""

    tolerance: float | None

    @property
    def is_odd(self) -> bool:
        return means.looks_odd(self.phi)

    @property
    def is_continuous(self) -> bool:
        return functions.is_continuous(self.phi, self.function.kinks)

    @property
    def smallest_variance(self) -> float:
        # Where phi(0) = 0 its powers of q are followed to any.
        return interpolation.smallest_variance(self.function) if any(self.function.at_zero) else _TINY

    @property
    def _kinked(self) -> bool:
        function = self.function
        return not function.vanishes and (any(kink != 0 for kink in function.kinks) or function.jumps_at_zero)

    def _expand(
        self,
        q: NDArray[np.float64],
        precision: str,
        *,
        gradient: bool = False,
        like: interpolation.OnGrid | None = None,
    ) -> interpolation.Expansion:
        tolerance = DEFAULT_TOLERANCE[precision] if self.tolerance is None else self.tolerance
        if self.function.vanishes:
            return interpolation.nothing(q)
        if self._kinked:  # its sums are in float64 throughout
            single = precision == "float32"
            return pieces.expand_kinked(self.function, q, tolerance, single=single, gradient=gradient, like=like)
        return expansion.expand(self.function, q, tolerance, gradient=gradient, precision=precision, like=like)

    @undisturbed
    def add_to(self, program: Program, like: interpolation.OnGrid | None = None) -> Hashable | None:
        means.announce(self.function, program, is_odd=self.is_odd)
        if any(self.function.at_zero):
            program.limit_ntk(self.smallest_variance, _UNSEEN / self.smallest_variance)
        precision = "float32" if isinstance(program, _core.ProgramFloat32) else "float64"
        found = self._expand(program.variance, precision, gradient=program.with_gradient, like=like)
        found.add_to(program.pieces if self._kinked else program.expansion)
        return found.chosen

    @property
    def noise(self) -> float:
        return DEFAULT_TOLERANCE["float64"] if self.tolerance is None else self.tolerance

    def error_bound(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        with without(interpolation.ToleranceWarning):
            reached = self._expand(q, "float64").bound
        # No more is promised than was asked for: what is reached beyond depends on the variances it is computed for.
        return np.maximum(reached, self.noise)


@dataclass(frozen=True)
class NormalizedExponential(ClosedForm):
    """The kernel s exp(gamma (rho + shift)), s = sqrt(q1 q2), of no known phi."""

    gamma: float
    shift: float

    @property
    def is_continuous(self) -> bool:
        return False

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        raise TypeError("'exp_normalized' is a kernel without a known activation function: it cannot be evaluated.")

    derivative = phi

    def add_to(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        program.smooth("exponential_normalized", [self.gamma, self.shift])


@dataclass(frozen=True)
class Quadrature:
    """The direct Gauss-Hermite rule of nodes x nodes points for a named activation: a slow, independent check."""

    exact: Dual
    name: str
    arguments: tuple[Any, ...]
    nodes: int

    smallest_variance: ClassVar[float] = interpolation.SMALLEST_VARIANCE
    noise: ClassVar[float] = 0.0

    @property
    def is_odd(self) -> bool:
        return self.exact.is_odd

    @property
    def is_continuous(self) -> bool:
        return self.exact.is_continuous

    def phi(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.exact.phi(x)

    def derivative(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.exact.derivative(x)

    def error_bound(self, q: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ARG002
        raise ValueError("method='quadrature' has no error bound: its error is found by comparing numbers of nodes.")

    @undisturbed
    def add_to(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        if program.with_gradient:
            raise ValueError(
                f"Activation({self.name!r}, method='quadrature') has no gradient: it would need the second derivative "
                "of the activation. Leave method= out."
            )
        from scipy.special import roots_hermitenorm

        function = getattr(self.exact, "function", None) or functions.Function(self.phi, self.derivative, (0.0,))
        means.announce(function, program, is_odd=self.is_odd)
        x, weight = roots_hermitenorm(self.nodes)
        program.quadrature(self.name, list(self.arguments), x.tolist(), (weight / weight.sum()).tolist())
