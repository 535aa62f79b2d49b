"""Kernels for scikit-learn's Gaussian processes; every estimator with a callable ``kernel=`` takes them too.

scikit-learn finds free hyper-parameters by name among `get_params()` and moves them by `set_params`. Those of a network
are in it: ``network__sigma_w`` where they are shared, ``network__1.0.1__sigma_w`` of one layer, in the manner of
``k1__length_scale`` of kernels within kernels.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from .._checks.arguments import finite_number, positive
from ..inference.fitting.sigmas import Sigmas, Which, check_which
from ..kernels.gradients import compute_along
from ..kernels.kernel import Kernel as NetworkKernel
from ..networks.sequential import Sequential
from .base import whole
from .parameters import NetworkParameters, with_parameters

Bounds = tuple[float, float] | Literal["fixed"]

#: What the names of a given network's hyper-parameters begin with.
_NETWORK = "network__"


@with_parameters
class _NetworkKernel(NetworkParameters, Kernel):  # type: ignore[misc]
    """A kernel of an infinitely wide network, with its sigmas as hyper-parameters.

    Parameters
    ----------
    sigma_w, sigma_b : float, default 1.0 and 0.0
        Standard deviations of weights and biases, the same in every layer.
    network : Sequential, optional
        Any other architecture, instead of depth, activation and sigmas. What a Gaussian process fits is in its
        ``kernel_.network``.
    hyperparameters : {"shared", "all", "fixed"}, default "shared"
        Which sigmas it may move: all sigma_w by one factor and all sigma_b by another; those of every layer of
        ``network``, by its place, as `Sequential.parameters` has it; or none. As an attribute, as in all kernels of
        scikit-learn, their list.
    sigma_w_bounds, sigma_b_bounds : pair of floats > 0 or "fixed"
        Where a Gaussian process may move standard deviations of all weights (sigma_w, sigma_u, ...) and of biases. A
        sigma of 0 has no logarithm and stays fixed.
    scale_bounds : pair of floats > 0 or "fixed"
        Likewise, of the weights of a `fastntk.Scale`, the first layer of ``network``: each is a hyper-parameter.
    """

    _kind: ClassVar[Literal["nngp", "ntk"]]

    hyperparameters: Which = "shared"
    sigma_w_bounds: Bounds = (1e-2, 1e2)
    sigma_b_bounds: Bounds = (1e-3, 1e2)
    scale_bounds: Bounds = (1e-3, 1e3)

    def __post_init__(self) -> None:
        self._refuse_misplaced()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; `deep`, also the free hyper-parameters of a network that is given."""
        params = {name: vars(self).get(name) for name in inspect.signature(type(self)).parameters}
        if deep and isinstance(self.network, Sequential):
            sigmas = self._sigmas()
            params |= zip(_within(sigmas), sigmas.values.tolist(), strict=True)
        return params

    @whole
    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; those of a given network make another of it."""
        inner = {name: params.pop(name) for name in list(params) if name.startswith(_NETWORK)}
        super().set_params(**params)
        if inner:
            known = self.get_params()
            names = ", ".join(name for name in known if name.startswith(_NETWORK)) or "none"
            for name, value in inner.items():
                if name not in known:
                    raise ValueError(f"there is no free hyper-parameter {name}; there are {names}.")
                positive(value, name)
            sigmas = self._sigmas()
            self.network = sigmas.with_values(np.array([(known | inner)[name] for name in _within(sigmas)]))
        return self

    def _specifications(self) -> list[Hyperparameter]:
        """Which hyper-parameters there are, within which bounds."""
        sigmas = self._sigmas()
        if self.network is not None:
            bounds = sigmas.values[:, None] * np.exp(np.reshape(sigmas.bounds, (-1, 2)))
            return list(map(Hyperparameter, _within(sigmas), ["numeric"] * len(sigmas), bounds))
        own = {name: getattr(self, f"{name}_bounds") for name in ("sigma_b", "sigma_w")}
        return [
            Hyperparameter(name, "numeric", bounds if name in sigmas.keys else "fixed") for name, bounds in own.items()
        ]

    def _choose(self, which: Which) -> None:
        # Beside the property of that name, which is scikit-learn's.
        self.__dict__["hyperparameters"] = which

    def _sigmas(self) -> Sigmas:
        """Those of its network that are free."""
        which = vars(self)["hyperparameters"]
        check_which(which)
        if self.network is None and which == "all":
            raise ValueError(
                "hyperparameters='all' is of the layers of a network: pass network=fastntk.mlp(depth, activation, "
                "sigma_w, sigma_b), or any other."
            )
        return Sigmas(self.to_network(), self.sigma_w_bounds, self.sigma_b_bounds, which, self.scale_bounds)

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
        sigmas = self._sigmas()
        if not len(sigmas):
            value = kernel(X, dtype="float64")
            return value, np.empty((*value.shape, 0))
        moves = sigmas.moves(sigmas.net)
        if self.network is None:  # theta is in alphabetical order
            moves = [move for _, move in sorted(zip(sigmas.keys, moves, strict=True))]
        value, slopes = compute_along(kernel.layers, X, None, kernel.kind, moves, dtype="float64")
        return value, np.moveaxis(slopes, 0, -1)

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
        mine, others = self.get_params(deep=False), other.get_params(deep=False)
        return all(np.array_equal(mine[name], others[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]  # its parameters can be set

    def __repr__(self) -> str:
        which = vars(self)["hyperparameters"]
        end = "" if which == "shared" else f", hyperparameters={which!r}"
        if self.network is not None:
            return f"{type(self).__name__}(network={self.network!r}{end})"
        return (
            f"{type(self).__name__}(depth={self.depth}, activation={self.activation!r}, sigma_w={self.sigma_w:.3g}, "
            f"sigma_b={self.sigma_b:.3g}{end})"
        )


# scikit-learn reads the list where its users have set what is in it.
_NetworkKernel.hyperparameters = property(_NetworkKernel._specifications, _NetworkKernel._choose)  # type: ignore[assignment]


def _within(sigmas: Sigmas) -> list[str]:
    """Names of the hyper-parameters of a given network, as parameters of its kernel."""
    return [_NETWORK + key for key in sigmas.keys]


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
