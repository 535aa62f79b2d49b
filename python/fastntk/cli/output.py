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

#: What a file system answers that has no files without a name.
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS}


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name when all is done: until then it has none, and ends with the process.

    Where the file system knows no such files it has a name of ours, ``.NAME.0123456789abcdef.fastntk-partial``, and is
    locked: what a killed process left is removed by the next one that writes the same file.

    Raises
    ------
    FileExistsError
        If there is a file of that name, at the beginning or at the end.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "it exists", str(path))
    _remove_leftovers(path)
    folder = path.absolute().parent
    number = _open_nameless(folder)
    if number is None:
        with _named(path) as file:
            yield file
        return
    with os.fdopen(number, "w+b") as file:
        yield file
        _finish(file)
        at = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:  # with a folder's number Python calls linkat, which follows the link that stands for the open file
            os.link(_link_of(number), path.name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=True)
        except FileExistsError:
            raise _appeared(path) from None
        finally:
            os.close(at)


def _open_nameless(folder: Path) -> int | None:
    """Open a file without a name, if there are such files and a way to give it one later."""
    try:
        number = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _NO_NAMELESS and folder.is_dir():
            return None
        raise
    if os.path.lexists(_link_of(number)):
        return number
    os.close(number)
    return None


def _link_of(number: int) -> str:
    return f"/proc/self/fd/{number}"


@contextmanager
def _named(path: Path) -> Iterator[IO[bytes]]:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.fastntk-partial")
    with partial.open("x+b") as file:
        try:
            _lock(file.fileno())
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
        number = os.open(partial, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if _lock(number):
                partial.unlink()
        finally:
            os.close(number)


def _lock(number: int) -> bool:
    """Hold a file as long as it is open; False where another process does, or where there are no locks."""
    import fcntl

    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def new_npy(path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """A memory map that becomes the file `path` when all is done, and nothing if anything fails."""
    with new_file(path) as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        start, size = file.tell(), shape[0] * shape[1] * dtype.itemsize
        os.posix_fallocate(file.fileno(), 0, start + size)  # a full disk is told here, not by a signal later
        if not size:  # there are no empty maps
            yield np.empty(shape, dtype)
            return
        out = np.memmap(file, dtype, "r+", start, shape)
        yield out
        out.flush()


def check_folder(path: Path) -> None:
    """Refuse an output whose folder is not there, before work starts.

    Raises
    ------
    FileNotFoundError
        With the folder.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path.parent))


def check_new(path: Path) -> None:
    """Refuse an output that is there, or whose folder is not, before work starts.

    Raises
    ------
    FileExistsError, FileNotFoundError
        With the path.
    """
    check_folder(path)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists: remove it first.")
