"""Hyper-parameters of a network and the noise, fitted to data by marginal likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._checks.arguments import one_of, positive, random_generator, true_or_false, whole_number
from ..._checks.caller import warn, without
from ..._checks.shown import shown
from ..._machine.floating import undisturbed
from ..._machine.runtime import blas_threads
from ...activations.interpolation import ToleranceWarning
from ...kernels.shapes import shaped
from ...layers.base import walk
from ...layers.migration import refuse
from ...layers.weighted import Weighted
from ...networks.sequential import Sequential
from .. import _checks
from .likelihood import NOISE_RATIO, Likelihood, Point, unit_of
from .sigmas import Bounds, Sigmas, Which, check_output, check_which, is_fixed, pair

Array = NDArray[np.float64]
Callback = Callable[[Sequential, float, float], object]

#: Standard deviation of the logarithms of sigmas to start again from.
RESTART = 1.5

#: What it means that a parameter ended at a bound, and that the noise ended at its lower one.
_EXTREME = "the data ask for more extreme values, or for a network without it."
_NOISELESS = "the data look free of noise; if they are not, keep what you know by noise= and noise_bounds='fixed'."


class FitWarning(UserWarning):
    """A fit ended at a bound, found nothing but noise, or did not converge; estimators say ConvergenceWarning."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """Result of `fit_marginal_likelihood`."""

    network: Sequential
    """With the hyper-parameters found; its last layer has the output scale."""
    noise: float | Array
    """The variance found, or given; of shape (n,) where every sample has its own."""
    parameters: dict[str, float]
    """What was fitted, by name: weights of features, sigmas (before the output scale), output_scale, noise.

    Of shared sigmas that differ the first that is not 0; the others keep their ratios to it.
    """
    log_marginal_likelihood: float
    """Of the data under both."""
    converged: bool
    """Whether the gradient vanishes, or points out of the bounds; otherwise `message` tells why the search stopped."""
    message: str
    history: Array
    """Log marginal likelihood of every evaluation, in their order."""
    iterations: int
    """Steps of the optimiser, from the start that led to the best."""
    remarks: tuple[str, ...]
    """What was warned of."""

    def __repr__(self) -> str:
        noise = f"{self.noise:.6g}" if isinstance(self.noise, float) else shown(self.noise)
        found = f"noise={noise}, log_marginal_likelihood={self.log_marginal_likelihood:.6g}"
        return f"Fit({shown(self.network)}, {found}, converged={self.converged})"

    @property
    def evaluations(self) -> int:
        """How often the likelihood and its gradient were computed."""
        return len(self.history)


class Objective(Protocol):
    """What is maximised: a log likelihood of `size` targets, over theta."""

    sigmas: Sigmas
    """What theta begins with."""
    names: list[str]
    """Of theta, for people."""
    bounds: list[tuple[float, float]]
    """Of theta."""
    size: int

    def start(self, theta: Array) -> Array:
        """All of theta, where the sigmas have this."""

    def __call__(self, theta: Array) -> Point:
        """Evaluate value and gradient; LinAlgError or ValueError where there is none."""

    def remark(self, point: Point) -> str | None:
        """What the user should know of an end, if its value is no more than chance."""


Likely = TypeVar("Likely", bound=Objective)


class Search(Generic[Likely]):
    """L-BFGS-B over a likelihood, from one start or several; keeps every evaluation."""

    def __init__(self, likelihood: Likely, most_evaluations: int, tolerance: float, callback: Callback | None) -> None:
        self.likelihood, self.most_evaluations, self.tolerance = likelihood, most_evaluations, tolerance
        self.callback = callback
        self.history: list[float] = []
        self.iterations = 0
        self.message = ""
        self.best: Point
        self.bounds: Array = np.array(likelihood.bounds).reshape(-1, 2)

    def begin(self, theta: Array) -> Point:
        """Where to climb from: these sigmas, with the most likely noise. Raises where that is out of range."""
        return self.likelihood(np.clip(self.likelihood.start(theta), *self.bounds.T))

    def climb(self, draws: Array) -> None:
        """From the sigmas as they are, and from each of these thetas of them."""
        self.run(self.begin(np.zeros(len(self.likelihood.sigmas))))
        for drawn in draws:
            try:
                start = self.begin(np.clip(drawn, *self.bounds[: len(drawn)].T))
            except (np.linalg.LinAlgError, ValueError):  # out of range; not what a callback raises
                continue
            self.run(start)

    def run(self, start: Point) -> None:
        """Climb from a start, and remember it if its end is the best so far."""
        from scipy.optimize import minimize

        size = self.likelihood.size
        seen: list[Point] = []

        def note(point: Point) -> None:
            seen.append(point)
            self.history.append(point.value)
            if self.callback is not None:
                self.callback(point.network, point.noise, point.value)

        # Per target, so that a step is of order one in the logarithms.
        def negative(theta: Array) -> tuple[float, Array]:
            point = next((point for point in seen if np.array_equal(point.theta, theta)), None)  # where a search begins
            if point is None:
                try:
                    point = self.likelihood(theta)
                except (np.linalg.LinAlgError, ValueError):  # singular, or out of range
                    # Worse than anything so far, so that the line search turns back.
                    return float(max(-p.value for p in seen)) / size + 10, np.zeros_like(theta)
                note(point)
            return -point.value / size, -point.gradient / size

        note(start)
        top, before, iterations, message = start, -np.inf, 0, "the search ended where it began"
        aim = enough = self.tolerance / 10
        # In a narrow valley the line search fails on what was learnt elsewhere: begin again, while that helps. With a
        # tenth of the tolerance, as where the kernel is ill-conditioned rounding may stop the line search earlier.
        while top.value > before and self.steepness(top) > enough and len(seen) < self.most_evaluations:
            before, enough = top.value, self.tolerance
            result = minimize(
                negative,
                top.theta,
                jac=True,
                method="L-BFGS-B",
                bounds=self.bounds,
                options={"maxfun": self.most_evaluations - len(seen), "ftol": 1e-14, "gtol": aim},
            )
            iterations, message = iterations + int(result.nit), str(result.message)
            top = max(seen, key=lambda point: point.value)
        if not hasattr(self, "best") or top.value > self.best.value:
            self.best, self.iterations, self.message = top, iterations, message

    def result(self, noise: float | Array, others: dict[str, float], remarks: list[str]) -> Fit:
        """The best end, with the parameters beside the sigmas."""
        best, sigmas = self.best, self.likelihood.sigmas
        values = sigmas.values * np.exp(best.theta[: len(sigmas)])
        return Fit(
            best.network,
            noise,
            dict(zip(sigmas.names, values.tolist(), strict=True)) | others,
            best.value,
            self.steepness(best) <= self.tolerance,
            self.message,
            np.array(self.history),
            self.iterations,
            tuple(remarks),
        )

    def steepness(self, point: Point) -> float:
        """Largest slope per target in a logarithm that the bounds do not forbid to follow."""
        low, high = self.bounds.T
        slopes = point.gradient / self.likelihood.size
        stuck = ((point.theta <= low) & (slopes < 0)) | ((point.theta >= high) & (slopes > 0))
        return float(np.abs(np.where(stuck, 0, slopes)).max(initial=0))

    def remarks(self) -> list[str]:
        """What the user should know of the end."""
        point = self.best
        chance = self.likelihood.remark(point)
        found = [] if chance is None else [chance]
        names = self.likelihood.names if chance is None else self.likelihood.sigmas.names
        for name, theta, (low, high) in zip(names, point.theta, self.bounds, strict=False):
            # A feature that does not matter has no weight.
            if low < high and theta in (low, high) and not (theta == low and name.startswith("weights[")):
                found.append(
                    f"{name} ended at its {'lower' if theta == low else 'upper'} bound: "
                    + (_NOISELESS if theta == low and name == NOISE_RATIO else _EXTREME)
                )
        if not self.steepness(point) <= self.tolerance:
            found.append(
                f"not converged: a slope of {self.steepness(point):.2g} per target is left where {self.tolerance:.2g} "
                f"was asked for ({self.message})."
            )
        return found


#: Options as others call them.
_OPTIONS = {
    "rng": "random_state", "seed": "random_state", "maxiter": "most_evaluations", "max_iter": "most_evaluations",
    "tol": "tolerance", "n_restarts": "restarts", "n_restarts_optimizer": "restarts",
}  # fmt: skip


def _check_options(_: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Arguments of a fit."""
    for key in kwargs:
        if key in _OPTIONS:
            raise TypeError(f"a fit has no argument {key!r}: it is {_OPTIONS[key]}.")
        if key in ("sigma_u_bounds", "sigma_q_bounds", "sigma_k_bounds", "sigma_v_bounds", "sigma_o_bounds"):
            raise TypeError(f"a fit has no argument {key!r}: sigma_w_bounds are of those of all weights.")


@undisturbed
@refuse(_check_options)
def fit_marginal_likelihood(
    net: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    *,
    noise: float | ArrayLike | None = None,
    kind: Literal["nngp", "ntk"] = "nngp",
    hyperparameters: Which = "shared",
    output_scale: bool = True,
    constant: bool = False,
    sigma_w_bounds: Bounds = None,
    sigma_b_bounds: Bounds = None,
    scale_bounds: Bounds = None,
    noise_bounds: Bounds = None,
    restarts: int = 0,
    random_state: int | np.random.Generator | None = None,
    most_evaluations: int = 200,
    tolerance: float = 1e-4,
    callback: Callback | None = None,
) -> Fit:
    """Fit sigmas, weights of features, the scale of the outputs and the noise, by maximising the marginal likelihood.

    Parameters
    ----------
    net : Sequential
        The network to start from. A sigma of 0 has no logarithm and stays 0: such a layer has no bias. Where its first
        layer is a `Scale` the weights of the features are fitted too, each by itself.
    X : array_like of shape (n, d), or (n, positions ..., channels)
        Samples. The kernel is computed in float64 whatever their dtype.
    y : array_like of shape (n,) or (n, k)
        Targets.
    noise : float > 0 or array_like of shape (n,), optional
        Variance of their noise. A number is kept with ``noise_bounds="fixed"``; otherwise the noise is fitted, from
        the most likely of a grid of values, whatever this number is. Variances of every sample are kept.
    kind : {"nngp", "ntk"}, default "nngp"
        Which kernel is the covariance.
    hyperparameters : {"shared", "all", "fixed"}, default "shared"
        Which sigmas are fitted: one factor for all sigma_w and one for all sigma_b; those of every layer, wherever it
        is in the network; or none, and no weights either.
    output_scale : bool, default True
        Whether also a factor of the outputs is fitted: of both sigmas of the last layer, which must be Dense, of the
        ntk parametrization. Then the fit follows the units of y. False: for data of an order of magnitude that the
        network has already.
    constant : bool, default False
        Whether the mean of the process is a constant, the most likely one of every output, and not 0.
    sigma_w_bounds, sigma_b_bounds : pair of floats > 0 or "fixed", optional
        Of the standard deviations of every layer, the output scale apart: those of all weights (sigma_w, sigma_u, ...),
        and of biases. By default 1/1000 and 1000 times where they start.
    scale_bounds : pair of floats > 0 or "fixed", optional
        Of the weights of a `Scale`, likewise.
    noise_bounds : pair of floats > 0 or "fixed", optional
        Of the noise. By default 1e-10 to 1e4 times the mean of the diagonal of the kernel.
    restarts : int, default 0
        How many more searches begin at random sigmas, around those of `net`; the best end is returned.
    random_state : int or Generator, optional
        Of those.
    most_evaluations : int, default 200
        Of the likelihood, in every search.
    tolerance : float > 0, default 1e-4
        On the slope of the log likelihood per target in the logarithm of every parameter. The search aims at a tenth.
    callback : callable, optional
        Called with (network, noise, log marginal likelihood) after every evaluation.

    Returns
    -------
    Fit
        ``network``, ``noise``, ``parameters``, ``log_marginal_likelihood``, ``converged``, ``message``, ``history``,
        ``evaluations``, ``iterations``, ``remarks``.

    Warns
    -----
    FitWarning
        Where a parameter ends at a bound, the kernel explains no more than a constant does (all is noise), the search
        does not converge, or a network without any bias meets targets whose mean is not 0. Also in ``Fit.remarks``.

    Raises
    ------
    ValueError, TypeError
        NaN, shapes that do not fit, noise <= 0, bounds that are none, targets that are 0; a noise or a kernel that
        float64 cannot hold in the units of y.
    numpy.linalg.LinAlgError
        If the kernel to start from, with the noise, is singular to working precision.

    Notes
    -----
    With covariance u² (K + lambda I) the most likely u² is yᵀ (K + lambda I)⁻¹ y / n, so that L-BFGS-B searches over
    the logarithms of the sigmas and of lambda alone. What is left has bounded slopes, whatever the units of y and
    wherever the search is, so no step goes far: with c y for y the search is the same, u is c times and the noise c²
    times as large, and the log likelihood differs by n log c. Where it begins lambda is the best of 101 values, by an
    eigendecomposition of the kernel of at most 1,000 of the samples. An evaluation costs n³ multiply-adds for the
    likelihood, and for the gradient one pass over the pairs, with weights of features two. Where a bias-free network is
    positively homogeneous sigma_w only rescales the kernel. There may be several maxima in the sigmas: `restarts`.
    A common factor of all weights of a `Scale` is one of the first sigma_w: only their ratios are sure.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, sections 5.1 and 5.4.1.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, size=(60, 1))
    >>> y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=60)
    >>> fit = fastntk.inference.fit_marginal_likelihood(fastntk.mlp(1, "erf", 2.0, 1.0), X, y)
    >>> fit.converged, bool(0.005 < fit.noise < 0.02)  # the truth is 0.01
    (True, True)
    """
    if not isinstance(net, Sequential):
        raise TypeError(f"net must be a fastntk.Sequential, got {shown(net)}.")
    x = shaped(net.layers, X, "X")
    if not len(x):
        raise ValueError(f"X has shape {x.shape}: a fit needs samples.")
    values = _checks.targets(y, "y", len(x))
    one_of(kind, "kind", ("nngp", "ntk"))
    check_which(hyperparameters)
    scaled = true_or_false(output_scale, "output_scale")
    constant = true_or_false(constant, "constant")
    if scaled:
        check_output(net)
    whole_number(most_evaluations, "most_evaluations", least=1)
    restarts = whole_number(restarts, "restarts", least=0)
    tolerance = positive(tolerance, "tolerance")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a callable or None, got {shown(callback)}.")
    rng = random_generator(random_state, "random_state")
    given = None if noise is None else _checks.noise(noise, "noise", len(x))
    if given is not None and np.min(given) <= 0:
        raise ValueError(f"noise must be > 0 to be fitted or to keep the kernel regular, got {np.min(given)!r}.")
    fixed = is_fixed(noise_bounds) or isinstance(given, np.ndarray)
    if fixed and given is None:
        raise ValueError("noise_bounds='fixed' needs noise= too.")
    limits = None if noise_bounds is None or fixed else pair(noise_bounds, "noise_bounds")
    if not values.any():
        raise ValueError("the mean square of y is 0: there is nothing to fit.")
    if constant and (values == values[0]).all():  # what is left of it is rounding
        raise ValueError("y is constant: there is nothing to fit.")
    sigmas = Sigmas(net, sigma_w_bounds, sigma_b_bounds, hyperparameters, scale_bounds)
    if fixed and not scaled and not len(sigmas):
        raise ValueError("there is nothing to fit: all sigmas are 0 or fixed, and so is the noise.")
    draws = rng.normal(scale=RESTART, size=(restarts, len(sigmas)))
    pattern = given / given.mean() if isinstance(given, np.ndarray) else np.ones(len(x))

    def climb(level: float | None) -> Search[Likelihood]:
        likelihood = Likelihood(sigmas, x, values, kind, level, pattern, scaled=scaled, constant=constant)
        found = Search(likelihood, most_evaluations, tolerance, callback)
        found.climb(draws)
        return found

    remarks = [] if constant else _without_bias(net, values, kind)
    with without(ToleranceWarning), blas_threads(len(x)):  # of candidates; the result warns where it is used
        found = climb(float(np.mean(given)) if given is not None and fixed else None)
        if limits is not None and not limits[0] <= found.best.noise <= limits[1]:
            level = min(max(found.best.noise, limits[0]), limits[1])
            remarks.append(f"the noise ended at its bound {level:.3g}.")
            before, found = found, climb(level)
            found.history[:0] = before.history
        found.likelihood.check_range(found.best)
    remarks += found.remarks()
    for remark in remarks:
        warn(remark, FitWarning)
    others = {"output_scale": found.best.output_scale} if scaled else {}
    others |= {} if fixed else {"noise": found.best.noise}
    return found.result(given if isinstance(given, np.ndarray) else found.best.noise, others, remarks)


def _without_bias(net: Sequential, y: Array, kind: str) -> list[str]:
    """A remark, if a network without any bias has to explain the mean of the targets."""
    weighted = [layer for _, layer in walk(net.layers) if isinstance(layer, Weighted)]
    if any(layer.bias if kind == "ntk" else layer.sigma_b > 0 for layer in weighted):
        return []
    unit = unit_of(y)  # squares of the targets themselves may overflow
    mean, deviation = np.abs((y / unit).mean(axis=0)), (y / unit).std(axis=0)
    if not (mean > 0.3 * deviation).any():
        return []
    return [
        "the network has no bias, which a fit cannot change (a sigma_b of 0 stays 0), and the mean of y is not 0: "
        "subtract it from y, or start from a small sigma_b."
    ]
