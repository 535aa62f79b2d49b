"""From a network and samples to the program of the engine, with its tables of what is per sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._machine import runtime
from .._machine.floating import undisturbed
from .._machine.rows import FLOATS
from ..layers.base import emit_network, walk
from . import univariate as fit
from .inputs import Centre, Input, excess_of_squares
from .shapes import scale_of

if TYPE_CHECKING:
    from ..activations.duals import Program
    from ..layers.base import Layer

Kind = Literal["nngp", "ntk", "both"]


_FLOAT64 = np.dtype(np.float64)

#: By the size of a number.
_PROGRAM: dict[int, type[Program]] = {4: _core.ProgramFloat32, 8: _core.ProgramFloat64}

#: The least and the largest normal number.
_RANGE = {dtype: (float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)) for dtype in FLOATS.values()}

#: Networks that were compiled, without those of which layers are computed of each sample; so many are kept.
_recipes: dict[tuple[tuple[Layer, ...], type[Program]], Any] = {}
_MOST_RECIPES = 64


def _program(
    layers: tuple[Layer, ...],
    norms: NDArray[np.float64],
    features: int,
    dtype: np.dtype[Any],
    directions: list[list[float]],
) -> Program:
    make = _PROGRAM[dtype.itemsize]
    how = runtime.instruction_set(), runtime.threads(), norms, features, directions
    key = layers[1:] if scale_of(layers) else layers, make  # the engine knows nothing of a Scale and its many weights
    known = _recipes.get(key)
    if known:
        return cast("Program", known.program(*how))
    program: Program = make(*how)
    emit_network(layers, program)
    recipe = program.recipe()
    if recipe:
        if len(_recipes) >= _MOST_RECIPES:
            _recipes.clear()
        _recipes[key] = recipe
    return program


def compile_program(
    layers: tuple[Layer, ...],
    inputs: list[Input],
    kind: Kind,
    dtype: np.dtype[Any],
    directions: list[list[float]] | None = None,
    centre: Centre | None = None,
    result: np.dtype[Any] | None = None,
) -> Program:
    """Compile a network for the samples of these inputs, and for derivatives in some directions.

    Refuses samples whose kernel of that kind with themselves is not in the range of dtype, or of the result's.
    """
    norms = [data.norms for data in inputs]
    if centre is not None:  # some samples of a larger whole, whose variances choose how activations are computed
        norms.append(centre.norms)
    all_norms = norms[0] if len(norms) == 1 else np.concatenate(norms)
    program = _program(layers, all_norms, inputs[0].x.shape[1], dtype, directions or [])
    refuse_out_of_range(program, inputs, kind, result or dtype)
    return program


#: Of an entry of a kernel: along the gap of its pair, along log |x|^2 of its row, and along that of its column.
WAYS = 3


def compile_along_inputs(
    layers: tuple[Layer, ...], left: Input, right: Input | None, kind: Kind, *, second: bool = False
) -> Program:
    """Compile a network for derivatives in the inputs: for these samples, and for those of Y, or these once more."""
    program: Program = _core.ProgramFloat64(
        runtime.instruction_set(),
        runtime.threads(),
        np.concatenate((left.norms, (right or left).norms)),
        left.x.shape[1],
        _unmoved(layers, WAYS),
        np.concatenate([excess_of_squares(data) for data in (left, right or left)]),
    )
    program.follow_inputs(len(left.x), second)
    emit_network(layers, program)
    refuse_out_of_range(program, [left] if right is None else [left, right], kind, _FLOAT64)
    return program


def _unmoved(layers: tuple[Layer, ...], ways: int) -> list[list[float]]:
    """Directions that move no hyper-parameter."""
    return [[0.0] * sum(len(layer.hyperparameters) for _, layer in walk(layers))] * ways


def compile_beside(
    layers: tuple[Layer, ...],
    data: Input,
    dtype: np.dtype[Any],
    like: Program | None = None,
    choices: tuple[object, ...] | None = None,
    *,
    along_inputs: bool = False,
) -> tuple[Program, tuple[object, ...] | None]:
    """Compile a network for these samples alone; or `like` it was compiled for others, with the choices made there.

    What comes back with the program are the choices: not those given, if these samples are out of their range.
    `along_inputs` the others stay, and are columns; and these are rows, along which derivatives are.
    """
    threads, features = runtime.threads(), data.x.shape[1]
    excess = excess_of_squares(data) if along_inputs else None
    again = like and like.again(threads, data.norms, features, None, excess)
    if again:
        return again, choices
    ways = _unmoved(layers, WAYS - 1) if along_inputs else []
    program: Program = _PROGRAM[dtype.itemsize](runtime.instruction_set(), threads, data.norms, features, ways, excess)
    if along_inputs:
        program.follow_inputs(len(data.x) if like else 0, False)
    return program, emit_network(layers, program, choices)


def refuse_out_of_range(program: Program, inputs: list[Input], kind: Kind, dtype: np.dtype[Any]) -> None:
    """Refuse samples of these inputs, the first of the program, whose kernel with themselves is not in the range."""

    def place(sample: int) -> str | None:
        return _place(inputs, sample) if sample < sum(len(data.x) for data in inputs) else None

    refuse_lost(program, place, kind)
    refuse_range(program, place, kind, dtype)


#: What to call a sample of a program, "row 3 of X", if it is one of the user's.
Place = Callable[[int], str | None]


#: Why samples are lost (core/node.hpp): what matters most first.
_LOST = {
    4: "is 0 where a LayerNorm divides by it: pass eps > 0, or have a bias of sigma_b > 0 before it",
    2: "is nothing but rounding where a layer divides by it: scale the data up, or pass a larger eps",
    1: "is 0 where a bias or weights that begin at 0 are trained: pass sigma_b > 0",
}


def refuse_lost(program: Program, place: Place, kind: Kind) -> None:
    """Refuse a sample that a layer cannot act on."""
    lost = program.first_lost(kind != "nngp")
    found = place(lost) if lost >= 0 else None
    if found is not None:
        refuse_loss(found, program.why_lost(lost), single=isinstance(program, _core.ProgramFloat32))


def refuse_loss(found: str, why: int, *, single: bool) -> NoReturn:
    """Say what was found, and what helps."""
    reason = next(reason for reason in _LOST if why & reason)
    more = ", or dtype='float64'" if single and reason == 2 else ""
    raise ValueError(f"K(x, x) of {found} {_LOST[reason]}{more}.")


def refuse_range(program: Program, place: Place, kind: Kind, dtype: np.dtype[Any]) -> None:
    """Refuse a sample whose kernel with itself is not in the range of a precision."""
    least, most = _RANGE[dtype]
    sample = program.first_out_of_range(least, most, kind != "nngp")
    found = place(sample) if sample >= 0 else None
    if found is None:
        return
    # What is no number was infinite before, as samples and parameters are finite.
    values = np.nan_to_num([program.variance[sample], program.ntk[sample]], nan=np.inf, posinf=np.inf)
    nngp, ntk = (np.format_float_scientific(value, 2) for value in values)
    large = not (program.variance[sample] <= most and program.ntk[sample] <= most)
    within = not large and program.variance[sample] >= least and not 0 < program.ntk[sample] < least
    up = f"scale the data or the parameters {'down' if large else 'up'}"
    up += ", or use dtype='float64'" if dtype == np.float32 else ""
    size = f"the kernel of {found} with itself is {'beyond' if large else 'below'} the range of {dtype.name}"
    if within:
        raise ValueError(
            f"{size}, or 0, in the network, where its direction matters (at the end NNGP {nngp}, NTK {ntk}); pass "
            f"sigma_b > 0 before it or, where it is not 0, {up}."
        )
    raise ValueError(f"{size}, in the network or at its end (there NNGP {nngp}, NTK {ntk}); {up}.")


def _place(inputs: list[Input], sample: int) -> str:
    """Which row of which input a sample of the program is."""
    n = len(inputs[0].x)
    data, row = (inputs[0], sample) if sample < n else (inputs[1], sample - n)
    return f"row {data.first + row} of {data.name}"


@undisturbed
def one_variable(
    program: Program, layers: tuple[Layer, ...], inputs: list[Input], dtype: np.dtype[Any], kind: str
) -> list[float] | None:
    """Parameters of the one op of a network that depends on the gap alone, where that is quicker and as accurate."""
    if not program.univariate or program.op_count < fit.FEWEST_OPS:
        return None
    features = inputs[0].x.shape[1]

    def compile_pair(norms: tuple[float, float]) -> _core.ProgramFloat64:
        return cast("_core.ProgramFloat64", _program(layers, np.array(norms), features, _FLOAT64, []))

    noise = max((layer.noise for layer in layers), default=0.0)
    # Zero rows have no gap; where others have, their norm does not matter or is that of all.
    norms = np.concatenate([data.norms for data in inputs])
    norms = norms[norms > 0]
    if not norms.size:
        return None
    extremes = norms.min(), norms.max()
    if not _program(layers, np.array(extremes), features, dtype, []).univariate:
        return None  # these samples alike, but not as others that they are paired with
    return fit.fit(compile_pair, extremes, dtype, noise, nngp=kind != "ntk", ntk=kind != "nngp")
