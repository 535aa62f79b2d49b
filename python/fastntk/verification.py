"""What an expansion of a user's function may have missed: a bound may be large, but it has to be true.

The functions of this package are tested against tables; of a callable nothing is known but its values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .functions import Function
from .hermite import Nodes

Array = NDArray[np.float64]

#: Rules that see the same kink at other places differ by what either errs; now and then by less.
SAFETY = 4.0

#: Mean squares that change from one refinement to the next by more than this share of the change before diverge.
_DIVERGES = 0.97

_REFUSED = 1e-3

#: The share of what is left of a series that the law by which it is continued may err by.
DOUBT = 0.01

#: Of grids of variances, by factors of two: coefficients of a function of high frequency vary fast with q.
DENSEST = 8

#: Exponents up to which coefficients are computed a second time.
HIGHEST = 2**12


def relative_to_truth(bound: Array) -> Array:
    """Turn a bound relative to what was computed into one relative to what is right, which may be less."""
    known = np.minimum(bound, 0.5)
    return np.asarray(np.where(bound < 0.5, known / (1 - known), np.inf))


def not_converged(changes: list[float]) -> float:
    """Bound what is left of a mean square that changed so much, relatively, in successive refinements."""
    if len(changes) < 2 or changes[-1] <= 1e-13:
        return changes[-1]
    ratio = changes[-1] / max(changes[-2], 1e-300)
    last = SAFETY * max(changes[-2:])
    # Of a kink the changes are as large as the error, up and down; of a pole they are a series.
    return np.inf if _DIVERGES < ratio < 2 and changes[-1] > 1e-6 else max(last, changes[-1] / max(1 - ratio, 0.03))


def _beyond(function: Function, q: Array, nodes: Nodes, both: tuple[Array, Array], what: str) -> Array:
    """Bound what lies beyond the last node, relative to the mean square, or refuse a function that grows too fast."""
    size = np.maximum(*(np.abs(side).max(axis=1, keepdims=True) for side in both))
    scaled = [side / np.maximum(size, 1e-300) for side in both]
    mean = sum(side**2 @ nodes.density for side in scaled) / 2
    last = np.maximum(*(np.abs(side[:, -1]) for side in scaled)) * np.exp(-0.5 * nodes.z[-1] ** 2)
    share = last / np.sqrt(2 * np.pi) / np.maximum(mean, 1e-300)
    if share.max(initial=0) > _REFUSED:
        raise ValueError(
            f"the mean square of {what} {function.name} at a Gaussian input of variance "
            f"{float(q[share > _REFUSED].min()):.3g} is infinite, or comes from beyond {nodes.z[-1]:.3g} standard "
            "deviations, where it is not computed: scale the inputs down, or use a function that grows more slowly."
        )
    return np.asarray(10 * share)


def missed(function: Function, q: Array, nodes: Nodes) -> Array:
    """Bound the errors that the values of phi and phi' on the nodes, on both sides of 0, reveal at each variance q."""
    density = nodes.density
    x = np.sqrt(q)[:, None] * nodes.z
    values = (np.asarray(function.phi(x), np.float64), np.asarray(function.phi(-x), np.float64))
    slopes = (np.asarray(function.derivative(x), np.float64), np.asarray(function.derivative(-x), np.float64))
    result = _beyond(function, q, nodes, values, "the activation function")
    result = np.maximum(result, _beyond(function, q, nodes, slopes, "the derivative of"))
    if function.closer is None:
        return result
    # Finite differences of two steps differ near a kink, and by any amount at a jump, that is not named.
    total = sum(slope**2 @ density for slope in slopes)
    differing = sum(
        (np.asarray(function.closer(side), np.float64) - slope) ** 2 @ density
        for side, slope in zip((x, -x), slopes, strict=True)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        error = 2 * np.sqrt(np.where(total > 0, differing / total, 0))
    # Differences of a constant are rounding.
    flat = total * q <= 1e-20 * sum(value**2 @ density for value in values)
    return np.asarray(np.maximum(result, np.where(flat, 0, error * (2 + error))))


def between(grid: Array) -> Array:
    """Some variances between those of a Chebyshev grid, where an interpolant is worst."""
    logs = np.log(grid)
    middle = (logs[:-1] + logs[1:]) / 2
    return np.asarray(np.exp(middle[np.unique(np.linspace(0, len(middle) - 1, 6).round().astype(int))]))
