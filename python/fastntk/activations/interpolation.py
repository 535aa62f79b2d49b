"""From a grid of variances to the samples: what an activation needs of each is smooth in log q, and interpolated.

`expansion` and `pieces` compute the columns on the grid; here are the grid, and what the core is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .._checks.caller import warn
from .._machine.products import matrix_times
from . import verification
from .functions import Function
from .hermite import Nodes

Array = NDArray[np.float64]

#: Variances beyond this would need more terms than are worth it.
LARGEST_VARIANCE = 4.0**10

#: Below this variance phi is as good as its first term: what is not, is 1e-11 of F. And where phi(0) is not 0, phi'(0)
#: would drown in its rounding.
SMALLEST_VARIANCE = 4.0**-18

#: The same where phi(0) = 0 and the second term may be x |x|.
_SMALLEST_VARIANCE_OF_KINKS = 4.0**-36

#: Expansions that are kept, of 10 to 500 kB each: a network that asks for more, layer by layer, finds none of them.
MOST_KEPT = 256


class ToleranceWarning(UserWarning):
    """The expansion of an activation ended before the error asked for was reached."""


@dataclass(frozen=True, eq=False)
class Expansion:
    """Arguments of an op that is computed of each sample, and the bound that was reached."""

    parameters: list[float]
    tables: Array
    variance: NDArray[np.float64]
    slope: NDArray[np.float64]
    bound: Array  # of each sample, relative
    #: Of q, that variance and slope are without.
    powers: Array | None = None
    #: For gradients: derivatives of the tables, and of log F(q, q), with respect to log q.
    table_slopes: Array | None = None
    elasticity: Array | None = None
    #: 1 / sqrt(F(q, q)) that the tables are in units of: at a small variance that of the smallest that is expanded.
    unit: Array | None = None
    #: For others like these.
    chosen: Hashable | None = None

    def add_to(
        self, op: Callable[[list[float], Array, Array, Array, Array | None, Array | None, Array | None], None]
    ) -> None:
        """Pass them to that op's method of a program."""
        op(self.parameters, self.tables, self.variance, self.slope, self.powers, self.table_slopes, self.elasticity)


def check_variance(most: float, limit: float) -> None:
    """Refuse a variance beyond what an activation is computed for."""
    if not most <= limit:
        raise ValueError(
            f"an input has variance q = {most:.3g} where it meets an activation that accepts up to {limit:.3g}: "
            "scale the data or the parameters down."
        )


def variance_range(
    variance: NDArray[np.float64], function: Function, like: OnGrid | None = None
) -> tuple[float, float]:
    """Powers of sqrt(2) around the variances, so that calls on similar data share their expansion, and around `like`.

    A variance of 0 counts only where phi(0) is not 0: otherwise all is 0 there, whatever the coefficients.
    """
    most = float(variance.max(initial=0))
    check_variance(most, LARGEST_VARIANCE)
    least, smallest = float(variance.min(initial=most)), smallest_variance(function)
    if least == 0 and not any(function.at_zero):
        least = float(variance[variance > 0].min(initial=most))
    if like is not None and most == 0 and not any(function.at_zero):
        return like.range
    low, high = max(least, smallest), max(most, smallest)
    first, last = math.floor(2 * math.log2(low)), math.ceil(2 * math.log2(high))
    low, high = 2.0 ** (first / 2), 2.0 ** (max(last, first + 1) / 2)
    return (low, high) if like is None else (min(low, like.range[0]), max(high, like.range[1]))


def smallest_variance(function: Function) -> float:
    """A variance below which phi(sqrt(q) z) is as good as the first term of phi at 0."""
    smooth = function.known and 0.0 not in function.kinks
    return SMALLEST_VARIANCE if smooth or any(function.at_zero) else _SMALLEST_VARIANCE_OF_KINKS


def chebyshev_grid(low: float, high: float, density: int = 1) -> Array:
    """Chebyshev points of log q: coefficients are analytic in a strip of half-width about pi around it."""
    width = math.log(high / low)
    count = density * math.ceil(14 + 5 * width)
    x = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return np.asarray(low * np.exp(width * (1 + x) / 2))


def interpolation_matrix(grid: Array, q: Array) -> Array:
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


def _differentiation(grid: Array) -> Array:
    """Matrix that takes values on the grid to the derivatives of their interpolant in log q there."""
    x, count = np.log(grid), len(grid)
    weight = (-1.0) ** np.arange(count) * np.sin(np.pi * (np.arange(count) + 0.5) / count)
    difference = x[:, None] - x
    np.fill_diagonal(difference, 1)
    matrix = weight / weight[:, None] / difference
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return np.asarray(matrix)


def nothing(variance: NDArray[np.float64]) -> Expansion:
    """Of phi = 0."""
    zeros = np.zeros(len(variance))
    none = np.zeros((0, len(variance)))
    return Expansion([0.0] * 5, none, zeros, zeros, zeros, table_slopes=none, elasticity=zeros)


@dataclass(frozen=True, eq=False)
class OnGrid:
    """An expansion for all variances of a range: columns to interpolate, and bounds of the error."""

    parameters: list[float]
    grid: Array
    columns: Array  # tables, log F(q, q), F'(q, q) q / F(q, q)
    bound: Array
    nodes: Nodes  # what phi was evaluated on, at q = 1
    range: tuple[float, float]

    @cached_property
    def _around(self) -> tuple[Array, Array]:
        """The points of the grid, ascending, and the largest bound around each and between them."""
        padded = np.pad(self.bound[::-1], 2, mode="edge")
        return self.grid[::-1].copy(), np.lib.stride_tricks.sliding_window_view(padded, 4).max(axis=1)

    def bound_at(self, q: Array) -> Array:
        """The largest bound on the points of the grid around q: between them it may be anything up to that."""
        grid, bound = self._around
        return np.asarray(bound[np.searchsorted(grid, q)])

    def at(self, variance: NDArray[np.float64], function: Function, *, gradient: bool, alone: bool = True) -> Expansion:
        """Interpolate to the variances of samples, which are all there are if they are `alone`."""
        exact, smallest = variance, smallest_variance(function)
        q = np.maximum(exact, smallest)
        if not (exact.all() or any(function.at_zero)):
            q[exact == 0] = max(smallest, float(self.grid.min()))
        if alone and q.max(initial=0) <= (1 + 1e-14) * q.min(initial=np.inf):
            q[:] = q[:1]  # samples that are equal but for rounding remain so
        interpolation = interpolation_matrix(self.grid, q)
        columns = matrix_times(interpolation, self.columns)
        log_norm, gain = columns[:, -2:].T
        norm = np.exp(log_norm)
        inverse_norm = 1 / np.sqrt(norm)
        # A mean square, though interpolation through what jumps may say otherwise.
        slope, bound = np.maximum(gain, 0) * norm / q, self.bound_at(q)
        table_slopes = elasticity = None
        if gradient:
            slopes = matrix_times(interpolation, matrix_times(_differentiation(self.grid), self.columns))
            table_slopes, elasticity = np.ascontiguousarray(slopes[:, :-2].T), slopes[:, -2].copy()
        if (small := exact < smallest).any():
            at_zero = sum(value**2 for value in function.at_zero) / 2
            ratio = exact[small] / q[small]
            if at_zero > 0:
                moved = np.maximum(norm[small] - at_zero, 0)
                norm[small] = at_zero + moved * ratio
                power, far = moved * ratio / norm[small], moved > 1e-9 * norm[small]
            else:  # of phi = x^n, F ~ q^n, and F'(q, q) q / F(q, q) = n^2 / (2 n - 1)
                power = np.round(gain[small] + np.sqrt(np.maximum(gain[small] * (gain[small] - 1), 0)))
                far = np.abs(gain[small] - power**2 / np.maximum(2 * power - 1, 1)) > 1e-9
                norm[small] *= ratio**power
                slope[small] *= ratio ** np.maximum(power - 1, 0)
            norm[exact == 0] = at_zero
            bound[small] = np.where(exact[small] > 0, np.where(far, np.inf, bound[small]), 0)  # F(0, 0) is phi(0)^2
            if table_slopes is not None and elasticity is not None:
                table_slopes[:, small], elasticity[small] = 0, power
        return Expansion(
            self.parameters,
            np.ascontiguousarray(columns[:, :-2].T),
            norm,
            slope,
            bound,
            table_slopes=table_slopes,
            elasticity=elasticity,
            unit=inverse_norm,
            chosen=self,
        )


def finish(
    found: OnGrid,
    function: Function,
    variance: NDArray[np.float64],
    tolerance: float,
    *,
    gradient: bool,
    alone: bool,
) -> Expansion:
    """Interpolate to the samples, and warn if the tolerance was missed."""
    result = found.at(variance, function, gradient=gradient, alone=alone)
    reached = float(result.bound.max(initial=0))
    if not (function.known or np.isfinite(reached)):
        unknown = variance[np.isinf(result.bound)]
        verification.refuse(function, np.array([unknown.min(), unknown.max()]), found.nodes)
    if not reached <= tolerance:
        what = f"the expansion of the activation {function.name}".rstrip()
        where = f"variances from {found.grid.min():.3g} to {found.grid.max():.3g}"
        warn(
            f"{what} reaches an error of {reached:.1e}, not the {tolerance:.1e} asked for, where inputs nearly coincide"
            f", at {where}; scale the inputs down, or pass a larger tolerance."
            if np.isfinite(reached)
            else f"{what} has an error of the NTK that is not bounded (inf), at {where}: it has a kink, a jump or a "
            "pole that kinks= does not name, its derivative is not that of the function, or it varies too fast at such "
            "variances.",
            ToleranceWarning,
        )
    return result
