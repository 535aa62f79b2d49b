"""Gaussian-process classification on kernel matrices, by the Laplace approximation of the posterior."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._checks.shown import one_line
from .._machine.factor import factorise, inverse
from .._machine.floating import undisturbed
from .._machine.runtime import blas_threads
from . import _checks
from ._checks import Array
from .cholesky import solve
from .logistic import log_average
from .posterior import spread
from .spectrum import singular

_EPSILON = float(np.finfo(np.float64).eps)

#: What is left of a Newton step and of the slope where the search ends, in every entry: the first, or the rounding of
#: K alpha where that is more, up to the second.
_TOLERANCE = (1e-10, 1e-5)

#: Newton steps; it takes 5 to 15, of kernels up to 1e12.
_MOST_STEPS = 50

#: Of the search along a line, of which the cost is nothing beside a factorisation.
_MOST_POINTS = 50

_REMEDY = "Divide the kernel: its diagonal is the variance of log odds, of which 10 are certainty already."


@one_line
@dataclass(frozen=True, eq=False, repr=False)
class LaplacePosterior:
    """Gaussian approximation of the posterior of a function behind labels: result of `laplace_posterior`."""

    mode: Array
    """The most likely function at the training samples, log odds of label 1: of shape (n,), or (n, k)."""
    dual_coefficients: Array
    """Such that ``k_cross @ dual_coefficients`` is its mean elsewhere: label less probability at the mode."""
    log_marginal_likelihood: float
    """Of the labels, approximately; the sum over outputs."""
    converged: bool
    """Whether slope and Newton step at the mode are at most 1e-10 in every entry, or what float64 can tell, to 1e-5."""
    iterations: int
    """Newton steps, the most of any output."""
    _outputs: tuple[Mode, ...]

    @undisturbed
    def latent(self, k_cross: ArrayLike, k_test: ArrayLike) -> tuple[Array, Array]:
        """Mean and variance of the function at test samples, from their kernels as `gp_posterior` takes them.

        Parameters
        ----------
        k_cross : array_like of shape (m, n)
            Kernel (test, train).
        k_test : array_like of shape (m,) or (m, m)
            Kernel of the test samples, of which the diagonal is enough.

        Returns
        -------
        tuple of two ndarrays of shape (m,) or (m, k)
            The variance of every output is its own. Cost: m n² / 2 multiply-adds each.
        """
        cross = _checks.cross(k_cross, "k_cross", len(self.mode))
        test = _checks.test_kernel(k_test, "k_test", len(cross))
        prior = test if test.ndim == 1 else test.diagonal()
        variances = [spread(output.factor, cross * output.root, prior) for output in self._outputs]
        mean = cross @ self.dual_coefficients
        return mean, np.stack(variances, axis=-1).reshape(mean.shape)

    @undisturbed
    def probability(self, k_cross: ArrayLike, k_test: ArrayLike) -> Array:
        """Probability of label 1 at test samples, of shape (m,) or (m, k): arguments as for `latent`.

        The logistic function averaged over the Gaussian of `latent` (eq. 3.25 of the reference), by quadrature.
        """
        return np.exp(log_average(*self.latent(k_cross, k_test)))

    @undisturbed
    def kernel_gradient(self) -> Array:
        """Derivative of the log marginal likelihood in the entries of the kernel, of shape (n, n).

        Such that ``net.nngp.vjp(X, kernel_gradient)`` is the gradient in the network's hyper-parameters. Cost: 2/3 n³
        multiply-adds an output.
        """
        total = kernel_gradient(self._outputs[0])
        for output in self._outputs[1:]:
            total += kernel_gradient(output)
        return total


@undisturbed
def laplace_posterior(k_train: ArrayLike, y: ArrayLike) -> LaplacePosterior:
    r"""Laplace approximation of the posterior of a Gaussian process, given labels of which it is the log odds.

    Parameters
    ----------
    k_train : array_like of shape (n, n)
        Kernel of the training samples, in squared log odds.
    y : array_like of shape (n,) or (n, k)
        Labels 0 and 1, or False and True; outputs are independent with the same kernel. Of k classes one output each
        says whether it is that one: one against the rest.

    Returns
    -------
    LaplacePosterior
        ``mode``, ``dual_coefficients``, ``log_marginal_likelihood``, ``converged``, ``iterations``,
        ``latent(k_cross, k_test)``, ``probability(k_cross, k_test)``, ``kernel_gradient()``.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the kernel is indefinite, or so large, beyond some 1e16 / n, that the identity does not count beside it.
    ValueError, TypeError
        Shapes that do not fit, an asymmetric kernel, NaN, other labels.

    Notes
    -----
    With p(y = 1 | f) = 1 / (1 + exp(-f)) the mode f = K alpha maximises ``log p(y | f) - ½ alphaᵀ f``; it is concave.
    The Gaussian has the inverse covariance K⁻¹ + W there, W = diag(p (1 - p)). With B = I + W^½ K W^½

    ``log q(y) = log p(y | f) - ½ alphaᵀ f - ½ log det B``.

    Newton's steps are followed to where the posterior is highest along their lines. Since the third derivative of the
    logarithm of the logistic function is no larger than the second, log(1 + r) / r of a step never goes too far, r the
    largest change of f in all of it: it is sure to end, however large the kernel is and whether or not the labels are
    separable. No kernel is inverted, so that it may be singular. Cost for every output: n³/3 multiply-adds a step, of
    which there are 5 to 15, and the memory of one kernel.

    The Gaussian sits at the mode of a skewed posterior: where the kernel is large probabilities are less extreme than
    those of the exact posterior, although which label is the likelier is about the same (section 3.7 of the reference).

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, algorithms 3.1, 3.2 and 5.1.
    Sun and Tran-Dinh, "Generalized self-concordant functions", Mathematical Programming 178, 2019, eq. 12 (steps).

    Examples
    --------
    >>> import fastntk
    >>> from fastntk.inference import laplace_posterior
    >>> net, X, X_test = fastntk.mlp(1, "erf", 5.0, 1.0), [[-1.0], [0.0], [1.0]], [[0.9]]
    >>> posterior = laplace_posterior(net.nngp(X), [0, 0, 1])
    >>> bool(posterior.probability(net.nngp(X_test, X), net.nngp.diag(X_test))[0] > 0.5), posterior.converged
    (True, True)
    """
    kernel = _checks.gram(k_train, "k_train")
    labels = _labels(y, len(kernel))
    with blas_threads(len(kernel)):
        outputs = tuple(modes(kernel, labels))

    def joined(name: str) -> Array:
        return np.stack([getattr(output, name) for output in outputs], axis=-1).reshape(labels.shape)

    return LaplacePosterior(
        joined("function"),
        joined("alpha"),
        sum(output.log_likelihood for output in outputs),
        all(output.converged for output in outputs),
        max(output.iterations for output in outputs),
        outputs,
    )


def _labels(value: object, n: int) -> Array:
    array = _checks.targets(value, "y", n)
    wrong = array[(array != 0) & (array != 1)]
    if wrong.size:
        raise ValueError(f"y must hold labels 0 and 1, got {wrong[0]:.6g}.")
    return array


@dataclass(frozen=True, eq=False)
class Mode:
    """Where the posterior of one output is highest, and its Gaussian there."""

    function: Array
    alpha: Array
    root: Array
    """Of the weights W."""
    factor: Array
    """Cholesky factor of B."""
    log_likelihood: float
    converged: bool
    iterations: int


def modes(kernel: Array, labels: Array, near: Sequence[Array] | None = None) -> Iterator[Mode]:
    """Of every output of labels 0 and 1, one after the other; perhaps near these functions."""
    columns = labels.reshape(len(labels), -1).T
    for column, function in zip(columns, [None] * len(columns) if near is None else near, strict=True):
        yield _mode(kernel, 2 * column - 1, function)


def _mode(kernel: Array, sign: Array, near: Array | None) -> Mode:
    """Climb from f = 0, or from where one Newton step from another function ends, for labels -1 and 1."""
    from scipy.special import log_expit

    scale = np.sqrt(np.maximum(kernel.diagonal(), 0))
    alpha = np.zeros(len(sign))
    if near is not None:
        root = np.sqrt(_weights(near))
        alpha = _applied(kernel, root, _factor(kernel, root), root**2 * near + _pull(sign, near))
    iterations = 0
    while True:
        function = kernel @ alpha
        root = np.sqrt(_weights(function))
        factor = _factor(kernel, root)
        slope = _pull(sign, function) - alpha
        in_alpha = _applied(kernel, root, factor, slope)
        in_function = kernel @ in_alpha
        rounding = _EPSILON * scale * (scale @ np.abs(alpha))
        left = np.maximum(np.abs(slope), np.abs(in_function))
        converged = bool((left <= np.clip(rounding, *_TOLERANCE)).all())
        if converged or iterations == _MOST_STEPS:
            break
        alpha = alpha + _step(sign, function, alpha, in_function, in_alpha) * in_alpha
        iterations += 1
    log_density = -0.5 * float(alpha @ function) + float(log_expit(sign * function).sum())
    value = log_density - float(np.log(factor.diagonal()).sum())
    return Mode(function, alpha, root, factor, value, converged, iterations)


def _factor(kernel: Array, root: Array) -> Array:
    """Cholesky factor of B, whose eigenvalues are 1 and more, so that its trace bounds its condition."""
    matrix = kernel.T * root
    matrix *= root[:, None]
    matrix[np.diag_indices(len(matrix))] += 1
    if not np.trace(matrix) * _EPSILON < 1 or factorise(matrix):
        raise singular("I + W½ k_train W½", kernel * root * root[:, None], _REMEDY)
    return matrix


def _applied(kernel: Array, root: Array, factor: Array, right: Array) -> Array:
    """(I + W K)⁻¹ right, which makes a Newton step in alpha of the slope in f."""
    return right - root * solve(factor, root * (kernel @ right))


def _pull(sign: Array, function: Array) -> Array:
    """Slope of log p(y | f): label less probability, without cancellation."""
    from scipy.special import expit

    return np.asarray(sign * expit(-sign * function))


def _weights(function: Array) -> Array:
    """W = p (1 - p), minus the second derivative of log p(y | f)."""
    from scipy.special import expit

    return np.asarray(expit(function) * expit(-function))


def _step(sign: Array, function: Array, alpha: Array, in_function: Array, in_alpha: Array) -> float:
    """How far along the Newton step the posterior is highest, or nearly so, from below.

    Newton's steps along the line, each as long as is sure not to go too far.
    """
    farthest = max(float(np.abs(in_function).max()), _EPSILON)
    step = float(np.log1p(farthest)) / farthest
    for _ in range(_MOST_POINTS):
        at = function + step * in_function
        slope = float(in_function @ (_pull(sign, at) - alpha - step * in_alpha))
        curvature = float(in_function @ (_weights(at) * in_function + in_alpha))
        if not min(slope, curvature) > 0:  # rounding
            break
        further = float(np.log1p(farthest * slope / curvature)) / farthest
        step += further
        if further < 1e-3 * step:
            break
    return step


def kernel_gradient(mode: Mode) -> Array:
    """½ (alpha alphaᵀ + u alphaᵀ + alpha uᵀ - R): for a fixed mode, and by u as it moves with the kernel.

    R = W^½ B⁻¹ W^½, u = (I + W K)⁻¹ s, s the slope of -½ log det B in f, which is -½ Sigma_ii dW_ii / df_i with
    W^½ Sigma W^½ = I - B⁻¹ and dW / df = -W tanh(f / 2).
    """
    lower = np.tril(inverse(np.array(mode.factor, order="F")))
    inverted = lower + lower.T
    inverted[np.diag_indices(len(lower))] /= 2
    in_function = 0.5 * (1 - inverted.diagonal()) * np.tanh(mode.function / 2)
    # I + W K = W^½ B W^-½; where W underflows so does s.
    white = np.divide(in_function, mode.root, out=np.zeros_like(in_function), where=mode.root > 0)
    moved = mode.root * (inverted @ white)
    pairs = np.multiply.outer(moved + 0.5 * mode.alpha, mode.alpha)
    pairs = pairs + pairs.T
    inverted *= np.multiply.outer(mode.root, mode.root)
    pairs -= inverted
    pairs *= 0.5
    return pairs
