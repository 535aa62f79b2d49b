"""Tables in files, for the command line: .npy, .npz, .csv and Zarr; and a kernel to a file, whole or not at all."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .store import ATTRIBUTE

FORMATS = ".npy, .npz (FILE.npz:NAME for one of several arrays), .csv, .csv.gz or a Zarr array"


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
    try:
        if kind == ".npy":
            return np.asanyarray(np.load(file, mmap_mode="r", allow_pickle=False))
        if kind == ".npz":
            return _member(file, member)
        if kind in (".csv", ".csv.gz"):
            return _read_csv(file)
        if file.is_dir():
            return _read_zarr(file)
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{name} cannot be read: {str(error).rstrip('.')}.") from None
    raise ValueError(f"{name} is not a table that can be read: it must be {FORMATS}.")


def _member(file: Path, member: str) -> NDArray[Any]:
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        names = archive.files
        if member in names or (not member and len(names) == 1):
            return np.asarray(archive[member or names[0]])
        hint = f"which array of it? Write {file}:NAME with one of" if not member else f"it has no {member!r}, but"
        raise ValueError(f"{hint} {', '.join(names) or 'none'}")


def _read_csv(file: Path) -> NDArray[np.float64]:
    """Numbers between commas, perhaps below a line of names."""
    with (
        gzip.open(file, "rt", encoding="utf-8-sig") if file.suffix == ".gz" else file.open(encoding="utf-8-sig") as text
    ):
        lines = [(number, line) for number, line in enumerate(text, start=1) if line.strip()]
    if lines and not any(map(_is_number, lines[0][1].split(","))):  # if some are, it is a sample with a gap
        del lines[0]
    if not lines:
        raise ValueError("there are no samples in it")
    try:
        return np.loadtxt([line for _, line in lines], np.float64, delimiter=",", ndmin=2, comments=None)
    except ValueError:
        _find_fault(lines)
        raise


def _find_fault(lines: list[tuple[int, str]]) -> None:
    """Raise for the first field that is not a number, or the first line of another length."""
    columns = lines[0][1].count(",") + 1
    for number, line in lines:
        fields = line.split(",")
        if len(fields) != columns:
            raise ValueError(f"line {number} has {len(fields)} columns, and the first {columns}")
        for column, field in enumerate(fields, start=1):
            if not _is_number(field):
                raise ValueError(f"in line {number}, column {column}, {field.strip()!r} is not a number")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_zarr(folder: Path) -> NDArray[Any]:
    import zarr

    try:
        array = zarr.open_array(folder, mode="r")
    except FileNotFoundError:
        raise ValueError("the folder is not a Zarr array") from None
    if ATTRIBUTE in array.attrs:
        raise ValueError("it is a kernel that fastntk has stored, not samples")
    return np.asarray(array[:])


@contextmanager
def new_npy(path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """A memory map that becomes the file `path` when all is done, and nothing if anything fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        out = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
        with partial.open("r+b") as file:  # a full disk is told here, not by a signal when a page is written
            os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
        yield out
        out.flush()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
