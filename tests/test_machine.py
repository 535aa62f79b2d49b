"""Memory and processors within control groups, read from trees of files that look like those of containers."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from fastntk import _core
from fastntk._machine import limits as machine
from fastntk._machine import runtime

GIB = 2**30
FREE = 64 * GIB

#: Mounts as /proc/self/mountinfo has them.
V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 23 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)
V1_DOCKER = (
    "33 23 0:29 /docker/ab12 /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory\n"
    "34 23 0:30 /docker/ab12 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
)


def tree(root: Path, mounts: str, groups: str, files: dict[str, object]) -> Path:
    """A root folder with what a Linux kernel shows."""
    written = {
        "proc/self/mountinfo": "22 1 0:5 / /proc rw - proc proc rw\n" + mounts,
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": value for name, value in files.items()},
    }
    for name, content in written.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n" if not isinstance(content, str) else content)
    return root


def v2(group: str, limit: object, used: int, idle: int = 0) -> dict[str, object]:
    """Files of a memory group of version 2."""
    return {
        f"{group}memory.max": f"{limit}\n",
        f"{group}memory.current": used,
        f"{group}memory.stat": f"anon 1\ninactive_file {idle}\nactive_file 7\n",
    }


def v1(group: str, limit: int, used: int, idle: int = 0) -> dict[str, object]:
    """Files of a memory group of version 1: its own pages, and those of all below."""
    return {
        f"memory/{group}memory.limit_in_bytes": limit,
        f"memory/{group}memory.usage_in_bytes": used,
        f"memory/{group}memory.stat": f"cache 5\ninactive_file 3\ntotal_inactive_file {idle}\n",
    }


MEMORY: dict[str, tuple[str, str, dict[str, object], int]] = {
    "no groups": ("", "", {}, FREE),
    "no limit": (V2, "0::/a\n", v2("a/", "max", GIB), FREE),
    "page cache does not count": (V2, "0::/a\n", v2("a/", 8 * GIB, 7 * GIB, 5 * GIB), 6 * GIB),
    "all of it page cache": (V2, "0::/a\n", v2("a/", 8 * GIB, GIB, 2 * GIB), 8 * GIB),
    "over its limit": (V2, "0::/a\n", v2("a/", GIB, 2 * GIB), 0),
    "the group around has less": (
        V2,
        "0::/a/b/c\n",
        v2("a/", 4 * GIB, 3 * GIB) | v2("a/b/", "max", GIB) | v2("a/b/c/", 8 * GIB, GIB),
        GIB,
    ),
    "as a container sees itself": (V2, "0::/\n", v2("", 2 * GIB, GIB, GIB // 2), 3 * GIB // 2),
    "moved out of its namespace": (V2, "0::/../other\n", v2("", 2 * GIB, GIB), GIB),
    "version 1": (V1, "4:memory:/a\n3:cpu,cpuacct:/\n", v1("a/", 4 * GIB, 3 * GIB, GIB), 2 * GIB),
    "version 1, nested": (
        V1,
        "4:memory:/a/b\n",
        v1("", 2**63 - 4096, 9 * GIB) | v1("a/", 4 * GIB, 3 * GIB) | v1("a/b/", 2**63 - 4096, GIB),
        GIB,
    ),
    "version 1 in docker": (V1_DOCKER, "4:memory:/docker/ab12\n", v1("", 4 * GIB, GIB), 3 * GIB),
    "hybrid": (
        V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        "4:memory:/a\n0::/\n",
        v1("a/", 4 * GIB, GIB) | {"unified/cgroup.procs": "1\n"},
        3 * GIB,
    ),
    "unreadable numbers": (V2, "0::/a\n", {"a/memory.max": "?\n", "a/memory.current": "?\n"}, FREE),
}


@pytest.mark.parametrize("name", MEMORY)
def test_available_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The least that any group around the process has left, without pages of files that lie idle."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=FREE))
    mounts, groups, files, expected = MEMORY[name]
    assert machine.available_memory(tree(tmp_path, mounts, groups, files)) == expected


def test_without_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operating system says, or nothing where it does not."""
    assert machine.processors(tmp_path) is None
    here = machine.available_memory(tmp_path)
    assert here is not None
    assert 2**20 < here <= psutil.virtual_memory().total
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path), raising=False)
    if psutil.LINUX:
        assert machine.available_memory(tmp_path) is None


QUOTAS: dict[str, tuple[str, str, dict[str, object], int | None]] = {
    "none": (V2, "0::/a\n", {"a/cpu.max": "max 100000\n"}, None),
    "one and a half": (V2, "0::/a\n", {"a/cpu.max": "150000 100000\n"}, 2),
    "a tenth": (V2, "0::/a\n", {"a/cpu.max": "10000 100000\n"}, 1),
    "of the group around": (V2, "0::/a/b\n", {"a/b/cpu.max": "800000 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
    "version 1": (
        V1,
        "3:cpu,cpuacct:/a\n",
        {"cpu,cpuacct/a/cpu.cfs_quota_us": 250000, "cpu,cpuacct/a/cpu.cfs_period_us": 100000},
        3,
    ),
    "version 1 without": (
        V1_DOCKER,
        "3:cpu,cpuacct:/docker/ab12\n",
        {"cpu,cpuacct/cpu.cfs_quota_us": -1, "cpu,cpuacct/cpu.cfs_period_us": 100000},
        None,
    ),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_processors(tmp_path: Path, name: str) -> None:
    """The smallest quota of all groups around the process, in whole processors."""
    mounts, groups, files, expected = QUOTAS[name]
    assert machine.processors(tree(tmp_path, mounts, groups, files)) == expected


@pytest.mark.parametrize(
    ("asked", "variable", "quota", "threads"),
    [
        (16, None, 3, 3),  # nobody has asked for a number: that of the processors is OpenMP's own
        (16, None, None, 16),
        (16, None, 99, 16),
        (16, "16", 3, 16),
        (8, "8", 3, 8),
        (5, None, 3, 5),  # by threadpoolctl
        (40, "40", 3, 40),
        (100_000, "100000", None, 64),
    ],
)
def test_threads(
    monkeypatch: pytest.MonkeyPatch, asked: int, variable: str | None, quota: int | None, threads: int
) -> None:
    """On 16 processors: what was asked for, within reason; if nobody did, what the quota allows."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(machine, "processors", lambda: quota)
    monkeypatch.setattr(_core, "max_threads", lambda: asked)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    runtime._bounds.cache_clear()
    try:
        assert runtime.threads() == threads
    finally:
        runtime._bounds.cache_clear()


def test_blas_that_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without threadpoolctl it has the threads it has."""
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    assert isinstance(runtime.blas_threads(10), nullcontext)
