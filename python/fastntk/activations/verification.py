"""What an expansion of a user's function may have missed: a bound may be large, but it has to be true.

The functions of this package are tested against tables; of a callable nothing is known but its values.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .functions import Function
from .hermite import Nodes

Array = NDArray[np.float64]

#: Rules that see the same kink at other places differ by what either errs; now and then by less.
SAFETY = 4.0

#: Mean squares that change from one refinement to the next by more than this share of the change before diverge.
_DIVERGES = 0.97

#: Shares of a mean square beyond the last node from which it is not known at all.
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


def _share_beyond(nodes: Nodes, both: tuple[Array, Array]) -> Array:
    """About how much of the mean square lies beyond the last node, of values on both sides of 0 for each variance."""
    size = np.maximum(*(np.abs(side).max(axis=1, keepdims=True) for side in both))
    scaled = [side / np.where(size > 0, size, 1) for side in both]
    mean = sum(side**2 @ nodes.density for side in scaled) / 2
    last = np.maximum(*(np.abs(side[:, -1]) for side in scaled)) * np.exp(-0.5 * nodes.z[-1] ** 2)
    return np.asarray(last / np.sqrt(2 * np.pi) / np.maximum(mean, 1e-300))


def _sides(phi: Callable[[Array], Array], q: Array, nodes: Nodes) -> tuple[Array, Array]:
    x = np.sqrt(q)[:, None] * nodes.z
    return np.asarray(phi(x), np.float64), np.asarray(phi(-x), np.float64)


def refuse(function: Function, q: Array, nodes: Nodes) -> None:
    """Raise where at one of these variances too much of a function is beyond the last node, or all of it."""
    furthest = f"{nodes.z[-1]:.3g} standard deviations"
    values, slopes = _sides(function.phi, q, nodes), _sides(function.derivative, q, nodes)
    nothing = ~(values[0].any(axis=1) | values[1].any(axis=1))
    if nothing.any():
        raise ValueError(
            f"the activation function {function.name} is 0 wherever it is evaluated, within {furthest} of a Gaussian "
            f"input of variance {float(q[nothing][0]):.3g}: its kernel is 0, or too small; scale the inputs up."
        )
    for what, both in (("the activation function", values), ("the derivative of", slopes)):
        far = _share_beyond(nodes, both) > _REFUSED
        if far.any():
            where = f"the mean square of {what} {function.name} at an input of variance {float(q[far][0]):.3g}"
            if not any(side[far][0, nodes.z < 1].any() for side in values):
                raise ValueError(
                    f"{where} comes from beyond {furthest}, where it is not computed: scale the inputs up."
                )
            raise ValueError(
                f"{where} is infinite, or comes from beyond {furthest}, where it is not computed: scale the inputs "
                "down, or use a function that grows more slowly."
            )


def missed(function: Function, q: Array, nodes: Nodes) -> Array:
    """Bound the errors that the values of phi and phi' on the nodes, on both sides of 0, reveal at each variance q."""
    density = nodes.density
    values, slopes = _sides(function.phi, q, nodes), _sides(function.derivative, q, nodes)
    share = np.maximum(_share_beyond(nodes, values), _share_beyond(nodes, slopes))
    nothing = ~(values[0].any(axis=1) | values[1].any(axis=1))
    result = np.where((share > _REFUSED) | nothing, np.inf, 10 * share)
    if function.closer is None:
        return result
    # Finite differences of two steps differ near a kink, and by any amount at a jump, that is not named.
    total = sum(slope**2 @ density for slope in slopes)
    closer = _sides(function.closer, q, nodes)
    differing = sum((other - slope) ** 2 @ density for other, slope in zip(closer, slopes, strict=True))
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
