"""Kernels for scikit-learn's Gaussian processes; every estimator with a callable ``kernel=`` takes them too."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from .._checks.arguments import finite_number
from ..kernels.kernel import Kernel as NetworkKernel
from ..networks.sequential import Sequential
from .parameters import NetworkParameters, with_parameters

Bounds = tuple[float, float] | Literal["fixed"]


@with_parameters
class _NetworkKernel(NetworkParameters, Kernel):  # type: ignore[misc]
    """A kernel of an infinitely wide network, with sigma_w and sigma_b of all layers as hyper-parameters.

    Parameters
    ----------
    sigma_w, sigma_b : float, default 1.0 and 0.0
        Standard deviations of weights and biases, the same in every layer.
    network : Sequential, optional
        Any other architecture, instead of depth, activation and sigmas; without hyper-parameters.
    sigma_w_bounds, sigma_b_bounds : pair of floats > 0 or "fixed"
        Where a Gaussian process may move them. A sigma of 0 has no logarithm and stays fixed.
    """

    _kind: ClassVar[Literal["nngp", "ntk"]]

    sigma_w_bounds: Bounds = (1e-2, 1e2)
    sigma_b_bounds: Bounds = (1e-3, 1e2)

    def _hyperparameter(self, name: str) -> Hyperparameter:
        # 0 has no logarithm, and a given network has sigmas of its own.
        fixed = self.network is not None or getattr(self, name) == 0
        return Hyperparameter(name, "numeric", "fixed" if fixed else getattr(self, f"{name}_bounds"))

    @property
    def hyperparameter_sigma_w(self) -> Hyperparameter:
        """Of all weights."""
        return self._hyperparameter("sigma_w")

    @property
    def hyperparameter_sigma_b(self) -> Hyperparameter:
        """Of all biases."""
        return self._hyperparameter("sigma_b")

    def to_network(self) -> Sequential:
        """Make the network that the kernel is of."""
        if self.network is None:
            for name in ("sigma_w", "sigma_b"):  # a hyper-parameter is one number
                finite_number(getattr(self, name), name)
        return self._make_network()

    def __call__(
        self, X: ArrayLike, Y: ArrayLike | None = None, eval_gradient: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Evaluate the kernel.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Samples.
        Y : array_like of shape (m, d), optional
            Other samples, by default X.
        eval_gradient : bool, default False
            Whether the derivatives in theta, the logarithms of the hyper-parameters, are wanted; only without Y.

        Returns
        -------
        ndarray of shape (n, m)
            In float64 whatever X is, as scikit-learn's own. And with `eval_gradient` one of shape (n, n, p).

        Raises
        ------
        ValueError, TypeError
            Y with `eval_gradient`, a network that is none, and whatever the network's own kernel refuses.
        """
        kernel = self._of_network()
        if not eval_gradient:
            return kernel(X, Y, dtype="float64")
        if Y is not None:
            raise ValueError("Gradient can only be evaluated when Y is None.")
        # theta is in alphabetical order
        free = [(i, name) for i, name in ((1, "sigma_b"), (0, "sigma_w")) if not self._hyperparameter(name).fixed]
        if not free:
            value = kernel(X, dtype="float64")
            return value, np.empty((*value.shape, 0))
        value, slopes = kernel.value_and_gradient(X, shared=True, dtype="float64")
        return value, np.stack([getattr(self, name) * slopes[i] for i, name in free], axis=-1)

    def _of_network(self) -> NetworkKernel:
        net = self.to_network()
        return net.nngp if self._kind == "nngp" else net.ntk

    def diag(self, X: ArrayLike) -> NDArray[Any]:
        """Evaluate the diagonal, of shape (n,), in O(n d)."""
        return self._of_network().diag(X, dtype="float64")

    def is_stationary(self) -> bool:
        """Return False: the kernel depends on norms."""
        return False

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        mine, others = self.get_params(), other.get_params()
        return all(np.array_equal(mine[name], others[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]  # its parameters can be set

    def __repr__(self) -> str:
        if self.network is not None:
            return f"{type(self).__name__}(network={self.network!r})"
        return (
            f"{type(self).__name__}(depth={self.depth}, activation={self.activation!r}, sigma_w={self.sigma_w:.3g}, "
            f"sigma_b={self.sigma_b:.3g})"
        )


@with_parameters
class NNGPKernel(_NetworkKernel):
    """NNGP kernel of an infinitely wide network, for ``GaussianProcessRegressor`` and whatever takes a kernel.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018, eq. 4-5.

    Examples
    --------
    >>> from fastntk.sklearn import NNGPKernel
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.gaussian_process.kernels import WhiteKernel
    >>> model = GaussianProcessRegressor(NNGPKernel(2, "erf", 2.0, 0.5) + WhiteKernel(0.1))
    >>> model.fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0]).predict([[0.5]]).shape
    (1,)
    """

    _kind = "nngp"


@with_parameters
class NTKKernel(_NetworkKernel):
    """Neural tangent kernel, for ``SVC``, ``KernelRidge``, ``KernelPCA``, Gaussian processes and others.

    Notes
    -----
    scikit-learn calls a plain function once for every *pair* of samples; a kernel object as this it calls once for all.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, theorem 1.

    Examples
    --------
    >>> from fastntk.sklearn import NTKKernel
    >>> from sklearn.svm import SVC
    >>> SVC(kernel=NTKKernel(depth=3)).fit([[0.0, 1.0], [1.0, 0.0]], [0, 1]).predict([[0.1, 2.0]])
    array([0])
    """

    _kind = "ntk"
