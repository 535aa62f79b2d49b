"""The rows of a Dask array, in chunks."""

from __future__ import annotations

from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed, delayed
from numpy.typing import NDArray

from ..samples import Ragged


class Rows(NamedTuple):
    """A Dask array in chunks of whole rows."""

    array: da.Array
    chunks: list[Delayed]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, value: Any, name: str, rows: int | None = None) -> Rows:
        """Check a Dask array, and put so many rows into a chunk, or as many as there are."""
        if isinstance(value, Ragged):
            raise TypeError(
                f"{name} are {type(value).__name__}, and Dask's arrays have samples of one shape: "
                "fastntk.store.compute and fastntk.solvers.nystrom take as many as fit in memory."
            )
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
        """Number of the first row of each chunk."""
        return [int(i) for i in np.cumsum((0, *self.sizes[:-1]))]

    @property
    def total(self) -> int:
        """How many rows there are."""
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
            dask.compute(*(delayed(_at)(chunk, at) for chunk, at in zip(self.chunks, places, strict=True)))
        )
        return [rows[np.searchsorted(wanted, some)] for some in numbers]


def _at(x: NDArray[Any], at: NDArray[np.intp]) -> NDArray[Any]:
    return np.asarray(x)[at]
