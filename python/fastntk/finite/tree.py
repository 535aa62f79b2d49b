"""Layers as nodes of a tree, each with its number: by that its parameters and masks are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from ..layers.base import Layer, Layers
from ..layers.dense import Dense


@dataclass(frozen=True)
class Node:
    """A layer in its place."""

    layer: Layer

    #: Among those of its class, in the order of `layers.base.walk`.
    number: int

    #: Whether there are Dense layers before it.
    behind_dense: bool

    branches: tuple[Chain, ...]

    def dense(self) -> Iterator[Node]:
        """Itself, if that is Dense, or those inside of it."""
        if isinstance(self.layer, Dense):
            yield self
        for branch in self.branches:
            for node in branch:
                yield from node.dense()


#: Nodes one after the other.
Chain: TypeAlias = "tuple[Node, ...]"

_Counters: TypeAlias = "defaultdict[type[Layer], Iterator[int]]"


def chain_of(layers: Layers) -> Chain:
    """Layers of a network as nodes."""
    return _chain(layers, defaultdict(count), behind_dense=False)


def _chain(layers: Layers, numbers: _Counters, *, behind_dense: bool) -> Chain:
    chain = []
    for layer in layers:
        branches = tuple([_chain(branch, numbers, behind_dense=behind_dense) for branch in layer.branches])
        chain.append(Node(layer, next(numbers[type(layer)]), behind_dense, branches))
        behind_dense = behind_dense or any(chain[-1].dense())
    return tuple(chain)


def ending_with(chain: Chain, number: int) -> Chain:
    """Nodes from the input to the Dense layer of a number; none if it is not here."""
    for i, node in enumerate(chain):
        if isinstance(node.layer, Dense) and node.number == number:
            return chain[: i + 1]
        inner = next(filter(None, (ending_with(branch, number) for branch in node.branches)), ())
        if inner:
            return chain[:i] + inner
    return ()
