"""Hyper-parameters of a network, fitted to labels by the marginal likelihood of the Laplace approximation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._checks.caller import without
from ..._machine.runtime import blas_threads
from ...activations.interpolation import ToleranceWarning
from ...kernels.gradients import contract_along
from ...networks.sequential import Sequential
from ..laplace import kernel_gradient, modes
from .likelihood import Point
from .search import RESTART, Fit, Search
from .sigmas import Sigmas, check_output, output_scaled

Array = NDArray[np.float64]

#: Of the standard deviation of log odds, the root of the mean of the kernel's diagonal.
_DEVIATIONS = (1e-3, 1e3)

#: Those to start from, tried on so many rows.
_STARTS = 10 ** np.arange(-0.5, 2.01, 0.5)
_MOST_ROWS = 500

#: As `fit_marginal_likelihood` has them by default: of a search, and on the slope per label.
_MOST_EVALUATIONS, _TOLERANCE = 200, 1e-4


class LabelLikelihood:
    """The log marginal likelihood of labels with the kernel (s² / m) K, as a function of sigmas and s.

    m is the mean of the diagonal of K, so that a factor of K alone changes nothing and s is the standard deviation of
    log odds. theta holds the factors of sigmas, and log s. Without an output scale the kernel is K.
    """

    def __init__(self, sigmas: Sigmas, x: NDArray[Any], labels: Array, *, scaled: bool) -> None:
        self.sigmas, self.x, self.labels, self.scaled = sigmas, x, labels, scaled
        self.size = labels.size
        self.names = [*sigmas.names, *["the output scale"] * scaled]
        low, high = np.log(_DEVIATIONS).tolist()
        self.bounds = [*sigmas.bounds, *[(low, high)] * scaled]
        # Where the modes were, which are not far from there when next asked for.
        self._functions: list[Array] | None = None

    def _kernel(self, net: Sequential, rows: Any = slice(None)) -> tuple[Array, float]:
        """K, or where there is an output scale K / m, and m."""
        kernel = net.nngp(self.x[rows], dtype="float64")
        mean = float(kernel.diagonal().mean()) if self.scaled else 1.0
        if not mean > 0:
            raise ValueError("the kernel is 0 everywhere: there is nothing to fit. Give the network sigmas > 0.")
        return kernel / mean, mean

    def start(self, theta: Array) -> Array:
        """Sigmas with the most likely output scale, of those on a grid and of 500 samples at most."""
        if not self.scaled:
            return theta
        rows = np.sort(np.random.default_rng(0).permutation(len(self.x))[:_MOST_ROWS])
        kernel, _ = self._kernel(self.sigmas.network(theta), rows)
        values = [sum(mode.log_likelihood for mode in modes(s**2 * kernel, self.labels[rows])) for s in _STARTS]
        return np.append(theta, np.log(_STARTS[int(np.argmax(values))]))

    def __call__(self, theta: Array) -> Point:
        """Evaluate value and gradient."""
        net = self.sigmas.network(theta[: len(self.sigmas)])
        kernel, mean = self._kernel(net)
        squared = float(np.exp(2 * theta[-1])) if self.scaled else 1.0
        kernel *= squared
        value, slopes, functions = 0.0, np.zeros_like(kernel), []
        for mode in modes(kernel, self.labels, self._functions):
            value += mode.log_likelihood
            slopes += kernel_gradient(mode)
            functions.append(mode.function)
        self._functions = functions
        in_scale = 2 * float(np.einsum("ij,ij", slopes, kernel))
        slopes *= squared / mean
        if self.scaled:  # K is divided by m
            slopes[np.diag_indices(len(slopes))] -= in_scale / 2 / mean / len(slopes)
        gradient = contract_along(net.layers, self.x, slopes, None, "nngp", self.sigmas.moves(net))
        if not self.scaled:
            return Point(theta, net, 1.0, 0.0, value, gradient)
        scale = float(np.sqrt(squared / mean))
        return Point(theta, output_scaled(net, scale), scale, 0.0, value, np.append(gradient, in_scale))

    def of_chance_alone(self) -> float:
        """Of labels that are drawn with their frequencies."""
        from scipy.special import entr

        share = self.labels.reshape(len(self.labels), -1).mean(axis=0)
        return -len(self.labels) * float((entr(share) + entr(1 - share)).sum())

    def remark(self, point: Point) -> str | None:
        """What to say where the kernel explains no more than frequencies do."""
        gain = point.value - self.of_chance_alone()
        if gain >= len(point.theta):
            return None
        return (
            f"all is chance: the log likelihood is {abs(gain):.3g} {'above' if gain >= 0 else 'below'} that of labels "
            f"drawn with their frequencies, where one for every parameter would be worth them. Other sigmas to start "
            f"from, or more restarts, may find more."
        )


def fit_labels(
    sigmas: Sigmas,
    x: NDArray[Any],
    labels: Array,
    *,
    output_scale: bool,
    restarts: int,
    seed: int,
) -> Fit:
    """Fit the sigmas of a network and the scale of its outputs to labels 0 and 1 of shape (n,) or (n, k).

    By the search of `fit_marginal_likelihood`; but there is no noise, and who asks warns of the remarks.
    """
    if output_scale:
        check_output(sigmas.net)
    if not (output_scale or len(sigmas)):
        raise ValueError("there is nothing to fit: all sigmas are 0 or fixed, and there is no output scale.")
    draws = np.random.default_rng(seed).normal(scale=RESTART, size=(restarts, len(sigmas)))
    found = Search(LabelLikelihood(sigmas, x, labels, scaled=output_scale), _MOST_EVALUATIONS, _TOLERANCE, None)
    with without(ToleranceWarning), blas_threads(len(x)):  # of candidates; the result warns where it is used
        found.climb(draws)
    others = {"output_scale": found.best.output_scale} if output_scale else {}
    return found.result(0.0, others, found.remarks())
