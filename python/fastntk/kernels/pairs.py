"""The calls of the engine: all pairs of samples, or a block of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._checks.progress import Bar, Progress
from .._machine import runtime
from . import univariate as fit
from .block_pairs import BlockPairs
from .compilation import Kind, compile_program, one_variable
from .inputs import Centre, Input
from .mixed import position_pairs
from .prepared import Prepared, PreparedRows

if TYPE_CHECKING:
    from ..activations.duals import Program
    from ..layers.base import Layer


def outputs_of(kind: str, outputs: list[Any]) -> tuple[Any, Any]:
    """(nngp, ntk) from a list of those that are wanted."""
    return None if kind == "ntk" else outputs[0], None if kind == "nngp" else outputs[-1]


class Pairs:
    """All pairs of samples, ready for the engine. A block of them has the same bits as it has in the whole.

    The centre depends on all data and the per-sample numbers of an expansion on the range of variances: they are
    computed once, for the whole. The rows of Y may be `prepared`, by a program of their own.
    """

    def __init__(
        self,
        program: Program,
        left: Input,
        right: Input | None,
        centre: Centre | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        self.program, self.prepared = program, prepared
        self._single = isinstance(program, _core.ProgramFloat32)
        self._x, self._y = left.x, None if right is None else right.x
        self._inverse_x, self._inverse_y = left.inverse_norms, (right or left).inverse_norms
        if self._y is not None and self._y.dtype != self._x.dtype:
            self._x, self._y = np.ascontiguousarray(self._x, np.float64), np.ascontiguousarray(self._y, np.float64)
        self.shape = len(self._x), len(self._x if self._y is None else self._y)
        if centre is None:
            centre = Centre.of([left] if right is None else [left, right])
        self._centre = centre.unit

    #: Of a pair, about, on a core: next to nothing.
    pair_seconds = 0.0

    @property
    def symmetric(self) -> bool:
        """Whether the pairs are those of X with itself."""
        return self._y is None

    def compute(
        self,
        kind: Kind,
        outputs: list[Any],
        progress: Progress,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> None:
        """Compute the kernels of that kind, of all pairs or of those of some rows and columns, into arrays."""
        engine = _core.compute_float32 if self._single else _core.compute_float64
        self.run(engine, (self.prepared, *outputs_of(kind, outputs)), progress, rows, columns)

    def times(self, kind: Kind, right: Any, forward: Any, left: Any, backward: Any, progress: Progress) -> None:
        """Multiply a kernel with vectors that are rows: right K^T into forward, left K into backward."""
        engine = _core.kernel_times_float32 if self._single else _core.kernel_times_float64
        self.run(engine, (self.prepared, kind == "ntk", right, forward, left, backward), progress)

    def diagonal(self, kind: Kind) -> NDArray[np.float64]:
        """K(x, x), or Theta(x, x), of the samples of X."""
        return (self.program.ntk if kind == "ntk" else self.program.variance)[: self.shape[0]]

    def run(
        self,
        engine: Callable[..., None],
        arguments: tuple[Any, ...],
        progress: Progress,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> None:
        """Run the engine over all pairs, or over those of some rows and columns, with progress."""
        (i, end_i, _), (j, end_j, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        x, inverse_x = self._x[i:end_i], self._inverse_x[i:end_i]
        if self._y is not None:
            y, inverse_y = self._y[j:end_j], self._inverse_y[j:end_j]
            first = i, j if self.prepared else self.shape[0] + j
        elif (i, end_i) == (j, end_j):
            y, inverse_y, first = None, inverse_x, (i, i)
        else:
            y, inverse_y, first = self._x[j:end_j], self._inverse_x[j:end_j], (i, j)
        n = len(x)
        pairs = n * (n + 1) // 2 if y is None else n * len(y)
        if y is None and not n:
            return
        arguments = (
            runtime.instruction_set(),
            runtime.threads(),
            self.program,
            x,
            inverse_x,
            y,
            inverse_y,
            first,
            self._centre,
            *arguments,
        )
        if callable(progress) or not progress:
            engine(*arguments, progress if callable(progress) else None)
        else:
            with Bar(pairs) as bar:
                engine(*arguments, bar)


def compile_pairs(
    layers: tuple[Layer, ...],
    left: Input,
    right: Input | None,
    kind: Kind,
    dtype: np.dtype[Any],
    *,
    centre: Centre | None = None,
    univariate: bool = False,
) -> Pairs | BlockPairs:
    """Compile a network for all pairs of samples; as a function of one variable where that is allowed, and pays."""
    if left.with_positions:
        return position_pairs(layers, left, right, kind, dtype)
    univariate = univariate and len(left.x) * len((right or left).x) >= fit.FEWEST_PAIRS
    if isinstance(right, PreparedRows):
        program, prepared = right.beside(left, dtype, univariate=univariate)
        return Pairs(program, left, right, right.centre, prepared)
    inputs = [left] if right is None else [left, right]
    program = compile_program(layers, inputs, kind, dtype, centre=centre)
    parameters = one_variable(program, layers, inputs, dtype, kind) if univariate else None
    if parameters is not None:
        program.replace_ops(parameters)
    return Pairs(program, left, right, centre)
