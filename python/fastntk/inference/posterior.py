"""Gaussian-process regression on kernel matrices: the posterior; `evidence` has how likely the targets were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import random_generator, whole_number
from .._checks.shown import one_line
from .._machine.factor import gram
from .._machine.floating import undisturbed
from . import _checks
from ._checks import Array
from .cholesky import backward, forward, solve, with_jitter
from .precision import is_single, warn_of_variances

#: What kernels may be off by, relative to sqrt(k_pp k_qq): float32, or an activation's tolerance of 1e-6, and a margin.
#: Beside it the error of the factorisation, 4 n machine epsilons, is nothing.
_KERNEL_ERROR = 1e-5


@one_line
@dataclass(frozen=True, eq=False, repr=False)
class GPPosterior:
    """Posterior of the noise-free function at the test samples: result of `gp_posterior`."""

    mean: Array
    """Of shape (m,), or (m, k) for k outputs."""
    jitter: float
    """What was added to the diagonal of k_train besides the noise."""
    _spread: Array | None

    @property
    def variance(self) -> Array:
        """Of shape (m,), the same for every output."""
        spread = self._known()
        return spread if spread.ndim == 1 else spread.diagonal().copy()

    @property
    def covariance(self) -> Array:
        """Of shape (m, m), the same for every output."""
        if self._known().ndim == 1:
            raise ValueError("the covariance needs the whole k_test, of shape (m, m); its diagonal was given.")
        return self._known()

    def _known(self) -> Array:
        if self._spread is None:
            raise ValueError("the posterior's variance needs k_test: pass it to gp_posterior.")
        return self._spread

    def sample(self, size: int = 1, *, rng: np.random.Generator | int | None = None) -> Array:
        """Draw functions from the posterior: an array of shape (size, m), or (size, m, k)."""
        from scipy.linalg import eigh

        size = whole_number(size, "size", least=0)
        if not len(self.covariance):  # which older versions of SciPy refuse
            return np.empty((size, *self.mean.shape))
        spread = np.sqrt(np.maximum(self.variance, 0))
        spread[spread == 0] = 1
        eigenvalues, vectors = eigh(self.covariance / spread[:, None] / spread)  # what is small is not lost in the rest
        root = spread[:, None] * vectors * np.sqrt(np.maximum(eigenvalues, 0))  # below 0 is rounding
        z = random_generator(rng, "rng").standard_normal((size, root.shape[1], *self.mean.shape[1:]))
        return np.asarray(self.mean + np.einsum("ij,sj...->si...", root, z))


@undisturbed
def gp_posterior(
    k_train: ArrayLike,
    y: ArrayLike,
    k_cross: ArrayLike,
    k_test: ArrayLike | None = None,
    *,
    noise: float | ArrayLike = 0.0,
    jitter: float | Literal["auto"] = 0.0,
) -> GPPosterior:
    r"""Posterior of a Gaussian process, given noisy values of it.

    Parameters
    ----------
    k_train : array_like of shape (n, n)
        Kernel of the training samples.
    y : array_like of shape (n,) or (n, k)
        Targets; outputs are independent with the same kernel.
    k_cross : array_like of shape (m, n)
        Kernel (test, train), ``net.nngp(X_test, X_train)``.
    k_test : array_like of shape (m, m) or (m,), optional
        Kernel of the test samples, or its diagonal: for the covariance, or the variance alone.
    noise : float or array_like of shape (n,), default 0.0
        Variance sigma_eps² of the noise of y, one for all or one a sample, added to the diagonal of k_train.
    jitter : float or "auto", default 0.0
        More to add to the diagonal, so that a nearly singular kernel can be factorised. "auto" takes the first of 0,
        1e-15, 1e-14, ..., 1e-4 times the mean of the diagonal with which it can; the result says which.

    Returns
    -------
    GPPosterior
        ``mean``, ``variance``, ``covariance``, ``sample(size, rng=)``, ``jitter``.

    Warns
    -----
    PrecisionWarning
        If kernels are float32 and their rounding leaves variances unknown, as it does where the noise is small. Kernels
        of float32 samples are to be had in float64: ``net.nngp(X, dtype="float64")``.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the kernel is singular to working precision.
    ValueError, TypeError
        Shapes that do not fit, an asymmetric kernel, NaN, negative noise, kernels that are not of one network.

    Notes
    -----
    ``mean = K*ᵀ (K + noise I)⁻¹ y``, ``covariance = K** - K*ᵀ (K + noise I)⁻¹ K*``, by Cholesky: n³/3 + m n²
    multiply-adds, with the covariance m n² + m² n more. A variance below 0 is set to 0 where the errors of the kernels
    explain it: with an error e relative to sqrt(k_pp k_qq) in every entry and w = (K + noise I)⁻¹ k*, it is off by
    e (sqrt(k**) + sum_i |w_i| sqrt(k_ii + noise))² at most, to first order, where e is taken as 1e-5: float32, or the
    tolerance of an activation, beside which the 4 n machine epsilons of the factorisation are nothing. Below that the
    kernels do not belong together, which is an error.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, algorithm 2.1.
    Higham, "Accuracy and stability of numerical algorithms", 2002, theorem 10.4 (error of the factorisation).

    Examples
    --------
    >>> import fastntk
    >>> from fastntk.inference import gp_posterior
    >>> net, X, X_test = fastntk.mlp(1, "erf", 2.0, 1.0), [[-1.0], [0.0], [1.0]], [[0.5]]
    >>> posterior = gp_posterior(net.nngp(X), [1.0, 0.0, 1.0], net.nngp(X_test, X), net.nngp(X_test), noise=1e-4)
    >>> posterior.mean.shape, bool(posterior.variance[0] > 0)
    ((1,), True)
    """
    train = _checks.gram(k_train, "k_train")
    n = len(train)
    values = _checks.targets(y, "y", n)
    cross = _checks.cross(k_cross, "k_cross", n)
    test = None if k_test is None else _checks.test_kernel(k_test, "k_test", len(cross))
    factor, jitter = with_jitter(train, _checks.noise(noise, "noise", len(train)), jitter)
    mean = cross @ solve(factor, values)
    covariance = None if test is None else spread(factor, forward(factor, cross.T), test)
    if covariance is not None and test is not None and is_single(k_train, k_cross, k_test):
        prior, variance = (matrix if matrix.ndim == 1 else matrix.diagonal() for matrix in (test, covariance))
        warn_of_variances(train, solve(factor, cross.T), prior, variance)
    return GPPosterior(mean, jitter, covariance)


def spread(factor: Array, explained: Array, test: NDArray[Any]) -> Array:
    """Posterior covariance, or of a diagonal the variances, with the Cholesky factor L of the training kernel.

    `explained` is L⁻¹ K(train, test), of shape (n, m).
    """
    if test.ndim == 1:
        covariance = test - np.einsum("ij,ij->j", explained, explained)
        variance = covariance
    else:
        covariance = test - gram(explained.T)
        variance = np.einsum("ii->i", covariance)
    below = np.flatnonzero(variance < 0)
    if below.size:
        prior = (test if test.ndim == 1 else test.diagonal())[below]
        weights = np.abs(backward(factor, explained[:, below]))
        train = np.sqrt((np.tril(factor) ** 2).sum(axis=1))
        far = variance[below] < -_KERNEL_ERROR * (np.sqrt(np.maximum(prior, 0)) + train @ weights) ** 2
        if far.any():
            i = int(below[far.argmax()])
            raise ValueError(
                f"the variance at test sample {i} is {variance[i]:.3g}, below 0 by more than rounding: k_train, "
                f"k_cross and k_test are not kernels of one function to the same, high enough accuracy."
            )
        variance[below] = 0
    return np.asarray(covariance)
