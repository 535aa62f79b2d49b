"""Matrix products that are the same bits for any number of threads, which those of BLAS are not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from . import runtime
from .rows import engine_rows


def matrix_times(matrix: NDArray[Any], v: NDArray[np.float64], *, transposed: bool = False) -> NDArray[np.float64]:
    """``matrix @ v``, or ``matrix.T @ v``, of shape (n, k): sums in float64, and no copy of a float32 matrix."""
    out = np.empty((v.shape[1], matrix.shape[1 if transposed else 0]))
    vectors = np.ascontiguousarray(v.T)
    _core.matrix_times(runtime.instruction_set(), runtime.threads(), engine_rows(matrix), transposed, vectors, out)
    return out.T
