"""Where the numbers of an array are: in memory, in a file that is mapped into memory, or in a Zarr store."""

from __future__ import annotations

import itertools
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._machine.files import mapping_at


def overlap(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays have numbers in the same place, exactly where that is cheap to find out."""
    if _share(a, b):
        return True
    if not (_is_mapped(a) and _is_mapped(b)):
        return False
    first, second = _InFile.of(a), _InFile.of(b)
    if first is None or second is None or first.file != second.file or (first.private and second.private):
        return False
    return _share(np.asarray(first), np.asarray(second))


def same_store(a: object, b: object) -> bool:
    """Whether both are one Zarr array, or the like."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    place = _place_of(a)
    return a is b or (place is not None and place == _place_of(b))


def refuse_shared(outputs: list[Any]) -> None:
    """Raise where two outputs have numbers in the same place."""
    for a, b in itertools.combinations(outputs, 2):
        both = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
        if same_store(a, b) or (both and overlap(a, b)):
            raise ValueError(
                "the two arrays of out overlap: each kernel needs a place of its own, in memory and on disk."
            )


def _share(a: NDArray[Any], b: NDArray[Any]) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10**6)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def _is_mapped(array: NDArray[Any]) -> bool:
    """Whether the numbers belong to something mapped into memory: no other array owns them."""
    base: Any = array
    while base is not None:
        if isinstance(base, (memoryview, mmap.mmap)):
            return True
        base = getattr(base, "base", None)
    return False


class _InFile:
    """An array as it lies in the file that is mapped where it is: for NumPy, one at the address of its offset there."""

    def __init__(self, array: NDArray[Any], file: tuple[str, str], shift: int, *, private: bool) -> None:
        self.file, self.private = file, private
        self.__array_interface__ = dict(array.__array_interface__)
        self.__array_interface__["data"] = (array.__array_interface__["data"][0] + shift, False)

    @classmethod
    def of(cls, array: NDArray[Any]) -> _InFile | None:
        found = mapping_at(np.lib.array_utils.byte_bounds(array)[0])
        # No address is 0, which NumPy takes for none.
        return found and cls(array, found.file, found.shift + mmap.PAGESIZE, private=found.private)


def _place_of(array: Any) -> object:
    """Store and path of a Zarr array."""
    store, path = getattr(array, "store", None), getattr(array, "path", None)
    if store is None or not isinstance(path, str):
        return None
    root = getattr(store, "root", None)
    return (Path(root) / path).resolve() if isinstance(root, (str, Path)) else (id(store), path)
