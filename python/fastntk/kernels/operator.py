"""A kernel as a linear operator: its products, without the matrix ever in memory."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from .._checks.arguments import finite_number
from .._checks.progress import Progress, check_progress
from .._machine.floating import undisturbed

Array = NDArray[np.float64]


class Matrix(Protocol):
    """A kernel of one kind that can be multiplied with: `blocks.KernelMatrix`, or one on a cluster."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    symmetric: bool

    def times(self, right: Array | None, left: Array | None, progress: Progress) -> tuple[Array | None, Array | None]:
        """(right K^T, left K)."""

    def diagonal(self) -> NDArray[Any]:
        """Diagonal of a symmetric one."""

    def at(self, rows: Any, columns: Any) -> NDArray[Any]:
        """Entries at rows and columns."""


class KernelOperator(LinearOperator):  # type: ignore[misc]
    """K + ridge I of a network on data, as `Sequential.operator` gives it.

    A `scipy.sparse.linalg.LinearOperator`: ``A @ v``, ``A.T @ u``, and SciPy's own cg, eigsh, svds work on it. Tiles of
    the kernel are computed on the fly and multiplied at once; sums are in float64 whatever the precision of the tiles.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        float64: that of the products.
    kernel_dtype : numpy.dtype
        Precision of the kernel's entries.
    """

    def __init__(self, matrix: Matrix, ridge: float, progress: Progress) -> None:
        check_progress(progress)
        self.ridge = finite_number(ridge, "ridge")
        if self.ridge < 0 or (self.ridge and not matrix.symmetric):
            raise ValueError(f"ridge must be >= 0, and 0 with Y, got {ridge!r}.")
        self._matrix, self._progress = matrix, progress
        self.kernel_dtype = matrix.dtype
        super().__init__(np.dtype(np.float64), matrix.shape)

    def _matvec(self, v: NDArray[Any]) -> Array:
        return self._matmat(v.reshape(-1, 1))[:, 0]

    def _rmatvec(self, u: NDArray[Any]) -> Array:
        return self._rmatmat(u.reshape(-1, 1))[:, 0]

    @undisturbed
    def _matmat(self, v: NDArray[Any]) -> Array:
        right = _vectors(v)
        forward, _ = self._matrix.times(right, None, self._progress)
        assert forward is not None
        if self.ridge:
            forward += self.ridge * right
        return forward.T

    @undisturbed
    def _rmatmat(self, u: NDArray[Any]) -> Array:
        if self._matrix.symmetric:
            return self._matmat(u)
        _, backward = self._matrix.times(None, _vectors(u), self._progress)
        assert backward is not None
        return backward.T

    @undisturbed
    def diagonal(self) -> Array:
        """Diagonal of K + ridge I, of shape (n,), in O(n); without Y only."""
        if not self._matrix.symmetric:
            raise ValueError("the diagonal is that of a kernel of X with itself, without Y.")
        return np.asarray(self._matrix.diagonal() + self.ridge, np.float64)

    def block(self, rows: ArrayLike | slice, columns: ArrayLike | slice) -> NDArray[Any]:
        """Entries of K, without ridge, at given rows and columns (integer arrays, or slices): a small matrix."""
        return self._matrix.at(rows, columns)


def _vectors(v: NDArray[Any]) -> Array:
    if np.iscomplexobj(v):
        raise TypeError("a kernel is multiplied with real vectors.")
    vectors = np.ascontiguousarray(v.T, np.float64)
    if not np.isfinite(vectors).all():
        raise ValueError("a vector to multiply with has NaN or infinite entries.")
    return vectors
