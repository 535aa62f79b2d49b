"""Derivatives of kernels in the inputs against 50-digit ones; `data/make_input_tables.py` has what is in the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.trees import built

pytestmark = pytest.mark.sweep

Float = NDArray[np.float64]

TABLES = np.load(Path(__file__).parent / "data" / "input_tables.npz")
CASES: list[dict[str, Any]] = json.loads(str(TABLES["networks"]))
X: Float = TABLES["X"]

#: Of a derivative, relative to the largest of its row; or, where that is next to nothing, to sqrt(K(x, x) K(y, y))/|x|.
TOLERANCE, NOTHING = 1e-10, 1e-5


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "-"))
def test_of_every_pair(case: dict[str, Any], kind: Literal["nngp", "ntk"]) -> None:
    """One by one, each of its rows alone and both as those of X, or of X and Y; and the sum of all."""
    kernel, truth = getattr(built(case["layers"], "float64"), kind), TABLES[f"{case['name']}/{kind}"]
    pairs = np.array(case["pairs"])
    roots, lengths = np.sqrt(kernel.diag(X)), np.linalg.norm(X, axis=1)
    one, both = np.ones((1, 1)), np.array([[0.0, 1.0], [0.0, 0.0]])
    for (i, j), wanted in zip(pairs, truth, strict=True):
        largest = np.abs(wanted).max(axis=1)
        natural = roots[i] * roots[j] / np.where(lengths[[i, j]] > 0, lengths[[i, j]], np.inf)
        bound = TOLERANCE * np.maximum(largest, NOTHING * natural)[:, None]
        alone = np.stack((kernel.input_gradient(X[i], X[[j]])[0], kernel.input_gradient(X[j], X[[i]])[0]))
        assert (np.abs(alone - wanted) <= bound).all()
        apart = np.concatenate(kernel.vjp(X[[i]], one, X[[j]], wrt="inputs"))
        assert (np.abs(apart - wanted) <= bound).all()
        if i != j:
            together = kernel.vjp(X[[i, j]], both, wrt="inputs")
            assert (np.abs(together - wanted) <= bound).all()

    weights, total = np.zeros((len(X), len(X))), np.zeros_like(X)
    for (i, j), wanted in zip(pairs, truth, strict=True):
        weights[i, j] = np.cos(i + 2 * j) / max(np.abs(wanted).max(), 1e-3 * roots[i] * roots[j])
        total[i] += weights[i, j] * wanted[0]
        total[j] += weights[i, j] * wanted[1]
    found = kernel.vjp(X, weights, wrt="inputs")
    scale = np.zeros(len(X))
    for (i, j), wanted in zip(pairs, truth, strict=True):
        scale[[i, j]] += np.abs(weights[i, j] * wanted).max(axis=1)
    assert (np.abs(found - total) <= TOLERANCE * np.maximum(scale, np.abs(weights).max(axis=1) * 1e-6)[:, None]).all()
