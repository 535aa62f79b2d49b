"""Arguments of fits are looked at before any work, and whether or not this fit needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.inference import fit_marginal_likelihood

NET = fastntk.mlp(1, "erf", 1.0, 0.5)
rng = np.random.default_rng(0)
X = rng.normal(size=(20, 2))
Y = np.sin(X[:, 0])

WRONG: list[tuple[str, Any, type[Exception], str]] = [
    ("hyperparameters", "no", ValueError, "hyperparameters must be 'shared' or 'all' or 'fixed', got 'no'"),
    ("output_scale", "no", TypeError, "output_scale must be True or False, got 'no'"),
    ("random_state", "a", TypeError, "random_state must be a Generator, an integer >= 0 or None, got 'a'"),
    ("noise_bounds", (2.0, 1.0), ValueError, "noise_bounds must be a pair of numbers > 0 in ascending order"),
    ("noise_bounds", "free", TypeError, "noise_bounds must be a pair of numbers, 'fixed' or None, got 'free'"),
    ("sigma_w_bounds", 3, TypeError, "sigma_w_bounds must be a pair"),
]


@pytest.mark.parametrize(
    ("name", "value", "error", "sentence"), [*WRONG, ("callback", 3, TypeError, "callback must be a callable or None")]
)
def test_of_a_fit(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any, error: type[Exception], sentence: str
) -> None:
    """Before the first evaluation, and without restarts."""
    monkeypatch.setattr("fastntk.inference.fitting.search.Likelihood", None)
    with pytest.raises(error, match=sentence):
        fit_marginal_likelihood(NET, X, Y, **{name: value})


@pytest.mark.parametrize("optimizer", [None, "lbfgs"])
@pytest.mark.parametrize(
    ("name", "value", "error", "sentence"),
    [*WRONG, ("normalize_y", "no", TypeError, "normalize_y must be True or False, got 'no'")],
)
def test_of_the_estimator(optimizer: Any, name: str, value: Any, error: type[Exception], sentence: str) -> None:
    """With an optimiser and without."""
    pytest.importorskip("sklearn")
    from fastntk.sklearn import NNGPRegressor

    with pytest.raises(error, match=sentence):
        NNGPRegressor(network=NET, optimizer=optimizer, **{name: value}).fit(X, Y)


@pytest.mark.parametrize("value", [np.array([1, 2]), 3, ["lbfgs"]])
def test_optimizer_is_a_name(value: Any) -> None:
    """An array is none."""
    pytest.importorskip("sklearn")
    from fastntk.sklearn import NNGPRegressor

    with pytest.raises(TypeError, match="optimizer must be None or 'lbfgs', got"):
        NNGPRegressor(optimizer=value).fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")
@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_sigmas_of_each_layer(kind: Any) -> None:
    """Are fitted from where they are given; one of 0 stays, all of 0 start at 0.1."""
    pytest.importorskip("sklearn")
    from fastntk.sklearn import NNGPRegressor

    for biases, start in (([0.1, 0.1, 0.1],) * 2, ([0.0, 0.2, 0.0],) * 2, ([0.0, 0.0, 0.0], [0.1] * 3)):
        sigma_w = [1.0, 1.5, 0.7]
        model = NNGPRegressor(2, "erf", kind(sigma_w), kind(biases), optimizer="lbfgs", hyperparameters="all").fit(X, Y)
        wanted = fit_marginal_likelihood(fastntk.mlp(2, "erf", sigma_w, start), X, Y, noise=0.01, hyperparameters="all")
        assert model.network_ == wanted.network
