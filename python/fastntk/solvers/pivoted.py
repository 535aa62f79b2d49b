"""Randomly pivoted Cholesky: which rows of a kernel tell most of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.float64]
#: Entries of a kernel at given rows and columns.
Entries = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[Any]]

#: Proposals at a time.
_BLOCK = 256

#: A row whose residual is below this part of its diagonal is in the span of the others, as far as rounding tells.
_NEGLIGIBLE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}

#: If a smaller part of the proposals is accepted, the residual's diagonal is computed, to propose by it.
_FEW = 0.25


def random_pivots(
    entries: Entries, diagonal: Array, rank: int, rng: np.random.Generator, dtype: DTypeLike
) -> tuple[NDArray[np.intp], Array]:
    """Pivots of a positive semidefinite matrix, and the Cholesky factor of their block.

    Row i becomes the next pivot with a probability in proportion to the diagonal of the residual: proposed by the
    diagonal of the matrix itself, accepted with probability residual / diagonal, so that only entries among proposals
    and pivots are looked at; where few are accepted, proposed by the diagonal of the residual as it was then.

    Parameters
    ----------
    entries : callable
        entries(rows, columns) gives that block of the matrix.
    diagonal : ndarray of shape (n,)
    rank : int
        So many pivots at most; fewer where those leave nothing of any row beyond the rounding of its own diagonal,
        however small that is beside others.
    rng : numpy.random.Generator
    dtype : dtype
        Precision of the entries.

    Returns
    -------
    pivots : ndarray of shape (r,), in the order of their choice
    factor : ndarray of shape (r, r)
        Lower triangular, factor factor^T = the block of the pivots.

    References
    ----------
    Chen, Epperly, Tropp, Webber, "Randomly pivoted Cholesky", Comm. Pure Appl. Math. 2025 (arXiv:2207.06503).
    Epperly, Tropp, Webber, "Embrace rejection: kernel matrix approximation by accelerated randomly pivoted Cholesky",
    2024 (arXiv:2410.03969), algorithm 2.
    """
    rank = min(rank, len(diagonal))
    pivots = np.empty(0, np.intp)
    factor = np.zeros((rank, rank))
    bound = diagonal.copy()  # of the residual's diagonal: what rows are proposed by
    least = _NEGLIGIBLE[np.dtype(dtype)] * diagonal
    while len(pivots) < rank and bound.any():
        chance = np.cumsum(bound / bound.max())
        rows = np.searchsorted(chance, rng.random(_BLOCK) * chance[-1], side="right")
        rows = np.minimum(rows, len(diagonal) - 1)  # a product may be rounded up
        new, reduced, below, spent = _accept(entries, bound, rows, pivots, factor, rng, least)
        bound[spent], least[spent] = 0, np.inf
        few = len(new) < _FEW * _BLOCK
        r = len(pivots)
        new, reduced, below = new[: rank - r], reduced[: rank - r], below[: rank - r, : rank - r]
        factor[r : r + len(new), :r] = reduced
        factor[r : r + len(new), r : r + len(new)] = below
        pivots = np.concatenate((pivots, new))
        if few and len(pivots) < rank:
            bound = _residual(entries, diagonal, pivots, factor[: len(pivots), : len(pivots)])
            bound[bound <= least] = 0
    return pivots, factor[: len(pivots), : len(pivots)]


def _accept(
    entries: Entries,
    diagonal: Array,
    rows: NDArray[np.intp],
    pivots: NDArray[np.intp],
    factor: Array,
    rng: np.random.Generator,
    least: Array,
) -> tuple[NDArray[np.intp], Array, Array, NDArray[np.intp]]:
    """Accepted ones of the proposed rows, what they add to the factor below it and on its diagonal; and rows spent.

    Of those the accepted ones and the pivots leave nothing but rounding.
    """
    r = len(pivots)
    both = np.asarray(entries(rows, np.concatenate((rows, pivots))), np.float64)
    residual = both[:, : len(rows)]
    reduced = np.empty((len(rows), r))
    if r:
        reduced = scipy.linalg.solve_triangular(factor[:r, :r], both[:, len(rows) :].T, lower=True).T
        residual = residual - reduced @ reduced.T
    # One step of Cholesky a proposal, in their order, but for those that are not accepted.
    columns = np.zeros((len(rows), len(rows)))
    chosen: list[int] = []
    left = residual.diagonal().copy()
    for i, threshold in enumerate(rng.random(len(rows)) * diagonal[rows]):
        if left[i] > max(threshold, least[rows[i]]):
            k = len(chosen)
            column = (residual[:, i] - columns[:, :k] @ columns[i, :k]) / np.sqrt(left[i])
            columns[:, k] = column
            left -= column**2
            chosen.append(i)
    below = np.tril(columns[np.ix_(chosen, range(len(chosen)))])
    return rows[chosen], reduced[chosen], below, rows[left <= least[rows]]


def _residual(entries: Entries, diagonal: Array, pivots: NDArray[np.intp], factor: Array) -> Array:
    """Diagonal of what the pivots leave."""
    left = diagonal.copy()
    step = max(_BLOCK, 2**24 // len(pivots))
    for i in range(0, len(left), step):
        rows = np.arange(i, min(i + step, len(left)), dtype=np.intp)
        columns = np.asarray(entries(rows, pivots), np.float64)
        reduced = scipy.linalg.solve_triangular(factor, columns.T, lower=True, overwrite_b=True)
        left[rows] -= np.einsum("ij,ij->j", reduced, reduced)
    left[pivots] = 0
    return np.maximum(left, 0)


def low_rank_factor(entries: Entries, n: int, pivots: NDArray[np.intp], factor: Array) -> Array:
    """F of shape (n, r), F F^T the approximation of the matrix by its columns at the pivots."""
    everything = np.arange(n, dtype=np.intp)
    columns = np.asarray(entries(everything, pivots), np.float64)
    return np.asarray(scipy.linalg.solve_triangular(factor, columns.T, lower=True, overwrite_b=True).T)
