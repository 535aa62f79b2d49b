"""The marginal likelihood as a function of sigmas and noise, and its slopes; nothing of how it is maximised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...kernels.gradients import contract_along
from ...networks.sequential import Sequential
from ..cholesky import cholesky, solve
from ..evidence import kernel_gradient, log_density, most_likely_constant
from .sigmas import Sigmas, output_scaled

Array = NDArray[np.float64]
Kind = Literal["nngp", "ntk"]

#: Rows from which the noise to start from is found, by an eigendecomposition.
_MOST_ROWS = 1000

#: Of the noise over the mean of the kernel's diagonal; without output scale, over the mean square of y.
RATIOS = (1e-10, 1e4)
#: Its name.
NOISE_RATIO = "the noise over the kernel"

#: A kernel beside a given noise may be so many times the mean square of y, whatever that makes of the ratio.
_LARGEST_KERNEL = 1e4

#: The normal numbers of float64.
_LEAST, _MOST = (float(getattr(np.finfo(np.float64), name)) for name in ("tiny", "max"))

#: A noise is given up to so many times the square of y, or its inverse, so that what is between them has room.
_FARTHEST = 1e250


@dataclass(frozen=True, eq=False)
class Point:
    """An evaluation."""

    theta: Array
    network: Sequential
    output_scale: float
    noise: float
    value: float
    gradient: Array


class Likelihood:
    r"""The log marginal likelihood of y with covariance u² (K + lambda V), as a function of sigmas and of lambda.

    V is the diagonal of the noise's pattern, of mean 1. theta holds the factors of sigmas, and log rho, with
    lambda = rho m. Where the outputs have a scale u, m is the mean of the diagonal of K, so that a factor of K
    alone changes nothing, and u is known: with the noise to be fitted u² = yᵀ (K + lambda V)⁻¹ y / N is the
    most likely, and all slopes are bounded, whatever y is and wherever theta is. With the noise given u² lambda is it.
    Without a scale u = 1 and m is the mean square of y; with the noise given too there is no rho. With a constant y is
    less the most likely one.

    Where there is a scale y is divided by a power of two of its size, so that none of this leaves the range of float64
    whatever the units of y; points are in those of y.
    """

    def __init__(
        self,
        sigmas: Sigmas,
        x: NDArray[Any],
        y: Array,
        kind: Kind,
        noise: float | None,
        pattern: Array,
        *,
        scaled: bool,
        constant: bool = False,
    ) -> None:
        self.sigmas, self.x, self.kind, self.pattern, self.scaled = sigmas, x, kind, pattern, scaled
        self.constant = constant
        self.unit = unit_of(y) if scaled else 1.0
        self.y = y / self.unit
        self.noise = None if noise is None else noise / self.unit / self.unit
        if self.noise is not None and not 1 / _FARTHEST < self.noise < _FARTHEST:
            raise ValueError(f"noise={noise:.3g} and {_size(y)} are too far apart for float64: scale y or the noise.")
        self.has_ratio = scaled or noise is None
        self.outputs, self.size = y.size // len(y), y.size
        with np.errstate(over="ignore"):
            self.mean_square = float((self.y**2).mean())
        if not _LEAST <= self.mean_square < np.inf:
            raise ValueError(f"y leaves the range of float64 when squared, {_size(y)}: scale y.")
        self.least_ratio = RATIOS[0]
        if self.noise is not None:  # what the kernel is beside it y tells
            self.least_ratio = min(RATIOS[0], self.noise / self.mean_square / _LARGEST_KERNEL)
        of_ratio = (float(np.log(self.least_ratio)), float(np.log(RATIOS[1])))
        self.names = [
            *sigmas.names,
            *[NOISE_RATIO if self.noise is None else f"{NOISE_RATIO}, as given,"] * self.has_ratio,
        ]
        self.bounds = [*sigmas.bounds, *[of_ratio] * self.has_ratio]

    def _kernel(self, net: Sequential, rows: Any = slice(None)) -> Array:
        x = self.x[rows]
        return net.nngp(x, dtype="float64") if self.kind == "nngp" else net.ntk(x, dtype="float64")

    def _unit(self, kernel: Array) -> float:
        return float(kernel.diagonal().mean()) if self.scaled else self.mean_square

    def _output_scale(self, quadratic: Array, level: Array, size: int) -> Array:
        """u², with yᵀ (K + lambda V)⁻¹ y."""
        if not self.scaled:
            return np.ones_like(level)
        return quadratic / size if self.noise is None else self.noise / level

    def start(self, theta: Array) -> Array:
        """Sigmas with the most likely noise, of those on a grid and of 1,000 samples at most."""
        if not self.has_ratio:
            return theta
        n = len(self.y)
        rows = np.sort(np.random.default_rng(0).permutation(n)[:_MOST_ROWS])
        kernel, y = self._kernel(self.sigmas.network(theta), rows), self.y[rows].reshape(len(rows), -1)
        unit = self._unit(kernel)
        if not unit > 0:
            raise ValueError("the kernel is 0 everywhere: there is nothing to fit. Give the network sigmas > 0.")
        if not y.any():  # of many targets that are nearly all 0
            return np.append(theta, 0.0)
        root = np.sqrt(self.pattern[rows])
        eigenvalues, vectors = np.linalg.eigh(kernel / np.multiply.outer(root, root))
        squares = ((vectors.T @ (y.T / root).T) ** 2).sum(axis=1)
        ratios = np.logspace(np.log10(self.least_ratio) + 1, 1, 101)
        level = ratios * unit
        total = np.maximum(eigenvalues, 0) + level[:, None]
        quadratic = (squares / total).sum(axis=1)
        scale = self._output_scale(quadratic, level, y.size)
        value = -quadratic / scale - self.outputs * np.log(total).sum(axis=1) - y.size * np.log(scale)
        return np.append(theta, np.log(ratios[value.argmax()]))

    def __call__(self, theta: Array) -> Point:
        """Evaluate value and gradient."""
        net = self.sigmas.network(theta[: len(self.sigmas)])
        kernel = self._kernel(net)
        unit = self._unit(kernel)
        level = unit * float(np.exp(theta[-1])) if self.has_ratio else float(self.noise or 0.0)
        factor = cholesky(kernel, level * self.pattern)
        # The slope of the likelihood in the most likely constant is 0: the others are those with it as it is.
        y = self.y - most_likely_constant(factor, self.y) if self.constant else self.y
        alpha = solve(factor, y)
        quadratic = np.array((y * alpha).sum())
        squared = float(self._output_scale(quadratic, np.array(level), self.y.size))
        u = float(np.sqrt(squared))
        value = log_density(factor, y / u, alpha / u) - self.y.size * float(np.log(u) + np.log(self.unit))
        slopes = kernel_gradient(factor, alpha / u)
        in_level = level * float(self.pattern @ slopes.diagonal())
        if self.scaled and self.noise is not None:  # u² = noise / lambda
            in_level += (self.y.size - float(quadratic) / squared) / 2
        if self.scaled:  # lambda is in units of the kernel
            slopes[np.diag_indices(len(slopes))] += in_level / (unit * len(slopes))
        gradient = contract_along(net.layers, self.x, slopes, None, self.kind, self.sigmas.moves(net))
        if self.has_ratio:
            gradient = np.append(gradient, in_level)
        u *= self.unit
        noise = squared * level * self.unit * self.unit
        return Point(theta, output_scaled(net, u) if self.scaled else net, u, noise, value, gradient)

    def of_noise_alone(self) -> float:
        """The most likely of a constant, which any bias explains, and independent noise."""
        root = np.sqrt(self.pattern)
        white = (self.y.T / root).T.reshape(len(root), -1)
        constant = (1 / root) / np.linalg.norm(1 / root)
        if self.constant:
            white -= np.multiply.outer(constant, constant @ white)
        along = float(((constant @ white) ** 2).mean())
        across = (float((white**2).sum()) / self.outputs - along) / (len(root) - 1) if len(root) > 1 else along
        # Variance along the constant, and across it; the former is not the smaller one.
        if along < across or not across > 0:
            along = across = float((white**2).mean())
        logs = np.log(along) + (len(root) - 1) * np.log(across) + np.log(self.pattern).sum()
        return -0.5 * float(self.outputs * logs + self.y.size * (np.log(2 * np.pi) + 1 + 2 * np.log(self.unit)))

    def remark(self, point: Point) -> str | None:
        """What to say where the kernel explains no more than a constant does."""
        gain = np.inf if self.noise is not None else point.value - self.of_noise_alone()
        if gain >= len(point.theta):
            return None
        return (
            f"all is noise: the log likelihood is {abs(gain):.3g} {'above' if gain >= 0 else 'below'} that of a "
            f"constant and independent noise, where one for every parameter would be worth them. Other sigmas to "
            f"start from, or more restarts, may find more."
        )

    def check_range(self, point: Point) -> None:
        """Refuse a noise, or a kernel beside it, that float64 cannot hold in the units of y."""
        kernel = point.noise / float(np.exp(point.theta[-1])) if self.scaled else point.noise
        if self.has_ratio and not (
            min(point.noise, kernel) >= _LEAST and max(point.noise, kernel) < _MOST / len(self.y)
        ):
            raise ValueError(
                f"the noise ({point.noise:.3g}) or the kernel ({kernel:.3g}) leaves the range of float64, with "
                f"{_size(self.y, self.unit)}: scale y."
            )


def unit_of(y: Array) -> float:
    """The power of two below the largest magnitude of targets: a division by it is exact."""
    return float(np.ldexp(0.5, np.frexp(np.abs(y).max())[1]))


def _size(y: Array, unit: float = 1.0) -> str:
    return f"y up to {np.abs(y).max() * unit:.3g}"
