"""Gaussian-process regression: against scikit-learn, refits and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.inference import gp_posterior, leave_one_out, log_marginal_likelihood

rng = np.random.default_rng(0)
NET = fastntk.mlp(2, "erf", 1.6, 0.3)
X, X_TEST = rng.normal(size=(30, 3)), rng.normal(size=(8, 3))
K, K_CROSS, K_TEST = NET.nngp(X), NET.nngp(X_TEST, X), NET.nngp(X_TEST)
Y = np.stack((np.sin(X[:, 0]), X[:, 1] * X[:, 2]), axis=1) + 0.1 * rng.normal(size=(30, 2))
NOISE = 0.02


def test_posterior_is_that_of_scikit_learn() -> None:
    """On the same kernel, an RBF, with the same noise."""
    gp = pytest.importorskip("sklearn.gaussian_process")
    kernel = gp.kernels.RBF(1.3)
    model = gp.GaussianProcessRegressor(kernel, alpha=NOISE, optimizer=None).fit(X, Y[:, 0])
    mean, covariance = model.predict(X_TEST, return_cov=True)
    k_train, k_cross, k_test = kernel(X), kernel(X_TEST, X), kernel(X_TEST)
    whole = gp_posterior(k_train, Y[:, 0], k_cross, k_test, noise=NOISE)
    np.testing.assert_allclose(whole.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(whole.covariance, covariance, atol=1e-12)
    diagonal = gp_posterior(k_train, Y[:, 0], k_cross, np.diag(k_test), noise=NOISE)
    np.testing.assert_allclose(diagonal.variance, np.diag(covariance), atol=1e-12)
    value = log_marginal_likelihood(k_train, Y[:, 0], NOISE)
    np.testing.assert_allclose(value, model.log_marginal_likelihood_value_, rtol=1e-10)


def test_outputs_are_independent() -> None:
    """Several columns of y are several regressions with one variance."""
    both = gp_posterior(K, Y, K_CROSS, K_TEST, noise=NOISE)
    for i in range(2):
        one = gp_posterior(K, Y[:, i], K_CROSS, K_TEST, noise=NOISE)
        np.testing.assert_allclose(both.mean[:, i], one.mean, rtol=1e-11)
        np.testing.assert_array_equal(both.covariance, one.covariance)
    total = sum(log_marginal_likelihood(K, Y[:, i], NOISE) for i in range(2))
    np.testing.assert_allclose(log_marginal_likelihood(K, Y, NOISE), total, rtol=1e-12)


def test_without_noise_it_interpolates() -> None:
    """And is certain at the training samples."""
    posterior = gp_posterior(K, Y, K, K)
    np.testing.assert_allclose(posterior.mean, Y, atol=1e-6)
    assert posterior.jitter == 0
    assert posterior.variance.min() >= 0
    assert posterior.variance.max() < 1e-8


def test_gradient_of_the_marginal_likelihood() -> None:
    """Against central differences in the noise and, through the network, in every hyper-parameter."""
    found = log_marginal_likelihood(K, Y, NOISE, gradient=True)
    assert found.value == log_marginal_likelihood(K, Y, NOISE)
    h = 1e-6
    up, down = (log_marginal_likelihood(K, Y, NOISE + side * h) for side in (1, -1))
    np.testing.assert_allclose(found.noise_gradient, (up - down) / (2 * h), rtol=1e-6)
    np.testing.assert_array_equal(found.kernel_gradient, found.kernel_gradient.T)
    in_sigmas = NET.nngp.vjp(X, found.kernel_gradient, shared=True)
    for k, sigmas in enumerate(([1.6 + h, 0.3, 1.6 - h, 0.3], [1.6, 0.3 + h, 1.6, 0.3 - h])):
        up, down = (
            log_marginal_likelihood(fastntk.mlp(2, "erf", *s).nngp(X), Y, NOISE) for s in (sigmas[:2], sigmas[2:])
        )
        np.testing.assert_allclose(in_sigmas[k], (up - down) / (2 * h), rtol=1e-6)


def test_blocks_of_the_inverse_are_mirrored() -> None:
    """The gradient of a kernel larger than a block."""
    x = np.random.default_rng(1).normal(size=(600, 5))
    k, y = NET.nngp(x), x[:, 0]
    found = log_marginal_likelihood(k, y, 0.1, gradient=True)
    inverse = np.linalg.inv(k + 0.1 * np.eye(600))
    alpha = inverse @ y
    np.testing.assert_allclose(found.kernel_gradient, 0.5 * (np.outer(alpha, alpha) - inverse), atol=1e-8)


def test_leave_one_out_is_refitting() -> None:
    """Every sample left out in turn."""
    found = leave_one_out(K, Y, NOISE)
    density = 0.0
    for i in range(len(X)):
        rest = np.delete(np.arange(len(X)), i)
        one = gp_posterior(K[np.ix_(rest, rest)], Y[rest], K[[i]][:, rest], K[[i], [i]], noise=NOISE)
        np.testing.assert_allclose(found.mean[i], one.mean[0], rtol=1e-8)
        np.testing.assert_allclose(found.variance[i], one.variance[0] + NOISE, rtol=1e-9)
        variance = one.variance[0] + NOISE
        density += (-0.5 * np.log(2 * np.pi * variance) - 0.5 * (Y[i] - one.mean[0]) ** 2 / variance).sum()
    np.testing.assert_allclose(found.log_density, density, rtol=1e-9)


def test_samples() -> None:
    """Their moments, and that a seed repeats them."""
    posterior = gp_posterior(K, Y, K_CROSS, K_TEST, noise=NOISE)
    draws = posterior.sample(20_000, rng=3)
    assert draws.shape == (20_000, 8, 2)
    scale = np.sqrt(posterior.variance.max())
    np.testing.assert_allclose(draws.mean(axis=0), posterior.mean, atol=5 * scale / np.sqrt(20_000))
    np.testing.assert_allclose(np.cov(draws[..., 0].T), posterior.covariance, atol=0.05 * scale**2)
    np.testing.assert_array_equal(posterior.sample(2, rng=3), posterior.sample(2, rng=np.random.default_rng(3)))
    assert gp_posterior(K, Y[:, 0], K_CROSS, K_TEST, noise=NOISE).sample().shape == (1, 8)


def test_jitter_is_the_callers() -> None:
    """A duplicate row is refused by name; jitter, asked for, is reported."""
    twice = NET.nngp(np.concatenate((X, X[[3]])))
    y, cross = np.append(Y[:, 0], Y[3, 0]), NET.nngp(X_TEST, np.concatenate((X, X[[3]])))
    with pytest.raises(np.linalg.LinAlgError, match=r"k_train is singular.*rows 3 and 30 are duplicates.*noise="):
        gp_posterior(twice, y, cross)
    with pytest.raises(np.linalg.LinAlgError, match="rows 3 and 30"):
        log_marginal_likelihood(twice, y)
    auto = gp_posterior(twice, y, cross, jitter="auto")
    assert 0 < auto.jitter < 1e-8
    np.testing.assert_allclose(auto.mean, gp_posterior(K, Y[:, 0], K_CROSS).mean, atol=1e-4)
    assert gp_posterior(K, Y, K_CROSS, noise=NOISE, jitter="auto").jitter == 0
    for size in (1e-3, 1e3):  # as it says, in units of the kernel
        auto = gp_posterior(size * twice, y, size * cross, jitter="auto")
        assert 1e-15 < auto.jitter / size < 1e-8
        same = gp_posterior(size * twice, y, size * cross, jitter=auto.jitter)
        np.testing.assert_array_equal(auto.mean, same.mean)
    given = gp_posterior(K, Y, K_CROSS, K_TEST, noise=NOISE, jitter=0.1)
    wanted = gp_posterior(K, Y, K_CROSS, K_TEST, noise=NOISE + 0.1)
    assert given.jitter == 0.1
    np.testing.assert_allclose(given.mean, wanted.mean, rtol=1e-9)
    np.testing.assert_allclose(given.variance, wanted.variance, rtol=1e-9)


def test_a_negative_variance_is_rounding_or_an_error() -> None:
    """Between samples that nearly determine the function, and with the kernels of two networks."""
    x = np.linspace(-1, 1, 25)[:, None]
    k_train, k_cross = NET.nngp(x), NET.nngp(x + 1e-3, x)
    weights = np.linalg.solve(k_train + 1e-14 * np.eye(25), k_cross.T)
    assert (NET.nngp.diag(x) - (k_cross.T * weights).sum(axis=0)).min() < 0  # as computed, it does occur
    for k_test in (NET.nngp(x + 1e-3), NET.nngp.diag(x + 1e-3)):
        variance = gp_posterior(k_train, x, k_cross, k_test, jitter="auto").variance
        assert 0 <= variance.min() <= variance.max() < 1e-8
    other = fastntk.mlp(2, "erf", 0.8, 0.3)
    for k_test in (other.nngp(X_TEST), other.nngp.diag(X_TEST)):
        with pytest.raises(ValueError, match=r"variance at test sample \d+ is -.*k_train, k_cross and k_test are not"):
            gp_posterior(K, Y, K_CROSS, k_test, noise=NOISE)


def test_how_far_below_zero_a_variance_may_be() -> None:
    """At a training sample w is a unit vector, so that it is 1e-5 (sqrt(k) + sqrt(k))², whatever the units of k."""
    for size in (1.0, 1e4):
        k = size * np.array([[2.0, 1.0], [1.0, 2.0]])
        assert (gp_posterior(k, [1.0, 2.0], k, k.diagonal() * (1 - 3e-5)).variance == 0).all()
        with pytest.raises(ValueError, match="below 0 by more than rounding"):
            gp_posterior(k, [1.0, 2.0], k, k.diagonal() * [1 - 5e-5, 1])


def test_indefinite_is_not_called_singular() -> None:
    """Nor are its rows called duplicates; jitter does not mend it."""
    jitters: tuple[Any, ...] = (0.0, "auto")
    for jitter in jitters:
        with pytest.raises(np.linalg.LinAlgError, match=r"not positive definite: .* negative eigenvalue, -1, so"):
            gp_posterior([[1.0, 2.0], [2.0, 1.0]], [1.0, 2.0], [[1.0, 1.0]], jitter=jitter)


def test_inputs_are_not_written_to() -> None:
    """Nor float32 refused."""
    k, y = K.copy(), Y.copy()
    log_marginal_likelihood(k, y, NOISE, gradient=True)
    leave_one_out(k, y, NOISE)
    np.testing.assert_array_equal(k, K)
    np.testing.assert_array_equal(y, Y)
    single = gp_posterior(*(a.astype(np.float32) for a in (K, Y, K_CROSS, K_TEST)), noise=NOISE)
    assert single.mean.dtype == single.variance.dtype == np.float64
    np.testing.assert_allclose(single.mean, gp_posterior(K, Y, K_CROSS, noise=NOISE).mean, atol=1e-4)
