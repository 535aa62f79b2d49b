"""What the estimators share: the network they are made of, checked data, predictions in the units of the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._checks.arguments import true_or_false
from ..kernels.prepared_kernel import PreparedKernel
from ._checks import refuse_positions, standardised, warn_of_scales
from .parameters import NetworkParameters, with_parameters

Array = NDArray[Any]


def kept_rows(cross: PreparedKernel, x: Array) -> Array:
    """The samples x that a kernel was prepared for: its own copy, so that there is one, if they are rows there."""
    return x if cross.rows.positions else cross.rows.given


class NetworkEstimator(NetworkParameters, BaseEstimator):  # type: ignore[misc]
    """What the estimators share: the network, and checked data."""

    def _samples(self, X: ArrayLike, *, reset: bool) -> Array:
        refuse_positions(X)
        x: Array = validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)
        return x


@with_parameters
class Regressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """What the regressors with a kernel in memory share: targets, standardised or not.

    Parameters
    ----------
    normalize_y : bool, default False
        Whether to fit (y - mean) / standard deviation.
    """

    normalize_y: bool = False

    def _data(self, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array, tuple[Array, Array]]:
        """Check X and y, and standardise y if asked for: X, y, and the mean and scale that undo it."""
        refuse_positions(X)
        # float64 whatever X is: where the noise is small, float32 kernels do not know the variance. And copies: what
        # they are changed to later does not change the fit.
        x, y = validate_data(
            self, X, y, dtype=np.float64, copy=True, multi_output=True, y_numeric=True, ensure_min_samples=1
        )
        warn_of_scales(x, self.network)
        values = np.array(y, np.float64)
        if true_or_false(self.normalize_y, "normalize_y"):
            values, mean, scale = standardised(values)
            return x, values, (mean, scale)
        return x, values, (np.zeros(values.shape[1:]), np.ones(values.shape[1:]))

    def _samples(self, X: ArrayLike, *, reset: bool) -> Array:
        return np.asarray(super()._samples(X, reset=reset), np.float64)

    def _asked(self, X: ArrayLike, *, return_std: bool, return_cov: bool) -> tuple[Array, bool | None]:
        """Samples to predict at, and of the covariance the whole (True), its diagonal (False) or nothing (None)."""
        if return_std and return_cov:
            raise ValueError("return_std and return_cov exclude each other: take the square root of the diagonal.")
        check_is_fitted(self)
        return self._samples(X, reset=False), True if return_cov else False if return_std else None

    def _answer(self, mean: Array, covariance: Array | None, *, std: bool) -> Array | tuple[Array, Array]:
        """Undo the standardisation; the covariance, or its diagonal, is that of every output."""
        mean = mean * self._y_scale + self._y_mean
        if covariance is None:
            return mean
        covariance = np.multiply.outer(np.sqrt(covariance) if std else covariance, self._y_scale ** (1 if std else 2))
        return mean, covariance

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
