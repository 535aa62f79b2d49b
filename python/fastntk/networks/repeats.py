"""Blocks of layers that repeat, so that a deep network is shown in a few lines."""

from __future__ import annotations

from ..layers.base import Layer

#: Networks of no more layers are shown layer by layer.
_MANY = 24
_LONGEST_BLOCK = 12
_FEWEST_REPEATS = 3

Layers = tuple[Layer, ...]


def repeats(layers: Layers) -> list[tuple[Layers, int]]:
    """Blocks, and how often each stands there in a row: mostly one layer once."""
    if len(layers) <= _MANY:
        return [((layer,), 1) for layer in layers]
    found: list[tuple[Layers, int]] = []
    first = 0
    while first < len(layers):
        counts = ((length, _count(layers, first, length)) for length in range(1, _LONGEST_BLOCK + 1))
        length, count = next((block for block in counts if block[1] >= _FEWEST_REPEATS), (1, 1))
        found.append((layers[first : first + length], count))
        first += length * count
    return found


def _count(layers: Layers, first: int, length: int) -> int:
    """How often the block of that length, from the first layer on, stands there in a row."""
    last = first + length
    while last < len(layers) and layers[last] == layers[last - length]:
        last += 1
    return (last - first) // length
