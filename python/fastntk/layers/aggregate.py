"""Aggregate: every node of a graph takes what its neighbours have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from .._checks.arguments import one_of, true_or_false
from .base import VARIOUS, Layer, Signal
from .migration import check_aggregate, refuse

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, init=False)
class Aggregate(Layer):
    """Every node becomes the sum, or a mean, of itself and those with an edge to it: u(i) = Σ_j M(i, j) u(j).

    K = M K M'ᵀ and Theta = M Theta M'ᵀ, with M of each graph: M = (A + I)ᵀ, where A(j, i) is the weight of the edge
    from j to i.

    Parameters
    ----------
    normalize : {None, "mean", "sym"}
        What M(i, j) is divided by: nothing; d(i), the sum of row i of M; or the root of d(i) d(j), as in graph
        convolutional networks. A node without edges and loop, of d = 0, gets 0.
    self_loops : bool, default True
        Whether an edge of weight 1 from every node to itself is added, the I above. Without, what a node itself has
        goes on only by edges that are there.

    Raises
    ------
    ValueError
        On samples that are no `Graphs`; as kernels are computed, of negative weights that are to be normalised.

    Notes
    -----
    It has no weights: `Dense` before it, or behind, is the same. The cost of a pair of graphs is that of two sparse
    products, nodes of the one times edges of the other.

    References
    ----------
    Du, Hou, Póczos, Salakhutdinov, Wang, Xu, "Graph neural tangent kernel: fusing graph neural networks with graph
    kernels", NeurIPS 2019, arXiv:1905.13192: the sum, and the mean.
    Kipf and Welling, "Semi-supervised classification with graph convolutional networks", ICLR 2017: "sym".

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net = fastntk.Sequential(fastntk.Aggregate(), fastntk.GlobalSumPool())
    >>> path = fastntk.Graphs([np.ones((2, 1))], [[[0, 1], [1, 0]]])
    >>> fastntk.reference.nngp(net, path)  # two nodes of 1 + 1
    array([[16.]])
    """

    on_positions: ClassVar[bool] = True
    mixes: ClassVar[bool] = True

    normalize: Literal["mean", "sym"] | None
    self_loops: bool

    @refuse(check_aggregate)
    def __init__(self, normalize: Literal["mean", "sym"] | None = None, self_loops: bool = True) -> None:
        one_of(normalize, "normalize", (None, "mean", "sym"))
        object.__setattr__(self, "normalize", None if normalize is None else str(normalize))
        object.__setattr__(self, "self_loops", true_or_false(self_loops, "self_loops"))

    def __repr__(self) -> str:
        normalize = [] if self.normalize is None else [f"normalize={self.normalize!r}"]
        return f"Aggregate({', '.join(normalize + ([] if self.self_loops else ['self_loops=False']))})"

    def matrix(self, adjacency: csr_array) -> csr_array:
        """M of graphs whose edges these are."""
        from scipy.sparse import csr_array, diags_array

        made = csr_array(adjacency.T)
        if self.self_loops:
            made = csr_array(made + diags_array(np.ones(made.shape[0]), shape=made.shape, format="csr"))
        if self.normalize is None:
            return made
        if made.nnz and made.data.min() < 0:
            raise ValueError(f"{self} divides by sums of weights of edges, and some are negative; use normalize=None.")
        # A sum of weights is its largest times `share`, as neither it nor its inverse may be in range.
        row = np.repeat(np.arange(made.shape[0]), np.diff(made.indptr))
        largest, share = np.zeros((2, made.shape[0]))
        np.maximum.at(largest, row, made.data)
        np.add.at(share, row, made.data / np.where(largest > 0, largest, 1)[row])
        if self.normalize == "mean":
            made.data = np.divide(made.data, largest[row], out=np.zeros_like(made.data), where=largest[row] > 0)
            made.data /= np.where(share > 0, share, 1)[row]
        else:
            for end in (row, made.indices):
                root = np.sqrt(largest[end]), np.sqrt(share[end])
                there = largest[end] > 0
                for factor in root:
                    made.data = np.divide(made.data, factor, out=np.zeros_like(made.data), where=there)
        return made

    def emit(self, program: Any, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine, that mixes nodes."""
        program.mix(self.matrix(program.adjacency), program.starts)

    def follow(self, signal: Signal) -> Signal:
        """Gaussian if what comes in is; sums of units have other means."""
        if signal.positions not in (None, (VARIOUS,)):
            raise ValueError(
                "Aggregate is for the nodes of graphs, and what comes in are no graphs: "
                "fastntk.Graphs(features, adjacency)."
            )
        return signal.taken_together()
