"""Files where the operating system has fewer calls for them than Linux has."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

import fastntk
from fastntk.__main__ import main
from fastntk._machine import files
from fastntk.cli import output

SIZE = 5 * 2**20 + 3


@pytest.fixture(params=["as here", "elsewhere"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The operating system here, and one without the calls that macOS or Windows do not have."""
    if request.param == "elsewhere":
        for name in ("O_TMPFILE", "O_PATH", "O_NOFOLLOW", "posix_fallocate"):
            monkeypatch.delattr(os, name, raising=False)
        monkeypatch.setattr(files, "fcntl", None)
    return str(request.param)


@pytest.mark.usefixtures("system")
def test_reserved_bytes_are_on_the_disk(tmp_path: Path) -> None:
    """Not a hole, and what was written before stays."""
    with (tmp_path / "K").open("w+b") as file:
        file.write(b"begin")
        file.flush()
        files.reserve(file, SIZE)
    status = (tmp_path / "K").stat()
    assert status.st_size == SIZE
    assert 512 * status.st_blocks >= SIZE
    assert (tmp_path / "K").read_bytes() == b"begin" + bytes(SIZE - 5)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where space is reserved by writing."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with open("/dev/full", "r+b", buffering=0) as file, pytest.raises(OSError, match="No space") as caught:
        files.reserve(file, SIZE)
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.usefixtures("system")
def test_command_line(tmp_path: Path) -> None:
    """Writes the kernel, and nothing else; what is there is not written over."""
    x = np.random.default_rng(0).normal(size=(300, 3))
    np.save(tmp_path / "X.npy", x)
    command = ["compute", str(tmp_path / "X.npy"), "--out", str(tmp_path / "K.npy"), "--quiet"]
    assert main(command) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "K.npy"), fastntk.mlp(1).ntk(x))
    before = (tmp_path / "K.npy").read_bytes()
    assert main(command) == 1
    assert (tmp_path / "K.npy").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"X.npy", "K.npy"}


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="Linux has files without a name")
def test_files_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None where the file system has none, or no way to give them one later; other errors are told."""

    def refuse(number: int) -> None:
        def refused(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "open", refused)

    with monkeypatch.context() as no_links:
        no_links.setattr(files, "_link_of", lambda _: str(tmp_path / "nothing"))
        assert files.open_nameless(tmp_path) is None
    refuse(errno.EOPNOTSUPP)
    assert files.open_nameless(tmp_path) is None
    refuse(errno.EACCES)
    with pytest.raises(OSError, match="Permission denied"):
        files.open_nameless(tmp_path)


def test_where_nothing_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of no file, or nobody tells."""
    assert files.mapping_at(0) is None
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert files.mapping_at(0) is None


def test_a_file_system_without_two_names_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is whole is renamed; other errors are told, and leave nothing."""
    monkeypatch.setattr(output, "open_nameless", lambda _: None)
    for number, name in ((errno.EPERM, "K"), (errno.EIO, "L")):
        with monkeypatch.context() as refusing:
            refusing.setattr(os, "link", lambda *_, n=number: (_ for _ in ()).throw(OSError(n, os.strerror(n))))
            if number == errno.EPERM:
                with output.new_file(tmp_path / name) as file:
                    file.write(b"whole")
            else:
                with pytest.raises(OSError, match="Input/output"), output.new_file(tmp_path / name):
                    pass
    assert [path.name for path in tmp_path.iterdir()] == ["K"]
    assert (tmp_path / "K").read_bytes() == b"whole"


def test_a_file_that_is_removed_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another process, which took it for what a killed one left: another is made."""
    monkeypatch.setattr(output, "open_nameless", lambda _: None)
    removed: list[Path] = []

    def hold(number: int) -> bool:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        return files.hold(number)

    monkeypatch.setattr(output, "hold", hold)
    with output.new_file(tmp_path / "K") as file:
        file.write(b"whole")
    assert len(removed) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["K"]
    assert (tmp_path / "K").read_bytes() == b"whole"
