"""Preconditioned conjugate gradients on a kernel, stored or not, for many right-hand sides at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from .._validation import finite_number, real_array, whole_number
from ..floating import undisturbed
from ..kernels import Progress, check_progress
from ..matrix_free import KernelOperator
from ..products import matrix_times
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
    converged : bool
        Whether all are within the tolerance.
    pivots : ndarray of int
        Rows that the preconditioner was made of.
    """

    x: Array
    residuals: Array
    converged: bool
    pivots: NDArray[np.intp]

    def __repr__(self) -> str:
        residual = f"{self.residuals[-1].max(initial=0):.1e}"
        return f"Solution(iterations={self.iterations}, residual={residual}, converged={self.converged})"

    @property
    def iterations(self) -> int:
        """Passes over the matrix."""
        return len(self.residuals) - 1


def pcg(
    A: Any,
    b: ArrayLike,
    *,
    ridge: float = 0.0,
    rank: int | None = None,
    tol: float = 1e-6,
    max_iterations: int = 1000,
    rng: np.random.Generator | int | None = None,
    progress: Progress = False,
) -> Solution:
    """Solve (A + ridge I) x = b by conjugate gradients, preconditioned by a randomly pivoted Cholesky factor of A.

    Parameters
    ----------
    A : ndarray of shape (n, n), KernelOperator, or other LinearOperator
        Symmetric positive semidefinite. A float32 matrix stays as it is; products are summed up in float64. Of other
        operators than `Sequential.operator` only products are known: there is no preconditioner (rank=0).
    b : array_like of shape (n,) or (n, k)
        All right-hand sides are advanced in one pass over A.
    ridge : float >= 0, default 0.0
        Added to the diagonal of A (to an operator's own ridge, if it has one).
    rank : int >= 0, optional
        Of the preconditioner: by default 10 sqrt(n), at most 2000. It costs rank products with a vector, and n rank
        numbers in float64. 0: none.
    tol : float > 0, default 1e-6
        Of the relative residual.
    max_iterations : int >= 0, default 1000
    rng : numpy.random.Generator or int, optional
        For the pivots.
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
        If A + ridge I is not positive definite.

    Warns
    -----
    ConvergenceWarning
        If max_iterations were not enough.

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
    >>> solution = fastntk.solvers.pcg(net.operator(X), y, ridge=1e-3, rank=50, tol=1e-10, rng=0)
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
    shift = finite_number(ridge, "ridge")
    if shift < 0:
        raise ValueError(f"ridge must be >= 0, got {ridge!r}.")
    if not finite_number(tol, "tol") > 0:
        raise ValueError(f"tol must be > 0, got {tol!r}.")
    if rank is not None and entries is None and rank != 0:
        raise ValueError("a preconditioner needs entries of A: pass a matrix or net.operator(X), or rank=0.")
    most = min(2000, int(10 * n**0.5)) if rank is None else whole_number(rank, "rank", least=0)
    iterations = whole_number(max_iterations, "max_iterations", least=0)

    apply: Times = _identity
    pivots = np.empty(0, np.intp)
    if entries is not None and diagonal is not None and most:
        pivots, factor = random_pivots(entries, diagonal, most, np.random.default_rng(rng), dtype)
        if len(pivots):
            apply = _preconditioner(low_rank_factor(entries, n, pivots, factor), diagonal, shift + own_ridge)
    x, residuals = iterate(
        lambda v: times(v) + (shift + own_ridge) * v, right.reshape(n, -1), apply, tol, iterations, progress
    )
    converged = bool((residuals[-1] <= tol).all())
    if not converged:
        warnings.warn(
            f"the relative residual is {residuals[-1].max():.2g} after {len(residuals) - 1} iterations, not {tol:.2g}: "
            + (
                "allow for more iterations."
                if len(residuals) > iterations
                else "rounding allows for no less; raise the ridge."
            ),
            ConvergenceWarning,
            stacklevel=2,
        )
    return Solution(x.reshape(right.shape), residuals, converged, pivots)


Times = Callable[[Array], Array]


def _read_matrix(A: Any) -> tuple[Times, Entries | None, Array | None, float, np.dtype[Any]]:
    """Products with A without its ridge, its entries and diagonal where they are known, its ridge, its precision."""
    A = np.asarray(A) if isinstance(A, (list, tuple)) else A
    if not (isinstance(A, np.ndarray) or hasattr(A, "matmat") or (hasattr(A, "shape") and hasattr(A, "dot"))) or (
        hasattr(A, "__dask_graph__")
    ):
        raise TypeError(
            f"A must be a matrix, net.operator(X), fastntk.dask.operator(net, X) or another LinearOperator, got "
            f"{type(A).__name__}."
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
        if not np.isfinite(matrix_times(matrix, np.ones((len(matrix), 1)))).all():
            raise ValueError("A contains NaN or infinite entries.")
        if not np.isfinite(diagonal).all() or diagonal.min(initial=0) < 0:
            raise ValueError("A must be positive semidefinite, but its diagonal has negative or non-finite entries.")
        return (lambda v: matrix_times(matrix, v)), (lambda i, j: matrix[np.ix_(i, j)]), diagonal, 0.0, matrix.dtype
    operator: LinearOperator = aslinearoperator(A)
    return operator.matmat, None, None, 0.0, np.dtype(np.float64)


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


@undisturbed
def iterate(
    times: Times, b: Array, precondition: Times, tol: float, iterations: int, progress: Progress
) -> tuple[Array, Array]:
    """Conjugate gradients of every column of b on its own, products with A in common.

    The residual that they carry along goes on falling where rounding stops that of x: when it is small enough x is
    checked, by one more product, and they begin again from what is left as long as that helps.
    """
    scale = np.abs(b).max(axis=0, initial=0)
    scale[scale == 0] = 1
    wanted = b / scale
    x, r = np.zeros_like(wanted), wanted
    size = np.linalg.norm(wanted, axis=0)
    size[size == 0] = 1
    history = [np.linalg.norm(r, axis=0) / size]
    with _Orders(tol, progress) as report:
        while (history[-1] > tol).any() and len(history) <= iterations:
            before = history[-1].max()
            x = x + _descend(times, r, precondition, size, tol, iterations, history, report)
            r = wanted - times(x)
            history[-1] = np.linalg.norm(r, axis=0) / size
            if history[-1].max() > 0.5 * before:
                break
    return x * scale, np.array(history)


def _descend(
    times: Times,
    b: Array,
    precondition: Times,
    size: Array,
    tol: float,
    iterations: int,
    history: list[Array],
    report: Callable[[float], None],
) -> Array:
    """Conjugate gradients from zero, until the residuals that they carry along are below the tolerance."""
    x, r = np.zeros_like(b), b.copy()
    active = np.flatnonzero(history[-1] > tol)
    z = precondition(r[:, active])
    p = z.copy()
    rz = np.einsum("ij,ij->j", r[:, active], z)
    while active.size and len(history) <= iterations:
        ap = times(p)
        curvature = np.einsum("ij,ij->j", p, ap)
        if not np.isfinite(curvature).all():
            raise ValueError("A has NaN or infinite entries, or entries whose products are beyond the range.")
        if not (curvature > 0).all():
            raise np.linalg.LinAlgError(
                "A + ridge I is not positive definite to working precision: raise the ridge, or compute the kernel "
                "in float64."
            )
        step = rz / curvature
        x[:, active] += step * p
        r[:, active] -= step * ap
        history.append(history[-1].copy())
        history[-1][active] = np.linalg.norm(r[:, active], axis=0) / size[active]
        report(float(history[-1].max()))
        going = history[-1][active] > tol
        active, p, rz = active[going], p[:, going], rz[going]
        if active.size:
            z = precondition(r[:, active])
            old, rz = rz, np.einsum("ij,ij->j", r[:, active], z)
            p = z + (rz / old) * p
    return x


class _Orders:
    """Progress in orders of magnitude of the largest residual."""

    def __init__(self, tol: float, progress: Progress) -> None:
        self._tol, self._progress, self._bar = tol, progress, None
        self._first: float | None = None

    def __enter__(self) -> _Orders:
        if self._progress is True:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=100, unit="%", desc="pcg")
        return self

    def __call__(self, residual: float) -> None:
        self._first = self._first or max(residual, 1.0)
        done = 1.0 if residual <= self._tol else np.log(self._first / residual) / np.log(self._first / self._tol)
        fraction = float(np.clip(done, 0, 1))
        if callable(self._progress):
            self._progress(fraction)
        elif self._bar is not None:
            self._bar.set_postfix(residual=f"{residual:.1e}")
            self._bar.update(round(100 * fraction) - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
