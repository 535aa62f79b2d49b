"""Weights of samples and of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from .._checks.arrays import real_array
from .._checks.shown import shown

Array = NDArray[np.float64]

#: Weights, so that products of those of a sample and of its class, and sums of them, stay in the range of float64.
_LEAST, _MOST = 1e-140, 1e140


def sample_weights(value: Any, n: int) -> Array:
    """Of shape (n,), >= 0 and not all 0; 1 without any."""
    if value is None:
        return np.ones(n)
    weights = np.asarray(real_array(value, "sample_weight"), np.float64)
    if weights.ndim == 0:
        weights = np.full(n, weights)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), got {weights.shape}.")
    if weights.min() < 0:
        raise ValueError(f"sample_weight must be >= 0, got {weights.min():.6g} (first at {int(weights.argmin())}).")
    if not weights.any():
        raise ValueError("sample_weight is zero for all samples: there is nothing to fit.")
    _in_range(weights[weights > 0], "sample_weight that is not 0")
    return weights


def class_weights(value: Any, classes: NDArray[Any], numbers: NDArray[np.intp], samples: Array) -> Array:
    """Weight of the class of every sample; "balanced": each class has the same sum of weights, and all have their sum.

    The latter counts a sample as often as its weight says.
    """
    if isinstance(value, str) and value == "balanced":
        of_class = samples.sum() / (len(classes) * np.bincount(numbers, samples))
    elif value is not None and not isinstance(value, dict):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"class_weight must be None, 'balanced' or a dict of classes and weights, got {shown(value)}.")
    else:
        of_class = np.asarray(compute_class_weight(value, classes=classes, y=classes[numbers]), np.float64)
    if not (np.isfinite(of_class).all() and of_class.min() > 0):
        raise ValueError(f"class_weight must be finite and > 0 for every class, got {of_class.min():.6g}.")
    if isinstance(value, dict):
        _in_range(of_class, "class_weight")
    return np.asarray(of_class[numbers])


def _in_range(weights: Array, name: str) -> None:
    if weights.min() < _LEAST or weights.max() > _MOST:
        ends = f"from {weights.min():.3g} to {weights.max():.3g}"
        raise ValueError(f"{name} must be from {_LEAST:.0e} to {_MOST:.0e}, got weights {ends}: scale them.")
