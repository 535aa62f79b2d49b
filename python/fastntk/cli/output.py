"""Files that are there when they are whole, and not at all otherwise, however the process ends."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .._machine.files import give_name, hold, open_nameless, reserve

#: A disk, a quota, or what one file may have, is full.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when all is done: until then it has none, and ends with the process.

    Where the file system knows no such files it has a name of ours, ``.NAME.0123456789abcdef.fastntk-partial``, and is
    locked: what a killed process left is removed by the next one that writes the same file.

    Raises
    ------
    FileExistsError
        If there is a file of that name, at the beginning or at the end.
    OSError
        If there is no more room for it: with its name.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "it exists", str(path))
    _remove_leftovers(path)
    try:
        with _opened(path) as file:
            yield file
    except OSError as error:
        if error.filename is None and error.errno in _NO_ROOM:
            error.filename = str(path)
        raise


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    number = open_nameless(path.absolute().parent)
    if number is None:
        with _named(path) as file:
            yield file
        return
    with os.fdopen(number, "w+b") as file:
        yield file
        _finish(file)
        try:
            give_name(number, path)
        except FileExistsError:
            raise _appeared(path) from None


@contextmanager
def _named(path: Path) -> Iterator[IO[bytes]]:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.fastntk-partial")
    try:
        with partial.open("x+b") as file:
            hold(file.fileno())
            if not partial.exists():  # removed by another process, before it was locked
                with _named(path) as again:
                    yield again
                return
            yield file
            _finish(file)
            try:
                os.link(partial, path)
            except FileExistsError:
                raise _appeared(path) from None
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                partial.rename(path)  # where there are no two names of one file
    finally:
        partial.unlink(missing_ok=True)


def _appeared(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "another process has made it in the meantime", str(path))


def _finish(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed left of this file: of our name, ordinary, and held by none."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.fastntk-partial")
    with suppress(OSError):  # a folder that cannot be read is told when it is written to
        for partial in path.absolute().parent.iterdir():
            if ours.fullmatch(partial.name) and stat.S_ISREG(partial.lstat().st_mode):
                _remove_if_free(partial)


def _remove_if_free(partial: Path) -> None:
    with suppress(OSError):
        number = os.open(partial, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            if hold(number):
                partial.unlink()
        finally:
            os.close(number)


@contextmanager
def new_npy(path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """A memory map that becomes the file `path` when all is done, and nothing if anything fails."""
    with new_file(path) as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        start, size = file.tell(), shape[0] * shape[1] * dtype.itemsize
        reserve(file, start + size)
        if not size:  # there are no empty maps
            yield np.empty(shape, dtype)
            return
        out = np.memmap(file, dtype, "r+", start, shape)
        yield out
        out.flush()


def check_folder(path: Path) -> None:
    """Refuse an output whose folder is not there, or not to be written to, before work starts.

    Raises
    ------
    FileNotFoundError, PermissionError
        With the folder.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path.parent))
    folder = path if path.is_dir() else path.parent  # a store that is gone on with
    if not os.access(folder.absolute(), os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))


def check_new(path: Path) -> None:
    """Refuse an output that is there, or whose folder is not, before work starts.

    Raises
    ------
    FileExistsError, FileNotFoundError, PermissionError
        With the path.
    """
    check_folder(path)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists: remove it first.")
