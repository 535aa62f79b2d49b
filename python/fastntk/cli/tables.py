"""Tables in files: .npy, .npz, .csv and Zarr arrays; samples, targets and labels. Nothing is ever unpickled."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._checks.arrays import input_array
from .._checks.shown import counted
from ..layers.window import MOST_AXES
from ..samples import Ragged
from .ragged import NAMES, is_ragged, samples_of

#: Whole numbers up to this one are floats, each another.
_EXACT = 2.0**53

#: A whole number as it is printed.
_WHOLE = "0|-?[1-9][0-9]*"

#: What others write where there is nothing, but for nan.
_MISSING = ("", "?", "#N/A", "<NA>", "N/A", "NA", "n/a")

FORMATS = ".npy, .npz (FILE.npz:NAME for one of several arrays), .csv, .csv.gz or a Zarr array"

#: What the help of a command says of samples that are no table.
RAGGED = """\
Sequences of different lengths are a .npz file of values (steps, channels), those of one after those of the other, and
lengths (n,); or of padded values (n, longest, channels) and lengths. Graphs are one of features (nodes, channels),
nodes (n,), how many each has, edges (2, m), from and to which of all nodes, and weights (m,) if there are any.
"""

T = TypeVar("T")


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """One sentence for a file that is not what its reader expects: what readers raise then is of any type."""
    try:
        # Of NumPy's count of bytes, for a shape that is none; and of how a header is written.
        with np.errstate(over="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.filename):
            raise
        what = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{name} cannot be read: {what[:300]}.") from None


def read_table(name: str) -> NDArray[Any]:
    """Samples in a file, one a row; a .npy file is mapped into memory, not read. Nothing is ever unpickled.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is none of the formats, or damaged.
    """
    path, _, member = name.partition(".npz:")
    file = Path(path + ".npz" if member else path)
    if not file.exists():
        raise FileNotFoundError(2, "No such file or directory", str(file))
    kind = "".join(file.suffixes[-2:]) if file.suffix == ".gz" else file.suffix
    with _readable(name):
        if kind == ".npy":
            return np.asanyarray(np.load(file, mmap_mode="r", allow_pickle=False))
        if kind == ".npz":
            return _member(file, member)
        if kind in (".csv", ".csv.gz"):
            return _read_csv(file)
        if file.is_dir():
            return _read_zarr(file)
    raise ValueError(f"{name} is not a table that can be read: it must be {FORMATS}.")


def read_given(name: str) -> NDArray[Any] | Ragged:
    """A table, or the sequences or graphs that a .npz file has.

    Raises
    ------
    OSError, ValueError, TypeError
        As `read_table`; or if they are no sequences and no graphs.
    """
    file = Path(name)
    if file.suffix == ".npz" and file.exists():
        with _readable(name), file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if is_ragged(archive.files):
                return samples_of({key: np.asarray(archive[key]) for key in archive.files})
    return read_table(name)


def has_samples(file: Path) -> bool:
    """Whether a .npz file has the arrays of sequences or graphs, and no others."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return is_ragged(archive.files) and set(archive.files) <= set(NAMES)
    except Exception as error:  # of any type, where it is no archive
        if isinstance(error, OSError) and error.filename:
            raise
        return False


def read_samples(name: str) -> NDArray[Any] | Ragged:
    """Samples in a file: rows of features, arrays of positions and channels, sequences or graphs.

    Raises
    ------
    OSError, ValueError, TypeError
        As `read_given`; or if they are no samples.
    """
    given = read_given(name)
    return given if isinstance(given, Ragged) else input_array(given, "X", most_axes=MOST_AXES + 2)


def features(x: NDArray[Any] | Ragged) -> str:
    """What a sample is made of, for people."""
    if isinstance(x, Ragged):
        return f"{counted(x.channels, 'channel')} at each {x.node}"
    return counted(x.shape[1], "feature") if x.ndim == 2 else f"{' x '.join(map(str, x.shape[1:]))} features"


def _member(file: Path, member: str) -> NDArray[Any]:
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        names = archive.files
        if member in names or (not member and len(names) == 1):
            return np.asarray(archive[member or names[0]])
        hint = f"which array of it? Write {file}:NAME with one of" if not member else f"it has no {member!r}, but"
        raise ValueError(f"{hint} {', '.join(names) or 'none'}")


def read_targets(name: str, rows: int) -> NDArray[np.float64]:
    """Numbers to predict, one row for each sample; of shape (n,) where there is one for each.

    Raises
    ------
    OSError, ValueError, TypeError
        As `read_table`; or if they are not finite, or not as many as samples.
    """
    table = read_table(name)
    if table.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {table.dtype}; labels are for --classify.")
    targets = np.array(table, np.float64)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    _check_count(name, targets, rows, (1, 2))
    if not targets.size:
        raise ValueError(f"{name} has shape {targets.shape}: there are no targets in it.")
    wrong = np.argwhere(~np.isfinite(targets))
    if len(wrong):
        raise ValueError(f"{name} contains {targets[tuple(wrong[0])]} (first in row {wrong[0][0]}).")
    return targets


def read_labels(name: str, rows: int) -> NDArray[Any]:
    """Labels, one for each sample: whole numbers or text; a .csv may begin with a line that names them.

    Raises
    ------
    OSError, ValueError, TypeError
        As `read_table`; or if they are something else, or not as many as samples.
    """
    if name.endswith((".csv", ".csv.gz")):
        labels = _labels(_below_a_name(name, _guarded(_read_lines, name), rows))
    else:
        labels = np.asarray(read_table(name))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    _check_count(name, labels, rows, (1,))
    if labels.dtype.kind == "f":
        wrong_rows = np.flatnonzero(~(np.isfinite(labels) & (labels == np.round(labels))))
        if len(wrong_rows):
            raise ValueError(
                f"{name} must hold labels, whole numbers or text, got {labels[wrong_rows[0]]} in row {wrong_rows[0]}; "
                "leave --classify out for regression."
            )
        if len(large := np.flatnonzero(np.abs(labels) > _EXACT)):
            raise ValueError(
                f"{name} has the label {labels[large[0]]} in row {large[0]}, a float that may stand for several whole "
                "numbers: write labels beyond 2**53 as integers or text."
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "U" and (missing := [i for i, label in enumerate(labels.tolist()) if _is_missing(label)]):
        raise ValueError(
            f"{name} has no label in row {missing[0]}, but {labels[missing[0]]!s}; if it is one, give it another name."
        )
    if labels.dtype.kind not in "biuU":
        raise TypeError(f"{name} must hold labels, whole numbers or text, got dtype {labels.dtype}.")
    return labels


def _check_count(name: str, values: NDArray[Any], rows: int, axes: tuple[int, ...]) -> None:
    if values.ndim not in axes or len(values) != rows:
        raise ValueError(f"{name} has shape {values.shape}, and there are {counted(rows, 'sample')}.")


def _below_a_name(name: str, lines: list[str], rows: int) -> list[str]:
    """As many labels as samples, without the name of what they are in the first line, if there is one."""
    first, rest = lines[0] if lines else "", lines[1:]
    if len(rest) == rows:
        if first in rest or all(map(_is_number, lines)):
            more = f"{rows + 1} lines for {counted(rows, 'sample')}"
            raise ValueError(f"{name} has {more}: remove the first, {first!r}, if it is a name.")
        return rest
    if len(lines) == rows > 1 and all(map(_is_number, rest)) and not _is_number(first):
        raise ValueError(
            f"{name} begins with {first!r}, and all other labels are numbers: if that is a name, a label is missing; "
            "if it is a label, write all of them into a .npy file."
        )
    return lines


def _labels(lines: list[str]) -> NDArray[Any]:
    """Whole numbers, other ones, or text, which are whole ones that are not written as such too: 007, 1e5, +1."""
    if all(re.fullmatch(_WHOLE, line) for line in lines):
        small = all(len(line) < 20 and abs(int(line)) < 2**63 for line in lines)
        return np.array(list(map(int, lines)), np.int64) if small else np.array(lines)
    if not all(map(_is_number, lines)):
        return np.array(lines)
    numbers = np.array(list(map(float, lines)))
    plain = all(re.fullmatch(rf"{_WHOLE}|[+-]?[0-9]+\.[0-9]*([eE][+-]?[0-9]+)?", line) for line in lines)
    return numbers if plain or not (numbers == np.round(numbers)).all() or np.isinf(numbers).any() else np.array(lines)


def _guarded(read: Callable[[Path], T], name: str) -> T:
    """What a reader gives, or one sentence."""
    file = Path(name)
    if not file.exists():
        raise FileNotFoundError(2, "No such file or directory", name)
    with _readable(name):
        return read(file)


def _lines(file: Path) -> list[tuple[int, str]]:
    """Lines, but for empty ones around them, and their numbers."""
    with (
        gzip.open(file, "rt", encoding="utf-8-sig") if file.suffix == ".gz" else file.open(encoding="utf-8-sig") as text
    ):
        lines = list(enumerate(text, start=1))
    full = [i for i, (_, line) in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else []


def _refuse_empty(lines: list[tuple[int, str]]) -> None:
    """In one column an empty line is of a sample that has nothing there."""
    if empty := next((number for number, line in lines if not line.strip()), 0):
        raise ValueError(f"line {empty} is empty")


def _read_lines(file: Path) -> list[str]:
    """One text a line, in quotes or not."""
    lines = _lines(file)
    _refuse_empty(lines)
    for delimiter in ";\t":
        counts = {line.count(delimiter) for _, line in lines}
        if len(counts) == 1 and 0 not in counts:
            raise _several_columns(*lines[0])
    found = []
    for number, line in lines:
        fields = next(csv.reader([line.strip()]))
        if len(fields) != 1:
            raise _several_columns(number, line)
        found.append(fields[0].strip())
    return found


def _several_columns(number: int, line: str) -> ValueError:
    return ValueError(f"line {number}, {line.strip()[:40]!r}, has several columns, and labels have one")


def _read_csv(file: Path) -> NDArray[np.float64]:
    """Numbers between commas, or semicolons if the first line has one, perhaps below a line of names."""
    lines = _lines(file)
    delimiter = ";" if lines and ";" in lines[0][1] else ","
    names = [field.strip() for field in lines[0][1].split(delimiter)] if lines else []
    if len(names) == 1:
        _refuse_empty(lines)
    lines = [(number, line) for number, line in lines if line.strip()]
    if len(names) > 2 and names == list(map(str, range(len(names)))):
        raise ValueError(
            f"line 1 is {delimiter.join(names[:3])}{delimiter}..., as pandas names columns: write it without, "
            "header=False, or, if it is a sample, 0.0 for 0"
        )
    # If some are numbers, or all are missing, it is a sample with a gap.
    if names and not any(map(_is_number, names)) and not all(map(_is_missing, names)):
        del lines[0]
    if not lines:
        raise ValueError("there are no samples in it")
    try:
        return np.loadtxt([line for _, line in lines], np.float64, delimiter=delimiter, ndmin=2, comments=None)
    except ValueError:
        _find_fault(lines, delimiter)
        raise


def _find_fault(lines: list[tuple[int, str]], delimiter: str) -> None:
    """Raise for the first field that is not a number, or the first line of another length."""
    columns = lines[0][1].count(delimiter) + 1
    for number, line in lines:
        fields = line.split(delimiter)
        if len(fields) != columns:
            raise ValueError(f"line {number} has {len(fields)} columns, and the first {columns}")
        for column, field in enumerate(fields, start=1):
            if not _is_number(field):
                raise ValueError(f"in line {number}, column {column}, {field.strip()!r} is not a number")


def _is_missing(text: str) -> bool:
    return text in _MISSING or text.lower().lstrip("+-") == "nan"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python allows between digits


def _read_zarr(folder: Path) -> NDArray[Any]:
    import zarr

    from ..store.layout import ATTRIBUTE

    try:
        array = zarr.open_array(folder, mode="r")
    except FileNotFoundError:
        raise ValueError("the folder is not a Zarr array") from None
    if ATTRIBUTE in array.attrs:
        raise ValueError("it is a kernel that fastntk has stored, not samples")
    return np.asarray(array[:])
