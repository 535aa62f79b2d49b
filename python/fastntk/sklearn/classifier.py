"""Classification with the kernels of infinitely wide networks, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .._validation import one_of
from ..activations import Activation
from ..inference._checks import not_negative
from ..inference.posterior import cholesky, solve
from ..network import Sequential
from .estimators import NetworkEstimator

Array = NDArray[Any]


class NTKClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """Classification by ridge regression on one-hot labels, with the NTK or the NNGP kernel.

    Parameters
    ----------
    depth : int, default 1
        Number of hidden layers.
    activation : str or Activation, default "relu"
        Of every hidden layer.
    sigma_w, sigma_b : float, default 1.0 and 0.0
        Standard deviations of weights and biases in every layer.
    kind : {"ntk", "nngp"}, default "ntk"
        Which kernel: of trained wide networks, or of Bayesian ones.
    ridge : float, default 0.01
        Added to the diagonal of the kernel.
    network : Sequential, optional
        Any other architecture, instead of depth, activation and sigmas.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        The labels.
    network_, X_fit_, n_features_in_
        The network used, training samples, number of features.
    dual_coef_ : ndarray of shape (n,) for two classes, (n, k) for more
        Such that ``kernel(X, X_fit_) @ dual_coef_`` is the decision function.

    Notes
    -----
    Targets are one-hot less 1/k (Lee et al. 2018, section 3.1); with two classes -1 and 1. The regression is cheap and
    as good as a support vector machine on many data. For the latter: ``SVC(kernel=NTKKernel(...))``, or with
    many values of C on one kernel, as Arora et al. 2020 do, ``SVC(kernel="precomputed").fit(net.ntk(X), y)``.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018.
    Arora et al., "Harnessing the power of infinitely wide deep nets on small-data tasks", ICLR 2020.

    Examples
    --------
    >>> from fastntk.sklearn import NTKClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> model = make_pipeline(StandardScaler(), NTKClassifier(2, "relu", 2**0.5, 0.1))
    >>> bool(cross_val_score(model, *load_iris(return_X_y=True)).mean() > 0.95)
    True
    """

    def __init__(
        self,
        depth: int = 1,
        activation: str | Activation = "relu",
        sigma_w: float = 1.0,
        sigma_b: float = 0.0,
        *,
        kind: Literal["ntk", "nngp"] = "ntk",
        ridge: float = 1e-2,
        network: Sequential | None = None,
    ) -> None:
        self.depth = depth
        self.activation = activation
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.kind = kind
        self.ridge = ridge
        self.network = network

    def fit(self, X: ArrayLike, y: ArrayLike) -> NTKClassifier:
        """Fit to samples X of shape (n, d) and labels y of shape (n,)."""
        one_of(self.kind, "kind", ("ntk", "nngp"))
        self._fitted_kind = self.kind  # a later set_params must not mix with the fit in predict
        self.network_ = self._make_network()
        x, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError(f"a classifier needs at least two classes, got 1 class: {self.classes_[0]!r}.")
        targets = np.where(numbers == 1, 1.0, -1.0) if k == 2 else np.eye(k)[numbers] - 1 / k
        factor = cholesky(
            self._kernel(x),
            not_negative(self.ridge, "ridge"),
            name=f"the {self.kind.upper()}",
            remedy="Pass ridge= > 0.",
        )
        self.dual_coef_ = solve(factor, targets)
        self.X_fit_ = x
        return self

    def _kernel(self, x: Array, y: Array | None = None) -> Array:
        return self.network_.ntk(x, y) if self._fitted_kind == "ntk" else self.network_.nngp(x, y)

    def decision_function(self, X: ArrayLike) -> Array:
        """Outputs of the regression: of shape (m,) for two classes, (m, k) for more."""
        check_is_fitted(self)
        return np.asarray(self._kernel(self._samples(X, reset=False), self.X_fit_) @ self.dual_coef_)

    def predict(self, X: ArrayLike) -> Array:
        """Labels, of shape (m,)."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[chosen])
