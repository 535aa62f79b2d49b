"""Gaussian-process classification by Laplace: against its definition, other optimisers, scikit-learn and 50 digits."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

import fastntk
from fastntk.inference import LaplacePosterior, laplace_posterior
from fastntk.inference.logistic import log_average

Array = NDArray[np.float64]

rng = np.random.default_rng(0)
NET = fastntk.mlp(2, "erf", 2.5, 0.4)
X, X_TEST = rng.normal(size=(30, 3)), rng.normal(size=(8, 3))
K, K_CROSS, K_TEST = NET.nngp(X), NET.nngp(X_TEST, X), NET.nngp(X_TEST)
Y = (X[:, 0] + 0.5 * rng.normal(size=30) > 0).astype(float)
BOTH = np.stack((Y, X[:, 1] * X[:, 2] > 0), axis=1).astype(float)


def slope(found: LaplacePosterior, kernel: Array, y: Array) -> Array:
    """Of the log posterior at the mode, with alpha = K⁻¹ f; and f is K alpha."""
    np.testing.assert_allclose(kernel @ found.dual_coefficients, found.mode, rtol=1e-12)
    return np.asarray((2 * y - 1) * expit(-(2 * y - 1) * found.mode) - found.dual_coefficients)


def test_mode_is_where_the_posterior_is_highest() -> None:
    """By another optimiser, over f = L w with the Cholesky factor L of the kernel."""
    factor, sign = np.linalg.cholesky(K), 2 * Y - 1

    def negative(w: Array) -> tuple[float, Array]:
        f = factor @ w
        return 0.5 * w @ w - log_expit(sign * f).sum(), w - factor.T @ (sign * expit(-sign * f))

    wanted = minimize(negative, np.zeros(30), jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 1000})
    found = laplace_posterior(K, Y)
    np.testing.assert_allclose(found.mode, factor @ wanted.x, atol=1e-7)
    assert found.converged
    assert np.abs(slope(found, K, Y)).max() < 1e-10


def test_marginal_likelihood_is_its_definition() -> None:
    """At the mode, with the determinant of I + K W and the inverse of K."""
    found = laplace_posterior(K, Y)
    p = expit(found.mode)
    posterior = np.log(np.where(Y > 0, p, 1 - p)).sum() - 0.5 * found.mode @ np.linalg.solve(K, found.mode)
    wanted = posterior - 0.5 * np.linalg.slogdet(np.eye(30) + K * (p * (1 - p)))[1]
    np.testing.assert_allclose(found.log_marginal_likelihood, wanted, rtol=1e-10)


def test_latent_function_is_the_gaussian_around_the_mode() -> None:
    """Mean and variance by the inverses of K and of K + W⁻¹; the diagonal of k_test is enough."""
    found = laplace_posterior(K, Y)
    weights = expit(found.mode) * expit(-found.mode)
    mean, variance = found.latent(K_CROSS, K_TEST)
    np.testing.assert_allclose(mean, K_CROSS @ np.linalg.solve(K, found.mode), rtol=1e-8)
    explained = K_CROSS @ np.linalg.solve(K + np.diag(1 / weights), K_CROSS.T)
    np.testing.assert_allclose(variance, np.diag(K_TEST - explained), rtol=1e-9)
    for a, b in zip(found.latent(K_CROSS, np.diag(K_TEST)), (mean, variance), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_that_of_scikit_learn() -> None:
    """Likelihood, latent function and probabilities, to the error of its five error functions."""
    gp = pytest.importorskip("sklearn.gaussian_process")
    kernel = gp.kernels.ConstantKernel(7.0) * gp.kernels.RBF(1.3)
    theirs = gp.GaussianProcessClassifier(kernel, optimizer=None).fit(X, Y)
    found, cross = laplace_posterior(kernel(X), Y), (kernel(X_TEST, X), kernel(X_TEST))
    np.testing.assert_allclose(found.log_marginal_likelihood, theirs.log_marginal_likelihood_value_, rtol=1e-9)
    np.testing.assert_allclose(found.probability(*cross), theirs.predict_proba(X_TEST)[:, 1], atol=1e-3)
    slopes = theirs.log_marginal_likelihood(theirs.kernel_.theta, eval_gradient=True)[1]
    moves = kernel(X, eval_gradient=True)[1]
    np.testing.assert_allclose(np.einsum("ij,ijk->k", found.kernel_gradient(), moves), slopes, rtol=1e-6)


def test_outputs_are_independent() -> None:
    """Several columns of y are several classifications with one kernel; labels may be bool."""
    both = laplace_posterior(K, BOTH > 0)
    ones = [laplace_posterior(K, column) for column in BOTH.T]
    for name in ("mode", "dual_coefficients"):
        np.testing.assert_array_equal(getattr(both, name), np.stack([getattr(one, name) for one in ones], axis=1))
    assert both.log_marginal_likelihood == sum(one.log_marginal_likelihood for one in ones)
    assert both.iterations == max(one.iterations for one in ones)
    wanted = np.stack([one.probability(K_CROSS, K_TEST) for one in ones], axis=1)
    np.testing.assert_allclose(both.probability(K_CROSS, K_TEST), wanted, rtol=1e-12)
    np.testing.assert_allclose(both.kernel_gradient(), sum(one.kernel_gradient() for one in ones), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_gradient_in_the_kernel(scale: float) -> None:
    """Against central differences along symmetric matrices that keep it a kernel, with one output and two."""
    kernel, factor = scale * K, np.linalg.cholesky(scale * K)
    for y in (Y, BOTH):
        gradient = laplace_posterior(kernel, y).kernel_gradient()
        np.testing.assert_array_equal(gradient, gradient.T)
        for direction in rng.normal(size=(3, 30, 30)):
            move = 1e-4 * factor @ (direction + direction.T) @ factor.T
            ahead, back = (laplace_posterior(kernel + s * move, y).log_marginal_likelihood for s in (1, -1))
            np.testing.assert_allclose(2 * (gradient * move).sum(), ahead - back, rtol=1e-5, atol=1e-9)


def test_gradient_in_the_sigmas() -> None:
    """By one vjp, against central differences in every hyper-parameter."""
    values = [value for _, _, value in NET.parameters]
    gradient = NET.nngp.vjp(X, laplace_posterior(K, BOTH).kernel_gradient())
    for i in range(len(values)):
        step = 1e-5 * np.eye(len(values))[i]
        ahead, back = (
            laplace_posterior(NET.with_parameters((values + s * step).tolist()).nngp(X), BOTH).log_marginal_likelihood
            for s in (1, -1)
        )
        np.testing.assert_allclose(gradient[i], (ahead - back) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("k", [1e-30, 1e-3, 1.0, 1e3, 1e8, 1e12])
def test_one_sample_to_50_digits(k: float) -> None:
    """The root of f = k (1 - p), and the likelihood there."""
    with mpmath.workdps(50):
        f = mpmath.findroot(lambda f: f - k / (1 + mpmath.exp(f)), (0, k / 2), solver="anderson", maxsteps=500)
        p = 1 / (1 + mpmath.exp(-f))
        value = mpmath.log(p) - f**2 / k / 2 - mpmath.log(1 + k * p * (1 - p)) / 2
    found = laplace_posterior([[k]], [1])
    assert found.converged
    np.testing.assert_allclose(found.mode, float(f), rtol=1e-10)
    np.testing.assert_allclose(found.log_marginal_likelihood, float(value), rtol=1e-10)


SCALES = 10.0 ** rng.uniform(-3, 3, 30)
SEPARABLE = (X[:, 0] > 0).astype(float)
KERNELS: dict[str, tuple[Array, Array]] = {
    "noisy": (K, rng.integers(0, 2, 30).astype(float)),
    "separable": (K, SEPARABLE),
    "one label": (K, np.ones(30)),
    "rank one, separable": (np.outer(X[:, 0], X[:, 0]), SEPARABLE),
    "duplicates": (np.kron(np.eye(2) + 0.9999, K[:15, :15]) / 2, np.concatenate((SEPARABLE[:15], SEPARABLE[:15]))),
    "zero": (np.zeros((30, 30)), Y),
    "scales": (np.multiply.outer(SCALES, SCALES) * K, SEPARABLE),
}


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("name", KERNELS)
def test_it_converges_from_anywhere(name: str, scale: float) -> None:
    """In few steps: separable labels, singular kernels, variances over 12 orders of magnitude; all is finite."""
    kernel, y = KERNELS[name]
    if name == "scales":
        scale = min(scale, 1.0)
    found = laplace_posterior(scale * kernel, y)
    assert found.converged
    assert found.iterations <= 25
    assert np.abs(slope(found, scale * kernel, y)).max() < 1e-7
    assert np.isfinite(found.log_marginal_likelihood)
    assert np.isfinite(found.kernel_gradient()).all()
    assert ((found.mode > 0) == (y > 0)).all() or name in ("noisy", "zero") or scale < 1e-200 or scale < 1e4


def test_what_float64_cannot_tell() -> None:
    """Is said: equal samples of contrary labels, at a scale where their sum is rounded; and kernels beyond that."""
    twice = np.kron(np.ones((2, 2)), K)
    contrary = np.concatenate((Y, 1 - Y))
    assert laplace_posterior(1e4 * twice, contrary).converged
    assert not laplace_posterior(1e12 * twice, contrary).converged
    with pytest.raises(
        np.linalg.LinAlgError, match=r"k_train W½ is singular .*Divide the kernel: its diagonal is the var"
    ):
        laplace_posterior(1e20 * K, Y)
    with pytest.raises(np.linalg.LinAlgError, match="negative eigenvalue"):
        laplace_posterior(K - 5 * K.diagonal().min() * (1 - np.eye(30)), Y)


def true_log_average(mean: float, variance: float) -> float:
    """Of the logistic function, by adaptive quadrature in 30 digits."""
    with mpmath.workdps(25):
        m, s = mpmath.mpf(mean), mpmath.sqrt(variance)
        places = {m + t * s for t in range(-15, 16, 3)} | {mpmath.mpf(t) for t in (-60, -20, -5, 0, 5, 20, 60)}
        if variance == 0:
            return float(-mpmath.log1p(mpmath.exp(-m)))
        value = mpmath.quad(lambda f: mpmath.npdf(f, m, s) / (1 + mpmath.exp(-f)), sorted(places))
        return float(mpmath.log(value))


@pytest.mark.parametrize("variance", [0.0, 1e-6, 0.3, 1.0, 7.0, 50.0, 1e4])
def test_average_of_the_logistic_function(variance: float) -> None:
    """Relative accuracy down to probabilities of 1e-12."""
    means = np.array([-max(20.0, min(variance, 50.0)), -3.0, -0.5, 0.0, 1.0, 8.0])
    wanted = [true_log_average(m, variance) for m in means]
    np.testing.assert_allclose(log_average(means, np.full(6, variance)), wanted, rtol=1e-13, atol=1e-12)
    assert (log_average(np.linspace(-1e3, 1e3, 101), np.full(101, variance)) <= 0).all()


def test_average_far_in_the_tail() -> None:
    """exp(mean + variance / 2) where the whole of the Gaussian is there; its logarithm never -inf."""
    mean, variance = np.array([-100.0, -300.0, -1e4, -1e5]), np.array([0.5, 20.0, 5.0, 1e4])
    found = log_average(mean, variance)
    np.testing.assert_allclose(found[:3], (mean + variance / 2)[:3], rtol=1e-3)
    np.testing.assert_allclose(found[3], (mean + variance / 2)[3], rtol=1e-2)


def test_labels_and_shapes() -> None:
    """One clear sentence each."""
    wrong: list[tuple[Any, str]] = [
        (2 * Y - 1, r"^y must hold labels 0 and 1, got -1\.$"),
        (Y[:5], r"^y must have shape \(30,\) or \(30, k\)"),
        (np.where(Y > 0, np.nan, 0), r"^y contains nan"),
    ]
    for y, sentence in wrong:
        with pytest.raises(ValueError, match=sentence):
            laplace_posterior(K, y)
    found = laplace_posterior(K, Y)
    with pytest.raises(ValueError, match=r"^k_cross must have shape \(m, 30\)"):
        found.latent(K_CROSS.T, K_TEST)
    assert repr(found).startswith("LaplacePosterior(mode=<ndarray (30,) float64>, dual_coefficients=<")
    assert "\n" not in repr(found)
