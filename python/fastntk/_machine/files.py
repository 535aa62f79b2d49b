"""Files, as operating systems differ in them: all else here asks for a file by what it wants of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO, NamedTuple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: What a file system answers that has no files without a name.
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS}

#: So many bytes are written at once where space is reserved by writing.
_BLOCK = 2**20


def hold(number: int) -> bool:
    """Lock an open file to this process until it is closed, however the process ends; False if that cannot be.

    It keeps others from removing the file. Windows removes no file that is open: nothing need be done there.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or the file system has no locks
        return False
    return True


def reserve(file: IO[bytes], size: int) -> None:
    """Give a new file so many bytes of disk: a full disk is told here, and not by a signal when a map is written to.

    Where there is no call for it (macOS, Windows) zeros are written, as a file that is only made longer may have holes.

    Raises
    ------
    OSError
        If the disk is full.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    left = size - file.seek(0, os.SEEK_END)
    while left > 0:
        left -= file.write(bytes(min(left, _BLOCK)))
    file.flush()


def open_nameless(folder: Path) -> int | None:
    """Open a file without a name, if there are such files (Linux has them) and a way to give it one later."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        number = os.open(folder, os.O_RDWR | os.O_TMPFILE, 0o666)
    except OSError as error:
        if error.errno in _NO_NAMELESS and folder.is_dir():
            return None
        raise
    if os.path.lexists(_link_of(number)):
        return number
    os.close(number)
    return None


def give_name(number: int, path: Path) -> None:
    """Give a file without a name one.

    Raises
    ------
    FileExistsError
        If there is a file of that name.
    """
    folder = os.open(path.absolute().parent, os.O_PATH)
    try:  # with a folder's number Python calls linkat, which follows the link that stands for the open file
        os.link(_link_of(number), path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _link_of(number: int) -> str:
    return f"/proc/self/fd/{number}"


class Mapping(NamedTuple):
    """A part of a file that is mapped into memory."""

    file: tuple[str, str]  # which is known by a name of the device and a number
    shift: int  # from an address to the place in the file
    private: bool  # what is written to it does not come to the file


def mapping_at(address: int) -> Mapping | None:
    """Which part of which file is mapped there, where the operating system tells (Linux does)."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in maps.splitlines():
        span, permissions, offset, device, inode = line.split(maxsplit=5)[:5]
        start, end = (int(bound, 16) for bound in span.split("-"))
        if start <= address < end and inode != "0":
            return Mapping((device, inode), int(offset, 16) - start, "p" in permissions)
    return None
