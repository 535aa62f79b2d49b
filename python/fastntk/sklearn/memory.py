"""What to do where the kernel of all samples does not fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


def advises(instead: str) -> Callable[[Method], Method]:
    """Make a method's MemoryError say what it needed memory for, and what to do instead."""

    def decorate(method: Method) -> Method:
        @wraps(method)
        def within(self: Any, X: Any, *arguments: Any, **options: Any) -> Any:
            try:
                return method(self, X, *arguments, **options)
            except MemoryError as error:
                rows = X.shape[0] if hasattr(X, "shape") else len(X)
                raise MemoryError(
                    f"{type(self).__name__}.{method.__name__} needs a kernel of {rows} samples that does not fit in "
                    f"memory; {instead}."
                ) from error

        return cast("Method", within)

    return decorate


def fit_advice(kind: str) -> str:
    """What to fit instead."""
    return f"fit fewer samples, or NystromNTK{kind}, whose memory grows with n_landmarks instead"


PREDICT = "predict fewer samples at a time"
