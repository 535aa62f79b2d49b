"""Whether matrices that are stored are symmetric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..products import matrix_times


def refuse_asymmetric(matrix: NDArray[Any], name: str) -> None:
    """Raise for a square matrix with entries that are not finite, or is not symmetric: a triangle, say.

    By two products with a vector of random signs over the roots of the diagonal. Errors e of entries, relative to those
    roots, add up to more than 8 sqrt(n) e with a chance of 2 exp(-32) n at most (Hoeffding); any entry that differs by
    twice as much from its mirror image is seen.
    """
    n, rows = len(matrix), matrix if matrix.strides[1] == matrix.itemsize else matrix.T
    diagonal = np.abs(matrix.diagonal().astype(np.float64))
    largest = diagonal.max()
    with np.errstate(all="ignore"):  # what is not finite is looked for
        root = np.sqrt(np.where(diagonal > 0, diagonal, largest if largest > 0 else 1.0))
        probe = (np.random.default_rng(0).choice([-1.0, 1.0], n) / root)[:, None]
        ahead, back = matrix_times(rows, probe), matrix_times(rows, probe, transposed=True)
        difference = np.abs(ahead - back)[:, 0] / root
    if not (np.isfinite(ahead).all() and np.isfinite(back).all()):
        raise ValueError(f"{name} contains NaN or infinite entries.")
    error = 1e-5 if matrix.dtype == np.float32 else 1e-10  # what kernels may be off by, at the default tolerances
    i = int(difference.argmax())
    if difference[i] > 8 * n**0.5 * error:
        j = int(np.abs((matrix[i] - matrix[:, i]) / root).argmax())
        raise ValueError(
            f"{name} is not symmetric: entry ({i}, {j}) is {matrix[i, j]:.6g}, entry ({j}, {i}) {matrix[j, i]:.6g}."
        )
