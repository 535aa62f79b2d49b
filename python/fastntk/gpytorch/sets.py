"""Batches of sets of samples, in NumPy: the kernel of every set, and derivatives of sums of it, in few calls.

A call takes some 0.1 ms however small, so that small sets are computed together and the pairs between them thrown away,
and sets beside the same others, such as candidates beside training samples, are the rows of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..inference.fitting.sigmas import Sigmas
from ..kernels.gradients import contract_along
from ..kernels.kernel import Kernel

Array = NDArray[Any]

#: Rows of a call of several sets: its pairs take about as long as a call takes at least.
_ROWS = 64


@dataclass(frozen=True, eq=False)
class Family:
    """A kernel of a network, for any values of those of its sigmas that are free."""

    sigmas: Sigmas
    kind: Literal["nngp", "ntk"]

    @lru_cache(maxsize=16)  # noqa: B019  # an acquisition is maximised, and gradients are taken, at the same values
    def kernel(self, *values: float) -> Kernel:
        """The one of these values."""
        net = self.sigmas.with_values(np.array(values))
        return net.nngp if self.kind == "nngp" else net.ntk

    def vjp(self, kernel: Kernel, X: Array, G: Array, Y: Array | None) -> Array:
        """Derivative of sum(G * kernel(X, Y)) in the values."""
        moves = self.sigmas.moves(self.sigmas.net) / self.sigmas.values[:, None]
        return contract_along(kernel.layers, X, G, Y, self.kind, moves.tolist())


class Call(NamedTuple):
    """A call for some sets of samples, (k, n, d), each beside its own (k, m, d), or all beside (1, m, d), or itself."""

    sets: NDArray[np.intp]
    x: Array
    y: Array | None

    @property
    def rows(self) -> tuple[Array, Array | None]:
        """X and Y."""
        return _rows(self.x), None if self.y is None else _rows(self.y)

    @property
    def distinct_rows(self) -> tuple[Array, Array | None]:
        """X and Y, if that is not X once more."""
        return _rows(self.x), None if self.y is None or np.array_equal(self.x, self.y) else _rows(self.y)

    def apart(self, matrix: Array) -> Array:
        """Of the matrix of all rows, that of each set: (k, n, m)."""
        k, n, _ = self.x.shape
        others, m, _ = (self.x if self.y is None else self.y).shape
        each = np.arange(k)
        blocks = matrix.reshape(k, n, others, m)
        return blocks[each, :, each] if others > 1 else blocks[:, :, 0]

    def joined(self, weights: Array) -> Array:
        """Of weights of all sets, (b, n, m), the matrix of those of these rows; 0 between different sets."""
        k, n, _ = self.x.shape
        others, m, _ = (self.x if self.y is None else self.y).shape
        if others == 1:
            return weights[self.sets[0]] if k == 1 else weights[self.sets].reshape(k * n, m)
        blocks, each = np.zeros((k, n, k, m)), np.arange(k)
        blocks[each, :, each] = weights[self.sets]
        return blocks.reshape(k * n, k * m)


def _rows(sets: Array) -> Array:
    return sets.reshape(-1, sets.shape[-1])


@dataclass(frozen=True)
class Sets:
    """Sets of samples, (b, n, d), each beside its own others, (b, m, d), or None: beside itself.

    `values` are those of one or more kernels of the family, (c, p), and `which` of them each set has, (b,).
    """

    family: Family
    values: Array
    which: NDArray[np.intp]
    x: Array
    y: Array | None

    def _calls(self, sets: NDArray[np.intp], *, common: bool = True) -> Iterator[Call]:
        """Calls for some sets of one kernel; `common`, one if the others of all are the same."""
        x, y = self.x[sets], None if self.y is None else self.y[sets]
        if y is not None and common and len(sets) > 1 and (y == y[:1]).all():
            yield Call(sets, x, y[:1])
            return
        step = max(1, _ROWS // max(1, x.shape[1], 0 if y is None else y.shape[1]))
        for start in range(0, len(sets), step):
            some = slice(start, start + step)
            yield Call(sets[some], x[some], None if y is None else y[some])

    def kernels(self) -> Array:
        """Kernel of each set with its others, (b, n, m)."""
        parts: list[tuple[NDArray[np.intp], Array]] = []
        for k, values in enumerate(self.values):
            sets, kernel = np.flatnonzero(self.which == k), self.family.kernel(*values.tolist())
            if self.y is None and self.x.shape[1] == 1:
                parts.append((sets, kernel.diag(self.x[sets, 0])[:, None, None]))
            else:
                parts += [(call.sets, call.apart(kernel(*call.distinct_rows))) for call in self._calls(sets)]
        if len(parts) == 1:
            return parts[0][1]
        samples = [self.x] if self.y is None else [self.x, self.y]
        whole = np.empty((*self.x.shape[:2], samples[-1].shape[1]), np.result_type(*samples))
        for sets, part in parts:
            whole[sets] = part
        return whole

    def vjp(self, weights: Array, in_values: bool, in_x: bool, in_y: bool = False) -> list[Array]:
        """Derivatives of sum(weights * kernels()) in the values, in x and, if there is one, in y, or zeros."""
        slopes = [np.zeros(each.shape) for each in (self.values, self.x, self.y) if each is not None]
        for k, values in enumerate(self.values):
            kernel = self.family.kernel(*values.tolist())
            for call in self._calls(np.flatnonzero(self.which == k), common=not in_y):
                G = call.joined(weights)
                if in_values:
                    X, Y = call.distinct_rows
                    slopes[0][k] += self.family.vjp(kernel, X, G, Y)
                X, Y = call.rows
                if (in_x or in_y) and Y is None:
                    slopes[1][call.sets] = kernel.vjp(X, G, wrt="inputs").reshape(call.x.shape)
                elif in_x or in_y:
                    of_x, of_y = kernel.vjp(X, G, Y, wrt="inputs")
                    slopes[1][call.sets] = of_x.reshape(call.x.shape)
                    if in_y:
                        slopes[2][call.sets] = of_y.reshape(-1, *slopes[2].shape[1:])
        return slopes
