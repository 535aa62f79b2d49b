"""The exact solution, by a Cholesky factor that takes the place of the kernel, in float32 or float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import not_negative, whole_number
from .._checks.arrays import real_array, refuse_masked
from .._checks.caller import warn
from .._checks.symmetry import refuse_asymmetric
from .._machine.factor import blocks, factorise
from .._machine.floating import undisturbed
from .._machine.products import matrix_times
from .cg import ConvergenceWarning
from .iteration import BEYOND, in_range

Array = NDArray[np.float64]

#: A solution of more than this relative residual is none.
_UNSOLVED = 1e-3


@dataclass(frozen=True, repr=False)
class CholeskySolution:
    """What `cholesky` gives.

    Attributes
    ----------
    x : ndarray of shape (n,) or (n, k)
    residuals : ndarray of shape (steps + 1, k)
        Relative residual of every right-hand side after every step of refinement.
    log_determinant : float
        Of K + ridge I.
    """

    x: Array
    residuals: Array
    log_determinant: float

    def __repr__(self) -> str:
        residual = f"{self.residuals[-1].max(initial=0):.1e}"
        return f"CholeskySolution(residual={residual}, log_determinant={self.log_determinant:.6g})"


@undisturbed
def cholesky(K: NDArray[Any], b: ArrayLike, *, ridge: float = 0.0, refine: int = 3) -> CholeskySolution:
    """Solve (K + ridge I) x = b in the memory that K takes; K is lost.

    Parameters
    ----------
    K : ndarray of shape (n, n), float32 or float64, in C or Fortran order
        Symmetric: both triangles are needed. One is overwritten by the factor; the other stays as it is, and serves to
        refine.
    b : array_like of shape (n,) or (n, k)
    ridge : float >= 0, default 0.0
    refine : int >= 0, default 3
        At most so many steps of iterative refinement, as long as they make the residual smaller: a step of a float32
        factor makes it so by 1e-7 times the condition number of K + ridge I, down to that of float64.

    Returns
    -------
    CholeskySolution

    Raises
    ------
    ValueError, TypeError
        K that cannot be overwritten or is not symmetric, shapes that do not match, a negative ridge; or x is beyond the
        range of float64, which is known before K is lost if |b| / trace(K + ridge I) is.
    numpy.linalg.LinAlgError
        If K + ridge I is not positive definite to working precision.

    Warns
    -----
    ConvergenceWarning
        If a relative residual is above 1e-3 after refinement: the condition number is beyond the precision of K.

    Notes
    -----
    Cost: n^3 / 6 multiply-adds, and a matrix product with b for every step of refinement. Memory: 256 MiB beside K.

    References
    ----------
    Higham, "Accuracy and stability of numerical algorithms", 2nd ed., chapter 12 (mixed precision refinement).

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net, X, y = fastntk.mlp(depth=3), np.eye(4), np.arange(4.0)
    >>> alpha = fastntk.solvers.cholesky(net.ntk(X), y, ridge=0.1).x
    >>> bool(np.allclose(net.ntk(X) @ alpha + 0.1 * alpha, y))
    True
    """
    refuse_masked(K, "K")
    if not isinstance(K, np.ndarray) or K.dtype not in (np.float32, np.float64):
        raise TypeError("K must be a NumPy array of float32 or float64.")
    K = np.asarray(K)  # the same memory, if it is of a class of its own
    if K.ndim != 2 or K.shape[0] != K.shape[1] or not len(K):
        raise ValueError(f"K must be square and not empty, got shape {K.shape}.")
    if not K.flags.writeable or not (K.flags.c_contiguous or K.flags.f_contiguous):
        raise ValueError("K is overwritten: it must be writable and contiguous.")
    n = len(K)
    right = real_array(b, "b").astype(np.float64)
    if right.ndim not in (1, 2) or len(right) != n:
        raise ValueError(f"b must have shape ({n},) or ({n}, k), got {right.shape}.")
    shift = not_negative(ridge, "ridge")
    steps = whole_number(refine, "refine", least=0)
    refuse_asymmetric(K, "K")

    rows = K if K.flags.c_contiguous else K.T
    diagonal = rows.diagonal().astype(np.float64) + shift
    norm = diagonal.sum()  # at least that of K + ridge I
    with np.errstate(over="ignore"):
        if norm > 0 and np.abs(right).max(initial=0) / np.sqrt(n) / norm > np.finfo(np.float64).max:
            raise ValueError(BEYOND)
    np.fill_diagonal(rows, diagonal)
    minor = factorise(rows)
    if minor:
        raise np.linalg.LinAlgError(
            f"K + ridge I is not positive definite to working precision (minor {minor} of {n}): raise the ridge, or "
            "compute the kernel in float64."
        )
    log_determinant = 2 * float(np.log(rows.diagonal().astype(np.float64)).sum())

    wanted = right.reshape(n, -1)
    scale = np.ldexp(1.0, np.frexp(np.abs(wanted).max(axis=0, initial=0))[1] - 1)  # a power of 2: the bits stay
    wanted = wanted / scale
    size = np.linalg.norm(wanted, axis=0)
    size[size == 0] = 1
    x = _solve(rows, wanted)
    residual = wanted - _upper_times(rows, diagonal, x)
    history = [np.linalg.norm(residual, axis=0) / size]
    for _ in range(steps):
        better = x + _solve(rows, residual)
        residual = wanted - _upper_times(rows, diagonal, better)
        norms = np.linalg.norm(residual, axis=0) / size
        if not (norms < history[-1]).any():
            break
        x = np.where(norms < history[-1], better, x)
        history.append(np.minimum(norms, history[-1]))
    if steps and (worst := float(history[-1].max(initial=0))) > _UNSOLVED:
        warn(
            f"the relative residual is {worst:.2g}: K + ridge I is nearly singular for {K.dtype}; raise the ridge, or "
            "compute the kernel in float64.",
            ConvergenceWarning,
        )
    x = in_range(x, scale)
    return CholeskySolution(x.reshape(right.shape), np.array(history), log_determinant)


def _solve(rows: NDArray[Any], b: Array) -> Array:
    """Solve by the factor in the lower triangle, with products in float64."""
    x = b.copy()
    parts = blocks(len(rows))
    for j in parts:
        if j.start:
            x[j] -= matrix_times(rows[j, : j.start], x[: j.start])
        x[j] = scipy.linalg.solve_triangular(rows[j, j], x[j], lower=True, check_finite=False)
    for j in reversed(parts):
        x[j] = scipy.linalg.solve_triangular(rows[j, j], x[j], lower=True, trans="T", check_finite=False)
        if j.start:
            x[: j.start] -= matrix_times(rows[j, : j.start], x[j], transposed=True)
    return x


def _upper_times(rows: NDArray[Any], diagonal: Array, v: Array) -> Array:
    """A v for the symmetric A whose upper triangle is that of the rows, with this diagonal; in float64."""
    out = diagonal[:, None] * v
    for i in blocks(len(rows)):
        if i.stop < len(rows):
            out[i] += matrix_times(rows[i, i.stop :], v[i.stop :])
            out[i.stop :] += matrix_times(rows[i, i.stop :], v[i], transposed=True)
        above = np.triu(rows[i, i], 1).astype(np.float64)
        out[i] += above @ v[i] + above.T @ v[i]
    return out
