"""Cholesky factors of kernel matrices, and what is said where there is none."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import not_negative
from .._machine.factor import factorise, gram
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
        raise singular(what if np.any(added) else name, np.asarray(matrix, np.float64), _larger(remedy, matrix, added))
    return factor


def _larger(remedy: str, matrix: NDArray[Any], added: float | Array) -> str:
    """The remedy, if something was added already: too little."""
    most, largest = float(np.max(added)), float(matrix.diagonal().max())
    if not most > 0:
        return remedy
    remedy = remedy.replace("= > 0", f"= > {most:.3g}")
    if most < len(matrix) * _EPSILON * largest:
        remedy += f" Beside a diagonal of {largest:.3g} it is rounding: standardise columns of X that are large."
    return remedy


def _factorise(matrix: NDArray[Any], added: float | Array) -> Array | None:
    """As `cholesky`, or None."""
    from scipy.linalg import lapack

    factor = np.array(matrix.T, np.float64, order="F")
    norm = float(lapack.dlange("1", factor)) + float(np.max(added))
    factor[np.diag_indices(len(factor))] += added
    # A factorisation of rounding errors may go through.
    if factorise(factor) or lapack.dpocon(factor, norm, uplo="L")[0] < _EPSILON:
        return None
    return np.asarray(factor)


def with_jitter(
    matrix: Array,
    noise: float | Array,
    jitter: float | Literal["auto"],
    *,
    name: str = "k_train",
    remedy: str = _REMEDY,
) -> tuple[Array, float]:
    """Factor of matrix + diag(noise), and what more was added to the diagonal: as given, or as little as will do."""
    if not isinstance(jitter, str) or jitter != "auto":
        extra = not_negative(jitter, "jitter")
        return cholesky(matrix, noise + extra, name=name, remedy=remedy), extra
    scale = float(matrix.diagonal().mean())
    for extra in (share * scale for share in _LADDER[:-1]):
        factor = _factorise(matrix, noise + extra)
        if factor is not None:
            return factor, extra
    return cholesky(matrix, noise + _LADDER[-1] * scale, name=name), _LADDER[-1] * scale


def extended(factor: Array, cross: Array, corner: Array, *, name: str, remedy: str = _NO_JITTER) -> Array:
    """Factor of [[A, crossᵀ], [cross, corner]] with that of A: n² multiply-adds for every row of cross, and a copy.

    Raises LinAlgError, as `cholesky`, where of a new row no more is left than rounding.
    """
    n, m = cross.shape[1], len(cross)
    below = forward(factor, cross.T).T
    rest = np.asarray(corner - gram(below), order="F")
    info = factorise(rest)
    # What rounding leaves of a row that those before it determine.
    least = (n + m) * _EPSILON * corner.diagonal()
    if info or (rest.diagonal() ** 2 <= least).any():
        i = info - 1 if info else int((rest.diagonal() ** 2 <= least).argmax())
        raise np.linalg.LinAlgError(
            f"{name} is singular to working precision: sample {i} of the new ones is determined by those before it. "
            f"{remedy}"
        )
    return bordered(factor, below, rest)


def bordered(factor: Array, below: Array, corner: Array) -> Array:
    """Lower factor of more rows, its new ones given: those beside the old ones, and the corner."""
    n, m = len(factor), len(corner)
    out = np.empty((n + m, n + m), order="F")
    out[:n, :n], out[n:, :n], out[n:, n:] = factor, below, corner
    return out


def solve(factor: Array, right: NDArray[Any]) -> Array:
    """Solve with a factor of `cholesky`."""
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), right, check_finite=False))


def forward(factor: Array, right: NDArray[Any]) -> Array:
    """L⁻¹ right, of shape (n, m)."""
    return _triangular(factor, right, transposed=False)


def backward(factor: Array, right: NDArray[Any]) -> Array:
    """L⁻ᵀ right, of shape (n, m)."""
    return _triangular(factor, right, transposed=True)


def _triangular(factor: Array, right: NDArray[Any], *, transposed: bool) -> Array:
    """One pass over half of the factor.

    Errors of variances do not grow with the condition number, as they do with the root of it where an inverse of the
    factor is kept, and with all of it where that of the matrix is, which alone would be faster: half of the time for
    L⁻ᵀ L⁻¹ (`bench/surrogate.py solves`).
    """
    from scipy.linalg import blas, solve_triangular

    if right.shape[1] == 1:  # twice as fast for one vector
        return np.asarray(blas.dtrsv(factor, right[:, 0], lower=1, trans=transposed))[:, None]
    return np.asarray(solve_triangular(factor, right, lower=True, trans="T" if transposed else "N", check_finite=False))
