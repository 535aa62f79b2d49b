"""How a value looks on one line, in messages and in the repr of results: arrays by dtype and shape, long text cut."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, SupportsInt, TypeVar

T = TypeVar("T")

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
        return cut(f"<{type(x).__name__} {shape}{dtype and ' ' + dtype}>")

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out more than some thousand digits.
        return super().repr_int(x, level) if x.bit_length() < 4096 else f"an integer of {x.bit_length()} bits"

    def repr_instance(self, x: Any, level: int) -> str:
        return " ".join(super().repr_instance(x, level).split())


_REPR = _Shown()


def shown(value: object) -> str:
    """``repr(value)`` on one line of at most 120 characters."""
    return cut(_REPR.repr(value))


def counted(count: int, things: str) -> str:
    """How many things there are: 1 sample, 2 samples."""
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def one_line(result: type[T]) -> type[T]:
    """Decorate a named tuple or a dataclass: its repr has its public fields, arrays by dtype and shape."""
    names = [field.name for field in fields(result)] if is_dataclass(result) else result._fields  # type: ignore[attr-defined]

    def text(value: object) -> str:
        return f"{value:.6g}" if isinstance(value, float) else shown(value)

    def __repr__(self: T) -> str:  # noqa: N807
        values = (f"{name}={text(getattr(self, name))}" for name in names if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(values)})"

    result.__repr__ = __repr__  # type: ignore[assignment]
    return result


def cut(text: object) -> str:
    """Text of something, its middle left out where it is longer than that."""
    text = str(text)
    return text if len(text) <= _MOST else f"{text[: _MOST - 23]}...{text[-20:]}"


def position(indices: Sequence[SupportsInt]) -> str:
    """A position in a sample: 3 of a sequence, (3, 4) of an image."""
    one, *others = map(int, indices)
    return str((one, *others) if others else one)
