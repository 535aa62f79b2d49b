"""How a value looks on one line, in messages and in the repr of results: arrays by dtype and shape, long text cut."""

from __future__ import annotations

import reprlib
from typing import Any

#: Characters of a value in a message.
_MOST = 120


class _Shown(reprlib.Repr):
    """Repr that never shows the contents of an array, and a few entries of a container."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple, self.maxset = 2, 2, 4, 4, 4
        self.maxstring, self.maxlong, self.maxother = 60, 40, _MOST

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, type):
            return f"the class {x.__name__}"
        try:
            shape, dtype = tuple(x.shape), str(getattr(x, "dtype", ""))
        except Exception:  # not an array; or one that cannot tell, of another library
            shape, dtype = (), ""
        if not shape:
            return super().repr1(x, level)
        return _cut(f"<{type(x).__name__} of shape {shape}{dtype and ' and dtype ' + dtype}>")

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out more than some thousand digits.
        return super().repr_int(x, level) if x.bit_length() < 4096 else f"an integer of {x.bit_length()} bits"

    def repr_instance(self, x: Any, level: int) -> str:
        return " ".join(super().repr_instance(x, level).split())


_REPR = _Shown()


def shown(value: object) -> str:
    """``repr(value)`` on one line of at most 120 characters."""
    return _cut(_REPR.repr(value))


def summary(result: object, *names: str) -> str:
    """Repr of a result by some of its attributes."""
    values = ((name, getattr(result, name)) for name in names)
    pairs = (f"{name}={f'{value:.6g}' if isinstance(value, float) else shown(value)}" for name, value in values)
    return f"{type(result).__name__}({', '.join(pairs)})"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 23]}...{text[-20:]}"
