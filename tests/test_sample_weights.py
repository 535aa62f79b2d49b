"""Weights of samples in regression: a weight is so many copies, or the loss that its sum is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastntk
from fastntk.solvers import nystrom

pytest.importorskip("sklearn")
from fastntk.sklearn import NTKClassifier, NTKRegressor, NystromNTKClassifier, NystromNTKRegressor

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


def test_one_outweighs_all() -> None:
    """Targets are told apart all the same where their weighted deviation is rounding."""
    weights = np.where(np.arange(20) == 3, 1e30, 1.0)
    standardised, plain = (
        NTKRegressor(network=NET, ridge=1e-3, normalize_y=normalize_y).fit(X, Y + 4 - Y[3], weights).predict(X)
        for normalize_y in (True, False)
    )
    np.testing.assert_allclose(standardised[COUNTS == 0], plain[COUNTS == 0], atol=0.1)
    assert np.ptp(standardised, axis=0).min() > 1


def test_weights_as_far_apart_as_may_be() -> None:
    """What a fit takes its deviations take."""
    for small in np.random.default_rng(1).uniform(0.1, 1, size=20):
        weights = np.where(np.arange(20) == 3, small * 1e6, small)
        model = NTKRegressor(network=NET, t=1.0).fit(X, Y, weights)
        assert np.isfinite(model.predict(X_TEST, return_std=True)[1]).all()


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


MANY = rng.normal(size=(900, 3))
TARGETS = np.stack((np.sin(2 * MANY[:, 0]), MANY[:, 1] * MANY[:, 2]), axis=1)
OF_MANY = np.where(np.arange(900) % 5 == 0, 0.0, 10 ** rng.uniform(-3, 3, size=900))
LANDMARKS = MANY[:60]
SOLVER: dict[str, Any] = {"landmarks": LANDMARKS, "ridge": 0.1, "tol": 1e-10, "rng": 0}


def chunks(weights: Any = OF_MANY, y: Any = TARGETS, borders: Any = (0, 1, 500, 501, 900)) -> Iterator[tuple[Any, ...]]:
    """Uneven ones, without any weights where there are none."""
    for part in (slice(*ends) for ends in pairwise(borders)):
        yield (MANY[part], y[part]) if weights is None else (MANY[part], y[part], weights[part])


def test_landmarks() -> None:
    """Least squares of weighted rows, by their definition, over any chunks; rows of weight 0 are not chosen."""
    root = np.sqrt(OF_MANY)[:, None]
    stacked = np.concatenate((root * NET.ntk(MANY, LANDMARKS), 0.1**0.5 * np.linalg.cholesky(NET.ntk(LANDMARKS)).T))
    a = np.linalg.lstsq(stacked, np.concatenate((root * TARGETS, np.zeros((60, 2)))))[0]
    for model in (nystrom(NET, MANY, TARGETS, weights=OF_MANY.tolist(), **SOLVER), nystrom(NET, chunks, **SOLVER)):
        assert model.converged
        np.testing.assert_allclose(model.predict(X_TEST), NET.ntk(X_TEST, LANDMARKS) @ a, atol=1e-7)
    chosen = nystrom(NET, MANY, TARGETS, weights=OF_MANY, landmarks=800, rng=0).landmarks
    assert {tuple(row) for row in np.asarray(chosen)} <= {tuple(row) for row in MANY[OF_MANY > 0]}


def test_landmarks_without_weights() -> None:
    """A function may give some chunks without: they are of weight 1, to the bit."""
    plain = nystrom(NET, MANY, TARGETS, **SOLVER)
    for weights in (None, np.ones(900)):
        np.testing.assert_array_equal(
            nystrom(NET, lambda w=weights: chunks(w, borders=(0, 900)), **SOLVER).coefficients, plain.coefficients
        )


def test_preconditioner_knows_weights() -> None:
    """Of few heavy rows, which a uniform sample would miss: it takes no more passes than without weights."""
    x = np.random.default_rng(5).normal(size=(20_000, 4))
    heavy = np.where(np.arange(20_000) % 200 == 0, 1e4, 1.0)
    options: dict[str, Any] = {"landmarks": 100, "choice": "uniform", "ridge": 1.0, "tol": 1e-6}
    net = fastntk.mlp(3, "relu", 2**0.5, 0.1)
    counts = [nystrom(net, x, np.sin(2 * x[:, 0]), weights=heavy, **options, rng=seed).iterations for seed in range(3)]
    assert np.mean(counts) <= 25


def test_cluster() -> None:
    """The bits of what is in memory."""
    da = pytest.importorskip("dask.array")
    import fastntk.dask

    options: dict[str, Any] = {"landmarks": 40, "ridge": 0.1, "rng": 0}
    here = nystrom(NET, MANY, TARGETS, weights=OF_MANY, **options)
    for weights in (OF_MANY, da.from_array(OF_MANY, chunks=100)):
        there = fastntk.dask.nystrom(NET, da.from_array(MANY, chunks=(200, 3)), TARGETS, weights=weights, **options)
        np.testing.assert_array_equal(there.coefficients, here.coefficients)
    with pytest.raises(ValueError, match="weights are 0 for all rows"):
        fastntk.dask.nystrom(NET, da.from_array(MANY, chunks=(200, 3)), TARGETS, weights=0 * OF_MANY, **options)


@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 3.0, "b": 0.5, "c": 1.0}])
def test_estimators_over_landmarks(class_weight: Any) -> None:
    """With all rows as landmarks they are the others, whose weights are tested above; from chunks too."""
    labels, weights = np.array(["a", "b", "c"])[np.arange(100) ** 2 % 7 % 3], OF_MANY[:100]
    settings: dict[str, Any] = {"network": NET, "ridge": 0.1, "class_weight": class_weight}
    few: dict[str, Any] = {"n_landmarks": 100, "tol": 1e-12, "random_state": 0}
    wanted = NTKClassifier(**settings).fit(MANY[:100], labels, weights).decision_function(X_TEST)
    borders = (0, 3, 60, 100)
    for given in ((MANY[:100], labels, weights), (lambda: chunks(weights, labels, borders),)):
        model = NystromNTKClassifier(**settings, **few).fit(*given)
        np.testing.assert_allclose(model.decision_function(X_TEST), wanted, atol=1e-6)
    exact = NTKRegressor(network=NET, ridge=0.1).fit(MANY[:100], TARGETS[:100], weights).predict(X_TEST)
    for given in ((MANY[:100], TARGETS[:100], weights), (lambda: chunks(weights, TARGETS, borders),)):
        near = NystromNTKRegressor(network=NET, ridge=0.1, **few).fit(*given).predict(X_TEST)
        np.testing.assert_allclose(near, exact, atol=1e-6)


def test_labels_of_no_weight() -> None:
    """Are no classes, in memory and in chunks, wherever they come."""
    labels, weights = np.arange(100) % 3, np.where(np.arange(100) % 3 == 1, 0.0, 1.0)
    for given in ((MANY[:100], labels, weights), (lambda: chunks(weights, labels, (0, 50, 100)),)):
        model = NystromNTKClassifier(network=NET, n_landmarks=30, class_weight="balanced").fit(*given)
        np.testing.assert_array_equal(model.classes_, [0, 2])


def test_errors_over_landmarks() -> None:
    """One sentence each, with the row in the whole."""
    bad = np.where(np.arange(900) == 700, -1.0, 1.0)
    for source in ({"X": MANY, "y": TARGETS, "weights": bad}, {"X": lambda: chunks(bad)}):
        with pytest.raises(ValueError, match=r"weights must be >= 0, got -1 \(first at 700\)"):
            nystrom(NET, **source, **SOLVER)
    for source in ({"X": MANY, "y": TARGETS, "weights": 0 * bad}, {"X": lambda: chunks(0 * bad)}):
        with pytest.raises(ValueError, match="weights are 0 for all rows: there is nothing to fit"):
            nystrom(NET, **source, **SOLVER)
    with pytest.raises(TypeError, match=r"^weights must not be given where X is a function: it gives chunks"):
        nystrom(NET, chunks, weights=OF_MANY, **SOLVER)
    with pytest.raises(TypeError, match="sample_weight must not be given where X is a function"):
        NystromNTKRegressor(network=NET).fit(chunks, sample_weight=OF_MANY)
    with pytest.raises(ValueError, match="weights are 0 for all rows: there is nothing to fit"):
        NystromNTKClassifier(network=NET).fit(lambda: chunks(0 * bad, np.arange(900) % 3))
    with pytest.raises(ValueError, match=r"weights must have shape \(900,\), got \(3,\)"):
        nystrom(NET, MANY, TARGETS, weights=np.ones(3), **SOLVER)
    heavy: dict[str, Any] = {"network": NET, "class_weight": dict.fromkeys(range(3), 1e100)}
    for given in ((MANY, np.arange(900) % 3, 1e100), (lambda: chunks(1e100 * bad**2, np.arange(900) % 3),)):
        with pytest.raises(ValueError, match="sample_weight times class_weight must be from"):
            NystromNTKClassifier(**heavy).fit(*given)
    with pytest.raises(ValueError, match="sample_weight other than 0 must be from 1e-140 to 1e"):
        NystromNTKRegressor(network=NET).fit(MANY, TARGETS, 1e200 * bad**2)
