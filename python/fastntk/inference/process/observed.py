"""Where a process of covariance K was observed, and what that says of it elsewhere; nothing of the units of targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._checks.arrays import input_array, read_only, real_array
from ...kernels.input_gradients import at_point, variance_slopes
from ...kernels.prepared_kernel import PreparedKernel
from ...layers.window import MOST_AXES
from ...networks.sequential import Sequential
from ...samples import Ragged
from ...samples.ragged import joined
from ..cholesky import backward, cholesky, extended, forward
from ..posterior import spread

Array = NDArray[np.float64]

_NAME, _REMEDY = "the kernel of X with its noise", "Pass noise= > 0, or drop duplicate rows."


def samples_of(X: ArrayLike | Ragged) -> Any:
    """Samples that users give, in float64."""
    if isinstance(X, Ragged):
        return X.astype(np.float64)
    return np.asarray(real_array(input_array(X, "X", most_axes=MOST_AXES + 2), "X"), np.float64)


@dataclass(frozen=True, eq=False)
class Observed:
    """Samples with noise, and the Cholesky factor of their kernel with it."""

    net: Sequential
    x: Any  # an array, or Graphs and Sequences
    noise: float | Array
    cross: PreparedKernel
    factor: Array

    @classmethod
    def at(cls, net: Sequential, x: Any, noise: float | Array) -> Observed:
        """Factorise: n³/6 multiply-adds."""
        factor = cholesky(net.nngp(x), noise, name=_NAME, remedy=_REMEDY)
        return cls(net, x, noise, net.nngp.prepare(x), factor)

    def extended(self, x: Array, noise: float | Array) -> Observed:
        """With more samples: n² multiply-adds each."""
        corner = self.net.nngp(x)
        corner[np.diag_indices(len(x))] += noise
        factor = extended(self.factor, self.cross(x), corner, name=_NAME, remedy=_REMEDY)
        return self.followed_by(x, noise, factor)

    def followed_by(self, x: Any, noise: float | Array, factor: Array) -> Observed:
        """With more samples, whose factor is known."""
        together = noise
        if np.ndim(noise) or np.ndim(self.noise) or noise != self.noise:
            old, new = (np.broadcast_to(v, len(rows)) for v, rows in ((self.noise, self.x), (noise, x)))
            together = read_only(np.concatenate((old, new)))
        rows = joined(self.x, x)
        if isinstance(rows, np.ndarray):
            read_only(rows)
        return Observed(self.net, rows, together, self.net.nngp.prepare(rows), factor)

    def are_unlike(self, x: Any) -> bool:
        """Whether these arrays have samples of another shape; of what is no array the kernel says what is wrong."""
        arrays = isinstance(x, np.ndarray) and isinstance(self.x, np.ndarray)
        return arrays and x.shape[1:] != self.x.shape[1:]

    def explained(self, x: Array) -> Array:
        """L⁻¹ K(X, x), of shape (n, m): its products with itself are what the observations take from K(x, x')."""
        return forward(self.factor, self.cross(x).T)

    def covariance(self, x: Array) -> Array:
        """Posterior covariance, of shape (m, m)."""
        return spread(self.factor, self.explained(x), self.net.nngp(x))

    def moments(self, x: Array, dual: Array) -> tuple[Array, Array]:
        """Posterior mean (m, k), with dual (n, k), and variance (m,)."""
        cross = self.cross(x)
        return cross @ dual, spread(self.factor, forward(self.factor, cross.T), self.net.nngp.diag(x))

    def slopes(self, x: Array, dual: Array) -> tuple[Array, Array, Array, Array]:
        """As `moments`, and their gradients in x, of shape (m, k, d) and (m, d)."""
        if (
            isinstance(x, np.ndarray) and 0 < len(x) <= dual.shape[1]
        ):  # point by point: all outputs are of the same n derivatives
            return tuple(np.stack(parts) for parts in zip(*(self._slopes_at(row, dual) for row in x), strict=True))  # type: ignore[return-value]
        cross = self.cross(x)
        explained = forward(self.factor, cross.T)
        variance = spread(self.factor, explained, self.net.nngp.diag(x))
        of_mean = np.stack([self.cross.vjp(x, np.broadcast_to(w, cross.shape)) for w in dual.T], axis=1)
        of_explained = self.cross.vjp(x, backward(self.factor, explained).T)
        return cross @ dual, variance, of_mean, variance_slopes(self.net.layers, x) - 2 * of_explained

    def _slopes_at(self, x: Array, dual: Array) -> tuple[Array, ...]:
        """Of one point, of shape (d,)."""
        point = at_point(self.net.layers, x, self.cross.rows)
        explained = forward(self.factor, point.kernel[:, None])
        variance = spread(self.factor, explained, np.array([point.variance]))
        sums = np.concatenate((dual, backward(self.factor, explained)), axis=1).T @ point.slopes
        return point.kernel @ dual, variance[0], sums[:-1], point.variance_slope - 2 * sums[-1]
