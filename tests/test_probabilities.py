"""Probabilities and weights of the classifier: by refitting without each sample, by repeating samples, on real data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk

pytest.importorskip("sklearn")
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastntk.sklearn import NTKClassifier

NET = fastntk.mlp(2, "relu", 2**0.5, 0.1)
rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(40, 3)), rng.normal(size=(15, 3))


def labels(k: int) -> NDArray[np.intp]:
    """Noisy ones of k classes."""
    scores = X[:, :k] if k > 2 else np.stack((0 * X[:, 0], X[:, 0]), axis=1)
    return np.asarray((scores + 0.7 * np.random.default_rng(1).normal(size=scores.shape)).argmax(axis=1))


def model(**options: Any) -> NTKClassifier:
    """With probabilities."""
    return NTKClassifier(**{"network": NET, "ridge": 0.1, "probability": "temperature", **options})


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_temperature(k: int, weighted: bool) -> None:
    """Of the least log loss of the outputs of fits without each sample, or 1 of its weight."""
    y, weights = labels(k), rng.uniform(0.2, 3, size=40) if weighted else np.ones(40)
    fitted = model().fit(X, y, weights if weighted else None)
    left_out = []
    for i in range(40):
        without = weights.copy()
        without[i] -= min(1, weights[i])
        scores = NTKClassifier(network=NET, ridge=0.1).fit(X, y, without).decision_function(X)[i]
        left_out.append(scores if k > 2 else [0.0, scores])
    right = (weights.sum() + 1) / (weights.sum() + 2)
    target = np.where(np.arange(k) == y[:, None], right, (1 - right) / (k - 1))

    def loss(log_t: float) -> float:
        return -float(weights @ (target * log_softmax(np.array(left_out) / np.exp(log_t), axis=1)).sum(axis=1))

    wanted = np.exp(minimize_scalar(loss, bracket=(-3, 0)).x)
    np.testing.assert_allclose(fitted.temperature_, wanted, rtol=1e-4)
    scores = fitted.decision_function(X_TEST)
    scores = scores if k > 2 else np.stack((0 * scores, scores), axis=1)
    found = fitted.predict_proba(X_TEST)
    np.testing.assert_allclose(found, softmax(scores / fitted.temperature_, axis=1), rtol=1e-12)
    np.testing.assert_array_equal(fitted.classes_[found.argmax(axis=1)], fitted.predict(X_TEST))


def test_all_right_or_all_wrong() -> None:
    """The temperature is finite and above 0; pure noise has no confidence."""
    far = np.concatenate((X[:20] + 100, X[20:] - 100))
    fitted = model().fit(far, np.arange(40) < 20)
    assert 0 < fitted.temperature_ < 1
    assert fitted.predict_proba(far).max(axis=1).min() > 0.9
    alternating = model(ridge=1e-4).fit(np.arange(40.0)[:, None], np.arange(40) % 2)
    np.testing.assert_allclose(alternating.predict_proba([[3.5]]), 0.5, atol=0.02)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("k", [2, 3])
def test_weights_are_repetitions(kind: str, k: int) -> None:
    """Two is a sample twice, zero is none, to the last bit: (K + ridge diag(1/w))^-1 y."""
    y, weights = labels(k), np.random.default_rng(2).integers(0, 4, size=40)
    repeated = np.repeat(np.arange(40), weights)
    for class_weight in (None, "balanced", {c: 1.0 + c for c in range(k)}):
        options: dict[str, Any] = {"kind": kind, "class_weight": class_weight}
        found = model(**options).fit(X, y, weights)
        wanted = model(**options).fit(X[repeated], y[repeated])
        scores = wanted.decision_function(X_TEST)
        np.testing.assert_allclose(found.decision_function(X_TEST), scores, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(found.predict_proba(X_TEST), wanted.predict_proba(X_TEST), rtol=1e-4)
        there = weights > 0
        without = model(**options).fit(X[there], y[there], weights[there])
        np.testing.assert_array_equal(found.decision_function(X_TEST), without.decision_function(X_TEST))
    kernel = NET.ntk if kind == "ntk" else NET.nngp
    w = rng.uniform(0.1, 3, size=40)
    targets = np.where(y == 1, 1.0, -1.0) if k == 2 else np.eye(k)[y] - 1 / k
    alpha = np.linalg.solve(kernel(X) + np.diag(0.1 / w), targets)
    np.testing.assert_allclose(model(kind=kind).fit(X, y, w).dual_coef_, alpha, rtol=1e-8, atol=1e-10)


def test_balanced_classes() -> None:
    """Each class has the same sum of weights; a dictionary is by label."""
    y = np.where(np.arange(40) < 30, "many", "few")
    balanced = model(class_weight="balanced").fit(X, y)
    by_hand = model(class_weight={"many": 40 / 60, "few": 40 / 20}).fit(X, y)
    as_samples = model().fit(X, y, np.where(y == "many", 40 / 60, 40 / 20))
    for other in (by_hand, as_samples):
        np.testing.assert_allclose(balanced.dual_coef_, other.dual_coef_, rtol=1e-12)
    # the probabilities are those of the labels as they came
    assert balanced.temperature_ == by_hand.temperature_ != as_samples.temperature_


@pytest.mark.parametrize(("data", "most"), [(load_breast_cancer, 0.083), (load_wine, 0.071)])
def test_log_loss(data: Any, most: float) -> None:
    """Below those of scikit-learn's calibrations: by temperature as given here, by its default as it runs."""
    x, y = data(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    ours = make_pipeline(StandardScaler(), model(ridge=0.01))
    theirs = make_pipeline(StandardScaler(), CalibratedClassifierCV(NTKClassifier(network=NET)))
    losses = [-cross_val_score(m, x, y, cv=folds, scoring="neg_log_loss").mean() for m in (ours, theirs)]
    assert losses[0] < most
    assert losses[0] < losses[1]


def test_predict_proba_is_there_only_if_asked_for() -> None:
    """As SVC's is: before a fit too, and not of a fit that was without."""
    assert not hasattr(NTKClassifier(), "predict_proba")
    assert hasattr(model(), "predict_proba")
    plain = NTKClassifier(network=NET).fit(X, labels(2))
    assert not hasattr(plain, "temperature_")
    plain.set_params(probability="temperature")
    with pytest.raises(NotFittedError):
        plain.predict_proba(X)
    assert log_loss(labels(2), plain.fit(X, labels(2)).predict_proba(X)) < 0.7
    plain.set_params(probability=None).fit(X, labels(2))
    assert not hasattr(plain, "temperature_")


def test_one_weight_for_all() -> None:
    """Is each sample so many times, or the ridge so much smaller."""
    y = labels(2)
    one, ridge = model(), model(ridge=0.1 / 3)
    one.fit(X, y, sample_weight=3.0)
    ridge.fit(X, y)
    np.testing.assert_allclose(one.decision_function(X), ridge.decision_function(X), rtol=1e-9)


def test_errors() -> None:
    """One clear sentence each."""
    y = labels(2)
    with pytest.raises(TypeError, match="probability must be None or 'temperature', got True"):
        model(probability=True).fit(X, y)
    for weights, sentence in (
        (np.ones(39), r"sample_weight must have shape \(40,\), got \(39,\)"),
        (np.where(np.arange(40) == 7, -1.0, 1.0), r"sample_weight must be >= 0, got -1 \(first at 7\)"),
        (np.where(np.arange(40) == 7, np.nan, 1.0), "sample_weight contains nan"),
        (np.zeros(40), "sample_weight is zero for all samples"),
        ((y == 1).astype(float), "at least two classes, got 1 class"),
    ):
        with pytest.raises(ValueError, match=sentence):
            model().fit(X, y, weights)
    for value in ({0: 0.0, 1: 1.0}, {0: -1.0}, {0: np.nan}):
        with pytest.raises(ValueError, match="class_weight must be finite and > 0"):
            model(class_weight=value).fit(X, y)
    with pytest.raises(ValueError, match="class_weight"):
        model(class_weight="equal").fit(X, y)
