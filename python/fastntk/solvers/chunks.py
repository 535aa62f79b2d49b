"""Rows that come in chunks, whatever they come from, and sums over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._checks.arrays import any_array, real_array, sample_weights
from .._machine.products import matrix_times
from ..samples import Ragged

Array = NDArray[np.float64]


class Chunk(NamedTuple):
    """Some samples, their targets, and their weights."""

    x: NDArray[Any] | Ragged
    target: Array
    weights: Array


#: Of the kernel between a chunk and the landmarks.
CHUNK_BYTES = 2**27
_MOST_ROWS = 65536


def chunk_sum(block: NDArray[Any], a: Array | None, target: Array, weights: Array) -> Array:
    """What one chunk adds to K^T W K a, or to K^T W y."""
    right = target.reshape(len(target), -1) if a is None else matrix_times(block, a)
    return matrix_times(block, weights[:, None] * right, transposed=True)


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


def chunks_of(X: Any, y: Any, weights: Any, rows: int) -> Callable[[], Iterator[Chunk]]:
    """Make a function that goes through chunks of (X, y, weights)."""
    if callable(X):
        refuse_beside_function(y, "y")
        refuse_beside_function(weights, "weights")
        return lambda: _checked(X())
    if not (hasattr(X, "shape") and hasattr(X, "__getitem__")):
        raise TypeError(
            f"X must be an array, a memory map, a Zarr array, or a function that gives an iterator over chunks (X, y), "
            f"got {type(X).__name__}; an iterator itself could be used once only."
        )
    X, y = in_rows(X, "X"), in_rows(y, "y")
    if (len(X.shape) < 2 and not isinstance(X, Ragged)) or not 1 <= len(y.shape) <= 2 or y.shape[0] != X.shape[0]:
        raise ValueError(f"X must have shape (n, d) and y (n,) or (n, k), got {tuple(X.shape)} and {tuple(y.shape)}.")
    columns = (X, y) if weights is None else (X, y, sample_weights(weights, "weights", X.shape[0]))
    return lambda: _checked(tuple(column[i : i + rows] for column in columns) for i in range(0, X.shape[0], rows))


def refuse_beside_function(value: object, name: str) -> None:
    """Refuse what a function gives with its chunks."""
    if value is not None:
        raise TypeError(f"{name} must not be given where X is a function: it gives chunks (X, y), or (X, y, weights).")


def split(chunk: object) -> tuple[Any, Any, Any]:
    """(X, y, weights) of what a function gave, the last None if it gave none."""
    if not (isinstance(chunk, tuple) and len(chunk) in (2, 3)):
        raise TypeError(
            f"a function that gives chunks must give pairs (X, y), or (X, y, weights), got {type(chunk).__name__}."
        )
    return (*chunk, None)[:3]


def _checked(chunks: Iterable[tuple[Any, ...]]) -> Iterator[Chunk]:
    first = 0
    for chunk in chunks:
        samples, y, given = split(chunk)
        x = in_memory(samples, "X")
        target = real_array(y, "y", first=first)
        if x.ndim == 0 or target.ndim == 0 or len(x) != len(target):
            raise ValueError(
                f"the chunk of rows from {first} on has X of shape {x.shape} and y of shape {target.shape}: they must "
                "have the same number of rows."
            )
        weights = np.ones(len(x)) if given is None else sample_weights(given, "weights", len(x), first=first)
        if len(x):
            yield Chunk(x, target.astype(np.float64), weights)
            first += len(x)
