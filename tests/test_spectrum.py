"""Spectrum of kernel matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.inference import spectrum
from fastntk.inference.spectrum import singular

X = np.random.default_rng(0).normal(size=(40, 3))
NET = fastntk.mlp(2, "relu", 1.4, 0.2)


def test_eigenvalues() -> None:
    """Of a matrix whose eigenvalues are known."""
    q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    wanted = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25])
    found = spectrum(q @ np.diag(wanted) @ q.T)
    np.testing.assert_allclose(found.eigenvalues, wanted, rtol=1e-13)
    np.testing.assert_allclose(found.condition_number, 32, rtol=1e-12)
    np.testing.assert_allclose(found.effective_dimension(1.0), (wanted / (wanted + 1)).sum(), rtol=1e-12)
    assert found.rank == 6
    assert found.positive_definite
    assert found.verdict.startswith("positive definite, condition number 32")


def test_a_kernel_of_distinct_samples_is_positive_definite() -> None:
    """The NTK in float64; no duplicates are seen."""
    found = spectrum(NET.ntk(X))
    assert found.positive_definite
    assert found.duplicates == ()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicates_are_named(dtype: type[np.floating[Any]]) -> None:
    """Two groups."""
    x = np.concatenate((X, X[[5, 5, 7]])).astype(dtype)
    found = spectrum(NET.ntk(x))
    assert found.duplicates == ((5, 40, 41), (7, 42))
    assert not found.positive_definite
    assert found.rank <= 40
    assert "rows 5, 40 and 41; rows 7 and 42 are duplicates" in str(found)


def test_near_duplicates_are_none() -> None:
    """Where their distance is beyond rounding, of which the square of 1e-8 is a part."""
    features = np.array([[1.0, 0.0], [1.0, 1e-6], [0.0, 2.0], [1e-9, 2.0]])
    assert spectrum(features @ features.T).duplicates == ((2, 3),)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rank_of_what_was_rounded(dtype: type[np.floating[Any]]) -> None:
    """That of the kernel before, in either precision: eigenvalues that are rounding do not count."""
    found = spectrum(fastntk.mlp(0).nngp(X).astype(dtype))
    assert found.rank == 3
    assert not found.positive_definite
    assert found.eigenvalues[3] > 0
    np.testing.assert_allclose(found.effective_dimension(0.0), 3)


def test_a_negative_distance_is_no_duplicate() -> None:
    """Rows of an indefinite matrix with K_ii + K_jj - 2 K_ij = -2."""
    found = spectrum([[1.0, 2.0], [2.0, 1.0]])
    assert found.duplicates == ()
    assert "indefinite" in found.verdict


def test_singular_without_duplicates() -> None:
    """A linear network on more samples than features; an indefinite matrix."""
    found = spectrum(fastntk.mlp(0).nngp(X))
    assert found.rank == 3
    assert found.verdict == "singular to working precision (rank 3 of 40)."
    assert found.condition_number > 1e14
    assert "indefinite" in spectrum(np.diag([1.0, 2.0]) - 1.5 * np.ones((2, 2)) + 1.5 * np.eye(2)).verdict


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_what_is_no_kernel_is_told_from_rounding(scale: float) -> None:
    """In any unit: a negative eigenvalue, and one that is as small as rounding in float32."""
    rounded = (scale * fastntk.mlp(0).nngp(X).astype(np.float32)).astype(np.float64)
    assert "K is singular to working precision. Raise it." in str(singular("K", rounded, "Raise it."))
    indefinite = scale * np.array([[1.0, 2.0], [2.0, 1.0]])
    assert "K is not positive definite: the kernel has a negative eigenvalue" in str(singular("K", indefinite, ""))
