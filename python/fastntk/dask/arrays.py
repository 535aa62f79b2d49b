"""Kernels of Dask arrays: as Dask arrays, and as linear operators."""

from __future__ import annotations

from typing import Any, Literal

import dask.array as da
from numpy.typing import DTypeLike

from .._checks.arguments import one_of
from ..kernels.computation import Kernels
from ..kernels.operator import KernelOperator
from ..networks.sequential import Sequential
from .blocks import Blocks


def nngp(net: Sequential, X: Any, Y: Any = None, *, dtype: DTypeLike | None = None) -> da.Array:
    """NNGP kernel of Dask arrays, as a Dask array: `Sequential.nngp`.

    Parameters
    ----------
    net : Sequential
    X : dask.array.Array of shape (n, d), or (n, positions ..., channels)
        Its chunks of rows are those of the result; all of a sample is put in one chunk.
    Y : dask.array.Array of shape (m, d), or (m, positions ..., channels), optional
        Other samples; without them the result is symmetric, and half of its blocks are computed.
    dtype : {"float32", "float64"}, optional
        Precision of the computation and of the result, that of X by default.

    Returns
    -------
    dask.array.Array of shape (n, m)
        Lazy. The same bits as ``net.nngp(X, Y, univariate=False)``, whatever the chunks, but for activations that are
        expanded, those to their tolerance, and images and sequences, those to the last bits. NaN in X is found when the
        first block is computed.

    Raises
    ------
    TypeError, ValueError
        X that is not a Dask array of samples with chunks of known sizes; not the same number of features.

    Examples
    --------
    >>> import dask.array as da, fastntk, fastntk.dask, numpy as np
    >>> net, X = fastntk.mlp(depth=3), np.random.default_rng(0).normal(size=(100, 5))
    >>> K = fastntk.dask.nngp(net, da.from_array(X, chunks=(40, 5)))
    >>> K.chunks
    ((40, 40, 20), (40, 40, 20))
    >>> bool((K.compute() == net.nngp(X, univariate=False)).all())
    True
    """
    return Blocks(net, X, Y, "nngp", dtype).arrays()[0]


def ntk(net: Sequential, X: Any, Y: Any = None, *, dtype: DTypeLike | None = None) -> da.Array:
    """Neural tangent kernel of Dask arrays, as a Dask array: `nngp` for Theta.

    Examples
    --------
    >>> import dask.array as da, fastntk, fastntk.dask
    >>> fastntk.dask.ntk(fastntk.mlp(depth=3), da.ones((100, 5), chunks=50), da.ones((7, 5))).shape
    (100, 7)
    """
    return Blocks(net, X, Y, "ntk", dtype).arrays()[0]


def kernels(net: Sequential, X: Any, Y: Any = None, *, dtype: DTypeLike | None = None) -> Kernels:
    """Both kernels of Dask arrays; computed together they take one pass. Arguments are those of `nngp`.

    Examples
    --------
    >>> import dask, dask.array as da, fastntk, fastntk.dask
    >>> K, T = dask.compute(*fastntk.dask.kernels(fastntk.mlp(depth=3), da.ones((100, 5), chunks=50)))
    >>> bool((T >= K).all())
    True
    """
    return Kernels(*Blocks(net, X, Y, "both", dtype).arrays())


def operator(
    net: Sequential,
    X: Any,
    Y: Any = None,
    *,
    kind: Literal["nngp", "ntk"] = "ntk",
    ridge: float = 0.0,
    dtype: DTypeLike | None = None,
) -> KernelOperator:
    """Kernel of Dask arrays as a linear operator: `Sequential.operator`, with every product computed by Dask.

    Parameters
    ----------
    net, X, Y, dtype
        As for `nngp`. X is read in every product: ``X.persist()`` keeps it on the cluster.
    kind : {"nngp", "ntk"}, default "ntk"
    ridge : float >= 0, default 0.0
        Added to the diagonal; without Y only.

    Returns
    -------
    KernelOperator
        A `scipy.sparse.linalg.LinearOperator` on NumPy vectors; `fastntk.solvers.pcg` takes it, with preconditioner.

    Examples
    --------
    >>> import dask.array as da, fastntk, fastntk.dask, numpy as np
    >>> net, X = fastntk.mlp(depth=3), np.random.default_rng(0).normal(size=(100, 5))
    >>> A = fastntk.dask.operator(net, da.from_array(X, chunks=(40, 5)))
    >>> bool(np.allclose(A @ np.ones(100), net.ntk(X) @ np.ones(100)))
    True
    """
    one_of(kind, "kind", ("nngp", "ntk"))
    return KernelOperator(Blocks(net, X, Y, kind, dtype), ridge, False)
