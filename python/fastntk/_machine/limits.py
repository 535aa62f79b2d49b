"""What this process may take of the machine: memory and processors, within its control groups where there are some."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")

#: A control group of version 1 without a limit says so with some 2^63.
_UNLIMITED = 2**62


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes that a new array can take, where the operating system tells, within every control group's limit (Linux).

    What a group uses is counted without the pages of files that it has not touched for a while (``inactive_file``): the
    kernel takes these back first.
    """
    import psutil

    try:
        available = int(psutil.virtual_memory().available)
    except OSError:  # a Linux that does not show its memory
        return None
    for group, version in _groups(root, "memory"):
        limit, used, files = (
            ("memory.max", "memory.current", "inactive_file")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        most = _number(group / limit)
        if most is not None and most < _UNLIMITED:
            idle = dict(line.split() for line in _lines(group / "memory.stat")).get(files, "0")
            available = min(available, max(0, most - max(0, (_number(group / used) or 0) - int(idle))))
    return available


def processors(root: Path = ROOT) -> int | None:
    """How many processors the quotas of its control groups amount to, rounded up; None without a quota."""
    quotas = []
    for group, version in _groups(root, "cpu"):
        if version == 2:
            words = [word for line in _lines(group / "cpu.max") for word in line.split()]
            quota, period = (_whole(word) for word in words) if len(words) == 2 else (None, None)
        else:
            quota, period = (_number(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota and period and quota > 0:
            quotas.append(max(1, math.ceil(quota / period)))
    return min(quotas, default=None)


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """The folders of this process's group and of those it is in, for a controller, and the version of each."""
    paths: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)  # of version 2: no controllers
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        filesystem, _, options = kind.split(" ", 2)
        version = {"cgroup": 1, "cgroup2": 2}.get(filesystem)
        if version is None or (version == 1 and controller not in options.split(",")):
            continue
        mounted, mount = place.split()[3:5]  # the group that is mounted, and where
        key = "" if version == 2 else controller
        if key not in paths:
            continue
        top = root / mount.lstrip("/")
        # In a container the mounted group may be its own, under a name that holds outside.
        below = os.path.relpath(paths[key], mounted)
        folder = top if below.startswith("..") or not (top / below).is_dir() else top / below
        yield folder, version
        while folder != top:
            folder = folder.parent
            yield folder, version


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no such limit
        return []


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # "max"
        return None


def _number(file: Path) -> int | None:
    return _whole("".join(_lines(file)))
