"""Samples, and what is theirs: the units that Dropout leaves out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from ..kernels.inputs import Input
from ..layers.base import VARIOUS, Layers
from ..samples import Ragged
from .nodes import Nodes

#: What users give, and what it has been read as.
Given: TypeAlias = "ArrayLike | Ragged | Samples"


@dataclass(frozen=True)
class Samples:
    """Samples with their masks, which are a function of a seed, the layer and the row.

    So a row has one mask in a layer, forward and back and whichever rows are computed with it, and none is stored.

    Attributes
    ----------
    x : ndarray of shape (n, d), (n, *positions, channels) or (nodes, channels)
    seed : int
    given : array_like
        As users have them.
    nodes : Nodes, optional
        Where each has as many as it likes.
    adjacency : csr_array of shape (nodes, nodes), optional
        Of graphs.
    first : int
        Number of the first sample.
    first_node : int
        Number of the first node.
    """

    x: NDArray[np.float64]
    seed: int
    given: Any
    nodes: Nodes | None = None
    adjacency: csr_array | None = None
    first: int = 0
    first_node: int = 0

    def __len__(self) -> int:
        return len(self.x if self.nodes is None else self.nodes)

    def __getitem__(self, samples: slice) -> Samples:
        start, stop, _ = samples.indices(len(self))
        first = self.first + start
        if self.nodes is None:
            return replace(self, x=self.x[start:stop], given=self.given[start:stop], first=first)
        here = slice(*self.nodes.starts[[start, stop]].tolist())
        return Samples(
            self.x[here],
            self.seed,
            self.given[start:stop],
            self.nodes[start:stop],
            None if self.adjacency is None else self.adjacency[here, here],
            first,
            self.first_node + here.start,
        )

    @property
    def longest(self) -> int:
        """The most positions that a sample has."""
        return math.prod(self.x.shape[1:-1]) if self.nodes is None else self.nodes.longest

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each."""
        return self.x.shape[1:] if self.nodes is None else (VARIOUS, self.x.shape[1])

    def uniform(self, layer: int, shape: tuple[int, ...], *, at_nodes: bool) -> NDArray[np.float64]:
        """Numbers from 0 to 1, of this shape for each sample or node, for a layer of that number."""
        nodes = self.nodes if at_nodes else None
        rows, first = (len(self), self.first) if nodes is None else (nodes.total, self.first_node)
        stream = np.random.PCG64(np.random.SeedSequence((self.seed, layer))).advance(first * math.prod(shape))
        return np.random.Generator(stream).random((rows, *shape))


def read(X: ArrayLike | Ragged, name: str, layers: Layers, seed: int) -> Samples:
    """Samples of a network, checked."""
    data = Input(X, name, layers=layers)
    if data.by_nodes:
        raise ValueError(
            "the outputs of a finite network are of whole samples, and this one ends with their nodes: append "
            "fastntk.GlobalSumPool() or fastntk.GlobalAvgPool()."
        )
    x = data.x.astype(np.float64, copy=False)
    if isinstance(data.given, Ragged):
        return Samples(x, seed, data.given, Nodes(data.starts), data.adjacency)
    return Samples(x.reshape(data.given.shape), seed, data.given)
