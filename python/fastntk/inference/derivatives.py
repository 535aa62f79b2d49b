"""Gaussian-process regression on values and gradients of a function: the prior is the NNGP of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import not_negative
from .._checks.arrays import axes_of, input_array, new_output, real_array, variance_array
from .._checks.shown import one_line, shown
from .._machine.floating import undisturbed
from ..kernels.input_gradients import read_vectors
from ..kernels.input_hessian import covariances, refuse_jumps, slope_variances
from ..networks.sequential import Sequential
from ._checks import Array
from .cholesky import forward, solve, with_jitter
from .posterior import spread

_REMEDY = "Pass noise= and gradient_noise= > 0, or jitter='auto', or drop duplicate rows."


@one_line
@dataclass(frozen=True, eq=False, repr=False)
class DerivativePosterior:
    """Posterior of the noise-free function and of its gradient: result of `derivative_posterior`."""

    mean: Array
    """Of shape (m,)."""
    variance: Array
    """Of shape (m,)."""
    gradient: Array
    """The gradient's mean, which is the mean's gradient, of shape (m, d)."""
    gradient_variance: Array
    """Of every partial derivative, of shape (m, d)."""
    jitter: float
    """What was added to the prior variances besides the noise, relative to them."""


class _Places(NamedTuple):
    """Where values, and where gradients of a function are taken."""

    values: NDArray[np.floating]
    gradients: NDArray[np.floating]


@undisturbed
def derivative_posterior(
    net: Sequential,
    X: ArrayLike,
    y: ArrayLike | None,
    gradients: ArrayLike | None,
    X_test: ArrayLike,
    *,
    X_gradients: ArrayLike | None = None,
    noise: float | ArrayLike = 0.0,
    gradient_noise: float | ArrayLike = 0.0,
    jitter: float | Literal["auto"] = 0.0,
) -> DerivativePosterior:
    r"""Posterior of a function, whose prior is the NNGP of a network, given noisy values and gradients of it.

    Parameters
    ----------
    net : Sequential
        Of vectors; its activations may have kinks, but no jumps.
    X : array_like of shape (n, d)
        Where values are known.
    y : array_like of shape (n,) or None
        The values; None if only gradients are known.
    gradients : array_like of shape (p, d) or None
        The gradients; None if only values are known.
    X_test : array_like of shape (m, d)
    X_gradients : array_like of shape (p, d), optional
        Where gradients are known, if not at X.
    noise : float or array_like of shape (n,), default 0.0
        Variance of the noise of y.
    gradient_noise : float or array_like of shape (p, d), default 0.0
        Variance of the noise of the gradients.
    jitter : float or "auto", default 0.0
        More to add to the diagonal, relative to each prior variance, as `gp_posterior` does.

    Returns
    -------
    DerivativePosterior
        ``mean``, ``variance``, ``gradient``, ``gradient_variance``, ``jitter``.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the covariance of what is known is singular to working precision.
    MemoryError
        If it cannot fit.
    ValueError, TypeError
        Shapes that do not fit, NaN, negative noise, images, an activation that jumps, or is none but a kernel.

    Notes
    -----
    The derivatives of a Gaussian process are Gaussian with it: cov(f, ∂f/∂y_b) = ∂K/∂y_b and cov(∂f/∂x_a, ∂f/∂y_b) =
    ∂²K/∂x_a ∂y_b. With ReLU f has derivatives in the mean square, but no second ones. At x = 0, without a bias,
    networks with a kink have none, and gradients there are given as 0 with variance 0.

    Cost: N³/3 + m d N² multiply-adds and N² numbers with N = n + p d, by Cholesky.

    References
    ----------
    Solak, Murray-Smith, Leithead, Leith and Rasmussen, "Derivative observations in Gaussian process models of dynamic
    systems", NeurIPS 2003, eq. 4-6.
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 9.4.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.inference import derivative_posterior
    >>> net, X = fastntk.mlp(1, "erf", 1.0, 1.0), np.linspace(-1, 1, 7)[:, None]
    >>> posterior = derivative_posterior(net, X, X[:, 0] ** 2, 2 * X, [[0.5]], noise=1e-6, gradient_noise=1e-6)
    >>> posterior.mean.round(2), posterior.gradient.round(1)
    (array([0.25]), array([[1.]]))
    """
    if not isinstance(net, Sequential):
        raise TypeError(f"net must be a fastntk.Sequential, got {shown(net)}.")
    read_vectors(net.layers, X, None)
    refuse_jumps(net.layers)
    known, values, slopes = _observed(X, y, gradients, X_gradients)
    test = _beside(known.values, X_test, "X_test")
    added = np.concatenate(
        (
            _variances(noise, "noise", values.shape),
            _variances(gradient_noise, "gradient_noise", slopes.shape),
        )
    )
    joint = _joint(net, known, known)
    # Values and derivatives have other units: the factor is that of their correlations.
    diagonal = joint.diagonal()
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    joint *= scale[:, None]
    joint *= scale
    name = f"the covariance of {len(values)} values and then {slopes.size} derivatives"
    factor, jitter = with_jitter(joint, added * scale**2, jitter, name=name, remedy=_REMEDY)
    weights = scale * solve(factor, scale * np.concatenate((values, slopes.ravel())))
    cross = _joint(net, _Places(test, test), known)
    mean = cross @ weights
    cross *= scale
    m = len(test)
    variance = spread(factor, forward(factor, cross[:m].T), net.nngp.diag(test))
    slope_variance = spread(factor, forward(factor, cross[m:].T), slope_variances(net.layers, test).ravel())
    return DerivativePosterior(
        mean[:m], variance, mean[m:].reshape(test.shape), slope_variance.reshape(test.shape), jitter
    )


def _observed(
    X: ArrayLike, y: ArrayLike | None, gradients: ArrayLike | None, X_gradients: ArrayLike | None
) -> tuple[_Places, Array, Array]:
    """Check what is known: places, values and gradients."""
    x = np.asarray(input_array(X, "X"), np.float64)
    if y is None and gradients is None:
        raise ValueError("neither y nor gradients are given: at least one is needed.")
    if gradients is None and X_gradients is not None:
        raise ValueError("X_gradients is given, but no gradients are.")
    at = x if X_gradients is None else _beside(x, X_gradients, "X_gradients")
    values, slopes = np.empty(0), np.empty((0, x.shape[1]))
    if y is not None:
        values = np.asarray(real_array(y, "y"), np.float64)
        if values.shape != (len(x),):
            raise ValueError(f"y must have shape ({len(x)},) for {len(x)} rows of X, got {values.shape}.")
    if gradients is not None:
        slopes = np.asarray(real_array(gradients, "gradients"), np.float64)
        if slopes.shape != at.shape:
            raise ValueError(
                f"gradients must have shape {at.shape}, one for every row they are at, got {slopes.shape}."
            )
    places = _Places(x[: len(values)], at[: len(slopes)])
    if len(values) + slopes.size == 0:
        raise ValueError("X is empty: at least one value or gradient is needed.")
    return places, values, slopes


def _beside(x: NDArray[np.floating], value: ArrayLike, name: str) -> Array:
    """Samples with as many features as X."""
    at = np.asarray(input_array(value, name), np.float64)
    if at.shape[1] != x.shape[1]:
        raise ValueError(f"X has {x.shape[1]} features but {name} has {at.shape[1]}; they must have the same number.")
    return at


def _variances(value: float | ArrayLike, name: str, shape: tuple[int, ...]) -> Array:
    """Variances of the noise, one for all or one each, in a row."""
    if axes_of(value, name) == 0:
        return np.full(int(np.prod(shape)), not_negative(value, name))
    array = variance_array(value, name)
    if array.shape != shape:
        raise ValueError(f"{name} must be a number or of shape {shape}, got shape {array.shape}.")
    return array.ravel()


def _joint(net: Sequential, left: _Places, right: _Places) -> Array:
    """The covariance of values, then gradients, of a function with others of it."""
    n, m = len(left.values), len(right.values)
    joint: Array
    (joint,) = new_output(
        (n + left.gradients.size, m + right.gradients.size), np.dtype(np.float64), 1, instead="take fewer gradients"
    )
    joint[:n, :m] = net.nngp(left.values, None if left is right else right.values)
    joint[n:, :m] = _slopes(net, left.gradients, right.values)
    joint[:n, m:] = _slopes(net, right.gradients, left.values).T
    both = covariances(net.layers, left.gradients, right.gradients).both
    joint[n:, m:] = both.reshape(left.gradients.size, right.gradients.size)
    return joint


def _slopes(net: Sequential, at: NDArray[np.floating], X: NDArray[np.floating]) -> Array:
    """Covariances of gradients at some places with values at X."""
    slopes = [net.nngp.input_gradient(x, X).T for x in at]
    return np.concatenate(slopes) if slopes else np.empty((0, len(X)))
