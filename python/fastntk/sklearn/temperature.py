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


def leave_out(alpha: Array, inverse: Array, weights: Array, parts: Array, ridge: float) -> Array:
    """Errors at every sample of weight w after a part r of it was left out, of the shape of alpha.

    With alpha = A^-1 y, A = K + ridge diag(1/w): alpha_i / G, G = (A^-1)_ii, where r = w; else another number on the
    diagonal of A, ridge alpha_i / (w - r + ridge G r / w). Given is G / w, of the matrix whose rows and columns are
    scaled by the roots of w.
    """
    rest = weights - parts
    scale = np.where(rest > 0, ridge / np.where(rest > 0, rest + ridge * parts * inverse, 1), 1 / (weights * inverse))
    return np.asarray((alpha.T * scale).T)


def best_temperature(outputs: Array, numbers: Array, weights: Array) -> float:
    """Temperature of the least weighted log loss of outputs at samples whose classes have these numbers.

    Against targets (n + 1) / (n + 2), n the sum of weights, the rest shared by the other classes: the chance of the
    next to be right after n that were, so that the temperature is above 0 where all are.
    """
    scores = logits(outputs)
    k = scores.shape[1]
    n = float(weights.sum())
    target = np.full(scores.shape, 1 / (n + 2) / (k - 1))
    target[np.arange(len(numbers)), numbers] = (n + 1) / (n + 2)
    expected = (target * scores).sum(axis=1)

    def loss(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        return float(weights @ (logsumexp(inverse * scores, axis=1) - inverse * expected))

    # It is convex in the inverse temperature, so that there is one minimum; below that of pure chance it is at 0.
    scale = np.log(np.abs(scores).max() or 1.0)
    found = minimize_scalar(loss, bounds=(-10 - scale, 15 - scale), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(-found.x))
