"""Sequences and graphs as the arrays of a .npz file, which models have too: all nodes, one sample after the other.

Sequences are `values` of shape (steps, channels) and `lengths`, how many steps each has; or padded `values` of shape
(n, longest, channels). Graphs are `features` of shape (nodes, channels), `nodes`, how many each has, `edges` of shape
(2, m), the numbers among all nodes that each edge is from and to, and perhaps `weights` of shape (m,).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks.arrays import input_array, real_array
from ..samples import Graphs, Ragged, Sequences

Arrays = Mapping[str, NDArray[Any]]

_OF_GRAPHS = ("features", "nodes", "edges")

#: By an array that no other file has, those that have to be there.
_NAMES = {"lengths": ("values", "lengths"), "nodes": _OF_GRAPHS, "edges": _OF_GRAPHS}

#: All of them.
NAMES = ("values", "lengths", "features", "nodes", "edges", "weights")


def is_ragged(names: Iterable[str]) -> bool:
    """Whether arrays of these names are sequences or graphs: a table alone may have any name."""
    known = set(names)
    return len(known) > 1 and not _NAMES.keys().isdisjoint(known)


def arrays_of(samples: Ragged) -> dict[str, NDArray[Any]]:
    """What `samples_of` reads."""
    if not isinstance(samples, Graphs):
        return {"values": samples.values, "lengths": samples.lengths}
    edges = samples.adjacency.tocoo()
    ends = np.stack((edges.row, edges.col)).astype(np.intp)
    return {"features": samples.values, "nodes": samples.lengths, "edges": ends, "weights": edges.data}


def samples_of(arrays: Arrays) -> Ragged:
    """Sequences or graphs, checked.

    Raises
    ------
    ValueError, TypeError
        If arrays are missing, do not fit each other, or are no samples.
    """
    needed = next(names for key, names in _NAMES.items() if key in arrays)
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ValueError(f"it has {', '.join(arrays)} and no {missing[0]}: {', '.join(needed)} are needed")
    further = [name for name in arrays if name not in (*needed, *(["weights"] if "edges" in arrays else []))]
    if further:
        raise ValueError(f"it has {further[0]} beside {', '.join(needed)}, and nobody knows what that is")
    if "edges" in arrays:
        return _graphs(arrays)
    values, lengths = input_array(arrays["values"], "values", most_axes=3), arrays["lengths"]
    return Sequences(values, lengths) if values.ndim == 3 else Sequences(_parts(values, lengths, "values", "lengths"))


def _graphs(arrays: Arrays) -> Graphs:
    from scipy.sparse import coo_array

    features = input_array(arrays["features"], "features")
    parts = _parts(features, arrays["nodes"], "features", "nodes")
    edges = _integers(arrays["edges"], "edges")
    if edges.ndim != 2 or len(edges) != 2:
        raise ValueError(f"edges must have shape (2, m), got {edges.shape}")
    m, total = edges.shape[1], len(features)
    weights = real_array(arrays.get("weights", np.ones(m)), "weights")
    if weights.shape != (m,):
        raise ValueError(f"weights must have shape ({m},), one for each of the edges, got {weights.shape}")
    if m and not (edges.min() >= 0 and edges.max() < total):
        raise ValueError(f"edges must be between nodes 0 and {total - 1}, got {edges.min()} to {edges.max()}")
    ends = np.cumsum([len(part) for part in parts])
    graph = np.searchsorted(ends, edges, side="right")
    if (between := np.flatnonzero(graph[0] != graph[1])).size:
        one, other = edges[:, between[0]]
        raise ValueError(f"edge {between[0]}, from node {one} to {other}, is between two graphs")
    whole = coo_array((weights, (edges[0], edges[1])), shape=(total, total)).tocsr()
    own = [slice(end - len(part), end) for part, end in zip(parts, ends, strict=True)]
    return Graphs(parts, [whole[nodes, nodes] for nodes in own])


def _parts(values: NDArray[Any], counts: NDArray[Any], name: str, counted: str) -> list[NDArray[Any]]:
    """Nodes of each sample."""
    numbers = _integers(counts, counted)
    if numbers.ndim != 1 or (len(numbers) and numbers.min() < 0) or numbers.sum() != len(values):
        raise ValueError(
            f"{counted} must be integers >= 0 whose sum is {len(values)}, the rows of {name}; it is {numbers.sum()}"
        )
    return np.split(values, np.cumsum(numbers)[:-1]) if len(numbers) else []


def _integers(array: NDArray[Any], name: str) -> NDArray[np.intp]:
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    return array.astype(np.intp)
