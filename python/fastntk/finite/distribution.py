"""The law of a random network's outputs, beside the Gaussian process that it tends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import not_negative, whole_number
from .._checks.progress import Progress, check_progress
from .._machine.floating import undisturbed
from ..layers.alternating import is_alternating
from ..networks.sequential import Sequential, checked
from ..samples import Ragged
from .draws import networks
from .parameters import Array, Law
from .widths import with_units


@undisturbed
@dataclass(frozen=True, repr=False)
class OutputDistribution:
    """Outputs of many random networks: what `output_distribution` gives.

    Attributes
    ----------
    samples : ndarray of shape (draws, n, n_outputs)
    gp_covariance : ndarray of shape (n, n)
        K + noise, that of the limit.
    kernel_deviation : ndarray of shape (n,)
        Predicted standard deviation of the finite networks' K(x, x): `net.nngp.fluctuation`. NaN, as what is predicted
        from it, for networks that are no stack of Dense layers with activations between them.
    noise : float
    """

    samples: Array
    gp_covariance: Array
    kernel_deviation: Array
    noise: float

    def __repr__(self) -> str:
        draws, n, outputs = self.samples.shape
        return f"OutputDistribution({draws} draws, {n} inputs, {outputs} outputs)"

    @property
    def mean(self) -> Array:
        """Of shape (n, n_outputs); its expectation is zero at every width."""
        return np.asarray(self.samples.mean(axis=0))

    @property
    def covariance(self) -> Array:
        """Predictive covariance, noise I + mean of f f^T over networks and output units, of shape (n, n)."""
        return np.asarray(self._products().mean(axis=0) + self.noise * np.eye(len(self.gp_covariance)))

    @property
    def covariance_error(self) -> Array:
        """Standard error of `covariance`, from the spread over the networks."""
        return np.asarray(self._products().std(axis=0, ddof=1) / len(self.samples) ** 0.5)

    def _products(self) -> Array:
        return np.asarray(np.einsum("sik,sjk->sij", self.samples, self.samples) / self.samples.shape[2])

    @property
    def covariance_between_outputs(self) -> Array:
        """Mean of f_1(x) f_2(x') over the networks, (n, n): its expectation is zero at every width."""
        self._two_outputs()
        return np.asarray(self.samples[..., 0].T @ self.samples[..., 1] / len(self.samples))

    @property
    def excess_kurtosis(self) -> Array:
        """Of the outputs at every input, (n,): zero for a Gaussian; all output units together."""
        self._positive()
        square = np.mean(self.samples**2, axis=(0, 2))
        return np.asarray(np.mean(self.samples**4, axis=(0, 2)) / square**2 - 3)

    @property
    def predicted_kurtosis(self) -> Array:
        """3 Var[K(x, x)] / K(x, x)^2: outputs are Gaussian given K, whose fluctuation falls as one over the width."""
        self._positive()
        return np.asarray(3 * (self.kernel_deviation / self._variance) ** 2)

    @property
    def squares_correlation(self) -> Array:
        """Correlation of f_1(x)^2 and f_2(x)^2, (n,): outputs are uncorrelated, and independent in the limit only."""
        self._two_outputs()
        self._positive()
        squares = self.samples[..., :2] ** 2
        squares = squares - squares.mean(axis=0)
        product = np.mean(squares[..., 0] * squares[..., 1], axis=0)
        return np.asarray(product / np.sqrt(np.prod(np.mean(squares**2, axis=0), axis=-1)))

    @property
    def predicted_squares_correlation(self) -> Array:
        """Var[K] / (2 K^2 + 3 Var[K]) at every input."""
        self._positive()
        variance = self.kernel_deviation**2
        return np.asarray(variance / (2 * self._variance**2 + 3 * variance))

    @property
    def _variance(self) -> Array:
        return np.asarray(self.gp_covariance.diagonal() - self.noise)

    def kolmogorov_smirnov(self) -> tuple[Array, Array]:
        """Distance of the first output's law from N(0, K) at every input, and the p-value; both of shape (n,)."""
        from scipy.stats import kstest  # which takes longer to import than all else here

        self._positive()
        scaled = self.samples[..., 0] / np.sqrt(self._variance)
        found = [kstest(column, "norm") for column in scaled.T]
        return np.array([test.statistic for test in found]), np.array([test.pvalue for test in found])

    def joint(self, i: int = 0, j: int = 1) -> tuple[float, float]:
        """Whether the first output at two inputs is jointly Gaussian with covariance K.

        Kolmogorov-Smirnov distance, and p-value, of f^T K^-1 f from the chi-squared law of two degrees of freedom.
        """
        from scipy.stats import kstest

        pair = self.samples[:, [i, j], 0]
        k = self.gp_covariance[np.ix_([i, j], [i, j])] - self.noise * np.eye(2)
        if np.linalg.det(k) <= 1e-12 * k[0, 0] * k[1, 1]:
            raise ValueError(f"inputs {i} and {j} determine one another: K of the two is singular.")
        test = kstest(np.einsum("si,is->s", pair, np.linalg.solve(k, pair.T)), "chi2", args=(2,))
        return float(test.statistic), float(test.pvalue)

    def _positive(self) -> None:
        if not (self._variance > 0).all():
            raise ValueError(
                f"K(x, x) is zero at input {int(np.argmin(self._variance))}: its outputs have no law to look at."
            )

    def _two_outputs(self) -> None:
        if self.samples.shape[2] < 2:
            raise ValueError("this compares two outputs, and there is one: pass n_outputs=2.")

    def plot(self, row: int = 0, *, ax: Any = None) -> list[Any]:
        """Draw the histogram of the outputs at one input over N(0, K); returns bars and curve."""
        from scipy.stats import norm

        from ..plot import axes  # of an extra

        ax = axes(ax)
        deviation = self._variance[row] ** 0.5
        values = self.samples[:, row].ravel()
        edges = np.linspace(-4 * deviation, 4 * deviation, 61)
        share = np.full(len(values), 1 / (len(values) * (edges[1] - edges[0])))  # of all, not of those in sight
        bars = ax.hist(values, edges, weights=share, alpha=0.5)
        x = np.linspace(-4 * deviation, 4 * deviation, 200)
        (curve,) = ax.plot(x, norm.pdf(x, scale=deviation), "k", label="N(0, K)")
        ax.set(xlabel="output", ylabel="density")
        ax.legend()
        return [*bars[2], curve]

    def plot_quantiles(self, row: int = 0, *, ax: Any = None) -> list[Any]:
        """Draw quantiles of the outputs at one input over those of N(0, K); returns points and diagonal."""
        from scipy.stats import norm

        from ..plot import axes  # of an extra

        ax = axes(ax)
        values = np.sort(self.samples[:, row].ravel()) / self._variance[row] ** 0.5
        theory = norm.ppf((np.arange(len(values)) + 0.5) / len(values))
        (points,) = ax.plot(theory, values, ".", markersize=2)
        (diagonal,) = ax.plot(theory[[0, -1]], theory[[0, -1]], "k", linewidth=1)
        ax.set(xlabel="quantiles of N(0, 1)", ylabel="outputs over sqrt(K)")
        return [points, diagonal]


@undisturbed
def output_distribution(
    net: Sequential,
    X: ArrayLike | Ragged,
    width: int | Sequence[int] | None = None,
    draws: int = 1000,
    *,
    n_outputs: int | None = None,
    noise: float = 0.0,
    rng: np.random.Generator | int | None = None,
    weights: str | Law | Sequence[str | Law] = "normal",
    progress: Progress = False,
) -> OutputDistribution:
    """Sample the outputs of random networks of finite width: draws from the prior of a Bayesian network.

    Parameters
    ----------
    net, width, rng, weights
        As for `FiniteNetwork`; predictions are those of normal weights.
    X : array_like of shape (n, d) or (n, *positions, channels), Sequences or Graphs
    draws : int >= 2, default 1000
    n_outputs : int, optional
        By default 2, or as many as `FiniteNetwork` has where the last layer is no Dense.
    noise : float >= 0, default 0.0
        Variance of the noise in the predictive covariance.
    progress : bool or callable, default False

    Returns
    -------
    OutputDistribution

    Notes
    -----
    At finite width the predictive law of y = f + noise is an integral over the parameters, of mean zero and covariance
    noise I + E[f f^T], that has no closed form; here it is a mean over draws.

    References
    ----------
    Neal, "Priors for infinite networks", 1994. Matthews et al., "Gaussian process behaviour in wide deep neural
    networks", ICLR 2018.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import output_distribution
    >>> found = output_distribution(fastntk.mlp(1, "erf", 2.0), np.eye(3), width=200, draws=2000, rng=0)
    >>> bool((np.abs(found.covariance - found.gp_covariance) < 5 * found.covariance_error).all())
    True
    """
    count = whole_number(draws, "draws", least=2)
    variance = not_negative(noise, "noise")
    check_progress(progress)
    sized = with_units(checked(net), width, n_outputs, alone=2)
    k = net.nngp(X, dtype="float64")
    deviation = np.full(len(k), np.nan)
    if is_alternating(net.layers):
        deviation = net.nngp.fluctuation(X, sized.hidden).diagonal().copy()
    several = networks(net, width, count, rng, n_outputs=sized.n_outputs, weights=weights, progress=progress)
    samples = np.stack([network.forward(X) for network in several])
    return OutputDistribution(samples, k + variance * np.eye(len(k)), deviation, variance)
