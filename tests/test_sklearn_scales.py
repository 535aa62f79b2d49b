"""Features of very different scales are told, once and in one line, by every estimator that uses inner products."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

datasets = pytest.importorskip("sklearn.datasets")
from fastntk.sklearn import (  # noqa: E402
    NNGPClassifier,
    NNGPRegressor,
    NTKClassifier,
    NTKRegressor,
    NystromNTKClassifier,
    NystromNTKRegressor,
)

Make = Callable[[], Any]
ESTIMATORS: dict[str, Make] = {
    "NNGPRegressor": lambda: NNGPRegressor(noise=1.0),
    "NNGPClassifier": lambda: NNGPClassifier(sigma_w=0.01),
    "NTKRegressor": lambda: NTKRegressor(t=1.0),
    "NTKClassifier": lambda: NTKClassifier(ridge=1.0),
    "NystromNTKRegressor": lambda: NystromNTKRegressor(n_landmarks=10, ridge=1.0, random_state=0),
    "NystromNTKClassifier": lambda: NystromNTKClassifier(n_landmarks=10, ridge=1.0, random_state=0),
}


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)
def test_scales(make: Make, rng: np.random.Generator) -> None:
    """One warning, which points here and names both columns."""
    X = rng.normal(size=(60, 4)) * [1.0, 1.0, 3e-3, 1.0] + [0.0, 5.0, 0.0, 0.0]
    with pytest.warns(UserWarning, match=r"variances of features .* \(column 2\) to .* standardise first") as caught:
        make().fit(X, (X[:, 0] > 0).astype(int))
    assert [warning.filename for warning in caught] == [__file__]
    assert "\n" not in str(caught[0].message)


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)
def test_what_has_no_other_scale(make: Make, rng: np.random.Generator) -> None:
    """Constant features, equal ones up to a factor of 30, and pixels that are seldom lit are as they should be."""
    X = rng.normal(size=(60, 3)) * [1.0, 30.0, 0.0] + [0.0, 0.0, 1e6]
    tenths = np.column_stack((10 * rng.normal(size=97), np.full(97, 0.1)))
    assert tenths.var(axis=0)[1] > 0  # which is rounding
    digits, labels = datasets.load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make().fit(X, (X[:, 0] > 0).astype(int))
        make().fit(tenths, (tenths[:, 0] > 0).astype(int))
        make().fit(digits[:500], labels[:500])
