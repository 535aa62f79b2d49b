"""Eigenvalues of a kernel matrix, and what they say of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import not_negative
from .._machine.floating import undisturbed
from . import _checks
from ._checks import Array

_SINGLE, _DOUBLE = (float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64))


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """Result of `spectrum`."""

    eigenvalues: Array
    """In descending order, of shape (n,)."""
    precision: float
    """Eigenvalues below this are rounding: n times the machine epsilon of the kernel's dtype, times the largest."""
    duplicates: tuple[tuple[int, ...], ...]
    """Groups of rows that are the same sample to working precision."""

    @property
    def condition_number(self) -> float:
        """Largest over smallest eigenvalue; inf if that is 0 or negative."""
        largest, smallest = self.eigenvalues[0], self.eigenvalues[-1]
        return float(largest / smallest) if smallest > 0 else float("inf")

    @property
    def rank(self) -> int:
        """Number of eigenvalues beyond rounding."""
        return int((self.eigenvalues > self.precision).sum())

    @property
    def positive_definite(self) -> bool:
        """Whether every eigenvalue is beyond rounding."""
        return self.rank == len(self.eigenvalues)

    def effective_dimension(self, ridge: float) -> float:
        """Sum of lambda / (lambda + ridge): how many directions a regression with this ridge uses."""
        ridge = not_negative(ridge, "ridge")
        positive = self.eigenvalues[self.eigenvalues > self.precision]
        return float((positive / (positive + ridge)).sum())

    @property
    def verdict(self) -> str:
        """One sentence."""
        n = len(self.eigenvalues)
        if self.positive_definite:
            return f"positive definite, condition number {self.condition_number:.3g}."
        if self.eigenvalues[-1] < -self.precision:
            return f"indefinite: the smallest eigenvalue is {self.eigenvalues[-1]:.3g}, so this is not a kernel matrix."
        why = f": {named(self.duplicates)}" if self.duplicates else ""
        return f"singular to working precision (rank {self.rank} of {n}){why}."

    def __repr__(self) -> str:
        return f"Spectrum({len(self.eigenvalues)} eigenvalues, rank {self.rank}, condition {self.condition_number:.3g})"

    def __str__(self) -> str:
        return f"{len(self.eigenvalues)} eigenvalues, {self.verdict}"


@undisturbed
def spectrum(kernel: ArrayLike) -> Spectrum:
    """Eigenvalues of a kernel matrix, with a verdict.

    Parameters
    ----------
    kernel : array_like of shape (n, n)
        Symmetric.

    Returns
    -------
    Spectrum
        Eigenvalues, condition number, rank, effective dimension, duplicate rows, verdict.

    Notes
    -----
    Cost: 4/3 n³ multiply-adds. The NTK of distinct non-parallel inputs is positive definite if the activation is not a
    polynomial.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, proposition 2.

    Examples
    --------
    >>> import fastntk
    >>> from fastntk.inference import spectrum
    >>> X = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    >>> print(spectrum(fastntk.mlp(1).ntk(X)))
    3 eigenvalues, singular to working precision (rank 2 of 3): rows 0 and 2 are duplicates.
    """
    from scipy.linalg import eigvalsh

    matrix = _checks.gram(kernel, "kernel")
    epsilon = _SINGLE if np.asarray(kernel).dtype == np.float32 else _DOUBLE
    eigenvalues = eigvalsh(matrix)[::-1].copy()
    precision = len(matrix) * epsilon * max(float(eigenvalues[0]), 0.0)
    return Spectrum(eigenvalues, precision, duplicates(matrix, epsilon))


def duplicates(matrix: Array, epsilon: float = _DOUBLE) -> tuple[tuple[int, ...], ...]:
    """Groups of rows whose features, of squared distance K_ii + K_jj - 2 K_ij, are the same to working precision."""
    n, diagonal = len(matrix), matrix.diagonal()
    group = np.arange(n)
    for start in range(0, n, 1024):
        rows = slice(start, min(start + 1024, n))
        total = diagonal[rows, None] + diagonal
        # Far below 0 it is no distance: such a matrix is indefinite.
        same = np.abs(total - 2 * matrix[rows]) <= 4 * epsilon * np.abs(total)
        group[rows] = np.minimum(group[rows], same.argmax(axis=1))
    members: dict[int, list[int]] = {}
    for i, first in enumerate(group):
        members.setdefault(int(group[first]), []).append(i)
    return tuple(tuple(rows) for rows in members.values() if len(rows) > 1)


def named(groups: tuple[tuple[int, ...], ...], most: int = 3) -> str:
    """Say which rows are duplicates, of the first few groups."""
    texts = [f"rows {', '.join(map(str, g[:-1][:4]))} and {g[-1]}" for g in groups[:most]]
    more = f" (and {len(groups) - most} more groups)" if len(groups) > most else ""
    return f"{'; '.join(texts)} are duplicates{more}"


def singular(name: str, matrix: NDArray[np.float64], remedy: str) -> np.linalg.LinAlgError:
    """The error for a Gram matrix that is singular to working precision, or is none."""
    from scipy.linalg import eigvalsh

    groups = duplicates(matrix)
    if groups:
        return np.linalg.LinAlgError(f"{name} is singular to working precision: {named(groups)}. {remedy}")
    smallest = float(eigvalsh(matrix, subset_by_index=[0, 0])[0])
    # The matrix may have been computed in float32.
    if smallest < -len(matrix) * _SINGLE * float(matrix.diagonal().max()):
        return np.linalg.LinAlgError(
            f"{name} is not positive definite: the kernel has a negative eigenvalue, {smallest:.3g}, so it is not a "
            f"kernel matrix."
        )
    return np.linalg.LinAlgError(f"{name} is singular to working precision. {remedy}")
