"""What targets are beside what a kernel explains: their prior mean and their units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..._checks.arguments import finite_number
from ..._checks.arrays import real_array
from ..._checks.shown import shown
from ..evidence import most_likely_constant

Array = NDArray[np.float64]
Mean: TypeAlias = float | Literal["constant"] | Callable[[Array], Array]

#: Machine epsilons, relative to the largest value, up to which a standard deviation is that of a constant.
ROUNDING = 16


def standardised(values: Array, weights: Array | None = None) -> tuple[Array, Array, Array]:
    """Targets less their mean, over their standard deviation, and both; constant targets are 0 and keep their scale.

    A weight of 2 is the sample twice; where one outweighs all others, what is left of the deviation is that without.
    """
    largest = np.abs(values).max(axis=0)
    unit = np.where(largest > 0, largest, 1.0)  # squares of the targets themselves may overflow
    mean = np.average(values / unit, axis=0, weights=weights)
    plain, least = (values / unit).std(axis=0), ROUNDING * np.finfo(np.float64).eps
    deviation = np.sqrt(np.average((values / unit - mean) ** 2, axis=0, weights=weights))
    deviation = np.where(deviation > least, deviation, plain)
    constant = plain <= least
    scale = np.where(constant, 1.0, unit * deviation)
    return np.where(constant, 0.0, values - unit * mean) / scale, unit * mean, scale


def check_mean(mean: object) -> None:
    """Refuse what is no prior mean."""
    if isinstance(mean, str):
        if mean != "constant":
            raise ValueError(f"mean must be a number, 'constant' or a function of X, got {shown(mean)}.")
    elif not callable(mean):
        finite_number(mean, "mean")


@dataclass(frozen=True, eq=False)
class Units:
    """y = mean(x) + centre + scale z, with z of prior mean 0: centre and scale are (k,), of every output."""

    mean: Mean
    centre: Array
    scale: Array
    copies: int = 1
    """How often the outputs that `mean` knows of are repeated."""

    @classmethod
    def of(cls, mean: Mean, x: Array, y: Array, *, standardize: bool) -> tuple[Units, Array]:
        """Find them, but the most likely constant, of targets (n, k); and z."""
        units = cls(mean, np.zeros(y.shape[1]), np.ones(y.shape[1]))
        values = y - units.prior(x)
        if not standardize:
            return units, values
        values, centre, scale = standardised(values)
        return cls(mean, centre, scale), values

    def centred(self, factor: Array, values: Array) -> tuple[Units, Array]:
        """With the most likely constant; and z less that."""
        constant = most_likely_constant(factor, values)
        return replace(self, centre=self.centre + self.scale * constant), values - constant

    def repeated(self, times: int) -> Units:
        """Of as many copies of the outputs."""
        centre, scale = np.tile(self.centre, times), np.tile(self.scale, times)
        return replace(self, centre=centre, scale=scale, copies=self.copies * times)

    def prior(self, x: Array) -> Array:
        """Prior mean at x, of shape (m, k), or (k,) where it is the same everywhere."""
        if not callable(self.mean):
            return self.centre + (0.0 if isinstance(self.mean, str) else self.mean)
        value, k = np.asarray(real_array(self.mean(x), "mean(X)"), np.float64), len(self.centre) // self.copies
        if value.shape not in ((len(x),), (len(x), k)):
            raise ValueError(f"mean(X) must have shape ({len(x)},) or ({len(x)}, {k}), got {value.shape}.")
        columns = value.reshape(len(x), -1)
        return self.centre + np.tile(columns, len(self.centre) // columns.shape[1])

    def values(self, x: Array, y: Array) -> Array:
        """Give z of targets y of shape (m, k)."""
        return np.asarray((y - self.prior(x)) / self.scale)

    def targets(self, x: Array, z: Array) -> Array:
        """Give targets of z, of shape (..., m, k)."""
        return np.asarray(self.prior(x) + self.scale * z)
