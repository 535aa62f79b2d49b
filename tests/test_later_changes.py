"""What users change after a call, or in an answer, changes no later answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.inference import FunctionalFlow, GaussianProcess, GradientFlow, functional_flow

NET = fastntk.mlp(1, "erf", 2.0, 1.0)
X = np.linspace(-1, 1, 6)[:, None]
Y = np.sin(2 * X[:, 0])


def test_noise() -> None:
    """Of every sample, in estimators and processes."""
    sklearn = pytest.importorskip("fastntk.sklearn")
    noise = np.full(6, 0.01)
    model, process = sklearn.NNGPRegressor(noise=noise).fit(X, Y), GaussianProcess(NET, X, Y, noise=noise)
    before = model.log_marginal_likelihood(np.zeros(len(model.parameters_))), process.predict(X).mean
    noise[:] = 100
    np.testing.assert_array_equal(model.noise_, 0.01)
    assert model.log_marginal_likelihood(np.zeros(len(model.parameters_))) == before[0]
    np.testing.assert_array_equal(process.predict(X).mean, before[1])


def test_times() -> None:
    """Of a flow."""
    t = np.array([0.0, 1.0])
    flow: FunctionalFlow = functional_flow(NET.ntk(X), lambda f: f - Y, t, f0_train=np.zeros(6))
    t[1] = 99
    np.testing.assert_array_equal(flow.t, [0, 1])


@pytest.mark.parametrize("name", ["eigenvalues", "NTKRegressor", "NTKClassifier", "NNGPRegressor", "NNGPClassifier"])
def test_what_answers_are_made_of(name: str) -> None:
    """Cannot be written to."""
    if name == "eigenvalues":
        array: Any = GradientFlow(NET.ntk(X), Y).eigenvalues
    else:
        model = getattr(pytest.importorskip("fastntk.sklearn"), name)()
        array = model.fit(X, np.arange(6) % 2).X_fit_
    with pytest.raises(ValueError, match="read-only"):
        array[:] = 0


@pytest.mark.parametrize("mean", ["constant", "a function", 0.5])
@pytest.mark.parametrize("standardize", [False, True])
def test_fantasies_keep_their_units(mean: Any, standardize: bool) -> None:
    """A fit of several futures has the means and deviations of the past."""
    y = np.stack([Y, 3 * Y + 1], axis=1)
    given = (lambda x: np.repeat(x, 2, axis=1)) if mean == "a function" else mean
    model = GaussianProcess(NET, X, y, noise=1e-3, mean=given, standardize=standardize)
    futures = model.fantasize(X[:2] + 0.1, 3, rng=0)
    fitted = futures.fit(hyperparameters="fixed")
    np.testing.assert_array_equal(fitted.scale, futures.scale)
    np.testing.assert_array_equal(fitted.constant, futures.constant)
    assert fitted.predict(X).mean.shape == futures.predict(X).mean.shape == (6, 6)
