"""Rows that many calls have in common: a network compiled for them once, their tables and packed rows kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import _core
from .._checks.arrays import kernel_dtype
from .._machine import runtime
from .compilation import Kind, compile_beside, one_variable, refuse_out_of_range
from .inputs import Centre, Input
from .mixed import position_pairs

if TYPE_CHECKING:
    from ..activations.duals import Program
    from ..layers.base import Layer

Prepared = _core.PreparedFloat32 | _core.PreparedFloat64

#: Further versions that are kept, the last ones made: for variances out of the range of the rows, or of one variable.
_FURTHER = 2


class _Ready(NamedTuple):
    """The rows as the engine has them, and what the layers chose for them."""

    program: Program
    choices: tuple[object, ...] | None
    prepared: Prepared


class PreparedRows(Input):
    """Checked rows for which a network was compiled, that others are compiled beside.

    The centre is theirs alone: what is computed of another row does not depend on those it is asked with.
    """

    def __init__(self, layers: tuple[Layer, ...], value: ArrayLike, kind: Kind, dtype: DTypeLike | None = None) -> None:
        super().__init__(value, "Y", layers=layers)
        first = kernel_dtype(dtype, self.x)
        self._layers, self._kind = layers, kind
        self.wanted = None if dtype is None else first
        if self.with_positions:  # compiled again for every block of pairs
            position_pairs(layers, self, None, kind, first)  # refuses what is out of range
            return
        self.centre = Centre.of([self], zero_rows=True)  # of others, maybe
        self._ready: dict[tuple[np.dtype[Any], bool], _Ready] = {}
        self._further: dict[Any, _Ready] = {}
        self._first(first)

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedRows, (self._layers, self.given, self._kind, self.wanted)

    def beside(
        self, left: Input, dtype: np.dtype[Any], *, univariate: bool = False, along_inputs: bool = False
    ) -> tuple[Program, Prepared]:
        """Compile the network for other rows: their program, and these rows, prepared by one of the same ops.

        `along_inputs`, a program that has derivatives in the other rows.
        """
        ready = self._first(dtype, along_inputs=along_inputs)
        compiled = partial(compile_beside, self._layers, left, dtype, along_inputs=along_inputs)
        program, choices = compiled(ready.program, ready.choices)
        refuse_out_of_range(program, [left], self._kind, dtype)
        while choices != ready.choices:  # a layer has met variances that it has not met of these rows
            ready = self._like(dtype, choices, None, along_inputs=along_inputs)
            program, choices = compiled(ready.program, ready.choices)
        if univariate and program.univariate and ready.program.univariate:
            parameters = one_variable(program, self._layers, [left, self], dtype, self._kind)
            if parameters is not None:
                program.replace_ops(parameters)
                ready = self._like(dtype, choices, tuple(parameters))
        return program, ready.prepared

    def _first(self, dtype: np.dtype[Any], *, along_inputs: bool = False) -> _Ready:
        key = dtype, along_inputs
        if key not in self._ready:
            self._ready[key] = self._make(dtype, None, None, along_inputs)
        return self._ready[key]

    def _like(
        self,
        dtype: np.dtype[Any],
        choices: tuple[object, ...] | None,
        parameters: tuple[float, ...] | None,
        *,
        along_inputs: bool = False,
    ) -> _Ready:
        key = dtype, choices, parameters, along_inputs
        ready = self._further.pop(key, None) or self._make(*key)
        self._further[key] = ready  # the last
        for old in list(self._further)[:-_FURTHER]:
            self._further.pop(old, None)
        return ready

    def _make(
        self,
        dtype: np.dtype[Any],
        choices: tuple[object, ...] | None,
        parameters: tuple[float, ...] | None,
        along_inputs: bool,
    ) -> _Ready:
        program, chosen = compile_beside(self._layers, self, dtype, None, choices, along_inputs=along_inputs)
        refuse_out_of_range(program, [self], self._kind, dtype)
        if choices is None and chosen is not None:
            return self._make(dtype, chosen, parameters, along_inputs)  # as others will be
        if parameters is not None:
            program.replace_ops(list(parameters))
        make = _core.PreparedFloat32 if dtype == np.float32 else _core.PreparedFloat64
        how = runtime.instruction_set(), runtime.threads()
        prepared = make(*how, program, self.x, self.inverse_norms, self.centre.unit)
        return _Ready(program, chosen, prepared)
