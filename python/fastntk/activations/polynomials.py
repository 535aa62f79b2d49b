"""Polynomials as Hermite expansions that end: exact at any variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .interpolation import Expansion


@dataclass(frozen=True, eq=False)
class Middle:
    """Amid the coefficients of samples: any is right."""

    coefficients: NDArray[np.float64]


# Samples out of range are refused by the engine, which sees that they are not finite, or 0.
@np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
def of_polynomial(
    coefficients: tuple[float, ...], variance: NDArray[np.float64], like: Middle | None = None
) -> tuple[Expansion, Middle]:
    """Expand a polynomial: x^i = sum of sqrt(k!) binomial(i, k) (i - k - 1)!! h_k(x) over i - k even.

    With it comes what the tables of distances are relative to; of samples that are paired with others, `like` them.
    """
    degree = len(coefficients) - 1
    matrix = np.zeros((degree + 1, degree + 1), np.float64)  # of z^i into h_k
    for i in range(degree + 1):
        for k in range(i % 2, i + 1, 2):
            double_factorial = math.prod(range(i - k - 1, 0, -2))
            matrix[i, k] = np.sqrt(np.float64(math.factorial(k))) * (math.comb(i, k) * double_factorial)
    p, orders = np.array(coefficients, np.float64), np.arange(degree + 1)

    # Coefficients of phi(sqrt(q) z) without sqrt(q)^power, its lowest power or, where that is larger, its highest,
    # which are finite and not all 0 at any q, and their derivatives in log q.
    def expand(p: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        lowest, highest = np.flatnonzero(p)[[0, -1]] if p.any() else (0, 0)
        corner = np.abs(p[lowest] / p[highest]) ** (2 / max(highest - lowest, 1))
        power = np.where(variance > corner, highest, lowest)
        further = np.where(p != 0, orders - power[:, None], 0)
        terms = p * np.sqrt(variance)[:, None] ** further
        return power.astype(np.float64), terms @ matrix, (terms * further / 2) @ matrix

    power, a, a_slope = expand(p)
    norm = (a**2).sum(axis=1)
    # F' is the dual of phi': next to phi(0) that of phi would drown.
    slope_power, b, _ = expand(np.append(p[1:] * orders[1:], 0))
    slope = (b**2).sum(axis=1)
    unit = np.where(norm[:, None] > 0, a / np.sqrt(norm)[:, None], 0).astype(np.float64)
    # Derivatives with respect to log q.
    norm_slope = np.where(norm > 0, 2 * (a * a_slope).sum(axis=1) / norm, 0)
    unit_slope = np.where(norm[:, None] > 0, a_slope / np.sqrt(norm)[:, None], 0) - unit * norm_slope[:, None] / 2
    elasticity = power + norm_slope
    middle = like or Middle(unit.sum(axis=0) / max(len(unit), 1))
    centred = unit - middle.coefficients
    apart = (np.abs(centred).max(axis=0, initial=0) > 1e-10) | (like is not None)
    distances = centred[:, apart] * np.sqrt(0.5)
    tables, numbers, counts = [distances], list[float](), []
    slopes = [unit_slope[:, apart] * np.sqrt(0.5)]
    for parity in (0, 1):
        series = unit[:, parity::2] if (p[parity::2] != 0).any() else unit[:, :0]
        tables.append(series)
        slopes.append(unit_slope[:, parity::2][:, : series.shape[1]])
        count = series.shape[1]
        counts.append(count)
        # Exponents, levels, multiples, signs, bends, and what is left: of F, of F', of the larger.
        for column in (range(count), *([number] * count for number in (0, 1, 1, 0, 1, degree, max(degree, 1)))):
            numbers += column
    parameters = [distances.shape[1], *counts, 0, 1e-18, *numbers]
    expansion = Expansion(
        [float(number) for number in parameters],
        np.ascontiguousarray(np.concatenate(tables, axis=1).T),
        norm,
        slope,
        np.zeros(len(variance)),
        np.stack((power, slope_power)),
        np.ascontiguousarray(np.concatenate(slopes, axis=1).T, np.float64),
        elasticity.astype(np.float64),
    )
    return expansion, middle
