"""Derivatives of the kernels with respect to the networks' hyper-parameters, and sums of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .. import _core
from .._checks.arguments import true_or_false
from .._checks.arrays import kernel_dtype, new_output, weights_matrix
from .._checks.progress import Progress, check_progress, portions
from .._machine.floating import undisturbed
from ..layers.base import walk
from . import differences, scale_gradients
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
        raise ValueError("a network without layers with weights has no hyper-parameters, so no gradient.")
    if true_or_false(shared, "shared"):
        return [[float(name == moved) for name in names] for moved in dict.fromkeys(names)]
    return [[float(i == k) for i in range(len(names))] for k in range(len(names))]


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
    """Compute a kernel and its derivatives of shape (p, n, m), in its hyper-parameters."""
    moves = directions(layers, shared=shared)
    return compute_along(layers, X, Y, kind, moves, dtype=dtype, progress=progress)


@undisturbed
def compute_along(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | None,
    kind: Literal["nngp", "ntk"],
    moves: list[list[float]],
    *,
    dtype: DTypeLike | None,
    progress: Progress = False,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Compute a kernel and its derivatives of shape (p, n, m), in parameters that move the hyper-parameters so."""
    left, right = read_inputs(layers, X, Y)
    check_progress(progress)
    result = kernel_dtype(dtype, left.x, (right or left).x)
    n, m, p = len(left), len(right or left), len(moves)
    # One allocation for all, so that what cannot fit is refused before work starts.
    instead = "sum the derivatives with weights, which stores none: net.nngp.vjp, net.ntk.vjp"
    (whole,) = new_output((1 + p, n, m), _FLOAT64, 1, instead=instead)
    kernel, slopes = whole[0], whole[1:]
    if left.with_positions:
        differences.compute(layers, left, right, kind, moves, kernel, slopes, result, progress)
        return kernel.astype(result, copy=False), slopes.astype(result, copy=False)
    own, logs = scale_gradients.split(layers, moves)
    inputs = [left] if right is None else [left, right]
    program = compile_program(layers, inputs, kind, _FLOAT64, own, result=result)
    if n and m:
        slopes[: p - len(own)] = 0
        with portions((1 + bool(logs.any())) * n * m, progress) as portion:
            pairs = Pairs(program, left, right)
            if own:
                outputs = (*outputs_of(kind, [kernel]), *outputs_of(kind, [slopes[p - len(own) :]]), None, None, None)
                pairs.run(_core.compute_gradient, outputs, portion(n * m))
            else:
                pairs.compute(kind, [kernel], portion(n * m))
            if logs.any():
                scale_gradients.add(layers, X, Y, kind, logs, slopes, portion(n * m))
    return kernel.astype(result, copy=False), slopes.astype(result, copy=False)


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
    return contract_along(layers, X, G, Y, kind, directions(layers, shared=shared), progress=progress)


@undisturbed
def contract_along(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    G: ArrayLike,
    Y: ArrayLike | None,
    kind: Literal["nngp", "ntk"],
    moves: list[list[float]],
    *,
    progress: Progress = False,
) -> NDArray[np.float64]:
    """Compute such sums for parameters that move the hyper-parameters so."""
    left, right = read_inputs(layers, X, Y)
    check_progress(progress)
    weights = weights_matrix(G, "G", (len(left), len(right or left)))
    sums = np.zeros(len(moves))
    if weights.size and moves and left.with_positions:
        return differences.contract(layers, left, right, kind, moves, weights, progress)
    if weights.size and moves:
        own, logs = scale_gradients.split(layers, moves)
        with portions((bool(own) + bool(logs.any())) * weights.size, progress) as portion:
            if own:
                program = compile_program(layers, [left] if right is None else [left, right], kind, _FLOAT64, own)
                outputs = (None, None, None, None, weights, *outputs_of(kind, [sums[len(moves) - len(own) :]]))
                Pairs(program, left, right).run(_core.compute_gradient, outputs, portion(weights.size))
            if logs.any():
                sums += logs @ scale_gradients.contract(layers, X, weights, Y, kind, portion(weights.size))
    return sums
