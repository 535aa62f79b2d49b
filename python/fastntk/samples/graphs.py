"""Graphs: samples of nodes, and edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arrays import real_array
from .._checks.shown import counted, cut, shown
from .ragged import Ragged, node_values

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: An array, or a matrix of scipy.sparse.
Matrix: TypeAlias = Any


class Graphs(Ragged):
    """Graphs of different sizes: molecules, proteins, networks of people.

    Parameters
    ----------
    features : list of array_like of shape (nodes, channels)
        Of the nodes of each graph. Graphs without labels have their degrees, or one channel of ones.
    adjacency : list of array_like or scipy.sparse matrix of shape (nodes, nodes)
        Of each graph: entry (i, j) is the weight of the edge from node i to node j, 0 where there is none. One that is
        not directed has it at (j, i) too, as the matrices of networkx do. Nodes need no edge to themselves,
        which `Aggregate` adds.

    Attributes
    ----------
    adjacency : scipy.sparse.csr_array of shape (total, total)
        Of all graphs, as blocks on the diagonal.

    Raises
    ------
    ValueError, TypeError
        No graphs, other numbers of channels, a matrix of another shape than its graph has nodes, entries that are not
        finite.

    Notes
    -----
    Nothing is padded. A graph may have nodes without edges, or no node at all.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> triangle, path = [[0, 1, 1], [1, 0, 1], [1, 1, 0]], [[0, 1], [1, 0]]
    >>> X = fastntk.Graphs([np.ones((3, 1)), np.ones((2, 1))], [triangle, path])
    >>> X
    <Graphs: 2 of 2 to 3 nodes, 1 channel, float64, 8 edges>
    >>> X[1:].adjacency.toarray()
    array([[0., 1.],
           [1., 0.]])
    """

    __slots__ = ("adjacency",)

    adjacency: csr_array

    node: ClassVar[str] = "node"
    readers: ClassVar[tuple[str, ...]] = ("gntk(2)", "gcn(2, readout='sum')")

    def __init__(self, features: Sequence[ArrayLike], adjacency: Sequence[Matrix]) -> None:
        arrays = node_values(features, "features", self.node, "Graphs([features], [adjacency])")
        lengths = [len(array) for array in arrays]
        self._set_values(np.concatenate(arrays), lengths)
        self._set(adjacency=_block_diagonal(adjacency, lengths))

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that it is: what two of them are compared by, and known by in files."""
        edges = self.adjacency
        return (*super().arrays, edges.indptr.astype(np.int64), edges.indices.astype(np.int64), edges.data)

    def _own(self, samples: NDArray[np.intp], nodes: NDArray[np.intp]) -> dict[str, Any]:
        rows = self.adjacency[nodes]
        lengths = self.lengths[samples]
        # A sample that is taken twice has columns of its own each time.
        shift = np.cumsum(lengths) - lengths - self.starts[samples]
        columns = rows.indices + np.repeat(np.repeat(shift, lengths), np.diff(rows.indptr))
        return {"adjacency": _sparse(rows.data, columns, rows.indptr, len(nodes))}

    def _own_of_both(self, other: Graphs) -> dict[str, Any]:
        first, second = self.adjacency, other.adjacency
        columns = np.concatenate((first.indices, second.indices + first.shape[0]))
        starts = np.concatenate((first.indptr, first.nnz + second.indptr[1:]))
        size = first.shape[0] + second.shape[0]
        return {"adjacency": _sparse(np.concatenate((first.data, second.data)), columns, starts, size)}

    def _set(self, **attributes: object) -> None:
        """Of matrices that cannot be changed: when they are unpickled, they can."""
        edges: Any = attributes.get("adjacency")
        if edges is not None and edges.data.flags.writeable:
            attributes["adjacency"] = _sparse(edges.data, edges.indices, edges.indptr, edges.shape[0])
        super()._set(**attributes)

    def _text(self) -> str:
        return f"{super()._text()}, {counted(self.adjacency.nnz, 'edge')}"


def _sparse(data: NDArray[Any], columns: NDArray[Any], starts: NDArray[Any], size: int) -> csr_array:
    """A square matrix of sorted rows, that cannot be changed."""
    from scipy.sparse import csr_array

    made = csr_array((data, columns, starts), shape=(size, size))
    made.has_canonical_format = True
    for array in (made.data, made.indices, made.indptr):
        array.flags.writeable = False
    return made


def _block_diagonal(adjacency: Any, lengths: list[int]) -> csr_array:
    """Matrices of all graphs, checked, as blocks of one."""
    from scipy.sparse import coo_array

    if isinstance(adjacency, (str, bytes)) or hasattr(adjacency, "tocoo") or not hasattr(adjacency, "__iter__"):
        raise TypeError(f"adjacency must be a list of matrices, one for each graph, got {shown(adjacency)}.")
    matrices = list(adjacency)
    if len(matrices) != len(lengths):
        raise ValueError(f"there are {len(lengths)} graphs in features and {len(matrices)} in adjacency.")
    rows, columns, weights = [], [], []
    start = 0
    for i, (matrix, length) in enumerate(zip(matrices, lengths, strict=True)):
        name = f"adjacency[{i}]"
        if hasattr(matrix, "nodes") and hasattr(matrix, "edges"):
            raise TypeError(
                f"{name} is no matrix, but {shown(matrix)}: of networkx it is networkx.to_scipy_sparse_array(g), and "
                "numpy.zeros((0, 0)) of no node."
            )
        given = matrix if hasattr(matrix, "tocoo") else real_array(matrix, name, finite=False).astype(float)
        if given.shape != (length, length):
            hint = ""
            if len(given.shape) == 2 and 2 in given.shape:
                hint = " Edges from i to j are scipy.sparse.coo_array((numpy.ones(len(i)), (i, j)), shape=...)."
            raise ValueError(
                f"{name} has shape {given.shape}, and features[{i}] has {length} nodes: it must be of shape "
                f"{(length, length)}.{hint}"
            )
        edges = coo_array(given)
        if edges.dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {cut(edges.dtype)}.")
        with np.errstate(over="ignore"):
            edges = edges.astype(np.float64)
            edges.sum_duplicates()
        if not np.isfinite(edges.data).all():
            at = int(np.flatnonzero(~np.isfinite(edges.data))[0])
            place = f"({edges.row[at]}, {edges.col[at]})"
            raise ValueError(f"{name} contains {edges.data[at]} (first at {place}); every entry must be finite.")
        rows.append(edges.row + start)
        columns.append(edges.col + start)
        weights.append(edges.data)
        start += length
    places = np.concatenate(rows), np.concatenate(columns)
    all_of_them = coo_array((np.concatenate(weights), places), shape=(start, start)).tocsr()
    all_of_them.eliminate_zeros()
    all_of_them.sort_indices()
    return _sparse(all_of_them.data, all_of_them.indices, all_of_them.indptr, start)
