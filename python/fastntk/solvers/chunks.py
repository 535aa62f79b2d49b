"""Rows that come in chunks, whatever they come from, and sums over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks.arrays import any_array, real_array
from .._machine.products import matrix_times
from ..samples import Ragged

Array = NDArray[np.float64]
Chunk = tuple[NDArray[Any] | Ragged, Array]

#: Of the kernel between a chunk and the landmarks.
CHUNK_BYTES = 2**27
_MOST_ROWS = 65536


def chunk_sum(block: NDArray[Any], a: Array | None, target: Array) -> Array:
    """What one chunk adds to K^T K a, or to K^T y."""
    right = target.reshape(len(target), -1) if a is None else matrix_times(block, a)
    return matrix_times(block, right, transposed=True)


class PairwiseSum:
    """Sum of arrays in the order of a balanced tree: as accurate as it can be, and the same on a cluster."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Array]] = []  # how many were added, their sum

    def add(self, part: Array) -> None:
        """Add one more."""
        count, total = 1, part
        while self._parts and self._parts[-1][0] == count:
            total = self._parts.pop()[1] + total
            count *= 2
        self._parts.append((count, total))

    def value(self) -> Array:
        """The sum."""
        _, total = self._parts[-1]
        for _, part in self._parts[-2::-1]:
            total = part + total
        return total


def rows_of_a_chunk(landmarks: int, dtype: np.dtype[Any]) -> int:
    """Rows whose kernel with the landmarks is of a good size."""
    return int(np.clip(CHUNK_BYTES // (landmarks * dtype.itemsize), 256, _MOST_ROWS))


def in_rows(value: Any, name: str) -> Any:
    """Something whose slices are parts of its rows, by their place: an array, or what is stored in chunks.

    Slices of a data frame may go by its labels.
    """
    if isinstance(value, (np.ndarray, Ragged)) or hasattr(type(value), "chunks"):
        return value
    return any_array(value, name)


def in_memory(value: Any, name: str) -> Any:
    """Samples as an array, or the container that they are in."""
    return value if isinstance(value, Ragged) else any_array(value, name)


def chunks_of(X: Any, y: Any, rows: int) -> Callable[[], Iterator[Chunk]]:
    """Make a function that goes through chunks of (X, y)."""
    if callable(X):
        if y is not None:
            raise TypeError("y is not needed where X is a function that gives chunks of both.")
        return lambda: _pairs(X())
    if not (hasattr(X, "shape") and hasattr(X, "__getitem__")):
        raise TypeError(
            f"X must be an array, a memory map, a Zarr array, or a function that gives an iterator over pairs (X, y), "
            f"got {type(X).__name__}; an iterator itself could be used once only."
        )
    X, y = in_rows(X, "X"), in_rows(y, "y")
    if (len(X.shape) < 2 and not isinstance(X, Ragged)) or not 1 <= len(y.shape) <= 2 or y.shape[0] != X.shape[0]:
        raise ValueError(f"X must have shape (n, d) and y (n,) or (n, k), got {tuple(X.shape)} and {tuple(y.shape)}.")
    return lambda: _pairs((X[i : i + rows], y[i : i + rows]) for i in range(0, X.shape[0], rows))


def _pairs(chunks: Iterable[tuple[Any, Any]]) -> Iterator[Chunk]:
    first = 0
    for chunk in chunks:
        if not (isinstance(chunk, tuple) and len(chunk) == 2):
            raise TypeError(f"a function that gives chunks must give pairs (X, y), got {type(chunk).__name__}.")
        x = in_memory(chunk[0], "X")
        target = real_array(chunk[1], "y", first=first)
        if x.ndim == 0 or target.ndim == 0 or len(x) != len(target):
            raise ValueError(
                f"the chunk of rows from {first} on has X of shape {x.shape} and y of shape {target.shape}: they must "
                "have the same number of rows."
            )
        if len(x):
            yield x, target.astype(np.float64)
            first += len(x)
