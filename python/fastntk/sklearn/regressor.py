"""Regression by training infinitely wide networks, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import not_negative, true_or_false
from .._machine.floating import undisturbed
from ..inference import GradientFlow
from ..inference.process.targets import standardised
from ._checks import warn_of_size
from .base import Regressor, kept, whole
from .memory import PREDICT, advises, fit_advice
from .parameters import with_parameters
from .weights import refuse_far, regression, sample_weights, scaled

Array = NDArray[Any]


@with_parameters
class NTKRegressor(Regressor):
    """An ensemble of infinitely wide networks, trained by gradient flow on the squared error.

    Parameters
    ----------
    t : float, optional
        Training time on ½‖f - y‖², summed over samples; by default training goes on to the end, which is kernel ridge
        regression.
    ridge : float, default 0.01
        Added to the diagonal of Theta: the weight of ½‖theta - theta_0‖².

    Attributes
    ----------
    network_ : Sequential
        The network used.
    X_fit_, n_features_in_
        Training samples, number of features.
    dual_coef_ : ndarray of shape (n,) or (n, k)
        Such that ``network_.ntk(X, X_fit_) @ dual_coef_`` are predictions.

    Notes
    -----
    Deviations and covariances are those of the ensemble over random initialisation, in which the mean network starts
    at 0. They are not the posterior of a Gaussian process: see He, Lakshminarayanan, Teh, NeurIPS 2020. They need
    another kernel, K, and an eigendecomposition, both made when first asked for.

    With weights w of samples the loss is ½ sum_i w_i |f(x_i) - y_i|²: a weight of 2 is the sample twice, one of 0 none.
    For deviations, and with a training time, they must be within 1e6 of each other.

    References
    ----------
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018.
    Lee et al., "Wide neural networks of any depth evolve as linear models", NeurIPS 2019, eq. 14-16.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.sklearn import NTKRegressor
    >>> X = np.linspace(-2, 2, 30)[:, None]
    >>> model = NTKRegressor(2, "relu", 1.5, 0.5, ridge=1e-4).fit(X, np.sin(2 * X[:, 0]))
    >>> bool(model.score(X, np.sin(2 * X[:, 0])) > 0.99)
    True
    """

    t: float | None = None
    ridge: float = 1e-2

    @undisturbed
    @advises(fit_advice("Regressor"))
    @whole
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> NTKRegressor:
        """Fit to samples X of shape (n, d), targets y of shape (n,) or (n, k), and weights >= 0 of shape (n,) or ()."""
        ridge, t, net = not_negative(self.ridge, "ridge"), self._time(), self._make_network()
        x, values = self._data(X, y)
        weights = sample_weights(sample_weight, len(x))
        there = weights > 0
        x, values, weights = x[there], values[there], weights[there]
        if t is not None:
            refuse_far(weights)
        mean, scale = np.zeros(values.shape[1:]), np.ones(values.shape[1:])
        if true_or_false(self.normalize_y, "normalize_y"):
            values, mean, scale = standardised(values, weights)
        kernel = net.ntk(x)
        warn_of_size(kernel.diagonal(), ridge, "ridge")
        root, flow = np.sqrt(weights), None
        wanted = (root * values.T).T
        if t is None:
            _, dual = regression(kernel, ridge, weights, values, "the NTK")
        else:
            flow = GradientFlow(scaled(kernel, root), wanted, ridge=ridge)
            dual = (root * flow.dual_coefficients(t).T).T
        x = kept(x)
        cross = net.ntk.prepare(x)
        # Of the parameters what `predict` needs, which a later set_params must not mix with the fit.
        self.network_, self._ridge, self._t = net, ridge, t
        self._y_mean, self._y_scale = mean, scale
        self.X_fit_, self.dual_coef_, self._cross = x, dual, cross
        self._weights, self._targets, self._flow = weights, wanted, flow
        return self

    def _time(self) -> float | None:
        if self.t is None or (isinstance(self.t, float) and self.t == np.inf):
            return None
        if np.ndim(self.t):
            raise TypeError(
                "t must be one number >= 0, or None for the end of training, got several; for outputs at several times "
                "take fastntk.inference.GradientFlow."
            )
        return not_negative(self.t, "t")

    @undisturbed
    @advises(PREDICT)
    def predict(self, X: ArrayLike, return_std: bool = False, return_cov: bool = False) -> Array | tuple[Array, Array]:
        """Mean output of the trained networks, and its standard deviation or covariance over initialisations.

        Parameters
        ----------
        X : array_like of shape (m, d)
            Samples.
        return_std, return_cov : bool, default False
            At most one of them.

        Returns
        -------
        mean : ndarray of shape (m,) or (m, k)
        std : ndarray of shape (m,) or (m, k), if asked for
        covariance : ndarray of shape (m, m) or (m, m, k), if asked for
        """
        x, whole = self._asked(X, return_std=return_std, return_cov=return_cov)
        if whole is None:
            return self._answer(self._mean(self._cross(x)), None, std=False)
        root = np.sqrt(self._weights)
        if self._flow is None or self._flow.nngp_train is None:
            refuse_far(self._weights)
            both = self.network_.kernels(self.X_fit_)
            theta, k = scaled(both.ntk, root), scaled(both.nngp, root)
            self._flow = GradientFlow(theta, self._targets, nngp_train=k, ridge=self._ridge)
        cross = self.network_.kernels(x, self.X_fit_)
        test = self.network_.nngp(x) if whole else self.network_.nngp.diag(x)
        t = np.inf if self._t is None else self._t
        covariance = self._flow.covariance(t, cross.ntk * root, cross.nngp * root, test)
        return self._answer(self._mean(cross.ntk), covariance, std=return_std)

    def _mean(self, cross: Array) -> Array:
        if self._flow is None or self._t is None:
            return np.asarray(cross @ self.dual_coef_)
        return self._flow.mean(self._t, cross * np.sqrt(self._weights))

    def _answer(self, mean: Array, covariance: Array | None, *, std: bool) -> Array | tuple[Array, Array]:
        """Undo the standardisation; the covariance, or its diagonal, is that of every output."""
        mean = mean * self._y_scale + self._y_mean
        if covariance is None:
            return mean
        covariance = np.multiply.outer(np.sqrt(covariance) if std else covariance, self._y_scale ** (1 if std else 2))
        return mean, covariance
