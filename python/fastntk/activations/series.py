"""The power series of an expansion: coefficients, what they leave, and how they go on. No activations here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import hermite

Array = NDArray[np.float64]

#: Blocks of a thinned sum by which a power law is continued: a factor of 4096 in m.
_OCTAVES = 12


@dataclass(frozen=True, eq=False)
class Series:
    """Even or odd orders k on the grid of variances: relative coefficients and what they leave."""

    rule: hermite.Thinning
    coefficients: Array  # (grid, terms)
    sign: Array  # (terms,)
    bend: Array  # (grid,): how much of |z| or z |z| / sqrt(3) was taken out
    bend_squares: Array  # (terms,): their weighted coefficients, squared
    mass: Array  # (grid,): their part of F, the bend's taken out
    tails: Array  # (grid, terms + 1): what is left before each term, and after the last
    slope_tails: Array


def remainders(mass: Array, c: Array) -> Array:
    """What is left of `mass` before each of the terms c and after the last; 0 where that is rounding."""
    rest = mass[:, None] - np.concatenate((np.zeros((len(c), 1)), np.cumsum(c, axis=1)), axis=1)
    return np.asarray(np.where(np.abs(rest) > 1e-14, rest, 0))


def enough(series: Series, tolerance: float) -> int:
    """Terms after which what is left is below the tolerance, or all."""
    left = np.maximum(np.abs(series.tails), np.abs(series.slope_tails)).max(axis=0)
    # Where a bend was taken out, what is left may change its sign on the way.
    small = np.flatnonzero(np.maximum.accumulate(left[::-1])[::-1] <= tolerance)
    return int(small[0]) if small.size else len(series.rule.m)


def reaches(series: Series, tolerance: float) -> bool:
    """Whether all terms together leave no more than the tolerance."""
    return bool(left_after(series, len(series.rule.m)).max(initial=0) <= tolerance)


def _law(size: Array, x: Array, power: float) -> tuple[Array, Array]:
    """Fit log size = a - p log x + b x^power at x = 1, 1/2 and 1/4: its error, and -d size / dx.

    `size` is of shape (grid, 4), x counts from the last exponent. The error is that at 1/8 and what is left at the end.
    """
    at = 2.0 ** -np.arange(4)
    basis = np.stack((np.ones(4), -np.log(at), at**power), axis=1)
    a, p, b = np.linalg.solve(basis[:3], np.log(size[:, :3]).T)[..., None]
    predicted = basis[3, 0] * a[:, 0] + basis[3, 1] * p[:, 0] + basis[3, 2] * b[:, 0]
    with np.errstate(over="ignore"):
        error = 2 * size[:, 0] * np.abs(np.expm1(predicted - np.log(size[:, 3])))
        left = np.exp(-p * np.log(x) + b * (x**power - 1))
        density = left * (p / x - b * power * x ** (power - 1))
        error = error + 2 * size[:, 0] * left[:, -1]
    # A law that would grow again is none.
    return np.where((density >= 0).all(axis=1), error, np.inf), np.maximum(density, 0)


def continued(series: Series, gain: Array, doubt: float) -> Series:
    """Go on for `_OCTAVES` blocks by the law that the coefficients have come to follow.

    What is left of the slope after m falls like m^-p (1 + b / m) where phi has a kink, like m^-p exp(b sqrt m) where it
    is analytic. From the last three blocks follow p and b; how well they predict the one before tells the error. It is
    taken to be no less than a share, `doubt`, of what was left: of a function of the user the law may change.
    """
    rule = series.rule
    ends = np.searchsorted(rule.m, [rule.next // 2**i for i in range(4)])
    left = series.slope_tails[:, ends] if ends[-1] > 1 else np.zeros((1, 4))
    # Of small variances nothing but rounding may be left: there is nothing to go on with.
    active = np.abs(left).min(axis=1) > 1e-13
    sign, size = np.sign(left[active][:1, 0]), np.abs(left[active])
    if not active.any() or not ((np.sign(left[active]) == sign).all() and (np.diff(size, axis=1) > 0).all()):
        return series
    longer = hermite.thinning(rule.tolerance, int(rule.next) * 2**_OCTAVES)
    m, weight = longer.m[len(rule.m) :], longer.weight[len(rule.m) :]
    error, density = min(
        (_law(size, m / rule.next, power) for power in (-1.0, 0.5)), key=lambda law: float(law[0].max())
    )
    if not error.max() <= 0.5 * size[:, 0].max():
        return series
    slopes = np.zeros((len(active), len(m)))
    slopes[active] = size[:, [0]] * density * weight / (density * weight).sum(axis=1, keepdims=True)
    errors = np.where(active, 0.0, np.abs(series.slope_tails[:, -1]))
    errors[active] = np.maximum(error, doubt * size[:, 0])
    squares = slopes * gain[:, None] / (2 * m)

    # A kink's own terms are products of one number per sample; where they were taken out (bent), what is left are
    # those of the bend with those of the next kink, x_p y_q + y_p x_q = (u_p u_q - v_p v_q) / 2, u, v = x +- y.
    bend = np.abs(series.bend)[:, None]
    if bend.all():
        x = bend * np.sqrt((squares / 2).mean(axis=0) / (bend**2).mean(axis=0))
        y = sign * squares / (2 * x)
        coefficients = np.stack((x + y, x - y), axis=-1).reshape(len(x), -1) * np.sqrt(0.5)
        signs, copies = np.tile([1.0, -1.0], len(m)), 2
    else:
        coefficients, signs, copies = np.sqrt(squares), np.full(len(m), sign.item()), 1

    def appended(tails: Array, parts: Array) -> Array:
        rest = np.maximum(parts.sum(axis=1, keepdims=True) - np.cumsum(parts, axis=1), 0)
        # Between the two terms of one exponent all is left that was before them.
        before = np.concatenate((parts.sum(axis=1, keepdims=True), rest[:, :-1]), axis=1)
        both = np.stack((before, rest), axis=-1).reshape(len(rest), -1) if copies == 2 else rest
        return np.concatenate((tails, sign * both), axis=1)

    slope_tails = appended(series.slope_tails, slopes)
    slope_tails[:, len(rule.m) + 1 :] += sign * errors[:, None]
    return replace(
        series,
        rule=hermite.repeated(longer, len(rule.m), copies),
        coefficients=np.concatenate((series.coefficients, coefficients), axis=1),
        sign=np.append(series.sign, signs),
        bend_squares=np.append(series.bend_squares, np.zeros(copies * len(m))),
        tails=appended(series.tails, squares),
        slope_tails=slope_tails,
    )


def left_after(series: Series, terms: int) -> Array:
    """What so many terms leave of F and of F' at most, the larger of both, at each variance of the grid.

    With T_m what is left at y = 1 from m on, at y there is T_M y^M + sum of T_m (y^m - y^(m-1)) (Abel): where a bend
    was taken out and T changes its sign, no more than T_M and the largest T_m after it.
    """
    left = np.maximum(np.abs(series.tails[:, terms:]), np.abs(series.slope_tails[:, terms:]))
    after = left[:, 1:].max(axis=1, initial=0) if series.bend.any() else 0
    return np.asarray(left[:, 0] + after)
