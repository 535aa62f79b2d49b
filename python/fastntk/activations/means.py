"""The mean of a unit, E[phi(sqrt(q) z)], of activations that have no closed form of it in the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .functions import Function, PiecewisePolynomial, Real

Array = NDArray[np.float64]

#: Beyond so many standard deviations there is nothing.
_FARTHEST = 13.0

#: Gauss and Legendre's rule on each panel; the narrowest beside 0 is so wide, in units of phi's argument.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NARROWEST = 0.25

#: Numbers at a time.
_AT_ONCE = 2**20


#: Where it is looked whether a function is odd.
_PROBE = np.geomspace(1e-3, 30.0, 97)


def is_odd(phi: Callable[[Real], Real]) -> bool:
    """Whether phi(-x) = -phi(x), to rounding, wherever one looks."""
    with np.errstate(all="ignore"):
        values, mirrored = phi(_PROBE), phi(-_PROBE)
        return bool((np.abs(values + mirrored) <= 1e-14 * np.abs(values)).all())


def announce(function: Function | PiecewisePolynomial, program: _core.ProgramFloat32 | _core.ProgramFloat64) -> None:
    """Tell a program the mean of the activation that is about to come, if it follows means."""
    if program.with_means and not is_odd(function.phi):
        kinks = function.kinks if isinstance(function, Function) else function.breakpoints
        program.set_mean(*mean(function, kinks, program.variance))


def mean(function: Function | PiecewisePolynomial, kinks: Sequence[float], variance: Array) -> tuple[Array, Array]:
    """Mean of phi at Gaussians of these variances, and its derivative in log q: sqrt(q) E[z phi'(sqrt(q) z)] / 2.

    By a rule on panels that end at the kinks and are narrow where phi bends: good to rounding where phi is smooth
    between its kinks.
    """
    found = np.empty((2, len(variance)))
    for first in range(0, len(variance), step := max(1, _AT_ONCE // (100 * len(_NODES)))):
        part = slice(first, first + step)
        found[:, part] = _some(function, kinks, variance[part])
    return found[0], found[1]


def _some(function: Function | PiecewisePolynomial, kinks: Sequence[float], variance: Array) -> Array:
    deviation = np.sqrt(variance)[:, None]
    widest = float(deviation.max(initial=0))
    octaves = max(0, int(np.ceil(np.log2(max(widest, _NARROWEST) * _FARTHEST / _NARROWEST))))
    side = np.concatenate((np.arange(1, _FARTHEST + 1), np.zeros(octaves)))
    edges = np.broadcast_to(side, (len(variance), len(side))).copy()
    with np.errstate(divide="ignore"):
        edges[:, len(side) - octaves :] = _NARROWEST * 2.0 ** np.arange(octaves) / deviation
        bends = np.where(deviation > 0, np.asarray(kinks, np.float64) / deviation, 0.0)
    ends = np.concatenate((edges, -edges, np.zeros_like(deviation), bends), axis=1)
    ends = np.sort(np.clip(np.nan_to_num(ends, nan=0.0), -_FARTHEST, _FARTHEST), axis=1)
    half, middle = np.diff(ends)[..., None] / 2, (ends[:, 1:] + ends[:, :-1])[..., None] / 2
    z = middle + half * _NODES
    weight = half * _WEIGHTS * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    x = deviation[..., None] * z
    value = (weight * function.phi(x)).sum(axis=(1, 2))
    slope = 0.5 * deviation[:, 0] * (weight * z * function.derivative(x)).sum(axis=(1, 2))
    return np.stack((value, slope))
