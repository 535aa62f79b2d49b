"""Checks of arrays that users give or want written to, and the sentence each gives. Nothing deeper checks again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._machine.limits import available_memory
from .._machine.rows import FLOATS
from .arguments import finite_number
from .places import overlap
from .shown import cut, position, shown

#: Lists in lists, as many axes as NumPy's arrays may have.
_MOST_NESTED = 64


def _has_masked(entries: list[Any] | tuple[Any, ...], depth: int = 0) -> bool:
    """Whether a masked array is somewhere in lists of lists."""
    kinds = set(map(type, entries))
    if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        return True
    nested = depth < _MOST_NESTED and any(issubclass(kind, (list, tuple)) for kind in kinds)
    return nested and any(_has_masked(entry, depth + 1) for entry in entries if isinstance(entry, (list, tuple)))


def refuse_masked(value: object, name: str) -> None:
    """Raise for a masked array, or lists that have one, whose masks NumPy would drop."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill or drop the masked entries first.")
    if isinstance(value, (list, tuple)) and _has_masked(value):
        raise TypeError(f"{name} has masked arrays; fill or drop the masked entries first.")


def _refuse_forms(value: object, name: str) -> None:
    """Raise for what NumPy would make something else of: a sparse matrix, or an array with a mask."""
    refuse_masked(value, name)
    if not isinstance(value, np.ndarray) and (hasattr(value, "toarray") or hasattr(value, "todense")):
        raise TypeError(f"{name} is a sparse matrix; pass {name}.toarray().")


def any_array(value: object, name: str) -> NDArray[Any]:
    """``value`` as an array, of anything."""
    _refuse_forms(value, name)
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} must be an array: {error}") from None


def axes_of(value: object, name: str) -> int:
    """How many axes ``value`` has as an array: 0 of a number."""
    return value.ndim if isinstance(value, np.ndarray) else any_array(value, name).ndim


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, which nobody may write to."""
    array.flags.writeable = False
    return array


def real_array(value: object, name: str, *, finite: bool = True, first: int = 0) -> NDArray[Any]:
    """``value`` as an array of real numbers of any shape, whose rows are numbered from ``first``."""
    array = any_array(value, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {cut(array.dtype)}.")
    if array.dtype.char == "g":  # to float64, which all is computed in: what is infinite there is seen here
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
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


#: Weights, so that their products with kernels, and sums of them, stay in the range of float64.
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-140, 1e140


def sample_weights(value: object, name: str, n: int, *, first: int = 0) -> NDArray[np.float64]:
    """``value`` as weights >= 0 of n samples, which are numbered from ``first``."""
    weights = np.asarray(real_array(value, name, first=first), np.float64)
    if weights.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), got {weights.shape}.")
    if weights.min(initial=0) < 0:
        raise ValueError(f"{name} must be >= 0, got {weights.min():.6g} (first at {first + int(weights.argmin())}).")
    refuse_weights_out_of_range(weights[weights > 0], f"{name} other than 0")
    return weights


def refuse_weights_out_of_range(weights: NDArray[np.float64], name: str) -> None:
    """Raise for weights whose products and sums could be infinite, or 0."""
    if len(weights) and (weights.min() < _LEAST_WEIGHT or weights.max() > _MOST_WEIGHT):
        ends = f"from {weights.min():.3g} to {weights.max():.3g}"
        raise ValueError(
            f"{name} must be from {_LEAST_WEIGHT:.0e} to {_MOST_WEIGHT:.0e}, got weights {ends}: scale them."
        )


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


def hint_at_sizes(value: object, name: str) -> str:
    """What a list, or an array of objects, of matrices should have been; nothing of other values."""
    objects = isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1
    if not (objects or isinstance(value, (list, tuple))):
        return ""
    entries: Sequence[object] = value  # type: ignore[assignment]
    if not len(entries) or any(getattr(entry, "ndim", 0) != 2 for entry in entries):
        return ""
    samples = f"list({name})" if objects else name
    return f" Samples of different sizes are fastntk.Sequences({samples}), or fastntk.Graphs."


def input_array(value: object, name: str, *, most_axes: int = 2, row: str = "sample") -> NDArray[Any]:
    """``value`` as an array of real numbers of shape (n, d), with no copy where it is one already.

    With `most_axes` of it beyond 2 it may be one of shape (n, positions ..., channels). Errors call a row by `row`.
    """
    _refuse_forms(value, name)
    try:
        x = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a matrix of shape (n, d): {error}{hint_at_sizes(value, name)}") from None
    if x.dtype.kind not in "biuf" or x.dtype.char == "g":
        raise TypeError(
            f"{name} must hold real numbers (float32, float64, integers or bool), got dtype {cut(x.dtype)}."
            f"{hint_at_sizes(value, name)}"
        )
    if not 2 <= x.ndim <= most_axes:
        hint = ""
        if x.ndim == 1:
            hint = f" n {row}s of one feature are {name}[:, None], a single {row} is {name}[None, :]."
        elif most_axes == 2 and x.ndim > 2:
            hint = f" Flatten images with {name}.reshape(len({name}), -1)."
        wanted = "(n, d)" if most_axes == 2 else f"(n, d), or (n, positions ..., channels) with up to {most_axes} axes"
        raise ValueError(f"{name} must be a matrix of shape {wanted}, got shape {x.shape}.{hint}")
    if 0 in x.shape[1:]:
        raise ValueError(f"{name} has shape {x.shape}: {row}s need at least one feature.")
    return x


def weights_matrix(value: object, name: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """``value`` as float64 of the given shape."""
    array = real_array(value, name)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, but the kernel has shape {shape}.")
    array = np.asarray(array, np.float64)
    return array if array.flags.aligned and not any(s % 8 for s in array.strides) else array.copy()


def kernel_dtype(value: object, *inputs: NDArray[Any] | np.dtype[Any]) -> np.dtype[Any]:
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


def refuse_rows(
    norms: NDArray[np.float64], x: NDArray[Any], name: str, first: int, starts: NDArray[np.intp] | None = None
) -> None:
    """Raise for a row of ``x``, numbered from ``first``, that is not finite or too large, by the norms of them.

    A row is of numbers, or, of samples with positions, of shape (positions ..., channels). With ``starts`` rows are
    nodes of samples that begin there.
    """
    row = int(np.flatnonzero(~(norms < 1e154))[0])
    bad = np.argwhere(~np.isfinite(x[row]))
    where = _place(row, x, first, starts)
    if bad.size:
        *place, last = bad[0]
        entry = "column" if x.ndim == 2 and starts is None else "channel"
        at = ", ".join([where, *([f"position {position(place)}"] if place else []), f"{entry} {last}"])
        raise ValueError(f"{name} contains {x[row][tuple(bad[0])]} (first in {at}); every entry must be finite.")
    raise ValueError(f"{name}: {where} has norm {norms[row]:.3g}, whose square overflows float64; scale the data down.")


def refuse_faint_rows(
    faint: NDArray[np.bool_],
    norms: NDArray[np.float64],
    x: NDArray[Any],
    name: str,
    first: int,
    starts: NDArray[np.intp] | None = None,
) -> None:
    """Raise for a row, numbered as in `refuse_rows`, that is not zero but too small to have a direction."""
    if faint.any():
        row = int(np.argmax(faint))
        what = "position" if starts is not None else "sample" if x.ndim > 2 else "row"
        raise ValueError(
            f"{name}: {_place(row, x, first, starts)} has norm {norms[row]:.3g}, below the range of float64 in which "
            f"{what}s can be compared; scale the data up, or make it a {what} of zeros."
        )


def _place(row: int, x: NDArray[Any], first: int, starts: NDArray[np.intp] | None) -> str:
    if starts is None:
        return f"{'sample' if x.ndim > 2 else 'row'} {first + row}"
    sample = int(np.searchsorted(starts, row, side="right")) - 1
    return f"sample {first + sample}, position {row - starts[sample]}"


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
