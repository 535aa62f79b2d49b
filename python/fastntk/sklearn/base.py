"""What the estimators share: the network they are made of, checked data, predictions in the units of the targets."""

from __future__ import annotations

from collections.abc import Callable, Sized
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from .._checks.arrays import read_only, real_array, refuse_masked
from ..samples import Ragged
from ._checks import refuse_positions, warn_of_scales
from .parameters import NetworkParameters, with_parameters

Array = NDArray[Any]
P = ParamSpec("P")
R = TypeVar("R")


def whole(fit: Callable[P, R]) -> Callable[P, R]:
    """Decorate a fit: one that fails leaves the model as it was, names and numbers of features too."""

    @wraps(fit)
    def fitted(*args: P.args, **kwargs: P.kwargs) -> R:
        model: Any = args[0]
        before = dict(vars(model))
        try:
            return fit(*args, **kwargs)
        except BaseException:
            vars(model).clear()
            vars(model).update(before)
            raise

    return fitted


def kept(x: Any) -> Any:
    """The samples of a fit, which nobody may write to."""
    return x if isinstance(x, Ragged) else read_only(x)


class NetworkEstimator(NetworkParameters, BaseEstimator):  # type: ignore[misc]
    """What the estimators share: the network, and checked data."""

    def _samples(self, X: ArrayLike, *, reset: bool) -> Array:
        x: Array = self._validated(X, dtype=[np.float64, np.float32], reset=reset)
        return x

    def _validated(self, X: Any, *y: Any, reset: bool = True, **options: Any) -> Any:
        """X, and y if it is given, as scikit-learn checks them; `Graphs` and `Sequences` check themselves."""
        for name, value in zip(("X", "y"), (X, *y), strict=False):
            refuse_masked(value, name)
        refuse_positions(X)
        if not isinstance(X, Ragged):
            return validate_data(self, X, *y, reset=reset, **options)
        if reset and self.network is None:
            readers = " or ".join(f"fastntk.{net}" for net in X.readers)
            raise ValueError(
                f"X are {type(X).__name__}, and {type(self).__name__} is of a network for rows: pass one that reads "
                f"{X.node}s, {type(self).__name__}(network=...), such as {readers}."
            )
        if not len(X):
            raise ValueError(f"X are no samples: {X!r}.")
        if reset:
            self._set_features(X.channels)
        elif X.channels != self.n_features_in_:
            raise ValueError(
                f"X has {X.channels} channels, but {type(self).__name__} was fitted to {self.n_features_in_}."
            )
        x = X.astype(np.float64) if options.get("dtype") is np.float64 else X
        if not y:
            return x
        if len(x) == 1 and isinstance(y[0], Sized) and len(y[0]) > 1:
            raise ValueError(
                f"X is one sample and y has {len(y[0])} targets: for those of its {X.node}s take the kernel between "
                "these, such as SVC(kernel='precomputed').fit(net.ntk(X)[known][:, known], y[known])."
            )
        of_y = {name: value for name, value in options.items() if name in ("multi_output", "y_numeric")}
        targets = validate_data(self, "no_validation", *y, **of_y)
        check_consistent_length(x, targets)
        return x, targets

    def _set_features(self, count: int) -> None:
        """Of samples that have no names of their features."""
        self.n_features_in_ = count
        self.__dict__.pop("feature_names_in_", None)


@with_parameters
class Regressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """What the regressors with a kernel in memory share: targets, standardised or not.

    Parameters
    ----------
    normalize_y : bool, default False
        Whether to fit (y - mean) / standard deviation.
    """

    normalize_y: bool = False

    def _data(self, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Check X and y."""
        # float64 whatever X is: where the noise is small, float32 kernels do not know the variance. And copies: what
        # they are changed to later does not change the fit.
        x, y = self._validated(
            X, y, dtype=np.float64, copy=True, multi_output=True, y_numeric=True, ensure_min_samples=1
        )
        warn_of_scales(x, self.network)
        return x, np.array(real_array(y, "y"), np.float64)

    def _samples(self, X: ArrayLike, *, reset: bool) -> Array:
        x: Array = self._validated(X, dtype=np.float64, reset=reset)
        return x

    def _asked(self, X: ArrayLike, *, return_std: bool, return_cov: bool) -> tuple[Array, bool | None]:
        """Samples to predict at, and of the covariance the whole (True), its diagonal (False) or nothing (None)."""
        if return_std and return_cov:
            raise ValueError("return_std and return_cov exclude each other: take the square root of the diagonal.")
        check_is_fitted(self)
        return self._samples(X, reset=False), True if return_cov else False if return_std else None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
