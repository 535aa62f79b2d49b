"""All pairs of samples with positions, ready for the engine of planes, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._checks.progress import Progress, portions
from .._machine import runtime
from .._machine.limits import available_memory
from .compilation import Kind, refuse_lost, refuse_range
from .stages import Compiled, Float, StagedNetwork

if TYPE_CHECKING:
    from ..layers.base import Layers
    from .inputs import Input

#: Bytes of what is compiled for the samples of the columns, and kept of those of the rows.
_COLUMNS, _ROWS = 20 * 2**20, 30 * 2**20

#: Entries of a block of the kernel, to be multiplied, about.
LARGEST_BLOCK = 2**22

#: Bytes that are there.
_LITTLE = 64 * 2**20

#: Bytes of a program for a sample at a position, beside its tables.
_COLUMN = 160


class PositionPairs:
    """All pairs of samples with positions. A block of them is computed as it is in the whole.

    What depends on one sample is computed again for every block of pairs, but for the averages, which take a pair of
    the sample with itself.
    """

    prepared = None

    def __init__(self, layers: Layers, left: Input, right: Input | None, kind: Kind, dtype: np.dtype[Any]) -> None:
        self._inputs = [left] if right is None else [left, right]
        self._kind, self._dtype = kind, dtype
        self.shape = len(left.x), len((right or left).x)
        self.network = StagedNetwork(layers, left.positions, left.channels, dtype)
        self._averages: list[list[tuple[Float, Float]]] = [[] for _ in self._inputs]
        self._diagonals = [np.empty((2, len(data.x))) for data in self._inputs]
        self._step, self._lanes, self._rows = 16, 0, 16
        #: The samples that were compiled last.
        self._last: tuple[Input, slice, Compiled] | None = None
        self._look()

    @property
    def symmetric(self) -> bool:
        """Whether the pairs are those of X with itself."""
        return len(self._inputs) == 1

    @property
    def pair_seconds(self) -> float:
        """About how long a pair takes on a core."""
        return 1e-10 * float(self.network.whole.work) if min(self.shape) else 0.0

    def diagonal(self, kind: Kind) -> Float:
        """K(x, x), or Theta(x, x), of the samples of X."""
        return np.asarray(self._diagonals[0][1 if kind == "ntk" else 0])

    def _look(self) -> None:
        """Compile it for all samples: what its layers choose for them, averages, the diagonals; refuse what is lost."""
        network = self.network
        if not min(self.shape):
            return
        if len(network.stages) == 1:  # else it takes averages
            network.compile(self._inputs[0].x[: self._step])
            self._choose_steps()
        seen: object = None
        while network.model is None or network.model is not seen:
            seen = network.model
            for data, diagonals, averages in zip(self._inputs, self._diagonals, self._averages, strict=True):
                shapes = [(math.prod(stage.positions), len(data.x)) for stage in network.stages[1:]]
                averages[:] = [(np.empty(shape), np.empty(shape)) for shape in shapes]
                begin = 0
                while begin < len(data.x):
                    part = slice(begin, min(len(data.x), begin + self._step))
                    begin = part.stop
                    compiled = network.compile(data.x[part])
                    seen = seen or network.model  # all so far are like it
                    last = compiled.programs[-1]
                    diagonals[0, part], diagonals[1, part] = last.variance, last.ntk
                    for whole, found in zip(averages, compiled.averages, strict=True):
                        for all_of_it, values in zip(whole, found, strict=True):
                            all_of_it[:, part] = values.reshape(len(all_of_it), -1)
                    self._refuse(compiled, data, part)
                    if not self._lanes:
                        self._choose_steps()
                    self._last = data, part, compiled
        network.finish()

    def _refuse(self, compiled: Compiled, data: Input, part: slice) -> None:
        count = part.stop - part.start

        def place(sample: int) -> str:
            return f"sample {data.first + part.start + sample % count} of {data.name}"

        def lost(sample: int) -> str:
            row = part.start + sample % count
            return f"{place(sample)}{self.network.place_of_loss(data.x[row : row + 1])}"

        for program in compiled.programs:
            refuse_lost(program, lost)
        refuse_range(compiled.programs[-1], place, self._kind, self._dtype)

    def _choose_steps(self) -> None:
        self.network.finish()
        whole = self.network.whole
        positions = math.prod(self.network.stages[0].positions)
        needed = whole.scratch * runtime.threads()
        free = available_memory() if needed > _LITTLE else None  # it takes a moment to find out
        if free is not None and needed > free:
            raise MemoryError(
                f"a pair of samples takes {needed / 2**30:.1f} GiB at once, on {runtime.threads()} threads, and "
                f"{free / 2**30:.1f} GiB are free: use smaller images, or fewer threads."
            )
        wanted = self.shape[1] if len(self._inputs) > 1 else self.shape[0]
        least = 64 // self.network.dtype.itemsize
        self._lanes = min(whole.lanes, -(-wanted // least) * least)
        numbers = (whole.numbers + positions * self.network.channels) * self.network.dtype.itemsize
        fit = _COLUMNS // (_COLUMN * positions + 3 * numbers)
        self._step = int(min(256, max(1, fit // self._lanes) * self._lanes))
        self._rows = int(max(1, _ROWS // ((1 + self.symmetric) * numbers) // self._step) * self._step)

    def _side(self, which: int, part: slice, *, rows: bool, lanes: bool) -> Any:
        data, averages = self._inputs[which], self._averages[which]
        last = self._last  # which another thread may replace
        if last is None or last[:2] != (data, part):
            known = [(k[:, part].ravel(), theta[:, part].ravel()) for k, theta in averages]
            last = self._last = data, part, self.network.compile(data.x[part], known)
        compiled = last[2]
        return self.network.side(
            self.network.whole, compiled.programs, data.x[part], rows=rows, lanes=lanes * self._lanes
        )

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
            for block in _parts(i, end_i, self._rows):
                parts = list(_parts(block.start, block.stop, self._step))
                left = [(own, self._side(0, own, rows=True, lanes=symmetric)) for own in parts]
                for k, part in enumerate(_parts(block.start if symmetric else j, end_j, self._step)):
                    known = symmetric and k < len(left)
                    right = left[k][1] if known else self._side(len(self._inputs) - 1, part, rows=False, lanes=True)
                    for own, side in left:
                        if symmetric and own.start > part.start:
                            continue
                        mirrored = symmetric and own.start < part.start
                        share = portion((1 + mirrored) * (own.stop - own.start) * (part.stop - part.start))
                        found = self._block(kind, own, side, part, right, share)
                        rows_of_it = slice(own.start - i, own.stop - i)
                        columns_of_it = slice(part.start - j, part.stop - j)
                        for out, values in zip(outputs, found, strict=True):
                            out[rows_of_it, columns_of_it] = values
                            if mirrored:
                                out[columns_of_it, rows_of_it] = values.T
        if self.symmetric:
            same = np.arange(max(i, j), min(end_i, end_j))
            for out, which in zip(outputs, (0, 1) if kind == "both" else (int(kind == "ntk"),), strict=True):
                out[same - i, same - j] = self._diagonals[0][which, same]

    def _block(self, kind: Kind, rows: slice, x: Any, columns: slice, y: Any, progress: Progress) -> list[NDArray[Any]]:
        """The kernels of that kind of some rows and columns."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        nngp, ntk = (None if kind == other else np.empty(shape, self.network.dtype) for other in ("ntk", "nngp"))
        self.network.compute(
            runtime.instruction_set(), runtime.threads(), self.network.whole, x, y, (rows.start, columns.start),
            self.symmetric, nngp, ntk, progress or None,
        )  # fmt: skip
        return [values for values in (nngp, ntk) if values is not None]

    def times(self, kind: Kind, right: Any, forward: Any, left: Any, backward: Any, progress: Progress) -> None:
        """Multiply a kernel with vectors that are rows: right K^T into forward, left K into backward."""
        step = max(self._step, LARGEST_BLOCK // max(1, self.shape[1]))
        times_in_parts(self, kind, step, self._dtype, (right, forward), (left, backward), progress)


class _Computed(Protocol):
    """Pairs whose blocks are computed."""

    shape: tuple[int, int]

    def compute(self, kind: Kind, outputs: list[Any], progress: Progress, rows: slice) -> None:
        """Compute those of some rows."""


def times_in_parts(
    pairs: _Computed,
    kind: Kind,
    step: int,
    dtype: np.dtype[Any],
    forward: tuple[Any, Any],
    backward: tuple[Any, Any],
    progress: Progress,
) -> None:
    """Multiply a kernel, so many rows at once, with vectors that are rows: K^T and K, each into an array, or None."""
    if backward[1] is not None:
        backward[1][:] = 0
    with portions(pairs.shape[0], progress) as portion:
        for part in _parts(0, pairs.shape[0], step):
            block = np.empty((part.stop - part.start, pairs.shape[1]), dtype)
            pairs.compute(kind, [block], portion(len(block)), rows=part)
            values = block.astype(np.float64, copy=False)
            if forward[0] is not None:
                forward[1][:, part] = forward[0] @ values.T
            if backward[0] is not None:
                backward[1][:] += backward[0][:, part] @ values


def _parts(begin: int, end: int, step: int) -> Iterator[slice]:
    """Slices of that length, one after the other."""
    for start in range(begin, end, step):
        yield slice(start, min(end, start + step))
