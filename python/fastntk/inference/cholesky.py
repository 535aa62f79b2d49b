"""Cholesky factors of kernel matrices, and what is said where there is none."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import not_negative
from .._machine.factor import factorise
from ._checks import Array
from .spectrum import singular

_EPSILON = float(np.finfo(np.float64).eps)
_REMEDY = "Pass noise= > 0, or jitter='auto', or drop duplicate rows."
_NO_JITTER = "Pass noise= > 0, or drop duplicate rows."

#: Tried in turn by jitter="auto", in units of the mean of the diagonal.
_LADDER = (0.0, *(10.0**k for k in range(-15, -3)))


def cholesky(matrix: NDArray[Any], added: float | Array, *, name: str = "k_train", remedy: str = _NO_JITTER) -> Array:
    """Lower Cholesky factor, in Fortran order, of matrix + diag(added); the upper triangle is not meaningful.

    Raises LinAlgError, with a sentence about `name` and the remedy, if that is singular to working precision.
    """
    factor = _factorise(matrix, added)
    if factor is None:
        what = f"{name} + {added:.3g} I" if np.ndim(added) == 0 else f"{name} + diag(noise)"
        raise singular(what if np.any(added) else name, np.asarray(matrix, np.float64), remedy)
    return factor


def _factorise(matrix: NDArray[Any], added: float | Array) -> Array | None:
    """As `cholesky`, or None."""
    from scipy.linalg import lapack

    factor = np.array(matrix.T, np.float64, order="F")
    norm = float(np.abs(matrix).sum(axis=1).max()) + float(np.max(added))
    factor[np.diag_indices(len(factor))] += added
    # A factorisation of rounding errors may go through.
    if factorise(factor) or lapack.dpocon(factor, norm, uplo="L")[0] < _EPSILON:
        return None
    return np.asarray(factor)


def with_jitter(matrix: Array, noise: float | Array, jitter: float | Literal["auto"]) -> tuple[Array, float]:
    """Factor of matrix + diag(noise), and what more was added to the diagonal: as given, or as little as will do."""
    if not isinstance(jitter, str) or jitter != "auto":
        extra = not_negative(jitter, "jitter")
        return cholesky(matrix, noise + extra, remedy=_REMEDY), extra
    scale = float(matrix.diagonal().mean())
    for extra in (share * scale for share in _LADDER[:-1]):
        factor = _factorise(matrix, noise + extra)
        if factor is not None:
            return factor, extra
    return cholesky(matrix, noise + _LADDER[-1] * scale), _LADDER[-1] * scale


def solve(factor: Array, right: NDArray[Any]) -> Array:
    """Solve with a factor of `cholesky`."""
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), right, check_finite=False))
