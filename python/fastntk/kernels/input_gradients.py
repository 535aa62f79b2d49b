"""Derivatives of a kernel in the rows it is of, and of sums over it: no array has both pairs and features.

With unit rows u = x / |x| the engine gives, of every block of pairs, the derivatives along their gaps times their
weights, and what a product of matrices makes of them for each row: see cpp/core/input_gradient.hpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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
    from ..activations.duals import Program
    from ..layers.base import Layers

Float = NDArray[np.float64]
Kind = Literal["nngp", "ntk"]

#: Rows and columns of a block, whose derivatives along the gap are stored: 8 MiB.
_BLOCK = 1024

#: Norms that a zero row may be taken to have, relative to the smallest other one or to 1: a kernel that is smooth at 0
#: changes by their square. The second is for activations that are one number next to 0, where phi(0) is not 0.
_NEXT_TO_ZERO, _SMALLEST = (1e-12, 3e-5), 1e-150

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
    rows = Rows(layers, left, right or left, kind)
    columns = rows if right is None else Rows(layers, right, left, kind)
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
    rows = Rows(layers, left, Y, kind)
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
    if right is None:
        raise TypeError("Y must be a matrix of shape (m, d), got None.")
    slopes: Float
    (slopes,) = new_output(right.x.shape, np.dtype(np.float64), 1)
    row = Rows(layers, left, right, kind)
    if slopes.size:
        if isinstance(right, PreparedRows):
            pairs = _beside(left, right)
        else:
            pairs = Pairs(compile_along_inputs(layers, left, right, kind), left, right)
        pairs.run(_core.compute_input_slopes, (pairs.prepared, kind == "ntk", row.norms, None, slopes), False)
    slopes *= row.factors[0]
    return slopes


class AtPoint(NamedTuple):
    """What there is to know of the NNGP kernel at one point x, beside rows Y that were prepared."""

    kernel: Float
    """K(x, Y), of shape (m,)."""
    slopes: Float
    """Its derivatives in x, of shape (m, d)."""
    variance: float
    """K(x, x)."""
    variance_slope: Float
    """Its derivative, of shape (d,)."""


@undisturbed
def at_point(layers: Layers, x: Float, Y: PreparedRows) -> AtPoint:
    """Compute all of it with one program: what several calls would compile anew takes as long as the arithmetic."""
    left, _ = read_vectors(layers, x[None], Y)
    row, pairs = Rows(layers, left, Y, "nngp"), _beside(left, Y)
    kernel, slopes = np.empty((1, len(Y.x))), np.empty(Y.x.shape)
    pairs.run(_core.compute_input_slopes, (pairs.prepared, False, row.norms, kernel, slopes), False)
    slopes *= row.factors[0]
    variance, along = _along_rows(pairs.program, row)
    return AtPoint(kernel[0], slopes, float(variance[0]), along[0])


@undisturbed
def variance_slopes(layers: Layers, X: Float) -> Float:
    """Compute the derivative of K(x, x), of shape (n, d)."""
    left, _ = read_vectors(layers, X, None)
    rows = Rows(layers, left, left, "nngp")
    return _along_rows(compile_along_inputs(layers, left, None, "nngp"), rows)[1]


def _along_rows(program: Program, rows: Rows) -> tuple[Float, Float]:
    """K(x, x) of rows, and its derivative: it depends on log |x|² alone."""
    n = len(rows.norms)
    variance = program.variance[:n]
    along = 2 * variance * program.variance_slope[:n] / rows.norms
    return variance, along[:, None] * rows.unit * rows.factors


def read_vectors(layers: Layers, X: ArrayLike, Y: ArrayLike | Input | None) -> tuple[Input, Input | None]:
    """Check samples, of which derivatives are known where they are vectors."""
    if True not in [layer.mixes for layer in layers]:
        left, right = read_inputs(layers, X, Y)
        if not left.with_positions:
            return left, right
    raise ValueError(
        "derivatives in the inputs are computed of kernels of vectors; of images, sequences and graphs there are those "
        "in the hyper-parameters (wrt='hyperparameters')."
    )


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

    def __init__(self, layers: Layers, data: Input, others: Input, kind: Kind) -> None:
        zero, scale = data.norms == 0, scale_of(layers)
        self.factors = np.ones(data.x.shape) * (scale.weights if scale else 1.0)
        self.norms = data.norms
        if zero.any():
            near = _next_to_zero(layers, data, others, kind)
            self.norms = np.where(zero, near or 1.0, data.norms)
            if near:
                data.norms = self.norms  # what the program is compiled for
            else:
                self.factors[zero] = 0
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


def _next_to_zero(layers: Layers, data: Input, others: Input, kind: Kind) -> float | None:
    """A norm next to 0, if a kernel has a derivative at x = 0: if it is linear in x there, in all directions."""
    norms = np.concatenate([rows.norms[rows.inverse_norms > 0] for rows in (data, others)])
    if not norms.size:
        norms = np.ones(1)
    scale, features = min(float(norms.min()), 1.0), data.x.shape[1]
    sines = np.array([0.5, 0.0, -0.5, 0.0])
    rows = np.stack((sines, np.sqrt(1 - sines**2), 0 * sines), axis=1)
    lengths = np.array([1.0, 1.0, 1.0, 2.0])
    unit = (rows.shape[1] / features) ** 0.5  # |x|^2 / features is that of the rows
    for relative in _NEXT_TO_ZERO:
        near = max(relative * scale, _SMALLEST)
        left = Input(near * unit * lengths[:, None] * rows, "X")
        right = Input(float(norms.max()) * unit * np.eye(1, 3), "Y")
        try:
            program = compile_along_inputs(layers, left, right, kind)
        except ValueError:  # K is below any number next to 0; or that of the rows is out of the range, and refused
            return None
        slopes = np.empty((WAYS, len(rows), 1))
        outputs = (*outputs_of(kind, [None]), *outputs_of(kind, [slopes]), None, None, None)
        Pairs(program, left, right).run(_core.compute_gradient, outputs, False)
        along_gap = slopes[0, :, 0] / lengths
        if np.ptp(along_gap) <= _LINEAR * np.abs(along_gap).max():
            return near
    return None
