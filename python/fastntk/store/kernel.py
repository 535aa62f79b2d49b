"""A finished kernel on disk, to read and to multiply with."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._checks.arrays import real_array
from .._checks.progress import Progress
from .._checks.shown import shown
from .._machine.products import matrix_times
from ..kernels.operator import Array, KernelOperator
from ..networks.description import build, describe_data
from ..samples import Ragged
from .layout import Layout, load

if TYPE_CHECKING:
    import zarr

    from ..networks.sequential import Sequential


class StoredKernel(KernelOperator):
    """A finished kernel on disk, as `fastntk.store.open` gives it: an array to read, and a linear operator.

    Indexing, ``stored[:100, 200:300]``, ``stored[::2]`` or ``stored[[5, 1], :]``, reads that part into memory, as it
    does for a NumPy array, and ``np.asarray(stored)`` all of it. Products, ``stored @ v`` and ``stored.T @ u``, read it
    chunk by chunk and are summed up in float64; so `fastntk.solvers.pcg` and SciPy's cg, eigsh and svds take it.
    ``dask.array.from_array(stored)`` is lazy. Every chunk that is read is compared with its checksum.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        Precision of the entries (also `kernel_dtype`).
    chunks : tuple of int
        Rows and columns of a chunk.
    kind : {"nngp", "ntk"}
    half : bool
        Whether only chunks on and above the diagonal are stored.
    symmetric : bool
        Whether it is the kernel of X with itself.
    array : zarr.Array
        The Zarr array itself; of a half-stored kernel the part on and above the diagonal.

    Notes
    -----
    Cost of a product: to read the kernel once, 2 or 3 chunks of memory. `diagonal` reads the chunks on the diagonal,
    `block` those that have one of the entries. It can be pickled: as its path.

    Examples
    --------
    >>> import fastntk, numpy as np, tempfile
    >>> net, X = fastntk.mlp(depth=3, activation="relu"), np.random.default_rng(0).normal(size=(100, 5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = fastntk.store.compute(net, X, folder + "/K.zarr", half=True)
    ...     x = fastntk.solvers.pcg(stored, X[:, 0], ridge=0.1).x
    ...     corner = stored[:2, :2]
    >>> bool(np.allclose(net.ntk(X) @ x + 0.1 * x, X[:, 0], atol=1e-5))
    True
    >>> stored
    StoredKernel(kind='ntk', shape=(100, 100), dtype='float64')
    >>> stored.network == net
    True
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(_Chunks(layout), 0.0, False)
        self._layout = layout
        self.dtype = layout.dtype
        self.kind: Literal["nngp", "ntk"] = layout.about["kind"]
        self.half = layout.half
        self.symmetric = "Y" not in layout.about["data"]
        self.chunks = layout.chunk

    @property
    def array(self) -> zarr.Array[Any]:
        """The Zarr array itself."""
        return self._layout.array

    @property
    def network(self) -> Sequential:
        """The network that it is the kernel of.

        Raises
        ------
        ValueError
            If one of its layers is a Python function: a file does not hold that.
        """
        return build(self._layout.about["network"])

    def is_of(self, X: NDArray[Any] | Ragged) -> bool:
        """Whether X has the samples, of the same precision, that it was made of: with their positions, or as rows."""
        known = self._layout.about["data"]["X"]
        if isinstance(X, Ragged):
            return bool(describe_data(X) == known)
        shape = tuple(known["shape"])
        alike = len(X) == shape[0] and X.size == math.prod(shape)
        return alike and bool(describe_data(X.reshape(shape)) == known)

    def __repr__(self) -> str:
        return f"StoredKernel(kind={self.kind!r}, shape={self.shape}, dtype={self.dtype.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (str(self._layout.folder),)

    def __dask_tokenize__(self) -> Any:
        return str(self._layout.folder), self._layout.about["sha256"]

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Any:
        both = key if isinstance(key, tuple) else (key,)
        for at, part in enumerate(both):
            if part is Ellipsis:
                both = (*both[:at], *[slice(None)] * (3 - len(both)), *both[at + 1 :])
                break
        if len(both) > 2:
            raise IndexError(f"a stored kernel has two axes, got {len(both)} indices.")
        both = (*both, *[slice(None)] * (2 - len(both)))
        rows, columns = (_places(part, length) for part, length in zip(both, self.shape, strict=True))
        if sum(isinstance(part, (list, np.ndarray)) for part in both) == 2:
            raise TypeError("to read rows and columns of given numbers use stored.block(rows, columns).")
        whole = self._matrix.at(rows, columns)
        drop = tuple(0 if isinstance(part, (int, np.integer)) else slice(None) for part in both)
        return whole[drop]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a kernel on disk cannot become an array without a copy.")
        whole: NDArray[Any] = self[:, :]
        return whole.astype(dtype or self.dtype, copy=False)


class _Chunks:
    """The chunks of a store as a `kernels.operator.Matrix`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.shape, self.dtype = layout.shape, layout.dtype
        self.symmetric = "Y" not in layout.about["data"]

    def times(
        self, right: Array | None, left: Array | None, progress: Progress = False
    ) -> tuple[Array | None, Array | None]:
        """(right K^T, left K): of vectors that are rows, in one pass over the chunks, in float64."""
        del progress
        n, m = self.shape
        forward = None if right is None else np.zeros((len(right), n))
        backward = None if left is None else np.zeros((len(left), m))
        for i, j in self._stored():
            (rows, columns), chunk = self._layout.block(i, j), self._layout.read(i, j)
            both = [(rows, columns, False)]
            if self._layout.half and i != j:
                both.append((columns, rows, True))
            for to, of, transposed in both:
                if forward is not None and right is not None:
                    forward[:, to] += matrix_times(chunk, right[:, of].T, transposed=transposed).T
                if backward is not None and left is not None:
                    backward[:, of] += matrix_times(chunk, left[:, to].T, transposed=not transposed).T
        return forward, backward

    def _stored(self) -> Iterator[tuple[int, int]]:
        down, across = self._layout.grid
        return ((i, j) for i in range(down) for j in range(i if self._layout.half else 0, across))

    def diagonal(self) -> NDArray[Any]:
        """Diagonal of a symmetric kernel."""
        parts = [self._layout.read(i, i).diagonal() for i in range(self._layout.grid[0])]
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)

    def at(self, rows: Any, columns: Any) -> NDArray[Any]:
        """Entries at given rows and columns (integer arrays, or slices): every chunk is read once."""
        rows, columns = (_places(part, length) for part, length in zip((rows, columns), self.shape, strict=True))
        out = np.empty((len(rows), len(columns)), self.dtype)
        for i, into, of in _parts(rows, self._layout.chunk[0]):
            for j, across, across_of in _parts(columns, self._layout.chunk[1]):
                chunk = self._layout.read(i, j)
                if all(isinstance(part, slice) for part in (into, of, across, across_of)):
                    out[into, across] = chunk[of, across_of]
                else:
                    out[np.ix_(_numbers(into), _numbers(across))] = chunk[np.ix_(_numbers(of), _numbers(across_of))]
        return out


Places = NDArray[np.intp]


def _places(index: Any, length: int) -> Places:
    """Numbers of the rows that an index stands for."""
    if isinstance(index, slice):
        return np.arange(*index.indices(length))
    if isinstance(index, (bool, np.bool_)) or index is None:
        raise TypeError(f"index a stored kernel with integers, slices or arrays of integers, got {shown(index)}.")
    places = real_array(index, "an index")
    if places.dtype == bool and places.shape == (length,):
        return np.flatnonzero(places)
    if (places.dtype.kind not in "iu" and places.size) or places.ndim > 1:
        raise TypeError(
            f"index a stored kernel with integers, slices, or arrays of integers of one dimension, got {places.dtype} "
            f"of shape {places.shape}."
        )
    places = np.atleast_1d(places).astype(np.intp)
    outside = places[(places < -length) | (places >= length)]
    if outside.size:
        raise IndexError(f"index {outside[0]} is out of bounds for an axis of {length}.")
    return np.where(places < 0, places + length, places)


def _parts(places: Places, side: int) -> Iterator[tuple[int, Places | slice, Places | slice]]:
    """Of every chunk that is needed: its number, where its rows go to, and which of them they are."""
    owner = places // side
    for i in np.unique(owner):
        into = np.flatnonzero(owner == i)
        yield int(i), _as_slice(into), _as_slice(places[into] - i * side)


def _as_slice(numbers: Places) -> Places | slice:
    if (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def _numbers(part: Places | slice) -> Places:
    return np.arange(part.start, part.stop) if isinstance(part, slice) else part


def _again(path: str) -> StoredKernel:
    return StoredKernel(load(path))


def open(path: str | os.PathLike[str]) -> StoredKernel:
    """Open a finished kernel on disk.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not a kernel of this library, its zarr.json is damaged, or chunks are missing or cut short. A chunk
        that was changed is found when it is read.
    """
    layout = load(path)
    done = layout.count()
    if done < layout.total:
        raise ValueError(
            f"{path} is not finished: {done} of {layout.total} chunks are there. The call that began it goes on with "
            "it."
        )
    return StoredKernel(layout)


def about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a store says of itself, finished or not: shape, dtype, version, kind, network, data, ...

    Raises
    ------
    FileNotFoundError, ValueError
        As `open`.
    """
    layout = load(path)
    return {"shape": list(layout.shape), "dtype": layout.dtype.name, **layout.about}


def count(path: str | os.PathLike[str]) -> tuple[int, int]:
    """How many chunks of a store are there, and how many there will be."""
    layout = load(path)
    return layout.count(), layout.total
