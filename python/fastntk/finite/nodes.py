"""Nodes of samples, steps of a sequence, positions or nodes of a graph, as rows of an array one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .parameters import Array


class Nodes:
    """Which rows are those of which sample; each has as many as it likes.

    Attributes
    ----------
    starts : ndarray of shape (n + 1,)
        The first row of each sample, and the number of all.
    """

    def __init__(self, starts: NDArray[np.intp]) -> None:
        self.starts, self._lengths = starts, np.diff(starts)

    @classmethod
    def of_array(cls, h: Array) -> Nodes:
        """Positions of samples in an array, (n, *positions, channels)."""
        return cls(math.prod(h.shape[1:-1]) * np.arange(len(h) + 1))

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, samples: slice) -> Nodes:
        """Those of some samples, which are numbered from 0."""
        start, stop, _ = samples.indices(len(self))
        return Nodes(self.starts[start : stop + 1] - self.starts[start])

    def __iter__(self) -> Iterator[slice]:
        """Rows of each sample that has any."""
        return (slice(start, stop) for start, stop in pairwise(self.starts.tolist()) if start < stop)

    @property
    def total(self) -> int:
        """Number of rows."""
        return int(self.starts[-1])

    @property
    def longest(self) -> int:
        """The most that a sample has."""
        return int(self._lengths.max(initial=0))

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Of each row its number in its sample, from 0 on."""
        return np.arange(self.total) - np.repeat(self.starts[:-1], self._lengths)

    @property
    def at_steps(self) -> list[NDArray[np.intp]]:
        """Of each number, from 0 on, the rows that have it."""
        return [self.starts[:-1][self._lengths > number] + number for number in range(self.longest)]

    @property
    def backwards(self) -> csr_array:
        """The matrix that turns the rows of each sample around."""
        source = np.repeat(self.starts[1:] - 1, self._lengths) - self.numbers
        return csr_array((np.ones(self.total), source, np.arange(self.total + 1)), shape=2 * (self.total,))

    @property
    def sums(self) -> csr_array:
        """The matrix that adds up the rows of each sample, (n, rows)."""
        return self._reading(np.ones(self.total))

    @property
    def means(self) -> csr_array:
        """That of their mean; 0 of a sample without any."""
        return self._reading(np.repeat(1 / np.maximum(self._lengths, 1), self._lengths))

    @property
    def last(self) -> csr_array:
        """That of the last one; 0 of a sample without any."""
        return self._reading((self.numbers == np.repeat(self._lengths, self._lengths) - 1).astype(float))

    def _reading(self, weights: NDArray[np.float64]) -> csr_array:
        return csr_array((weights, np.arange(self.total), self.starts), shape=(len(self), self.total))


def rows(h: Array) -> Array:
    """All positions of all samples, (n, *positions, units), as rows (nodes, units); which may be what they are."""
    return h.reshape(math.prod(h.shape[:-1]), h.shape[-1])


def rows_of(g: Array) -> Array:
    """Cotangents, (n, c, *positions, units), likewise: (nodes, c, units)."""
    g = np.moveaxis(g, 1, -2)
    return g.reshape(math.prod(g.shape[:-2]), *g.shape[-2:])


def placed(g: Array, samples: tuple[int, ...]) -> Array:
    """The inverse of `rows_of`, for samples (n, *positions)."""
    return np.moveaxis(g.reshape(*samples, *g.shape[1:]), -2, 1)
