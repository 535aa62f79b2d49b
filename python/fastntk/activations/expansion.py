"""Hermite expansions: what the core needs to know of each sample for an activation without closed form.

By Mehler's formula F(q1, q2, rho) = sum_k A_k(q1) A_k(q2) rho^k with A_k(q) = E[phi(sqrt(q) z) h_k(z)]. The
coefficients are smooth in log q: they are computed on a Chebyshev grid and interpolated to the samples. Everything
is relative to s' = sqrt(F(q, q)); the sums over pairs are in cpp/isa/series.hpp.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .._machine.products import matrix_times
from . import hermite, verification
from .functions import Function
from .interpolation import MOST_KEPT, Expansion, OnGrid, chebyshev_grid, finish, interpolation_matrix, variance_range
from .series import Series, continued, enough, left_after, reaches, remainders

Array = NDArray[np.float64]

#: Squares of bends that can be taken out: what is left is a difference that loses as many digits, in float32 too many
#: even of the few that are needed.
_LARGEST_BEND = {"float64": 1000.0, "float32": 20.0}

#: Beyond, the estimates of what is left are too rough, and nothing is gained.
_LOOSEST = 1e-5

#: Of panels that are already finer than anything at the scale of phi(x), x of order 1.
_MOST_HALVINGS = 5

#: Parts of the tolerance tried in turn for what is left of a series: as few terms as pairs of different variance allow.
_PARTS = (0.4, 0.2, 0.1, 0.05, 0.02)

#: Exponents of y = rho^2 tried in turn, until what is left out is below the tolerance.
_TOPS = (64, 2**9, 2**12, 2**15, 2**18)


class _Samples:
    """phi and phi' at sqrt(q) z, for the variances of a grid and the nodes of a rule."""

    def __init__(self, function: Function, grid: Array, nodes: hermite.Nodes, precision: str = "float64") -> None:
        phi, derivative, bends = function.phi, function.derivative, bends_of(function)
        x = np.sqrt(grid)[:, None] * nodes.z
        plus, minus = (np.asarray(phi(side), np.float64) for side in (x, -x))
        slope_plus, slope_minus = (np.asarray(derivative(side), np.float64) for side in (x, -x))
        self.nodes = nodes
        density = nodes.density
        # phi and phi' by parity in z; a part that is only rounding is none.
        self.parts = [_clean((plus + minus) / 2, plus), _clean((plus - minus) / 2, plus)]
        slopes = [(slope_plus - slope_minus) / 2, (slope_plus + slope_minus) / 2]
        masses = [(part**2 * density).sum(axis=1) for part in self.parts]
        self.slopes = slopes
        slope_masses = [
            (slope**2 * density).sum(axis=1) if part.any() else np.zeros(len(grid))
            for slope, part in zip(slopes, self.parts, strict=True)
        ]
        self.variance = np.maximum(masses[0] + masses[1], 1e-300)  # phi may be 0
        slope = slope_masses[0] + slope_masses[1]
        self.slope = np.where(slope * grid > 1e-20 * self.variance, slope, 0)  # of a constant: rounding
        self.masses = [mass / self.variance for mass in masses]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            self.slope_masses = [np.where(self.slope > 0, mass / self.slope, 0) for mass in slope_masses]
        #: F' s^2 / s'^2 = sum of k a_k^2
        self.gain = self.slope * grid / self.variance
        self._finite_gain = np.where(self.gain > 0, self.gain, np.inf)
        #: Of |z| and z |z| / sqrt(3), which are of variance 1, in phi(sqrt(q) z) / s'.
        self.bends = [bends[0] * np.sqrt(grid / self.variance), bends[1] * np.sqrt(3 / self.variance) * grid]
        # Of x |x| no more than can be taken out without losing digits: at a large variance phi looks smooth for long.
        if (self.bends[1] ** 2).max() > _LARGEST_BEND[precision]:
            self.bends[1] = np.zeros(len(grid))

    def cross_left(self, parity: int, series: Series, terms: int) -> Array:
        """What `terms` of a series leave of the slopes of pairs of different variance: the largest of each row.

        Where all terms are squares Cauchy and Schwarz bound it by what they leave on the diagonal; bends are not.
        """
        slopes = self.slopes[parity] / np.sqrt(self.slope)[:, None]
        per_gain = 1 / np.sqrt(self.gain)
        a = series.coefficients[:, :terms] * per_gain[:, None]
        k = 2 * series.rule.m[:terms] + parity
        bend = series.bend * per_gain
        taken = (1.0, 4 / 3)[parity] - float((k * series.bend_squares[:terms]).sum())
        total = matrix_times(slopes * self.nodes.density, slopes.T)
        in_series = matrix_times(a * (series.sign[:terms] * k), a.T)
        return np.asarray(np.abs(total - in_series - np.outer(bend, bend) * taken).max(axis=1))

    def unbent_tails(self, parity: int, series: Series) -> Array:
        """The largest part of F and of F' from each term on, if the bend is left in."""
        k = 2 * series.rule.m + parity
        left, slope_left = (
            total - np.append(0, np.cumsum(factor * series.bend_squares))
            for total, factor in ((1.0, np.ones(len(k))), ((1.0, 4 / 3)[parity], k))
        )
        squares = series.bend[:, None] ** 2
        tails = series.tails + squares * left
        slope_tails = series.slope_tails + squares * slope_left / self._finite_gain[:, None]
        return np.asarray(np.maximum(np.abs(tails), np.abs(slope_tails)).max(axis=0))

    def bound(self, both: list[Series], ends: list[int]) -> Array:
        """Bound the errors of samples of the variances of the grid, relative to their diagonals."""
        total = np.zeros(len(self.gain))
        for parity, (series, end) in enumerate(zip(both, ends, strict=True)):
            total += left_after(series, end)
            if series.bend.any():
                total += self.cross_left(parity, series, end)
            # Where phi' is 0 almost everywhere no error of a slope that is not is small.
            slope = (series.coefficients**2 * (2 * series.rule.m + parity)).sum(axis=1)
            total[(self.gain == 0) & (slope > 1e-12)] = np.inf
        return total

    def features(self) -> Array:
        """Unit vectors whose inner products are rho' of samples with rho = 1."""
        weight = np.sqrt(self.nodes.density)
        return np.asarray(
            np.concatenate([part * weight for part in self.parts], axis=1) / np.sqrt(self.variance)[:, None]
        )

    def rule(self, parity: int, tolerance: float, top: int) -> hermite.Thinning:
        """Exponents m < top that stand for all."""
        if not self.parts[parity].any():
            return hermite.NOTHING
        # The weights of the bend are thinned with the same error, relative to its share.
        return hermite.thinning(tolerance / max(1.0, float((self.bends[parity] ** 2).max())), top)

    def coefficients(self, parity: int, rule: hermite.Thinning) -> Array:
        """Those of one parity, weighted."""
        functions = hermite.half_range_functions(self.nodes, tuple((2 * rule.m + parity).tolist()))
        weighted = matrix_times(self.parts[parity] * self.nodes.root_density, functions.T) * np.sqrt(rule.weight)
        return np.asarray(weighted / np.sqrt(self.variance)[:, None])

    def series(self, parity: int, tolerance: float, top: int) -> Series:
        """Coefficients of one parity, for exponents m < top."""
        rule = self.rule(parity, tolerance, top)
        orders = 2 * rule.m + parity
        functions = hermite.half_range_functions(self.nodes, tuple(orders.tolist()))
        a = self.coefficients(parity, rule)
        bend = self.bends[parity]
        z = self.nodes.z
        shape = (z if parity == 0 else z**2 / np.sqrt(3)) * self.nodes.root_density
        bend_squares = matrix_times(functions, shape[:, None])[:, 0] ** 2 * rule.weight * bend.any()
        c = a**2 - bend[:, None] ** 2 * bend_squares
        mass = self.masses[parity] - bend**2
        slope_mass = self.slope_masses[parity] - bend**2 * (1.0, 4 / 3)[parity] / self._finite_gain
        return Series(
            rule, a, np.ones(len(rule.m)), bend, bend_squares, mass,
            remainders(mass, c), remainders(slope_mass, c * orders / self._finite_gain[:, None]),
        )  # fmt: skip


def _clean(part: Array, whole: Array) -> Array:
    return part if np.abs(part).max() > 1e-15 * np.abs(whole).max() else np.zeros_like(part)


def bends_of(function: Function) -> tuple[float, float]:
    """How much of abs(x) and of x abs(x) phi contains at its kink at 0, if it has one.

    Half the jump of phi', and a quarter of that of phi'' from one-sided differences: what they miss is expanded.
    """
    if 0.0 not in function.kinks:
        return 0.0, 0.0
    h = 2.0**-7
    above, below = (function.derivative(side * np.array([1e-300, *(h * np.arange(1, 5))])) for side in (1.0, -1.0))
    one_sided = np.array([-25, 48, -36, 16, -3]) / (12 * h)
    return float(above[0] - below[0]) / 2, float(one_sided @ (above + below)) / 4


def expand(
    function: Function,
    variance: NDArray[np.float64],
    tolerance: float,
    *,
    gradient: bool = False,
    precision: str = "float64",
    like: OnGrid | None = None,
) -> Expansion:
    """Expand phi at the variances of the samples.

    Parameters
    ----------
    function : Function
        phi and phi', smooth but at 0.
    variance : ndarray of shape (n,)
        q of each sample, from 0 to `LARGEST_VARIANCE`.
    tolerance : float
        Of F relative to sqrt(F(q1, q1) F(q2, q2)), and of F' likewise.
    gradient : bool, default False
        Whether derivatives with respect to log q are wanted too.
    precision : {"float64", "float32"}
        Of the sums over pairs.
    like : OnGrid, optional
        What was chosen for samples that these are paired with; it is taken again where it is right for these too.

    Warns
    -----
    ToleranceWarning
        If it is not reached with the last of `_TOPS`.
    """
    low, high = variance_range(variance, function, like)
    found = like
    if found is None or found.range != (low, high):
        # It matters to bends only: others share their expansions.
        found = on_grid(function, tolerance, low, high, precision if 0.0 in function.kinks else "float64")
    return finish(found, function, variance, tolerance, gradient=gradient, alone=like is None)


@lru_cache(maxsize=MOST_KEPT)
def on_grid(function: Function, tolerance: float, low: float, high: float, precision: str, density: int = 1) -> OnGrid:
    """Expand phi for variances from low to high."""
    grid = chebyshev_grid(low, high, density)
    finest = 1.25 / math.sqrt(high)
    doubt = 0.0 if function.known else verification.DOUBT
    tolerance = min(tolerance, _LOOSEST)
    # A finer thinning where the coefficients fall fast beyond the first terms.
    tries = [(top, share) for top in _TOPS for share in ((1.0, 1e-4) if top <= _TOPS[1] else (1.0,))]
    for top, share in tries:
        samples, finest, unresolved = _resolved(function, grid, finest, 2 * top, precision)
        both = [samples.series(parity, share * tolerance, top) for parity in (0, 1)]
        both = [
            series if reaches(series, 0.4 * tolerance) else continued(series, samples.gain, doubt) for series in both
        ]
        # Even and odd terms, and what is left out where |rho| is small, add up.
        for part in _PARTS:
            ends = [enough(series, part * tolerance) for series in both]
            bound = samples.bound(both, ends)
            if bound.max() <= tolerance:
                break
        else:
            ends = [len(series.rule.m) if series.bend.any() else end for series, end in zip(both, ends, strict=True)]
            bound = samples.bound(both, ends)
        bound = bound + unresolved
        reached = float(bound.max())
        if reached <= tolerance or unresolved > tolerance:
            break
    if not function.known:
        rules = [samples.rule(parity, share * tolerance, top) for parity in (0, 1)]
        between = _between(function, samples, rules, both, grid, hermite.shifted(finest, 2 * top))
        if reached <= tolerance < 2 * between and density < verification.DENSEST:
            return on_grid(function, tolerance, low, high, precision, 2 * density)
        bound = bound + between + verification.missed(function, grid, samples.nodes)
    # What is left of a tolerance that was missed is an estimate.
    bound = np.where(bound > tolerance, 4, 1) * bound
    return _assemble(samples, both, ends, grid, tolerance, verification.relative_to_truth(bound), (low, high))


def _between(
    function: Function,
    samples: _Samples,
    rules: list[hermite.Thinning],
    both: list[Series],
    grid: Array,
    nodes: hermite.Nodes,
) -> float:
    """Bound what interpolation and the rule miss, by coefficients on other nodes, between the points of the grid."""
    q = verification.between(grid)
    interpolation = interpolation_matrix(grid, q)
    other = _Samples(function, q, nodes)
    norm, gain = matrix_times(interpolation, np.stack((np.log(samples.variance), samples.gain), axis=1)).T
    error = np.abs(np.expm1(norm - np.log(other.variance)))
    flat = other.gain == 0
    per_gain = 1 / np.where(flat, np.inf, other.gain)
    slope_error = np.abs(gain - other.gain) * per_gain
    for parity, (rule, series) in enumerate(zip(rules, both, strict=True)):
        known = rule.m < verification.HIGHEST
        if not known.any():
            continue
        rule = replace(rule, m=rule.m[known], weight=rule.weight[known])
        found = matrix_times(interpolation, series.coefficients[:, : len(rule.m)]) ** 2
        wrong = np.abs(found - other.coefficients(parity, rule) ** 2)
        error += wrong.sum(axis=1)
        per_order = wrong * (2 * rule.m + parity) * per_gain[:, None]
        slope_error += per_order.sum(axis=1)
        if not known.all():  # beyond, interpolation is no better than in the last octave
            last = rule.m >= verification.HIGHEST // 2
            share = wrong[:, last].sum(axis=1) / np.maximum(found[:, last].sum(axis=1), 1e-300)
            left = np.abs(series.slope_tails[:, len(rule.m)]).max()
            slope_error += 2 * np.minimum(share, 1) * left
    return float(verification.SAFETY * np.maximum(error, slope_error).max())


def _resolved(
    function: Function, grid: Array, finest: float, highest_order: int, precision: str
) -> tuple[_Samples, float, float]:
    """Halve the panels until E[phi^2] and E[phi'^2] no longer change; their width and what is missed come back too."""
    coarse = _Samples(function, grid, hermite.half_range(finest, highest_order), precision)
    changes: list[float] = []
    for _ in range(_MOST_HALVINGS):
        finest /= 2
        fine = _Samples(function, grid, hermite.half_range(finest, highest_order), precision)
        pairs = [(coarse.variance, fine.variance), (coarse.slope, fine.slope)]
        changes.append(max(float(np.max(np.abs(a - b) / np.maximum(b, 1e-300))) for a, b in pairs))
        if changes[-1] <= 1e-13:
            return coarse, 2 * finest, 0.0
        coarse = fine
    return coarse, finest, verification.not_converged(changes)


def _distances(samples: _Samples, precision: float) -> Array:
    """Coordinates whose squared differences are 1 - rho' at rho = 1: those of the features in a basis of their span."""
    features = samples.features()
    left = features - features.mean(axis=0)
    coordinates: list[Array] = []
    # Gram and Schmidt's method, always with the longest of what is left.
    while len(coordinates) < len(left) and (size := (left**2).sum(axis=1)).max() > precision**2:
        direction = left[size.argmax()] / np.sqrt(size.max())
        coordinates.append((left * direction).sum(axis=1))
        left = left - np.outer(coordinates[-1], direction)
    return np.sqrt(0.5) * np.stack(coordinates, axis=1) if coordinates else np.zeros((len(features), 0))


def _assemble(
    samples: _Samples,
    both: list[Series],
    ends: list[int],
    grid: Array,
    tolerance: float,
    bound: Array,
    variances: tuple[float, float],
) -> OnGrid:
    bent = 2 if samples.bends[0].any() else 1 if samples.bends[1].any() else 0
    tables = [_distances(samples, 1e-8 if tolerance < 1e-7 else 1e-5)]
    parameters: list[float] = [tables[0].shape[1]]
    numbers: list[float] = []
    for parity, (series, end) in enumerate(zip(both, ends, strict=True)):
        # What is left after the last term goes to one more, so that the squares of all add up to 1.
        terms = end + 1 if end else 0
        parameters.append(terms)
        if end:
            tables += [series.coefficients[:, :end], np.sqrt(np.maximum(series.tails[:, [end]], 0))]
            # Its exponent would multiply what is mostly rounding: to the slope it adds nothing.
            numbers += [*series.rule.m[:end], 0, *series.rule.level[:end], 0]
            numbers += [*series.rule.multiple[:end], 1, *series.sign[:end], 1, *series.bend_squares[:end], 0]
            for tails in (series.tails, series.slope_tails):
                numbers += [*np.abs(tails[:, :terms]).max(axis=0)]
            numbers += [*samples.unbent_tails(parity, series)[:terms]]
    parameters += [bent, tolerance / 20]
    if bent:
        tables += [bend[:, None] for bend in samples.bends]
    columns = [*tables, np.log(samples.variance)[:, None], samples.gain[:, None]]
    values = [float(value) for value in (*parameters, *numbers)]
    return OnGrid(values, grid, np.concatenate(columns, axis=1), bound, samples.nodes, variances)
