"""Sequences and graphs of every kind that is hard, and every layer that mixes their nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastntk import Aggregate, Graphs, SelfAttention, Sequences

HOW: tuple[dict[str, Any], ...] = ({}, {"position_in_values": True, "position_decay": 0.3})
POSITIONS: tuple[Any, ...] = ("sum", "concat")
MECHANISMS: tuple[Any, ...] = ("softmax", "identity", "relu", "abs")


def sequences(rng: np.random.Generator) -> Sequences:
    """Four, the second of one step."""
    return Sequences([rng.standard_normal((length, 3)) for length in (4, 1, 3, 2)])


def graphs(rng: np.random.Generator, *, directed: bool = True) -> Graphs:
    """Five, the second of one node, the third of none; some nodes are isolated."""
    sizes = (4, 1, 0, 3, 2)
    edges = [np.triu(rng.random((size, size)) < 0.5, 1) * rng.random((size, size)).round(2) for size in sizes]
    edges[-1][:] = 0
    nodes = [rng.standard_normal((size, 3)) for size in sizes]
    return Graphs(nodes, edges if directed else [one + one.T for one in edges])


def close(found: Any, expected: Any, error: float = 1e-13) -> None:
    """Whether kernels agree, relative to their diagonals."""
    expected = np.asarray(expected)
    diagonal = np.sqrt(np.einsum("...ii->...i", expected))
    scale = diagonal[..., :, None] * diagonal[..., None, :]
    assert (np.abs(np.asarray(found) - expected) <= error * scale).all()
    assert expected.any()


ATTENTION = [
    *(SelfAttention(1.3, 0.8, 0.9, 1.2, 0.3, mechanism) for mechanism in MECHANISMS),
    *(
        SelfAttention(1.3, 0.8, 0.9, 1.2, 0.3, mechanism, position=position, position_sigma=0.6, **how)
        for mechanism in MECHANISMS
        for position in POSITIONS
        for how in HOW
    ),
    SelfAttention(1.3, 0.8, 0.9, 1.2, 0.3, position="concat", position_share=0.2, position_in_values=True),
    SelfAttention(1.3, 0.8, 0.9, 1.2, 0.3, "identity", "sqrt"),
    SelfAttention(1.3, 0.8, 0.9, 1.2, 0.3, "identity", "sqrt", position="sum", position_decay=0.3),
    SelfAttention(1.3, 0.8, 0.9, 1.2, 0.0, "identity", "sqrt", position="concat", position_in_values=True),
]

NORMALIZE: tuple[Any, ...] = (None, "mean", "sym")
AGGREGATION = [Aggregate(normalize, loops) for normalize in NORMALIZE for loops in (True, False)]
