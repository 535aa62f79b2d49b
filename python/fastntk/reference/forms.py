"""Textbook closed forms of `reference`: what an activation does to a Gaussian pair, as the papers print it.

One function per family, from a pair and the parameters of the activation to (F, F'). Rewritten only where a
difference of equal numbers would be left over at small variances.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, sqrt
from typing import NamedTuple

import numpy as np
from numpy import cos, exp, expm1, pi, sin
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

__all__ = ["CLOSED_FORMS", "Array", "Dual", "Pair"]

Array = NDArray[np.float64]


class Pair(NamedTuple):
    """A Gaussian pair: (u, v) ~ N(0, [[q1, c], [c, q2]]), and the angle theta with cos theta = c / s."""

    c: Array
    q1: Array
    q2: Array
    theta: Array

    @property
    def s(self) -> Array:
        """Geometric mean of the variances."""
        return np.asarray(np.sqrt(self.q1 * self.q2))


#: pair -> (E[phi(u) phi(v)], E[phi'(u) phi'(v)])
Dual = Callable[[Pair], tuple[Array, Array]]


def _abrelu(p: Pair, a: float, b: float) -> tuple[Array, Array]:
    """For phi = b max(x, 0) + a min(x, 0).

    Cho and Saul (2009), eq. 3 and 6, for ReLU. In general phi = (a + b)/2 x + (b - a)/2 |x|, whose cross
    terms vanish, and |x| = relu(x) + relu(-x).
    """
    mean_square, bend = (a**2 + b**2) / 2, (a - b) ** 2 / (2 * pi)
    return bend * p.s * sin(p.theta) + p.c * (mean_square - bend * p.theta), mean_square - bend * p.theta


def _arc_cosine(n: int, theta: Array) -> Array:
    """J_n of Cho and Saul (2009), eq. 4: (-1)^n sin^(2n+1) (1/sin d/dtheta)^n ((pi - theta)/sin).

    J_n = (pi - theta) P_n(t) + sin(theta) Q_n(t) with t = cos theta, and -1/sin d/dtheta = d/dt takes it to
    J_(n+1) = (1 - t^2) dJ_n/dt + (2n + 1) t J_n. P_n and Q_n have whole coefficients.
    """
    t, square = Polynomial([0, 1]), Polynomial([1, 0, -1])
    p, q = Polynomial([1]), Polynomial([0])
    for k in range(n):
        p, q = square * p.deriv() + (2 * k + 1) * t * p, p + square * q.deriv() + 2 * k * t * q
    return np.asarray((pi - theta) * p(cos(theta)) + sin(theta) * q(cos(theta)))


def _rectified_monomial(p: Pair, degree: float) -> tuple[Array, Array]:
    """For phi = max(x, 0)^n: half the arc-cosine kernel of degree n, Cho and Saul (2009), eq. 3-7."""
    n = int(degree)
    value = p.s**n * _arc_cosine(n, p.theta) / (2 * pi)
    if n == 0:
        return value, np.zeros_like(value)
    return value, n**2 * p.s ** (n - 1) * _arc_cosine(n - 1, p.theta) / (2 * pi)


def _sign(p: Pair) -> tuple[Array, Array]:
    """For phi = sign(x): Sheppard (1899), P[u v < 0] = theta / pi. The derivative is 0 almost everywhere."""
    return 1 - 2 * p.theta / pi, np.zeros_like(p.theta)


def _erf(p: Pair, a: float, b: float, c: float) -> tuple[Array, Array]:
    """For phi = a erf(b x) + c: Williams (1997), eq. 11; the derivative: Lee et al. (2019), appendix C.

    asin(x / y) is written atan2(x, D), D^2 = y^2 - x^2 = (1 + 2 b^2 q1)(1 + 2 b^2 q2) - (2 b^2 c)^2, and
    q1 q2 - c^2 in it as (s sin theta)^2, which is exact on the diagonal.
    """
    d = np.sqrt(1 + 2 * b**2 * (p.q1 + p.q2) + (2 * b**2 * p.s * sin(p.theta)) ** 2)
    return a**2 * 2 / pi * np.arctan2(2 * b**2 * p.c, d) + c**2, a**2 * 4 * b**2 / (pi * d)


def _gelu(p: Pair) -> tuple[Array, Array]:
    """For phi = x Phi(x): Tsuchida et al. (2020).

    D^2 = (1 + q1)(1 + q2) - c^2; the printed (1 - q1 q2) / ((1 + q1)(1 + q2)) + 1 is 1/(1 + q1) + 1/(1 + q2).
    """
    d = np.sqrt(1 + p.q1 + p.q2 + (p.s * sin(p.theta)) ** 2)
    inverse1, inverse2 = 1 / (1 + p.q1), 1 / (1 + p.q2)
    positive = 1 / 4 + np.arctan2(p.c, d) / (2 * pi)  # P[z1 < u, z2 < v]
    value = p.c * positive + (p.c**2 / d + p.q1 * p.q2 * d) * inverse1 * inverse2 / (2 * pi)
    return value, positive + p.c / (2 * pi * d) * (1 / d**2 + inverse1 + inverse2)


def _smoothed_relu(p: Pair, s: float) -> tuple[Array, Array]:
    """For phi = x Phi(x / s) + s pdf(x / s) = E relu(x + s z): ReLU of a pair with variances q1 + s^2, q2 + s^2."""
    q1, q2 = p.q1 + s**2, p.q2 + s**2
    determinant = s**2 * (p.q1 + p.q2 + s**2) + (p.s * sin(p.theta)) ** 2
    return _abrelu(Pair(p.c, q1, q2, np.arctan2(np.sqrt(determinant), p.c)), 0, 1)


def _sin(p: Pair, a: float, b: float, c: float) -> tuple[Array, Array]:
    """For phi = a sin(b x + c), by E cos(w) = exp(-Var(w) / 2): Louart, Liao, Couillet (2018), table 1, for c = 0.

    With E-, E+ = exp(-b^2 Var(u -+ v) / 2): F = a^2 (E- - cos(2c) E+) / 2, F' = a^2 b^2 (E- + cos(2c) E+) / 2. As
    cos(2c) = 1 - 2 sin(c)^2 both are (E- - E+) / 2 and a positive rest.
    """
    plus = exp(-(b**2) * (p.q1 + p.q2 + 2 * p.c) / 2)
    size = b**2 * np.abs(p.c)
    half = np.sign(p.c) * exp(size - b**2 * (p.q1 + p.q2) / 2) * -expm1(-2 * size) / 2
    return a**2 * (half + np.sin(c) ** 2 * plus), a**2 * b**2 * (half + np.cos(c) ** 2 * plus)


def _cos(p: Pair, a: float, b: float, c: float) -> tuple[Array, Array]:
    """For phi = a cos(b x + c): (1 / b times) the derivative of a sin(b x + c), and the other way round."""
    value, slope = _sin(Pair(b**2 * p.c, b**2 * p.q1, b**2 * p.q2, p.theta), a, 1, c)
    return slope, b**2 * value


def _rbf(p: Pair, gamma: float) -> tuple[Array, Array]:
    """For phi = sqrt(2) sin(sqrt(2 gamma) x + pi / 4): exp(-gamma E[(u - v)^2])."""
    value = exp(-gamma * (p.q1 + p.q2 - 2 * p.c))
    return value, 2 * gamma * value


def _snake(p: Pair, a: float) -> tuple[Array, Array]:
    """For phi = x + sin(a x)^2 / a = x + (1 - cos(2 a x)) / (2 a), by E cos(w) = exp(-Var(w) / 2).

    1 - e1^2 - e2^2 + (E-^2 + E+^2) / 2, e_i = exp(-a^2 q_i), is written (1 - e1^2)(1 - e2^2) + (E- - E+)^2 / 2 as
    E- E+ = e1^2 e2^2.
    """
    minus, plus = (exp(-(a**2) * (p.q1 + p.q2 + sign * 2 * p.c)) for sign in (-1, 1))
    bracket = expm1(-2 * a**2 * p.q1) * expm1(-2 * a**2 * p.q2) + (minus - plus) ** 2 / 2
    return p.c + bracket / (4 * a**2), 1 + (minus**2 - plus**2) / 2


def _exp(p: Pair, a: float, b: float) -> tuple[Array, Array]:
    """For phi = a exp(b x): E exp(w) = exp(Var(w) / 2), w = b (u + v)."""
    value = a**2 * exp(b**2 * (p.q1 + p.q2 + 2 * p.c) / 2)
    return value, b**2 * value


def _exp_normalized(p: Pair, gamma: float, shift: float) -> tuple[Array, Array]:
    """The kernel s exp(gamma (rho + shift)) and its slope in c: Shankar et al. (2020), of no known phi."""
    slope = exp(gamma * (cos(p.theta) + shift))
    return p.s * slope, gamma * slope


def _gaussian(p: Pair, a: float, b: float) -> tuple[Array, Array]:
    """For phi = a exp(b x^2), a Gaussian integral: det(1 - 2 b [[q1, c], [c, q2]])^(-1/2)."""
    if max(4 * b * np.max(p.q1, initial=0), 4 * b * np.max(p.q2, initial=0)) >= 1:
        raise ValueError(f"E[phi(u)^2] of {a!r} exp({b!r} x^2) is infinite: the variance must be < 1 / (4 b).")
    determinant = 1 - 2 * b * (p.q1 + p.q2) + (2 * b * p.s * sin(p.theta)) ** 2
    return a**2 / np.sqrt(determinant), a**2 * 4 * b**2 * p.c / determinant**1.5


def _gabor(p: Pair) -> tuple[Array, Array]:
    """For phi = exp(-x^2) sin(x), a Gaussian integral with a phase.

    With S = q1 + q2, f = 4 (q1 q2 - c^2) and N = det(1 + 2 [[q1, c], [c, q2]]) = 1 + 2 S + f.
    """
    total, f = p.q1 + p.q2, (2 * p.s * sin(p.theta)) ** 2
    n = 1 + 2 * total + f
    decay, phase = exp(-(total + f + 2 * p.c) / (2 * n)), 2 * p.c / n
    even, odd = 1 + 2 * total + 4 * (p.c**2 + p.q1 * p.q2), 4 * p.c * (f + 3 * total + 2)
    slope = even * (1 + exp(phase)) + odd * expm1(phase)
    return decay * expm1(phase) / (2 * np.sqrt(n)), decay * slope / (2 * n**2.5)


def _mean_of_product(p: Pair, coefficients: tuple[float, ...]) -> Array:
    """E[f(u) f(v)] for f = sum of a_i x^i: sum over k of B_k(q1) B_k(q2) c^k / k!, B_k(q) = E[f^(k)(u)].

    Mehler's formula, or Isserlis' theorem sorted by the number k of pairs (u, v); E[u^(2m)] = (2m)! q^m / (2^m m!).
    """
    total = np.zeros(np.broadcast_shapes(p.c.shape, p.q1.shape, p.q2.shape))
    for k in range(len(coefficients)):
        mean = Polynomial(
            [
                coefficients[i] * (factorial(i) // (2**m * factorial(m)))
                for m, i in enumerate(range(k, len(coefficients), 2))
            ]
        )
        total = total + mean(p.q1) * mean(p.q2) * p.c**k / factorial(k)
    return total


def _polynomial(p: Pair, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    """For phi = sum of a_i x^i."""
    slope = tuple(i * coefficient for i, coefficient in enumerate(coefficients))[1:]
    return _mean_of_product(p, coefficients), _mean_of_product(p, slope)


def _monomial(p: Pair, degree: float) -> tuple[Array, Array]:
    """For phi = x^n."""
    return _polynomial(p, (0.0,) * int(degree) + (1.0,))


def _hermite(p: Pair, degree: float) -> tuple[Array, Array]:
    """For phi = He_n(x) / sqrt(n!), of any variance: c^n where q1 or q2 is 1, Daniely et al. (2016), section 4.

    He_n(sqrt(q) z) has Hermite coefficients with (q - 1)^j. As phi' = sqrt(n) h_(n-1), F'_n = n F_(n-1).
    """

    def value(n: int) -> Array:
        total = np.zeros(np.broadcast_shapes(p.c.shape, p.q1.shape, p.q2.shape))
        for j in range(n // 2 + 1):
            weight = factorial(n) / (4**j * factorial(j) ** 2 * factorial(n - 2 * j))
            total = total + weight * ((p.q1 - 1) * (p.q2 - 1)) ** j * p.c ** (n - 2 * j)
        return total

    n = int(degree)
    return value(n), n * value(n - 1)


#: name -> closed form, as a function of the pair and the parameters of the activation
CLOSED_FORMS: dict[str, Callable[..., tuple[Array, Array]]] = {
    "identity": lambda p: (p.c, np.ones_like(p.c)),
    "relu": lambda p: _abrelu(p, 0, 1),
    "leaky_relu": lambda p, alpha: _abrelu(p, alpha, 1),
    "abs": lambda p: _abrelu(p, -1, 1),
    "abrelu": _abrelu,
    "step": lambda p: _rectified_monomial(p, 0),
    "sign": _sign,
    "squared_relu": lambda p: _rectified_monomial(p, 2),
    "rectified_monomial": _rectified_monomial,
    "erf": _erf,
    "normal_cdf": lambda p: _erf(p, 1 / 2, 1 / sqrt(2), 1 / 2),
    "sigmoid_like": lambda p: _erf(p, 1 / 2, 1 / 2.4020563531719796, 1 / 2),
    "gelu": _gelu,
    "smoothed_relu": _smoothed_relu,
    "sin": _sin,
    "cos": _cos,
    "rbf": _rbf,
    "snake": _snake,
    "exp": _exp,
    "exp_normalized": _exp_normalized,
    "gaussian": _gaussian,
    "gabor": _gabor,
    "polynomial": _polynomial,
    "monomial": _monomial,
    "hermite": _hermite,
}
