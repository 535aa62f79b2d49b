"""Numerical tools of the Hermite expansion: quadrature nodes, Hermite functions, thinned sums. No activations here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from .. import _core
from .._machine import runtime

Array = NDArray[np.float64]

#: Where the normal density has fallen to 1e-24 of its peak, and its square root, which multiplies Hermite
#: functions of size 1, to 1e-12; coefficients see both.
_END = 10.5

#: From this order on an asymptotic expansion is as good as the recurrence: to 4e-14 of the largest value.
_ASYMPTOTIC = 1024

leggauss = lru_cache(maxsize=64)(legendre.leggauss)

#: Points of the Gauss-Legendre rule on every panel.
_POINTS = 16


@dataclass(frozen=True, eq=False)
class Nodes:
    """A rule on z > 0: sum(weight * f(z)) is the integral of f."""

    z: Array
    weight: Array

    @property
    def density(self) -> Array:
        """Weights of the expectation of an even function of z ~ N(0, 1)."""
        return np.asarray(2 * self.weight * np.exp(-0.5 * self.z**2) / np.sqrt(2 * np.pi))

    @property
    def root_density(self) -> Array:
        """Weights that give coefficients from Hermite functions, which are h_k(z) sqrt(pdf(z))."""
        return np.asarray(2 * self.weight * np.exp(-0.25 * self.z**2) / (2 * np.pi) ** 0.25)


def panels(edges: Array) -> Nodes:
    """Gauss-Legendre rule on every interval between two edges; the last axis of `edges` counts them."""
    x, w = leggauss(_POINTS)
    half = np.diff(edges)[..., None] / 2
    shape = (*edges.shape[:-1], -1)
    return Nodes(((edges[..., :-1, None] + half) + half * x).reshape(shape), (half * w).reshape(shape))


def edges(finest: float, highest_order: int) -> Array:
    """Panel edges on [0, 10.5]: of width `finest` at 0, growing with z, never too wide for Hermite functions.

    A Hermite function of order k has the wavelength 2 pi / sqrt(k) at least; 16 points for 2.5 of them leave an
    error of 1e-13.
    """
    widest = min(1.0, 2.5 * 2 * np.pi / np.sqrt(highest_order + 1))
    result = [0.0]
    while result[-1] < _END:
        result.append(result[-1] + min(widest, max(finest, 0.25 * result[-1])))
    return np.array(result) * (_END / result[-1])


@lru_cache(maxsize=16)
def _half_range(finest: float, highest_order: int) -> Nodes:
    return panels(edges(finest, highest_order))


def half_range(finest: float, highest_order: int) -> Nodes:
    """Nodes for functions of z whose features are of size `finest` near 0 and grow with z."""
    # In powers of two, so that calls on similar data share tables.
    return _half_range(2.0 ** np.floor(np.log2(min(finest, 1.0))), highest_order)


@lru_cache(maxsize=4)
def shifted(finest: float, highest_order: int) -> Nodes:
    """Nodes like those of `half_range`, on panels that begin and end in the middle of theirs."""
    ends = edges(2.0 ** np.floor(np.log2(min(finest, 1.0))), highest_order)
    return panels(np.concatenate((ends[:1], (ends[:-1] + ends[1:]) / 2, ends[-1:])))


def functions(z: Array, orders: NDArray[np.int64]) -> Array:
    """Hermite functions h_k(z) sqrt(pdf(z)) of ascending orders, of shape (len(orders), len(z)); z to 10.5 where
    they are high.
    """
    first = int(np.searchsorted(orders, _ASYMPTOTIC))
    result = np.empty((len(orders), len(z)))
    result[:first] = _core.hermite_functions(
        runtime.instruction_set(), runtime.threads(), np.ascontiguousarray(z), orders[:first]
    )
    for row, order in zip(result[first:], orders[first:].tolist(), strict=True):
        row[:] = _of_high_order(z, order)
    return result


def _of_high_order(z: Array, order: int) -> Array:
    """A Hermite function far inside its turning points, where it is a wave (DLMF 12.10(iv)).

    With nu = order + 1/2 and t = z / sqrt(4 nu), of the phase nu (arcsin t + t sqrt(1 - t^2)) and of amplitude
    (1 - t^2)^(-1/4), times 1 - u2 / w^2 in phase and u1 / w - u3 / w^3 a quarter of a turn from it,
    w = 2 nu (1 - t^2)^(3/2). The factor is that of order k at z = 0, where psi^2 sqrt(2 pi) is binomial(k, k/2) / 2^k.
    """
    nu = order + 0.5
    t = z / math.sqrt(4 * nu)
    t2 = t * t
    cosine = np.sqrt(1 - t2)
    inverse = 1 / (2 * nu * (1 - t2) * cosine)
    u1 = t * (t2 - 6) / 24
    u2 = ((249 - 9 * t2) * t2 + 145) / 1152
    u3 = t * ((((18189 - 4042 * t2) * t2 - 28287) * t2 - 151995) * t2 - 259290) / 414720
    along, across = 1 - u2 * inverse**2, (u1 - u3 * inverse**2) * inverse
    # Both are one wave: across is so small that its angle and the length of both are the first terms of their series.
    shift = across / along
    phase = nu * (np.arcsin(t) + t * cosine) - shift * (1 - shift**2 / 3)
    x = 2 / order
    binomial = (1 - x / 8 + x**2 / 128 + 5 * x**3 / 1024 - 21 * x**4 / 32768) * math.sqrt(x / math.pi)
    factor = math.sqrt(binomial / math.sqrt(2 * math.pi)) / (1 - 145 / 1152 / (2 * nu) ** 2)
    wave = np.cos(phase) if order % 2 == 0 else np.sin(phase)
    sign = 1 if order // 2 % 2 == 0 else -1
    return np.asarray(sign * factor * along * (1 + shift**2 / 2) / np.sqrt(cosine) * wave)


@lru_cache(maxsize=8)
def half_range_functions(nodes: Nodes, orders: tuple[int, ...]) -> Array:
    """`functions` on nodes that `half_range` keeps, kept too: orders of 10^5 take tenths of a second."""
    return functions(nodes.z, np.array(orders, np.int64))


@dataclass(frozen=True, eq=False)
class Thinning:
    """Exponents and weights with sum(weight * f(m)) = sum of f over all m >= 0, for f smooth at large m."""

    m: NDArray[np.int64]
    weight: Array
    level: NDArray[np.int64]  # the step to the next m is `multiple` times 1 (level 0) or 2^(level - 1)
    multiple: NDArray[np.int64]
    next: int  # the exponent after the last
    tolerance: float


NOTHING = Thinning(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64), 0, 1.0)


@lru_cache(maxsize=64)
def _block_weights(nodes: tuple[int, ...], start: int, size: int, degree: int) -> Array:
    """Weights on nodes of the block [start, 2 start) that sum polynomials of `degree` over all its integers."""
    positions = np.array(nodes)
    w = leggauss(len(positions))[1] * start / 2
    centred = (2 * (start // size) * positions - (start - 1)) / start
    matrix = legvander(centred, degree)
    if start <= 4096:
        moments = legvander((2 * np.arange(start) - (start - 1)) / start, degree).sum(axis=0)
    else:  # the sum over integers is the integral over unit cells, to start^-2 of the curvature, 0 here
        x, cell = leggauss(2 * degree)
        moments = cell @ legvander(x, degree) * start / 2
    # The smallest relative change of the Gauss-Legendre weights, whose nodes these nearly are.
    root = np.sqrt(w)
    return np.asarray(w + root * np.linalg.lstsq((matrix * root[:, None]).T, moments - matrix.T @ w, rcond=None)[0])


@lru_cache(maxsize=32)
def thinning(tolerance: float, top: int) -> Thinning:
    """Exponents below `top`: all of the first `dense`, then `count` in every block [2^b dense, 2^(b+1) dense).

    In a block a coefficient times y^m is smooth in m, so that a dozen well-placed terms, with positive weights,
    sum it: to 2e-7 (8 terms), 1e-9 (10), 3e-11 (12), 1e-13 (16) of the whole for tanh, softsign and silu, the slope
    included (`tests/test_hermite.py`).
    """
    count, dense, degree = (
        (8, 32, 7)
        if tolerance >= 1e-6
        else (10, 32, 9)
        if tolerance >= 1e-8
        else (12, 64, 11)
        if tolerance >= 1e-10
        else (16, 64, 15)
    )
    positions = np.unique(np.round((leggauss(count)[0] + 1) / 2 * dense - 0.5).astype(np.int64))
    m, weight, unit = [np.arange(dense)], [np.ones(dense)], [np.zeros(dense, np.int64)]
    start = dense
    while start < top:
        m.append(start + start // dense * positions)
        weight.append(_block_weights(tuple(positions.tolist()), start, dense, degree))
        unit.append(np.full(len(positions), len(m) - 1))
        start *= 2
    exponent, level = np.concatenate(m), np.concatenate(unit)
    step = np.diff(exponent, append=start)
    level[dense - 1] = 1 if step[dense - 1] > 1 else 0
    return Thinning(exponent, np.concatenate(weight), level, step // 2 ** np.maximum(level - 1, 0), start, tolerance)


def repeated(rule: Thinning, start: int, copies: int) -> Thinning:
    """Have `copies` terms for every exponent from the term `start` on."""
    counts = np.where(np.arange(len(rule.m)) < start, 1, copies)
    multiple = np.repeat(rule.multiple, counts)
    last = np.cumsum(counts) - 1
    multiple[np.setdiff1d(np.arange(len(multiple)), last)] = 0
    return replace(
        rule,
        m=np.repeat(rule.m, counts),
        weight=np.repeat(rule.weight, counts),
        level=np.repeat(rule.level, counts),
        multiple=multiple,
    )
