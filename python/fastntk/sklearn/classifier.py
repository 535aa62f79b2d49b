"""Classification with the kernels of infinitely wide networks, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._checks.arguments import not_negative, one_of
from .._machine.factor import inverse
from .._machine.floating import undisturbed
from ._checks import warn_of_scales, warn_of_size
from .base import NetworkEstimator, kept, whole
from .labels import array_of, chosen, classes_of, targets
from .memory import PREDICT, advises, fit_advice
from .parameters import with_parameters
from .temperature import best_temperature, leave_out, logits
from .weights import class_weights, regression, sample_weights

Array = NDArray[Any]


def _has_probabilities(model: NTKClassifier) -> bool:
    if model.probability is None:
        raise AttributeError("predict_proba is there with probabilities only: pass probability='temperature'.")
    return True


@with_parameters
class NTKClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """Classification by ridge regression on one-hot labels, with the NTK or the NNGP kernel.

    Parameters
    ----------
    kind : {"ntk", "nngp"}, default "ntk"
        Which kernel: of trained wide networks, or of Bayesian ones.
    ridge : float, default 0.01
        Added to the diagonal of the kernel, for every sample divided by its weight.
    probability : {None, "temperature"}, default None
        Whether there is `predict_proba`: the softmax of the decision function over a temperature, that of the least log
        loss of the outputs with every sample left out. It takes the inverse of the kernel, 2/3 n^3 multiply-adds more.
    class_weight : {None, "balanced"} or dict, default None
        Weights of classes, that those of samples are multiplied with. "balanced": the same sum for every class.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        The labels.
    network_, X_fit_, n_features_in_
        The network used, training samples, number of features.
    dual_coef_ : ndarray of shape (n,) for two classes, (n, k) for more
        Such that ``kernel(X, X_fit_) @ dual_coef_`` is the decision function.
    temperature_ : float
        With `probability`.

    Notes
    -----
    Targets are one-hot less 1/k (Lee et al. 2018, section 3.1); with two classes -1 and 1. With weights w the sum of
    w_i |f(x_i) - y_i|^2 + ridge |f|^2 is least, and alpha = (K + ridge diag(1/w))^-1 y: a weight of 2 is the sample
    twice, one of 0 none.

    With A the matrix inverted, outputs at a sample left out are y_i - alpha_i / (A^-1)_ii; of one with a weight above
    1, a part of 1 is left out. Targets of the log loss are (n + 1) / (n + 2), the rest shared by the other classes, so
    that the temperature is above 0 where all are right. It does not change which class is the most probable.

    The regression is cheap and as good as a support vector machine on many data. For the latter:
    ``SVC(kernel=NTKKernel(...))``, or with many values of C on one kernel, as Arora et al. 2020 do,
    ``SVC(kernel="precomputed").fit(net.ntk(X), y)``.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018.
    Arora et al., "Harnessing the power of infinitely wide deep nets on small-data tasks", ICLR 2020.
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017 (temperature).
    Platt, "Probabilistic outputs for support vector machines", 1999 (targets that are not 0 and 1).
    Rasmussen and Williams, "Gaussian processes for machine learning", 2006, eq. 5.12 (leaving one out).

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

    kind: Literal["ntk", "nngp"] = "ntk"
    ridge: float = 1e-2
    probability: Literal["temperature"] | None = None
    class_weight: Literal["balanced"] | dict[Any, float] | None = None

    @undisturbed
    @advises(fit_advice("Classifier"))
    @whole
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> NTKClassifier:
        """Fit to samples X of shape (n, d) and labels y of shape (n,), and weights >= 0 of shape (n,) or ()."""
        one_of(self.kind, "kind", ("ntk", "nngp"))
        one_of(self.probability, "probability", (None, "temperature"))
        ridge, net = not_negative(self.ridge, "ridge"), self._make_network()
        # A copy: what X is changed to later does not change the fit.
        x, labels = self._validated(X, None if y is None else array_of(y), dtype=[np.float64, np.float32], copy=True)
        check_classification_targets(labels)
        warn_of_scales(x, self.network)
        given = sample_weights(sample_weight, len(x))
        there = given > 0
        x, labels, given = x[there], labels[there], given[there]
        classes, numbers = classes_of(labels)
        of_class = class_weights(self.class_weight, classes, np.bincount(numbers, given))
        weights = given * of_class[numbers]

        wanted = targets(numbers, len(classes))
        # float64 whatever X is: float32 does not hold it beside a small ridge.
        network_kernel = net.ntk if self.kind == "ntk" else net.nngp
        kernel = network_kernel(x, dtype="float64")
        warn_of_size(kernel.diagonal(), ridge, "ridge")
        factor, dual = regression(kernel, ridge, weights, wanted, f"the {self.kind.upper()}")
        temperature = None
        if self.probability is not None:
            once = weights * np.minimum(1, 1 / given)  # what a sample counts for that is there once
            left_out = wanted - leave_out(
                dual, inverse(factor).diagonal() / np.maximum(weights, 1), weights, once, ridge
            )
            temperature = best_temperature(left_out, numbers, given)
        x = kept(x)
        cross = network_kernel.prepare(x, dtype="float64")
        self.network_, self.classes_, self.X_fit_, self.dual_coef_ = net, classes, x, dual
        self._cross = cross  # of the kind it was fitted with: a later set_params must not mix with the fit
        self.__dict__.pop("temperature_", None)
        if temperature is not None:
            self.temperature_ = temperature
        return self

    @undisturbed
    @advises(PREDICT)
    def decision_function(self, X: ArrayLike) -> Array:
        """Outputs of the regression: of shape (m,) for two classes, (m, k) for more."""
        check_is_fitted(self)
        return np.asarray(self._cross(self._samples(X, reset=False)) @ self.dual_coef_)

    @undisturbed
    def predict(self, X: ArrayLike) -> Array:
        """Labels, of shape (m,)."""
        return chosen(self.decision_function(X), self.classes_)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    @undisturbed
    def predict_proba(self, X: ArrayLike) -> Array:
        """Probability of each class, of shape (m, k), in the order of `classes_`; with `probability` only."""
        check_is_fitted(self, "temperature_")
        return np.asarray(softmax(logits(self.decision_function(X)) / self.temperature_, axis=1))
