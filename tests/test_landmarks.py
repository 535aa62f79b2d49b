"""Landmarks: as many as were asked for, whatever the scales of rows, or a warning with how many there are."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk.solvers import nystrom, pcg, random_pivots

NET = fastntk.mlp(1, "relu", 2**0.5, 0.1)
DOUBLE = np.dtype(np.float64)


def test_one_large_row() -> None:
    """Among 2,000: 300 landmarks of 300, and as good a fit as with landmarks drawn uniformly."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 6))
    y = np.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=3000)
    train = x[:2000].copy()
    train[7] *= 3000
    score = {}
    for choice in ("pivoted", "uniform"):
        model = nystrom(NET, train, y[:2000], landmarks=300, choice=choice, ridge=0.1, rng=0)
        assert len(model.landmarks) == 300
        score[choice] = 1 - np.mean((model.predict(x[2000:]) - y[2000:]) ** 2) / np.var(y[2000:])
    assert score["uniform"] > 0.7
    assert score["pivoted"] > score["uniform"] - 0.02


def hostile(rng: np.random.Generator) -> tuple[NDArray[np.float64], int]:
    """Rows of all scales, with duplicates and zero rows in any order; and how many different directions there are."""
    n, d = int(rng.integers(120, 200)), int(rng.integers(3, 7))
    x = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-5, 5, size=(n, 1))
    different = int(rng.integers(20, n))
    x[different:] = x[rng.integers(different, size=n - different)]
    zeros = rng.permutation(n)[: int(rng.integers(0, 3))]
    x[zeros] = 0
    x = rng.permutation(x)
    return x, len(np.unique(x[x.any(axis=1)], axis=0))


@pytest.mark.parametrize("choice", ["pivoted", "uniform"])
@pytest.mark.parametrize("seed", range(6))
def test_as_many_as_there_are(choice: Literal["pivoted", "uniform"], seed: int) -> None:
    """All different, none zero; fewer than were asked for with a warning that says how many."""
    rng = np.random.default_rng(seed)
    x, different = hostile(rng)
    net = fastntk.mlp(1, "relu", 2**0.5)
    y = rng.normal(size=len(x))
    options: dict[str, Any] = {"choice": choice, "ridge": 1e-2, "rng": seed, "max_iterations": 200}
    few = different // 2
    with np.errstate(all="raise"):
        model = nystrom(net, x, y, landmarks=few, **options)
    assert len(np.unique(model.landmarks, axis=0)) == len(model.landmarks) == few
    assert np.any(np.asarray(model.landmarks), axis=1).all()
    assert model.converged
    assert np.mean(np.linalg.norm(model.landmarks, axis=1) < 1e3) > 0.2  # not the large rows alone
    asked = min(different + 3, len(x))
    with pytest.warns(UserWarning, match=rf"^{different} landmarks were found, not {asked}: all others of {len(x)}"):
        model = nystrom(net, x, y, landmarks=asked, **options)
    assert len(np.unique(model.landmarks, axis=0)) == len(model.landmarks) == different


def test_no_warning_where_all_rows_are_landmarks() -> None:
    """Fewer rows than landmarks is what the default gives for small data: the exact regression."""
    x = np.random.default_rng(0).normal(size=(50, 3))
    assert len(nystrom(NET, x, x[:, 0], landmarks=100).landmarks) == 50


@pytest.mark.parametrize("seed", range(4))
def test_pivots_of_low_rank(seed: int) -> None:
    """The rank is found in both precisions, whatever the scales of rows."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 60))
    low = rng.normal(size=(300, rank)) * 10.0 ** rng.uniform(-6, 6, size=(300, 1))
    for dtype in (np.float64, np.float32):
        matrix = (low @ low.T).astype(dtype)
        pivots, factor = random_pivots(
            lambda i, j, k=matrix: k[np.ix_(i, j)],  # type: ignore[misc]
            matrix.diagonal().astype(np.float64),
            200,
            rng,
            np.dtype(dtype),
        )
        assert len(set(pivots)) == len(pivots) == rank
        scale = np.sqrt(matrix.diagonal()[pivots].astype(np.float64))
        block = factor @ factor.T / scale[:, None] / scale
        np.testing.assert_allclose(block, matrix[np.ix_(pivots, pivots)] / scale[:, None] / scale, atol=1e-10)


def test_preconditioner_beside_a_large_row() -> None:
    """Has the rank that was asked for: conjugate gradients take as many passes as without that row."""
    x = np.random.default_rng(0).normal(size=(400, 4))
    y = np.sin(x[:, 0])
    plain = pcg(NET.ntk.operator(x), y, ridge=1e-2, rank=150, rng=0)
    x[7] *= 3000
    solution = pcg(NET.ntk.operator(x), y, ridge=1e-2, rank=150, rng=0)
    assert len(solution.pivots) == len(plain.pivots) == 150
    assert solution.iterations <= 2 * plain.iterations
