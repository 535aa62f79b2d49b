"""Networks with branches against kernels in 120-digit arithmetic; `data/make_tree_tables.py` has what is in the tables.

Errors are relative to sqrt(K_pp K_qq), the NTK's to sqrt(Theta_pp Theta_qq), of the kernel of X with itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.trees import EXPANDED, built

from fastntk import reference

pytestmark = pytest.mark.sweep

Float = NDArray[np.floating[Any]]

TABLES = np.load(Path(__file__).parent / "data" / "tree_tables.npz")
CASES: list[dict[str, Any]] = json.loads(str(TABLES["networks"]))

#: Largest errors, of families and dtypes.
TOLERANCE = {
    ("relu", "float64"): 5e-15,
    ("relu", "float32"): 1e-6,
    ("other", "float64"): 1e-13,
    ("other", "float32"): 1e-5,
}


def rows_of(case: dict[str, Any], dtype: str) -> Float:
    """The rows that the kernels are about."""
    return np.asarray(TABLES[f"{case['set']}/X"][case["rows"]], dtype)


def truth(case: dict[str, Any], kind: str, *, same: bool) -> NDArray[np.float64]:
    """The kernel of X with itself, or with a copy."""
    n = len(case["rows"])
    kernel = np.zeros((n, n))
    kernel[np.triu_indices(n)] = TABLES[f"{case['name']}/{kind}"]
    kernel += np.triu(kernel, 1).T
    if same:
        np.fill_diagonal(kernel, TABLES[f"{case['name']}/{kind}_diagonal"])
    return kernel


def error(found: Float, case: dict[str, Any], kind: str, *, same: bool) -> NDArray[np.float64]:
    """Of every pair, relative to the diagonals; where those are 0, only 0 will do."""
    s = np.sqrt(TABLES[f"{case['name']}/{kind}_diagonal"])
    scale, difference = np.outer(s, s), np.abs(found.astype(np.float64) - truth(case, kind, same=same))
    assert not difference[scale == 0].any()
    return np.asarray(np.divide(difference, scale, out=np.zeros_like(difference), where=scale > 0))


def separated(case: dict[str, Any]) -> NDArray[np.bool_]:
    """Pairs that are not nearly parallel, neither at the start nor at the end, and samples with themselves."""
    X = rows_of(case, "float64")
    result = np.ones((len(X), len(X)), dtype=bool)
    for kernel in (X @ X.T, truth(case, "nngp", same=True)):
        s = np.sqrt(np.diag(kernel))
        result &= np.abs(kernel) < 0.999 * np.outer(s, s)
    return result | np.eye(len(X), dtype=bool)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "-"))
def test_the_reference(case: dict[str, Any]) -> None:
    """Rounding where rows are separated, half the digits where they are not; expansions have no formula there."""
    net, X = built(case["layers"], "float64"), rows_of(case, "float64")
    if any(name in str(net) for name in (*EXPANDED, "hard_tanh")) or case["set"] == "extreme":
        return
    for same, kernels in ((True, reference.kernels(net, X)), (False, reference.kernels(net, X, X.copy()))):
        for kind, kernel in zip(("nngp", "ntk"), kernels, strict=True):
            errors = error(kernel, case, kind, same=same)
            apart = separated(case) & (same | ~np.eye(len(X), dtype=bool))
            assert errors[apart].max() <= 2e-13
            assert errors.max() <= 5e-6  # a step takes roots of the gaps


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "-"))
def test_kernels(case: dict[str, Any], dtype: str) -> None:
    """Both kernels, of X with itself and with a copy; each kernel alone, and their diagonals."""
    if case["set"] == "extreme" and dtype == "float32":
        return
    net, X, tolerance = built(case["layers"], dtype), rows_of(case, dtype), TOLERANCE[case["family"], dtype]
    both, copied = net.kernels(X), net.kernels(X, X.copy())
    for kind in ("nngp", "ntk"):
        kernel, other, alone = getattr(both, kind), getattr(copied, kind), getattr(net, kind)
        assert kernel.dtype == X.dtype
        assert error(kernel, case, kind, same=True).max() <= tolerance
        assert error(other, case, kind, same=False).max() <= tolerance
        np.testing.assert_array_equal(kernel, kernel.T)
        if not any(name in str(net) for name in EXPANDED):  # whose sums are not the same for one kernel
            np.testing.assert_array_equal(kernel, alone(X))
            np.testing.assert_array_equal(other, alone(X, X.copy()))
        diagonal = TABLES[f"{case['name']}/{kind}_diagonal"]
        np.testing.assert_allclose(alone.diag(X), diagonal, rtol=tolerance, atol=0)
