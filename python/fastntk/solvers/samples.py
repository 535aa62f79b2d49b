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
    """Rows that come in chunks, drawn without replacement, in random order: uniformly, or in proportion to a weight.

    Those with the smallest keys, which are exponential of that rate. Of a row outside, the chance to have been among
    the first `count` is that its key would have been below the one that follows them.
    """

    def __init__(self, most: int, rng: np.random.Generator, *, weighted: bool) -> None:
        self._most, self._rng, self._weighted = most, rng, weighted
        self._keys = self._weights = np.empty(0)
        self._rows: Rows = np.empty(0)

    def add(self, rows: Rows, weights: Array) -> None:
        """Give all rows of a chunk their chance."""
        keys = self._rng.exponential(size=len(rows))
        if self._weighted:
            with np.errstate(divide="ignore"):
                keys /= weights  # a row of weight 0 comes last
        if len(self._keys):
            keys = np.concatenate((self._keys, keys))
            rows, weights = joined(self._rows, rows), np.concatenate((self._weights, weights))
        smallest = np.argsort(keys, kind="stable")[: self._most + 1]
        self._keys, self._rows, self._weights = keys[smallest], rows[smallest], weights[smallest]

    def first(self, count: int) -> tuple[Rows, Array, Callable[[Array], Array]]:
        """So many rows, their weights, and the chance of a row of given weight to be one of them."""
        count = min(count, self._most)
        last = self._keys[count] if len(self._keys) > count else np.inf

        def chance(weights: Array) -> Array:
            rates = weights if self._weighted else np.ones_like(weights)
            return np.asarray(-np.expm1(-rates * last)) if np.isfinite(last) else np.ones_like(weights)

        return self._rows[:count], self._weights[:count], chance


class Samples(NamedTuple):
    """Of the same rows: a uniform sample, and one by the diagonal of the kernel, where rows of large norm matter."""

    uniform: Sample
    weighted: Sample

    def add(self, rows: Rows, weights: Array) -> None:
        """Give all rows of a chunk their chances."""
        for sample in self:
            sample.add(rows, weights)

    def mixed(self, count: int) -> tuple[Rows, Array]:
        """So many rows, half of each, and what each stands for: one over how often it is expected to be here."""
        parts = [sample.first(count // 2) for sample in self]
        weights = np.concatenate([weights for _, weights, _ in parts])
        return joined(*(rows for rows, _, _ in parts)), 1 / np.sum([chance(weights) for *_, chance in parts], 0)
