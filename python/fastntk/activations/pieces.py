"""What the core needs of each sample for functions with kinks or jumps; the sums over pairs are in cpp/isa/pieces.hpp.

phi is a smooth function plus, beyond every breakpoint a on its side of 0, sum of J_m (|x| - |a|)^m, m = 0, 1, 2. In
units of s = sqrt(q) the threshold is h = |a| / s. Everything here is of order n and in float64, and relative to
s' = sqrt(F(q, q)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from .._checks.caller import warn
from .._machine.products import matrix_times
from . import hermite, verification
from .functions import Function, PiecewisePolynomial
from .interpolation import (
    MOST_KEPT,
    Expansion,
    OnGrid,
    ToleranceWarning,
    chebyshev_grid,
    check_variance,
    finish,
    interpolation_matrix,
    smallest_variance,
    variance_range,
)
from .jumps import Jumps, collect, measure
from .moments import FARTHEST, beyond, norms
from .own_expansion import NO_MEHLER, TERMS, Shares, mehler_parameters, orders_of, reaches, shares_of

Array = NDArray[np.float64]

#: Squares of its square are in range; and below, nothing changes any more.
_LARGEST_VARIANCE, SMALLEST_VARIANCE = 1e70, 1e-18

#: What parts lose by rounding (in single precision, whose tables are pairs of floats, or not), and what the whole may
#: lose unsaid, and at most.
_ROUNDING = {True: 2.0**-47, False: 2.0**-52}
_LOST_UNSAID, _MOST_LOST = 1e-6, 1e-2

#: Weights of kinks (in single precision, or not) up to which the tables keep what they are multiplied by: densities, at
#: least the square of the inverse. Kinks farther out are too faint to tell how similar samples are.
_HEAVIEST = {True: 1e18, False: 1e145}

#: Terms tried in turn for a function that is only piecewise smooth.
_TRIES = (64, 256, 1024)


class _Threshold:
    """One distance from 0, for all samples: h, pdf(h), P(z > h), E (z - h)_+ and E (z - h)_+^2."""

    def __init__(self, a: float, s: Array, excess: Array) -> None:
        h = a / s
        self.counts = h < FARTHEST
        self.h = np.minimum(h, FARTHEST)
        self.density = np.exp(-0.5 * self.h**2) / np.sqrt(2 * np.pi)
        self.columns = [self.h, self.density, *excess[:3]]

    def slopes(self) -> list[Array]:
        """Derivatives of the columns with respect to log q, where d h = -h / 2."""
        h, density, tail, excess, _ = self.columns
        half = np.where(self.counts, h / 2, 0)
        return [-half, half * h * density, half * density, half * tail, 2 * half * excess]


def _coefficients_of(columns: list[Array], sign: float, weights: Sequence[Array], bend: Array) -> list[Array]:
    """E[sum of w_m (|z| - h)^m beyond h, times h_k(z)], k = 0, 1, 2, by Stein's lemma; bend is h pdf(h)."""
    (_, density, tail, excess, second), (w0, w1, w2) = columns, weights
    return [
        w0 * tail + w1 * excess + w2 * second,
        sign * (w0 * density + w1 * tail + 2 * w2 * excess),
        (w0 * bend + w1 * density + 2 * w2 * tail) / np.sqrt(2),
    ]


def _tables(
    jumps: list[Jumps], thresholds: list[_Threshold], s: Array, unit: Array, elasticity: Array | None
) -> tuple[list[float], list[Array], list[Array]]:
    """The parameters and tables of the thresholds, and the derivatives of these if that of log F(q, q) is given."""
    columns: list[Array] = []
    slopes: list[Array] = []
    for kink, threshold in zip(jumps, thresholds, strict=True):
        columns += threshold.columns
        slopes += threshold.slopes() if elasticity is not None else []
        for weights in (kink.right, kink.left):
            scaled = [np.where(threshold.counts, unit * j * s**m, 0.0) for m, j in enumerate(weights)]
            columns += scaled
            if elasticity is not None:
                slopes += [(m - elasticity) / 2 * column for m, column in enumerate(scaled)]
    sides = [[float(any(weights)) for weights in side] for side in ([k.right for k in jumps], [k.left for k in jumps])]
    return [float(len(jumps)), *sides[0], *sides[1]], columns, slopes


def _followed(jumps: list[Jumps], s: Array, unit: Array, *, single: bool) -> Array:
    """1 / s', or 0 for samples that the engine cannot follow: all that phi gives is beyond kinks too far out."""
    weights = np.array(
        [np.abs(j) * s**m for kink in jumps for side in (kink.right, kink.left) for m, j in enumerate(side)]
    )
    counts = np.array([kink.a / s < FARTHEST for kink in jumps]).repeat(6, axis=0)
    return np.where((weights * counts).max(axis=0, initial=0) * unit <= _HEAVIEST[single], unit, 0.0)


def _check_cancellation(
    function: PiecewisePolynomial, base: Polynomial, weights: list[list[float]], s: Array, norm: Array, *, single: bool
) -> None:
    """Warn of variances where phi, saturated, is a small difference of its parts; refuse those where it drowns."""
    parts = np.abs(np.array([*weights, np.pad(base.coef, (0, 3 - len(base.coef)))])).sum(axis=0)
    beyond_kinks = s > max(map(abs, function.breakpoints), default=0.0)
    size = np.polynomial.polynomial.polyval(s[beyond_kinks], parts)
    lost = float((_ROUNDING[single] * size**2 / norm[beyond_kinks]).max(initial=0))
    most = float(s.max(initial=0)) ** 2
    if lost > _MOST_LOST:
        check_variance(most, most * _MOST_LOST / lost)
    if lost > _LOST_UNSAID:
        warn(
            f"an input has variance q = {most:.3g} where it meets an activation that saturates: its kernels have an "
            f"error of up to {lost:.1e}, by rounding; scale the data or the parameters down.",
            ToleranceWarning,
        )


def expand(
    function: PiecewisePolynomial,
    variance: NDArray[np.float64],
    *,
    single: bool = False,
    gradient: bool = False,
    like: Shares | None = None,
) -> Expansion:
    """Tables, F(q, q) and F'(q, q) of a piecewise polynomial, for the variances of the samples, `like` others."""
    check_variance(float(variance.max(initial=0)), _LARGEST_VARIANCE)
    q = np.maximum(variance, SMALLEST_VARIANCE)
    s = np.sqrt(q)
    outside = beyond({0.0, *map(abs, function.breakpoints)}, s)
    norm, slope, norm_slope = norms(function, s, outside)
    with np.errstate(divide="ignore", over="ignore"):
        # Below, all of phi that is not 0 is farther out than float64 reaches.
        unit = np.where(norm > 1e-290, 1 / np.sqrt(norm), 0.0)

    negative = sum(a < 0 for a in function.breakpoints)
    base = Polynomial(function.pieces[negative])
    weights = []
    for i, a in enumerate(function.breakpoints):
        jump = Polynomial(function.pieces[i + (a >= 0)]) - Polynomial(function.pieces[i + (a < 0)])
        weights.append([(1 if a >= 0 else -1) ** m * float(jump.deriv(m)(a)) / math.factorial(m) for m in range(3)])
    _check_cancellation(function, base, weights, s, norm, single=single)
    jumps = collect(function.breakpoints, weights)
    unit = _followed(jumps, s, unit, single=single)

    thresholds = [_Threshold(kink.a, s, outside[kink.a]) for kink in jumps]
    values = _hermite_columns(jumps, thresholds, base, s)
    elasticity = slopes = None
    small = variance < q
    if gradient:
        elasticity = np.where(unit > 0, norm_slope * unit**2, 1.0)
        moved = _hermite_slopes(jumps, thresholds, base, s)
        slopes = [unit * (slope - elasticity / 2 * value) for slope, value in zip(moved, values, strict=True)]
    parameters, columns, column_slopes = _tables(jumps, thresholds, s, unit, elasticity)
    columns = [unit * column for column in values] + columns
    mehler: list[float] = NO_MEHLER
    orders: list[Array] = []
    shares: Shares | None = None
    if not gradient:
        orders, jumping = orders_of(jumps, s, unit)
        of_slope = orders[2:] if jumping else None
        gain = slope * q * unit**2
        shares = shares_of(columns, orders[:2], of_slope, np.where(unit > 0, 1.0, 0.0), gain)
        shares = tuple(map(max, shares, like or shares))
        mehler = mehler_parameters(orders, shares, jumping=jumping, single=single)
        if reaches(mehler):
            columns.append(gain)
    at_zero = float(function.phi(np.zeros(1))[0]) ** 2
    norm[small] = at_zero + (np.maximum(norm - at_zero, 0) * variance / q)[small]
    table_slopes = None
    if slopes is not None and elasticity is not None:
        table_slopes = np.where(small, 0.0, np.array(slopes + column_slopes))
        elasticity[small] = (1 - at_zero / np.maximum(norm, 1e-300))[small]
    return Expansion(
        [float(TERMS), *parameters, *mehler],
        np.concatenate((np.array(columns), *orders)),
        norm,
        slope,
        np.zeros(len(q)),
        table_slopes=table_slopes,
        elasticity=elasticity,
        chosen=shares,
    )


def _hermite_columns(jumps: list[Jumps], thresholds: list[_Threshold], base: Polynomial, s: Array) -> list[Array]:
    """Hermite coefficients of phi, of its kinks, of s phi' and of the kinks' s phi'; base is phi around 0."""
    kinked, kinked_slope = ([np.zeros_like(s)] * TERMS for _ in range(2))
    for kink, threshold in zip(jumps, thresholds, strict=True):
        columns, bend = threshold.columns, threshold.h * threshold.density
        for sign, js in kink.sides():
            w = [np.where(threshold.counts, j * s**m, 0.0) for m, j in enumerate(js)]
            w_slope = [sign * w[1], sign * 2 * w[2], np.zeros_like(s)]
            more = _coefficients_of(columns, sign, w, bend)
            more_slope = _coefficients_of(columns, sign, w_slope, bend)
            kinked = [a + b for a, b in zip(kinked, more, strict=True)]
            kinked_slope = [a + b for a, b in zip(kinked_slope, more_slope, strict=True)]
    whole = [a + b for a, b in zip(kinked, _hermite(base, s), strict=True)]
    whole_slope = [a + s * b for a, b in zip(kinked_slope, _hermite(base.deriv(), s), strict=True)]
    return [*whole, *kinked, *whole_slope, *kinked_slope]


def _hermite_slopes(jumps: list[Jumps], thresholds: list[_Threshold], base: Polynomial, s: Array) -> list[Array]:
    """Derivatives of the Hermite columns with respect to log q."""
    kinked, kinked_slope = ([np.zeros_like(s)] * TERMS for _ in range(2))
    for kink, threshold in zip(jumps, thresholds, strict=True):
        columns, moved = threshold.columns, threshold.slopes()
        bend = threshold.h * threshold.density
        bend_moved = moved[0] * threshold.density + threshold.h * moved[1]
        for sign, js in kink.sides():
            w = [np.where(threshold.counts, j * s**m, 0.0) for m, j in enumerate(js)]
            w_slope = [sign * w[1], sign * 2 * w[2], np.zeros_like(s)]
            for target, weights, powers in ((kinked, w, (0, 1, 2)), (kinked_slope, w_slope, (1, 2, 0))):
                scaled = [m / 2 * weight for m, weight in zip(powers, weights, strict=True)]
                first = _coefficients_of(columns, sign, scaled, bend)
                second = _coefficients_of(moved, sign, weights, bend_moved)
                target[:] = [a + b + c for a, b, c in zip(target, first, second, strict=True)]
    return [
        *(a + b for a, b in zip(kinked, _hermite_moved(base, s), strict=True)),
        *kinked,
        *(
            a + s * (b / 2 + c)
            for a, b, c in zip(kinked_slope, _hermite(base.deriv(), s), _hermite_moved(base.deriv(), s), strict=True)
        ),
        *kinked_slope,
    ]


def _hermite_moved(p: Polynomial, s: Array) -> list[Array]:
    """Derivatives of `_hermite` with respect to log q."""
    return _hermite(Polynomial([m / 2 * float(c) for m, c in enumerate(p.coef)]), s)


def _hermite(p: Polynomial, s: Array) -> list[Array]:
    """Coefficients of p(s z), of degree <= 2, in h_0 = 1, h_1 = z, h_2 = (z^2 - 1) / sqrt 2."""
    c = np.zeros(TERMS)
    c[: len(p.coef)] = p.coef
    return [c[0] + c[2] * s**2, c[1] * s, np.sqrt(2) * c[2] * s**2]


def expand_kinked(
    function: Function,
    variance: NDArray[np.float64],
    tolerance: float,
    *,
    single: bool = False,
    gradient: bool = False,
    like: OnGrid | None = None,
) -> Expansion:
    """Expand a function that is smooth but for its kinks, at the variances of the samples, `like` others."""
    smallest = smallest_variance(function)
    low, high = variance_range(variance, function, like)
    on_grid = like
    if on_grid is None or on_grid.range != (low, high):
        on_grid = _on_grid(function, tolerance, low, high)
    found = finish(on_grid, function, variance, tolerance, gradient=gradient, alone=like is None)
    s = np.sqrt(np.maximum(variance, smallest))
    jumps = measure(function)
    assert found.unit is not None
    unit = _followed(jumps, s, found.unit, single=single)
    outside = beyond([kink.a for kink in jumps], s)
    thresholds = [_Threshold(kink.a, s, outside[kink.a]) for kink in jumps]
    parameters, columns, slopes = _tables(jumps, thresholds, s, unit, found.elasticity)
    tables = np.concatenate((np.where(unit > 0, found.tables, 0), np.array(columns)))
    table_slopes = None
    if found.table_slopes is not None:
        kink_slopes = np.where(variance < smallest, 0.0, np.array(slopes))
        table_slopes = np.concatenate((found.table_slopes, kink_slopes))
    return replace(
        found, parameters=[*found.parameters, *parameters, *NO_MEHLER], tables=tables, table_slopes=table_slopes
    )


@lru_cache(maxsize=MOST_KEPT)
def _on_grid(function: Function, tolerance: float, low: float, high: float, density: int = 1) -> OnGrid:
    """Hermite coefficients of phi, of its kinks, and of the derivatives of both."""
    jumps = measure(function)
    grid = chebyshev_grid(low, high, density)
    for terms in _TRIES:
        edges = hermite.edges(0.5 / math.sqrt(high), terms)
        rows = [_Row(function, jumps, float(np.sqrt(q)), edges, terms) for q in grid]
        reached = _left(rows)
        if reached <= tolerance:
            break
    a = np.array([row.coefficients.ravel() for row in rows])
    columns = np.concatenate((a, np.array([(math.log(row.norm), row.gain) for row in rows])), axis=1)
    between = _between(function, jumps, grid, columns, edges, terms)
    if reached <= tolerance < 2 * between and density < verification.DENSEST:
        return _on_grid(function, tolerance, low, high, 2 * density)
    missed = verification.missed(function, grid, hermite.panels(edges))
    bound = verification.relative_to_truth(reached + between + missed)
    return OnGrid([float(terms)], grid, columns, bound, hermite.panels(edges), (low, high))


class _Row:
    """At one variance: coefficients in units of s', F(q, q), F'(q, q) q / F(q, q), and squares to add up to.

    Of the four columns phi, its kinks, s phi' and the kinks' s phi'; and of the smooth rest of phi and of s phi'.
    """

    def __init__(self, function: Function, jumps: list[Jumps], s: float, edges: Array, terms: int) -> None:
        inside = [a / s for a in function.kinks if abs(a / s) < edges[-1]]
        nodes = hermite.panels(np.unique(np.concatenate((-edges, edges, inside))))
        x = s * nodes.z
        parts = [np.zeros_like(x), np.zeros_like(x)]
        for kink in jumps:
            parts = [part + more for part, more in zip(parts, kink(x), strict=True)]
        whole = [np.asarray(function.phi(x), np.float64), np.asarray(function.derivative(x), np.float64)]
        density = nodes.density / 2
        norm, slope = (float((f**2 * density).sum()) for f in whole)
        self.norm = max(norm, 1e-300)
        unit = 1 / math.sqrt(self.norm)
        columns = unit * np.stack((whole[0], parts[0], whole[1] * s, parts[1] * s))
        functions = hermite.functions(nodes.z, np.arange(terms))
        self.coefficients = matrix_times(columns * nodes.root_density / 2, functions.T)
        gain = slope * s * s / self.norm
        self.gain = gain if gain > 1e-20 else 0.0  # of steps: rounding
        smooth = columns[::2] - columns[1::2]
        self.smooth, self.kinked = ((column**2 * density).sum(axis=1) for column in (smooth, columns[1::2]))


def _left(rows: list[_Row]) -> float:
    """Bound what the coefficients leave: with phi = f + g, g its kinks, the rest of F has terms f f + f g + g f.

    By Cauchy and Schwarz, with what is left of f^2: what its coefficients lack where that is more than rounding, and as
    much as their last half suggests.
    """
    worst = np.zeros((2, 2))  # of phi and of phi': what is left of f and of g
    for row in rows:
        units = np.array([1.0, row.gain if row.gain > 0 else np.inf])
        f, g = row.coefficients[::2] - row.coefficients[1::2], row.coefficients[1::2]
        half = f.shape[1] // 2
        lacking = row.smooth - (f**2).sum(axis=1)
        lacking = np.where(lacking > 1e-13 * (row.smooth + row.kinked), lacking, 0)
        rest_f = np.maximum(lacking, 3 * (f[:, half:] ** 2).sum(axis=1))
        rest_g = np.maximum(row.kinked - (g**2).sum(axis=1), 0)
        worst = np.maximum(worst, np.sqrt(np.stack((rest_f, rest_g)) / units))
    return float((worst[0] * (worst[0] + 2 * worst[1])).max())


def _between(function: Function, jumps: list[Jumps], grid: Array, columns: Array, edges: Array, terms: int) -> float:
    """Bound what interpolation and the rule miss: all again on other panels, at variances between those of the grid."""
    q = verification.between(grid)
    others = np.concatenate((edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]))
    interpolated = matrix_times(interpolation_matrix(grid, q), columns)
    worst = 0.0
    for variance, row in zip(q, interpolated, strict=True):
        other = _Row(function, jumps, math.sqrt(variance), others, terms)
        found = row[:-2].reshape(4, terms)
        wrong = np.abs(
            (found[::2] ** 2 - found[1::2] ** 2) - (other.coefficients[::2] ** 2 - other.coefficients[1::2] ** 2)
        )
        error = wrong.sum(axis=1) + np.abs([np.expm1(row[-2] - math.log(other.norm)), row[-1] - other.gain])
        worst = max(worst, error[0], error[1] / other.gain if other.gain > 0 else 0.0)
    return verification.SAFETY * worst
