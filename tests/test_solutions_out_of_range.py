"""Solutions that float64 does not hold are refused, never given as infinite, or as zero."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk.solvers import cholesky, pcg

rng = np.random.default_rng(0)
K = fastntk.mlp(1, "relu", 1.4, 0.3).ntk(rng.normal(size=(30, 3)))
Y = rng.normal(size=(30, 2))


@pytest.mark.parametrize("rank", [0, None])
@pytest.mark.parametrize(("size", "b", "end"), [(1e-300, 1e100, "beyond"), (1e300, 1e-100, "below")])
def test_pcg(size: float, b: float, end: str, rank: int | None) -> None:
    """One column is enough."""
    for right in (b * np.ones(5), np.stack([b * np.ones(5), size * np.ones(5)], axis=1)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match=f"^x is {end} the range of float64: the matrix is too .* for b; sc"):
                pcg(size * np.eye(5), right, rank=rank)
    assert pcg(size * np.eye(5), size * np.ones(5), rank=rank).x == pytest.approx(np.ones(5))
    assert not pcg(size * np.eye(5), np.zeros(5), rank=rank).x.any()


@pytest.mark.parametrize("order", ["C", "F"])
def test_cholesky_says_so_before_the_kernel_is_lost(order: Any) -> None:
    """Where |b| / trace(K) is beyond the range, x is."""
    given = np.array(K * 1e-200, order=order)
    kept = given.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"^x is beyond the range of float64: the matrix is too small for b"):
            cholesky(given, Y * 1e150, ridge=1e-201)
    np.testing.assert_array_equal(given, kept)


def solved(spectrum: NDArray[np.float64], b: float) -> NDArray[np.float64]:
    """Of a diagonal matrix."""
    return cholesky(np.diag(spectrum), b * np.ones(len(spectrum))).x


def test_cholesky() -> None:
    """Or afterwards; and where x is in the range it is found, whatever is in between."""
    with pytest.raises(ValueError, match=r"^x is beyond the range of float64"):
        solved(np.array([1e-250, 1.0, 1.0]), 1e100)
    with pytest.raises(ValueError, match=r"^x is below the range of float64"):
        solved(np.full(3, 1e250), 1e-100)
    assert solved(np.full(3, 1e200), 1e250) == pytest.approx(np.full(3, 1e50))
    assert solved(np.full(3, 1e-150), 1e150) == pytest.approx(np.full(3, 1e300))
