"""Layers as nodes of a tree, each with its number: by that its parameters and masks are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from ..layers.base import Layer, Layers, Signal, follow_all
from ..layers.branching import Branching
from ..layers.weighted import Weighted
from .inside import inside


@dataclass(frozen=True)
class Node:
    """A layer in its place."""

    layer: Layer

    #: Among those of its class, or those with weights, in the order of `layers.base.walk`.
    number: int

    #: Whether there are layers with weights before it.
    behind_weights: bool

    #: Whether samples that came with positions have them still, as it gets them.
    at_positions: bool

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
    return _chain(layers, Signal(), defaultdict(count), behind_weights=False)


def _chain(layers: Layers, signal: Signal, numbers: _Counters, *, behind_weights: bool) -> Chain:
    chain = []
    for layer in layers:
        given = signal._replace(since_fork="same")
        branches = tuple([_chain(branch, given, numbers, behind_weights=behind_weights) for branch in inside(layer)])
        number = next(numbers[Weighted if isinstance(layer, Weighted) else type(layer)])
        chain.append(Node(layer, number, behind_weights, signal.positions != (), branches))
        behind_weights = behind_weights or any(chain[-1].weighted())
        signal = layer.follow(signal)
    return tuple(chain)


def ends_at_positions(chain: Chain) -> bool:
    """Whether samples that come with positions have them still behind these."""
    return follow_all([node.layer for node in chain], Signal()).positions != ()


def ending_with(chain: Chain, number: int) -> Chain:
    """Nodes from the input to the layer with weights of a number, or to that which it is a part of; none without it."""
    for i, node in enumerate(chain):
        if number in [inner.number for inner in node.weighted()]:
            branches = node.branches if isinstance(node.layer, Branching) else ()
            inner = next(filter(None, (ending_with(branch, number) for branch in branches)), (node,))
            return chain[:i] + inner
    return ()
