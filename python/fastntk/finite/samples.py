"""Samples, and what is theirs: the units that Dropout leaves out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Samples:
    """Samples with their masks, which are a function of a seed, the layer and the row.

    So a row has one mask in a layer, forward and back and whichever rows are computed with it, and none is stored.

    Attributes
    ----------
    x : ndarray of shape (n, d) or (n, *positions, channels)
    seed : int
    first : int
        Number of the first row.
    """

    x: NDArray[np.float64]
    seed: int
    first: int = 0

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice) -> Samples:
        return Samples(self.x[rows], self.seed, self.first + (rows.start or 0))

    def uniform(self, layer: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers from 0 to 1, of this shape for each sample, for a layer of that number."""
        stream = np.random.PCG64(np.random.SeedSequence((self.seed, layer))).advance(self.first * math.prod(shape))
        return np.random.Generator(stream).random((len(self), *shape))
