"""Layers as nodes of a tree, each with its number: by that its parameters and masks are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from ..layers.base import Layer, Layers
from ..layers.weighted import Weighted


@dataclass(frozen=True)
class Node:
    """A layer in its place."""

    layer: Layer

    #: Among those of its class, or those with weights, in the order of `layers.base.walk`.
    number: int

    #: Whether there are layers with weights before it.
    behind_weights: bool

    branches: tuple[Chain, ...]

    def weighted(self) -> Iterator[Node]:
        """Itself, if it has weights, or those inside of it that have."""
        if isinstance(self.layer, Weighted):
            yield self
        for branch in self.branches:
            for node in branch:
                yield from node.weighted()


#: Nodes one after the other.
Chain: TypeAlias = "tuple[Node, ...]"

_Counters: TypeAlias = "defaultdict[type[Layer], Iterator[int]]"


def chain_of(layers: Layers) -> Chain:
    """Layers of a network as nodes."""
    return _chain(layers, defaultdict(count), behind_weights=False)


def _chain(layers: Layers, numbers: _Counters, *, behind_weights: bool) -> Chain:
    chain = []
    for layer in layers:
        branches = tuple([_chain(branch, numbers, behind_weights=behind_weights) for branch in layer.branches])
        chain.append(
            Node(
                layer, next(numbers[Weighted if isinstance(layer, Weighted) else type(layer)]), behind_weights, branches
            )
        )
        behind_weights = behind_weights or any(chain[-1].weighted())
    return tuple(chain)


def ending_with(chain: Chain, number: int) -> Chain:
    """Nodes from the input to the layer with weights of a number; none if it is not here."""
    for i, node in enumerate(chain):
        if isinstance(node.layer, Weighted) and node.number == number:
            return chain[: i + 1]
        inner = next(filter(None, (ending_with(branch, number) for branch in node.branches)), ())
        if inner:
            return chain[:i] + inner
    return ()
