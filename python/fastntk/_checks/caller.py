"""Warnings that point at the line of the user's program, however deep in the package they arise."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep

_UNSAID: ContextVar[tuple[type[Warning], ...]] = ContextVar("warnings that are not given", default=())


@contextmanager
def without(category: type[Warning]) -> Iterator[None]:
    """Leave our warnings of a kind out, in this thread: Python's own filters are those of all threads."""
    token = _UNSAID.set((*_UNSAID.get(), category))
    try:
        yield
    finally:
        _UNSAID.reset(token)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first frame outside of this package."""
    if issubclass(category, _UNSAID.get()):
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
