"""Moments of truncated normals, and with them the norms of piecewise polynomials."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from .functions import PiecewisePolynomial

Array = NDArray[np.float64]

#: The density at 37 is 2e-298; beyond, a kink does not count.
FARTHEST = 37.0

#: Of short intervals.
_GAUSS = leggauss(16)


def beyond(distances: Iterable[float], s: Array) -> dict[float, Array]:
    """Compute E (z - a / s)_+^n, n = 0 to 4, for distances a from 0."""
    return {a: excesses(np.minimum(a / s, FARTHEST)) for a in distances}


def norms(function: PiecewisePolynomial, s: Array, beyond: dict[float, Array]) -> tuple[Array, Array, Array]:
    """E[phi^2], E[phi'^2] and d E[phi^2] / d log q, which is E[x phi phi'] and what the jumps of phi^2 add.

    Given what is beyond 0 and all breakpoints.

    Polynomials in the distance from the end of each piece that is nearest to 0, whose moments do not cancel.
    """
    totals = np.zeros((3, len(s)))
    beyond = beyond | {np.inf: np.zeros((5, len(s)))}
    powers = np.cumprod([np.ones_like(s), *[s] * 4], axis=0)
    moments: dict[tuple[float, float], Array] = {}
    for (start, end), coefficients in _from_ends(function):
        if (start, end) not in moments:
            moments[start, end] = powers * _moments(start / s, end / s, beyond[start], beyond[end])
        for total, f in zip(totals, coefficients, strict=True):
            for c, moment in zip(f, moments[start, end], strict=False):
                total += c * moment
    for a, below, above in zip(function.breakpoints, function.pieces[:-1], function.pieces[1:], strict=True):
        jump = Polynomial(above)(a) ** 2 - Polynomial(below)(a) ** 2
        totals[2] += a / s * jump * np.exp(-0.5 * np.minimum(np.abs(a) / s, 40.0) ** 2) / np.sqrt(8 * np.pi)
    return totals[0], totals[1], totals[2]


@lru_cache(maxsize=64)
def _from_ends(function: PiecewisePolynomial) -> list[tuple[tuple[float, float], list[list[float]]]]:
    """Return both ends of each piece on each side of 0, and phi^2, phi'^2 and x phi phi' in powers from the nearer."""
    ends = np.array([-np.inf, *function.breakpoints, np.inf])
    found = []
    for low, high, piece in zip(ends[:-1], ends[1:], function.pieces, strict=True):
        for start, end, sign in ((max(low, 0.0), high, 1.0), (max(-high, 0.0), -low, -1.0)):
            if end > start:
                x, p = sign * Polynomial([start, 1.0]), Polynomial(piece)
                functions = (p**2, p.deriv() ** 2, Polynomial([0.0, 1.0]) * p * p.deriv())
                found.append(((start, end), [f(x).coef.tolist() for f in functions]))
    return found


def _moments(a: Array, b: Array, inside: Array, outside: Array) -> Array:
    """E[(z - a)^k; a < z < b], k = 0 to 4: what is beyond b less than a, or, of a short interval, by quadrature."""
    a = np.minimum(a, FARTHEST)
    width = np.minimum(b, FARTHEST + 1) - a
    found, powers = inside.copy(), np.cumprod([np.ones_like(width), *[width] * 4], axis=0)
    for k in range(5):
        found[k] -= sum(math.comb(k, j) * powers[k - j] * outside[j] for j in range(k + 1))
    short = np.flatnonzero(width * np.maximum(a, 1.0) < 2)
    x, w = _GAUSS
    t = width[short, None] * (1 + x) / 2
    density = width[short, None] * w * np.exp(-0.5 * (a[short, None] + t) ** 2) / np.sqrt(8 * np.pi)
    for k in range(5):
        found[k, short] = density.sum(axis=1)
        density *= t
    return found


def excesses(h: Array) -> Array:
    """E (z - h)_+^n, n = 0 to 4, by J_(n+1) = n J_(n-1) - h J_n.

    Where that cancels, J_n / J_(n-1) = n / (h + J_(n+1) / J_n) from some large n on.
    """
    from scipy.special import erfcx

    density = np.exp(-0.5 * h**2) / np.sqrt(2 * np.pi)
    tail = density * np.sqrt(np.pi / 2) * erfcx(h / np.sqrt(2))
    direct = [tail, density - h * tail]
    for n in range(1, 4):
        direct.append(n * direct[n - 1] - h * direct[n])
    found = np.array(direct)
    far = np.flatnonzero(h >= 1.1)
    if far.size:
        h = h[far]
        # What its end is wrong by falls like exp(-h sqrt(8 n)), down to n = 4.
        most = math.ceil((3.2 + 13 / float(h.min())) ** 2)
        ratio, ratios = np.sqrt(most + 1 + h**2 / 4) - h / 2, {}
        for n in range(most, 0, -1):
            ratios[n] = ratio = n / (h + ratio)
        for n in range(1, 5):
            found[n, far] = found[n - 1, far] * ratios[n]
    return found
