"""The eigenmodes of Theta: what training leaves of each at a time, or after a number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import finite_number, positive
from .._checks.arrays import read_only, real_array
from ._checks import Array
from .descent import descend
from .null_modes import duplicates_apart, unresolved
from .precision import warn_of_modes
from .spectrum import singular

_EPSILON = float(np.finfo(np.float64).eps)


class Modes:
    """Of Theta, whose entries have an error relative to its diagonal, with a ridge.

    Attributes
    ----------
    eigenvalues : ndarray of shape (n,)
        In ascending order; those below rounding are 0.
    vectors : ndarray of shape (n, n)
    rounding : float
        Up to which an eigenvalue may be that.
    unknown : float
        What theirs are off by, about, as Theta came in float32; or 0.
    """

    def __init__(self, theta: Array, ridge: float, error: float, unknown: float) -> None:
        from scipy.linalg import eigh

        self.ridge, self.unknown = ridge, unknown
        eigenvalues, self.vectors = eigh(theta, driver="evd", check_finite=False)
        self.rounding = len(theta) * _EPSILON * max(float(eigenvalues[-1]), 0.0)
        if eigenvalues[0] < -len(theta) * error * float(theta.diagonal().max()):
            raise ValueError(f"ntk_train has a negative eigenvalue, {eigenvalues[0]:.3g}: it is not a kernel matrix.")
        if eigenvalues[0] <= self.rounding:
            eigenvalues, self.vectors = duplicates_apart(theta, eigenvalues, self.vectors)
        self.eigenvalues = read_only(np.where(eigenvalues > self.rounding, eigenvalues, 0.0))
        self._theta = theta if self.eigenvalues[0] > 0 else theta.copy()  # for what to say of singular ones

    @property
    def rates(self) -> Array:
        """At which they are learned."""
        return self.eigenvalues + self.ridge

    def remaining(self, left: Array) -> Array:
        """Share of y - f_0(X) that is not learned: 1 - lambda (1 - left) / (lambda + r), without cancellation."""
        rates = self.rates
        return np.divide(self.ridge + self.eigenvalues * left, rates, out=np.ones_like(left), where=rates > 0)

    def max_learning_rate(self, momentum: float) -> float:
        """Learning rate below which gradient descent converges."""
        largest = float(self.rates.max())
        return 2 * (1 + _momentum(momentum)) / largest if largest > 0 else float("inf")

    def times(self, t: ArrayLike, learning_rate: float | None, momentum: float) -> NDArray[Any]:
        """Times, checked: a number or one-dimensional."""
        if t is None:
            raise TypeError("t is None; the end of training is t=numpy.inf.")
        times = real_array(t, "t", finite=False)
        if times.ndim > 1 or times.size == 0:
            raise ValueError(f"t must be a number or one-dimensional and not empty, got shape {times.shape}.")
        if not (times >= 0).all():
            raise ValueError(f"t must be >= 0, got {times[~(times >= 0)].flat[0] if times.ndim else times}.")
        if learning_rate is None:
            if finite_number(momentum, "momentum") != 0:
                raise ValueError("momentum belongs to gradient descent: pass learning_rate= too.")
            return times
        rate, most = positive(learning_rate, "learning_rate"), self.max_learning_rate(momentum)
        parts = times[np.floor(times) != times]
        if parts.size:
            raise ValueError(f"with a learning rate t counts steps and must be whole, got {parts.flat[0]}.")
        if np.isinf(times).any() and not rate < most:
            raise ValueError(
                f"gradient descent with learning rate {rate:g} does not converge: it has to be below {most:.6g}, see "
                f"max_learning_rate."
            )
        return times

    def over(
        self,
        times: NDArray[Any],
        learning_rate: float | None,
        momentum: float,
        at: Callable[[Array, Array], Array],
        *,
        invert: bool,
    ) -> Array:
        """Evaluate at(left, gain) for every time: r_i(t), the share of mode i that is left, and (1 - r_i) / rate_i."""
        results, most = [], 0.0
        for time in np.atleast_1d(times).tolist():
            with np.errstate(over="ignore", invalid="ignore"):
                if time == np.inf:
                    left, gain = self._limit(invert=invert)
                elif learning_rate is None:
                    left, learned = np.exp(-self.rates * time), -np.expm1(-self.rates * time)
                    gain = np.divide(learned, self.rates, out=np.full_like(learned, time), where=self.rates > 0)
                else:
                    left, gain = descend(self.rates, int(time), learning_rate, momentum)
                result = at(left, gain)
            most = max(most, float(gain.max(initial=0)))
            if not np.isfinite(result).all():
                raise OverflowError(f"the outputs left the range of float64 before t = {time:g}: training diverges.")
            results.append(result)
        if self.unknown:
            warn_of_modes(self.unknown, most)
        return np.array(results) if times.ndim else results[0]

    def split(self, cross: Array, gain: Array) -> tuple[NDArray[np.bool_], Array]:
        """Which modes are beyond rounding, and cross @ vectors * gain of the others."""
        known = self.eigenvalues > 0
        stuck = unresolved(self._theta, self.eigenvalues, self.vectors, self.rounding, cross, gain)
        return known, stuck

    def _limit(self, *, invert: bool) -> tuple[Array, Array]:
        stuck = self.rates <= 0
        if invert and stuck.any():
            raise singular("ntk_train", self._theta, "Pass ridge= > 0, or a finite t, or drop duplicate rows.")
        return stuck.astype(np.float64), np.divide(1.0, self.rates, out=np.zeros(len(stuck)), where=~stuck)


def _momentum(value: float) -> float:
    number = finite_number(value, "momentum")
    if not 0 <= number < 1:
        raise ValueError(f"momentum must be in [0, 1), got {value!r}.")
    return number
