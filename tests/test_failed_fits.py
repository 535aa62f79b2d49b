"""A fit that fails leaves the one before as it was: estimators never predict with half of a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from fastntk.sklearn import (
    NNGPClassifier,
    NNGPRegressor,
    NTKClassifier,
    NTKFeatures,
    NTKRegressor,
    NystromNTKClassifier,
    NystromNTKRegressor,
)

rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(30, 3)), rng.normal(size=(5, 3))
Y, LABELS = np.sin(X[:, 0]), np.arange(30) % 3
NAMES = np.array(["a", "b", "c"], object)
TWICE = np.concatenate((X, X))  # singular without noise
OTHER = {"depth": 2, "activation": "erf", "sigma_w": 3.0, "sigma_b": 0.7}

#: A model, its targets, what makes the next fit fail at its end, and that fit's targets.
CASES: dict[str, tuple[Any, Any, dict[str, Any], Any]] = {
    "NNGPRegressor": (NNGPRegressor(noise=0.1), Y, {"noise": 0.0, "normalize_y": True}, np.tile(5 * Y + 3, 2)),
    "NNGPRegressor, lbfgs": (
        NNGPRegressor(noise=0.1, sigma_b=0.3, optimizer="lbfgs"),
        Y,
        {"noise": 0.0, "optimizer": None, "output_scale": False},
        np.tile(5 * Y + 3, 2),
    ),
    "NNGPClassifier": (
        NNGPClassifier(sigma_b=0.3, optimizer="lbfgs"),
        LABELS,
        {"optimizer": None, "sigma_w": 1e12, "output_scale": False},
        np.arange(60) % 2 + 7,
    ),
    "NTKRegressor": (NTKRegressor(), Y, {"ridge": 0.0, "t": None, "normalize_y": True}, np.tile(5 * Y + 3, 2)),
    "NTKRegressor, t": (NTKRegressor(t=2.0), Y, {"ridge": 0.0, "t": None}, np.tile(5 * Y, 2)),
    "NTKClassifier": (
        NTKClassifier(probability="temperature"),
        LABELS,
        {"ridge": 0.0, "kind": "nngp"},
        np.arange(60) % 2,
    ),
    "NystromNTKRegressor": (NystromNTKRegressor(random_state=0), Y, {"tol": -1.0}, np.tile(5 * Y, 2)),
    "NystromNTKClassifier": (NystromNTKClassifier(random_state=0), LABELS, {"tol": -1.0}, np.arange(60) % 2 + 7),
    "NTKFeatures": (
        NTKFeatures(random_state=0),
        Y,
        {"network": fastntk.mlp(1, "relu", 2.0, frozen=2), "n_components": 50},
        np.tile(Y, 2),
    ),
}


def answers(model: Any) -> list[Any]:
    """All that it predicts."""
    methods = ["transform", "predict", "decision_function", "predict_proba"]
    found = [getattr(model, name)(X_TEST) for name in methods if hasattr(model, name)]
    if isinstance(model, (NNGPRegressor, NTKRegressor)):
        found += model.predict(X_TEST, return_std=True)
    if isinstance(model, (NNGPRegressor, NNGPClassifier)):
        theta = np.zeros(len(model.parameters_))
        found += [model.log_marginal_likelihood(), *model.log_marginal_likelihood(theta, eval_gradient=True)]
    return found


def fail(model: Any, changed: dict[str, Any], x: Any, y: Any) -> None:
    """Fit with other parameters, some of which make it fail."""
    model.set_params(**(({} if "network" in changed else OTHER) | changed))
    with pytest.raises((np.linalg.LinAlgError, ValueError)):
        model.fit(x, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:only .* landmarks", "ignore:sigma_. ended")
@pytest.mark.parametrize("name", CASES)
def test_a_fit_that_fails_leaves_the_one_before(name: str) -> None:
    """All answers are those of the old fit, whatever parameters were changed."""
    made, y, changed, other = CASES[name]
    model = clone(made).fit(X, y)
    wanted = answers(model)
    fail(model, changed, TWICE, other)
    for found, before in zip(answers(model), wanted, strict=True):
        np.testing.assert_array_equal(found, before)


@pytest.mark.parametrize("model", [NystromNTKRegressor, NystromNTKClassifier])
def test_a_fit_that_does_not_converge_warns_as_scikit_learn_does(model: Any) -> None:
    """Once, with its name for the number of iterations."""
    x = np.random.default_rng(1).normal(size=(400, 3))
    with pytest.warns(ConvergenceWarning, match="iterations, not 1e-09; allow for more by max_iter") as caught:
        model(1, sigma_b=0.3, n_landmarks=50, max_iter=1, tol=1e-9, ridge=1e-6, random_state=0).fit(x, x[:, 0] > 0)
    assert [w.category for w in caught] == [ConvergenceWarning]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:only .* landmarks", "ignore:sigma_. ended")
@pytest.mark.parametrize("name", CASES)
def test_other_features_that_fail(name: str) -> None:
    """The old fit knows how many features it had, and their names."""
    made, y, changed, other = CASES[name]
    model = clone(made).fit(X, y)
    model.feature_names_in_ = NAMES  # as of a data frame
    before = dict(vars(model))
    fail(model, changed, TWICE[:, :2], other)
    assert model.n_features_in_ == 3
    assert model.feature_names_in_ is NAMES
    assert before.keys() == vars(model).keys()


@pytest.mark.parametrize("samples", ["a memory map", "sequences"])
def test_names_of_another_fit(samples: str, tmp_path: Path) -> None:
    """Are gone where features have none."""
    model = NystromNTKRegressor(n_landmarks=5, random_state=0).fit(X, Y)
    model.feature_names_in_ = NAMES  # as of a data frame
    data: Any = fastntk.Sequences(X[:, None])
    if samples == "a memory map":
        np.save(tmp_path / "X.npy", X)
        data = np.load(tmp_path / "X.npy", mmap_mode="r")
    else:
        model.set_params(network=fastntk.rnn(1, "relu"))
    model.fit(data, Y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 3
