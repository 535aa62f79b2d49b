"""Preconditioned conjugate gradients on a kernel, stored or not, for many right-hand sides at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from .._checks.arguments import finite_number, not_negative, random_generator, whole_number
from .._checks.arrays import real_array
from .._checks.caller import warn
from .._checks.progress import Progress, check_progress
from .._checks.shown import shown
from .._checks.symmetry import refuse_asymmetric, rounding
from .._machine.floating import undisturbed
from .._machine.products import matrix_times
from ..kernels.operator import KernelOperator
from .iteration import Reason, Times, iterate
from .pivoted import Entries, low_rank_factor, random_pivots

Array = NDArray[np.float64]


class ConvergenceWarning(UserWarning):
    """An iteration ended before it reached its tolerance."""


@dataclass(frozen=True, repr=False)
class Solution:
    """What an iterative solver gives.

    Attributes
    ----------
    x : ndarray of shape (n,) or (n, k)
    residuals : ndarray of shape (iterations + 1, k)
        Relative residual of every right-hand side after every iteration; the last is |b - A x| / |b|, computed anew.
    reason : {"converged", "maxiter", "singular", "rounding"}
        Why it ended: all are within the tolerance; maxiter passes were not enough; A + ridge I is singular to working
        precision and a right-hand side is not in its range; or rounding allows for no less than the last residual.
    pivots : ndarray of int
        Rows that the preconditioner was made of.
    """

    x: Array
    residuals: Array
    reason: Reason
    pivots: NDArray[np.intp]

    def __repr__(self) -> str:
        residual = f"{self.residuals[-1].max(initial=0):.1e}"
        return f"Solution(iterations={self.iterations}, residual={residual}, reason={self.reason!r})"

    @property
    def converged(self) -> bool:
        """Whether all right-hand sides are within the tolerance."""
        return self.reason == "converged"

    @property
    def iterations(self) -> int:
        """Passes over the matrix."""
        return len(self.residuals) - 1


@undisturbed
def pcg(
    A: Any,
    b: ArrayLike,
    x0: ArrayLike | None = None,
    *,
    ridge: float = 0.0,
    rank: int | None = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    maxiter: int = 1000,
    rng: np.random.Generator | int | None = None,
    callback: Callable[[Array], object] | None = None,
    progress: Progress = False,
) -> Solution:
    """Solve (A + ridge I) x = b by conjugate gradients, preconditioned by a randomly pivoted Cholesky factor of A.

    Parameters
    ----------
    A : ndarray of shape (n, n), Zarr array, KernelOperator, StoredKernel, or other LinearOperator
        Symmetric positive semidefinite: a matrix, `Sequential.operator`, or a kernel on disk. A float32 matrix stays as
        it is; products are summed up in float64. Of other operators only products are known: there is no
        preconditioner (rank=0).
    b : array_like of shape (n,) or (n, k)
        All right-hand sides are advanced in one pass over A.
    x0 : array_like of the shape of b, optional
        Where to begin; at zero by default.
    ridge : float >= 0, default 0.0
        Added to the diagonal of A (to an operator's own ridge, if it has one).
    rank : int >= 0, optional
        Of the preconditioner: by default 10 sqrt(n), at most 2000. It costs rank products with a vector (of a kernel on
        disk: to read it some rank / 100 times), and n rank numbers in float64. 0: none.
    rtol, atol : float >= 0, default 1e-6 and 0
        Converged is |b - (A + ridge I) x| <= max(rtol |b|, atol), for every right-hand side. Not both can be 0.
    maxiter : int >= 0, default 1000
        Passes over A.
    rng : numpy.random.Generator or int, optional
        For the pivots.
    callback : callable, optional
        Called with the current x after every pass, as SciPy's cg does.
    progress : bool or callable, default False
        True shows a bar; a callable is called with the fraction of the orders of magnitude that are done.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError, TypeError
        Shapes that do not match, NaN, a negative ridge.
    numpy.linalg.LinAlgError
        If A + ridge I has a negative eigenvalue, beyond rounding.

    Warns
    -----
    ConvergenceWarning
        If it did not converge, with `Solution.reason`: more passes help in the first case only.

    Notes
    -----
    The preconditioner is F F^T + mu I with mu = ridge + trace(A - F F^T) / n: what F leaves out is not small in a
    kernel whose spectrum has a flat tail.

    References
    ----------
    Diaz, Epperly, Frangella, Tropp, Webber, "Robust, randomized preconditioning for kernel ridge regression",
    2023 (arXiv:2304.12465), algorithm 1.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net, rng = fastntk.mlp(depth=3), np.random.default_rng(0)
    >>> X, y = rng.standard_normal((300, 5)), rng.standard_normal(300)
    >>> solution = fastntk.solvers.pcg(net.ntk.operator(X), y, ridge=1e-3, rank=50, rtol=1e-10, rng=0)
    >>> K = net.ntk(X) + 1e-3 * np.eye(300)
    >>> bool(np.allclose(K @ solution.x, y))
    True
    """
    check_progress(progress)
    times, entries, diagonal, own_ridge, dtype = _read_matrix(A)
    n = len(diagonal) if diagonal is not None else A.shape[0]
    right = real_array(b, "b").astype(np.float64)
    if right.ndim not in (1, 2) or len(right) != n:
        raise ValueError(f"b must have shape ({n},) or ({n}, k), got {right.shape}.")
    shift = not_negative(ridge, "ridge")
    relative, absolute = finite_number(rtol, "rtol"), finite_number(atol, "atol")
    if min(relative, absolute) < 0 or max(relative, absolute) == 0:
        raise ValueError(f"rtol and atol must be >= 0, and one of them > 0; got {shown(rtol)} and {shown(atol)}.")
    start = None if x0 is None else real_array(x0, "x0").astype(np.float64)
    if start is not None and start.shape != right.shape:
        raise ValueError(f"x0 must have the shape of b, {right.shape}, got {start.shape}.")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a callable or None, got {shown(callback)}.")
    if rank is not None and entries is None and rank != 0:
        raise ValueError("a preconditioner needs entries of A: pass a matrix or net.ntk.operator(X), or rank=0.")
    most = min(2000, int(10 * n**0.5)) if rank is None else whole_number(rank, "rank", least=0)
    passes = whole_number(maxiter, "maxiter", least=0)

    apply: Times = _identity
    pivots = np.empty(0, np.intp)
    if entries is not None and diagonal is not None and most:
        pivots, factor = random_pivots(entries, diagonal, most, random_generator(rng, "rng"), dtype)
        if len(pivots):
            apply = _preconditioner(low_rank_factor(entries, n, pivots, factor), diagonal, shift + own_ridge)
    found = iterate(
        lambda v: times(v) + (shift + own_ridge) * v,
        right.reshape(n, -1),
        apply,
        relative,
        passes,
        progress,
        atol=absolute,
        norm=0.0 if diagonal is None else float(diagonal.max()) + shift + own_ridge,
        x0=None if start is None else start.reshape(n, -1),
        callback=None if callback is None else lambda x: callback(x.reshape(right.shape)),
    )
    if found.reason != "converged":
        worst, made = found.residuals[-1].max(), len(found.residuals) - 1
        warn(
            f"the largest relative residual is {worst:.2g} after {made} passes, and not within rtol: "
            f"{_ADVICE[found.reason]}.",
            ConvergenceWarning,
        )
    return Solution(found.x.reshape(right.shape), found.residuals, found.reason, pivots)


#: Of a matrix on disk that are read at once, about.
_ROWS = 1024

_ADVICE = {
    "maxiter": "allow for more, by maxiter",
    "rounding": "rounding allows for no less; raise the ridge",
    "singular": "A + ridge I is singular to working precision, and b is not in its range; raise the ridge",
}


def _read_matrix(A: Any) -> tuple[Times, Entries | None, Array | None, float, np.dtype[Any]]:
    """Products with A without its ridge, its entries and diagonal where they are known, its ridge, its precision."""
    A = real_array(A, "A", finite=False) if isinstance(A, (list, tuple)) else A
    if all(hasattr(A, name) for name in ("chunks", "shape", "dtype", "__getitem__")) and not hasattr(A, "dot"):
        A = _of_chunks(A)
    if not (isinstance(A, np.ndarray) or hasattr(A, "matmat") or (hasattr(A, "shape") and hasattr(A, "dot"))) or (
        hasattr(A, "__dask_graph__")
    ):
        raise TypeError(
            "A must be a matrix, a Zarr array, net.ntk.operator(X), a stored kernel, fastntk.dask.operator(net, X) or "
            f"another LinearOperator, got {type(A).__name__}."
        )
    if len(A.shape) != 2 or A.shape[0] != A.shape[1] or not A.shape[0]:
        raise ValueError(f"A must be square and not empty, got shape {A.shape}.")
    if isinstance(A, KernelOperator):
        ridge = A.ridge
        return (lambda v: A @ v - ridge * v), A.block, A.diagonal() - ridge, ridge, A.kernel_dtype
    if isinstance(A, np.ndarray):
        matrix = real_array(A, "A", finite=False)
        if matrix.dtype not in (np.float32, np.float64) or matrix.strides[1] != matrix.itemsize:
            matrix = np.ascontiguousarray(matrix, np.float64)
        diagonal = matrix.diagonal().astype(np.float64)
        refuse_asymmetric(matrix, "A")
        if not np.isfinite(diagonal).all() or diagonal.min() < -rounding(matrix):
            raise ValueError("A must be positive semidefinite, but its diagonal has negative or non-finite entries.")
        diagonal = np.maximum(diagonal, 0)
        return (lambda v: matrix_times(matrix, v)), (lambda i, j: matrix[np.ix_(i, j)]), diagonal, 0.0, matrix.dtype
    operator: LinearOperator = aslinearoperator(A)
    return operator.matmat, None, None, 0.0, np.dtype(np.float64)


def _of_chunks(A: Any) -> LinearOperator:
    """A matrix on disk, such as a Zarr array: some rows at a time, whole chunks of it."""
    rows = A.chunks[0] * max(1, _ROWS // A.chunks[0])

    def times(v: Array) -> Array:
        parts = (real_array(A[i : i + rows], "A") for i in range(0, A.shape[0], rows))
        return np.concatenate([matrix_times(part, v) for part in parts])

    return LinearOperator(A.shape, matvec=lambda v: times(v[:, None])[:, 0], matmat=times, dtype=np.float64)


def _identity(r: Array) -> Array:
    return r


def _preconditioner(factor: Array, diagonal: Array, ridge: float) -> Times:
    """Inverse of F F^T + mu I, by the singular value decomposition of F."""
    n = len(factor)
    residual = max(0.0, float(diagonal.sum() - np.einsum("ij,ij->", factor, factor)))
    mu = ridge + residual / n
    if not mu > 0:  # F F^T is all of A
        mu = np.finfo(np.float64).eps * float(diagonal.sum()) / n
    q, r = scipy.linalg.qr(factor, mode="economic", overwrite_a=True)
    u, s, _ = scipy.linalg.svd(r)
    basis = q @ u
    weights = (1 / (s**2 + mu))[:, None]

    def apply(v: Array) -> Array:
        inside = basis.T @ v
        out = basis @ (weights * inside)
        if len(s) < n:
            rest = v - basis @ inside
            rest -= basis @ (basis.T @ rest)  # what rounding left of the inside would be divided by mu
            out += rest / mu
        return np.asarray(out)

    return apply
