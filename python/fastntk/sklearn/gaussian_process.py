"""Gaussian-process regression with the NNGP kernel, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from .._checks.arguments import one_of, random_generator, true_or_false, whole_number
from .._checks.arrays import real_array
from .._checks.caller import warn, without
from .._machine.floating import undisturbed
from ..inference import GaussianProcess, _checks, log_marginal_likelihood
from ..inference.fitting import Fit, FitWarning, fit_marginal_likelihood
from ..inference.fitting.sigmas import Bounds, Sigmas, Which, check_which, is_fixed, pair
from ..inference.process.targets import standardised
from ..kernels.gradients import contract_along
from ..networks.sequential import Sequential
from ._checks import warn_of_size
from .base import Regressor, whole
from .memory import PREDICT, advises, fit_advice
from .parameters import with_a_bias, with_parameters

Array = NDArray[Any]
RandomState = int | np.random.Generator | np.random.RandomState | None

#: Parameters that have the same name in `fit_marginal_likelihood`.
_OF_A_FIT = (
    *("noise", "hyperparameters", "output_scale"),
    *("sigma_w_bounds", "sigma_b_bounds", "scale_bounds", "noise_bounds"),
)


@with_parameters
class NNGPRegressor(Regressor):
    """Gaussian-process regression with the NNGP kernel: Bayesian inference in an infinitely wide network.

    Parameters
    ----------
    noise : float or array_like of shape (n,), default 0.01
        Variance of the noise of y (after `normalize_y`), one for all or one a sample: scikit-learn's alpha.
    optimizer : {None, "lbfgs"}, default None
        "lbfgs" fits sigma_w, sigma_b, the weights of a `fastntk.Scale`, the scale of the outputs and the noise:
        `fastntk.inference.fit_marginal_likelihood`. The variances of every sample are kept.
    hyperparameters : {"shared", "all", "fixed"}, default "shared"
        Which sigmas are fitted: one factor for all of a kind, those of every layer, or none.
    output_scale : bool, default True
        Whether a factor of the outputs, of the sigmas of the last layer, is fitted.
    sigma_w_bounds, sigma_b_bounds, scale_bounds, noise_bounds : pair of floats > 0 or "fixed", optional
        Where a fit may move them: standard deviations of all weights (sigma_w, sigma_u, ...), of biases, and weights
        of a `Scale`. A sigma_b of 0 in all layers starts a fit at 0.1, unless it is "fixed" or `network` is given.
    n_restarts_optimizer : int, default 0
        How many more fits begin at random sigmas; the best is kept.
    random_state : int, Generator or RandomState, optional
        Of those.

    Attributes
    ----------
    network_ : Sequential
        The network used, with the sigmas that were found; its last layer has the scale of the outputs.
    noise_ : float or ndarray of shape (n,)
        The variance of the noise used.
    parameters_ : dict
        By name what is not fixed: sigmas before the scale of the outputs (of shared ones that differ the first), that
        scale, noise. Their logarithms are the theta of `log_marginal_likelihood`.
    log_marginal_likelihood_value_ : float
        Of the (standardised) targets.
    converged_, n_iter_ : bool, int
        Whether the optimiser found a maximum, and its iterations; True and 0 without one.
    X_fit_, dual_coef_, n_features_in_
        Training samples, in float64; (K + noise I)⁻¹ y; number of features.

    Notes
    -----
    Kernels are float64 whatever X is. Cost: n³/3 multiply-adds to fit; m n to predict means, m n² deviations. A fit by
    likelihood that ends at a bound, finds nothing but noise or does not converge gives a ConvergenceWarning.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.sklearn import NNGPRegressor
    >>> X = np.linspace(-2, 2, 30)[:, None]
    >>> y = np.sin(1 + 2 * X[:, 0]) + 0.05 * np.random.default_rng(0).normal(size=30)
    >>> model = NNGPRegressor(2, "erf", 2.0, 0.5, optimizer="lbfgs").fit(X, y)
    >>> mean, std = model.predict([[0.5]], return_std=True)
    >>> model.converged_, bool(abs(mean[0] - np.sin(2.0)) < 0.05)
    (True, True)
    """

    noise: float | ArrayLike = 1e-2
    optimizer: Literal["lbfgs"] | None = None
    hyperparameters: Which = "shared"
    output_scale: bool = True
    sigma_w_bounds: Bounds = None
    sigma_b_bounds: Bounds = None
    scale_bounds: Bounds = None
    noise_bounds: Bounds = None
    n_restarts_optimizer: int = 0
    random_state: RandomState = None

    @undisturbed
    @advises(fit_advice("Regressor"))
    @whole
    def fit(self, X: ArrayLike, y: ArrayLike) -> NNGPRegressor:
        """Fit to samples X of shape (n, d) and targets y of shape (n,) or (n, k)."""
        one_of(self.optimizer, "optimizer", (None, "lbfgs"))
        whole_number(self.n_restarts_optimizer, "n_restarts_optimizer", least=0)
        rng = _generator(self.random_state)
        output_scale = true_or_false(self.output_scale, "output_scale")
        check_which(self.hyperparameters)
        if not (self.noise_bounds is None or is_fixed(self.noise_bounds)):
            pair(self.noise_bounds, "noise_bounds")
        net = self._make_network()
        x, targets = self._data(X, y)
        standardize = true_or_false(self.normalize_y, "normalize_y")
        values = standardised(targets)[0] if standardize else targets
        noise = _checks.noise(self.noise, "noise", len(x))
        fixed = self.hyperparameters == "fixed" or is_fixed(self.sigma_b_bounds)
        begun = net if self.network is not None or fixed else with_a_bias(net)
        found = None if self.optimizer is None else self._maximise(begun, x, values, rng)
        start = net if found is None else begun
        sigmas = Sigmas(start, self.sigma_w_bounds, self.sigma_b_bounds, self.hyperparameters, self.scale_bounds)
        if found is not None:
            net, noise, parameters = found.network, found.noise, found.parameters
        else:
            parameters = dict(zip(sigmas.names, sigmas.values.tolist(), strict=True))
            parameters |= {"output_scale": 1.0} if output_scale else {}
            if not isinstance(noise, np.ndarray) and noise > 0 and not is_fixed(self.noise_bounds):
                parameters["noise"] = noise
        process = GaussianProcess(net, x, targets, noise=noise, standardize=standardize)
        if found is None:
            warn_of_size(net.nngp.diag(x), float(np.mean(noise)), "noise")
        of_units = len(x) * float(np.log(process.scale).sum())
        self.network_, self.noise_, self.parameters_ = net, noise, parameters
        self.converged_, self.n_iter_ = (True, 0) if found is None else (found.converged, found.iterations)
        self.log_marginal_likelihood_value_ = process.log_marginal_likelihood() + of_units
        self.X_fit_, self.dual_coef_ = process.X, process.dual
        self._process, self._targets = process, values
        self._sigmas = sigmas  # those it began with: a later set_params must not mix with the fit
        return self

    def _maximise(self, net: Sequential, x: Array, values: Array, rng: np.random.Generator) -> Fit | None:
        """The fit by likelihood, unless there is nothing to fit."""
        if not values.any():
            warn("y is constant: there is nothing to fit.", ConvergenceWarning)
            return None
        with without(FitWarning):  # scikit-learn has its own kind
            found = fit_marginal_likelihood(
                net,
                x,
                values,
                restarts=self.n_restarts_optimizer,
                random_state=rng,
                **{name: getattr(self, name) for name in _OF_A_FIT},
            )
        for remark in found.remarks:
            warn(remark, ConvergenceWarning)
        return found

    @overload
    def log_marginal_likelihood(
        self, theta: ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> float: ...
    @overload
    def log_marginal_likelihood(self, theta: ArrayLike, eval_gradient: Literal[True]) -> tuple[float, Array]: ...
    @undisturbed
    def log_marginal_likelihood(
        self, theta: ArrayLike | None = None, eval_gradient: bool = False
    ) -> float | tuple[float, Array]:
        """Log marginal likelihood of the (standardised) training targets, as a function of the hyper-parameters.

        Parameters
        ----------
        theta : array_like of shape (p,), optional
            Logarithms, in the order of `parameters_`; by default those of the fit.
        eval_gradient : bool, default False
            Whether the gradient in theta is wanted too; it needs theta, as in scikit-learn.

        Returns
        -------
        float
            And with `eval_gradient` an array of shape (p,).
        """
        check_is_fitted(self)
        if theta is None:
            if eval_gradient:
                raise ValueError("Gradient can only be evaluated for theta!=None")
            return float(self.log_marginal_likelihood_value_)
        logs = np.asarray(real_array(theta, "theta"), np.float64)
        if logs.shape != (len(self.parameters_),):
            raise ValueError(f"theta must hold the logarithms of {list(self.parameters_)}, got shape {logs.shape}.")
        values = dict(zip(self.parameters_, np.exp(logs).tolist(), strict=True))
        noise, squared = values.get("noise", self.noise_), values.get("output_scale", 1.0) ** 2
        net = self._sigmas.with_values(np.exp(logs[: len(self._sigmas)]))
        kernel = squared * net.nngp(self.X_fit_)
        if not eval_gradient:
            return log_marginal_likelihood(kernel, self._targets, noise)
        found = log_marginal_likelihood(kernel, self._targets, noise, gradient=True)
        weights = squared * found.kernel_gradient
        in_sigmas = contract_along(net.layers, self.X_fit_, weights, None, "nngp", self._sigmas.moves(net))
        slopes = {
            "output_scale": 2 * float(np.einsum("ij,ij", found.kernel_gradient, kernel)),
            "noise": found.noise_gradient * noise,
        }
        rest = [slopes[name] for name in list(values)[len(self._sigmas) :]]
        return found.value, np.append(in_sigmas, rest)

    @undisturbed
    @advises(PREDICT)
    def predict(
        self,
        X: ArrayLike,
        return_std: bool = False,
        return_cov: bool = False,
        include_noise: bool = False,
        return_gradient: bool = False,
    ) -> Array | tuple[Array, ...]:
        """Posterior mean of the function, and its standard deviation or covariance, and gradients of the former.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Samples.
        return_std, return_cov : bool, default False
            At most one of them.
        include_noise : bool, default False
            Whether they are those of new targets, with their noise, and not of the noise-free function.
        return_gradient : bool, default False
            Whether the gradient of the mean in the features is wanted, and with `return_std` that of the deviation;
            not with `return_cov`. Where the deviation is 0 its gradient is given as 0.

        Returns
        -------
        ndarray of shape (m,) or (m, k)
            The mean; and, if asked for, the deviation, of that shape, or the covariance, of shape (m, m) or (m, m, k);
            the gradient of the mean, of shape (m, d) or (m, k, d); that of the deviation: always in this order.
        """
        x, _ = self._asked(X, return_std=return_std, return_cov=return_cov)
        if return_gradient and return_cov:
            raise ValueError(
                "return_gradient=True belongs to the mean alone or to return_std=True, not return_cov=True."
            )
        process = self._process
        if return_cov:
            return tuple(process.predict(x, covariance=True, include_noise=include_noise))
        if not return_std:
            if include_noise:
                raise ValueError("include_noise=True belongs to return_std=True or return_cov=True.")
            return process.predict(x, gradient=True)[::2] if return_gradient else process.posterior_mean(x)
        found = process.predict(x, gradient=True, include_noise=include_noise) if return_gradient else None
        return tuple(found or process.predict(x, include_noise=include_noise))

    @undisturbed
    def sample_y(self, X: ArrayLike, n_samples: int = 1, random_state: RandomState = 0) -> Array:
        """Draw functions from the posterior: of shape (m, n_samples), or (m, k, n_samples)."""
        x, _ = self._asked(X, return_std=False, return_cov=True)
        return np.moveaxis(self._process.sample(x, n_samples, rng=_generator(random_state)), 0, -1)


def _generator(random_state: RandomState) -> np.random.Generator:
    # Before NumPy 2.2 no Generator is made of a RandomState.
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return random_generator(random_state, "random_state")
