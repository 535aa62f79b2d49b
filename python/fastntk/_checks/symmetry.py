"""Whether matrices are symmetric, but for what entries of a kernel may be off by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._machine.products import matrix_times

Array = NDArray[np.float64]


def entry_error(array: NDArray[Any]) -> float:
    """What entries of a kernel may be off by, relative to sqrt(k_pp k_qq): rounding, and the default tolerances."""
    return 1e-5 if _is_single(array) else 1e-10


def rounding(matrix: NDArray[Any]) -> float:
    """What entries may be off by beside that, where large ones cancelled, as in a centred kernel.

    4 sqrt(n) eps max k_pp, as sums of n numbers that are rounded at random.
    """
    epsilon = float(np.finfo(np.float32 if _is_single(matrix) else np.float64).eps)
    largest = float(np.abs(matrix.diagonal().astype(np.float64)).max())
    return 4 * float(len(matrix) ** 0.5) * epsilon * largest


def roots(matrix: NDArray[Any]) -> Array:
    """Of the diagonal: entry (i, j) may be off by `entry_error` times those of i and j, and `rounding`."""
    return np.asarray(np.sqrt(np.abs(matrix.diagonal().astype(np.float64))))


def asymmetric(matrix: NDArray[Any], i: int, j: int, name: str) -> ValueError:
    """What to say of two entries."""
    return ValueError(
        f"{name} is not symmetric: entry ({i}, {j}) is {matrix[i, j]:.6g}, entry ({j}, {i}) {matrix[j, i]:.6g}."
    )


def refuse_asymmetric(matrix: NDArray[Any], name: str) -> None:
    """Raise for a square matrix with entries that are not finite, or is not symmetric: a triangle, say.

    By two products with a vector of random signs over the scales of samples, the roots of the diagonal. Errors e of
    entries, relative to those scales, add up to more than 8 sqrt(n) e with a chance of 2 exp(-32) n at most
    (Hoeffding); any entry that differs by twice as much from its mirror image is seen. Where the products differ by
    more, for their own rounding perhaps, the entries themselves are compared.
    """
    n, rows = len(matrix), matrix if matrix.strides[1] == matrix.itemsize else matrix.T
    with np.errstate(all="ignore"):  # what is not finite is looked for
        root, least = roots(matrix), rounding(matrix)
        scales = np.maximum(root, least**0.5) if least > 0 else np.ones(n)
        probe = (np.random.default_rng(0).choice([-1.0, 1.0], n) / scales)[:, None]
        ahead, back = matrix_times(rows, probe), matrix_times(rows, probe, transposed=True)
        difference = np.abs(ahead - back)[:, 0] / scales
    if not (np.isfinite(ahead).all() and np.isfinite(back).all()):
        raise ValueError(f"{name} contains NaN or infinite entries.")
    error = entry_error(matrix)
    for i in np.flatnonzero(difference > 8 * n**0.5 * error):
        excess = np.abs(np.subtract(matrix[i], matrix[:, i], dtype=np.float64)) - error * root[i] * root - least
        j = int(excess.argmax())
        if excess[j] > 0:
            raise asymmetric(matrix, int(i), j, name)


def _is_single(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and array.dtype.itemsize <= 4
