"""Checks of matrices and targets, before any work starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import not_negative
from .._checks.arrays import axes_of, real_array
from .._checks.symmetry import asymmetric, entry_error, roots, rounding

Array = NDArray[np.float64]


def _matrix(value: object, name: str) -> NDArray[Any]:
    array = real_array(value, name)
    if array.ndim != 2:
        raise ValueError(f"{name} must be a matrix, got an array of shape {array.shape}.")
    return array


def gram(value: object, name: str) -> Array:
    """A symmetric matrix, in float64; not a copy where it is that already."""
    array = _matrix(value, name)
    n = len(array)
    if array.shape != (n, n):
        raise ValueError(f"{name} must be square, got shape {array.shape}.")
    if n == 0:
        raise ValueError(f"{name} is empty: at least one sample is needed.")
    root, error, least = roots(array), entry_error(array), rounding(array)
    for start in range(0, n, 256):
        rows = slice(start, start + 256)
        left, right = array[rows, start:], array[start:, rows].T
        if np.array_equal(left, right):
            continue
        difference = np.abs(np.subtract(left, right, dtype=np.float64))  # of bool and unsigned too
        bound = error * np.outer(root[rows], root[start:]) + least
        if (difference > bound).any():
            row, column = divmod(int((difference - bound).argmax()), n - start)
            raise asymmetric(array, start + row, start + column, name)
    if (array.diagonal() < -least).any():
        i = int(array.diagonal().argmin())
        raise ValueError(f"{name} has a negative diagonal entry, {array[i, i]:.6g} at {i}: it is not a kernel.")
    return np.asarray(array, np.float64)


def targets(value: object, name: str, n: int) -> Array:
    """Numbers of n samples, of shape (n,) or (n, k); of one sample it may be one number."""
    array = real_array(value, name)
    if array.ndim == 0 and n == 1:
        array = array.reshape(1)
    if array.ndim not in (1, 2) or len(array) != n or 0 in array.shape:
        raise ValueError(f"{name} must have shape ({n},) or ({n}, k) for {n} samples, got {array.shape}.")
    return np.asarray(array, np.float64)


def cross(value: object, name: str, n: int) -> Array:
    """A kernel (test, train) for n training samples."""
    array = _matrix(value, name)
    if array.shape[1] != n:
        hint = " It seems to be transposed." if array.shape[0] == n else ""
        raise ValueError(f"{name} must have shape (m, {n}), (test, train), got {array.shape}.{hint}")
    return np.asarray(array, np.float64)


def test_kernel(value: object, name: str, m: int) -> Array:
    """The kernel of m test samples, or its diagonal."""
    array = real_array(value, name)
    if array.shape not in ((m, m), (m,)):
        raise ValueError(f"{name} must have shape ({m}, {m}), or ({m},) for its diagonal alone, got {array.shape}.")
    return np.asarray(array, np.float64) if array.ndim == 1 else gram(array, name)


def noise(value: object, name: str, n: int) -> float | Array:
    """Variances >= 0: one for all of n samples, or one each."""
    if axes_of(value, name) == 0:
        return not_negative(value, name)
    array = np.array(real_array(value, name), np.float64)  # a copy: what it is changed to later changes nothing
    if array.shape != (n,):
        raise ValueError(f"{name} must be a number or of shape ({n},), one variance a sample, got shape {array.shape}.")
    if array.min() < 0:
        raise ValueError(f"{name} must hold variances >= 0, got {array.min():.6g} at {int(array.argmin())}.")
    return array


def initial(value: object, name: str, shape: tuple[int, ...]) -> Array:
    """Outputs of the untrained network: of the shape of the targets, or one number."""
    array = np.asarray(real_array(value, name), np.float64)
    if array.ndim and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape} or be a number, got shape {array.shape}.")
    return np.broadcast_to(array, shape)


def covariance(value: Array, spread: Array, otherwise: str) -> Array:
    """A covariance, or variances, exactly symmetric, and 0 where rounding made variances negative.

    Kernels may be off by e sqrt(k_pp k_qq), e = 1e-5: float32, or the tolerance of an activation; then so are variances
    by e spread^2, spread the sum of standard deviations that they are made of.
    """
    if value.ndim == 2:
        value = (value + value.T) / 2
    variance = value if value.ndim == 1 else np.einsum("ii->i", value)
    below = variance < -1e-5 * spread**2
    if below.any():
        i = int(below.argmax())
        raise ValueError(
            f"the variance at sample {i} is {variance[i]:.3g}, below 0 by more than rounding: {otherwise}."
        )
    np.maximum(variance, 0, out=variance)
    return np.asarray(value)
