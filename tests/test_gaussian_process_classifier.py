"""NNGPClassifier beside scikit-learn's, its probabilities by quadrature, and what it says of labels and fits."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import ConstantKernel
from sklearn.preprocessing import StandardScaler

import fastntk
from fastntk.inference import laplace_posterior
from fastntk.sklearn import NNGPClassifier, NNGPKernel

rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(60, 3)), rng.normal(size=(15, 3))
Y = np.array(["no", "yes"])[(np.sin(2 * X[:, 0]) + X[:, 1] + 0.5 * rng.normal(size=60) > 0).astype(int)]
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1] ** 2 + 0.3 * rng.normal(size=60), [0.0, 1.5])]
SETTINGS: dict[str, Any] = {"depth": 2, "activation": "erf", "sigma_w": 2.5, "sigma_b": 0.4}
NET = fastntk.mlp(2, "erf", 2.5, 0.4)

pytestmark = pytest.mark.filterwarnings("ignore:sigma_b ended at its lower bound")  # there is no bias in the labels


def test_two_classes_are_scikit_learns() -> None:
    """Likelihood, log odds and labels; probabilities to the error of its five error functions."""
    ours = NNGPClassifier(**SETTINGS).fit(X, Y)
    theirs = GaussianProcessClassifier(NNGPKernel(**SETTINGS), optimizer=None).fit(X, Y)
    np.testing.assert_allclose(ours.log_marginal_likelihood_value_, theirs.log_marginal_likelihood_value_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X_TEST), theirs.predict_proba(X_TEST), atol=1e-3)
    np.testing.assert_array_equal(ours.predict(X_TEST), theirs.predict(X_TEST))
    base = theirs.base_estimator_
    cross = base.kernel_(X_TEST, X)
    np.testing.assert_allclose(ours.latent_mean_and_variance(X_TEST)[0], cross @ (base.y_train_ - base.pi_), atol=1e-5)
    assert ours.converged_
    assert list(ours.classes_) == ["no", "yes"]


def test_three_classes_are_scikit_learns() -> None:
    """One against the rest, divided by the sum; the likelihood is the sum of which it has the mean."""
    ours = NNGPClassifier(**SETTINGS).fit(X, THREE)
    theirs = GaussianProcessClassifier(NNGPKernel(**SETTINGS), optimizer=None).fit(X, THREE)
    wanted = 3 * theirs.log_marginal_likelihood_value_
    np.testing.assert_allclose(ours.log_marginal_likelihood_value_, wanted, rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X_TEST), theirs.predict_proba(X_TEST), atol=1e-3)
    np.testing.assert_array_equal(ours.predict(X_TEST), theirs.predict(X_TEST))
    np.testing.assert_allclose(ours.predict_proba(X_TEST).sum(axis=1), 1, rtol=1e-14)


def test_probabilities_by_quadrature() -> None:
    """The logistic function over the Gaussian of the log odds."""
    model = NNGPClassifier(**SETTINGS).fit(X, Y)
    mean, variance = model.latent_mean_and_variance(X_TEST)
    wanted = [
        quad(lambda z, m=m, s=s: expit(m + s * z) * norm.pdf(z), -12, 12, epsabs=1e-13, epsrel=1e-12)[0]
        for m, s in zip(mean, np.sqrt(variance), strict=True)
    ]
    np.testing.assert_allclose(model.predict_proba(X_TEST)[:, 1], wanted, rtol=1e-11)
    np.testing.assert_allclose(model.predict_proba(X_TEST).sum(axis=1), 1, rtol=1e-13)
    far = model.set_params(sigma_w=100.0).fit(X, Y).predict_log_proba(100 * X_TEST)
    assert np.isfinite(far).all()
    np.testing.assert_array_equal(model.classes_[far.argmax(axis=1)], model.predict(100 * X_TEST))


@pytest.mark.parametrize("labels", [Y, THREE])
def test_likelihood_as_a_function_of_theta(labels: Any) -> None:
    """Value and, of two classes, gradient are those of Constant * NNGP; the gradient is that of differences."""
    model = NNGPClassifier(**SETTINGS).fit(X, labels)
    assert list(model.parameters_) == ["sigma_w", "sigma_b", "output_scale"]
    kernel = ConstantKernel(1.0) * NNGPKernel(**SETTINGS)
    theirs = GaussianProcessClassifier(kernel, optimizer=None).fit(X, labels)
    for theta in np.log([[2.5, 0.4, 1.0], [0.9, 1.2, 5.0]]):
        value, slopes = model.log_marginal_likelihood(theta, eval_gradient=True)
        other = np.array([2 * theta[2], theta[1], theta[0]])
        if labels is Y:
            wanted, gradient = theirs.log_marginal_likelihood(other, eval_gradient=True)
            np.testing.assert_allclose(slopes, gradient[[2, 1, 0]] * [1, 1, 2], rtol=1e-5)
        else:
            wanted = 3 * theirs.log_marginal_likelihood(other)
        np.testing.assert_allclose(value, wanted, rtol=1e-8)
        assert model.log_marginal_likelihood(theta) == value
        steps = 1e-5 * np.eye(3)
        differences = [
            (model.log_marginal_likelihood(theta + s) - model.log_marginal_likelihood(theta - s)) / 2e-5 for s in steps
        ]
        np.testing.assert_allclose(slopes, differences, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="theta must hold the logarithms of"):
        model.log_marginal_likelihood(theta[:2])
    with pytest.raises(ValueError, match="Gradient can only be evaluated for theta"):
        model.log_marginal_likelihood(eval_gradient=True)  # type: ignore[call-overload]


@pytest.mark.parametrize("labels", [Y, THREE])
@pytest.mark.parametrize("hyperparameters", ["shared", "all", "fixed"])
def test_a_fit(hyperparameters: str, labels: Any) -> None:
    """Says how it ended; theta is at its maximum; a seed repeats it, and a restart is no worse."""
    options = {**SETTINGS, "optimizer": "lbfgs", "hyperparameters": hyperparameters}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "sigma_.* ended at its", ConvergenceWarning)
        model = NNGPClassifier(**options).fit(X, labels)
        more = [NNGPClassifier(**options, n_restarts_optimizer=1, random_state=3).fit(X, labels) for _ in range(2)]
    assert model.converged_
    assert model.log_marginal_likelihood_value_ > NNGPClassifier(**SETTINGS).fit(X, labels).log_marginal_likelihood()
    theta = np.log(list(model.parameters_.values()))
    value, slopes = model.log_marginal_likelihood(theta, eval_gradient=True)
    np.testing.assert_allclose(value, model.log_marginal_likelihood_value_, rtol=1e-8)
    starts = np.log([2.5, 0.4] * 3)[: len(theta) - 1]
    free = np.append(np.abs(theta[:-1] - starts) < np.log(1e3) - 1e-9, True)  # from the bounds
    assert np.abs(slopes[free]).max() < 1e-4 * 60 * len(model.dual_coef_.T.reshape(-1, 60))
    assert more[0].log_marginal_likelihood_value_ >= model.log_marginal_likelihood_value_ - 1e-9
    assert more[0].parameters_ == more[1].parameters_
    assert more[0].network_ == more[1].network_


def test_a_fit_finds_what_scikit_learns_finds() -> None:
    """Or more, by the likelihood that both have."""
    kernel = ConstantKernel(1.0, (1e-6, 1e6)) * NNGPKernel(**SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GaussianProcessClassifier(kernel).fit(X, Y)
        ours = NNGPClassifier(**SETTINGS, optimizer="lbfgs").fit(X, Y)
    assert ours.log_marginal_likelihood_value_ > theirs.log_marginal_likelihood_value_ - 1e-3


def test_without_output_scale() -> None:
    """The sigmas alone; a network that does not end in Dense has no scale; nothing at all is an error."""
    model = NNGPClassifier(**SETTINGS, optimizer="lbfgs", output_scale=False).fit(X, Y)
    assert list(model.parameters_) == ["sigma_w", "sigma_b"]
    theta = np.log(list(model.parameters_.values()))
    value, slopes = model.log_marginal_likelihood(theta, eval_gradient=True)
    np.testing.assert_allclose(value, model.log_marginal_likelihood_value_, rtol=1e-10)
    assert np.abs(slopes).max() < 1e-4 * 60
    with pytest.raises(ValueError, match="the output scale is that of a last Dense layer"):
        NNGPClassifier(network=NET[:4], optimizer="lbfgs").fit(X, Y)
    with pytest.raises(ValueError, match="there is nothing to fit"):
        NNGPClassifier(**SETTINGS, optimizer="lbfgs", output_scale=False, hyperparameters="fixed").fit(X, Y)


def test_bias_to_start_from() -> None:
    """A sigma_b of 0 starts at 0.1 where it is fitted, and stays 0 otherwise."""
    free = NNGPClassifier(1, "erf", 2.0, optimizer="lbfgs").fit(X, Y)
    assert free.parameters_["sigma_b"] > 0
    fixed = NNGPClassifier(1, "erf", 2.0, optimizer="lbfgs", sigma_b_bounds="fixed").fit(X, Y)
    assert list(fixed.parameters_) == ["sigma_w", "output_scale"]


def test_it_is_the_posterior_of_its_network() -> None:
    """With the hyper-parameters found: coefficients, log odds, and so in a pickle."""
    model = NNGPClassifier(**SETTINGS, optimizer="lbfgs").fit(X, Y)
    k_train, k_cross = model.network_.nngp(X), model.network_.nngp(X_TEST, X)
    posterior = laplace_posterior(k_train, Y == "yes")
    np.testing.assert_array_equal(model.dual_coef_, posterior.dual_coefficients)
    wanted = posterior.latent(k_cross, model.network_.nngp.diag(X_TEST))
    for either in (model, pickle.loads(pickle.dumps(model))):
        for a, b in zip(either.latent_mean_and_variance(X_TEST), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9)


def test_accuracy_on_iris() -> None:
    """Half of it from the other half."""
    x, y = load_iris(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    model = NNGPClassifier(1, "erf", 1.0, 1.0, optimizer="lbfgs").fit(x[::2], y[::2])
    assert model.score(x[1::2], y[1::2]) > 0.93


def test_what_it_warns_of() -> None:
    """Labels by chance; samples that contradict each other at a scale beyond float64."""
    coin = np.random.default_rng(5).integers(0, 2, 60)
    with pytest.warns(ConvergenceWarning, match="all is chance: the log likelihood is"):
        NNGPClassifier(**SETTINGS, optimizer="lbfgs").fit(X, coin)
    twice, contrary = np.concatenate((X, X)), np.arange(120) // 60
    with pytest.warns(ConvergenceWarning, match="the mode of the posterior is not known to 1e-5") as caught:
        model = NNGPClassifier(1, "relu", 1e3).fit(twice, contrary)
    assert [warning.filename for warning in caught] == [__file__]
    assert not model.converged_


def test_errors() -> None:
    """One clear sentence each."""
    with pytest.raises(ValueError, match=r"a classifier needs at least two classes, got 1 class: .*no"):
        NNGPClassifier().fit(X, np.full(60, "no"))
    with pytest.raises(ValueError, match="Unknown label type"):
        NNGPClassifier().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="optimizer must be None or 'lbfgs'"):
        NNGPClassifier(optimizer="adam").fit(X, Y)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hyperparameters must be"):
        NNGPClassifier(hyperparameters="some").fit(X, Y)  # type: ignore[arg-type]
    with pytest.raises(np.linalg.LinAlgError, match="Divide the kernel"):
        NNGPClassifier(1, "erf", 1e12).fit(X, Y)


def test_weights_of_features() -> None:
    """Of a Scale are fitted, each by itself; the likelihood has them in its theta."""
    net = fastntk.Sequential(fastntk.Scale(np.ones(3)), fastntk.mlp(1, "erf", 2.0, 0.5))
    model = NNGPClassifier(network=net, optimizer="lbfgs", hyperparameters="shared").fit(X, Y)
    assert len(model.parameters_) == 6
    theta = np.log(list(model.parameters_.values()))
    value, slopes = model.log_marginal_likelihood(theta + 0.3, eval_gradient=True)
    differences = [
        (model.log_marginal_likelihood(theta + 0.3 + s) - model.log_marginal_likelihood(theta + 0.3 - s)) / 2e-5
        for s in 1e-5 * np.eye(6)
    ]
    np.testing.assert_allclose(slopes, differences, rtol=1e-5, atol=1e-6)
    assert value < model.log_marginal_likelihood_value_
