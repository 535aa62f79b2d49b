"""Random samples of rows that come in chunks, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..samples import Ragged
from ..samples.ragged import joined

Array = NDArray[np.float64]
Rows = NDArray[Any] | Ragged


class Sample:
    """Rows that come in chunks, drawn without replacement, in random order: uniformly, or in proportion to a rate.

    Those with the smallest keys, which are exponential of that rate. Of a row outside, the chance to have been among
    the first `count` is that its key would have been below the one that follows them.
    """

    def __init__(self, most: int, rng: np.random.Generator, *, weighted: bool) -> None:
        self._most, self._rng, self._weighted = most, rng, weighted
        self._keys, self._both = np.empty(0), np.empty((2, 0))
        self._rows: Rows = np.empty(0, np.intp)

    def add(self, rows: Rows, rates: Array, weights: Array) -> None:
        """Give all rows of a chunk their chance; weights are kept with them."""
        keys, both = self._rng.exponential(size=len(rows)), np.stack((rates, weights))
        if self._weighted:
            with np.errstate(divide="ignore"):
                keys /= rates  # a row of rate 0 comes last
        if len(self._keys):
            keys = np.concatenate((self._keys, keys))
            rows, both = joined(self._rows, rows), np.concatenate((self._both, both), axis=1)
        smallest = np.argsort(keys, kind="stable")[: self._most + 1]
        self._keys, self._rows, self._both = keys[smallest], rows[smallest], both[:, smallest]

    def first(self, count: int) -> tuple[Rows, Array, Callable[[Array], Array]]:
        """So many rows, their rates and weights, and the chance of a row of given rate to be one of them."""
        count = min(count, self._most)
        last = self._keys[count] if len(self._keys) > count else np.inf

        def chance(rates: Array) -> Array:
            counted = rates if self._weighted else np.ones_like(rates)
            return np.asarray(-np.expm1(-counted * last)) if np.isfinite(last) else np.ones_like(rates)

        return self._rows[:count], self._both[:, :count], chance


class Samples(NamedTuple):
    """Of the same rows: a uniform sample, and one by the diagonal of the kernel, where rows of large norm matter."""

    uniform: Sample
    weighted: Sample

    def add(self, rows: Rows, diagonal: Array, weights: Array) -> None:
        """Give all rows of a chunk that have a weight their chances."""
        there = np.flatnonzero(weights)
        if len(there) < len(weights):
            rows, diagonal, weights = rows[there], diagonal[there], weights[there]
        if len(there):
            for sample in self:
                sample.add(rows, diagonal * weights, weights)

    def mixed(self, count: int) -> tuple[Rows, Array]:
        """So many rows, half of each, and what each stands for: its weight over how often it is expected to be here."""
        parts = [sample.first(count // 2) for sample in self]
        rates, weights = np.concatenate([both for _, both, _ in parts], axis=1)
        return joined(*(rows for rows, _, _ in parts)), weights / np.sum([chance(rates) for *_, chance in parts], 0)
