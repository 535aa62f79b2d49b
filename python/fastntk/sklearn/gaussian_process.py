"""Gaussian-process regression with the NNGP kernel, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..activations import Activation
from ..fitting import fit_marginal_likelihood
from ..inference import GPPosterior
from ..inference._checks import not_negative
from ..inference.posterior import cholesky, log_density, solve, spread
from ..network import Sequential
from .estimators import _NOTHING_FROM, _Regressor

Array = NDArray[Any]


class NNGPRegressor(_Regressor):
    """Gaussian-process regression with the NNGP kernel: Bayesian inference in an infinitely wide network.

    Parameters
    ----------
    depth : int, default 1
        Number of hidden layers.
    activation : str or Activation, default "relu"
        Of every hidden layer.
    sigma_w, sigma_b : float, default 1.0 and 0.0
        Standard deviations of weights and biases in every layer.
    noise : float, default 0.01
        Variance of the noise of y (after `normalize_y`).
    optimizer : {None, "lbfgs"}, default None
        "lbfgs" fits sigma_w, sigma_b and noise by marginal likelihood, starting from the values given; a sigma of 0
        stays 0. `fastntk.fitting.fit_marginal_likelihood`.
    normalize_y : bool, default False
        Whether to fit (y - mean) / standard deviation.
    network : Sequential, optional
        Any other architecture, instead of depth, activation and sigmas.

    Attributes
    ----------
    network_ : Sequential
        The network used, with the sigmas that were found.
    noise_ : float
        The variance of the noise used.
    log_marginal_likelihood_value_ : float
        Of the (standardised) targets.
    X_fit_, dual_coef_, n_features_in_
        Training samples; (K + noise I)⁻¹ y; number of features.

    Notes
    -----
    Cost: n³/3 multiply-adds to fit; m n to predict means, m n² deviations.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.sklearn import NNGPRegressor
    >>> X = np.linspace(-2, 2, 30)[:, None]
    >>> model = NNGPRegressor(2, "erf", 2.0, 0.5, noise=0.1, optimizer="lbfgs").fit(X, np.sin(2 * X[:, 0]))
    >>> mean, std = model.predict([[0.5]], return_std=True)
    >>> bool(abs(mean[0] - np.sin(1.0)) < 0.01)
    True
    """

    def __init__(
        self,
        depth: int = 1,
        activation: str | Activation = "relu",
        sigma_w: float = 1.0,
        sigma_b: float = 0.0,
        *,
        noise: float = 1e-2,
        optimizer: Literal["lbfgs"] | None = None,
        normalize_y: bool = False,
        network: Sequential | None = None,
    ) -> None:
        self.depth = depth
        self.activation = activation
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.noise = noise
        self.optimizer = optimizer
        self.normalize_y = normalize_y
        self.network = network

    def fit(self, X: ArrayLike, y: ArrayLike) -> NNGPRegressor:
        """Fit to samples X of shape (n, d) and targets y of shape (n,) or (n, k)."""
        if self.optimizer not in (None, "lbfgs"):
            raise ValueError(f"optimizer must be None or 'lbfgs', got {self.optimizer!r}.")
        net = self._make_network()
        x, values = self._data(X, y)
        self.network_, self.noise_ = net, not_negative(self.noise, "noise")
        if self.optimizer is not None:
            found = fit_marginal_likelihood(net, x, values, noise=self.noise)
            self.network_, self.noise_ = found.network, found.noise
        self._factor = cholesky(self.network_.nngp(x), self.noise_)
        self.dual_coef_ = solve(self._factor, values)
        self.log_marginal_likelihood_value_ = log_density(self._factor, values, self.dual_coef_)
        self.X_fit_ = x
        return self

    def _posterior(self, X: ArrayLike, *, whole: bool | None) -> GPPosterior:
        check_is_fitted(self)
        x = self._samples(X, reset=False)
        cross = self.network_.nngp(x, self.X_fit_)
        test = None if whole is None else self.network_.nngp(x) if whole else self.network_.nngp_diag(x)
        return GPPosterior(cross @ self.dual_coef_, 0.0, None if test is None else spread(self._factor, cross, test))

    def predict(self, X: ArrayLike, return_std: bool = False, return_cov: bool = False) -> Array | tuple[Array, Array]:
        """Posterior mean of the noise-free function, and its standard deviation or covariance.

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
        if return_std and return_cov:
            raise ValueError(_NOTHING_FROM)
        posterior = self._posterior(X, whole=True if return_cov else False if return_std else None)
        covariance = posterior.covariance if return_cov else posterior.variance if return_std else None
        return self._answer(posterior.mean, covariance, std=return_std)

    def sample_y(
        self,
        X: ArrayLike,
        n_samples: int = 1,
        random_state: int | np.random.Generator | np.random.RandomState | None = 0,
    ) -> Array:
        """Draw functions from the posterior: of shape (m, n_samples), or (m, k, n_samples)."""
        # Before NumPy 2.2 no Generator is made of a RandomState.
        if isinstance(random_state, np.random.RandomState):
            random_state = int(random_state.randint(2**31 - 1))
        draws = self._posterior(X, whole=True).sample(n_samples, rng=random_state)
        return np.asarray(np.moveaxis(draws * self._y_scale + self._y_mean, 0, -1))
