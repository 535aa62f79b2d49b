"""A fit does not change with the arrays that it was made of; estimators say what they cannot do, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.inference import CrossEntropy, GradientFlow
from fastntk.solvers import nystrom

pytest.importorskip("sklearn")
from fastntk.sklearn import (
    NNGPClassifier,
    NNGPRegressor,
    NTKClassifier,
    NTKRegressor,
    NystromNTKClassifier,
    NystromNTKRegressor,
)

NET = fastntk.mlp(1, "relu", 1.4, 0.3)
rng = np.random.default_rng(0)
X_TEST = rng.normal(size=(5, 3))

OPTIONS: dict[str, Any] = {"network": NET}
RANDOM: dict[str, Any] = {"network": NET, "random_state": 0}

#: What fits to X and y, and what predicts.
FITS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], Any]]] = {
    "NNGPRegressor": (NNGPRegressor(**OPTIONS).fit, lambda m: m.predict(X_TEST, return_std=True)),
    "NTKRegressor": (NTKRegressor(**OPTIONS).fit, lambda m: m.predict(X_TEST, return_std=True)),
    "NTKRegressor, t": (NTKRegressor(t=3.0, **OPTIONS).fit, lambda m: m.predict(X_TEST, return_std=True)),
    "NNGPClassifier": (lambda x, y: NNGPClassifier(**OPTIONS).fit(x, y > 0), lambda m: m.predict_proba(X_TEST)),
    "NTKClassifier": (lambda x, y: NTKClassifier(**OPTIONS).fit(x, y > 0), lambda m: m.decision_function(X_TEST)),
    "NystromNTKRegressor": (NystromNTKRegressor(**RANDOM).fit, lambda m: m.predict(X_TEST)),
    "NystromNTKClassifier": (
        lambda x, y: NystromNTKClassifier(**RANDOM).fit(x, y > 0),
        lambda m: m.decision_function(X_TEST),
    ),
    "nystrom": (lambda x, y: nystrom(NET, x, y, rng=0), lambda m: m.predict(X_TEST)),
    "nystrom, landmarks": (lambda x, y: nystrom(NET, x, y, landmarks=x, rng=0), lambda m: m.predict(X_TEST)),
    "GradientFlow": (lambda x, y: GradientFlow(NET.ntk(x), y), lambda m: m.mean(2.0)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FITS)
def test_data_changed_in_place(name: str, dtype: Any) -> None:
    """Later: predictions stay."""
    x = np.random.default_rng(1).normal(size=(30, 3)).astype(dtype)
    y = np.sin(x[:, 0])
    fit, predict = FITS[name]
    wanted = predict(fit(x.copy(), y.copy()))
    model = fit(x, y)
    x *= -2
    y += 1
    np.testing.assert_array_equal(predict(model), wanted)


def test_kernels_changed_in_place() -> None:
    """Of a flow, before their first use, and the targets of a cost."""
    theta, k, y = NET.ntk(X_TEST), NET.nngp(X_TEST), X_TEST[:, 0].copy()
    flow, wanted = GradientFlow(theta, y, nngp_train=k), GradientFlow(theta.copy(), y.copy(), nngp_train=k.copy())
    probabilities = np.full((2, 2), 0.5)
    cost = CrossEntropy(probabilities)
    before = wanted.mean(1.0), wanted.covariance(1.0), cost(np.eye(2))
    for array in (theta, k, y, probabilities):
        array *= 3
    for found, value in zip((flow.mean(1.0), flow.covariance(1.0), cost(np.eye(2))), before, strict=True):
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("t", [[1, 2], np.array([1.0, 2.0]), [1.0], (3.0,)])
def test_several_times(t: Any) -> None:
    """Are those of GradientFlow; an estimator has one."""
    with pytest.raises(
        TypeError, match=r"^t must be one number >= 0, or None .* take fastntk\.inference\.GradientFlow"
    ):
        NTKRegressor(t=t).fit(X_TEST, X_TEST[:, 0])


def test_one_time() -> None:
    """Negative, NaN, text; infinity is the end of training."""
    y = X_TEST[:, 0]
    for t, error in ((-1.0, ValueError), (np.nan, ValueError), ("end", TypeError), (True, TypeError)):
        with pytest.raises(error, match=r"^t must be"):
            NTKRegressor(t=t).fit(X_TEST, y)  # type: ignore[arg-type]
    ended, whole = (NTKRegressor(t=t).fit(X_TEST, y).predict(X_TEST) for t in (np.inf, None))
    np.testing.assert_array_equal(ended, whole)


@pytest.mark.parametrize("make", [NNGPRegressor, NNGPClassifier, NTKRegressor, NTKClassifier])
def test_kernels_beyond_memory(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Say what estimators have instead: there is no `out=` here."""
    monkeypatch.setattr("fastntk._checks.arrays.available_memory", lambda: 2**20)
    x = rng.normal(size=(3000, 1))
    y = (x[:, 0] > 0).astype(int)
    with pytest.raises(MemoryError, match=r"\.fit needs a kernel of 3000 samples .* NystromNTK\w+, whose") as caught:
        make().fit(x, y)
    assert "out=" not in str(caught.value)
    fitted = make(network=NET).fit(x[:100], y[:100])
    ways = [fitted.predict, fitted.decision_function if make is NTKClassifier else fitted.predict]
    for way in ways:
        with pytest.raises(MemoryError, match=r"needs a kernel of 100000 samples .*; predict fewer samples at a time"):
            way(np.zeros((100_000, 1)))
