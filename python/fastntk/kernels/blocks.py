"""Kernels too large to have in one piece: computed block by block, and written to where they are to be.

`KernelMatrix` is a kernel that has not been computed: any block of it, its diagonal, its products with vectors.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._checks.arguments import memory_size
from .._checks.arrays import kernel_dtype, output_matrix
from .._checks.places import refuse_shared, same_store
from .._checks.progress import Progress, check_progress, portions
from .._machine.floating import undisturbed
from .._machine.limits import available_memory
from .compilation import Kind
from .inputs import Centre, Input, read_inputs
from .pairs import compile_pairs

if TYPE_CHECKING:
    from ..layers.base import Layer

Block = tuple[slice, slice]

#: What the engine itself takes: two packed panels, and some more.
_SCRATCH = 48 * 2**20
_LEAST_MEMORY = 64 * 2**20

#: A block of the result, its transpose, and the copy that a file system or a codec makes.
_COPIES = 3

#: Larger blocks are not faster.
_LARGEST_BLOCK = 8192


class KernelMatrix:
    """A kernel, or both, of a network on data, ready to be computed: compiled once, for the whole.

    Where X and Y are rows of larger matrices they begin at `first` there, and `centre` is that of the whole.
    """

    @undisturbed
    def __init__(
        self,
        layers: tuple[Layer, ...],
        X: ArrayLike,
        Y: ArrayLike | Input | None,
        kind: Kind,
        dtype: DTypeLike | None,
        *,
        first: tuple[int, int] = (0, 0),
        centre: Centre | None = None,
    ) -> None:
        left, right = read_inputs(layers, X, Y, first)
        self.kind = kind
        self._layers = layers
        both = {"X": left} if right is None else {"X": left, "Y": right}
        self.inputs = {name: data.given for name, data in both.items()}
        self.memory = {name: data.memory for name, data in both.items()}
        #: Whether it is between the nodes of one sample, which are computed all together.
        self.by_nodes = left.by_nodes
        self.dtype = kernel_dtype(dtype, left.x, (right or left).x)
        self._pairs = compile_pairs(layers, left, right, kind, self.dtype, centre=centre)
        self.shape: tuple[int, int] = self._pairs.shape
        self.symmetric = self._pairs.symmetric

    @property
    def pair_seconds(self) -> float:
        """About how long a pair takes on a core, where that is long."""
        return self._pairs.pair_seconds

    @property
    def count(self) -> int:
        """How many kernels: 1, or 2 of kind "both"."""
        return 2 if self.kind == "both" else 1

    def write(self, block: Block, outputs: list[NDArray[Any]], progress: Progress = False) -> None:
        """Compute a block of (nngp, ntk) into arrays of its shape."""
        self._pairs.compute(self.kind, outputs, progress, *block)

    def diagonal(self) -> NDArray[Any]:
        """Diagonal of a symmetric kernel of one kind."""
        return self._pairs.diagonal(self.kind).astype(self.dtype)

    @undisturbed
    def times(
        self, right: NDArray[np.float64] | None, left: NDArray[np.float64] | None, progress: Progress = False
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """(right K^T, left K): of vectors that are rows, in one pass over the pairs, in float64."""
        right, left = (None if v is None else np.ascontiguousarray(v, np.float64) for v in (right, left))
        forward = None if right is None else np.empty((len(right), self.shape[0]))
        backward = None if left is None else np.empty((len(left), self.shape[1]))
        self._pairs.times(self.kind, right, forward, left, backward, progress)
        return forward, backward

    @undisturbed
    def at(self, rows: Any, columns: Any) -> NDArray[Any]:
        """Entries of one kernel at given rows and columns (integer arrays, or slices), to rounding."""
        if self.by_nodes:  # what a node has depends on all others
            return np.asarray(self.entries()[rows][:, columns])
        x = self.inputs["X"]
        part = KernelMatrix(self._layers, x[rows], self.inputs.get("Y", x)[columns], self.kind, self.dtype)
        return part.entries(same_samples(rows, columns, len(x)) if self.symmetric else None)

    def entries(self, same: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """All of one kernel; where both samples are the `same` one of a larger one, as they are on its diagonal.

        Dropout makes the entries of a sample with itself other than those with its copies.
        """
        out = np.empty(self.shape, self.dtype)
        self.write((slice(None), slice(None)), [out])
        if same is not None:
            places = np.nonzero(same)
            out[places] = self.diagonal()[places[0]]
        return out


def same_samples(rows: Any, columns: Any, count: int) -> NDArray[np.bool_]:
    """Where rows and columns (integer arrays, or slices) of a matrix of that size are the same."""
    numbers = np.arange(count)
    return np.asarray(numbers[rows][:, None] == numbers[columns])


def blocks(shape: tuple[int, int], step: tuple[int, int], *, symmetric: bool) -> Iterator[Block]:
    """Rows and columns of the blocks of a matrix, row by row; of a symmetric one those on and above the diagonal."""
    for i in range(0, shape[0], step[0]):
        for j in range(i if symmetric else 0, shape[1], step[1]):
            yield slice(i, min(i + step[0], shape[0])), slice(j, min(j + step[1], shape[1]))


def lengths(block: Block) -> tuple[int, int]:
    """Shape of a block."""
    rows, columns = block
    return int(rows.stop - rows.start), int(columns.stop - columns.start)


def pairs_of(block: Block, *, symmetric: bool) -> int:
    """How many pairs a block takes to compute."""
    rows, columns = lengths(block)
    return rows * (rows + 1) // 2 if symmetric and block[0] == block[1] else rows * columns


def memory_limit(max_memory: object) -> int:
    """Bytes that blocks may take: what is given, or a quarter of what is free."""
    if max_memory is None:
        free = available_memory()
        return max(_LEAST_MEMORY, (2**32 if free is None else free) // 4)
    return memory_size(max_memory, "max_memory", least=_LEAST_MEMORY)


def largest_step(limit: int, bytes_per_pair: int) -> int:
    """Side of a square block that keeps to a limit of memory."""
    return min(_LARGEST_BLOCK, math.isqrt((limit - _SCRATCH) // (_COPIES * bytes_per_pair)))


def is_large(out: object) -> bool:
    """Whether an output is a file: a memory map, a Zarr array, or a pair of such."""
    if isinstance(out, (tuple, list)):
        return any(is_large(o) for o in out)
    return isinstance(out, np.memmap) or _is_chunked(out)


def _is_chunked(out: object) -> bool:
    return not isinstance(out, np.ndarray) and all(hasattr(out, name) for name in ("chunks", "shape", "__setitem__"))


@undisturbed
def compute(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | Input | None,
    kind: Kind,
    *,
    out: Any,
    dtype: DTypeLike | None,
    progress: Progress,
    max_memory: object,
) -> list[Any]:
    """Compute the kernels asked for, in the order (nngp, ntk), into files."""
    check_progress(progress)
    limit = memory_limit(max_memory)
    matrix = KernelMatrix(layers, X, Y, kind, dtype)
    if matrix.count == 2 and not (isinstance(out, (tuple, list)) and len(out) == 2):
        raise TypeError("out must be a pair of arrays (nngp, ntk).")
    outputs = list(out) if matrix.count == 2 else [out]
    for output in outputs:
        _check_output(output, matrix)
        for name, given in (("X", X), ("Y", Y)):
            if same_store(output, given):
                raise ValueError(f"out is {name} itself; inputs are never written to.")
    refuse_shared(outputs)
    step = _step(matrix, outputs, limit)
    _fill(matrix, outputs, step, progress)
    return outputs


def _check_output(out: Any, matrix: KernelMatrix) -> None:
    if not _is_chunked(out):
        output_matrix(out, matrix.shape, matrix.dtype, matrix.memory)
    elif tuple(out.shape) != matrix.shape or out.dtype != matrix.dtype:
        raise ValueError(
            f"out has shape {tuple(out.shape)} and dtype {out.dtype}, but the kernel has shape {matrix.shape} and "
            f"dtype {matrix.dtype}."
        )
    elif getattr(out, "read_only", False):
        raise ValueError("out is read-only.")


def _step(matrix: KernelMatrix, outputs: list[Any], limit: int) -> tuple[int, int]:
    """Shape of a block: whole chunks, so that each is written once; of a symmetric kernel either way round."""
    most = largest_step(limit, matrix.count * matrix.dtype.itemsize)
    chunks = [tuple(out.chunks) for out in outputs if _is_chunked(out)]
    down, across = (math.lcm(1, *(chunk[axis] for chunk in chunks)) for axis in (0, 1))
    if matrix.symmetric:
        down = across = math.lcm(down, across)
    if chunks and min(down, matrix.shape[0]) * min(across, matrix.shape[1]) > most**2:
        raise MemoryError(
            f"blocks of whole chunks have {down} x {across} entries, but max_memory allows for {most} x {most}: use "
            f"smaller chunks (and square ones for a symmetric kernel), or more memory."
        )
    return max(1, most // down) * down, max(1, most // across) * across


def _fill(matrix: KernelMatrix, outputs: list[Any], step: tuple[int, int], progress: Progress) -> None:
    parts = list(blocks(matrix.shape, step, symmetric=matrix.symmetric))
    with portions(sum(pairs_of(part, symmetric=matrix.symmetric) for part in parts), progress) as portion:
        for rows, columns in parts:
            values = [np.empty(lengths((rows, columns)), matrix.dtype) for _ in outputs]
            matrix.write((rows, columns), values, portion(pairs_of((rows, columns), symmetric=matrix.symmetric)))
            for out, value in zip(outputs, values, strict=True):
                out[rows, columns] = value
                if matrix.symmetric and rows != columns:
                    out[columns, rows] = np.ascontiguousarray(value.T)
                _release(out)


def _release(out: Any) -> None:
    """Let the operating system write the pages of a memory map when it likes; private ones (mode "c") would be lost."""
    pages = getattr(out, "_mmap", None)
    if pages is not None and out.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
