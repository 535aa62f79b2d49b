"""Activation functions phi and phi' as vectorised NumPy functions, stable for all finite x; no duals here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.hermite_e import hermeval
from numpy.typing import NDArray

from .._checks.shown import cut, shown

Real = NDArray[Any]

#: Klambauer et al. (2017), "Self-normalizing neural networks".
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class Function:
    """phi and phi', and where a derivative of any order jumps. At a kink phi' is the mean of both slopes."""

    phi: Callable[[Real], Real]
    derivative: Callable[[Real], Real]
    kinks: tuple[float, ...] = ()
    #: Of a function of the user: what to call it. Nothing else is known of it.
    name: str = ""
    known: bool = True
    #: A second estimate of a derivative that is one by finite differences.
    closer: Callable[[Real], Real] | None = None

    @cached_property
    def at_zero(self) -> tuple[float, float]:
        """phi at 0 from the right and from the left: they differ where it jumps."""
        right, left = (float(np.asarray(self.phi(np.array([side * 1e-300])), np.float64)[0]) for side in (1, -1))
        # What is as small as that is the slope.
        return (right, left) if max(abs(right), abs(left)) > 1e-150 else (0.0, 0.0)

    @cached_property
    def vanishes(self) -> bool:
        """Whether a function of the user is 0 everywhere, as far as it is looked at."""
        if self.known:
            return False
        near, far = np.linspace(0, 2, 65), np.concatenate((np.linspace(2, 64, 2049), 2.0 ** np.arange(-64, 65)))
        try:
            return not any(np.asarray(self.phi(x)).any() for x in (near, -near, far, -far))
        except (TypeError, ValueError):  # what it says where it is to be evaluated is said there
            return False

    @cached_property
    def jumps_at_zero(self) -> bool:
        """Whether phi jumps at a kink at 0."""
        right, left = self.at_zero
        return 0.0 in self.kinks and abs(right - left) > 1e-15 * max(abs(right), abs(left))


@dataclass(frozen=True)
class PiecewisePolynomial:
    """pieces[i], coefficients from low to high order up to 2, between breakpoints i - 1 and i.

    At a breakpoint phi and phi' are the means of both sides.
    """

    breakpoints: tuple[float, ...]
    pieces: tuple[tuple[float, ...], ...]

    def phi(self, x: Real) -> Real:
        """Evaluate phi(x)."""
        return self._evaluate(x, self.pieces)

    def derivative(self, x: Real) -> Real:
        """Evaluate phi'(x), almost everywhere."""
        return self._evaluate(x, [tuple(Polynomial(piece).deriv().coef.tolist()) for piece in self.pieces])

    def _evaluate(self, x: Real, pieces: Any) -> Real:
        x = np.asarray(x)
        left, right = (np.searchsorted(self.breakpoints, x, side) for side in ("left", "right"))
        result = np.zeros_like(x)
        for i, piece in enumerate(pieces):
            for side in (left, right):
                # Where the piece does not apply it is evaluated at 0, so that it cannot overflow.
                inside = side == i
                u = np.where(inside, x, 0)
                value = np.full_like(x, piece[-1])
                for coefficient in piece[-2::-1]:
                    value = value * u + x.dtype.type(coefficient)
                result += np.where(inside, 0.5 * value, 0)
        return np.asarray(np.where(np.isnan(x), x, result))


def _logistic(x: Real) -> Real:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))


def _softplus(x: Real) -> Real:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _gated(x: Real, gate: Real) -> Real:
    """Multiply; 0 where the gate is shut, at -inf too."""
    return np.asarray(np.where(gate == 0, 0, x) * gate, x.dtype)


def _phi_cdf(x: Real) -> Real:
    from scipy.special import ndtr

    return np.asarray(ndtr(x))


def _pdf(x: Real) -> Real:
    return np.asarray(np.exp(-0.5 * np.square(np.clip(x, -40, 40))) / math.sqrt(2 * math.pi), x.dtype)


def _sech_squared(x: Real) -> Real:
    e = np.exp(-2 * np.abs(x))
    return np.asarray(4 * e / np.square(1 + e))


def tanh() -> Function:
    """tanh x."""
    return Function(lambda x: np.asarray(np.tanh(x)), _sech_squared)


def sigmoid() -> Function:
    """1 / (1 + exp(-x))."""
    return Function(_logistic, lambda x: np.asarray(_sech_squared(x / 2) / 4))


def softplus(beta: float) -> Function:
    """log(1 + exp(beta x)) / beta."""
    return Function(lambda x: np.asarray(_softplus(beta * x) / beta), lambda x: _logistic(beta * x))


def swish(beta: float) -> Function:
    """x sigmoid(beta x). Ramachandran, Zoph, Le (2017)."""

    def derivative(x: Real) -> Real:
        # s (1 - s) dies before beta x is large
        bounded = np.clip(beta * x, -750, 750)
        return np.asarray(_logistic(beta * x) + bounded * _sech_squared(bounded / 2) / 4)

    return Function(lambda x: _gated(x, _logistic(beta * x)), derivative)


def mish() -> Function:
    """x tanh(log(1 + exp(x))). Misra (2019)."""

    def derivative(x: Real) -> Real:
        bounded = np.clip(x, -750, 750)
        return np.asarray(np.tanh(_softplus(x)) + bounded * _sech_squared(_softplus(bounded)) * _logistic(bounded))

    return Function(lambda x: _gated(x, np.tanh(_softplus(x))), derivative)


def gelu_tanh() -> Function:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Hendrycks and Gimpel (2016)."""
    root, cubic = math.sqrt(2 / math.pi), 0.044715

    def phi(x: Real) -> Real:
        u = np.clip(x, -40, 40)
        return _gated(x, _logistic(2 * root * (u + cubic * u**3)))

    def derivative(x: Real) -> Real:
        u = np.clip(x, -40, 40)
        inner = root * (u + cubic * u**3)
        return np.asarray(_logistic(2 * inner) + 0.5 * u * _sech_squared(inner) * root * (1 + 3 * cubic * u**2))

    return Function(phi, derivative)


def _elu(scale: float, alpha: float, rate: float) -> Function:
    def phi(x: Real) -> Real:
        return np.asarray(scale * np.where(x > 0, x, alpha * np.expm1(rate * np.minimum(x, 0))))

    def derivative(x: Real) -> Real:
        below = alpha * rate * np.exp(rate * np.minimum(x, 0))
        above = np.ones_like(x)
        return np.asarray(scale * np.where(x < 0, below, np.where(x > 0, above, (below + above) / 2)))

    return Function(phi, derivative, (0.0,))


def elu(alpha: float) -> Function:
    """x for x > 0, alpha (exp(x) - 1) below. Clevert, Unterthiner, Hochreiter (2016)."""
    return _elu(1.0, alpha, 1.0)


def selu() -> Function:
    """elu, scaled. Klambauer et al. (2017)."""
    return _elu(SELU_SCALE, SELU_ALPHA, 1.0)


def celu(alpha: float) -> Function:
    """x for x > 0, alpha (exp(x / alpha) - 1) below. Barron (2017)."""
    return _elu(1.0, alpha, 1 / alpha)


def softsign() -> Function:
    """x / (1 + |x|)."""

    def derivative(x: Real) -> Real:
        inverse = 1 / (1 + np.abs(x))
        return np.asarray(inverse * inverse)

    def phi(x: Real) -> Real:
        infinite = np.isinf(x)
        finite = np.where(infinite, 0, x)
        return np.asarray(np.where(infinite, np.sign(x), finite / (1 + np.abs(finite))))

    return Function(phi, derivative, (0.0,))


def log_cosh() -> Function:
    """log(cosh(x)); near 0 from sinh, where the logarithm of 1 + x^2/2 would lose x."""

    def phi(x: Real) -> Real:
        size = np.abs(x)
        near = 0.5 * np.log1p(np.square(np.sinh(np.minimum(size, 1))))
        return np.asarray(np.where(size < 1, near, size + (np.log1p(np.exp(-2 * size)) - math.log(2))), x.dtype)

    return Function(phi, lambda x: np.asarray(np.tanh(x)))


def gelu() -> Function:
    """x Phi(x). Hendrycks and Gimpel (2016)."""
    return Function(lambda x: _gated(x, _phi_cdf(x)), lambda x: np.asarray(_phi_cdf(x) + np.clip(x, -40, 40) * _pdf(x)))


def smoothed_relu(s: float) -> Function:
    """x Phi(x / s) + s pdf(x / s): the mean of relu(x + s z), z ~ N(0, 1)."""
    return Function(lambda x: np.asarray(_gated(x, _phi_cdf(x / s)) + s * _pdf(x / s)), lambda x: _phi_cdf(x / s))


def sin(a: float, b: float, c: float) -> Function:
    """a sin(b x + c)."""
    return Function(lambda x: np.asarray(a * np.sin(b * x + c)), lambda x: np.asarray(a * b * np.cos(b * x + c)))


def cos(a: float, b: float, c: float) -> Function:
    """a cos(b x + c)."""
    return Function(lambda x: np.asarray(a * np.cos(b * x + c)), lambda x: np.asarray(-a * b * np.sin(b * x + c)))


def rbf(gamma: float) -> Function:
    """sqrt(2) sin(sqrt(2 gamma) x + pi / 4). Rahimi and Recht (2007)."""
    return sin(math.sqrt(2), math.sqrt(2 * gamma), math.pi / 4)


def gaussian(a: float, b: float) -> Function:
    """a exp(b x^2)."""

    def phi(x: Real) -> Real:
        with np.errstate(over="ignore"):
            return np.asarray(a * np.exp(b * np.square(x)))

    def derivative(x: Real) -> Real:
        # 0 where the exponential is, whatever it is multiplied by
        with np.errstate(over="ignore"):
            u = np.clip(x, -1e100, 1e100) if b >= 0 else np.clip(x, -40 / math.sqrt(-b), 40 / math.sqrt(-b))
            return np.asarray(2 * a * b * u * np.exp(b * np.square(u)))

    return Function(phi, derivative)


def gabor() -> Function:
    """exp(-x^2) sin x."""

    def envelope(x: Real) -> Real:
        return np.asarray(np.exp(-np.square(np.clip(x, -40, 40))))

    def derivative(x: Real) -> Real:
        u = np.clip(x, -40, 40)
        return np.asarray(envelope(x) * (np.cos(u) - 2 * u * np.sin(u)))

    return Function(lambda x: np.asarray(envelope(x) * np.sin(x)), derivative)


def exponential(a: float, b: float) -> Function:
    """a exp(b x)."""

    def phi(x: Real) -> Real:
        with np.errstate(over="ignore"):
            return np.asarray(a * np.exp(b * x))

    return Function(phi, lambda x: np.asarray(b * phi(x)))


def snake(a: float) -> Function:
    """x + sin(a x)^2 / a. Liu, Hartwig, Ueda (2020)."""
    return Function(lambda x: np.asarray(x + np.square(np.sin(a * x)) / a), lambda x: np.asarray(1 + np.sin(2 * a * x)))


def polynomial(coefficients: tuple[float, ...]) -> Function:
    """Sum of coefficients[i] x^i."""
    p = Polynomial(coefficients)
    slope = p.deriv()

    def evaluate(q: Polynomial) -> Callable[[Real], Real]:
        def value(x: Real) -> Real:
            with np.errstate(over="ignore", invalid="ignore"):
                return np.asarray(q(x), x.dtype)

        return value

    return Function(evaluate(p), evaluate(slope))


def hermite(degree: int) -> Function:
    """He_degree(x) / sqrt(degree!), orthonormal under N(0, 1)."""

    def normalised(n: int, scale: float) -> Callable[[Real], Real]:
        coefficients = [0.0] * n + [scale / math.sqrt(math.factorial(n))] if n >= 0 else [0.0]

        def value(x: Real) -> Real:
            # Beyond 1e10 only the leading term is left; the recurrence would be infinity - infinity.
            u = np.asarray(x, np.float64)
            with np.errstate(over="ignore"):
                far = coefficients[-1] * u ** max(n, 0)
                near = hermeval(np.clip(u, -1e10, 1e10), coefficients)
                return np.asarray(np.where(np.abs(u) > 1e10, far, near)).astype(x.dtype)

        return value

    return Function(normalised(degree, 1.0), normalised(degree - 1, math.sqrt(degree)))


def hard_tanh() -> PiecewisePolynomial:
    """x clipped to [-1, 1]."""
    return PiecewisePolynomial((-1.0, 1.0), ((-1.0,), (0.0, 1.0), (1.0,)))


def relu6() -> PiecewisePolynomial:
    """x clipped to [0, 6]."""
    return PiecewisePolynomial((0.0, 6.0), ((0.0,), (0.0, 1.0), (6.0,)))


def hard_sigmoid() -> PiecewisePolynomial:
    """x / 6 + 1 / 2 clipped to [0, 1]."""
    return PiecewisePolynomial((-3.0, 3.0), ((0.0,), (0.5, 1 / 6), (1.0,)))


def hard_swish() -> PiecewisePolynomial:
    """x hard_sigmoid(x). Howard et al. (2019)."""
    return PiecewisePolynomial((-3.0, 3.0), ((0.0,), (0.0, 0.5, 1 / 6), (0.0, 1.0)))


def soft_shrink(threshold: float) -> PiecewisePolynomial:
    """sign(x) max(|x| - threshold, 0)."""
    return PiecewisePolynomial((-threshold, threshold), ((threshold, 1.0), (0.0,), (-threshold, 1.0)))


def hard_shrink(threshold: float) -> PiecewisePolynomial:
    """x where |x| > threshold, else 0; at the threshold half of it."""
    return PiecewisePolynomial((-threshold, threshold), ((0.0, 1.0), (0.0,), (0.0, 1.0)))


def piecewise_linear(breakpoints: tuple[float, ...], slopes: tuple[float, ...]) -> PiecewisePolynomial:
    """Continuous, with phi(0) = 0 and these slopes between the breakpoints."""
    offsets = [0.0]
    for a, before, after in zip(breakpoints, slopes[:-1], slopes[1:], strict=True):
        offsets.append(offsets[-1] + (before - after) * a)
    at_zero = offsets[sum(a < 0 for a in breakpoints)]
    return PiecewisePolynomial(
        breakpoints, tuple((offset - at_zero, slope) for offset, slope in zip(offsets, slopes, strict=True))
    )


def of_callable(
    phi: Callable[[Real], Any], derivative: Callable[[Real], Any] | None, kinks: tuple[float, ...], name: str
) -> Function:
    """Wrap functions of a user: their results are checked for shape and finiteness."""

    def checked(function: Callable[[Real], Any], what: str) -> Callable[[Real], Real]:
        one_number = (
            f"{what} must take an array; {shown(function)} takes one number at a time. Write it with NumPy (np.tanh "
            "for math.tanh, np.where for an if), or pass np.vectorize of it, which is slow."
        )

        def evaluate(x: Real) -> Real:
            try:
                with np.errstate(all="ignore"):  # what is not finite is refused
                    value = np.asarray(function(x))
            except (TypeError, ValueError) as error:
                if _takes_numbers_alone(function):
                    raise TypeError(one_number) from error
                raise
            if value.shape != x.shape:
                if _takes_numbers_alone(function):  # and arrays of one
                    raise TypeError(one_number)
                raise ValueError(
                    f"{what} must be vectorised: for an array of shape {x.shape} it returned shape {value.shape}."
                )
            if value.dtype.kind not in "biuf":
                raise TypeError(f"{what} must return real numbers, got dtype {cut(value.dtype)}.")
            finite = np.isfinite(value)
            if not finite.all():
                at = ~finite
                raise ValueError(
                    f"{what} must be finite where it is evaluated; at x = {float(x[at].flat[0]):.6g} it is "
                    f"{float(value[at].flat[0])}: a variance q needs it to 10.5 sqrt(q) on both sides of 0."
                )
            return value.astype(x.dtype, copy=False)

        return evaluate

    plain = checked(phi, f"the activation function {name}")
    if derivative is None:
        slope, closer = (_differences(plain, kinks, step) for step in (2.0**-10, 2.0**-11))
        return Function(plain, slope, kinks, name, known=False, closer=closer)
    return Function(plain, checked(derivative, f"the derivative of {name}"), kinks, name, known=False)


def _takes_numbers_alone(function: Callable[[Any], Any]) -> bool:
    """Whether a function that has failed works on a number, and on no array."""

    def works(x: Any) -> bool:
        try:
            function(x)
        except Exception:  # its own affair
            return False
        return True

    return works(1.0) and not works(np.ones(2))


def _differences(phi: Callable[[Real], Real], kinks: tuple[float, ...], step: float) -> Callable[[Real], Real]:
    """phi' by differences of order 6, one-sided near a kink: good to some 1e-11 for phi of unit scale."""
    central = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
    one_sided = np.array([-147, 360, -450, 400, -225, 72, -10]) / 60

    def derivative(x: Real) -> Real:
        u = x.astype(np.float64)
        h = step * np.maximum(1.0, 2.0 ** np.floor(np.log2(np.maximum(np.abs(u), 1.0))) / 8)
        side = np.zeros_like(u)
        for kink in kinks:
            near = np.abs(u - kink) <= 3 * h
            side[near] = np.where(u[near] >= kink, 1, -1)
        total = np.zeros_like(u)
        for i in range(7):
            shift = np.where(side == 0, i - 3, side * i)
            weight = np.where(side == 0, central[i], side * one_sided[i])
            total += weight * phi(u + shift * h)
        return np.asarray(total / h, x.dtype)

    return derivative
