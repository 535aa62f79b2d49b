"""Kernels of Dask arrays, their products and regression over landmarks: on a cluster, or the threads of one machine.

Needs the extra: ``pip install "fastntk[dask]"``. A task computes a block of pairs with as many threads as OpenMP is
allowed there (OMP_NUM_THREADS, which the nanny of `distributed` sets to 1). Dask's own scheduler decides what runs
where, and computes again what a lost worker had.
"""

from __future__ import annotations

import math
import operator as operators
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

try:
    import dask
    import dask.array as da
    from dask.base import tokenize
    from dask.delayed import Delayed, delayed
    from dask.highlevelgraph import HighLevelGraph
except ImportError as error:
    raise ImportError('fastntk.dask needs Dask: pip install "fastntk[dask]".') from error

from ._checks.arguments import one_of
from ._checks.arrays import kernel_dtype, real_array
from ._checks.progress import Progress, check_progress
from .kernels.blocks import KernelMatrix, same_samples
from .kernels.compilation import Kind
from .kernels.computation import Kernels
from .kernels.inputs import Centre, Input, centre_step, read_inputs
from .kernels.operator import KernelOperator
from .kernels.pairs import compile_pairs
from .layers.base import Layer
from .networks.sequential import Sequential, checked
from .solvers.chunks import PairwiseSum, chunk_sum, rows_of_a_chunk
from .solvers.nystrom import LandmarkKernel, NystromModel, Problem, weigh

Array = NDArray[np.float64]

__all__ = ["kernels", "nngp", "ntk", "nystrom", "operator"]


def nngp(net: Sequential, X: Any, Y: Any = None, *, dtype: DTypeLike | None = None) -> da.Array:
    """NNGP kernel of Dask arrays, as a Dask array: `Sequential.nngp`.

    Parameters
    ----------
    net : Sequential
    X : dask.array.Array of shape (n, d), or (n, positions ..., channels)
        Its chunks of rows are those of the result; all of a sample is put in one chunk.
    Y : dask.array.Array of shape (m, d), or (m, positions ..., channels), optional
        Other samples; without them the result is symmetric, and half of its blocks are computed.
    dtype : {"float32", "float64"}, optional
        Precision of the computation and of the result, that of X by default.

    Returns
    -------
    dask.array.Array of shape (n, m)
        Lazy. The same bits as ``net.nngp(X, Y, univariate=False)``, whatever the chunks, but for activations that are
        expanded, those to their tolerance, and images and sequences, those to the last bits. NaN in X is found when the
        first block is computed.

    Raises
    ------
    TypeError, ValueError
        X that is not a Dask array of samples with chunks of known sizes; not the same number of features.

    Examples
    --------
    >>> import dask.array as da, fastntk, fastntk.dask, numpy as np
    >>> net, X = fastntk.mlp(depth=3), np.random.default_rng(0).normal(size=(100, 5))
    >>> K = fastntk.dask.nngp(net, da.from_array(X, chunks=(40, 5)))
    >>> K.chunks
    ((40, 40, 20), (40, 40, 20))
    >>> bool((K.compute() == net.nngp(X, univariate=False)).all())
    True
    """
    return _Blocks(net, X, Y, "nngp", dtype).arrays()[0]


def ntk(net: Sequential, X: Any, Y: Any = None, *, dtype: DTypeLike | None = None) -> da.Array:
    """Neural tangent kernel of Dask arrays, as a Dask array: `nngp` for Theta.

    Examples
    --------
    >>> import dask.array as da, fastntk, fastntk.dask
    >>> fastntk.dask.ntk(fastntk.mlp(depth=3), da.ones((100, 5), chunks=50), da.ones((7, 5))).shape
    (100, 7)
    """
    return _Blocks(net, X, Y, "ntk", dtype).arrays()[0]


def kernels(net: Sequential, X: Any, Y: Any = None, *, dtype: DTypeLike | None = None) -> Kernels:
    """Both kernels of Dask arrays; computed together they take one pass. Arguments are those of `nngp`.

    Examples
    --------
    >>> import dask, dask.array as da, fastntk, fastntk.dask
    >>> K, T = dask.compute(*fastntk.dask.kernels(fastntk.mlp(depth=3), da.ones((100, 5), chunks=50)))
    >>> bool((T >= K).all())
    True
    """
    return Kernels(*_Blocks(net, X, Y, "both", dtype).arrays())


def operator(
    net: Sequential,
    X: Any,
    Y: Any = None,
    *,
    kind: Literal["nngp", "ntk"] = "ntk",
    ridge: float = 0.0,
    dtype: DTypeLike | None = None,
) -> KernelOperator:
    """Kernel of Dask arrays as a linear operator: `Sequential.operator`, with every product computed by Dask.

    Parameters
    ----------
    net, X, Y, dtype
        As for `nngp`. X is read in every product: ``X.persist()`` keeps it on the cluster.
    kind : {"nngp", "ntk"}, default "ntk"
    ridge : float >= 0, default 0.0
        Added to the diagonal; without Y only.

    Returns
    -------
    KernelOperator
        A `scipy.sparse.linalg.LinearOperator` on NumPy vectors; `fastntk.solvers.pcg` takes it, with preconditioner.

    Examples
    --------
    >>> import dask.array as da, fastntk, fastntk.dask, numpy as np
    >>> net, X = fastntk.mlp(depth=3), np.random.default_rng(0).normal(size=(100, 5))
    >>> A = fastntk.dask.operator(net, da.from_array(X, chunks=(40, 5)))
    >>> bool(np.allclose(A @ np.ones(100), net.ntk(X) @ np.ones(100)))
    True
    """
    one_of(kind, "kind", ("nngp", "ntk"))
    return KernelOperator(_Blocks(net, X, Y, kind, dtype), ridge, False)


def nystrom(
    net: Sequential,
    X: Any,
    y: Any,
    *,
    landmarks: int | ArrayLike = 1000,
    choice: Literal["pivoted", "uniform"] = "pivoted",
    kind: Literal["nngp", "ntk"] = "ntk",
    ridge: float = 1e-3,
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
    net, landmarks, choice, kind, ridge, dtype, tol, max_iterations, rng, progress
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
    x = _Rows.of(X, "X", rows)
    target = y if isinstance(y, da.Array) else da.from_array(real_array(y, "y"))
    if x.total == 0:
        raise ValueError("there are no rows to fit.")
    if target.ndim not in (1, 2) or target.shape[0] != x.total:
        raise ValueError(f"y must have shape ({x.total},) or ({x.total}, k), got {target.shape}.")
    targets = target.rechunk({0: rows, **dict.fromkeys(range(1, target.ndim), -1)}).to_delayed().ravel()

    weigh_rows = delayed(partial(_weigh, net=net, kind=kind))
    weights = dask.compute(*map(weigh_rows, x.chunks, targets, x.first))
    samples = problem.samples()
    for first, count, weight in zip(x.first, x.sizes, weights, strict=True):
        samples.add(np.arange(first, first + count), weight)
    candidates = samples.uniform.first(problem.candidates)[0]
    numbers, stands_for = samples.mixed(problem.sketch)
    candidates, sketch = x.take(candidates, numbers)
    problem.seen(candidates, sketch, stands_for, target.shape[1:])
    kernel = problem.choose(dtype)

    shared = delayed(kernel, traverse=False)
    parts = [delayed(_landmark_block)(shared, chunk, first) for chunk, first in zip(x.chunks, x.first, strict=True)]
    if persist:
        parts = list(dask.persist(*parts))

    def sums(a: Array | None) -> Array:
        vectors = delayed(a, traverse=False)
        total: Any = PairwiseSum()  # of tasks: their tree
        for part, t in zip(parts, targets, strict=True):
            total.add(delayed(_landmark_sum)(part, vectors, t))
        return np.asarray(total.value().compute())

    return problem.solve(kernel, sums, progress)


class _Rows(NamedTuple):
    """A Dask array in chunks of whole rows."""

    array: da.Array
    chunks: list[Delayed]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, value: Any, name: str, rows: int | None = None) -> _Rows:
        if not isinstance(value, da.Array):
            raise TypeError(
                f"{name} must be a Dask array, got {type(value).__name__}; dask.array.from_array makes one of an array."
            )
        if value.ndim < 2:
            raise ValueError(f"{name} must have shape (n, d), got {value.shape}.")
        if np.isnan(value.shape).any():
            raise ValueError(f"the sizes of the chunks of {name} are not known: call {name}.compute_chunk_sizes().")
        sample = dict.fromkeys(range(1, value.ndim), -1)
        array = value.rechunk(sample if rows is None else {0: rows, **sample})
        return cls(array, list(array.to_delayed().ravel()), array.chunks[0])

    @property
    def first(self) -> list[int]:
        return [int(i) for i in np.cumsum((0, *self.sizes[:-1]))]

    @property
    def total(self) -> int:
        return int(self.array.shape[0])

    def key(self, i: int) -> tuple[Any, ...]:
        """That of a chunk in Dask's graph."""
        return (self.array.name, i, *[0] * (self.array.ndim - 1))

    def take(self, *numbers: NDArray[np.intp]) -> list[NDArray[Any]]:
        """Rows of given numbers, for every array of them."""
        wanted = np.unique(np.concatenate(numbers))
        places = [
            wanted[slice(*np.searchsorted(wanted, (a, a + n)))] - a for a, n in zip(self.first, self.sizes, strict=True)
        ]
        rows = np.concatenate(
            dask.compute(*(delayed(_rows)(chunk, at) for chunk, at in zip(self.chunks, places, strict=True)))
        )
        return [rows[np.searchsorted(wanted, some)] for some in numbers]

    def looks(self, layers: tuple[Layer, ...], kind: Kind, dtype: np.dtype[Any], name: str) -> list[Delayed]:
        """Every chunk: its rows that the centre is made of, and whether none of its rows are zero."""
        step = centre_step(self.total, math.prod(self.array.shape[1:]))
        look = delayed(partial(_look, step=step, layers=layers, kind=kind, dtype=dtype, name=name))
        return [look(chunk, first) for chunk, first in zip(self.chunks, self.first, strict=True)]


class _Blocks:
    """The kernel of Dask arrays, block by block; a `kernels.operator.Matrix`.

    What a block needs to know of the whole is its centre: one more task, that all of them wait for.
    """

    def __init__(self, net: Sequential, X: Any, Y: Any, kind: Kind, dtype: DTypeLike | None) -> None:
        checked(net)
        self._x = _Rows.of(X, "X")
        self._y = self._x if Y is None else _Rows.of(Y, "Y")
        one = [np.ones((1, *rows.array.shape[1:]), rows.array.dtype) for rows in (self._x, self._y)]
        left, right = read_inputs(net.layers, one[0], one[1])
        self.dtype = kernel_dtype(dtype, left.x, (right or left).x)
        self.shape = self._x.total, self._y.total
        self.symmetric = Y is None
        self._net, self._kind = net, kind
        matrices = [self._x.looks(net.layers, kind, self.dtype, "X")]
        if not self.symmetric:
            matrices.append(self._y.looks(net.layers, kind, self.dtype, "Y"))
        self._centre = delayed(_centre)(matrices)

    def _matrix(self, function: Any) -> Any:
        return partial(function, layers=self._net.layers, kind=self._kind, dtype=self.dtype)

    def arrays(self) -> list[da.Array]:
        x, y = self._x, self._y
        name = "fastntk-" + tokenize(self._net, x.array, y.array, self.symmetric, self._kind, self.dtype.str)
        compute = self._matrix(_block)
        graph: dict[Any, Any] = {}
        for i, first in enumerate(x.first):
            for j in range(i if self.symmetric else 0, len(y.sizes)):
                other = None if self.symmetric and i == j else y.key(j)
                place = (first, y.first[j])
                graph[name, i, j] = (partial(compute, first=place), x.key(i), other, self._centre.key)
        sources = [x.array, y.array, self._centre]
        layer = HighLevelGraph.from_collections(name, graph, dependencies=sources)
        arrays = []
        for k in range(2 if self._kind == "both" else 1):
            part: dict[Any, Any] = {}
            for i in range(len(x.sizes)):
                for j in range(len(y.sizes)):
                    if self.symmetric and j < i:
                        part[f"{name}-{k}", i, j] = (np.transpose, (f"{name}-{k}", j, i))
                    else:
                        part[f"{name}-{k}", i, j] = (operators.getitem, (name, i, j), k)
            dependencies = {**layer.dependencies, f"{name}-{k}": {name}}
            whole = HighLevelGraph({**layer.layers, f"{name}-{k}": part}, dependencies)
            meta = np.empty((0, 0), self.dtype)
            arrays.append(da.Array(whole, f"{name}-{k}", (x.sizes, y.sizes), meta=meta))
        return arrays

    def times(
        self, right: Array | None, left: Array | None, progress: Progress = False
    ) -> tuple[Array | None, Array | None]:
        """(right K^T, left K), as `KernelMatrix.times`; of a symmetric kernel half the blocks are computed."""
        del progress
        x, y = self._x, self._y
        rights, lefts = _cut(right, y), _cut(left, x)
        compute = self._matrix(_products)
        forward: list[list[Delayed]] = [[] for _ in x.sizes]
        backward: list[list[Delayed]] = [[] for _ in y.sizes]
        for i, first in enumerate(x.first):
            for j in range(i if self.symmetric else 0, len(y.sizes)):
                mirrored = self.symmetric and i != j
                pair = delayed(partial(compute, first=(first, y.first[j])), nout=2)(
                    x.chunks[i],
                    None if self.symmetric and i == j else y.chunks[j],
                    self._centre,
                    rights[j],
                    rights[i] if mirrored else lefts[i],
                )
                forward[i].append(pair[0])
                (forward if mirrored else backward)[j].append(pair[1])
        done = dask.compute(
            None if right is None else [delayed(_sum)(parts) for parts in forward],
            None if left is None else [delayed(_sum)(parts) for parts in backward],
        )
        ahead, back = (None if parts is None else np.concatenate(parts, axis=1) for parts in done)
        return ahead, back

    def diagonal(self) -> NDArray[Any]:
        """Diagonal of a symmetric kernel."""
        return np.concatenate(dask.compute(*(delayed(self._matrix(_diagonal))(chunk) for chunk in self._x.chunks)))

    def at(self, rows: Any, columns: Any) -> NDArray[Any]:
        """Entries at rows and columns, computed in this process."""
        x, y = dask.compute(self._x.array[rows], self._y.array[columns])
        part = KernelMatrix(self._net.layers, x, y, self._kind, self.dtype)
        return part.entries(same_samples(rows, columns, self.shape[0]) if self.symmetric else None)


def _cut(vectors: Array | None, rows: _Rows) -> list[Any]:
    if vectors is None:
        return [None] * len(rows.sizes)
    return [delayed(part, traverse=False) for part in np.split(vectors, rows.first[1:], axis=1)]


# What workers run.


def _look(
    x: NDArray[Any], first: int, step: int, layers: tuple[Layer, ...], kind: Kind, dtype: np.dtype[Any], name: str
) -> tuple[NDArray[Any], bool]:
    data = Input(x, name, layers=layers, first=first)
    compile_pairs(layers, data, None, kind, dtype)  # refuses what is out of range, by its row in the whole
    return data.x[-first % step :: step].copy(), data.nonzero


def _centre(matrices: list[list[tuple[NDArray[Any], bool]]]) -> Centre:
    inputs = [Input(np.concatenate([rows for rows, _ in looks]), "X") for looks in matrices]
    return Centre.of(inputs, zero_rows=not all(nonzero for looks in matrices for _, nonzero in looks))


def _block(x: NDArray[Any], y: NDArray[Any] | None, centre: Centre, **how: Any) -> list[NDArray[Any]]:
    matrix = KernelMatrix(X=x, Y=y, centre=centre, **how)
    outputs = [np.empty(matrix.shape, matrix.dtype) for _ in range(matrix.count)]
    matrix.write((slice(None), slice(None)), outputs)
    return outputs


def _products(
    x: NDArray[Any], y: NDArray[Any] | None, centre: Centre, right: Array | None, left: Array | None, **how: Any
) -> tuple[Array | None, Array | None]:
    return KernelMatrix(X=x, Y=y, centre=centre, **how).times(right, left)


def _diagonal(x: NDArray[Any], **how: Any) -> NDArray[Any]:
    return KernelMatrix(X=x, Y=None, **how).diagonal()


def _sum(parts: list[Array]) -> Array:
    total = PairwiseSum()
    for part in parts:
        total.add(part)
    return total.value()


def _rows(x: NDArray[Any], at: NDArray[np.intp]) -> NDArray[Any]:
    return np.asarray(x)[at]


def _weigh(x: NDArray[Any], y: NDArray[Any], first: int, net: Sequential, kind: Literal["nngp", "ntk"]) -> Array:
    real_array(y, "y", first=first)
    return weigh(net, kind, x, first)


def _landmark_block(kernel: LandmarkKernel, x: NDArray[Any], first: int) -> NDArray[Any]:
    return kernel(x, first)


def _landmark_sum(block: NDArray[Any], a: Array | None, y: NDArray[Any]) -> Array:
    return chunk_sum(block, a, np.asarray(y, np.float64))
