"""Positions as the nodes of samples: windows as matrices and tables, for networks with layers that mix nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .window import Axis

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float = NDArray[np.float64]
Numbers = NDArray[np.intp]


@runtime_checkable
class Mixing(Protocol):
    """A program of the engine whose samples have nodes, all of one sample after the other's."""

    #: Where the nodes of each sample begin, and the last ones end.
    starts: Numbers

    #: Positions of each sample along its axes.
    grids: list[tuple[int, ...]]

    #: Of graphs the weights of edges, block by block.
    adjacency: csr_array | None

    def own_kernels(self) -> Float:
        """K of each sample with itself, at all pairs of its nodes, one after the other."""

    def mix(self, matrix: csr_array, starts: Numbers, grids: list[tuple[int, ...]] | None = None) -> None:
        """K <- A K A'^T, Theta likewise, to the nodes that begin there."""

    def window(self, sources: Numbers, starts: Numbers, grids: list[tuple[int, ...]]) -> None:
        """K <- mean over taps of K at their sources; [tap][node behind], -1 outside."""


def sources_of(axes: Sequence[Axis]) -> Numbers:
    """Of windows along all axes the sources of every output position, of shape (outputs, taps); -1 outside."""
    sources = np.zeros((1, 1), np.intp)
    for axis in axes:
        outer, inner = sources[:, None, :, None], axis.sources[None, :, None, :]
        inside = np.where((outer < 0) | (inner < 0), -1, outer * axis.inputs + inner)
        sources = inside.reshape(len(sources) * axis.outputs, -1)
    return sources


def windows(program: Mixing, axes_of: Callable[[tuple[int, ...]], Sequence[Axis]]) -> tuple[Numbers, Numbers]:
    """Sources of the windows of all samples, [tap][node behind], and where the nodes behind begin."""
    made = {grid: sources_of(axes_of(grid)) for grid in dict.fromkeys(program.grids)}
    counts = [len(made[grid]) for grid in program.grids]
    taps = max((sources.shape[1] for sources in made.values()), default=1)
    found = np.full((taps, sum(counts)), -1, np.intp)
    starts = _starts(counts)
    for grid, start, to, end in zip(program.grids, program.starts, starts, starts[1:], strict=False):
        sources = made[grid].T
        found[: len(sources), to:end] = np.where(sources >= 0, sources + start, -1)
    return found, starts


def matrices(
    program: Mixing, matrix_of: Callable[[tuple[int, ...]], tuple[Numbers, Float]]
) -> tuple[csr_array, Numbers]:
    """A matrix of blocks, one a sample: each from sources and weights, of shape (outputs, taps) both; -1 is outside."""
    from scipy.sparse import csr_array

    made = {grid: _terms(*matrix_of(grid)) for grid in dict.fromkeys(program.grids)}
    each = [made[grid] for grid in program.grids]
    starts = _starts([len(terms.counts) for terms in each])
    columns = [terms.sources + start for terms, start in zip(each, program.starts, strict=False)]
    none = np.empty(0, np.intp)
    rows = _starts(np.concatenate((none, *(terms.counts for terms in each))))
    weights = np.concatenate((np.empty(0), *(terms.weights for terms in each)))
    shape = int(starts[-1]), int(program.starts[-1])
    matrix = csr_array((weights, np.concatenate((none, *columns)), rows), shape=shape)
    matrix.sum_duplicates()
    return matrix, starts


class _Terms(NamedTuple):
    counts: Numbers  # of each output
    sources: Numbers  # of all, output by output
    weights: Float


def _terms(sources: Numbers, weights: Float) -> _Terms:
    inside = sources >= 0
    return _Terms(inside.sum(axis=1), sources[inside], weights[inside])


def _starts(counts: list[int] | Numbers) -> Numbers:
    return np.concatenate((np.zeros(1, np.intp), np.cumsum(counts, dtype=np.intp)))
