"""Floating-point errors: inside the library NumPy's own settings hold, whatever `numpy.seterr` says outside.

Numbers underflow in any tail of a normal distribution: an error raised for that would be one for working.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

Door = TypeVar("Door", bound=Callable[..., Any])

#: Those that NumPy starts with, and under which everything here is tested.
_SETTINGS: dict[str, Any] = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}

_inside = ContextVar("_inside", default=False)


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
        if _inside.get():  # what the library itself has set for a while holds
            return function(*args, **kwargs)
        token = _inside.set(True)
        try:
            with np.errstate(**_SETTINGS):
                return function(*args, **kwargs)
        finally:
            _inside.reset(token)

    return call  # type: ignore[return-value]
