"""Regression over landmarks on the rows of a Dask array."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import dask
import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._checks.arrays import real_array, sample_weights
from .._checks.progress import Progress, check_progress
from ..networks.sequential import Sequential
from ..solvers.chunks import PairwiseSum, chunk_sum, rows_of_a_chunk
from ..solvers.nystrom import LandmarkKernel, NystromModel, Problem, diagonal_of
from .rows import Rows

Array = NDArray[np.float64]


def nystrom(
    net: Sequential,
    X: Any,
    y: Any,
    *,
    landmarks: int | ArrayLike = 1000,
    choice: Literal["pivoted", "uniform"] = "pivoted",
    kind: Literal["nngp", "ntk"] = "ntk",
    ridge: float = 1e-3,
    weights: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    tol: float = 1e-4,
    max_iterations: int = 100,
    rng: np.random.Generator | int | None = None,
    progress: Progress = False,
    persist: bool = False,
) -> NystromModel:
    """Regression over landmarks: `fastntk.solvers.nystrom`, with every pass over the rows computed by Dask.

    Parameters
    ----------
    net, landmarks, choice, kind, ridge, weights, dtype, tol, max_iterations, rng, progress
        As for `fastntk.solvers.nystrom`.
    X : dask.array.Array of shape (n, d), or (n, positions ..., channels)
    y : dask.array.Array or array_like of shape (n,) or (n, k)
    persist : bool, default False
        Keep the kernel of all rows with the landmarks, n m numbers, in the memory of the cluster, instead of computing
        it in every pass.

    Returns
    -------
    NystromModel
        The same bits as ``fastntk.solvers.nystrom`` gives for the same data in memory: sums over chunks are in the same
        order, that of a balanced tree.

    Errors and warnings are those of `fastntk.solvers.nystrom`. The landmarks' own 8 m^3 operations, and 3 m^2 numbers,
    are in the process that calls.

    Examples
    --------
    >>> import dask.array as da, fastntk, fastntk.dask
    >>> X = da.linspace(-1, 1, 2000, chunks=500)[:, None]
    >>> model = fastntk.dask.nystrom(fastntk.mlp(2, "relu", 1.5, 0.5), X, da.sin(3 * X[:, 0]), landmarks=50, rng=0)
    >>> bool((model.predict(X.compute()) - da.sin(3 * X[:, 0]).compute()).std() < 0.01)
    True
    """
    problem = Problem(net, landmarks, choice, kind, ridge, tol, max_iterations, rng)
    check_progress(progress)
    rows = rows_of_a_chunk(problem.count, np.dtype(np.float32))
    x = Rows.of(X, "X", rows)
    target = y if isinstance(y, da.Array) else da.from_array(real_array(y, "y"))
    if x.total == 0:
        raise ValueError("there are no rows to fit.")
    if target.ndim not in (1, 2) or target.shape[0] != x.total:
        raise ValueError(f"y must have shape ({x.total},) or ({x.total}, k), got {target.shape}.")
    targets = target.rechunk({0: rows, **dict.fromkeys(range(1, target.ndim), -1)}).to_delayed().ravel()
    if weights is None:
        weights = np.ones(x.total)
    of_rows = sample_weights(weights.compute() if isinstance(weights, da.Array) else weights, "weights", x.total)
    of_chunks = [of_rows[first : first + count] for first, count in zip(x.first, x.sizes, strict=True)]

    diagonals = dask.compute(*map(delayed(partial(_look_at, net=net, kind=kind)), x.chunks, targets, x.first))
    samples = problem.samples()
    for first, diagonal, of_chunk in zip(x.first, diagonals, of_chunks, strict=True):
        samples.add(np.arange(first, first + len(of_chunk)), diagonal, of_chunk)
    candidates = samples.uniform.first(problem.candidates)[0]
    numbers, stands_for = samples.mixed(problem.sketch)
    candidates, sketch = x.take(np.asarray(candidates), np.asarray(numbers))
    problem.seen(candidates, sketch, stands_for, target.shape[1:])
    kernel = problem.choose(dtype)

    shared = delayed(kernel, traverse=False)
    parts = [delayed(_landmark_block)(shared, chunk, first) for chunk, first in zip(x.chunks, x.first, strict=True)]
    if persist:
        parts = list(dask.persist(*parts))

    def sums(a: Array | None) -> Array:
        vectors = delayed(a, traverse=False)
        total: Any = PairwiseSum()  # of tasks: their tree
        for part, t, of_chunk in zip(parts, targets, of_chunks, strict=True):
            total.add(delayed(_landmark_sum)(part, vectors, t, of_chunk))
        return np.asarray(total.value().compute())

    return problem.solve(kernel, sums, progress)


# What workers run.


def _look_at(x: NDArray[Any], y: NDArray[Any], first: int, net: Sequential, kind: Literal["nngp", "ntk"]) -> Array:
    real_array(y, "y", first=first)
    return diagonal_of(net, kind, x, first)


def _landmark_block(kernel: LandmarkKernel, x: NDArray[Any], first: int) -> NDArray[Any]:
    return kernel(x, first)


def _landmark_sum(block: NDArray[Any], a: Array | None, y: NDArray[Any], weights: Array) -> Array:
    return chunk_sum(block, a, np.asarray(y, np.float64), weights)
