"""All pairs of samples with positions, ready for the engine of planes, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks.progress import Progress
from .._machine import runtime
from .._machine.limits import available_memory
from .block_pairs import Block, BlockPairs, Portion, slices
from .compilation import Kind, refuse_lost, refuse_range
from .stages import Compiled, Float, StagedNetwork

if TYPE_CHECKING:
    from ..layers.base import Layers
    from .inputs import Input

#: Bytes of what is compiled for the samples of the columns, and kept of those of the rows.
_COLUMNS, _ROWS = 20 * 2**20, 30 * 2**20

#: Bytes that are there.
_LITTLE = 64 * 2**20

#: Bytes of a program for a sample at a position, beside its tables.
_COLUMN = 160


class PositionPairs(BlockPairs):
    """All pairs of samples with positions. A block of them is computed as it is in the whole.

    What depends on one sample is computed again for every block of pairs, but for the averages, which take a pair of
    the sample with itself.
    """

    def __init__(self, layers: Layers, left: Input, right: Input | None, kind: Kind, dtype: np.dtype[Any]) -> None:
        super().__init__(left, right, kind, dtype)
        self.network = StagedNetwork(layers, left.positions, left.channels, dtype)
        self._averages: list[list[tuple[Float, Float]]] = [[] for _ in self._inputs]
        self._step, self._lanes, self._rows = 16, 0, 16
        #: The samples that were compiled last.
        self._last: tuple[Input, slice, Compiled] | None = None
        self._look()

    @property
    def pair_seconds(self) -> float:
        """About how long a pair takes on a core."""
        return 1e-10 * float(self.network.whole.work) if min(self.shape) else 0.0

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
            return f"{place(sample)}{self.network.place_of_loss(data.x[row : row + 1], with_ntk=self._kind != 'nngp')}"

        for program in compiled.programs:
            refuse_lost(program, lost, self._kind)
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

    def _blocks(self, kind: Kind, rows: slice, columns: slice, symmetric: bool, portion: Portion) -> Iterator[Block]:
        for block in slices(rows.start, rows.stop, self._rows):
            parts = list(slices(block.start, block.stop, self._step))
            left = [(own, self._side(0, own, rows=True, lanes=symmetric)) for own in parts]
            for k, part in enumerate(slices(block.start if symmetric else columns.start, columns.stop, self._step)):
                known = symmetric and k < len(left)
                right = left[k][1] if known else self._side(len(self._inputs) - 1, part, rows=False, lanes=True)
                for own, side in left:
                    if symmetric and own.start > part.start:
                        continue
                    mirrored = symmetric and own.start < part.start
                    share = portion((1 + mirrored) * (own.stop - own.start) * (part.stop - part.start))
                    yield Block(own, part, mirrored, self._block(kind, own, side, part, right, share))

    def _block(self, kind: Kind, rows: slice, x: Any, columns: slice, y: Any, progress: Progress) -> list[NDArray[Any]]:
        """The kernels of that kind of some rows and columns."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        nngp, ntk = (None if kind == other else np.empty(shape, self.network.dtype) for other in ("ntk", "nngp"))
        self.network.compute(
            runtime.instruction_set(), runtime.threads(), self.network.whole, x, y, (rows.start, columns.start),
            self.symmetric, nngp, ntk, progress or None,
        )  # fmt: skip
        return [values for values in (nngp, ntk) if values is not None]

    @property
    def _rows_at_once(self) -> int:
        return max(self._step, super()._rows_at_once)
