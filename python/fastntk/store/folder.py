"""To whom a folder belongs: which files of it this library has made, and which process writes to it now."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .layout import CHUNKS, METADATA

LOCK = ".fastntk.lock"

#: Zarr's, on their way to a file of the name that comes before: of a process that was killed.
_PARTIAL = re.compile(r"(zarr|\d+)\.[0-9a-f]{32}\.partial")


def check_is_ours(folder: Path) -> None:
    """Refuse a folder that is neither a store nor new, whatever it holds.

    Raises
    ------
    FileExistsError, ValueError
        If it is a file; if it holds what this library has not made.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(errno.EEXIST, "it is a file, and a store is a folder", str(folder))
    if (folder / METADATA).exists():
        return  # what it says decides
    foreign = sorted(entry.name for entry in folder.iterdir() if not _is_leftover(entry))
    if foreign:
        why = f"{METADATA} is missing" if foreign == [CHUNKS] else f"it holds {foreign[0]!r}"
        raise ValueError(
            f"{folder} is not a kernel that fastntk has stored. As {why}, choose a folder that is new or empty."
        )


def is_new(folder: Path) -> bool:
    """Whether nothing is there but what an interrupted beginning left."""
    return not (folder / METADATA).exists()


def _is_leftover(entry: Path) -> bool:
    mode = entry.lstat()
    if entry.name == LOCK:
        return stat.S_ISREG(mode.st_mode) and mode.st_size == 0
    return stat.S_ISREG(mode.st_mode) and _PARTIAL.fullmatch(entry.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what Zarr was writing when the process was killed; whoever calls this holds the lock."""
    chunks = folder / CHUNKS
    rows = [folder, *(row for row in _entries(chunks) if row.name.isdecimal() and not row.is_symlink())]
    if chunks.is_symlink():
        del rows[1:]
    for row in rows:
        for file in _entries(row):
            if file.name != LOCK and _is_leftover(file):
                file.unlink()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a store to one process; the operating system ends this with the process, however it ends.

    The lock is an empty file: it is not followed if it is a link, nor written to, and removed by who holds it.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / LOCK  # which is removed wherever the process has gone
    if os.path.lexists(path) and not _is_leftover(path):
        raise _not_a_lock(path)
    # A lock of another kind would stay behind when the process is killed.
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise FileExistsError(f"{folder} is being written by another process.") from None
    except OSError as error:
        if error.filename is not None:
            raise
        why = f"the file system has no locks ({error.strerror}), by which a store is kept to one process"
        raise OSError(error.errno, why, str(path)) from None
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows removes no file that is open, and need not
            path.unlink(missing_ok=True)
        lock.release()


def _not_a_lock(path: Path) -> ValueError:
    return ValueError(f"{path} is not the empty file by which fastntk keeps a store to one process: move it away.")
