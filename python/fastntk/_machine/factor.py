"""Cholesky factors, their inverses, and Gram matrices, of any size.

OpenBLAS's threaded syrk, which LAPACK's potrf and lauum and NumPy's ``A @ A.T`` end in, fails where a large matrix
meets few threads: the process ends by a segmentation fault (seen with two threads, versions 0.3.30 and 0.3.31, at
16,000 rows of float64 and 47,000 of float32; https://github.com/OpenMathLib/OpenBLAS/issues/2562). From `_SAFE` rows
on everything here goes in blocks, by matrix products, which do not end in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAFE = 8192

#: Side of a block: larger ones waste work on the diagonal, smaller ones make poor products.
_BLOCK = 2048


def blocks(n: int, step: int | None = None) -> list[slice]:
    """Consecutive parts of so many rows."""
    step = step or _BLOCK
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def factorise(matrix: NDArray[Any]) -> int:
    """Put the Cholesky factor into the lower triangle of a matrix in float32 or float64, in C or Fortran order.

    What is above the diagonal stays as it is. Returns 0, or the order of the first minor that is not positive; the
    matrix is lost in either case.

    Cost: n^3 / 6 multiply-adds.
    """
    from scipy.linalg import blas, lapack

    n = len(matrix)
    (potrf,) = lapack.get_lapack_funcs(("potrf",), (matrix,))
    if n <= _SAFE and matrix.flags.f_contiguous:
        return int(potrf(matrix, lower=1, clean=0, overwrite_a=1)[1])
    if n <= _SAFE and matrix.flags.c_contiguous:
        return int(potrf(matrix.T, lower=0, clean=0, overwrite_a=1)[1])
    (trsm,) = blas.get_blas_funcs(("trsm",), (matrix,))
    for j in blocks(n):
        before = matrix[j, : j.start]
        square = matrix[j, j]
        factor, info = potrf(square - before @ before.T if j.start else square, lower=1, clean=1)
        if info > 0:
            return int(j.start + info)
        lower = np.tri(len(square), dtype=bool)
        square[lower] = factor[lower]
        for i in blocks(n - j.stop, 4 * _BLOCK):
            below = matrix[j.stop + i.start : j.stop + i.stop]
            part = below[:, j] - below[:, : j.start] @ before.T if j.start else below[:, j].copy()
            below[:, j] = trsm(1, factor, part.T, lower=1, overwrite_b=1).T
    return 0


def inverse(factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower triangle of the inverse of the matrix with a Cholesky factor in Fortran order, which is overwritten."""
    from scipy.linalg import cho_solve, lapack

    n = len(factor)
    if n <= _SAFE:
        return np.asarray(lapack.dpotri(factor, lower=1, overwrite_c=1)[0])
    out = np.zeros((n, n), order="F")
    for columns in blocks(n):
        unit = np.zeros((n, columns.stop - columns.start), order="F")
        np.fill_diagonal(unit[columns], 1)
        out[:, columns] = cho_solve((factor, True), unit, overwrite_b=True, check_finite=False)
    return out


def gram(rows: NDArray[Any]) -> NDArray[Any]:
    """Inner products of rows: rows @ rows.T."""
    if len(rows) <= _SAFE:
        return np.asarray(rows @ rows.T)
    return np.concatenate([rows[part] @ rows.T for part in blocks(len(rows), _SAFE)])
