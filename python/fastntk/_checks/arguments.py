"""Checks of numbers, names and options that users give, and the sentence each gives. Nothing deeper checks again."""

from __future__ import annotations

import math
import numbers
import operator
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

from .shown import shown

T = TypeVar("T")


def finite_number(value: object, name: str) -> float:
    """``value`` as a finite Python float."""
    real = isinstance(value, (numbers.Real, np.integer, np.floating)) and not isinstance(value, np.timedelta64)
    if isinstance(value, (bool, np.bool_)) or not real:
        raise TypeError(f"{name} must be a real number, got {shown(value)}.")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        raise ValueError(f"{name} is too large for float64: it must be finite.") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {shown(value)}.")
    return number


def standard_deviation(value: object, name: str) -> float:
    """``value`` as a finite float >= 0."""
    number = finite_number(value, name)
    if number < 0:
        raise ValueError(f"{name} is a standard deviation and must be >= 0, got {shown(value)}.")
    return number


def not_negative(value: object, name: str) -> float:
    """``value`` as a finite float >= 0."""
    number = finite_number(value, name)
    if number < 0:
        raise ValueError(f"{name} must be >= 0, got {shown(value)}.")
    return number


def positive(value: object, name: str) -> float:
    """``value`` as a finite float > 0."""
    number = finite_number(value, name)
    if number <= 0:
        raise ValueError(f"{name} must be > 0, got {shown(value)}.")
    return number


def true_or_false(value: object, name: str) -> bool:
    """``value`` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}.")
    return bool(value)


def whole_number(value: object, name: str, *, least: int, most: int | None = None) -> int:
    """``value`` as an int within bounds."""
    expected = f"an integer >= {least}" if most is None else f"an integer from {least} to {most}"
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        error = ValueError if isinstance(value, (float, np.floating)) else TypeError
        raise error(f"{name} must be {expected}, got {shown(value)}.") from None
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name} must be {expected}, got {shown(value)}.")
    if number > sys.maxsize:
        raise ValueError(f"{name} is too large, got {shown(value)}.")
    return number


def per_layer(value: object, name: str, count: int, layers: str, check: Callable[[object, str], T]) -> list[T]:
    """``value`` checked, for each of ``count`` layers, or every entry of a sequence of as many."""
    if isinstance(value, (str, bytes)) or not (isinstance(value, Sequence) or getattr(value, "ndim", False)):
        return [check(value, name)] * count
    entries = list(value)  # type: ignore[call-overload]
    if len(entries) != count:
        raise ValueError(f"{name} must be one for all or one for each of the {count} {layers}, got {len(entries)}.")
    return [check(entry, f"{name}[{i}]") for i, entry in enumerate(entries)]


def memory_size(value: object, name: str, *, least: int) -> int:
    """``value`` as a number of bytes: an integer, or text such as "4 GiB"."""
    size = value
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?) *([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
        if match is None:
            raise ValueError(f"{name} must be a number of bytes or a text such as '4 GiB', got {shown(value)}.")
        size = int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
    number = whole_number(size, name, least=0)
    if number < least:
        raise ValueError(f"{name} must be at least {least / 2**20:.0f} MiB, got {shown(value)}.")
    return number


def one_of(value: object, name: str, choices: tuple[str | None, ...]) -> None:
    """Refuse what is none of these texts, or None where that is among them."""
    if not (value is None or isinstance(value, str)) or value not in choices:
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name} must be {' or '.join(map(repr, choices))}, got {shown(value)}.")


def random_generator(value: Any, name: str) -> np.random.Generator:
    """``value``, or what NumPy makes of a seed."""
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a Generator, an integer >= 0 or None, got {shown(value)}.") from None


def unknown_name(kind: str, name: str, known: list[str]) -> ValueError:
    """The error for a misspelt name, with the nearest known ones."""
    near = [name.lower()] if name.lower() in known else get_close_matches(name.lower(), known, n=3, cutoff=0.7)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return ValueError(f"unknown {kind} {shown(name)}.{hint} Known are {', '.join(sorted(known))}.")
