"""Cholesky factors, inverses and Gram matrices, by LAPACK and in the blocks that large ones go in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastntk._machine import factor
from fastntk._machine.factor import factorise, gram, inverse

rng = np.random.default_rng(0)
A = rng.normal(size=(333, 400))
A = A @ A.T / 400 + np.eye(333)


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factor(blocked: bool, order: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both orders and precisions; the other triangle stays; a minor that is not positive is named."""
    if blocked:
        monkeypatch.setattr(factor, "_SAFE", 0)
        monkeypatch.setattr(factor, "_BLOCK", 70)
    matrix = np.array(A, dtype, order=order)
    assert factorise(matrix) == 0
    lower = np.tril(matrix)
    assert np.abs(lower.astype(np.float64) @ lower.T - A).max() < 20 * np.finfo(dtype).eps * 4
    np.testing.assert_array_equal(np.triu(matrix, 1), np.triu(A, 1).astype(dtype))
    for bad in (0, 69, 70, 200, 332):
        matrix = np.array(A, dtype, order=order)
        matrix[bad, bad] = -1
        assert factorise(matrix) == bad + 1


@pytest.mark.parametrize("blocked", [False, True])
def test_inverse_and_gram(blocked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the lower triangle, and of all of it."""
    if blocked:
        monkeypatch.setattr(factor, "_SAFE", 50)
        monkeypatch.setattr(factor, "_BLOCK", 70)
    matrix = np.array(A, order="F")
    factorise(matrix)
    np.testing.assert_allclose(np.tril(inverse(matrix)), np.tril(np.linalg.inv(A)), atol=1e-13)
    rows = rng.normal(size=(301, 17))
    np.testing.assert_allclose(gram(rows), np.einsum("ik,jk->ij", rows, rows), atol=1e-13)
