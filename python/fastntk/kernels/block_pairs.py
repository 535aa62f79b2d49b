"""All pairs of samples with positions or nodes, block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._checks.progress import Progress, portions
from .compilation import Kind

if TYPE_CHECKING:
    from .inputs import Input

Float = NDArray[np.float64]

#: The progress of the next block, of so many pairs.
Portion: TypeAlias = Callable[[int], Progress]

#: Entries of a block of the kernel, to be multiplied, about.
_LARGEST_BLOCK = 2**22


class Block(NamedTuple):
    """Kernels of some rows and columns, and whether they are those of the columns and rows too."""

    rows: slice
    columns: slice
    mirrored: bool
    kernels: list[NDArray[Any]]


class BlockPairs(ABC):
    """All pairs of samples. A block of them is computed as it is in the whole."""

    prepared: ClassVar[None] = None

    def __init__(self, left: Input, right: Input | None, kind: Kind, dtype: np.dtype[Any]) -> None:
        self._inputs = [left] if right is None else [left, right]
        self._kind, self._dtype = kind, dtype
        self.shape = len(left), len(right or left)
        self._diagonals = [np.empty((2, len(data))) for data in self._inputs]

    @property
    def symmetric(self) -> bool:
        """Whether the pairs are those of X with itself."""
        return len(self._inputs) == 1

    @property
    @abstractmethod
    def pair_seconds(self) -> float:
        """About how long a pair takes on a core."""

    def diagonal(self, kind: Kind) -> Float:
        """K(x, x), or Theta(x, x), of the samples of X."""
        return np.asarray(self._diagonals[0][1 if kind == "ntk" else 0])

    @abstractmethod
    def _blocks(self, kind: Kind, rows: slice, columns: slice, symmetric: bool, portion: Portion) -> Iterator[Block]:
        """Those that some rows and columns are made of; if they are the same ones, of pairs that are mirrored one."""

    @property
    def _rows_at_once(self) -> int:
        """Rows that are to be multiplied together."""
        return max(1, _LARGEST_BLOCK // max(1, self.shape[1]))

    def compute(
        self,
        kind: Kind,
        outputs: list[Any],
        progress: Progress,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> None:
        """Compute the kernels of that kind, of all pairs or of those of some rows and columns, into arrays."""
        (i, end_i, _), (j, end_j, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        if end_i <= i or end_j <= j:
            return
        symmetric = self.symmetric and (i, end_i) == (j, end_j)  # no pair is computed twice
        with portions((end_i - i) * (end_j - j), progress) as portion:
            for block in self._blocks(kind, slice(i, end_i), slice(j, end_j), symmetric, portion):
                down, across = _less(block.rows, i), _less(block.columns, j)
                for out, values in zip(outputs, block.kernels, strict=True):
                    out[down, across] = values
                    if block.mirrored:
                        out[across, down] = values.T
        if self.symmetric:
            same = np.arange(max(i, j), min(end_i, end_j))
            for out, which in zip(outputs, (0, 1) if kind == "both" else (int(kind == "ntk"),), strict=True):
                out[same - i, same - j] = self._diagonals[0][which, same]

    def times(self, kind: Kind, right: Any, forward: Any, left: Any, backward: Any, progress: Progress) -> None:
        """Multiply a kernel with vectors that are rows: right K^T into forward, left K into backward."""
        if backward is not None:
            backward[:] = 0
        with portions(self.shape[0], progress) as portion:
            for part in slices(0, self.shape[0], self._rows_at_once):
                block = np.empty((part.stop - part.start, self.shape[1]), self._dtype)
                self.compute(kind, [block], portion(len(block)), rows=part)
                values = block.astype(np.float64, copy=False)
                if right is not None:
                    forward[:, part] = right @ values.T
                if left is not None:
                    backward[:] += left[:, part] @ values


def _less(numbers: slice, first: int) -> slice:
    return slice(numbers.start - first, numbers.stop - first)


def slices(begin: int, end: int, step: int) -> Iterator[slice]:
    """Slices of that length, one after the other."""
    for start in range(begin, end, step):
        yield slice(start, min(end, start + step))
