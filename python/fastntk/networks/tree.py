"""Networks as trees: a line of text for each layer, branches drawn below the layer that has them."""

from __future__ import annotations

from collections.abc import Iterator

from .._checks.shown import counted
from ..layers.base import Layers
from .repeats import repeats


def tree(layers: Layers, place: str = "", first: int = 0) -> Iterator[tuple[str, str]]:
    """Place and text of each, from number `first` on; blocks that repeat once, with the first two places and the last.

    Places are those of `Sequential.parameters`: "2.0.1" is layer 1 of branch 0 of layer 2.
    """
    for block, count in repeats(layers):
        for i, layer in enumerate(block, first):
            places = [f"{place}{i + k * len(block)}" for k in (0, 1, count - 1)]
            yield places[0] if count == 1 else f"{places[0]}, {places[1]}, …, {places[2]}", layer.head
            inside = f"{places[0]}." if count == 1 else "…."
            for b, branch in enumerate(layer.branches):
                mark, below = ("└─ ", "   ") if b == len(layer.branches) - 1 else ("├─ ", "│  ")
                for number, text in tree(branch, f"{inside}{b}."):
                    yield number, mark + text
                    mark = below
        first += len(block) * count


def layer_count(layers: Layers) -> str:
    """How many there are, in words."""
    return counted(len(layers), "layer")
