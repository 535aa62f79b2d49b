"""The covariances of values and derivatives of a network's Gaussian process: derivatives of its kernel in both rows.

With unit rows u = x / |x| and v = y / |y|, what of each is at a right angle to the other, and K a function of the gap
1 - u.v and of p = log |x|^2 and q = log |y|^2,

    d gap/dx = -(v - (u.v) u)/|x|,   dp/dx = 2 u/|x|,   d^2 gap/dx dy = -(I - u u')(I - v v')/|x||y|,

and likewise in y: no term is a difference of large ones, however near x and y are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arrays import new_output
from .._machine.floating import undisturbed
from ..layers.base import MisplacedError, walk
from .compilation import WAYS, compile_along_inputs
from .input_gradients import Rows, read_vectors
from .inputs import Input
from .pairs import Pairs

if TYPE_CHECKING:
    from ..layers.base import Layers

Float = NDArray[np.float64]

#: Second derivatives of the engine: in the gap twice, in the gap and p, in the gap and q, in p and q.
_SECONDS = 4

#: Rows whose derivatives at themselves are found together.
_TOGETHER = 64


class Covariances(NamedTuple):
    """Of a function f at rows of X with f at rows of Y, and of its derivatives; axes are rows and features in turn."""

    values: Float
    """cov(f(x), f(y)), of shape (n, m)."""
    slopes_x: Float
    """cov(df/dx, f(y)), of shape (n, d, m)."""
    slopes_y: Float
    """cov(f(x), df/dy), of shape (n, m, d)."""
    both: Float
    """cov(df/dx, df/dy), of shape (n, d, m, d)."""


def refuse_jumps(layers: Layers) -> None:
    """Refuse a network whose functions have no derivatives, or none that are known."""
    for place, layer in walk(layers):
        if not layer.is_continuous:
            raise MisplacedError(
                place, layer, "functions of a Gaussian process have no derivatives behind an activation that jumps, or "
                "that is a kernel without a known function."
            )  # fmt: skip


@undisturbed
def covariances(layers: Layers, X: ArrayLike, Y: ArrayLike) -> Covariances:
    """Compute the covariances of values and derivatives at the rows of X with those at the rows of Y."""
    left, right = read_vectors(layers, X, Y)
    assert right is not None
    (n, d), m = left.x.shape, len(right.x)
    (both,) = new_output((n, d, m, d), np.dtype(np.float64), 1)
    x, y = Rows(layers, left, right, "nngp"), Rows(layers, right, left, "nngp")
    values, along, by_p, by_q, twice, along_p, along_q, by_both = _engine(layers, left, right)
    gap_x = -_tangents(x.unit, y.unit) / x.norms[:, None, None]
    gap_y = -_tangents(y.unit, x.unit).transpose(1, 0, 2) / y.norms[:, None]
    p_x, q_y = 2 * x.unit / x.norms[:, None], 2 * y.unit / y.norms[:, None]
    first = twice[..., None] * gap_x + along_p[..., None] * p_x[:, None]
    second = along_q[..., None] * gap_x + by_both[..., None] * p_x[:, None]
    np.einsum("nma,nmb->namb", first, gap_y, out=both)
    both += np.einsum("nma,mb->namb", second, q_y)
    cosines = x.unit @ y.unit.T
    weight = -along / np.multiply.outer(x.norms, y.norms)
    both += np.einsum("nm,nma,mb->namb", weight, cosines[..., None] * x.unit[:, None] - y.unit, y.unit)
    both -= np.einsum("nm,na,nb->namb", weight, x.unit, x.unit)
    both += np.einsum("nm,ab->namb", weight, np.eye(d))
    both *= x.factors[:, :, None, None]
    both *= y.factors
    slopes_x = (along[..., None] * gap_x + by_p[..., None] * p_x[:, None]) * x.factors[:, None]
    slopes_y = (along[..., None] * gap_y + by_q[..., None] * q_y) * y.factors
    return Covariances(values, slopes_x.transpose(0, 2, 1), slopes_y, both)


@undisturbed
def slope_variances(layers: Layers, X: ArrayLike) -> Float:
    """Compute the variances of the derivatives df/dx of a function at the rows of X: of shape (n, d)."""
    data, _ = read_vectors(layers, X, None)
    found = np.empty(data.x.shape)
    for i in range(0, len(found), _TOGETHER):
        part = Input(data.x[i : i + _TOGETHER], "X", first=i)
        rows = Rows(layers, part, part, "nngp")
        _, along, *_, by_both = (matrix.diagonal()[:, None] for matrix in _engine(layers, part, part))
        square = rows.unit**2
        variances = (4 * by_both * square - along * (1 - square)) / rows.norms[:, None] ** 2
        found[i : i + _TOGETHER] = variances * rows.factors**2
    return found


def _engine(layers: Layers, left: Input, right: Input) -> tuple[Float, ...]:
    """K, and its derivatives in the gap, p and q; then `_SECONDS`."""
    refuse_jumps(layers)
    values, slopes = np.empty((len(left.x), len(right.x))), np.empty((WAYS + _SECONDS, len(left.x), len(right.x)))
    if values.size:
        program = compile_along_inputs(layers, left, right, "nngp", second=True)
        outputs = values, None, slopes, None, None, None, None
        Pairs(program, left, right).run(_core.compute_gradient, outputs, False)
    return values, *slopes


def _tangents(u: Float, v: Float) -> Float:
    """What of v is at a right angle to u, of shape (n, m, d), from differences that do not cancel."""
    sign = np.where(u @ v.T < 0, -1.0, 1.0)[..., None]
    apart = v - sign * u[:, None]
    apart -= np.einsum("nmd,nd->nm", apart, u)[..., None] * u[:, None]
    return np.asarray(apart)
