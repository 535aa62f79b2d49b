"""A finished kernel on disk, to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .blocks import Block, blocks

if TYPE_CHECKING:
    import zarr


class StoredKernel:
    """A finished kernel on disk, as `fastntk.store.open` gives it.

    Indexing with slices, ``stored[:100, 200:300]`` or ``stored[:100]``, reads that part into memory,
    ``np.asarray(stored)`` all of it. ``stored.array`` is the Zarr array itself (of a half-stored kernel the part on
    and above the diagonal).

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    kind : {"nngp", "ntk"}
    network : list of str
        The layers.
    half : bool
        Whether only chunks on and above the diagonal are stored.
    """

    def __init__(self, array: zarr.Array[Any], about: dict[str, Any]) -> None:
        self.array = array
        self.shape = shape_of(array)
        self.dtype: np.dtype[Any] = array.dtype
        self.kind: str = about["kind"]
        self.network: list[str] = about["network"]
        self.half: bool = about["half"]

    def __repr__(self) -> str:
        return f"StoredKernel(kind={self.kind!r}, shape={self.shape}, dtype={self.dtype.name!r})"

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | Block) -> NDArray[Any]:
        key = (key, slice(None)) if isinstance(key, slice) else key
        if not (isinstance(key, tuple) and len(key) == 2 and all(isinstance(part, slice) for part in key)):
            raise TypeError(
                f"index a stored kernel with slices, as in stored[:100, :100], or read it all by np.asarray(stored); "
                f"got {key!r}."
            )
        if any(part.step not in (None, 1) for part in key):
            raise ValueError("a stored kernel is read in slices of step 1.")
        rows, columns = (slice(*part.indices(length)[:2]) for part, length in zip(key, self.shape, strict=True))
        if not self.half:
            return np.asarray(self.array[rows, columns])
        out = np.empty((max(0, rows.stop - rows.start), max(0, columns.stop - columns.start)), self.dtype)
        side = self.array.chunks[0]
        for i, j in blocks(self.shape, (side, side), symmetric=False):
            a, b = _intersection(i, rows), _intersection(j, columns)
            if a.start < a.stop and b.start < b.stop:
                part = self.array[a, b] if i.start <= j.start else np.asarray(self.array[b, a]).T
                out[a.start - rows.start : a.stop - rows.start, b.start - columns.start : b.stop - columns.start] = part
        return out

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a kernel on disk cannot become an array without a copy.")
        return self[:, :].astype(dtype or self.dtype, copy=False)


def shape_of(array: zarr.Array[Any]) -> tuple[int, int]:
    """Rows and columns."""
    n, m = array.shape
    return n, m


def chunk_of(array: zarr.Array[Any]) -> tuple[int, int]:
    """Rows and columns of a chunk."""
    down, across = array.chunks
    return down, across


def _intersection(a: slice, b: slice) -> slice:
    return slice(max(a.start, b.start), min(a.stop, b.stop))
