"""The activation functions that have names: phi and phi', vectorised, stable for all finite x; no duals here."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.hermite_e import hermeval

from .functions import Function, PiecewisePolynomial, Real

#: Klambauer et al. (2017), "Self-normalizing neural networks".
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


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
    """x + sin(a x)^2 / a. Ziyin, Hartwig, Ueda (2020)."""
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
