"""Derivatives of the kernels with respect to the networks' hyper-parameters, and sums of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .. import _core
from .._checks.arguments import true_or_false
from .._checks.arrays import kernel_dtype, new_output, weights_matrix
from .._checks.progress import Progress, check_progress
from .._machine.floating import undisturbed
from ..layers.base import walk
from .compilation import compile_program
from .inputs import read_inputs
from .pairs import Pairs, outputs_of

if TYPE_CHECKING:
    from ..layers.base import Layer

_FLOAT64 = np.dtype(np.float64)


def directions(layers: tuple[Layer, ...], *, shared: bool) -> list[list[float]]:
    """How far each parameter moves the hyper-parameters of every layer: one by one, or all of a name together."""
    names = [name for _, layer in walk(layers) for name in layer.hyperparameters]
    if not names:
        raise ValueError("a network without Dense layers has no hyper-parameters, so no gradient.")
    if true_or_false(shared, "shared"):
        return [[float(name == moved) for name in names] for moved in dict.fromkeys(names)]
    return [[float(i == k) for i in range(len(names))] for k in range(len(names))]


@undisturbed
def compute(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | None,
    kind: Literal["nngp", "ntk"],
    *,
    shared: bool,
    dtype: DTypeLike | None,
    progress: Progress,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Compute a kernel and its derivatives of shape (p, n, m)."""
    left, right = read_inputs(X, Y)
    check_progress(progress)
    result = kernel_dtype(dtype, left.x, (right or left).x)
    moves = directions(layers, shared=shared)
    n, m, p = len(left.x), len((right or left).x), len(moves)
    # One allocation for all, so that what cannot fit is refused before work starts.
    instead = "sum the derivatives with weights, which stores none: net.nngp.vjp, net.ntk.vjp"
    (whole,) = new_output((1 + p, n, m), _FLOAT64, 1, instead=instead)
    kernel, slopes = whole[0], whole[1:]
    program = compile_program(layers, [left] if right is None else [left, right], kind, _FLOAT64, moves, result=result)
    if n and m:
        outputs = (*outputs_of(kind, [kernel]), *outputs_of(kind, [slopes]), None, None, None)
        Pairs(program, left, right).run(_core.compute_gradient, outputs, progress)
    return kernel.astype(result, copy=False), slopes.astype(result, copy=False)


@undisturbed
def contract(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    G: ArrayLike,
    Y: ArrayLike | None,
    kind: Literal["nngp", "ntk"],
    *,
    shared: bool,
    progress: Progress,
) -> NDArray[np.float64]:
    """Compute sum over i, j of G[i, j] d kernel[i, j] / d parameter, of shape (p,), without storing derivatives."""
    left, right = read_inputs(X, Y)
    check_progress(progress)
    weights = weights_matrix(G, "G", (len(left.x), len((right or left).x)))
    moves = directions(layers, shared=shared)
    program = compile_program(layers, [left] if right is None else [left, right], kind, _FLOAT64, moves)
    sums = np.zeros(len(moves))
    if weights.size:
        outputs = (None, None, None, None, weights, *outputs_of(kind, [sums]))
        Pairs(program, left, right).run(_core.compute_gradient, outputs, progress)
    return sums
