"""Derivatives of kernels in the inputs against 50-digit ones; `data/make_input_tables.py` has what is in the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.trees import built

from fastntk import Activation, Dense, Sequential

pytestmark = pytest.mark.sweep

Float = NDArray[np.float64]

TABLES = np.load(Path(__file__).parent / "data" / "input_tables.npz")
CASES: list[dict[str, Any]] = json.loads(str(TABLES["networks"]))
X: Float = TABLES["X"]

#: Of a derivative, relative to the largest of its row; or, where that is next to nothing, to sqrt(K(x, x) K(y, y))/|x|.
TOLERANCE, NOTHING = 1e-10, 1e-5

#: Among rows of norms from 0.1 to 10: there shares of a bias are rounded relative to the mean of all, which
#: near-duplicates at a distance of 1e-8 see.
AMONG = 2e-10


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "-"))
def test_of_every_pair(case: dict[str, Any], kind: Literal["nngp", "ntk"]) -> None:
    """One by one: each row alone; both as those of X, or of X and Y; and among all rows of like norms."""
    kernel, truth = getattr(built(case["layers"], "float64"), kind), TABLES[f"{case['name']}/{kind}"]
    lengths = np.linalg.norm(X, axis=1)
    alike = np.flatnonzero((lengths > 0.1) & (lengths < 10)).tolist()
    one, both = np.ones((1, 1)), np.array([[0.0, 1.0], [0.0, 0.0]])
    for (i, j), wanted in zip(case["pairs"], truth, strict=True):
        size, of_both = np.sqrt(np.prod(kernel.diag(X[[i, j]]))), lengths[[i, j]]
        largest = np.abs(wanted).max(axis=1)
        natural = largest.max() if 0 in of_both else NOTHING * size / of_both
        bound = TOLERANCE * np.maximum(largest, natural)[:, None]
        alone = np.stack((kernel.input_gradient(X[i], X[[j]])[0], kernel.input_gradient(X[j], X[[i]])[0]))
        assert (np.abs(alone - wanted) <= bound).all()
        apart = np.concatenate(kernel.vjp(X[[i]], one, X[[j]], wrt="inputs"))
        assert (np.abs(apart - wanted) <= bound).all()
        if i == j:
            continue
        together = kernel.vjp(X[[i, j]], both, wrt="inputs")
        assert (np.abs(together - wanted) <= bound).all()
        if i in alike and j in alike:
            weights = np.zeros((len(alike), len(alike)))
            places = [alike.index(i), alike.index(j)]
            weights[*places] = 1
            among = kernel.vjp(X[alike], weights, wrt="inputs")
            assert (np.abs(among[places] - wanted) <= AMONG / TOLERANCE * bound).all()
            assert not np.delete(among, places, axis=0).any()


@pytest.mark.parametrize("features", [2, 3, 17, 100])
@pytest.mark.parametrize("distance", [1e-4, 1e-6, 1e-8])
def test_of_two_rows_alone(features: int, distance: float) -> None:
    """Their centre is nearly both. K = 1 - 2 theta / pi moves by 2 / pi |x| towards the other."""
    rng = np.random.default_rng(features)
    x = rng.normal(size=features)
    y = 1.01 * (x + distance * rng.normal(size=features))
    net = Sequential(Dense(1.0), Activation("sign"), Dense(1.0))
    with mpmath.workdps(50):
        u, v = (mpmath.matrix(z.tolist()) for z in (x, y))
        u, v = u / mpmath.norm(u), v / mpmath.norm(v)
        tangent = v - u * mpmath.fdot(u, v)
        wanted = tangent / (mpmath.norm(tangent) * mpmath.norm(mpmath.matrix(x.tolist())) * mpmath.pi / 2)
        found = mpmath.matrix(net.nngp.input_gradient(x, y[None])[0].tolist())
        assert mpmath.norm(found - wanted) <= 1e-14 * mpmath.norm(wanted)
