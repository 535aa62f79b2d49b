"""Moments of truncated normals, and with them the norms of piecewise polynomials."""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from .functions import PiecewisePolynomial

Array = NDArray[np.float64]

#: The density at 37 is 2e-298; beyond, a kink does not count.
FARTHEST = 37.0


def norms(function: PiecewisePolynomial, s: Array) -> tuple[Array, Array, Array]:
    """E[phi^2], E[phi'^2] and d E[phi^2] / d log q, which is E[x phi phi'] and what the jumps of phi^2 add.

    Polynomials in the distance from the end of each piece that is nearest to 0, whose moments do not cancel.
    """
    ends = np.array([-np.inf, *function.breakpoints, np.inf])
    totals = np.zeros((3, len(s)))
    edges = {0.0, *map(abs, function.breakpoints)}
    beyond = {edge: excesses(np.minimum(edge / s, FARTHEST)) for edge in edges} | {np.inf: np.zeros((5, len(s)))}
    moments: dict[tuple[float, float], Array] = {}
    for low, high, piece in zip(ends[:-1], ends[1:], function.pieces, strict=True):
        for start, end, sign in ((max(low, 0.0), high, 1.0), (max(-high, 0.0), -low, -1.0)):
            if end <= start:
                continue
            if (start, end) not in moments:
                moments[start, end] = _moments(start / s, end / s, beyond[start], beyond[end])
            x = sign * Polynomial([start, 1.0])
            p = Polynomial(piece)
            for total, f in zip(totals, (p**2, p.deriv() ** 2, Polynomial([0.0, 1.0]) * p * p.deriv()), strict=True):
                for k, c in enumerate(f(x).coef):
                    total += c * s**k * moments[start, end][k]
    for a, below, above in zip(function.breakpoints, function.pieces[:-1], function.pieces[1:], strict=True):
        jump = Polynomial(above)(a) ** 2 - Polynomial(below)(a) ** 2
        totals[2] += a / s * jump * np.exp(-0.5 * np.minimum(np.abs(a) / s, 40.0) ** 2) / np.sqrt(8 * np.pi)
    return totals[0], totals[1], totals[2]


def _moments(a: Array, b: Array, inside: Array, outside: Array) -> Array:
    """E[(z - a)^k; a < z < b], k = 0 to 4: what is beyond b less than a, or, of a short interval, by quadrature."""
    a = np.minimum(a, FARTHEST)
    width = np.minimum(b, FARTHEST + 1) - a
    found = inside.copy()
    for k in range(5):
        found[k] -= sum(math.comb(k, j) * width ** (k - j) * outside[j] for j in range(k + 1))
    short = np.flatnonzero(width * np.maximum(a, 1.0) < 2)
    x, w = leggauss(16)
    t = width[short, None] * (1 + x) / 2
    density = width[short, None] * w * np.exp(-0.5 * (a[short, None] + t) ** 2) / np.sqrt(8 * np.pi)
    found[:, short] = [(density * t**k).sum(axis=1) for k in range(5)]
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
    far, most = np.maximum(h, 1.1), 200
    ratio, ratios, found = np.sqrt(most + 1 + far**2 / 4) - far / 2, {}, [tail]
    for n in range(most, 0, -1):
        ratios[n] = ratio = n / (far + ratio)
    for n in range(1, 5):
        found.append(found[-1] * ratios[n])
    return np.where(h < 1.1, np.array(direct), np.array(found))
