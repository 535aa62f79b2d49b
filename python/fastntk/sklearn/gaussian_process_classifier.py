"""Gaussian-process classification with the NNGP kernel, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._checks.arguments import one_of, true_or_false, whole_number
from .._checks.arrays import real_array
from .._checks.caller import warn
from .._machine.floating import undisturbed
from ..inference import laplace_posterior
from ..inference.fitting.labels import fit_labels
from ..inference.fitting.sigmas import Bounds, Sigmas, Which, check_which, is_fixed
from ..inference.logistic import log_average
from ..kernels.gradients import contract_along
from ._checks import warn_of_scales
from .base import NetworkEstimator, kept, whole
from .labels import array_of, chosen, classes_of
from .memory import PREDICT, advises, fit_advice
from .parameters import with_a_bias, with_parameters

Array = NDArray[Any]


@with_parameters
class NNGPClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """Gaussian-process classification with the NNGP kernel, by the Laplace approximation.

    Parameters
    ----------
    optimizer : {None, "lbfgs"}, default None
        "lbfgs" fits sigma_w, sigma_b, the weights of a `fastntk.Scale` and the scale of the outputs, by the approximate
        marginal likelihood.
    hyperparameters : {"shared", "all", "fixed"}, default "shared"
        Which sigmas are fitted: one factor for all of a kind, those of every layer, or none.
    output_scale : bool, default True
        Whether a factor of the outputs, of the sigmas of the last layer, is fitted.
    sigma_w_bounds, sigma_b_bounds, scale_bounds : pair of floats > 0 or "fixed", optional
        Where a fit may move them: standard deviations of all weights (sigma_w, sigma_u, ...), of biases, and weights
        of a `Scale`. A sigma_b of 0 in all layers starts a fit at 0.1, unless it is "fixed" or `network` is given.
    n_restarts_optimizer : int, default 0
        How many more fits begin at random sigmas; the best is kept.
    random_state : int, RandomState or None
        Of those.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        The labels.
    network_ : Sequential
        The network used, with the sigmas that were found; its last layer has the scale of the outputs.
    parameters_ : dict
        By name what is not fixed: sigmas before the scale of the outputs (of shared ones that differ the first), and
        that scale. Their logarithms are the theta of `log_marginal_likelihood`.
    log_marginal_likelihood_value_ : float
        Of the labels, approximately; with more than two classes the sum of those of every class against the rest.
    converged_, n_iter_ : bool, int
        Whether the mode was found, and by the optimiser a maximum; its iterations, 0 without one.
    X_fit_, dual_coef_, n_features_in_
        Training samples, in float64; label less probability at the mode, (n,) for two classes, (n, k) for more, such
        that ``network_.nngp(X, X_fit_) @ dual_coef_`` are log odds; number of features.

    Notes
    -----
    As scikit-learn's `GaussianProcessClassifier`: the logistic likelihood, and with more than two classes one against
    the rest, whose probabilities are divided by their sum. But that all classes have one kernel, of which the
    hyper-parameters make the sum of their likelihoods the largest: a likelihood and its gradient take one kernel
    and one pass over its pairs, whatever the number of classes.

    Probabilities are averages of the logistic function over the Gaussian of the log odds, by quadrature, to rounding.
    They are cautious: where the fitted kernel is large, as of data that can be separated, the Laplace approximation
    makes them less extreme than those of the exact posterior; see `fastntk.inference.laplace_posterior`.

    Kernels are float64 whatever X is. Cost: n³/3 multiply-adds times 5 to 15 Newton steps to fit one class, as often as
    the optimiser asks, and the memory of a kernel each; m n² / 2 a class for probabilities. A fit that ends at a bound,
    finds nothing but chance or does not converge gives a ConvergenceWarning.

    References
    ----------
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, sections 3.4 and 5.5.1.
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018.

    Examples
    --------
    >>> from fastntk.sklearn import NNGPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), NNGPClassifier(1, "erf", 1.0, 1.0, optimizer="lbfgs")).fit(X, y)
    >>> bool(model.score(X, y) > 0.95), model.predict_proba(X[:5]).shape
    (True, (5, 3))
    """

    optimizer: Literal["lbfgs"] | None = None
    hyperparameters: Which = "shared"
    output_scale: bool = True
    sigma_w_bounds: Bounds = None
    sigma_b_bounds: Bounds = None
    scale_bounds: Bounds = None
    n_restarts_optimizer: int = 0
    random_state: Any = None

    @undisturbed
    @advises(fit_advice("Classifier"))
    @whole
    def fit(self, X: ArrayLike, y: ArrayLike) -> NNGPClassifier:
        """Fit to samples X of shape (n, d) and labels y of shape (n,)."""
        one_of(self.optimizer, "optimizer", (None, "lbfgs"))
        restarts = whole_number(self.n_restarts_optimizer, "n_restarts_optimizer", least=0)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        output_scale = true_or_false(self.output_scale, "output_scale")
        check_which(self.hyperparameters)
        net = self._make_network()
        # A copy: what X is changed to later does not change the fit.
        x, given = self._validated(X, None if y is None else array_of(y), dtype=np.float64, copy=True)
        check_classification_targets(given)
        warn_of_scales(x, self.network)
        classes, numbers = classes_of(given)
        labels = np.asarray(numbers, np.float64) if len(classes) == 2 else np.eye(len(classes))[numbers]

        fixed = self.hyperparameters == "fixed" or is_fixed(self.sigma_b_bounds)
        if not (self.optimizer is None or self.network is not None or fixed):
            net = with_a_bias(net)
        sigmas = Sigmas(net, self.sigma_w_bounds, self.sigma_b_bounds, self.hyperparameters, self.scale_bounds)
        parameters = dict(zip(sigmas.names, sigmas.values.tolist(), strict=True))
        parameters |= {"output_scale": 1.0} if output_scale else {}
        converged, iterations = True, 0
        if self.optimizer is not None:
            found = fit_labels(sigmas, x, labels, output_scale=output_scale, restarts=restarts, seed=seed)
            for remark in found.remarks:
                warn(remark, ConvergenceWarning)
            net, parameters, converged, iterations = found.network, found.parameters, found.converged, found.iterations
        posterior = laplace_posterior(net.nngp(x), labels)
        if not posterior.converged:
            warn(
                "the mode of the posterior is not known to 1e-5 in float64: the kernel is too large for labels that "
                "contradict each other. Divide the sigmas of the last layer.",
                ConvergenceWarning,
            )
        x = kept(x)
        cross = net.nngp.prepare(x)
        self.network_, self.classes_, self.parameters_ = net, classes, parameters
        self.converged_, self.n_iter_ = converged and posterior.converged, iterations
        self.log_marginal_likelihood_value_ = posterior.log_marginal_likelihood
        self.X_fit_, self._labels, self.dual_coef_ = x, labels, posterior.dual_coefficients
        self._posterior, self._cross = posterior, cross
        self._sigmas = sigmas  # those it began with: a later set_params must not mix with the fit
        return self

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
        """Approximate log marginal likelihood of the training labels, as a function of the hyper-parameters.

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
        scaled = len(logs) > len(self._sigmas)
        squared = float(np.exp(2 * logs[-1])) if scaled else 1.0
        net = self._sigmas.with_values(np.exp(logs[: len(self._sigmas)]))
        kernel = squared * net.nngp(self.X_fit_)
        posterior = laplace_posterior(kernel, self._labels)
        if not eval_gradient:
            return posterior.log_marginal_likelihood
        slopes = posterior.kernel_gradient()
        in_scale = [2 * float(np.einsum("ij,ij", slopes, kernel))] * scaled
        in_sigmas = contract_along(net.layers, self.X_fit_, squared * slopes, None, "nngp", self._sigmas.moves(net))
        return posterior.log_marginal_likelihood, np.append(in_sigmas, in_scale)

    @undisturbed
    @advises(PREDICT)
    def latent_mean_and_variance(self, X: ArrayLike) -> tuple[Array, Array]:
        """Mean and variance of the log odds: of shape (m,) for two classes, (m, k) for more."""
        check_is_fitted(self)
        x = self._validated(X, dtype=np.float64, reset=False)
        return self._posterior.latent(self._cross(x), self.network_.nngp.diag(x))

    @undisturbed
    @advises(PREDICT)
    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithm of the probability of each class, of shape (m, k), in the order of `classes_`; never -inf."""
        mean, variance = self.latent_mean_and_variance(X)
        if mean.ndim == 1:
            return np.stack([log_average(-mean, variance), log_average(mean, variance)], axis=1)
        return np.asarray(log_softmax(log_average(mean, variance), axis=1))

    @undisturbed
    @advises(PREDICT)
    def predict_proba(self, X: ArrayLike) -> Array:
        """Probability of each class, of shape (m, k), in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    @undisturbed
    @advises(PREDICT)
    def predict(self, X: ArrayLike) -> Array:
        """The most probable label, of shape (m,)."""
        check_is_fitted(self)
        if len(self.classes_) > 2:
            return chosen(self.predict_log_proba(X), self.classes_)
        # Of two classes it is the likelier where its log odds are, whatever their variance.
        return chosen(self._cross(self._validated(X, dtype=np.float64, reset=False)) @ self.dual_coef_, self.classes_)
