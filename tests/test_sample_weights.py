"""Weights of samples in regression: a weight is so many copies, or the loss that its sum is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastntk

pytest.importorskip("sklearn")
from fastntk.sklearn import NTKRegressor

NET = fastntk.mlp(2, "relu", 1.4, 0.3)
rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(20, 3)), rng.normal(size=(6, 3))
Y = np.stack((np.sin(X[:, 0]), 5 + 3 * X[:, 1]), axis=1)
COUNTS = np.arange(20) % 4


@pytest.mark.parametrize("normalize_y", [False, True])
@pytest.mark.parametrize("t", [None, 0.5])
@pytest.mark.parametrize("y", [Y, Y[:, 0]], ids=["two outputs", "one"])
def test_copies(t: float | None, y: Any, normalize_y: bool) -> None:
    """Means, deviations and covariances are those of so many copies of every sample, of none too."""
    settings: dict[str, Any] = {"t": t, "ridge": 0.03, "normalize_y": normalize_y}
    one = NTKRegressor(network=NET, **settings).fit(X, y, COUNTS)
    copies = NTKRegressor(network=NET, **settings).fit(np.repeat(X, COUNTS, 0), np.repeat(y, COUNTS, 0))
    for option in ({}, {"return_std": True}, {"return_cov": True}):
        ours, wanted = one.predict(X_TEST, **option), copies.predict(X_TEST, **option)
        for a, b in zip(ours if option else [ours], wanted if option else [wanted], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    mean = 0.0 if not normalize_y else np.average(y, axis=0, weights=COUNTS)
    scale = 1.0 if not normalize_y else np.repeat(y, COUNTS, 0).std(axis=0)
    linear = NET.ntk(X_TEST, one.X_fit_) @ one.dual_coef_ * scale + mean
    np.testing.assert_allclose(one.predict(X_TEST), linear, rtol=1e-8, atol=1e-10)


def test_a_time_is_of_the_weighted_loss() -> None:
    """Outputs are those of the flow f' = -Theta (w (f - y) + ridge a), f = Theta a, integrated step by step."""
    weights, theta = rng.uniform(0.1, 5, size=20), NET.ntk(X)
    model = NTKRegressor(network=NET, t=0.4, ridge=0.2).fit(X, Y[:, 0], weights)
    path = solve_ivp(
        lambda _, a: -(weights * (theta @ a - Y[:, 0]) + 0.2 * a), (0, 0.4), np.zeros(20), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(model.predict(X_TEST), NET.ntk(X_TEST, X) @ path.y[:, -1], rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("weights", [np.full(20, 1e80), np.where(COUNTS > 1, 1e80, 1e-3), np.where(COUNTS > 1, 1, 1e9)])
def test_far_weights(weights: Any) -> None:
    """At the end of training any are told apart; eigenvalues do not, and say so before work starts."""
    model = NTKRegressor(network=NET, ridge=1e-3).fit(X, Y, weights)
    dual = np.linalg.solve(NET.ntk(X) + 1e-3 * np.diag(1 / weights), Y)
    np.testing.assert_allclose(model.predict(X_TEST), NET.ntk(X_TEST, X) @ dual, rtol=1e-7)
    if np.ptp(weights) > 0:
        with pytest.raises(ValueError, match=r"for deviations, weights must be within 1e\+06 of each other, got some"):
            model.predict(X_TEST, return_std=True)
        with pytest.raises(ValueError, match="with a training time"):
            NTKRegressor(network=NET, t=1.0).fit(X, Y, weights)


def test_doors() -> None:
    """Of sequences too; weights of 1 are none, to the bit; and bad ones are told before work starts."""
    many = fastntk.Sequences([rng.normal(size=(length, 2)) for length in (3, 1, 4, 2)])
    net, y, weights = fastntk.rnn(), np.array([0.0, 1.0, -1.0, 0.5]), np.array([1.0, 0.0, 2.0, 1.0])
    model = NTKRegressor(network=net, ridge=0.1).fit(many, y, weights)
    copies = NTKRegressor(network=net, ridge=0.1).fit(many[[0, 2, 2, 3]], y[[0, 2, 2, 3]])
    np.testing.assert_allclose(model.predict(many), copies.predict(many), rtol=1e-9)
    plain, ones = NTKRegressor(network=NET).fit(X, Y), NTKRegressor(network=NET).fit(X, Y, np.ones(20))
    np.testing.assert_array_equal(plain.predict(X_TEST), ones.predict(X_TEST))
    with pytest.raises(ValueError, match=r"sample_weight must be >= 0, got -1 \(first at 3\)"):
        NTKRegressor(network=NET).fit(X, Y, np.where(np.arange(20) == 3, -1, 1))
