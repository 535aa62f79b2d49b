"""Derivatives of a kernel in the rows it is of, and of sums over it: no array has both pairs and features.

With unit rows u = x / |x| the engine gives, of every block of pairs, the derivatives along their gaps times their
weights, and what a product of matrices makes of them for each row: see cpp/core/input_gradient.hpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arrays import new_output, real_array, weights_matrix
from .._checks.progress import Progress, check_progress, portions
from .._machine.floating import undisturbed
from .compilation import WAYS, compile_along_inputs
from .inputs import Input, read_inputs
from .pairs import Pairs, outputs_of
from .prepared import PreparedRows
from .shapes import scale_of

if TYPE_CHECKING:
    from ..layers.base import Layers

Float = NDArray[np.float64]
Kind = Literal["nngp", "ntk"]

#: Rows and columns of a block, whose derivatives along the gap are stored: 8 MiB.
_BLOCK = 1024

#: Norm that a zero row is taken to have, relative to the largest: a kernel that is smooth there changes by its square.
_NEXT_TO_ZERO, _SMALLEST = 1e-12, 1e-150

#: Slopes that differ by less are one: a kernel with a kink at 0 has slopes that differ by a tenth and more.
_LINEAR = 1e-3


@undisturbed
def contract(
    layers: Layers, X: ArrayLike, G: ArrayLike, Y: ArrayLike | None, kind: Kind, *, progress: Progress
) -> Float | tuple[Float, Float]:
    """Compute the derivative of sum(G * kernel(X, Y)) in X, of its shape; and, if there is a Y, that in Y too."""
    left, right = read_vectors(layers, X, Y)
    check_progress(progress)
    weights = weights_matrix(G, "G", (len(left.x), len((right or left).x)))
    rows = Rows(layers, left, kind)
    columns = rows if right is None else Rows(layers, right, kind)
    if weights.size:
        program = compile_along_inputs(layers, left, right, kind)
        square, all_pairs = Pairs(program, left, None), Pairs(program, left, right or left)
        blocks = list(_blocks(len(left.x), None if right is None else len(right.x)))
        along = np.empty(_BLOCK**2)
        with portions(sum(_size(i) * _size(j) for i, j in blocks), progress) as portion:
            for i, j in blocks:
                diagonal = right is None and i == j
                turned = weights[j, i] if right is None and not diagonal else None
                (square if diagonal else all_pairs).run(
                    _core.compute_input_gradient,
                    (None, kind == "ntk", weights[i, j], turned, along, *rows.sums(i), *columns.sums(j)),
                    portion(_size(i) * _size(j)), i, j,
                )  # fmt: skip
    return rows.slopes() if right is None else (rows.slopes(), columns.slopes())


@undisturbed
def contract_rows(
    layers: Layers, X: ArrayLike, G: ArrayLike, Y: PreparedRows, kind: Kind, *, progress: Progress
) -> Float:
    """Compute the derivative of sum(G * kernel(X, Y)) in X, beside rows that were prepared."""
    left, _ = read_vectors(layers, X, Y)
    check_progress(progress)
    weights = weights_matrix(G, "G", (len(left.x), len(Y.x)))
    rows = Rows(layers, left, kind)
    if weights.size:
        pairs = _beside(left, Y)
        along = np.empty(min(_BLOCK, len(left.x)) * min(_BLOCK, len(Y.x)))
        with portions(weights.size, progress) as portion:
            for i, j in _blocks(len(left.x), len(Y.x)):
                unit = Y.x[j] * Y.inverse_norms[j, None]
                pairs.run(
                    _core.compute_input_gradient,
                    (pairs.prepared, kind == "ntk", weights[i, j], None, along, *rows.sums(i), unit, None, None),
                    portion(_size(i) * _size(j)), i, j,
                )  # fmt: skip
    return rows.slopes()


def _beside(left: Input, right: PreparedRows) -> Pairs:
    """All pairs of rows with those that were prepared, along the former."""
    program, prepared = right.beside(left, np.dtype(np.float64), along_inputs=True)
    return Pairs(program, left, right, right.centre, prepared)


@undisturbed
def slopes_at(layers: Layers, x: ArrayLike, Y: ArrayLike | PreparedRows, kind: Kind) -> Float:
    """Compute the derivative of kernel(x, Y), of shape (m,), in one point x: of shape (m, d)."""
    point = real_array(x, "x")
    if point.ndim != 1:
        raise ValueError(f"x must be one point, of shape (d,), got shape {point.shape}; of many points: vjp.")
    left, right = read_vectors(layers, point[None], Y)
    assert right is not None
    slopes: Float
    (slopes,) = new_output(right.x.shape, np.dtype(np.float64), 1)
    row = Rows(layers, left, kind)
    if slopes.size:
        if isinstance(right, PreparedRows):
            pairs = _beside(left, right)
        else:
            pairs = Pairs(compile_along_inputs(layers, left, right, kind), left, right)
        pairs.run(_core.compute_input_slopes, (pairs.prepared, kind == "ntk", row.norms, slopes), False)
    slopes *= row.factors[0]
    return slopes


def read_vectors(layers: Layers, X: ArrayLike, Y: ArrayLike | Input | None) -> tuple[Input, Input | None]:
    """Check samples, of which derivatives are known where they are vectors."""
    left, right = read_inputs(layers, X, Y)
    if left.with_positions:
        raise ValueError(
            "derivatives in the inputs are computed of kernels of vectors; of images and sequences there are those in "
            "the hyper-parameters (wrt='hyperparameters')."
        )
    return left, right


def _size(part: slice) -> int:
    return int(part.stop - part.start)


def _blocks(n: int, m: int | None) -> Any:
    """Slices of rows and of columns; without m those of a symmetric matrix, on and above its diagonal."""
    for i in range(0, n, _BLOCK):
        for j in range(i if m is None else 0, m or n, _BLOCK):
            yield slice(i, min(i + _BLOCK, n)), slice(j, min(j + _BLOCK, m or n))


class Rows:
    """Rows, and what becomes of their derivatives: (own u - pull) / |x|.

    `factors` are of those in the samples: the weights of a Scale, and 0 where there is no derivative.
    """

    def __init__(self, layers: Layers, data: Input, kind: Kind) -> None:
        zero, scale = data.norms == 0, scale_of(layers)
        self.factors = np.ones(data.x.shape) * (scale.weights if scale else 1.0)
        if zero.any():
            largest = float(data.norms.max()) or 1.0
            # The program is compiled for what is next to 0.
            data.norms = np.where(zero, max(_NEXT_TO_ZERO * largest, _SMALLEST), data.norms)
            if not _is_smooth_at_zero(layers, data, largest, kind):
                self.factors[zero] = 0
        self.norms = data.norms
        self.unit = data.x * data.inverse_norms[:, None]
        self.own, self.pull = np.zeros(len(data.x)), np.zeros(data.x.shape)

    def sums(self, part: slice) -> tuple[Float, Float, Float]:
        """Of some rows what the engine reads, and adds to."""
        return self.unit[part], self.own[part], self.pull[part]

    def slopes(self) -> Float:
        """The derivatives in the samples, at the end."""
        slopes = self.own[:, None] * self.unit
        slopes -= self.pull
        slopes *= self.factors / self.norms[:, None]
        return slopes


def _is_smooth_at_zero(layers: Layers, data: Input, norm: float, kind: Kind) -> bool:
    """Whether a kernel has a derivative at x = 0: whether, next to 0, it is linear in the direction of x."""
    directions = np.array([[0.5, 0.75**0.5, 0.0], [0.0, 1.0, 0.0], [-0.5, 0.75**0.5, 0.0]])
    scale = (directions.shape[1] / data.x.shape[1]) ** 0.5  # |x|^2 / features is that of the rows
    near = Input(float(data.norms.min()) * scale * directions, "X")
    other = Input(norm * scale * np.eye(1, 3), "Y")
    slopes = np.empty((WAYS, 3, 1))
    outputs = (*outputs_of(kind, [None]), *outputs_of(kind, [slopes]), None, None, None)
    program = compile_along_inputs(layers, near, other, kind)
    Pairs(program, near, other).run(_core.compute_gradient, outputs, False)
    along_gap = slopes[0, :, 0]
    return bool(np.ptp(along_gap) <= _LINEAR * np.abs(along_gap).max())
