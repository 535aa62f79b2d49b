"""Hermite expansions: what the core needs to know of each sample for an activation without closed form.

By Mehler's formula F(q1, q2, rho) = sum_k A_k(q1) A_k(q2) rho^k with A_k(q) = E[phi(sqrt(q) z) h_k(z)]. The
coefficients are smooth in log q: they are computed on a Chebyshev grid and interpolated to the samples. Everything
is relative to s' = sqrt(F(q, q)); the sums over pairs are in cpp/isa/series.hpp.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core, hermite
from .functions import Function

Array = NDArray[np.float64]
Phi = Callable[[NDArray[Any]], NDArray[Any]]
Bends = tuple[float, float]

#: Variances beyond this would need more terms than are worth it.
LARGEST_VARIANCE = 1e6

#: Below this variance phi is as good as linear (and what is not linear, 1e-18 of F).
SMALLEST_VARIANCE = 1e-18

_LARGEST_BEND = 1000.0

#: Exponents of y = rho^2 tried in turn, until what is left out is below the tolerance.
_TOPS = (64, 2**9, 2**12, 2**15, 2**18)


class ToleranceWarning(UserWarning):
    """The expansion of an activation ended before the error asked for was reached."""


@dataclass(frozen=True, eq=False)
class Expansion:
    """Arguments of Program.expansion, and the bound that was reached."""

    parameters: list[float]
    tables: Array
    variance: NDArray[np.longdouble]
    slope: NDArray[np.longdouble]
    even: bool
    bound: Array  # of each sample, relative

    def add_to(self, program: _core.ProgramFloat32 | _core.ProgramFloat64) -> None:
        """Append it to a program of the core."""
        program.expansion(self.parameters, self.tables, self.variance, self.slope, self.even)


@dataclass(frozen=True, eq=False)
class _Series:
    """Even or odd orders k on the grid of variances: relative coefficients and what they leave."""

    rule: hermite.Thinning
    coefficients: Array  # (grid, terms)
    bend: Array  # (terms,): weighted coefficients of |z| or z |z| / sqrt(3), squared
    mass: Array  # (grid,): their part of F, the bend's taken out
    tails: Array  # (grid, terms + 1): what is left before each term, and after the last
    slope_tails: Array


def _grid(low: float, high: float) -> Array:
    """Chebyshev points of log q: coefficients are analytic in a strip of half-width about pi around it."""
    width = np.log(high / low)
    if width < 1e-12:
        return np.array([np.sqrt(low * high)])
    count = int(np.ceil(14 + 5 * width))
    x = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return np.asarray(np.exp(np.log(low) + width * (1 + x) / 2))


def _interpolation(grid: Array, q: Array) -> Array:
    """Matrix that takes values on the grid to values at q, by the barycentric formula."""
    x, points = np.log(q)[:, None], np.log(grid)
    count = len(grid)
    weight = (-1.0) ** np.arange(count) * np.sin(np.pi * (np.arange(count) + 0.5) / count)
    distance = x - points
    hit = distance == 0
    distance[hit] = 1
    matrix = weight / distance
    matrix /= matrix.sum(axis=1, keepdims=True)
    rows = hit.any(axis=1)
    matrix[rows] = hit[rows]
    return np.asarray(matrix)


class _Samples:
    """phi and phi' at sqrt(q) z, for the variances of a grid and the nodes of a rule."""

    def __init__(self, phi: Phi, derivative: Phi, bends: Bends, grid: Array, nodes: hermite.Nodes) -> None:
        x = np.sqrt(grid)[:, None] * nodes.z
        plus, minus = (np.asarray(phi(side), np.float64) for side in (x, -x))
        slope_plus, slope_minus = (np.asarray(derivative(side), np.float64) for side in (x, -x))
        self.nodes = nodes
        density = nodes.density
        # phi and phi' by parity in z; a part that is only rounding is none.
        self.parts = [_clean((plus + minus) / 2, plus), _clean((plus - minus) / 2, plus)]
        slopes = [(slope_plus - slope_minus) / 2, (slope_plus + slope_minus) / 2]
        masses = [part**2 @ density for part in self.parts]
        slope_masses = [slope**2 @ density if part.any() else np.zeros(len(grid)) for slope, part in zip(slopes, self.parts, strict=True)]
        self.variance = masses[0] + masses[1]
        self.slope = slope_masses[0] + slope_masses[1]
        self.masses = [mass / self.variance for mass in masses]
        with np.errstate(invalid="ignore"):
            self.slope_masses = [np.where(self.slope > 0, mass / self.slope, 0) for mass in slope_masses]
        #: F' s^2 / s'^2 = sum of k a_k^2
        self.gain = self.slope * grid / self.variance
        #: Of |z| and z |z| / sqrt(3), which are of variance 1, in phi(sqrt(q) z) / s'.
        self.bends = [bends[0] * np.sqrt(grid / self.variance), bends[1] * np.sqrt(3 / self.variance) * grid]
        # Of x |x| no more than can be taken out without losing digits: at a large variance phi looks smooth for long.
        if (self.bends[1] ** 2).max() > _LARGEST_BEND:
            self.bends[1] = np.zeros(len(grid))

    def features(self) -> Array:
        """Unit vectors whose inner products are rho' of samples with rho = 1."""
        weight = np.sqrt(self.nodes.density)
        return np.asarray(np.concatenate([part * weight for part in self.parts], axis=1) / np.sqrt(self.variance)[:, None])

    def series(self, parity: int, tolerance: float, top: int) -> _Series:
        """Coefficients of one parity, for exponents m < top."""
        # The weights of the bend are thinned with the same error, relative to its share.
        rule = hermite.thinning(tolerance / max(1.0, float((self.bends[parity] ** 2).max())), top)
        if not self.parts[parity].any():
            rule = hermite.NOTHING
        orders = 2 * rule.m + parity
        functions = hermite.half_range_functions(self.nodes, tuple(orders.tolist()))
        weight = self.nodes.root_density
        a = (self.parts[parity] * weight) @ functions.T * np.sqrt(rule.weight) / np.sqrt(self.variance)[:, None]
        bend = self.bends[parity]
        z = self.nodes.z
        shape = (z if parity == 0 else z**2 / np.sqrt(3)) * weight
        bend_squares = (shape @ functions.T) ** 2 * rule.weight * bend.any()
        c = a**2 - bend[:, None] ** 2 * bend_squares
        mass = self.masses[parity] - bend**2
        slope_mass = self.slope_masses[parity] - bend**2 * (1.0, 4 / 3)[parity] / np.maximum(self.gain, 1e-300)
        return _Series(
            rule, a, bend_squares, mass,
            _left(mass, c), _left(slope_mass, c * orders / np.maximum(self.gain, 1e-300)[:, None]),
        )  # fmt: skip


def _clean(part: Array, whole: Array) -> Array:
    return part if np.abs(part).max() > 1e-15 * np.abs(whole).max() else np.zeros_like(part)


def _left(mass: Array, c: Array) -> Array:
    left = mass[:, None] - np.concatenate((np.zeros((len(c), 1)), np.cumsum(c, axis=1)), axis=1)
    return np.asarray(np.where(np.abs(left) > 1e-14, left, 0))


def bends_of(function: Function) -> Bends:
    """How much of abs(x) and of x abs(x) phi contains at its kink at 0, if it has one.

    Half the jump of phi', and a quarter of that of phi'' from one-sided differences: what they miss is expanded.
    """
    if 0.0 not in function.kinks:
        return 0.0, 0.0
    h = 2.0**-7
    above, below = (function.derivative(side * np.array([1e-300, *(h * np.arange(1, 5))])) for side in (1.0, -1.0))
    one_sided = np.array([-25, 48, -36, 16, -3]) / (12 * h)
    return float(above[0] - below[0]) / 2, float(one_sided @ (above + below)) / 4


def expand(function: Function, variance: NDArray[np.longdouble], tolerance: float) -> Expansion:
    """Expand phi at the variances of the samples.

    Parameters
    ----------
    function : Function
        phi and phi', smooth but at 0.
    variance : ndarray of longdouble of shape (n,)
        q of each sample, from 0 to `LARGEST_VARIANCE`.
    tolerance : float
        Of F relative to sqrt(F(q1, q1) F(q2, q2)), and of F' likewise.

    Warns
    -----
    ToleranceWarning
        If it is not reached with the last of `_TOPS`.
    """
    phi, derivative, bends = function.phi, function.derivative, bends_of(function)
    clipped = np.clip(variance.astype(np.float64), SMALLEST_VARIANCE, LARGEST_VARIANCE)
    grid = _grid(float(clipped.min()), float(clipped.max()))
    if len(grid) >= len(clipped):
        grid = clipped
    for top in _TOPS:
        samples = _resolved(phi, derivative, bends, grid, 2 * top)
        both = [samples.series(parity, tolerance, top) for parity in (0, 1)]
        ends = [_enough(series, tolerance) for series in both]
        reached = [float(_left_after(series, end).max()) for series, end in zip(both, ends, strict=True)]
        if max(reached) <= tolerance:
            break
    else:
        warnings.warn(
            f"the expansion of the activation reaches an error of {max(reached):.1e}, not the {tolerance:.1e} asked for, "
            f"where inputs nearly coincide, at variances from {clipped.min():.3g} to {clipped.max():.3g}; scale the "
            "inputs down, or pass a larger tolerance.",
            ToleranceWarning,
            stacklevel=2,
        )
    return _assemble(samples, both, ends, grid, clipped, variance, phi, tolerance)


def _resolved(phi: Phi, derivative: Phi, bends: Bends, grid: Array, highest_order: int) -> _Samples:
    """Halve the panels until E[phi^2] and E[phi'^2] no longer change."""
    finest = 1.25 / np.sqrt(grid.max())
    coarse = _Samples(phi, derivative, bends, grid, hermite.half_range(finest, highest_order))
    return coarse


def _enough(series: _Series, tolerance: float) -> int:
    """Terms after which what is left is below the tolerance, or all."""
    left = np.maximum(np.abs(series.tails), np.abs(series.slope_tails)).max(axis=0)
    # Where a bend was taken out, what is left may change its sign on the way.
    small = np.flatnonzero(np.maximum.accumulate(left[::-1])[::-1] <= tolerance)
    return int(small[0]) if small.size else len(series.rule.m)


def _left_after(series: _Series, terms: int) -> Array:
    return np.asarray(np.maximum(np.abs(series.tails[:, terms]), np.abs(series.slope_tails[:, terms])))


def _distances(samples: _Samples, precision: float) -> Array:
    """Coordinates whose squared differences are 1 - rho' at rho = 1: principal components of the features."""
    features = samples.features()
    if len(features) < 2:
        return np.zeros((len(features), 0))
    left, size, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    return np.asarray((left * size)[:, size > precision] * np.sqrt(0.5))


def _assemble(
    samples: _Samples,
    both: list[_Series],
    ends: list[int],
    grid: Array,
    clipped: Array,
    variance: NDArray[np.longdouble],
    phi: Phi,
    tolerance: float,
) -> Expansion:
    bent = any(bend.any() for bend in samples.bends)
    tables = [_distances(samples, 1e-8 if tolerance < 1e-7 else 1e-5)]
    parameters: list[float] = [tables[0].shape[1]]
    numbers: list[float] = []
    for series, end in zip(both, ends, strict=True):
        # What is left after the last term goes to one more, so that the squares of all add up to 1.
        terms = end + 1 if end else 0
        parameters.append(terms)
        if end:
            tables += [series.coefficients[:, :end], np.sqrt(np.maximum(series.tails[:, [end]], 0))]
            numbers += [*np.append(series.rule.m, series.rule.next)[:terms], *series.rule.level[:end], 0]
            numbers += [*series.rule.multiple[:end], 1, *series.bend[:end], 0]
            for tails in (series.tails, series.slope_tails):
                numbers += [*np.abs(tails[:, :terms]).max(axis=0)]
    parameters += [bent, tolerance / 4]
    bounds = [_left_after(series, end)[:, None] for series, end in zip(both, ends, strict=True)]
    if bent:
        tables += [bend[:, None] for bend in samples.bends]
    columns = np.concatenate([*tables, np.log(samples.variance)[:, None], samples.gain[:, None], *bounds], axis=1)
    if len(grid) == 1:
        columns = np.repeat(columns, len(clipped), axis=0)
    elif grid is not clipped:
        columns = _interpolation(grid, clipped) @ columns
    log_variance, gain, *bounds = columns[:, -4:].T

    variance_at, exact = np.exp(log_variance), variance.astype(np.float64)
    slope = gain * variance_at / clipped
    at_zero = float(np.asarray(phi(np.zeros(1)), np.float64)[0]) ** 2
    small = exact < clipped
    variance_at[small] = at_zero + (np.maximum(variance_at - at_zero, 0) * exact / clipped)[small]
    return Expansion(
        [float(value) for value in (*parameters, *numbers)],
        np.ascontiguousarray(columns[:, :-4].T),
        variance_at.astype(np.longdouble),
        slope.astype(np.longdouble),
        not both[1].mass.any(),
        np.maximum(bounds[0], bounds[1]),
    )


def of_polynomial(coefficients: tuple[float, ...], variance: NDArray[np.longdouble]) -> Expansion:
    """Expand a polynomial, in extended precision: x^i = sum of sqrt(k!) binomial(i, k) (i - k - 1)!! h_k(x), i - k even."""
    degree = len(coefficients) - 1
    matrix = np.zeros((degree + 1, degree + 1), np.longdouble)  # of z^i into h_k
    for i in range(degree + 1):
        for k in range(i % 2, i + 1, 2):
            double_factorial = math.prod(range(i - k - 1, 0, -2))
            matrix[i, k] = np.sqrt(np.longdouble(math.factorial(k))) * (math.comb(i, k) * double_factorial)
    p = np.array(coefficients, np.longdouble)
    q = np.maximum(variance, SMALLEST_VARIANCE)
    powers = np.sqrt(q)[:, None] ** np.arange(degree + 1)
    a = (p * powers) @ matrix
    norm = (a**2).sum(axis=1)
    slope = (np.arange(degree + 1) * a**2).sum(axis=1) / q
    at_zero = p[0] ** 2
    value = np.where(variance < q, at_zero + np.maximum(norm - at_zero, 0) * variance / q, norm)
    with np.errstate(invalid="ignore"):
        unit = np.where(norm[:, None] > 0, a / np.sqrt(norm)[:, None], 0).astype(np.float64)
    centred = unit - unit.mean(axis=0)
    distances = centred[:, np.abs(centred).max(axis=0) > 1e-10] * np.sqrt(0.5)
    tables, numbers, counts = [distances], list[float](), []
    for parity in (0, 1):
        series = unit[:, parity::2] if (p[parity::2] != 0).any() else unit[:, :0]
        tables.append(series)
        count = series.shape[1]
        counts.append(count)
        for column in (range(count), [0] * count, [1] * count, [0] * count, [1] * count, [degree] * count):
            numbers += column
    parameters = [distances.shape[1], *counts, 0, 1e-18, *numbers]
    return Expansion(
        [float(number) for number in parameters],
        np.ascontiguousarray(np.concatenate(tables, axis=1).T),
        value,
        slope,
        counts[1] == 0,
        np.zeros(len(variance)),
    )
