"""How likely targets are under a Gaussian process: the marginal likelihood, and every target given all others."""

from __future__ import annotations

from typing import Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import true_or_false
from .._checks.shown import one_line
from .._machine.factor import inverse
from .._machine.floating import undisturbed
from . import _checks
from ._checks import Array
from .cholesky import cholesky, forward, solve
from .precision import is_single, warn_of_eigenvalues


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
    """Cholesky factor of the kernel with its noise."""
    factor = cholesky(train, _checks.noise(noise, "noise", len(train)))
    if is_single(given):
        warn_of_eigenvalues(factor, train)
    return factor


def log_density(factor: Array, values: Array, alpha: Array) -> float:
    """Of Gaussian targets of covariance A, summed over outputs, with the Cholesky factor of A and alpha = A⁻¹ y."""
    n = len(values)
    log_determinant = 2 * float(np.log(factor.diagonal()).sum())
    normalisation = log_determinant + n * float(np.log(2 * np.pi))
    return -0.5 * (float((values * alpha).sum()) + values.size // n * normalisation)


def most_likely_constant(factor: Array, values: Array) -> Array:
    """The c, one for each output, with which values - c are most likely: 1ᵀ A⁻¹ (y - c) = 0."""
    ones, white = forward(factor, np.ones((len(values), 1))), forward(factor, values.reshape(len(values), -1))
    constant = ones.T @ white / float((ones**2).sum())
    return np.asarray(constant.reshape(values.shape[1:]))


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
    k_train, y, noise
        As for `log_marginal_likelihood`.

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
    return left_out(factor, values, solve(factor, values))


def left_out(factor: Array, values: Array, alpha: Array) -> LeaveOneOut:
    """As `leave_one_out`, with the Cholesky factor of A, which is overwritten, and alpha = A⁻¹ y."""
    variance = 1 / inverse(factor).diagonal()
    error = (alpha.T * variance).T
    outputs = values.size // len(values)
    density = -0.5 * (outputs * np.log(2 * np.pi * variance).sum() + (error.T**2 / variance).sum())
    return LeaveOneOut(values - error, variance, float(density))
