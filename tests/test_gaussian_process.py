"""NNGPRegressor and NNGPKernel beside scikit-learn's Gaussian process, and what they say of data and fits."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

import fastntk
from fastntk.inference import gp_posterior, log_marginal_likelihood
from fastntk.sklearn import NNGPKernel, NNGPRegressor, NTKKernel, NTKRegressor

rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(40, 3)), rng.normal(size=(10, 3))
Y = np.sin(X[:, 0]) + 0.5 * X[:, 1] + 0.1 * rng.normal(size=40)
SETTINGS: dict[str, Any] = {"depth": 2, "activation": "erf", "sigma_w": 1.5, "sigma_b": 0.3}


@pytest.mark.parametrize("normalize_y", [False, True])
def test_noise_of_every_sample_is_scikit_learns_alpha(normalize_y: bool) -> None:
    """Means, deviations and likelihood."""
    noise = rng.uniform(0.01, 1, size=40)
    ours = NNGPRegressor(**SETTINGS, noise=noise, normalize_y=normalize_y).fit(X, Y)
    kernel = NNGPKernel(**SETTINGS)
    theirs = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None, normalize_y=normalize_y).fit(X, Y)
    for a, b in zip(ours.predict(X_TEST, return_std=True), theirs.predict(X_TEST, return_std=True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7)
    np.testing.assert_allclose(ours.log_marginal_likelihood_value_, theirs.log_marginal_likelihood_value_, rtol=1e-10)
    np.testing.assert_array_equal(clone(ours).noise, noise)
    with pytest.raises(ValueError, match="each training sample has its own"):
        ours.predict(X_TEST, return_std=True, include_noise=True)
    with pytest.raises(ValueError, match=r"noise must hold variances >= 0, got -1 at 3"):
        NNGPRegressor(noise=np.where(np.arange(40) == 3, -1.0, 1.0)).fit(X, Y)


def test_include_noise() -> None:
    """Deviations of new targets, in the units of y."""
    y = np.stack((Y, 100 * Y + 3), axis=1)
    model = NNGPRegressor(**SETTINGS, noise=0.05, normalize_y=True).fit(X, y)
    scale = y.std(axis=0)
    std, noisy = (model.predict(X_TEST, return_std=True, include_noise=flag)[1] for flag in (False, True))
    np.testing.assert_allclose(noisy**2, std**2 + 0.05 * scale**2, rtol=1e-10)
    covariance = model.predict(X_TEST, return_cov=True, include_noise=True)[1]
    np.testing.assert_allclose(np.einsum("iik->ik", covariance), noisy**2, rtol=1e-6)
    with pytest.raises(ValueError, match="belongs to return_std=True or return_cov=True"):
        model.predict(X_TEST, include_noise=True)


@pytest.mark.parametrize("normalize_y", [False, True])
@pytest.mark.parametrize("targets", [Y, np.stack((Y, 100 * Y + 3), axis=1)], ids=["one output", "two"])
def test_gradients(normalize_y: bool, targets: Any) -> None:
    """Of mean and deviation, against differences; after what they are the gradients of, in their order."""
    model = NNGPRegressor(**SETTINGS, noise=0.05, normalize_y=normalize_y).fit(X, targets)
    for noisy in (False, True):
        mean, std, of_mean, of_std = model.predict(X_TEST, return_std=True, include_noise=noisy, return_gradient=True)
        for one, other in zip((mean, std), model.predict(X_TEST, True, include_noise=noisy), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        h = 1e-4
        for feature, step in enumerate(h * np.eye(3)):
            up, down = (model.predict(X_TEST + s, True, include_noise=noisy) for s in (step, -step))
            for slopes, a, b in zip((of_mean, of_std), up, down, strict=True):
                wanted = (a - b) / (2 * h)
                np.testing.assert_allclose(slopes[..., feature], wanted, atol=1e-6 * np.abs(wanted).max())
    alone = model.predict(X_TEST, return_gradient=True)
    np.testing.assert_array_equal(alone[0], model.predict(X_TEST))
    np.testing.assert_array_equal(alone[1], of_mean)
    with pytest.raises(ValueError, match="return_gradient=True belongs to the mean alone or to return_std=True"):
        model.predict(X_TEST, return_cov=True, return_gradient=True)


def test_likelihood_as_a_function_of_theta() -> None:
    """Value and gradient are those of Constant * NNGP + White, whose constant is the square of the scale."""
    model = NNGPRegressor(**SETTINGS, noise=0.05).fit(X, Y)
    assert list(model.parameters_) == ["sigma_w", "sigma_b", "output_scale", "noise"]
    theirs = GaussianProcessRegressor(
        ConstantKernel(1.0) * NNGPKernel(**SETTINGS) + WhiteKernel(0.05), alpha=0, optimizer=None
    ).fit(X, Y)
    for theta in np.log([[1.5, 0.3, 1.0, 0.05], [0.7, 0.9, 3.0, 0.5]]):
        value, slopes = model.log_marginal_likelihood(theta, eval_gradient=True)
        wanted, gradient = theirs.log_marginal_likelihood(
            np.array([2 * theta[2], theta[1], theta[0], theta[3]]), eval_gradient=True
        )
        np.testing.assert_allclose(value, wanted, rtol=1e-9)
        np.testing.assert_allclose(slopes, gradient[[2, 1, 0, 3]] * [1, 1, 2, 1], rtol=1e-6)
        assert model.log_marginal_likelihood(theta) == value
    at = np.log(list(model.parameters_.values()))
    np.testing.assert_allclose(model.log_marginal_likelihood(at), model.log_marginal_likelihood(), rtol=1e-12)
    with pytest.raises(ValueError, match="theta must hold the logarithms of"):
        model.log_marginal_likelihood(at[:2])
    with pytest.raises(ValueError, match="Gradient can only be evaluated for theta"):
        model.log_marginal_likelihood(eval_gradient=True)  # type: ignore[call-overload]


@pytest.mark.parametrize("hyperparameters", ["shared", "all", "fixed"])
def test_a_fit(hyperparameters: str) -> None:
    """Says how it ended; theta is at its maximum; a seed repeats it, and a restart is no worse."""
    options = {**SETTINGS, "optimizer": "lbfgs", "hyperparameters": hyperparameters, "normalize_y": True}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "sigma_.* ended at its lower bound", ConvergenceWarning)
        model = NNGPRegressor(**options).fit(X, Y)
        more = [NNGPRegressor(**options, n_restarts_optimizer=2, random_state=3).fit(X, Y) for _ in range(2)]
    assert model.converged_
    assert 1 < model.n_iter_ < 60
    theta = np.log(list(model.parameters_.values()))
    value, slopes = model.log_marginal_likelihood(theta, eval_gradient=True)
    np.testing.assert_allclose(value, model.log_marginal_likelihood_value_, rtol=1e-10)
    free = theta > np.log(0.3e-3) + 1e-9  # where not at the lower bound of sigma_b
    assert np.abs(slopes[free]).max() < 40 * 1e-4
    assert more[0].log_marginal_likelihood_value_ == more[1].log_marginal_likelihood_value_
    assert more[0].log_marginal_likelihood_value_ >= model.log_marginal_likelihood_value_ - 1e-9


def test_what_is_fixed_and_what_warns() -> None:
    """Bounds as those of a kernel; a sigma_b of 0 can be fitted; warnings are scikit-learn's."""
    fixed = NNGPRegressor(
        **SETTINGS, optimizer="lbfgs", sigma_w_bounds="fixed", sigma_b_bounds="fixed", output_scale=False
    ).fit(X, Y)
    assert fixed.network_ == fastntk.mlp(2, "erf", 1.5, 0.3)
    assert list(fixed.parameters_) == ["noise"]
    biased = NNGPRegressor(1, "erf", optimizer="lbfgs").fit(X, Y + 2)
    assert biased.parameters_["sigma_b"] > 0.1
    with pytest.warns(ConvergenceWarning, match="sigma_w ended at its upper bound"):
        NNGPRegressor(1, "erf", 0.2, 0.1, optimizer="lbfgs", sigma_w_bounds=(0.1, 0.3), sigma_b_bounds="fixed").fit(
            X, Y
        )
    noise = np.random.default_rng(1).normal(size=40)
    with pytest.warns(ConvergenceWarning, match="all is noise"):
        NNGPRegressor(1, "erf", 1.0, 0.3, optimizer="lbfgs").fit(X, noise)
    with pytest.warns(ConvergenceWarning, match="no bias"):
        NNGPRegressor(1, "relu", 1.0, 0.0, optimizer="lbfgs", sigma_b_bounds="fixed").fit(X, Y + 2)
    with pytest.warns(ConvergenceWarning, match="y is constant"):
        constant = NNGPRegressor(optimizer="lbfgs", normalize_y=True).fit(X, np.full(40, 0.1))
    np.testing.assert_allclose(constant.predict(X_TEST), 0.1, rtol=1e-15)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-300, -7e9, 0.0, 1e200])
@pytest.mark.parametrize("model", [NNGPRegressor, NTKRegressor])
def test_constant_targets_keep_their_scale(model: Any, value: float) -> None:
    """However their mean rounds: the deviations are those of the kernel, not of the rounding."""
    for n in (3, 7, 10, 40):
        for targets in (np.full(n, value), np.full(n, value) * (1 + np.arange(n) % 2 * 2.3e-16)):
            fitted = model(**SETTINGS, normalize_y=True).fit(X[:n], targets)
            mean, std = fitted.predict(X_TEST, return_std=True)
            wanted = model(**SETTINGS).fit(X[:n], np.zeros(n)).predict(X_TEST, return_std=True)[1]
            np.testing.assert_allclose(std, wanted, rtol=1e-12)
            np.testing.assert_allclose(mean, value, rtol=1e-14)


def test_targets_whose_squares_overflow() -> None:
    """Are standardised as others are."""
    one, large = (NNGPRegressor(**SETTINGS, normalize_y=True).fit(X, c * Y) for c in (1.0, 2.0**600))
    for a, b in zip(one.predict(X_TEST, True), large.predict(X_TEST, True), strict=True):
        np.testing.assert_allclose(b, a * 2.0**600, rtol=1e-12)


@pytest.mark.parametrize("act", ["relu", "erf", "tanh", "gelu", "sin"])
@pytest.mark.parametrize("noise", [1e-8, 1e-6, 1e-3])
def test_float32_samples(act: str, noise: float) -> None:
    """Give the deviations of the same numbers in float64, in every estimator and in scikit-learn's."""
    local = np.random.default_rng(3)
    x = local.normal(size=(60, 2)).astype(np.float32)
    test = np.concatenate((x[:5], x[:5] + np.float32(1e-3), local.normal(size=(10, 2)).astype(np.float32)))
    y = np.sin(x[:, 0])
    net = fastntk.mlp(2, act, 1.4, 0.3)
    models = [
        NNGPRegressor(network=net, noise=noise),
        NTKRegressor(network=net, ridge=noise),
        GaussianProcessRegressor(NNGPKernel(network=net), alpha=noise, optimizer=None),
    ]
    for model in models:
        single = model.fit(x, y).predict(test, return_std=True)
        double = model.fit(x.astype(np.float64), y.astype(np.float64)).predict(test.astype(np.float64), return_std=True)
        np.testing.assert_allclose(single[1], double[1], rtol=1e-4)
        np.testing.assert_allclose(single[0], double[0], rtol=1e-3, atol=1e-4)
    truth = gp_posterior(
        *(net.nngp(x, dtype="float64"), y, net.nngp(test, x, dtype="float64")),
        net.nngp.diag(test, dtype="float64"),
        noise=noise,
    )
    np.testing.assert_allclose(models[0].fit(x, y).predict(test, True)[1], np.sqrt(truth.variance), rtol=1e-5)


@pytest.mark.parametrize("kernel", [NNGPKernel(**SETTINGS), NTKKernel(**SETTINGS)])
def test_kernels_are_float64(kernel: Any) -> None:
    """As scikit-learn's RBF is, of float32 samples too."""
    x = X.astype(np.float32)
    for k in (kernel, RBF(1.0)):
        assert k(x).dtype == k(x, x[:3]).dtype == k.diag(x).dtype == k(x, eval_gradient=True)[1].dtype == np.float64
    np.testing.assert_allclose(kernel(x), kernel(x.astype(np.float64)), rtol=1e-12)  # rows are read as they are
    np.testing.assert_allclose(kernel.diag(x), kernel.diag(x.astype(np.float64)), rtol=1e-12)


def test_samples_that_change_later() -> None:
    """Do not change what was fitted."""
    for model in (NNGPRegressor(**SETTINGS), NTKRegressor(**SETTINGS)):
        x, y = X.copy(), Y.copy()
        wanted = model.fit(x, y).predict(X_TEST)
        x[:], y[:] = 0, 0
        np.testing.assert_array_equal(model.predict(X_TEST), wanted)


@pytest.mark.parametrize("model", [NNGPRegressor(), NTKRegressor()])
def test_features_of_very_different_scales(model: Any) -> None:
    """One line; nothing of constant features, nor of scales that differ less."""
    x = X * [1.0, 1e-3, 5.0]
    with pytest.warns(
        UserWarning, match=r"differ by more than 1e\+04, from .* \(column 1\) to .* \(column 2\)"
    ) as caught:
        model.fit(x, Y)
    assert len(caught) == 1
    assert str(caught[0].message).count("\n") == 0
    for quiet in (X * [1.0, 20.0, 5.0], np.column_stack((X, np.full(40, 0.1))), X[:1], np.zeros((40, 2))):
        model.fit(quiet, Y[: len(quiet)])


def test_likelihood_of_a_fit_is_that_of_its_network() -> None:
    """network_ and noise_ are what predictions are made of."""
    model = NNGPRegressor(1, "erf", 1.0, 0.3, optimizer="lbfgs").fit(X, 50 * Y + 20)
    value = log_marginal_likelihood(model.network_.nngp(X), 50 * Y + 20, model.noise_)
    np.testing.assert_allclose(value, model.log_marginal_likelihood_value_, rtol=1e-12)
