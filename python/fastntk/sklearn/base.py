"""What the estimators share: the network they are made of, checked data, predictions in the units of the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from .._checks.arrays import real_array
from ..kernels.prepared_kernel import PreparedKernel
from ..samples import Ragged
from ._checks import refuse_positions, warn_of_scales
from .parameters import NetworkParameters, with_parameters

Array = NDArray[Any]

#: Networks for samples of such nodes.
_READERS = {"step": "fastntk.rnn() or fastntk.transformer(1)", "node": "fastntk.gntk(2) or fastntk.gcn(2)"}


def kept_rows(cross: PreparedKernel, x: Array) -> Array:
    """The samples x that a kernel was prepared for: its own copy, so that there is one, if they are rows there."""
    return x if cross.rows.positions else cross.rows.given


class NetworkEstimator(NetworkParameters, BaseEstimator):  # type: ignore[misc]
    """What the estimators share: the network, and checked data."""

    def _samples(self, X: ArrayLike, *, reset: bool) -> Array:
        x: Array = self._validated(X, dtype=[np.float64, np.float32], reset=reset)
        return x

    def _validated(self, X: Any, *y: Any, reset: bool = True, **options: Any) -> Any:
        """X, and y if it is given, as scikit-learn checks them; `Graphs` and `Sequences` check themselves."""
        refuse_positions(X)
        if not isinstance(X, Ragged):
            return validate_data(self, X, *y, reset=reset, **options)
        if reset and self.network is None:
            raise ValueError(
                f"X are {type(X).__name__}, and {type(self).__name__} is of a network for rows: pass one that reads "
                f"{X.node}s, {type(self).__name__}(network=...), such as {_READERS[X.node]}."
            )
        if not len(X):
            raise ValueError(f"X are no samples: {X!r}.")
        if reset:
            self.n_features_in_ = X.channels
        elif X.channels != self.n_features_in_:
            raise ValueError(
                f"X has {X.channels} channels, but {type(self).__name__} was fitted to {self.n_features_in_}."
            )
        x = X.astype(np.float64) if options.get("dtype") is np.float64 else X
        if not y:
            return x
        of_y = {name: value for name, value in options.items() if name in ("multi_output", "y_numeric")}
        targets = validate_data(self, "no_validation", *y, **of_y)
        check_consistent_length(x, targets)
        return x, targets


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
        return x, np.array(real_array(np.asarray(y, np.float64), "y"))

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
