"""What the core needs of each sample for a piecewise polynomial; the sums over pairs are in cpp/isa/pieces.hpp.

phi is the polynomial around 0 plus, for every breakpoint a, sum of J_m (|x| - |a|)^m beyond it, on its side of 0. In
units of s = sqrt(q) the threshold is h = |a| / s. Everything here is of order n and in float64, and relative to
s' = sqrt(F(q, q)).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from .expansion import Expansion
from .functions import PiecewisePolynomial

Array = NDArray[np.float64]

#: The density at 37 is 2e-298; beyond, a kink does not count.
_FARTHEST = 37.0

#: Hermite coefficients of degree-2 polynomials in x: h_0 = 1, h_1 = z, h_2 = (z^2 - 1) / sqrt 2.
_TERMS = 3


class _Kink:
    """One breakpoint seen from 0, for all samples."""

    def __init__(self, a: float, beyond: Polynomial, s: Array) -> None:
        self.right = a >= 0
        h = abs(a) / s
        self.counts = h < _FARTHEST
        self.h = np.minimum(h, _FARTHEST)
        self.density = np.exp(-0.5 * self.h**2) / np.sqrt(2 * np.pi)
        from scipy.special import erfcx

        scaled = np.sqrt(np.pi / 2) * erfcx(self.h / np.sqrt(2))
        self.tail = self.density * scaled
        self.excess = self.density * _excess_over_density(self.h, scaled)
        # J_m of (|x| - |a|)^m, in units of z
        sign = 1.0 if self.right else -1.0
        self.weights = [
            np.where(self.counts, sign**m * float(beyond.deriv(m)(a)) / (2.0 if m == 2 else 1.0) * s**m, 0.0)
            for m in range(3)
        ]

    def coefficients(self, weights: list[Array]) -> list[Array]:
        """E[sum of weights[m] (|z| - h)^m beyond h, times h_k(z)], k = 0, 1, 2, by Stein's lemma."""
        w0, w1, w2 = weights
        second = (1 + self.h**2) * self.tail - self.h * self.density
        even = [
            w0 * self.tail + w1 * self.excess + w2 * second,
            w0 * self.density + w1 * self.tail + 2 * w2 * self.excess,
            (w0 * self.h * self.density + w1 * self.density + 2 * w2 * self.tail) / np.sqrt(2),
        ]
        return even if self.right else [even[0], -even[1], even[2]]


def _excess_over_density(h: Array, scaled_tail: Array) -> Array:
    """1 - h P(z > h) / pdf(h) = E(z - h)_+ / pdf(h); for large h, where that cancels, its continued fraction."""
    far = np.maximum(h, 3.0)
    fraction = far
    for k in range(60, 1, -1):  # pdf(h) / P(z > h) = h + 1/(h + 2/(h + 3/...))
        fraction = far + k / fraction
    inverse = 1 / fraction  # pdf/P = h + inverse
    return np.asarray(np.where(h < 3, 1 - h * scaled_tail, inverse / (far + inverse)))


def _norms(function: PiecewisePolynomial, s: Array) -> tuple[Array, Array]:
    """E[phi^2] and E[phi'^2]: Gauss-Legendre on panels that grow from the end of each piece that is nearest to 0."""
    x, w = leggauss(16)
    x, w = (x + 1) / 2, w / 2
    ends = np.array([-np.inf, *function.breakpoints, np.inf])
    totals = np.zeros((2, len(s)))
    for low, high, piece in zip(ends[:-1], ends[1:], function.pieces, strict=True):
        for start, end, sign in ((max(low, 0.0), high, 1.0), (max(-high, 0.0), -low, -1.0)):
            if end <= start:
                continue
            a, b = start / s, np.minimum(end / s, 40.0)
            width = np.minimum(0.5, 1 / np.maximum(a, 1e-300))
            left = np.minimum(a, 40.0)
            p = Polynomial(piece)
            slope = p.deriv()
            for _ in range(14):
                right = np.minimum(left + width, np.maximum(b, left))
                z = left[:, None] + (right - left)[:, None] * x
                density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * (right - left)[:, None]
                u = sign * s[:, None] * z
                totals[0] += (p(u) ** 2 * density) @ w
                totals[1] += (slope(u) ** 2 * density) @ w
                left, width = right, 1.3 * width
    return totals[0], totals[1]


def expand(function: PiecewisePolynomial, variance: NDArray[np.longdouble], smallest: float) -> Expansion:
    """Tables, F(q, q) and F'(q, q) for the variances of the samples."""
    exact = variance.astype(np.float64)
    q = np.maximum(exact, smallest)
    unique, back = np.unique(q, return_inverse=True)
    s = np.sqrt(unique)
    norm, slope = _norms(function, s)
    negative = sum(a < 0 for a in function.breakpoints)
    base = Polynomial(function.pieces[negative])
    with np.errstate(divide="ignore", over="ignore"):
        # Below, all of phi that is not 0 is farther out than float64 reaches.
        unit = np.where(norm > 1e-290, 1 / np.sqrt(norm), 0.0)
    kinks = [
        _Kink(a, Polynomial(function.pieces[i + (a >= 0)]) - Polynomial(function.pieces[i + (a < 0)]), s)
        for i, a in enumerate(function.breakpoints)
    ]
    zero = np.zeros_like(s)
    kinked, kinked_slope = [zero] * _TERMS, [zero] * _TERMS
    for kink in kinks:
        w0, w1, w2 = kink.weights
        side = 1.0 if kink.right else -1.0
        kinked = [a + b for a, b in zip(kinked, kink.coefficients([w0, w1, w2]), strict=True)]
        slopes = kink.coefficients([side * w1, side * 2 * w2, zero])
        kinked_slope = [a + b for a, b in zip(kinked_slope, slopes, strict=True)]
    whole = [a + b for a, b in zip(kinked, _hermite(base, s), strict=True)]
    whole_slope = [a + s * b for a, b in zip(kinked_slope, _hermite(base.deriv(), s), strict=True)]
    tables: list[Array] = [unit * column for column in (*whole, *kinked, *whole_slope, *kinked_slope)]
    for kink in kinks:
        tables += [kink.h, kink.density, kink.tail, kink.excess, *(unit * weight for weight in kink.weights)]
    at_zero = float(function.phi(np.zeros(1))[0]) ** 2
    value = norm[back]
    small = exact < q
    value[small] = at_zero + (np.maximum(value - at_zero, 0) * exact / q)[small]
    parameters: list[Any] = [_TERMS, len(kinks), *(1 if kink.right else -1 for kink in kinks)]
    return Expansion(
        [float(number) for number in parameters],
        np.ascontiguousarray(np.array(tables)[:, back]),
        value.astype(np.longdouble),
        slope[back].astype(np.longdouble),
        False,
        np.zeros(len(q)),
    )


def _hermite(p: Polynomial, s: Array) -> list[Array]:
    """Coefficients of p(s z), of degree <= 2, in h_0, h_1, h_2."""
    c = np.zeros(_TERMS)
    c[: len(p.coef)] = p.coef
    return [c[0] + c[2] * s**2, c[1] * s, np.sqrt(2) * c[2] * s**2]
