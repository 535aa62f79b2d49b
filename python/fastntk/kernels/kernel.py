"""The kernel of a network that users hold: `net.nngp` and `net.ntk` are two of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._checks.arguments import one_of
from .._checks.arrays import input_array
from .._checks.progress import Progress
from .._checks.shown import cut
from ..layers.base import Layer
from ..layers.migration import check_kernel, refuse
from ..layers.window import MOST_AXES
from ..samples import Ragged
from . import blocks, computation, gradients, input_gradients
from .fluctuation import fluctuation
from .prepared import PreparedRows
from .prepared_kernel import PreparedKernel

if TYPE_CHECKING:
    from .operator import KernelOperator


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of an infinitely wide network: call it with data, ``net.ntk(X, Y)``.

    Attributes
    ----------
    layers : tuple of Layer
        Of the network.
    kind : {"nngp", "ntk"}
        The NNGP kernel K, the covariance of the network's outputs over random parameters; or the neural tangent kernel
        Theta, the inner product of the parameter gradients of two outputs. Both are in squared output units; with k
        outputs the full kernel is ``np.kron(K, np.eye(k))``.

    See Also
    --------
    fastntk.Sequential.kernels : Both in one pass.

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.mlp(depth=1, activation="relu", sigma_w=2**0.5)
    >>> X = [[1.0, 0.0], [0.0, 2.0]]
    >>> net.nngp(X).round(4)
    array([[1.    , 0.6366],
           [0.6366, 4.    ]])
    >>> net.ntk.diag(X).round(12)
    array([2., 8.])
    """

    layers: tuple[Layer, ...]
    kind: Literal["nngp", "ntk"]

    def __post_init__(self) -> None:
        if self.kind not in ("nngp", "ntk") or not isinstance(self.layers, tuple):
            raise TypeError("a kernel is had from a network, net.nngp or net.ntk.")

    @refuse(check_kernel)
    def __call__(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        out: Any = None,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
        max_memory: int | str | None = None,
        univariate: bool = True,
    ) -> NDArray[Any]:
        """Kernel between all samples of X and all of Y.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Samples; of images and sequences, for layers such as `Conv`, of shape (n, height, width, channels) or
            (n, length, channels). float32 is computed in float32, float64 in float64; integers and bool become float64,
            float16 becomes float32. NaN and inf are refused.
        Y : array_like of shape (m, d), optional
            Other samples. Without them the result is the exactly symmetric kernel of X with itself.
        out : array of shape (n, m), optional
            Where to write: any writable ndarray of the right dtype; an np.memmap or a Zarr array block by block.
        dtype : {"float32", "float64"}, optional
            Precision of the computation and of the result, whatever X is.
        progress : bool or callable, default False
            True shows a bar where it takes more than a second; a callable is called with the fraction done.
        max_memory : int or str, optional
            Bytes, or "4 GiB", that blocks on their way to a file may take; a quarter of what is free by default.
        univariate : bool, default True
            Where the whole network is a function of the angle alone (no bias and positively homogeneous activations,
            or inputs of equal norm) and large enough, evaluate it as one polynomial where that is found to err by
            little: up to 5e-15 in float64, 5e-7 in float32, twice the tolerance of an expansion where that is more,
            relative to the diagonals. False, and to files: layer by layer.

        Returns
        -------
        ndarray of shape (n, m)
            In squared output units.

        Raises
        ------
        ValueError, TypeError
            Input that is not a finite real matrix, an unusable ``out``, or a kernel out of the range of dtype:
            K(x, x) of a row that overflows, or is not 0 and below the smallest normal number.
        MemoryError
            If the result does not fit.

        Notes
        -----
        Cost: n m d multiply-adds, half of it without Y, and some 10 to 50 per pair and layer. Nothing but
        the result is allocated but scratch: up to 40 MiB, about 0.6 MiB per thread, and 100 bytes per sample and
        layer. Same bits for any number of threads. Input whose rows are nearly all duplicates up to scale is slower.

        Images and sequences: some 2 to 10 ns per pair of samples, pair of positions and layer on a core; the pairs of
        positions are those that the end of the network needs, those at the same place for `Flatten`, all for
        `GlobalAvgPool`. Scratch is some 60 MiB for closed forms, more for expansions. float32 networks with an
        activation behind an average are computed in float64.
        """
        return computation.into(
            self.layers, X, Y, self.kind,
            out=out, dtype=dtype, progress=progress, max_memory=max_memory, univariate=univariate,
        )[0]  # fmt: skip

    def diag(self, X: ArrayLike, *, dtype: DTypeLike | None = None) -> NDArray[np.floating[Any]]:
        """Diagonal of the kernel of X with itself, of shape (n,), in O(n d).

        Examples
        --------
        >>> import fastntk
        >>> fastntk.mlp(depth=1, sigma_w=2**0.5).nngp.diag([[1.0, 0.0], [0.0, 2.0]]).round(12)
        array([1., 4.])
        """
        return computation.diagonal(self.layers, X, self.kind, dtype=dtype)

    def gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        shared: bool = False,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
    ) -> NDArray[Any]:
        """Derivatives of the kernel in the network's hyper-parameters.

        Parameters
        ----------
        X : array_like of shape (n, d)
        Y : array_like of shape (m, d), optional
            Samples, as for the kernel itself.
        shared : bool, default False
            In one sigma_w and one sigma_b that all layers have in common, instead of in those of every layer.
        dtype : {"float32", "float64"}, optional
            Of the result; they are computed in float64.
        progress : bool or callable, default False

        Returns
        -------
        ndarray of shape (p, n, m)
            The parameters are those of ``net.parameters``: weights of a `Scale`, then sigma_w, sigma_b of the first
            layer with weights, of the second, ...; or the weights and two shared ones.

        Notes
        -----
        Of images and sequences they are differences of float64 kernels, good to 1e-9 relative to the diagonals, at the
        cost of four kernels for each parameter. At sigma_b = 0 the derivative in it is 0: kernels are even in it.

        See Also
        --------
        value_and_gradient : With the kernel itself, at the same cost.
        vjp : Their sums, without storing them.

        Examples
        --------
        >>> import fastntk
        >>> fastntk.mlp(depth=3, sigma_w=1.5, sigma_b=0.1).ntk.gradient([[1.0, 0.0], [0.0, 1.0]]).shape
        (8, 2, 2)
        """
        return self.value_and_gradient(X, Y, shared=shared, dtype=dtype, progress=progress)[1]

    def value_and_gradient(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        shared: bool = False,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Kernel, of shape (n, m), and its derivatives, as `gradient` has them, in one pass.

        Examples
        --------
        >>> import fastntk
        >>> net, X = fastntk.mlp(depth=1, sigma_w=1.5), [[1.0, 0.0], [0.0, 1.0]]
        >>> K, dK = net.nngp.value_and_gradient(X, shared=True)
        >>> bool(abs(dK[0] - 4 * K / 1.5).max() < 1e-15)  # K is proportional to sigma_w^4
        True
        """
        return gradients.compute(self.layers, X, Y, self.kind, shared=shared, dtype=dtype, progress=progress)

    @overload
    def vjp(
        self,
        X: ArrayLike,
        G: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        wrt: Literal["hyperparameters"] = ...,
        shared: bool = ...,
        progress: Progress = ...,
    ) -> NDArray[np.float64]: ...
    @overload
    def vjp(
        self, X: ArrayLike, G: ArrayLike, Y: None = None, *, wrt: Literal["inputs"], progress: Progress = ...
    ) -> NDArray[np.float64]: ...
    @overload
    def vjp(
        self, X: ArrayLike, G: ArrayLike, Y: ArrayLike, *, wrt: Literal["inputs"], progress: Progress = ...
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def vjp(
        self,
        X: ArrayLike,
        G: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        wrt: Literal["hyperparameters", "inputs"] = "hyperparameters",
        shared: bool = False,
        progress: Progress = False,
    ) -> NDArray[np.float64] | tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Derivative of sum(G * kernel(X, Y)) in hyper-parameters or inputs, without storing those of the kernel.

        Parameters
        ----------
        X : array_like of shape (n, d)
        G : array_like of shape (n, m)
            Weights: the derivative of some number in the entries of the kernel.
        Y : array_like of shape (m, d), optional
            Other samples; without them X.
        wrt : {"hyperparameters", "inputs"}, default "hyperparameters"
            What the derivatives are in.
        shared : bool, default False
            In which hyper-parameters, as for `gradient`.
        progress : bool or callable, default False

        Returns
        -------
        ndarray of float64 of shape (p,)
            sum over i, j of G[i, j] dK[i, j] / d parameter.
        ndarray of float64 of the shape of X
            With wrt="inputs" and without Y: sum over i, j of G[i, j] dK[i, j] / dX, where X is both arguments.
        pair of ndarrays, of the shapes of X and of Y
            With wrt="inputs" and Y: the derivatives in both.

        Notes
        -----
        Cost: some 3 to 6 times the kernel's, and a few MiB; in the inputs 8 MiB, and two arrays of the size of the
        inputs. In the weights of a `Scale` they are those in the inputs, summed up: one more pass for all of them. They
        are computed in float64 whatever the dtype of X, within 1e-10 relative to the largest of a row; 2e-10 of
        near-duplicates at a distance of 1e-8 among rows whose norms differ tenfold. Closer ones lose digits.

        Where a kernel has no derivative in an input: at X[i] = +-c Y[j], c > 0, Theta of activations with a kink
        has a cone, and the derivative is that of its axis, the mean of those from all sides. At X[i] = 0 kernels are
        smooth if activations are, or behind a bias; otherwise the derivative is 0.

        Of images, sequences and graphs there are derivatives in hyper-parameters only.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> net, X = fastntk.mlp(depth=1, sigma_w=1.5, sigma_b=0.1), np.eye(3)
        >>> K, dK = net.nngp.value_and_gradient(X, shared=True)
        >>> bool(np.allclose(net.nngp.vjp(X, K, shared=True), (K * dK).sum(axis=(1, 2))))
        True
        """
        one_of(wrt, "wrt", ("hyperparameters", "inputs"))
        if wrt == "inputs":
            if shared:
                raise ValueError("shared=True is of derivatives in hyper-parameters, not of those in the inputs.")
            return input_gradients.contract(self.layers, X, G, Y, self.kind, progress=progress)
        return gradients.contract(self.layers, X, G, Y, self.kind, shared=shared, progress=progress)

    def input_gradient(self, x: ArrayLike, Y: ArrayLike) -> NDArray[np.float64]:
        """Derivatives of the kernel between one point and other samples, in the point.

        Parameters
        ----------
        x : array_like of shape (d,)
        Y : array_like of shape (m, d)

        Returns
        -------
        ndarray of float64 of shape (m, d)
            dK(x, Y[j]) / dx.

        See Also
        --------
        vjp : Sums of them, of many points at once; its notes say what they are where there is no derivative.

        Examples
        --------
        >>> import fastntk
        >>> linear = fastntk.Sequential(fastntk.Dense(3.0))  # K(x, y) = 9 x.y / 2
        >>> linear.nngp.input_gradient([1.0, 0.0], [[2.0, 0.0], [0.0, 4.0]]).round(12)
        array([[ 9.,  0.],
               [ 0., 18.]])
        """
        return input_gradients.slopes_at(self.layers, x, Y, self.kind)

    def operator(
        self,
        X: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        ridge: float = 0.0,
        dtype: DTypeLike | None = None,
        progress: Progress = False,
    ) -> KernelOperator:
        """Kernel as a linear operator, for products with vectors: the matrix is never stored.

        Parameters
        ----------
        X : array_like of shape (n, d)
        Y : array_like of shape (m, d), optional
            Other samples; without them X.
        ridge : float >= 0, default 0.0
            Added to the diagonal; without Y only.
        dtype : {"float32", "float64"}, optional
            Precision of the kernel's entries, that of X by default. Products are summed up in float64.
        progress : bool or callable, default False
            Of every product.

        Returns
        -------
        KernelOperator
            A `scipy.sparse.linalg.LinearOperator` of shape (n, m), with `diagonal`.

        Notes
        -----
        Cost of a product with k vectors: that of the kernel, and 2 n m k additions; 32 MiB or 100 kB a vector.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> net, X = fastntk.mlp(depth=3), np.eye(4)
        >>> A = net.ntk.operator(X, ridge=0.1)
        >>> bool(np.allclose(A @ np.ones(4), net.ntk(X) @ np.ones(4) + 0.1))
        True
        """
        from .operator import KernelOperator  # SciPy's linear operators take longer to import than all of this

        return KernelOperator(blocks.KernelMatrix(self.layers, X, Y, self.kind, dtype), ridge, progress)

    def prepare(self, Y: ArrayLike, *, dtype: DTypeLike | None = None) -> PreparedKernel:
        """Compile the network for rows that stay, to be asked again and again how similar others are to them.

        Parameters
        ----------
        Y : array_like of shape (m, d)
            Such as training samples, or landmarks. An array that could be changed afterwards is copied.
        dtype : {"float32", "float64"}, optional
            Precision of the calls that are not given any.

        Returns
        -------
        PreparedKernel
            Call it with X for what ``self(X, Y)`` is, to the same errors: the bits differ.

        Raises
        ------
        ValueError, TypeError
            As a call with Y.

        Notes
        -----
        Saves a call what depends on Y alone: checks, norms, some numbers a row and layer, and the copy of the rows that
        the engine reads, kept up to 20 MiB. For one row of X against 1,000 rows of 64 features that is most of the time
        (`bench/compare.py --only small`).

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> net, Y = fastntk.mlp(depth=3), np.eye(4)
        >>> similarity = net.ntk.prepare(Y)
        >>> similarity(np.ones((1, 4))).shape
        (1, 4)
        """
        rows = Y if isinstance(Y, Ragged) else input_array(Y, "Y", most_axes=MOST_AXES + 2)
        if isinstance(rows, np.ndarray) and rows.flags.writeable and (rows is Y or rows.base is not None):
            rows = rows.copy()
        return PreparedKernel(self.layers, self.kind, PreparedRows(self.layers, rows, self.kind, dtype))

    def fluctuation(self, X: ArrayLike, width: int | Sequence[int], Y: ArrayLike | None = None) -> NDArray[np.float64]:
        """Predict the standard deviation, over networks of finite width, of every entry of their kernel K.

        Parameters
        ----------
        X : array_like of shape (n, d)
        width : int or sequence of int
            Units of every hidden layer, or of each.
        Y : array_like of shape (m, d), optional

        Returns
        -------
        ndarray of shape (n, m)
            Of ``FiniteNetwork(net, width).empirical_nngp(X, Y)[-1]``: exact for one hidden layer, of first order in one
            over the width for more. Proportional to width^(-1/2). Of other layers: ``net[:k]``.

        Raises
        ------
        ValueError, TypeError
            As `FiniteNetwork`, and as ``net.nngp``.
        OverflowError
            If fourth powers of outputs are beyond the range of float64: scale the inputs.

        Warns
        -----
        RuntimeWarning
            If phi jumps and inputs are nearly the same: F has no slope there to carry fluctuations on by.

        Notes
        -----
        Given K^{l-1}, K^l is sigma_b^2 + sigma_w^2 times a mean of N independent terms phi(u) phi(v), with covariances
        Cov[phi(u)^i phi(v)^(2-i), phi(u)^j phi(v)^(2-j)] / N. Their sum over the layers, each carried on to the output
        by the derivatives of F in c, q1 and q2, is the covariance of (K_uu, K_uv, K_vv). All moments and derivatives
        come from Hermite coefficients of phi, phi^2, phi^3, to a fraction of a percent (where phi jumps and inputs are
        nearly the same, to some percent). The first order is not enough where phi grows as exp does. Cost: some 2,000
        multiply-adds a pair and layer.

        References
        ----------
        Neal, "Priors for infinite networks", 1994. Yaida, "Non-Gaussian processes and neural networks at finite
        widths", MSML 2020, section 3.

        Examples
        --------
        >>> import fastntk, numpy as np
        >>> net = fastntk.mlp(1, "relu", sigma_w=2**0.5)
        >>> x = np.array([[1.0, 1.0]])  # K = 2 E[relu(u)^2] = 2, and Var[relu(u)^2] is 5/4 (2 E[relu(u)^2])^2
        >>> print(net.nngp.fluctuation(x, width=500).round(6))
        [[0.2]]
        """
        if self.kind != "nngp":
            raise ValueError("the fluctuation of networks of finite width is known of their NNGP kernel: net.nngp.")
        return fluctuation(self.layers, X, width, Y)

    def __repr__(self) -> str:
        few = self.layers if len(self.layers) <= 3 else (self.layers[0], "...", self.layers[-1])
        return cut(f"Kernel({self.kind!r} of {len(self.layers)} layers: {', '.join(map(str, few))})")
