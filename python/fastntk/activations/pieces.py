"""What the core needs of each sample for functions with kinks or jumps; the sums over pairs are in cpp/isa/pieces.hpp.

phi is a smooth function plus, beyond every breakpoint a on its side of 0, sum of J_m (|x| - |a|)^m, m = 0, 1, 2. In
units of s = sqrt(q) the threshold is h = |a| / s. Everything here is of order n and in float64, and relative to
s' = sqrt(F(q, q)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from .._machine.products import matrix_times
from . import hermite, verification
from .functions import Function, PiecewisePolynomial
from .interpolation import (
    Expansion,
    OnGrid,
    chebyshev_grid,
    check_variance,
    finish,
    interpolation_matrix,
    smallest_variance,
    variance_range,
)
from .moments import FARTHEST, excesses, norms

Array = NDArray[np.float64]

#: Squares of its square are in range; and below, nothing changes any more.
_LARGEST_VARIANCE, SMALLEST_VARIANCE = 1e70, 1e-18

#: Weights of kinks (in single precision, or not) up to which the tables keep what they are multiplied by: densities, at
#: least the square of the inverse. Kinks farther out are too faint to tell how similar samples are.
_HEAVIEST = {True: 1e18, False: 1e145}

#: A polynomial of degree 2 has three Hermite coefficients.
_TERMS = 3

#: Hermite coefficients beyond those, for pairs whose rho is small enough for phi's own expansion; and how far it goes.
_ORDERS = 128
_PRECISION = {True: 2.0**-26, False: 2.0**-54}

#: Coefficients whose products are of no account, and may not even be numbers of full precision.
_FAINTEST = 1e-19

#: How many of them the engine takes less or more of, of odd and of even order: shares are told of every so many.
_STEP = 2 * 4

#: How far norms may be wrong, relative to themselves.
_NORM_ERROR = 2.0**-43

#: What is wrong with a gap beside its root, in units of rounding: Theta behind ReLU, or a kink, errs by as much.
_WRONG = 2.5

#: What orders from 3 on leave in the engine's steps.
Shares: TypeAlias = tuple[float, ...]

#: Parameters of an op without that expansion.
_NO_MEHLER = [0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, *[0.0] * (_ORDERS // _STEP + 1)]

#: Terms tried in turn for a function that is only piecewise smooth.
_TRIES = (64, 256, 1024)


@dataclass(frozen=True)
class _Jumps:
    """Jumps J_0, J_1, J_2 at one distance a from 0, to the right of it and to the left."""

    a: float
    right: list[float] = field(default_factory=lambda: [0.0] * 3)
    left: list[float] = field(default_factory=lambda: [0.0] * 3)

    def sides(self) -> list[tuple[float, list[float]]]:
        return [(sign, weights) for sign, weights in ((1.0, self.right), (-1.0, self.left)) if any(weights)]

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Evaluate them as a function of x, and its derivative."""
        value, slope = np.zeros_like(x), np.zeros_like(x)
        for sign, (j0, j1, j2) in self.sides():
            beyond = sign * x - self.a
            inside = beyond > 0
            value += np.where(inside, j0 + beyond * (j1 + beyond * j2), 0)
            slope += sign * np.where(inside, j1 + 2 * beyond * j2, 0)
        return value, slope


def _collect(breakpoints: Sequence[float], jumps: Sequence[Sequence[float]]) -> list[_Jumps]:
    found: dict[float, _Jumps] = {}
    for a, weights in zip(breakpoints, jumps, strict=True):
        side = found.setdefault(abs(a), _Jumps(abs(a)))
        (side.right if a >= 0 else side.left)[:] = weights
    return list(found.values())


class _Threshold:
    """One distance from 0, for all samples: h, pdf(h), P(z > h), E (z - h)_+ and E (z - h)_+^2."""

    def __init__(self, a: float, s: Array) -> None:
        h = a / s
        self.counts = h < FARTHEST
        self.h = np.minimum(h, FARTHEST)
        self.density = np.exp(-0.5 * self.h**2) / np.sqrt(2 * np.pi)
        self.columns = [self.h, self.density, *excesses(self.h)[:3]]

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
    jumps: list[_Jumps], thresholds: list[_Threshold], s: Array, unit: Array, elasticity: Array | None
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


def _followed(jumps: list[_Jumps], s: Array, unit: Array, *, single: bool) -> Array:
    """1 / s', or 0 for samples that the engine cannot follow: all that phi gives is beyond kinks too far out."""
    weights = np.array(
        [np.abs(j) * s**m for kink in jumps for side in (kink.right, kink.left) for m, j in enumerate(side)]
    )
    counts = np.array([kink.a / s < FARTHEST for kink in jumps]).repeat(6, axis=0)
    return np.where((weights * counts).max(axis=0, initial=0) * unit <= _HEAVIEST[single], unit, 0.0)


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
    norm, slope, norm_slope = norms(function, s)
    with np.errstate(divide="ignore", over="ignore"):
        # Below, all of phi that is not 0 is farther out than float64 reaches.
        unit = np.where(norm > 1e-290, 1 / np.sqrt(norm), 0.0)

    negative = sum(a < 0 for a in function.breakpoints)
    base = Polynomial(function.pieces[negative])
    weights = []
    for i, a in enumerate(function.breakpoints):
        beyond = Polynomial(function.pieces[i + (a >= 0)]) - Polynomial(function.pieces[i + (a < 0)])
        weights.append([(1 if a >= 0 else -1) ** m * float(beyond.deriv(m)(a)) / math.factorial(m) for m in range(3)])
    jumps = _collect(function.breakpoints, weights)
    unit = _followed(jumps, s, unit, single=single)

    thresholds = [_Threshold(kink.a, s) for kink in jumps]
    values = _hermite_columns(jumps, thresholds, base, s)
    elasticity = slopes = None
    small = variance < q
    if gradient:
        elasticity = np.where(unit > 0, norm_slope * unit**2, 1.0)
        moved = _hermite_slopes(jumps, thresholds, base, s)
        slopes = [unit * (slope - elasticity / 2 * value) for slope, value in zip(moved, values, strict=True)]
    parameters, columns, column_slopes = _tables(jumps, thresholds, s, unit, elasticity)
    columns = [unit * column for column in values] + columns
    mehler: list[float] = _NO_MEHLER
    orders: list[Array] = []
    shares: Shares | None = None
    if not gradient:
        orders, jumping = _orders(jumps, s, unit)
        of_slope = orders[2:] if jumping else None
        shares = _shares(columns, orders[:2], of_slope, np.where(unit > 0, 1.0, 0.0), slope * q * unit**2)
        shares = tuple(map(max, shares, like or shares))
        mehler = _mehler(orders, shares, jumping=jumping, single=single)
    at_zero = float(function.phi(np.zeros(1))[0]) ** 2
    norm[small] = at_zero + (np.maximum(norm - at_zero, 0) * variance / q)[small]
    table_slopes = None
    if slopes is not None and elasticity is not None:
        table_slopes = np.where(small, 0.0, np.array(slopes + column_slopes))
        elasticity[small] = (1 - at_zero / np.maximum(norm, 1e-300))[small]
    return Expansion(
        [float(_TERMS), *parameters, *mehler],
        np.concatenate((np.array(columns), *orders)),
        norm,
        slope,
        np.zeros(len(q)),
        table_slopes=table_slopes,
        elasticity=elasticity,
        chosen=shares,
    )


def _orders(jumps: list[_Jumps], s: Array, unit: Array) -> tuple[list[Array], bool]:
    """Hermite coefficients of phi from order 3 on, of every other order from 3 and from 4; then of phi' if phi jumps.

    And whether it jumps. By Stein's lemma E[(z - h)_+^m h_k(z)] is m! pdf(h) h_(k-1-m)(h) sqrt((k-1-m)! / k!).
    """
    jumping = any(weights[0] for kink in jumps for weights in (kink.right, kink.left))
    columns = []
    beyond = [_beyond(kink.a / s) for kink in jumps]
    for derivative in (False, True):
        for start in (_TERMS, _TERMS + 1):
            orders = np.arange(start, _TERMS + _ORDERS, 2)
            total = np.zeros((0, len(s)))
            for kink, rows in zip(jumps, beyond, strict=True):
                # To the left z is -z, which changes the sign of odd orders, and of phi'.
                side = (-1) ** (start + derivative)
                weights = [right + side * left for right, left in zip(kink.right, kink.left, strict=True)]
                scales = [math.factorial(m) * j * unit * s**m for m, j in enumerate(weights)][derivative:]
                for m, scale in enumerate(scales):
                    if weights[m + derivative] and (jumping or not derivative):
                        part = rows[orders[0] - 1 - m : orders[-1] - m : 2] * scale
                        part /= np.sqrt(np.prod([orders - i for i in range(m + 1)], axis=0))[:, None]
                        total = total + part if len(total) else part
            total[np.abs(total) < _FAINTEST] = 0
            columns.append(total)
    return columns, jumping


def _mehler(orders: list[Array], shares: Shares, *, jumping: bool, single: bool) -> list[float]:
    """Return the parameters of that expansion: how far it reaches, by what all of its orders leave, and by rounding."""
    tolerance, rounding = _PRECISION[single], 2.0**-23 if single else 2.0**-52
    left = (tolerance / max(shares[-1], tolerance)) ** (1 / (_TERMS + _ORDERS - 1))
    reach = max(-1.0, min(left, 1 - ((tolerance / rounding + shares[0]) / _WRONG) ** 2))
    return [*(float(len(rows)) for rows in orders), float(jumping), reach, tolerance, *shares]


def _shares(
    columns: list[Array], of_phi: list[Array], of_slope: list[Array] | None, norm: Array, gain: Array
) -> Shares:
    """Largest share of any sample that orders from 3 on have in F(q, q) or F'(q, q), from 3 + 8 on, ... and the rest.

    By Parseval's theorem: what all orders with coefficients lack is what those beyond them have, or the error of norms.
    Powers of 4, so that samples that come later seldom have larger ones.
    """

    def beyond(lowest: list[Array], pairs: list[Array], whole: Array, power: int) -> Array:
        """All from an order on, each squared and times the power of its order."""
        steps = np.zeros((_ORDERS // _STEP, len(whole)))
        for start, rows in enumerate(pairs):
            if len(rows):
                orders = np.arange(_TERMS + start, _TERMS + _ORDERS, 2.0)[:, None]
                steps += (rows**2 * orders**power).reshape(len(steps), _STEP // 2, len(whole)).sum(axis=1)
        low = sum(float(k**power) * column**2 for k, column in enumerate(lowest))
        rest = np.maximum(whole - low - steps.sum(axis=0), _NORM_ERROR * whole)
        found = np.cumsum(np.vstack((rest, steps[::-1])), axis=0)[::-1]
        return np.asarray(np.divide(found, whole, out=np.zeros_like(found), where=whole > 0))

    value = beyond(columns[:_TERMS], of_phi, norm, 0)
    if of_slope is None:
        slope = beyond(columns[:_TERMS], of_phi, gain, 1)
    else:
        slope = beyond(columns[2 * _TERMS : 3 * _TERMS], of_slope, gain, 0)
    largest = np.maximum(value, slope).max(axis=1, initial=_NORM_ERROR)
    return tuple(np.minimum(4.0 ** np.ceil(np.log2(largest) / 2), 1.0).tolist())


def _beyond(h: Array) -> Array:
    """Compute pdf(h) h_k(h) of all orders k needed, 0 where no kink counts."""
    z = np.minimum(h, FARTHEST)
    rows = hermite.functions(z, np.arange(_TERMS + _ORDERS))
    rows *= np.where(h < FARTHEST, np.exp(-0.25 * z**2) / (2 * np.pi) ** 0.25, 0.0)
    return rows


def _hermite_columns(jumps: list[_Jumps], thresholds: list[_Threshold], base: Polynomial, s: Array) -> list[Array]:
    """Hermite coefficients of phi, of its kinks, of s phi' and of the kinks' s phi'; base is phi around 0."""
    kinked, kinked_slope = ([np.zeros_like(s)] * _TERMS for _ in range(2))
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


def _hermite_slopes(jumps: list[_Jumps], thresholds: list[_Threshold], base: Polynomial, s: Array) -> list[Array]:
    """Derivatives of the Hermite columns with respect to log q."""
    kinked, kinked_slope = ([np.zeros_like(s)] * _TERMS for _ in range(2))
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
    c = np.zeros(_TERMS)
    c[: len(p.coef)] = p.coef
    return [c[0] + c[2] * s**2, c[1] * s, np.sqrt(2) * c[2] * s**2]


def _measure(function: Function) -> list[_Jumps]:
    """Jumps of phi, phi' and phi'' at the kinks; what differences miss is left to the expansion."""
    weights = []
    for a in function.kinks:
        tiny, h = 2.0**-40 * max(1.0, abs(a)), 2.0**-7
        steps = np.array([tiny, *(h * np.arange(1, 5))])
        one_sided = np.array([-25, 48, -36, 16, -3]) / (12 * h)
        values = [
            2 * near - far for near, far in (function.phi(a + side * tiny * np.array([1, 2])) for side in (1, -1))
        ]
        slopes = [function.derivative(a + side * steps) for side in (1, -1)]
        jump = [values[0] - values[1], slopes[0][0] - slopes[1][0], one_sided @ (slopes[0] + slopes[1]) / 2]
        # seen from 0: to the left, what is beyond less what is before, as a function of |x| - |a|
        weights.append([float(j) * (1 if a >= 0 else (-1) ** (m + 1)) for m, j in enumerate(jump)])
    return _collect(function.kinks, weights)


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
    jumps = _measure(function)
    assert found.unit is not None
    unit = _followed(jumps, s, found.unit, single=single)
    parameters, columns, slopes = _tables(jumps, [_Threshold(kink.a, s) for kink in jumps], s, unit, found.elasticity)
    tables = np.concatenate((np.where(unit > 0, found.tables, 0), np.array(columns)))
    table_slopes = None
    if found.table_slopes is not None:
        kink_slopes = np.where(variance < smallest, 0.0, np.array(slopes))
        table_slopes = np.concatenate((found.table_slopes, kink_slopes))
    return replace(
        found, parameters=[*found.parameters, *parameters, *_NO_MEHLER], tables=tables, table_slopes=table_slopes
    )


@lru_cache(maxsize=64)
def _on_grid(function: Function, tolerance: float, low: float, high: float, density: int = 1) -> OnGrid:
    """Hermite coefficients of phi, of its kinks, and of the derivatives of both."""
    jumps = _measure(function)
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

    def __init__(self, function: Function, jumps: list[_Jumps], s: float, edges: Array, terms: int) -> None:
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


def _between(function: Function, jumps: list[_Jumps], grid: Array, columns: Array, edges: Array, terms: int) -> float:
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
