"""Derivatives of the kernels with respect to the networks' hyper-parameters, and sums of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _core
from ._shown import shown
from ._validation import kernel_dtype, new_output, weights_matrix
from .activations import Activation
from .floating import undisturbed
from .kernels import Kind, Pairs, Progress, check_progress, compile_program, outputs_of, read_inputs

if TYPE_CHECKING:
    from .layers import Layer

Gradient = Literal[True, "shared"]

_FLOAT64 = np.dtype(np.float64)


def directions(layers: tuple[Layer, ...], gradient: object) -> list[list[float]]:
    """How far each parameter moves (sigma_w, sigma_b) of every Dense layer: one by one, or all of a kind together."""
    count = sum(not isinstance(layer, Activation) for layer in layers)
    if not count:
        raise ValueError("a network without Dense layers has no hyper-parameters, so no gradient.")
    if gradient is True:
        return [[float(i == k) for i in range(2 * count)] for k in range(2 * count)]
    if isinstance(gradient, str) and gradient == "shared":
        return [[1.0, 0.0] * count, [0.0, 1.0] * count]
    raise ValueError(f"gradient must be False, True (every layer's) or 'shared', got {shown(gradient)}.")


@undisturbed
def compute(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | None,
    kind: Kind,
    gradient: object,
    *,
    out: Any,
    dtype: DTypeLike | None,
    progress: Progress,
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Compute the kernels asked for and, of each, the derivatives of shape (p, n, m)."""
    if out is not None:
        raise ValueError("out= cannot be combined with gradient=: the derivatives need arrays of their own.")
    left, right = read_inputs(X, Y)
    check_progress(progress)
    result = kernel_dtype(dtype, left.x, (right or left).x)
    moves = directions(layers, gradient)
    n, m, p = len(left.x), len((right or left).x), len(moves)
    count = 2 if kind == "both" else 1
    # One allocation for all, so that what cannot fit is refused before work starts.
    instead = "sum the derivatives with weights, which stores none: nngp_vjp, ntk_vjp"
    (whole,) = new_output((count, 1 + p, n, m), _FLOAT64, 1, instead=instead)
    kernels, slopes = [matrices[0] for matrices in whole], [matrices[1:] for matrices in whole]
    inputs = [left] if right is None else [left, right]
    program = compile_program(layers, inputs, kind, _FLOAT64, moves, result=result)
    if n and m:
        outputs = (*outputs_of(kind, kernels), *outputs_of(kind, slopes), None, None, None)
        Pairs(program, left, right).run(_core.compute_gradient, outputs, progress)
    return [k.astype(result, copy=False) for k in kernels], [s.astype(result, copy=False) for s in slopes]


@undisturbed
def contract(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    G: ArrayLike,
    Y: ArrayLike | None,
    kind: Literal["nngp", "ntk"],
    gradient: object,
    *,
    progress: Progress,
) -> NDArray[np.float64]:
    """Compute sum over i, j of G[i, j] d kernel[i, j] / d parameter, of shape (p,), without storing derivatives."""
    left, right = read_inputs(X, Y)
    check_progress(progress)
    weights = weights_matrix(G, "G", (len(left.x), len((right or left).x)))
    moves = directions(layers, gradient)
    program = compile_program(layers, [left] if right is None else [left, right], kind, _FLOAT64, moves)
    sums = np.zeros(len(moves))
    if weights.size:
        outputs = (None, None, None, None, weights, *outputs_of(kind, [sums]))
        Pairs(program, left, right).run(_core.compute_gradient, outputs, progress)
    return sums
