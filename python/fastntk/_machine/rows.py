"""Matrices as the engine reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOATS: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}


def engine_rows(x: NDArray[Any]) -> NDArray[Any]:
    """``x`` as the engine reads it: float32 or float64, native, aligned, features contiguous."""
    dtype = FLOATS["float32" if x.dtype.char in "ef" else "float64"]
    if x.dtype != dtype or not x.flags.aligned or x.strides[1] != x.itemsize or x.strides[0] % x.itemsize:
        x = np.array(x, dtype=dtype, order="C")
    return x
