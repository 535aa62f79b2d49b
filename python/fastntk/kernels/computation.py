"""The kernels of a network on data: in memory, or into files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._checks.arrays import kernel_dtype, new_output, output_matrix
from .._checks.places import refuse_shared
from .._checks.progress import Progress, check_progress
from .._checks.shown import one_line
from .._machine.floating import undisturbed
from . import blocks
from .compilation import Kind, compile_program
from .inputs import Input, read_inputs
from .pairs import compile_pairs

if TYPE_CHECKING:
    from ..layers.base import Layer


@one_line
class Kernels(NamedTuple):
    """Both kernels of a network, each of shape (n, m)."""

    nngp: NDArray[Any]
    ntk: NDArray[Any]


def into(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | Input | None,
    kind: Kind,
    *,
    out: Any,
    dtype: DTypeLike | None,
    progress: Progress,
    max_memory: int | str | None,
    univariate: bool,
) -> list[NDArray[Any]]:
    """Compute the kernels asked for, in the order (nngp, ntk): in memory, or block by block where `out` is a file."""
    if max_memory is not None:
        blocks.memory_limit(max_memory)
    if out is not None and blocks.is_large(out):
        return blocks.compute(layers, X, Y, kind, out=out, dtype=dtype, progress=progress, max_memory=max_memory)
    return compute(layers, X, Y, kind, out=out, dtype=dtype, progress=progress, univariate=univariate)


def compute(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | Input | None,
    kind: Kind,
    *,
    out: Any,
    dtype: DTypeLike | None,
    progress: Progress,
    univariate: bool,
) -> list[NDArray[Any]]:
    """Compute the kernels asked for, in the order (nngp, ntk)."""
    left, right = read_inputs(layers, X, Y)
    check_progress(progress)
    result_dtype = kernel_dtype(dtype, left.x, (right or left).x)
    shape = (len(left), len(right or left))
    count = 2 if kind == "both" else 1
    if out is None:
        outputs = new_output(shape, result_dtype, count)
    else:
        if count == 2 and not (isinstance(out, (tuple, list)) and len(out) == 2):
            raise TypeError("out must be a pair of arrays (nngp, ntk).")
        inputs = {"X": left.memory} if right is None else {"X": left.memory, "Y": right.memory}
        outputs = [output_matrix(o, shape, result_dtype, inputs) for o in (out if count == 2 else (out,))]
        refuse_shared(outputs)
    pairs = compile_pairs(layers, left, right, kind, result_dtype, univariate=univariate)
    if outputs[0].size:
        pairs.compute(kind, outputs, progress)
    return outputs


@undisturbed
def diagonal(
    layers: tuple[Layer, ...], X: ArrayLike, kind: Literal["nngp", "ntk"], *, dtype: DTypeLike | None
) -> NDArray[Any]:
    """Compute the diagonal of a kernel from the norms alone."""
    data = Input(X, "X", layers=layers)
    result_dtype = kernel_dtype(dtype, data.x)
    if data.with_positions:
        return compile_pairs(layers, data, None, kind, result_dtype).diagonal(kind).astype(result_dtype)
    program = compile_program(layers, [data], kind, result_dtype)
    values = program.variance if kind == "nngp" else program.ntk
    return values.astype(result_dtype)
