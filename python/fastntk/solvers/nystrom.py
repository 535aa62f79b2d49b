"""Kernel regression over few landmarks: any number of rows, in passes over chunks of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._checks.arguments import finite_number, one_of, random_generator, whole_number
from .._checks.arrays import axes_of, kernel_dtype
from .._checks.caller import warn
from .._checks.progress import Progress, check_progress
from .._machine.factor import factorise, gram
from .._machine.floating import undisturbed
from .._machine.products import matrix_times
from .._machine.rows import engine_rows
from ..kernels.blocks import KernelMatrix, memory_limit
from ..kernels.inputs import Input
from ..kernels.prepared import PreparedRows
from ..networks.sequential import Sequential, checked
from ..samples import Ragged
from .cg import ConvergenceWarning
from .chunks import CHUNK_BYTES, Chunk, PairwiseSum, chunk_sum, chunks_of, in_memory, in_rows, rows_of_a_chunk
from .iteration import iterate
from .pivoted import random_pivots
from .samples import Sample, Samples

Array = NDArray[np.float64]

#: Rows of the uniform sample among which landmarks are chosen, for each landmark.
_CANDIDATES = 10

#: Rows of the sample that the preconditioner is made of, for each landmark: with 4 the condition number is about 9.
_SKETCH = 4


@dataclass(frozen=True, repr=False)
class NystromModel:
    """What `nystrom` gives: f(x) = kernel(x, landmarks) @ coefficients.

    Attributes
    ----------
    network : Sequential
    kind : {"nngp", "ntk"}
    landmarks : ndarray of shape (m, d), or (m, positions ..., channels), Graphs or Sequences
    coefficients : ndarray of shape (m,) or (m, k)
    residuals : ndarray of shape (iterations + 1, k)
        Relative residual of the preconditioned normal equations after every iteration.
    converged : bool
    jitter : float
        What the diagonal of the landmarks' kernel was enlarged by, relative to itself, to factorise it; 0 if that was
        not needed.
    """

    network: Sequential
    kind: Literal["nngp", "ntk"]
    landmarks: NDArray[Any] | Ragged
    coefficients: Array
    residuals: Array
    converged: bool
    jitter: float

    def __repr__(self) -> str:
        return (
            f"NystromModel({len(self.landmarks)} landmarks, iterations={self.iterations}, converged={self.converged})"
        )

    @property
    def iterations(self) -> int:
        """Passes over the rows, but for three or more: to look, for the right-hand side, to check the solution."""
        return len(self.residuals) - 1

    @cached_property
    def _kernel(self) -> LandmarkKernel:
        return LandmarkKernel(self.network, self.kind, self.landmarks, None)

    @undisturbed
    def predict(self, X: Any) -> Array:
        """F at rows of X, an array, memory map, Zarr array or container; of shape (n,) or (n, k)."""
        X = in_rows(X, "X")
        sample = self.landmarks.shape[1:]
        if X.shape[1:] != sample and not isinstance(self.landmarks, Ragged):
            raise ValueError(f"X must have shape (n, {', '.join(map(str, sample))}), got {tuple(X.shape)}.")
        width = self.coefficients.reshape(len(self.landmarks), -1)
        out = np.empty((X.shape[0], width.shape[1]))
        rows = rows_of_a_chunk(len(self.landmarks), np.dtype(np.float64))
        for i in range(0, len(out), rows):
            out[i : i + rows] = matrix_times(self._kernel(in_memory(X[i : i + rows], "X"), i), width)
        return out.reshape(len(out), *self.coefficients.shape[1:])


@dataclass(frozen=True, eq=False)
class LandmarkKernel:
    """The kernel of chunks of rows with the landmarks, which are prepared when the first asks."""

    network: Sequential
    kind: Literal["nngp", "ntk"]
    landmarks: NDArray[Any] | Ragged
    dtype: DTypeLike | None

    @cached_property
    def _rows(self) -> PreparedRows:
        return PreparedRows(self.network.layers, self.landmarks, self.kind, self.dtype)

    def __call__(self, x: NDArray[Any] | Ragged, first: int = 0) -> NDArray[Any]:
        """Of rows that are number `first` and those after it."""
        matrix = KernelMatrix(self.network.layers, x, self._rows, self.kind, self.dtype, first=(first, 0))
        return matrix.entries()


@undisturbed
def nystrom(
    net: Sequential,
    X: Any,
    y: Any = None,
    *,
    landmarks: int | ArrayLike = 1000,
    choice: Literal["pivoted", "uniform"] = "pivoted",
    kind: Literal["nngp", "ntk"] = "ntk",
    ridge: float = 1e-3,
    weights: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    tol: float = 1e-4,
    max_iterations: int = 100,
    max_memory: int | str | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Progress = False,
) -> NystromModel:
    """Fit f(x) = kernel(x, landmarks) @ a by least squares with a ridge: min sum_i w_i |f(x_i) - y_i|^2 + ridge |f|^2.

    Parameters
    ----------
    net : Sequential
    X : array of shape (n, d), or (n, positions ..., channels), or callable
        An ndarray, memory map or Zarr array, read in chunks of rows, `Graphs` or `Sequences`; or a function that gives,
        each time it is called, an iterator over chunks (X, y), or (X, y, weights), always the same.
    y : array of shape (n,) or (n, k)
        Not with a callable X.
    landmarks : int or array_like of samples as X has them, default 1000
        How many (all rows, if there are no more), or which.
    choice : {"pivoted", "uniform"}, default "pivoted"
        By randomly pivoted Cholesky, among ten times as many rows drawn uniformly; or drawn uniformly. Never two rows
        that are the same, nor one whose kernel is 0.
    kind : {"nngp", "ntk"}, default "ntk"
    ridge : float > 0, default 1e-3
        In units of the kernel; that of kernel ridge regression with all rows.
    weights : array_like of shape (n,), optional
        w >= 0 of every row, 1 by default: 2 is the row twice, 0 no row. Not with a callable X. Landmarks are
        chosen without regard to them, among rows that have any.
    dtype : {"float32", "float64"}, optional
        Of the kernel between rows and landmarks, that of X by default. Sums are in float64.
    tol : float > 0, default 1e-4
        Of the relative residual of the preconditioned normal equations.
    max_iterations : int >= 0, default 100
    max_memory : int or str, optional
        Bytes, or "4 GiB": what chunks of the kernel may take that are kept, instead of being computed again in every
        pass. A quarter of what is free by default.
    rng : numpy.random.Generator or int, optional
        For landmarks and preconditioner. What is drawn depends on the chunks that rows come in.
    progress : bool or callable, default False
        True shows a bar; a callable is called with the fraction of the orders of magnitude that are done.

    Returns
    -------
    NystromModel

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, NaN (with its row in the whole), a ridge that is not positive.

    Warns
    -----
    ConvergenceWarning
        If max_iterations were not enough.
    UserWarning
        If there are fewer landmarks than were asked for, though there are as many rows: duplicates, or a kernel of
        smaller rank.

    Notes
    -----
    With K_mm = L L^T and Phi = K_nm L^-T, conjugate gradients on Phi^T W Phi + ridge I, preconditioned by the same
    matrix of 4 m rows, half of them drawn uniformly and half by w k(x, x), each weighted by what it stands for. Pivots
    are drawn by what those before leave of a row, relative to k(x, x) + ridge: what a row can tell does not grow with
    its norm, once that is beyond the ridge. Cost: n m pairs in every pass over the data, 8 m^3 for
    the preconditioner; 3 m^2 numbers in float64.

    References
    ----------
    Rudi, Carratino, Rosasco, "FALKON: an optimal large scale kernel method", NeurIPS 2017 (there the landmarks
    themselves make the preconditioner, which needs them to be uniform).

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> X = np.linspace(-1, 1, 2000)[:, None]
    >>> model = fastntk.solvers.nystrom(fastntk.mlp(2, "relu", 1.5, 0.5), X, np.sin(3 * X[:, 0]), landmarks=50, rng=0)
    >>> bool(np.std(model.predict(X) - np.sin(3 * X[:, 0])) < 0.01)
    True
    """
    problem = Problem(net, landmarks, choice, kind, ridge, tol, max_iterations, rng)
    check_progress(progress)
    limit = memory_limit(max_memory)
    source = chunks_of(X, y, weights, rows_of_a_chunk(problem.count, np.dtype(np.float32)))
    problem.look_at(source())
    kernel = problem.choose(dtype)
    kept: list[NDArray[Any]] = []

    def sums(a: Array | None) -> Array:
        """Sum over chunks of K_c^T W_c K_c a, or of K_c^T W_c y_c."""
        total = PairwiseSum()
        room, first = limit, 0
        for i, (x, target, of_rows) in enumerate(source()):
            block = kept[i] if i < len(kept) else kernel(x, first)
            room -= block.nbytes
            if i == len(kept) and room >= 0:
                kept.append(block)
            total.add(chunk_sum(block, a, target, of_rows))
            first += len(x)
        if first != problem.rows:
            raise ValueError(
                f"X gave {problem.rows} rows at first and {first} later: it must give the same ones each time it is "
                "called."
            )
        return total.value()

    return problem.solve(kernel, sums, progress)


def diagonal_of(net: Sequential, kind: Literal["nngp", "ntk"], x: NDArray[Any] | Ragged, first: int) -> Array:
    """Check rows that are number `first` and those after it, and give the diagonal of their kernel."""
    return KernelMatrix(net.layers, x, None, kind, np.float64, first=(first, first)).diagonal()


class Problem:
    """A Nyström regression: a look at all rows, the choice of landmarks, and the solution by sums over chunks."""

    def __init__(
        self,
        net: Sequential,
        landmarks: int | ArrayLike,
        choice: str,
        kind: Literal["nngp", "ntk"],
        ridge: float,
        tol: float,
        max_iterations: int,
        rng: np.random.Generator | int | None,
    ) -> None:
        checked(net)
        one_of(choice, "choice", ("pivoted", "uniform"))
        one_of(kind, "kind", ("nngp", "ntk"))
        self.net, self._choice, self.kind = net, choice, kind
        self._given: NDArray[Any] | Ragged | None = None
        if isinstance(landmarks, Ragged) or axes_of(landmarks, "landmarks") >= 2:
            given = Input(landmarks, "landmarks", layers=net.layers).given
            # As X has them, also where that is in rows.
            self._given = (
                landmarks if isinstance(landmarks, Ragged) else engine_rows(given).reshape(np.shape(landmarks)).copy()
            )
            self.count = len(self._given)
            if not self.count:
                raise ValueError("there are no landmarks.")
        else:
            self.count = whole_number(landmarks, "landmarks", least=1)
        self._ridge, self._tol = finite_number(ridge, "ridge"), finite_number(tol, "tol")
        for name, value in (("ridge", self._ridge), ("tol", self._tol)):
            if value <= 0:
                raise ValueError(f"{name} must be > 0, got {value!r}.")
        self._iterations = whole_number(max_iterations, "max_iterations", least=0)
        self._rng = random_generator(rng, "rng")

    def look_at(self, chunks: Iterable[Chunk]) -> None:
        """Check all rows, count them, and draw a sample of them."""
        samples, rows = self.samples(), 0
        sample: tuple[int, ...] = ()
        outputs: tuple[int, ...] = ()
        for x, target, weights in chunks:
            of_kernel = diagonal_of(self.net, self.kind, x, rows)
            unlike = rows and (sample, outputs) != (x.shape[1:], target.shape[1:])
            if target.ndim > 2 or unlike:
                raise ValueError(
                    f"the chunk of rows from {rows} on has X of shape {x.shape} and y of shape {target.shape}: they "
                    "must be (n, d) and (n,) or (n, k), with the same d and k in every chunk."
                )
            samples.add(x, of_kernel, weights)
            rows += len(x)
            sample, outputs = x.shape[1:], target.shape[1:]
        if not rows:
            raise ValueError("there are no rows to fit.")
        self.rows = rows
        self.seen(samples.uniform.first(self.candidates)[0], *samples.mixed(self.sketch), outputs)

    @property
    def candidates(self) -> int:
        """Rows of which landmarks are chosen."""
        return _CANDIDATES * self.count

    @property
    def sketch(self) -> int:
        """Rows of which the preconditioner is made."""
        return _SKETCH * self.count

    def samples(self) -> Samples:
        """Make empty samples, of as many rows as this needs."""
        return Samples(
            Sample(max(self.candidates, self.sketch // 2), self._rng, weighted=False),
            Sample(self.sketch // 2, self._rng, weighted=True),
        )

    def seen(self, candidates: Any, sketch: Any, stands_for: Array, outputs: tuple[int, ...]) -> None:
        """Take candidates for landmarks, rows of which each stands for so many, and the shape of one output."""
        if not len(candidates):
            raise ValueError("weights are 0 for all rows: there is nothing to fit.")
        if 0 in outputs:
            raise ValueError("y has no columns: there is nothing to fit.")
        if self._given is not None and self._given.shape[1:] != candidates.shape[1:]:
            raise ValueError(
                f"landmarks have samples of shape {self._given.shape[1:]} but X has some of shape "
                f"{candidates.shape[1:]}; they must be the same."
            )
        self._candidates, self._sketch_rows = (
            rows if isinstance(rows, Ragged) else engine_rows(rows) for rows in (candidates, sketch)
        )
        self._stands_for, self._outputs = stands_for, outputs

    def choose(self, dtype: DTypeLike | None) -> LandmarkKernel:
        """Choose landmarks."""
        precision = kernel_dtype(dtype, self._candidates.dtype)
        if self._given is not None:
            return LandmarkKernel(self.net, self.kind, self._given, precision)
        candidates = self._candidates
        matrix = KernelMatrix(self.net.layers, candidates, None, self.kind, np.float64)
        diagonal = matrix.diagonal()
        rows = np.flatnonzero(diagonal > 0)
        if not len(rows):
            raise ValueError("every row that could be a landmark is zero, and so is its kernel.")
        if self._choice == "pivoted" and len(rows) > self.count:
            # What a row can tell is its leverage, the part of k / (k + ridge) that others leave: it is bounded.
            weights = 1 / np.sqrt(diagonal[rows] + self._ridge)
            pivots, _ = random_pivots(
                lambda i, j: weights[i, None] * matrix.at(rows[i], rows[j]) * weights[j],
                diagonal[rows] * weights**2,
                self.count,
                self._rng,
                np.dtype(np.float64),
            )
            rows = rows[pivots]
        else:
            some = candidates[rows]
            if isinstance(some, Ragged):
                _, first = np.unique(np.array(some.keys, object), return_index=True)
            else:
                _, first = np.unique(some, axis=0, return_index=True)
            rows = rows[np.sort(first)[: self.count]]  # in the order in which they were drawn
        if len(rows) < min(self.count, len(candidates)):
            warn(
                f"{len(rows)} landmarks were found, not {self.count}: all others of {len(candidates)} rows are zero, "
                "duplicates, or combinations of these to working precision.",
                UserWarning,
            )
        return LandmarkKernel(self.net, self.kind, candidates[rows], precision)

    def solve(self, kernel: LandmarkKernel, sums: Callable[[Array | None], Array], progress: Progress) -> NystromModel:
        """Conjugate gradients, given sums of K_c^T W_c K_c a and of K_c^T W_c y_c over all chunks."""
        factor, jitter = self._factorise(kernel)
        triangle = self._sketch(kernel, factor)

        def down(v: Array) -> Array:
            return np.asarray(scipy.linalg.solve_triangular(factor, v, lower=True))

        def up(v: Array) -> Array:
            return np.asarray(scipy.linalg.solve_triangular(factor, v, lower=True, trans="T"))

        solution, residuals, _ = iterate(
            lambda v: down(sums(up(v))) + self._ridge * v,
            down(sums(None)),
            lambda r: np.asarray(scipy.linalg.cho_solve((triangle, True), r)),
            self._tol,
            self._iterations,
            progress,
        )
        converged = bool((residuals[-1] <= self._tol).all())
        if not converged:
            warn(
                f"the relative residual is {residuals[-1].max():.2g} after {len(residuals) - 1} iterations, not "
                f"{self._tol:.2g}; allow for more iterations, or raise the ridge.",
                ConvergenceWarning,
            )
        a = up(solution).reshape(-1, *self._outputs)
        return NystromModel(self.net, self.kind, kernel.landmarks, a, residuals, converged, jitter)

    def _factorise(self, kernel: LandmarkKernel) -> tuple[Array, float]:
        """Cholesky factor of the landmarks' kernel, with as little jitter as it takes."""
        block = KernelMatrix(self.net.layers, kernel.landmarks, None, self.kind, np.float64)
        k = np.empty(block.shape)
        block.write((slice(None), slice(None)), [k])
        diagonal = np.where(k.diagonal() > 0, k.diagonal(), 1)
        for jitter in (0.0, *(10.0**-e for e in range(14, 5, -1))):
            # Rounding leaves no more of the smallest pivots than this.
            factor = k + np.diag(jitter * diagonal)
            if not factorise(factor):
                return factor, jitter
        raise np.linalg.LinAlgError("the kernel of the landmarks is not positive definite to working precision.")

    def _sketch(self, kernel: LandmarkKernel, factor: Array) -> Array:
        """Cholesky factor of an estimate of Phi^T W Phi + ridge I, by a weighted sample of rows."""
        total = np.zeros_like(factor)
        step = math.ceil(CHUNK_BYTES / (8 * len(factor)))
        for i in range(0, len(self._sketch_rows), step):
            block = kernel(self._sketch_rows[i : i + step]).T * np.sqrt(self._stands_for[i : i + step])
            features = scipy.linalg.solve_triangular(factor, block, lower=True)
            total += gram(features)
        total[np.diag_indices_from(total)] += self._ridge
        if factorise(total):
            raise np.linalg.LinAlgError("the normal equations are singular to working precision: raise the ridge.")
        return total
