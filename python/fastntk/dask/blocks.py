"""The kernel of two Dask arrays, block by block: a task a pair of chunks."""

from __future__ import annotations

import math
import operator as operators
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import DTypeLike, NDArray

from .._checks.arrays import kernel_dtype
from .._checks.progress import Progress
from ..kernels.blocks import KernelMatrix, same_samples
from ..kernels.compilation import Kind
from ..kernels.inputs import Centre, Input, centre_step, read_inputs
from ..kernels.pairs import compile_pairs
from ..layers.base import Layer
from ..networks.sequential import Sequential, checked
from ..solvers.chunks import PairwiseSum
from .rows import Rows

Array = NDArray[np.float64]


class Blocks:
    """The kernel of Dask arrays, block by block; a `kernels.operator.Matrix`.

    What a block needs to know of the whole is its centre: one more task, that all of them wait for.
    """

    def __init__(self, net: Sequential, X: Any, Y: Any, kind: Kind, dtype: DTypeLike | None) -> None:
        checked(net)
        self._x = Rows.of(X, "X")
        self._y = self._x if Y is None else Rows.of(Y, "Y")
        one = [np.ones((1, *rows.array.shape[1:]), rows.array.dtype) for rows in (self._x, self._y)]
        left, right = read_inputs(net.layers, one[0], one[1])
        self.dtype = kernel_dtype(dtype, left.x, (right or left).x)
        self.shape = self._x.total, self._y.total
        self.symmetric = Y is None
        self._net, self._kind = net, kind
        matrices = [_looks(self._x, net.layers, kind, self.dtype, "X")]
        if not self.symmetric:
            matrices.append(_looks(self._y, net.layers, kind, self.dtype, "Y"))
        self._centre = delayed(_centre)(matrices)

    def _matrix(self, function: Any) -> Any:
        return partial(function, layers=self._net.layers, kind=self._kind, dtype=self.dtype)

    def arrays(self) -> list[da.Array]:
        """The kernel, or both, as Dask arrays."""
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


def _cut(vectors: Array | None, rows: Rows) -> list[Any]:
    if vectors is None:
        return [None] * len(rows.sizes)
    return [delayed(part, traverse=False) for part in np.split(vectors, rows.first[1:], axis=1)]


def _looks(rows: Rows, layers: tuple[Layer, ...], kind: Kind, dtype: np.dtype[Any], name: str) -> list[Delayed]:
    """Every chunk: its rows that the centre is made of, and whether none of its rows are zero."""
    step = centre_step(rows.total, math.prod(rows.array.shape[1:]))
    look = delayed(partial(_look, step=step, layers=layers, kind=kind, dtype=dtype, name=name))
    return [look(chunk, first) for chunk, first in zip(rows.chunks, rows.first, strict=True)]


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
