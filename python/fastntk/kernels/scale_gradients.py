"""Derivatives of kernels in the weights of a Scale: those in the samples, of which they are factors.

They are taken in the logarithms of weights: that in log w_j is the sum over i of x_ij dK/dx_ij. In a weight of 0 it is
0, as kernels are functions of its square.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arrays import new_output
from .._checks.progress import Progress
from . import input_gradients
from .compilation import WAYS, compile_along_inputs
from .inputs import read_inputs
from .pairs import Pairs, outputs_of
from .shapes import scale_of

if TYPE_CHECKING:
    from ..layers.base import Layers

Float = NDArray[np.float64]
Kind = Literal["nngp", "ntk"]


def split(layers: Layers, moves: list[list[float]]) -> tuple[list[list[float]], Float]:
    """How far parameters move the hyper-parameters behind a Scale, and how far the logarithms of its weights.

    The former is of those parameters alone that move any, which are the last.
    """
    scale = scale_of(layers)
    if scale is None:
        return moves, np.zeros((len(moves), 0))
    count, weights = len(scale.weights), np.array(scale.weights)
    logs = np.array([move[:count] for move in moves]).reshape(-1, count)
    np.divide(logs, weights, out=logs, where=weights > 0)
    return [move[count:] for move in moves if any(move[count:])], logs * (weights > 0)


def contract(layers: Layers, X: ArrayLike, G: Float, Y: ArrayLike | None, kind: Kind, progress: Progress) -> Float:
    """Compute the derivatives of sum(G * kernel(X, Y)) in the logarithms of the weights, of shape (d,)."""
    found = input_gradients.contract(layers, X, G, Y, kind, progress=progress)
    each = [(X, found)] if isinstance(found, np.ndarray) else [(X, found[0]), (Y, found[1])]
    return np.asarray(sum(np.einsum("ij,ij->j", np.asarray(x, np.float64), slopes) for x, slopes in each))


def add(
    layers: Layers, X: ArrayLike, Y: ArrayLike | None, kind: Kind, logs: Float, slopes: Float, progress: Progress
) -> None:
    """Add the derivatives of a kernel in parameters that move the logarithms of the weights so, of shape (p, n, m).

    Of unit rows u, v with gap 1 - |u.v|, which is ½ sum_j (u_j - v_j)² but for its sign, d gap / d log w_j is
    (u_j - v_j)² - gap (u_j² + v_j²), and d log |x|² / d log w_j is 2 u_j².
    """
    left, right = read_inputs(layers, X, Y)
    rows = input_gradients.Rows(layers, left, right or left, kind)
    columns = rows if right is None else input_gradients.Rows(layers, right, left, kind)
    program = compile_along_inputs(layers, left, right, kind)
    shape = len(left.x), len((right or left).x)
    (ways,) = new_output((WAYS, *shape), np.dtype(np.float64), 1)
    outputs = (*outputs_of(kind, [None]), *outputs_of(kind, [ways]), None, None, None)
    Pairs(program, left, right or left).run(_core.compute_gradient, outputs, progress)
    # Of a sample with itself, which is one to Dropout.
    of_itself = left.given * input_gradients.contract(layers, X, np.eye(shape[0]), None, kind, progress=False)
    u, v = rows.unit, columns.unit
    sign = np.where(u @ v.T < 0, -1.0, 1.0)
    gap = np.zeros(shape)
    for u_j, v_j in zip(u.T, v.T, strict=True):
        gap += 0.5 * (u_j[:, None] - sign * v_j) ** 2
    gap[~u.any(axis=1)] = gap[:, ~v.any(axis=1)] = 1  # of rows of zeros
    along_gap, along_row, along_column = sign * ways[0], ways[1], ways[2]
    gap *= along_gap
    along_row += along_row - gap
    along_column += along_column - gap
    for j in np.flatnonzero(logs.any(axis=0)):
        u_j, v_j = u[:, j, None], v[:, j]
        slope = along_gap * (u_j - sign * v_j) ** 2
        slope += u_j**2 * along_row
        slope += v_j**2 * along_column
        if right is None:
            np.fill_diagonal(slope, of_itself[:, j])
        for i in np.flatnonzero(logs[:, j]):
            slopes[i] += logs[i, j] * slope
