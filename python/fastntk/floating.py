"""Floating-point errors: inside the library NumPy's own settings hold, whatever `numpy.seterr` says outside.

Numbers underflow in any tail of a normal distribution: an error raised for that would be one for working.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

Door = TypeVar("Door", bound=Callable[..., Any])

#: Those that NumPy starts with, and under which everything here is tested.
_SETTINGS: dict[str, Any] = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def undisturbed(door: Door) -> Door:
    """Mark a function, or a class with its public methods, as one that users call: its arithmetic is undisturbed."""
    if not isinstance(door, type):
        return _shielded(door)
    for name, method in list(vars(door).items()):
        if isinstance(method, FunctionType) and (not name.startswith("_") or name in ("__init__", "__call__")):
            setattr(door, name, _shielded(method))
    return door


def _shielded(function: Door) -> Door:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(**_SETTINGS):
            return function(*args, **kwargs)

    return call  # type: ignore[return-value]
