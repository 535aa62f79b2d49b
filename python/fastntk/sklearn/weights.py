"""Weights of samples and of classes, and regression with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from .._checks.arrays import axes_of, real_array, refuse_weights_out_of_range
from .._checks.arrays import sample_weights as checked
from .._checks.shown import shown
from ..inference.cholesky import cholesky, solve

Array = NDArray[np.float64]

#: Of the largest weight to the smallest, where eigenvalues are computed.
_MOST_RATIO = 1e6


def sample_weights(value: Any, n: int) -> Array:
    """Of shape (n,), >= 0 and not all 0; 1 without any."""
    if value is None:
        return np.ones(n)
    if axes_of(value, "sample_weight") == 0:
        value = np.full(n, real_array(value, "sample_weight"))
    weights = checked(value, "sample_weight", n)
    if not weights.any():
        raise ValueError("sample_weight is zero for all samples: there is nothing to fit.")
    return weights


def class_weights(value: Any, classes: NDArray[Any], counts: NDArray[Any]) -> Array:
    """Weight of every class; "balanced": each has the same sum of weights, and all have their sum.

    The latter counts a sample as often as its weight says: `counts` are sums of these.
    """
    if isinstance(value, str) and value == "balanced":
        of_class = np.asarray(counts.sum() / (len(classes) * counts), np.float64)
    elif value is not None and not isinstance(value, dict):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"class_weight must be None, 'balanced' or a dict of classes and weights, got {shown(value)}.")
    else:
        of_class = np.asarray(compute_class_weight(value, classes=classes, y=classes), np.float64)
    if not (np.isfinite(of_class).all() and of_class.min() > 0):
        raise ValueError(f"class_weight must be finite and > 0 for every class, got {of_class.min():.6g}.")
    if isinstance(value, dict):
        refuse_weights_out_of_range(of_class, "class_weight")
    return of_class


def scaled(kernel: Array, root: Array) -> Array:
    """The kernel of samples with weights of these roots, in the place of that without."""
    kernel *= root
    kernel *= root[:, None]
    return kernel


def regression(kernel: Array, ridge: float, weights: Array, values: Array, name: str) -> tuple[Array, Array]:
    """A factor, and alpha = (K + ridge diag(1/w))^-1 y that was made with it. Scales the kernel in its place.

    The factor is of rows and columns that are scaled by the roots of weights up to 1, with a ridge that is divided by
    those above, so that neither large nor small ones spoil the condition.
    """
    root, above = np.sqrt(np.minimum(weights, 1)), np.maximum(weights, 1)
    heavy = ridge > 0 and above.max() > 1
    factor = cholesky(
        scaled(kernel, root),
        ridge / above if heavy else ridge,
        name=name,
        remedy="Pass a larger ridge=, or smaller weights." if heavy else "Pass ridge= > 0.",
    )
    return factor, (root * solve(factor, (root * values.T).T).T).T


def refuse_far(weights: Array) -> None:
    """Refuse weights that eigenvalues, whose errors are relative to the largest, do not hold together."""
    if weights.max() > _MOST_RATIO * weights.min():
        raise ValueError(
            f"with a training time, or for deviations, weights must be within {_MOST_RATIO:.0e} of each other, got "
            f"some from {weights.min():.3g} to {weights.max():.3g}."
        )
