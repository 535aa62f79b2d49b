"""Estimators: scikit-learn's own checks, and agreement with its models on the same kernels."""

from __future__ import annotations

import importlib
import pickle
import sys
from typing import Any

import numpy as np
import pytest

import fastntk

pytest.importorskip("sklearn")
from sklearn.datasets import load_iris
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastntk.inference import GradientFlow
from fastntk.inference.cholesky import cholesky
from fastntk.sklearn import (
    NNGPClassifier,
    NNGPKernel,
    NNGPRegressor,
    NTKClassifier,
    NTKKernel,
    NTKRegressor,
    NystromNTKClassifier,
    NystromNTKRegressor,
)

rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(40, 3)), rng.normal(size=(10, 3))
Y = np.stack((np.sin(X[:, 0]), 5 + 3 * X[:, 1] ** 2), axis=1) + 0.1 * rng.normal(size=(40, 2))
SETTINGS: dict[str, Any] = {"depth": 2, "activation": "erf", "sigma_w": 1.5, "sigma_b": 0.3}
NET = fastntk.mlp(2, "erf", 1.5, 0.3)

#: Rows of norm 20 and no bias: a weight is the ridge over it, and still small beside the kernel. With a bias it passes.
SMALL_WEIGHTS = {"check_class_weight_classifiers": "a weight of 1e-4 is a ridge of 100, beside a kernel of 400"}


@pytest.mark.filterwarnings("ignore:.* landmarks were found")
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        NNGPRegressor(),
        NNGPClassifier(),
        NTKRegressor(),
        NTKRegressor(t=1.0),
        NTKClassifier(),
        NTKClassifier(sigma_b=1.0, probability="temperature"),
        NystromNTKRegressor(n_landmarks=50),
        NystromNTKClassifier(n_landmarks=50, sigma_b=1.0, ridge=1e-2),
    ],
    expected_failed_checks=lambda estimator: SMALL_WEIGHTS if repr(estimator) == "NTKClassifier()" else {},
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    """Those of every estimator."""
    check(estimator)


def test_nngp_regressor_is_a_gaussian_process() -> None:
    """Means, deviations, covariances and likelihood of scikit-learn's, with both outputs."""
    model = NNGPRegressor(**SETTINGS, noise=0.05).fit(X, Y)
    theirs = GaussianProcessRegressor(NNGPKernel(**SETTINGS), alpha=0.05, optimizer=None).fit(X, Y)
    for option in ({}, {"return_std": True}, {"return_cov": True}):
        ours, wanted = model.predict(X_TEST, **option), theirs.predict(X_TEST, **option)
        for a, b in zip(ours if option else [ours], wanted if option else [wanted], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(model.log_marginal_likelihood_value_, theirs.log_marginal_likelihood_value_, rtol=1e-10)
    assert model.sample_y(X_TEST, 3).shape == (10, 2, 3)
    with pytest.raises(ValueError, match="exclude each other"):
        model.predict(X_TEST, return_std=True, return_cov=True)


def test_nngp_regressor_fits_its_parameters() -> None:
    """The likelihood rises; the network given is left as it is."""
    fixed = NNGPRegressor(**SETTINGS, normalize_y=True).fit(X, Y)
    found = NNGPRegressor(**SETTINGS, normalize_y=True, optimizer="lbfgs").fit(X, Y)
    assert found.log_marginal_likelihood_value_ > fixed.log_marginal_likelihood_value_ + 1
    assert found.network_ != NET == fixed.network_
    assert found.sigma_w == 1.5
    assert found.score(X, Y) > 0.9
    with pytest.raises(ValueError, match="optimizer must be None or 'lbfgs'"):
        NNGPRegressor(optimizer="adam").fit(X, Y)  # type: ignore[arg-type]


def test_ntk_regressor_at_the_end_is_kernel_ridge() -> None:
    """On the same kernel; a network may be given instead of its parameters."""
    wanted = KernelRidge(alpha=0.1, kernel=NTKKernel(**SETTINGS)).fit(X, Y).predict(X_TEST)
    for model in (NTKRegressor(**SETTINGS, ridge=0.1), NTKRegressor(network=NET, ridge=0.1)):
        np.testing.assert_allclose(model.fit(X, Y).predict(X_TEST), wanted, rtol=1e-8)
    long = NTKRegressor(**SETTINGS, ridge=0.1, t=1e6).fit(X, Y)
    np.testing.assert_allclose(long.predict(X_TEST), wanted, rtol=1e-6)


@pytest.mark.parametrize("t", [None, 0.0, 0.5])
def test_ntk_regressor_is_gradient_flow(t: float | None) -> None:
    """Means and deviations over initialisations, with and without standardised targets."""
    time = np.inf if t is None else t
    for normalize_y in (False, True):
        centre, scale = (Y.mean(axis=0), Y.std(axis=0)) if normalize_y else (np.zeros(2), np.ones(2))
        model = NTKRegressor(**SETTINGS, ridge=0.1, t=t, normalize_y=normalize_y).fit(X, Y)
        flow = GradientFlow(NET.ntk(X), (Y - centre) / scale, nngp_train=NET.nngp(X), ridge=0.1)
        mean, covariance = model.predict(X_TEST, return_cov=True)
        np.testing.assert_allclose(mean, centre + scale * flow.mean(time, NET.ntk(X_TEST, X)), rtol=1e-8)
        wanted = flow.covariance(time, NET.ntk(X_TEST, X), NET.nngp(X_TEST, X), NET.nngp(X_TEST))
        np.testing.assert_allclose(covariance, wanted[..., None] * scale**2, atol=1e-9)
        std = model.predict(X_TEST, return_std=True)[1]
        np.testing.assert_allclose(std, np.sqrt(np.diag(wanted))[:, None] * scale, rtol=1e-6)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_classifier(kind: str) -> None:
    """It is regression on one-hot labels; three classes, two classes, labels of any kind."""
    x, y = load_iris(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    net = fastntk.mlp(1, "relu", 1.4, 0.1)
    kernel = net.ntk if kind == "ntk" else net.nngp
    model = NTKClassifier(1, "relu", 1.4, 0.1, kind=kind, ridge=0.01).fit(x[::2], y[::2])  # type: ignore[arg-type]
    weights = np.linalg.solve(kernel(x[::2]) + 0.01 * np.eye(75), np.eye(3)[y[::2]] - 1 / 3)
    np.testing.assert_allclose(model.decision_function(x[1::2]), kernel(x[1::2], x[::2]) @ weights, rtol=1e-7)
    assert model.score(x[1::2], y[1::2]) > 0.85
    names = np.array(["no", "yes"])[(y == 2).astype(int)]
    two = NTKClassifier(2, "relu", 1.4, 0.1).fit(x[::2], names[::2])
    assert two.decision_function(x[1::2]).shape == (75,)
    assert two.score(x[1::2], names[1::2]) > 0.85


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_classifier_is_accurate(kind: str) -> None:
    """More than 0.9 of iris in cross-validation."""
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), NTKClassifier(1, "relu", 1.4, 0.1, kind=kind))  # type: ignore[arg-type]
    assert cross_val_score(model, x, y).mean() > 0.9


@pytest.mark.parametrize("t", [None, 0.5])
def test_a_fit_stays_as_it_is(t: float | None) -> None:
    """Parameters set later take effect in the next fit, and do not mix with this one; so does a pickle."""
    model = NTKRegressor(**SETTINGS, ridge=0.1, t=t).fit(X, Y)
    wanted = NTKRegressor(**SETTINGS, ridge=0.1, t=t).fit(X, Y).predict(X_TEST, return_std=True)
    model.set_params(ridge=10.0, t=3.0, depth=5)
    for either in (model, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(either.predict(X_TEST, return_std=True), wanted)
    labels = Y[:, 0] > 0
    classifier = NTKClassifier(**SETTINGS).fit(X, labels)
    scores = classifier.decision_function(X_TEST)
    classifier.set_params(kind="nngp")
    np.testing.assert_array_equal(classifier.decision_function(X_TEST), scores)
    assert not np.allclose(classifier.fit(X, labels).decision_function(X_TEST), scores)


def test_random_states() -> None:
    """Whatever scikit-learn takes; the same seed, the same draws."""
    model = NNGPRegressor(**SETTINGS).fit(X, Y)
    for make in (lambda: 3, lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)):
        np.testing.assert_array_equal(model.sample_y(X_TEST, 2, make()), model.sample_y(X_TEST, 2, make()))


def test_one_factorisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting makes one, predicting none."""
    calls: list[str] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append("cholesky")
        return cholesky(*arguments, **options)

    for module in ("inference.process.observed", "inference.evidence", "inference.cholesky"):
        monkeypatch.setattr(f"fastntk.{module}.cholesky", counted)
    NNGPRegressor(**SETTINGS).fit(X, Y).predict(X_TEST, return_cov=True)
    assert len(calls) == 1


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "fastntk.sklearn")
    with pytest.raises(ImportError, match=r'pip install "fastntk\[sklearn\]"'):
        importlib.import_module("fastntk.sklearn")


def test_errors() -> None:
    """One clear sentence each."""
    twice = np.concatenate((X, X[:1]))
    y = np.append(Y[:, 0], 0.0)
    with pytest.raises(np.linalg.LinAlgError, match=r"rows 0 and 40 are duplicates.*ridge="):
        NTKRegressor(**SETTINGS, ridge=0.0).fit(twice, y)
    with pytest.raises(np.linalg.LinAlgError, match=r"rows 0 and 40 are duplicates.*noise="):
        NNGPRegressor(**SETTINGS, noise=0.0).fit(twice, y)
    with pytest.raises(ValueError, match="ridge must be >= 0"):
        NTKClassifier(ridge=-1.0).fit(X, Y[:, 0] > 0)
    with pytest.raises(ValueError, match="kind must be 'ntk' or 'nngp'"):
        NTKClassifier(kind="rbf").fit(X, Y[:, 0] > 0)  # type: ignore[arg-type]
    for estimator in (
        NTKRegressor,
        NTKClassifier,
        NNGPRegressor,
        NNGPClassifier,
        NystromNTKRegressor,
        NystromNTKClassifier,
    ):
        name = estimator.__name__
        with pytest.raises(TypeError, match=rf"^depth is a network: pass it by name, {name}\(network=\.\.\.\)\.$"):
            estimator(NET).fit(X, Y[:, 0] > 0)
    with pytest.raises(TypeError, match=r"network must be a fastntk\.Sequential"):
        NTKRegressor(network="relu").fit(X, Y)  # type: ignore[arg-type]
