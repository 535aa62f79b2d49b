"""Probabilities of a classifier: the softmax of its outputs over a temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

Array = NDArray[Any]


def logits(outputs: Array) -> Array:
    """Of shape (n, k): with two classes those of the second are given, of shape (n,), and those of the first are 0."""
    outputs = np.asarray(outputs, np.float64)
    return np.stack((np.zeros_like(outputs), outputs), axis=1) if outputs.ndim == 1 else outputs


def best_temperature(outputs: Array, numbers: Array, weights: Array) -> float:
    """Temperature of the least weighted log loss of outputs at samples whose classes have these numbers.

    Against targets (n_k + 1) / (n_k + 2), the rest shared by the other classes; n_k is a sum of weights.
    """
    scores = logits(outputs)
    k = scores.shape[1]
    counts = np.bincount(numbers, weights, minlength=k)[numbers]
    target = np.repeat(1 / (counts + 2) / (k - 1), k).reshape(-1, k)
    target[np.arange(len(numbers)), numbers] = (counts + 1) / (counts + 2)
    expected = (target * scores).sum(axis=1)

    def loss(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        return float(weights @ (logsumexp(inverse * scores, axis=1) - inverse * expected))

    # It is convex in the inverse temperature, so that there is one minimum; below that of pure chance it is at 0.
    scale = np.log(np.abs(scores).max() or 1.0)
    found = minimize_scalar(loss, bounds=(-10 - scale, 15 - scale), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(-found.x))
