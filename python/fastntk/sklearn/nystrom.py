"""Regression and classification over landmarks, for any number of rows, as scikit-learn estimators."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .. import solvers
from .._checks.caller import warn, without
from .._machine.floating import undisturbed
from ..samples import Ragged
from ..solvers.chunks import refuse_beside_function
from ._checks import warn_of_scales, warn_of_size
from .base import NetworkEstimator, whole
from .labels import array_of, checked, chosen, classes_in, classes_of, encoded, numbers_of, targets, weighted
from .parameters import with_parameters
from .weights import class_weights, sample_weights

Array = NDArray[Any]


@with_parameters
class _Nystrom(NetworkEstimator):
    """What both share.

    Parameters
    ----------
    kind : {"ntk", "nngp"}, default "ntk"
        Which kernel.
    n_landmarks : int, default 1000
        Rows of the training data over which the function is expanded: cost per pass in proportion, and 8 n_landmarks^3.
    choice : {"pivoted", "uniform"}, default "pivoted"
        How landmarks are chosen: by randomly pivoted Cholesky, or uniformly.
    ridge : float > 0, default 1e-3
        Added to the diagonal of the kernel, as in kernel ridge regression.
    dtype : {"float32", "float64"}, optional
        Precision of the kernel, that of X by default; sums are in float64.
    tol : float, default 1e-4
    max_iter : int, default 100
        The iteration ends at this relative residual, or, with a ConvergenceWarning, after so many passes.
    max_memory : int or str, optional
        Bytes, or "4 GiB", for parts of the kernel kept from pass to pass; by default a quarter of what is free.
    random_state : int, RandomState or None
    """

    kind: Literal["ntk", "nngp"] = "ntk"
    n_landmarks: int = 1000
    choice: Literal["pivoted", "uniform"] = "pivoted"
    ridge: float = 1e-3
    dtype: DTypeLike | None = None
    tol: float = 1e-4
    max_iter: int = 100
    max_memory: int | str | None = None
    random_state: Any = None

    def _solve(self, X: Any, y: Any, weights: Any) -> None:
        net = self._make_network()
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        with without(solvers.ConvergenceWarning):  # scikit-learn has its own kind
            model = solvers.nystrom(
                net,
                X,
                y,
                weights=weights,
                landmarks=self.n_landmarks,
                max_iterations=self.max_iter,
                rng=seed,
                **{name: getattr(self, name) for name in ("choice", "kind", "ridge", "dtype", "tol", "max_memory")},
            )
        kernel = net.ntk if self.kind == "ntk" else net.nngp
        warn_of_size(kernel.diag(model.landmarks), self.ridge, "ridge")
        if not model.converged:
            warn(
                f"the relative residual is {model.residuals[-1].max():.2g} after {model.iterations} iterations, not "
                f"{self.tol:.2g}; allow for more by max_iter, or raise the ridge.",
                ConvergenceWarning,
            )
        self.network_, self.model_, self.n_iter_ = net, model, max(model.iterations, 1)
        of_samples = model.landmarks
        if _in_chunks(X):
            self._set_features(
                of_samples.channels if isinstance(of_samples, Ragged) else math.prod(of_samples.shape[1:])
            )

    def _weights(self, X: Any, given: Any) -> Array | None:
        """Of rows; none where a function gives them with its chunks."""
        if not callable(X):
            return sample_weights(given, X.shape[0] if hasattr(X, "shape") else len(X))
        refuse_beside_function(given, "sample_weight")
        return None

    def _values(self, X: Any) -> Array:
        check_is_fitted(self)
        return self.model_.predict(X if _in_chunks(X) else self._samples(X, reset=False))


def _in_chunks(X: Any) -> bool:
    """Whether it is larger than memory, perhaps: then scikit-learn's checks, which would load it, are left to ours."""
    return callable(X) or isinstance(X, np.memmap) or hasattr(type(X), "chunks")


@with_parameters
class NystromNTKRegressor(RegressorMixin, _Nystrom):  # type: ignore[misc]
    """Kernel ridge regression with the NTK or the NNGP kernel over landmarks, for any number of rows.

    Attributes
    ----------
    model_ : fastntk.solvers.NystromModel
        Landmarks, coefficients, residuals.
    network_, n_features_in_, n_iter_
        The network used, number of features and of iterations.

    Notes
    -----
    ``fit`` takes what `fastntk.solvers.nystrom` does: arrays, memory maps, Zarr arrays, `Sequences`, `Graphs`, and a
    function that gives chunks ``(X, y)`` or ``(X, y, weights)`` of any of these, the same ones whenever it is called;
    ``predict`` takes all but the function. Landmarks are then sequences or graphs.

    References
    ----------
    Rudi, Carratino, Rosasco, "FALKON: an optimal large scale kernel method", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.sklearn import NystromNTKRegressor
    >>> X = np.linspace(-1, 1, 2000)[:, None]
    >>> model = NystromNTKRegressor(2, "relu", 1.5, 0.5, n_landmarks=50, random_state=0).fit(X, np.sin(3 * X[:, 0]))
    >>> bool(model.score(X, np.sin(3 * X[:, 0])) > 0.999)
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @undisturbed
    @whole
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> NystromNTKRegressor:
        """Fit to X of shape (n, d) and y of shape (n,) or (n, k), or to a function that gives chunks.

        With weights >= 0 of shape (n,) or (), of the squared errors: 2 is the sample twice, 0 none.
        """
        if not _in_chunks(X):
            X, y = self._validated(X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
            warn_of_scales(X, self.network)
        self._solve(X, y, self._weights(X, sample_weight))
        return self

    @undisturbed
    def predict(self, X: Any) -> Array:
        """Predict at rows of X."""
        return self._values(X)


@with_parameters
class NystromNTKClassifier(ClassifierMixin, _Nystrom):  # type: ignore[misc]
    """Classification by regression on one-hot labels over landmarks, for any number of rows.

    Targets are one-hot less 1/k, with two classes -1 and 1, as for `NTKClassifier`; ``fit`` takes the
    kinds of data that `NystromNTKRegressor` does.

    Parameters
    ----------
    class_weight : {None, "balanced"} or dict, default None
        Weights of classes, that those of samples are multiplied with. "balanced": the same sum for every class.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        The labels.
    model_ : fastntk.solvers.NystromModel
        Landmarks, coefficients, residuals.
    network_, n_features_in_, n_iter_
        The network used, number of features and of iterations.

    References
    ----------
    Rudi, Carratino, Rosasco, "FALKON: an optimal large scale kernel method", NeurIPS 2017.

    Examples
    --------
    >>> from fastntk.sklearn import NystromNTKClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NystromNTKClassifier(2, "relu", 2**0.5, 0.1, n_landmarks=300, random_state=0).fit(X[:1000], y[:1000])
    >>> bool(model.score(X[1000:], y[1000:]) > 0.93)
    True
    """

    class_weight: Literal["balanced"] | dict[Any, float] | None = None

    @undisturbed
    @whole
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> NystromNTKClassifier:
        """Fit to X of shape (n, d) and labels y of shape (n,), or to a function that gives chunks.

        With weights >= 0 of shape (n,) or (), of the squared errors: 2 is the sample twice, 0 none.
        """
        if callable(X):
            refuse_beside_function(y, "y")
            weights = self._weights(X, sample_weight)
            classes, sums = classes_in(X())
            of_class = class_weights(self.class_weight, classes, sums)
            self._solve(lambda: encoded(X, classes, of_class), None, weights)
            self.classes_ = classes
            return self
        if _in_chunks(X):
            y = checked(y)
        else:
            y = None if y is None else array_of(y)
            X, y = self._validated(X, y, dtype=[np.float64, np.float32])
            check_classification_targets(y)
            warn_of_scales(X, self.network)
        weights = sample_weights(sample_weight, len(y))
        classes, _ = classes_of(y[weights > 0])
        numbers, _ = numbers_of(y, classes)
        of_class = class_weights(self.class_weight, classes, np.bincount(numbers, weights))
        self._solve(X, targets(numbers, len(classes)), weighted(weights, of_class[numbers]))
        self.classes_ = classes
        return self

    @undisturbed
    def decision_function(self, X: Any) -> Array:
        """Value of each class, of shape (n, k); of the second of two, of shape (n,)."""
        return self._values(X)

    @undisturbed
    def predict(self, X: Any) -> Array:
        """Predict labels."""
        return chosen(self._values(X), self.classes_)
