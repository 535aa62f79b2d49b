"""Gaussian-process regression on kernel matrices: posterior, marginal likelihood, leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import random_generator, true_or_false, whole_number
from .._checks.caller import warn
from .._checks.shown import one_line
from .._machine.factor import factorise, gram, inverse
from .._machine.floating import undisturbed
from . import _checks
from ._checks import Array
from .spectrum import singular

_SINGLE, _EPSILON = (float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64))
_REMEDY = "Pass noise= > 0, or jitter='auto', or drop duplicate rows."
_NO_JITTER = "Pass noise= > 0, or drop duplicate rows."

#: What kernels may be off by, relative to sqrt(k_pp k_qq): float32, or an activation's tolerance of 1e-6, and a margin.
_KERNEL_ERROR = 1e-5

#: Tried in turn by jitter="auto", in units of the mean of the diagonal.
_LADDER = (0.0, *(10.0**k for k in range(-15, -3)))

#: Of a float32 kernel's rounding a variance is known to 10 % from so many times it on.
_KNOWN = 10.0


class PrecisionWarning(UserWarning):
    """Kernels in float32 do not determine what was asked for; in float64 they would."""


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
        eigenvalues, vectors = eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(eigenvalues, 0))  # the covariance has no negative ones but rounding
        z = random_generator(rng, "rng").standard_normal((size, root.shape[1], *self.mean.shape[1:]))
        return np.asarray(self.mean + np.einsum("ij,sj...->si...", root, z))


@one_line
class MarginalLikelihood(NamedTuple):
    """Result of `log_marginal_likelihood` with its gradient."""

    value: float
    noise_gradient: float
    kernel_gradient: Array


@one_line
class LeaveOneOut(NamedTuple):
    """Result of `leave_one_out`: predictive means and variances of every left-out y, and their log density."""

    mean: Array
    variance: Array
    log_density: float


def cholesky(matrix: NDArray[Any], added: float | Array, *, name: str = "k_train", remedy: str = _NO_JITTER) -> Array:
    """Lower Cholesky factor, in Fortran order, of matrix + diag(added); the upper triangle is not meaningful.

    Raises LinAlgError, with a sentence about `name` and the remedy, if that is singular to working precision.
    """
    factor = _factorise(matrix, added)
    if factor is None:
        what = f"{name} + {added:.3g} I" if np.ndim(added) == 0 else f"{name} + diag(noise)"
        raise singular(what if np.any(added) else name, np.asarray(matrix, np.float64), remedy)
    return factor


def _factorise(matrix: NDArray[Any], added: float | Array) -> Array | None:
    """As `cholesky`, or None."""
    from scipy.linalg import lapack

    factor = np.array(matrix.T, np.float64, order="F")
    norm = float(np.abs(matrix).sum(axis=1).max()) + float(np.max(added))
    factor[np.diag_indices(len(factor))] += added
    # A factorisation of rounding errors may go through.
    if factorise(factor) or lapack.dpocon(factor, norm, uplo="L")[0] < _EPSILON:
        return None
    return np.asarray(factor)


def _with_jitter(matrix: Array, noise: float | Array, jitter: float | Literal["auto"]) -> tuple[Array, float]:
    if not isinstance(jitter, str) or jitter != "auto":
        extra = _checks.not_negative(jitter, "jitter")
        return cholesky(matrix, noise + extra, remedy=_REMEDY), extra
    scale = float(matrix.diagonal().mean())
    for extra in (share * scale for share in _LADDER[:-1]):
        factor = _factorise(matrix, noise + extra)
        if factor is not None:
            return factor, extra
    return cholesky(matrix, noise + _LADDER[-1] * scale), _LADDER[-1] * scale


def solve(factor: Array, right: NDArray[Any]) -> Array:
    """Solve with a factor of `cholesky`."""
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), right, check_finite=False))


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
    e (sqrt(k**) + sum_i |w_i| sqrt(k_ii + noise))² at most, to first order, where e is taken as 1e-5 (float32, or the
    tolerance of an activation) and 4 n machine epsilons of the factorisation. Below that the kernels do not belong
    together, which is an error.

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
    factor, jitter = _with_jitter(train, _checks.noise(noise, "noise", len(train)), jitter)
    mean = cross @ solve(factor, values)
    covariance = None if test is None else spread(factor, cross, test)
    if covariance is not None and test is not None and _checks.is_single(k_train, k_cross, k_test):
        _warn_of_rounding(factor, train, cross, test, covariance)
    return GPPosterior(mean, jitter, covariance)


def _warn_of_rounding(factor: Array, train: Array, cross: Array, test: Array, covariance: Array) -> None:
    """Warn of variances k** - k*ᵀ w, with w = (K + noise I)⁻¹ k*, that the rounding of float32 leaves unknown.

    Independent errors e sqrt(k_pp k_qq) of the entries change it by at most e (k** + 2 sum w_i² k_ii) in the root of
    the mean square, to first order.
    """
    prior, variance = (matrix if matrix.ndim == 1 else matrix.diagonal() for matrix in (test, covariance))
    weights = solve(factor, cross.T)
    error = _SINGLE * (prior + 2 * np.einsum("ij,ij,i->j", weights, weights, train.diagonal()))
    unknown = np.flatnonzero(variance < _KNOWN * error)
    if unknown.size:
        i = int(unknown[0])
        warn(
            f"the kernels are float32, whose rounding leaves {unknown.size} of {len(variance)} variances unknown (at "
            f"test sample {i} {variance[i]:.2g}, with an error of about {error[i]:.2g}): compute the kernels with "
            f"dtype='float64'.",
            PrecisionWarning,
        )


def spread(factor: Array, cross: NDArray[Any], test: NDArray[Any]) -> Array:
    """Posterior covariance, or of a diagonal the variances, with the Cholesky factor of the training kernel."""
    from scipy.linalg import solve_triangular

    explained = solve_triangular(factor, cross.T, lower=True, check_finite=False)
    if test.ndim == 1:
        covariance = test - np.einsum("ij,ij->j", explained, explained)
        variance = covariance
    else:
        covariance = test - gram(explained.T)
        variance = np.einsum("ii->i", covariance)
    below = np.flatnonzero(variance < 0)
    if below.size:
        prior = (test if test.ndim == 1 else test.diagonal())[below]
        weights = np.abs(solve_triangular(factor, explained[:, below], lower=True, trans="T", check_finite=False))
        train = np.sqrt((np.tril(factor) ** 2).sum(axis=1))
        error = _KERNEL_ERROR + 4 * len(factor) * _EPSILON
        far = variance[below] < -error * (np.sqrt(np.maximum(prior, 0)) + train @ weights) ** 2
        if far.any():
            i = int(below[far.argmax()])
            raise ValueError(
                f"the variance at test sample {i} is {variance[i]:.3g}, below 0 by more than rounding: k_train, "
                f"k_cross and k_test are not kernels of one function to the same, high enough accuracy."
            )
        variance[below] = 0
    return np.asarray(covariance)


@overload
def log_marginal_likelihood(
    k_train: ArrayLike, y: ArrayLike, noise: float | ArrayLike = 0.0, *, gradient: Literal[False] = False
) -> float: ...
@overload
def log_marginal_likelihood(
    k_train: ArrayLike, y: ArrayLike, noise: float | ArrayLike = 0.0, *, gradient: Literal[True]
) -> MarginalLikelihood: ...
@undisturbed
def log_marginal_likelihood(
    k_train: ArrayLike, y: ArrayLike, noise: float | ArrayLike = 0.0, *, gradient: bool = False
) -> float | MarginalLikelihood:
    """Log probability density of the targets under the Gaussian process, summed over outputs.

    Parameters
    ----------
    k_train : array_like of shape (n, n)
        Kernel of the training samples.
    y : array_like of shape (n,) or (n, k)
        Targets.
    noise : float or array_like of shape (n,), default 0.0
        Variance of their noise, one for all or one a sample.
    gradient : bool, default False
        Whether the derivatives are wanted too.

    Returns
    -------
    float, or MarginalLikelihood
        With `gradient` a named tuple: ``value``; ``noise_gradient``, its derivative in the noise, added to all samples
        alike; ``kernel_gradient`` of shape (n, n), that in the entries of the kernel, such that
        ``net.nngp.vjp(X, kernel_gradient)`` is the gradient in the network's hyper-parameters.

    Raises
    ------
    numpy.linalg.LinAlgError, ValueError, TypeError
        As `gp_posterior`.

    Notes
    -----
    With A = K + noise I and alpha = A⁻¹ y: ``-½ yᵀ alpha - ½ log det A - n/2 log 2 pi`` for each output, whose
    derivative in K is ``½ (alpha alphaᵀ - A⁻¹)``. Cost: n³/3 multiply-adds, n³ with gradient.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, eq. 2.30 and 5.9.

    Examples
    --------
    >>> from fastntk.inference import log_marginal_likelihood
    >>> round(log_marginal_likelihood([[1.0]], [0.0]), 6)  # -log sqrt(2 pi)
    -0.918939
    """
    train = _checks.gram(k_train, "k_train")
    values = _checks.targets(y, "y", len(train))
    gradient = true_or_false(gradient, "gradient")
    factor = _regular_factor(k_train, train, noise)
    alpha = solve(factor, values)
    value = log_density(factor, values, alpha)
    if not gradient:
        return value
    slopes = kernel_gradient(factor, alpha)
    return MarginalLikelihood(value, float(slopes.trace()), slopes)


def _regular_factor(given: ArrayLike, train: Array, noise: float | ArrayLike) -> Array:
    """Cholesky factor of the kernel with its noise; a warning, if float32 leaves its smallest eigenvalues unknown."""
    from scipy.linalg import lapack

    factor = cholesky(train, _checks.noise(noise, "noise", len(train)))
    if _checks.is_single(given):
        # 1 / ‖A⁻¹‖, against the norm of independent errors.
        smallest = float(lapack.dpocon(factor, 1.0, uplo="L")[0])
        error = 2 * _SINGLE * float(np.sqrt(len(train))) * float(train.diagonal().max())
        if smallest < error:
            warn(
                f"k_train is float32, with an error of about {error:.2g} in its eigenvalues, of which with the noise "
                f"the smallest is about {smallest:.2g}: compute it with dtype='float64'.",
                PrecisionWarning,
            )
    return factor


def log_density(factor: Array, values: Array, alpha: Array) -> float:
    """Of Gaussian targets of covariance A, summed over outputs, with the Cholesky factor of A and alpha = A⁻¹ y."""
    n = len(values)
    log_determinant = 2 * float(np.log(factor.diagonal()).sum())
    normalisation = log_determinant + n * float(np.log(2 * np.pi))
    return -0.5 * (float((values * alpha).sum()) + values.size // n * normalisation)


def kernel_gradient(factor: Array, alpha: Array) -> Array:
    """½ (alpha alphaᵀ - k A⁻¹) for alpha of shape (n,) or (n, k), with the factor of A, which is overwritten."""
    alpha = alpha.reshape(len(alpha), -1)
    slopes = inverse(factor).T
    size = 64  # rows that stay in the caches
    for start in range(0, len(slopes), size):
        rows, rest = slice(start, start + size), slice(start, None)
        block = slopes[rows, rest]
        block *= -0.5 * alpha.shape[1]
        block += (0.5 * alpha[rows]) @ alpha[rest].T
        corner = block[:, : len(block)]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
        slopes[start + size :, rows] = block[:, size:].T
    return slopes


@undisturbed
def leave_one_out(k_train: ArrayLike, y: ArrayLike, noise: float | ArrayLike = 0.0) -> LeaveOneOut:
    """Predictions of every target from all others, in closed form.

    Parameters
    ----------
    k_train : array_like of shape (n, n)
        Kernel of the training samples.
    y : array_like of shape (n,) or (n, k)
        Targets.
    noise : float or array_like of shape (n,), default 0.0
        Variance of their noise, one for all or one a sample.

    Returns
    -------
    LeaveOneOut
        ``mean`` of the shape of y, ``variance`` (n,) of the noisy target, ``log_density``, the sum over samples and
        outputs of the log of the predictive density (the pseudo-likelihood).

    Raises
    ------
    numpy.linalg.LinAlgError, ValueError, TypeError
        As `gp_posterior`.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, eq. 5.10-5.12.

    Examples
    --------
    >>> from fastntk.inference import leave_one_out
    >>> leave_one_out([[1.0, 0.5], [0.5, 1.0]], [1.0, 2.0]).mean
    array([1. , 0.5])
    """
    train = _checks.gram(k_train, "k_train")
    values = _checks.targets(y, "y", len(train))
    factor = _regular_factor(k_train, train, noise)
    alpha = solve(factor, values)
    variance = 1 / inverse(factor).diagonal()
    error = (alpha.T * variance).T
    outputs = values.size // len(values)
    density = -0.5 * (outputs * np.log(2 * np.pi * variance).sum() + (error.T**2 / variance).sum())
    return LeaveOneOut(values - error, variance, float(density))
