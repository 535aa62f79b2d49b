"""Hyper-parameters of a network and the noise, fitted to data by marginal likelihood."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._shown import shown
from ._validation import finite_number, input_array, one_of, whole_number
from .activations import Activation
from .expansion import ToleranceWarning
from .inference import _checks, log_marginal_likelihood
from .layers import Dense
from .network import Sequential

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """Result of `fit_marginal_likelihood`."""

    network: Sequential
    """With the hyper-parameters found."""
    noise: float
    """The variance found."""
    log_marginal_likelihood: float
    """Of the data under both."""
    converged: bool
    """Whether the optimiser says so; otherwise `message` tells why it stopped."""
    message: str
    history: Array
    """Log marginal likelihood of every evaluation, in their order."""

    def __repr__(self) -> str:
        found = f"noise={self.noise:.6g}, log_marginal_likelihood={self.log_marginal_likelihood:.6g}"
        return f"Fit({shown(self.network)}, {found}, converged={self.converged})"

    @property
    def evaluations(self) -> int:
        """How often the likelihood and its gradient were computed."""
        return len(self.history)


class _Scales:
    """Numbers exp(theta) that multiply the sigmas of the Dense layers: one for all of a kind, or one each.

    A sigma of 0 stays 0.
    """

    def __init__(self, net: Sequential, *, per_layer: bool) -> None:
        self.layers = net.layers
        sigmas = np.array([(layer.sigma_w, layer.sigma_b) for layer in net.layers if isinstance(layer, Dense)])
        self.sigmas: Array = sigmas.reshape(-1, 2)
        alike = bool((self.sigmas == self.sigmas[:1]).all())
        # The gradient in one sigma that all layers have in common costs less.
        self.gradient: Literal[True, "shared"] = "shared" if alike and not per_layer else True
        moved = np.eye(self.sigmas.size) if per_layer else np.tile(np.eye(2), len(self.sigmas))
        positive = self.sigmas.ravel() > 0
        self._moved = moved[(moved * positive).any(axis=1)] * positive

    def __len__(self) -> int:
        return len(self._moved)

    def network(self, theta: Array) -> Sequential:
        scaled = iter((self.sigmas * np.exp(theta @ self._moved).reshape(-1, 2)).tolist())
        layers: list[Dense | Activation] = []
        for layer in self.layers:
            if isinstance(layer, Dense):
                sigma_w, sigma_b = next(scaled)
                layers.append(replace(layer, sigma_w=sigma_w, sigma_b=sigma_b))
            else:
                layers.append(layer)
        return Sequential(*layers)

    def pull_back(self, slopes: Array, net: Sequential) -> Array:
        """Derivative in theta, from that in the sigmas of a network."""
        now = np.array([(layer.sigma_w, layer.sigma_b) for layer in net.layers if isinstance(layer, Dense)])
        if self.gradient == "shared":
            return np.asarray((slopes * now[0])[self._moved[:, :2].any(axis=0)])
        return np.asarray(self._moved @ (slopes * now.ravel()))


def fit_marginal_likelihood(
    net: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    *,
    noise: float = 1e-2,
    kind: Literal["nngp", "ntk"] = "nngp",
    per_layer: bool = False,
    fit_noise: bool = True,
    most_evaluations: int = 200,
    tolerance: float = 1e-6,
    callback: Callable[[Sequential, float, float], object] | None = None,
) -> Fit:
    """Fit sigma_w, sigma_b and the noise to data, from where they are, by maximising the marginal likelihood.

    Parameters
    ----------
    net : Sequential
        The network to start from. A sigma of 0 stays 0.
    X : array_like of shape (n, d)
        Samples.
    y : array_like of shape (n,) or (n, k)
        Targets.
    noise : float > 0, default 0.01
        Variance of their noise to start from.
    kind : {"nngp", "ntk"}, default "nngp"
        Which kernel is the covariance.
    per_layer : bool, default False
        True: sigma_w and sigma_b of every Dense layer; False: one factor for all sigma_w and one for all sigma_b.
    fit_noise : bool, default True
        False leaves the noise as it is.
    most_evaluations : int, default 200
        Of the likelihood.
    tolerance : float, default 1e-6
        On the relative change of the likelihood, and on its gradient per target in the logarithms of the parameters.
    callback : callable, optional
        Called with (network, noise, log marginal likelihood) after every evaluation.

    Returns
    -------
    Fit
        ``network``, ``noise``, ``log_marginal_likelihood``, ``converged``, ``message``, ``history``, ``evaluations``.

    Raises
    ------
    ValueError, TypeError
        NaN, shapes that do not fit, noise <= 0.
    numpy.linalg.LinAlgError
        If the kernel to start from, with the noise, is singular to working precision.

    Notes
    -----
    L-BFGS-B in the logarithms. An evaluation costs n³ multiply-adds for the likelihood, and for the gradient in the
    hyper-parameters one pass over the pairs. Where a bias-free network is positively homogeneous sigma_w only rescales
    the kernel. There may be several maxima: try several starts.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.4.1.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, size=(60, 1))
    >>> y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=60)
    >>> fit = fastntk.fitting.fit_marginal_likelihood(fastntk.mlp(1, "erf", 2.0, 1.0), X, y, noise=0.1)
    >>> bool(0.005 < fit.noise < 0.02)  # the truth is 0.01
    True
    """
    from scipy.optimize import minimize

    if not isinstance(net, Sequential):
        raise TypeError(f"net must be a fastntk.Sequential, got {shown(net)}.")
    x = input_array(X, "X")
    values = _checks.targets(y, "y", len(x))
    start = finite_number(noise, "noise")
    if start <= 0:
        raise ValueError(f"noise must be > 0 to be fitted or to keep the kernel regular, got {noise!r}.")
    one_of(kind, "kind", ("nngp", "ntk"))
    whole_number(most_evaluations, "most_evaluations", least=1)
    scales = _Scales(net, per_layer=per_layer)
    history: list[float] = []
    best: list[tuple[float, Sequential, float]] = []

    # Per target, so that the first step is of order one in the logarithms.
    def negative(theta: Array) -> tuple[float, Array]:
        candidate = scales.network(theta[: len(scales)])
        level = start * float(np.exp(theta[len(scales)])) if fit_noise else start
        try:
            kernel = candidate.nngp(x, dtype="float64") if kind == "nngp" else candidate.ntk(x, dtype="float64")
            found = log_marginal_likelihood(kernel, values, level, gradient=True)
        except (np.linalg.LinAlgError, ValueError):  # singular, or out of range
            if not history:
                raise
            # Far worse than anything so far, so that the line search turns back.
            return 1e3 * (1 + max(map(abs, history)) / values.size), np.zeros_like(theta)
        vjp = candidate.nngp_vjp if kind == "nngp" else candidate.ntk_vjp
        slopes = scales.pull_back(vjp(x, found.kernel_gradient, gradient=scales.gradient), candidate)
        history.append(found.value)
        if not best or found.value > best[0][0]:
            best[:] = [(found.value, candidate, level)]
        if callback is not None:
            callback(candidate, level, found.value)
        gradient = np.append(slopes, [level * found.noise_gradient] if fit_noise else [])
        return -found.value / values.size, -gradient / values.size

    theta = np.zeros(len(scales) + fit_noise)
    if not theta.size:
        raise ValueError("there is nothing to fit: all sigmas are 0, and the noise is fixed.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToleranceWarning)  # of candidates; the result warns where it is used
        result = minimize(
            negative,
            theta,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-12.0, 12.0)] * theta.size,
            options={"maxfun": most_evaluations, "ftol": tolerance, "gtol": tolerance},
        )
    value, network, level = best[0]
    return Fit(network, level, value, bool(result.success), str(result.message), np.array(history))
