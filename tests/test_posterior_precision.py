"""What float32 kernels do not know is said; noise of every sample's own."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.inference import GradientFlow, PrecisionWarning, gp_posterior, leave_one_out, log_marginal_likelihood


@pytest.mark.parametrize("act", ["relu", "erf", "tanh", "gelu", "sin"])
@pytest.mark.parametrize(("n", "d"), [(40, 1), (150, 3), (200, 8)])
def test_no_float32_variance_is_wrong_without_a_word(act: str, n: int, d: int) -> None:
    """A deviation that is off by more than a twentieth is warned of; with some noise nothing is."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, d)).astype(np.float32)
    test = np.concatenate((x[:5], x[5:10] + np.float32(1e-3), rng.normal(size=(20, d)).astype(np.float32)))
    y, net = np.sin(x[:, 0]), fastntk.mlp(2, act, 1.5, 0.3)
    single, double = (
        (net.nngp(x, dtype=dtype), net.nngp(test, x, dtype=dtype), net.nngp.diag(test, dtype=dtype))
        for dtype in ("float32", "float64")
    )
    seen = []
    for noise in (1e-6, 1e-5, 1e-4, 1e-1):
        right = gp_posterior(double[0], y, *double[1:], noise=noise).variance
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = gp_posterior(single[0], y, *single[1:], noise=noise).variance
            except np.linalg.LinAlgError:  # refused: not silent either
                continue
        assert all(w.category is PrecisionWarning for w in caught)
        seen.append(len(caught))
        off = np.abs(np.sqrt(found / right) - 1).max()
        assert caught or off < 0.05
    assert seen[-1] == 0


def test_it_warns_where_it_should() -> None:
    """With the number of samples, and of both likelihoods; kernels in float64 never."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1)).astype(np.float32)
    net, y = fastntk.mlp(2, "relu", 1.5, 0.3), np.sin(x[:, 0])
    k_single, k_double = net.nngp(x), net.nngp(x, dtype="float64")
    with pytest.warns(PrecisionWarning, match=r"leaves \d+ of 40 variances unknown \(at test"):
        gp_posterior(k_single, y, k_single, k_single, noise=3e-6)
    for function in (log_marginal_likelihood, leave_one_out):
        with pytest.warns(PrecisionWarning, match=r"k_train is float32, with an error of about"):
            function(k_single, y, 3e-6)
        function(k_single, y, 0.1)
        function(k_double, y, 3e-6)
    gp_posterior(k_double, y, k_double, k_double, noise=3e-6)
    for single in range(3):  # one of them is enough
        train, cross, test = (k_single if i == single else k_double for i in range(3))
        with pytest.warns(PrecisionWarning, match=r"^the kernels are float32"):
            gp_posterior(train, y, cross, test, noise=3e-6)


def said(function: Callable[..., object], *kernels: object, **options: Any) -> float | None:
    """The error that it warns of, if it does."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*kernels, **options)
    found = [re.search(r"error of about ([\d.e-]*\d)", str(warning.message)) for warning in caught]
    return float(found[0][1]) if found and found[0] else None


def test_errors_are_those_of_random_roundings() -> None:
    """Of a variance far from the samples, and of eigenvalues: the root of the mean square, or the norm."""
    rng, e, n = np.random.default_rng(0), float(np.finfo(np.float32).eps), 12
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    train, weights = basis * [0.01, *[1.0] * (n - 1)] @ basis.T, 10 * basis[:, 0]
    cross, test = weights @ train, weights @ train @ weights + 1e-4
    size, changes, norms = np.sqrt(train.diagonal()), [], []
    for _ in range(400):
        upper = np.triu(rng.normal(size=(n, n)))
        drawn = upper + np.triu(upper, 1).T
        norms.append(np.linalg.norm(drawn, 2))
        inside = weights @ (drawn * np.outer(size, size)) @ weights - 2 * weights * size @ rng.normal(size=n)
        changes.append(inside + rng.normal())  # of k** = 1, to first order
    y, single = np.ones(n), [a.astype(np.float32) for a in (train, cross[None], np.array([test]))]
    found = said(gp_posterior, single[0], y, *single[1:])
    truth = e * float(np.sqrt(np.mean(np.square(changes))))
    assert found is not None
    assert truth < found < 2 * truth
    found, truth = said(log_marginal_likelihood, np.ones((n, n), np.float32), y, noise=1e-8), e * float(np.mean(norms))
    assert found is not None
    assert truth < found < 1.5 * truth


def test_from_where_on_it_warns() -> None:
    """A variance below ten errors, 3 e of one sample; the least eigenvalue below its error, of a flow below ten."""
    for away, wanted in ((13, True), (18, False)):
        cross = np.array([[1 - away * np.finfo(np.float32).eps]], np.float32)
        one = np.ones(1, np.float32)
        assert (said(gp_posterior, one[None], [1.0], cross, one) is not None) == wanted
    error = 2 * np.finfo(np.float32).eps * 2  # of four samples
    for function, most in ((log_marginal_likelihood, 1), (lambda k, y: GradientFlow(k, y).mean(), 10)):
        for share, wanted in ((0.8, True), (1.25, False)):
            kernel = np.diag([1.0, 1.0, 1.0, share * most * error]).astype(np.float32)
            assert (said(function, kernel, np.ones(4)) is not None) == wanted


def test_noise_of_every_sample() -> None:
    """Added to the diagonal: posterior, likelihood with its slope, leave-one-out, jitter."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(30, 2)), rng.uniform(0.01, 2, size=30)
    y, kernel = np.sin(x), fastntk.mlp(1, "erf", 1.5, 0.3).nngp(x)
    whole = kernel + np.diag(noise)
    posterior = gp_posterior(kernel, y, kernel, kernel, noise=noise, jitter="auto")
    np.testing.assert_allclose(posterior.mean, kernel @ np.linalg.solve(whole, y), rtol=1e-9)
    np.testing.assert_allclose(posterior.covariance, kernel - kernel @ np.linalg.solve(whole, kernel), atol=1e-12)
    sign, log_determinant = np.linalg.slogdet(2 * np.pi * whole)
    wanted = -0.5 * (np.sum(y * np.linalg.solve(whole, y)) + 2 * sign * log_determinant)
    found = log_marginal_likelihood(kernel, y, noise, gradient=True)
    np.testing.assert_allclose(found.value, wanted, rtol=1e-11)
    up, down = (log_marginal_likelihood(kernel, y, noise + h) for h in (1e-6, -1e-6))
    np.testing.assert_allclose(found.noise_gradient, (up - down) / 2e-6, rtol=1e-6)
    rest = np.arange(1, 30)
    weights = np.linalg.solve(whole[1:, 1:], kernel[rest, 0])
    left_out = leave_one_out(kernel, y, noise)
    np.testing.assert_allclose(left_out.mean[0], weights @ y[1:], rtol=1e-9)
    np.testing.assert_allclose(left_out.variance[0], whole[0, 0] - weights @ kernel[rest, 0], rtol=1e-9)
    with pytest.raises(ValueError, match=r"noise must be a number or of shape \(30,\)"):
        gp_posterior(kernel, y, kernel, noise=noise[:5])
    with pytest.raises(ValueError, match="noise must hold variances >= 0, got -1 at 2"):
        log_marginal_likelihood(kernel, y, np.where(np.arange(30) == 2, -1, noise))
    with pytest.raises(np.linalg.LinAlgError, match=r"k_train \+ diag\(noise\) is singular"):
        log_marginal_likelihood(np.ones((2, 2)), [1.0, 1.0], [1e-30, 1e-30])
