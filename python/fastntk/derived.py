"""What a network gives beside its kernels: their diagonals, products, derivatives along a matrix, fluctuations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from . import blocks, gradients, kernels
from ._validation import one_of
from .stack import Stack

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from .gradients import Gradient
    from .kernels import Progress
    from .matrix_free import KernelOperator


class Derived(Stack):
    """A network, but for the kernels themselves."""

    __slots__ = ()

    def nngp_vjp(
        self,
        X: ArrayLike,
        G: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Gradient = True,
        progress: Progress = False,
    ) -> NDArray[np.float64]:
        """Derivative of sum(G * nngp(X, Y)) in the hyper-parameters, without storing those of the kernel.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Samples, as for `nngp`.
        G : array_like of shape (n, m)
            Weights: the derivative of some number in the entries of the kernel.
        Y : array_like of shape (m, d), optional
            Other samples; without them X.
        gradient : {True, "shared"}, default True
            In which hyper-parameters, as for `nngp`.
        progress : bool or callable, default False
            As for `nngp`.

        Returns
        -------
        ndarray of float64 of shape (p,)
            sum over i, j of G[i, j] dK[i, j] / d parameter.

        Errors are those of `nngp`. Cost: some 3 to 6 times the kernel's, and a few MiB.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> net, X = fastntk.mlp(depth=1, sigma_w=1.5, sigma_b=0.1), np.eye(3)
        >>> K, dK = net.nngp(X, gradient="shared")
        >>> bool(np.allclose(net.nngp_vjp(X, K, gradient="shared"), (K * dK).sum(axis=(1, 2))))
        True
        """
        return gradients.contract(self.layers, X, G, Y, "nngp", gradient, progress=progress)

    def ntk_vjp(
        self,
        X: ArrayLike,
        G: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        gradient: Gradient = True,
        progress: Progress = False,
    ) -> NDArray[np.float64]:
        """Derivative of sum(G * ntk(X, Y)) in the hyper-parameters: `nngp_vjp` for Theta.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> fastntk.mlp(depth=1).ntk_vjp(np.eye(3), np.eye(3)).shape  # sigma_w, sigma_b of two layers
        (4,)
        """
        return gradients.contract(self.layers, X, G, Y, "ntk", gradient, progress=progress)

    def operator(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        kind: Literal["nngp", "ntk"] = "ntk",
        ridge: float = 0.0,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
    ) -> KernelOperator:
        """Kernel as a linear operator, for products with vectors: the matrix is never stored.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Samples, as for `nngp`.
        Y : array_like of shape (m, d), optional
            Other samples; without them X.
        kind : {"nngp", "ntk"}, default "ntk"
        ridge : float >= 0, default 0.0
            Added to the diagonal; without Y only.
        dtype : {"float32", "float64"}, optional
            Precision of the kernel's entries, that of X by default. Products are summed up in float64.
        progress : bool or callable, default False
            As for `nngp`, of every product.

        Returns
        -------
        KernelOperator
            A `scipy.sparse.linalg.LinearOperator` of shape (n, m), with `diagonal`.

        Errors are those of `nngp`. Cost of a product with k vectors: that of the kernel, and 2 n m k additions; 32 MiB
        or 100 kB a vector.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> net, X = fastntk.mlp(depth=3), np.eye(4)
        >>> A = net.operator(X, ridge=0.1)
        >>> bool(np.allclose(A @ np.ones(4), net.ntk(X) @ np.ones(4) + 0.1))
        True
        """
        from .matrix_free import KernelOperator

        one_of(kind, "kind", ("nngp", "ntk"))
        return KernelOperator(blocks.KernelMatrix(self.layers, X, Y, kind, dtype), ridge, progress)

    def nngp_diag(self, X: ArrayLike, *, dtype: DTypeLike | None = None) -> NDArray[np.floating[Any]]:
        """Diagonal of `nngp`, of shape (n,), in O(n d).

        Examples
        --------
        >>> import fastntk
        >>> fastntk.mlp(depth=1, sigma_w=2**0.5).nngp_diag([[1.0, 0.0], [0.0, 2.0]]).round(12)
        array([1., 4.])
        """
        return kernels.diagonal(self.layers, X, "nngp", dtype=dtype)

    def ntk_diag(self, X: ArrayLike, *, dtype: DTypeLike | None = None) -> NDArray[np.floating[Any]]:
        """Diagonal of `ntk`, of shape (n,), in O(n d).

        Examples
        --------
        >>> import fastntk
        >>> fastntk.mlp(depth=1, sigma_w=2**0.5).ntk_diag([[1.0, 0.0], [0.0, 2.0]]).round(12)
        array([2., 8.])
        """
        return kernels.diagonal(self.layers, X, "ntk", dtype=dtype)

    def nngp_fluctuation(
        self, X: ArrayLike, width: int | Sequence[int], Y: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Predicted standard deviation of every entry of K over networks of finite width.

        `fastntk.finite.nngp_fluctuation`, where everything about it is said.

        Examples
        --------
        >>> import fastntk
        >>> net = fastntk.mlp(1, "relu", sigma_w=2**0.5)
        >>> print(net.nngp_fluctuation([[1.0, 1.0]], width=500).round(6))
        [[0.2]]
        """
        from .finite import nngp_fluctuation

        return nngp_fluctuation(self, X, width, Y)  # type: ignore[arg-type]
