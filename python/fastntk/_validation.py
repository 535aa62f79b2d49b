"""Every check of user input, and the sentence it gives. Nothing deeper checks again."""

from __future__ import annotations

import itertools
import math
import numbers
import operator
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._shown import cut, shown
from .machine import available_memory
from .places import overlap

T = TypeVar("T")

FLOATS: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}


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


def real_array(value: object, name: str, *, finite: bool = True, first: int = 0) -> NDArray[Any]:
    """``value`` as an array of real numbers of any shape, whose rows are numbered from ``first``."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or drop the masked entries first.")
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} must be an array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {cut(array.dtype)}.")
    if finite and not np.isfinite(array).all():
        if not array.ndim:
            raise ValueError(f"{name} must be finite, got {array}.")
        at = np.argwhere(~np.isfinite(array))[0]
        place = tuple(int(i) for i in at + first * (np.arange(array.ndim) == 0))
        raise ValueError(f"{name} contains {array[tuple(at)]} (first at {place}); every entry must be finite.")
    return array


def variance_array(value: object, name: str) -> NDArray[np.float64]:
    """``value`` as an array of variances of any shape."""
    array = np.asarray(real_array(value, name), np.float64)
    if array.min(initial=0) < 0:
        raise ValueError(f"{name} must hold variances >= 0, got {float(array.min()):.6g}.")
    return array


def ascending(value: object, name: str) -> tuple[float, ...]:
    """``value`` as finite floats in ascending order."""
    try:
        entries: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be a sequence of numbers, got {shown(value)}.") from None
    points = tuple(finite_number(entry, f"{name}[{i}]") for i, entry in enumerate(entries))
    if any(b <= a for a, b in itertools.pairwise(points)):
        raise ValueError(f"{name} must be in ascending order, each once; got {shown(list(points))}.")
    return points


def input_array(value: object, name: str) -> NDArray[Any]:
    """``value`` as an array of real numbers of shape (n, d), with no copy where it is one already."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or drop the masked entries first.")
    if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is a sparse matrix; pass {name}.toarray().")
    try:
        x = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a matrix of shape (n, d): {error}") from None
    if x.dtype.kind not in "biu" and x.dtype.newbyteorder("=") not in (np.float16, np.float32, np.float64):
        raise TypeError(
            f"{name} must hold real numbers (float32, float64, integers or bool), got dtype {cut(x.dtype)}."
        )
    if x.ndim != 2:
        one = f" n samples of one feature are {name}[:, None], a single sample is {name}[None, :]."
        hint = one if x.ndim == 1 else ""
        hint = f" Flatten images with {name}.reshape(len({name}), -1)." if x.ndim > 2 else hint
        raise ValueError(f"{name} must be a matrix of shape (n, d), got shape {x.shape}.{hint}")
    if x.shape[1] == 0:
        raise ValueError(f"{name} has shape {x.shape}: samples need at least one feature.")
    return x


def weights_matrix(value: object, name: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """``value`` as float64 of the given shape."""
    array = real_array(value, name)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, but the kernel has shape {shape}.")
    array = np.asarray(array, np.float64)
    return array if array.flags.aligned and not any(s % 8 for s in array.strides) else array.copy()


def engine_rows(x: NDArray[Any]) -> NDArray[Any]:
    """``x`` as the engine reads it: float32 or float64, native, aligned, features contiguous."""
    dtype = x.dtype.newbyteorder("=")
    if dtype not in FLOATS.values():
        dtype = FLOATS["float32" if dtype == np.float16 else "float64"]
    if x.dtype != dtype or not x.flags.aligned or x.strides[1] != x.itemsize or x.strides[0] % x.itemsize:
        x = np.array(x, dtype=dtype, order="C")
    return x


def kernel_dtype(value: object, *inputs: NDArray[Any]) -> np.dtype[Any]:
    """The dtype of the result: what was asked for, or that of the inputs."""
    if value is None:
        return np.result_type(*inputs)
    try:
        wanted = np.dtype(value).name  # type: ignore[call-overload]
    except TypeError:
        wanted = ""
    if wanted in FLOATS:
        return FLOATS[wanted]
    raise TypeError(f"dtype must be float32 or float64, got {shown(value)}.")


def refuse_rows(norms: NDArray[np.float64], x: NDArray[Any], name: str, first: int) -> None:
    """Raise for a row of ``x``, numbered from ``first``, that is not finite or too large, by the norms of them."""
    row = int(np.flatnonzero(~(norms < 1e154))[0])
    bad = np.flatnonzero(~np.isfinite(x[row]))
    number = first + row
    if bad.size:
        raise ValueError(
            f"{name} contains {x[row, bad[0]]} (first in row {number}, column {bad[0]}); every entry must be finite."
        )
    raise ValueError(
        f"{name}: row {number} has norm {norms[row]:.3g}, whose square overflows float64; scale the data down."
    )


def refuse_faint_rows(faint: NDArray[np.bool_], norms: NDArray[np.float64], name: str, first: int) -> None:
    """Raise for a row, numbered from ``first``, that is not zero but too small to have a direction."""
    if faint.any():
        row = int(np.argmax(faint))
        raise ValueError(
            f"{name}: row {first + row} has norm {norms[row]:.3g}, below the range of float64 in which rows can be "
            f"compared; scale the data up, or make it a row of zeros."
        )


def new_output(
    shape: tuple[int, ...], dtype: np.dtype[Any], count: int, *, instead: str = "write to disk with out=np.memmap(...)"
) -> list[NDArray[Any]]:
    """``count`` fresh arrays, or a MemoryError that says what they would take."""
    needed = count * math.prod(shape) * dtype.itemsize
    available = available_memory() if needed > 2**26 else None
    if available is None or needed <= available:
        try:
            return [np.empty(shape, dtype) for _ in range(count)]
        except (MemoryError, ValueError):
            available = available_memory()
    free = "" if available is None else f" and {available / 2**30:.1f} GiB are available"
    smaller = "Use dtype='float32', compute" if dtype == np.float64 and len(shape) == 2 else "Compute"
    raise MemoryError(
        f"a {dtype.name} result of shape {shape} needs {needed / 2**30:.1f} GiB{free}. {smaller} it in blocks of "
        f"rows, or {instead}."
    )


def repeats_memory(a: NDArray[Any]) -> bool:
    """Whether two entries of a matrix are the same place: i s + j t = 0 with |i| < n, |j| < m, not both 0."""
    (n, m), (s, t) = a.shape, a.strides
    if not a.size:
        return False
    if n < 2 or m < 2:
        return (n > 1 and s == 0) or (m > 1 and t == 0)
    common = math.gcd(s, t)
    return common == 0 or (abs(t) // common < n and abs(s) // common < m)


def output_matrix(
    out: object, shape: tuple[int, int], dtype: np.dtype[Any], inputs: dict[str, NDArray[Any]]
) -> NDArray[Any]:
    """``out`` if the engine can write to it."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}.")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, but the kernel has shape {shape}.")
    if out.dtype != dtype:
        hint = f"; pass dtype={out.dtype.name!r} or change out" if out.dtype in FLOATS.values() else ""
        raise ValueError(f"out has dtype {cut(out.dtype)}, but the kernel has dtype {dtype}{hint}.")
    if not out.flags.writeable:
        raise ValueError("out is read-only.")
    if not out.flags.aligned or any(stride % out.itemsize for stride in out.strides):
        raise ValueError("out is not aligned to its dtype.")
    if repeats_memory(out):
        raise ValueError("out repeats its own memory (a broadcast or window view); it needs one place per entry.")
    for name, x in inputs.items():
        if overlap(out, x):
            raise ValueError(f"out overlaps {name} in memory; inputs are never written to.")
    return out
