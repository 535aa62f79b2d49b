"""Weights of a classifier, over many orders of magnitude and in float32, are what the sentence in its notes says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk

pytest.importorskip("sklearn")
from fastntk.sklearn import NTKClassifier

NET = fastntk.mlp(2, "relu", 1.4, 0.3)
rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(40, 3)), rng.normal(size=(6, 3))
Y = (X[:, 0] > 0).astype(int)
ALTERNATE = np.arange(40) % 2 == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "weights", [np.full(40, 1e80), np.full(40, 3.0), np.where(ALTERNATE, 1e80, 1e-3), np.where(ALTERNATE, 1.0, 1e9)]
)
@pytest.mark.parametrize("ridge", [1e-2, 1e-6])
def test_large_weights(dtype: Any, weights: Any, ridge: float) -> None:
    """Outputs are those of (K + ridge diag(1/w))^-1 y, in float64; and there is a temperature."""
    x = X.astype(dtype)
    model = NTKClassifier(network=NET, ridge=ridge, probability="temperature").fit(x, Y, weights)
    dual = np.linalg.solve(NET.ntk(x, dtype="float64") + ridge * np.diag(1 / weights), 2.0 * Y - 1)
    wanted = NET.ntk(X_TEST.astype(dtype), x, dtype="float64") @ dual
    np.testing.assert_allclose(model.decision_function(X_TEST.astype(dtype)), wanted, rtol=1e-7)
    assert 0 < model.temperature_ < np.inf


@pytest.mark.filterwarnings("error")
def test_errors_of_those_left_out() -> None:
    """Of weights up to 1 and above they give the temperature of a copy for every unit, whose parts are left out."""
    counts = 1 + np.arange(40) % 3
    one = NTKClassifier(network=NET, probability="temperature").fit(X, Y, counts)
    copies = NTKClassifier(network=NET, probability="temperature").fit(np.repeat(X, counts, 0), np.repeat(Y, counts))
    np.testing.assert_allclose(one.temperature_, copies.temperature_, rtol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e300, 1e-300])
def test_range(value: float) -> None:
    """One sentence."""
    with pytest.raises(ValueError, match="sample_weight other than 0 must be from 1e-140 to 1e"):
        NTKClassifier(network=NET).fit(X, Y, np.where(ALTERNATE, value, 0.0))
    with pytest.raises(ValueError, match="class_weight must be from 1e-140 to 1e"):
        NTKClassifier(network=NET, class_weight={0: value, 1: 1.0}).fit(X, Y)
