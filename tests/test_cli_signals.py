"""The command line when it is ended: what it leaves, and what the next run makes of that."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import fastntk
from fastntk.__main__ import main
from fastntk.cli import output
from fastntk.cli.output import new_file

zarr = pytest.importorskip("zarr")

#: Seconds of work on any machine.
SLOW = ["compute", "X.npy", "--activation", "tanh", "--depth", "60", "--quiet", "--out"]
#: As where the file system has no files without a name.
NAMED = "from fastntk.cli import output; output.open_nameless = lambda folder: None; "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with samples."""
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", np.random.default_rng(0).normal(size=(4000, 4)))
    return tmp_path


@contextmanager
def running(out: str, before: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """The command line, which has begun to write."""
    code = f"{before}import sys; from fastntk.__main__ import main; sys.exit(main({[*SLOW, out]!r}))"
    # Who runs tests in the background may ignore signals, which children inherit.
    code = f"import signal; [signal.signal(s, signal.SIG_DFL) for s in (1, 15)]; {code}"
    code = f"import signal; signal.signal(2, signal.default_int_handler); {code}"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        while not has_begun(process.pid, out):
            assert process.poll() is None
        yield process


def has_begun(process: int, out: str) -> bool:
    """Whether the store, or the file, is there: open, with or without a name, at full size."""
    if out.endswith(".zarr"):
        return (Path(out) / "zarr.json").exists()
    for link in Path(f"/proc/{process}/fd").glob("*"):
        try:
            target = os.readlink(link)
            if target.startswith(f"{Path.cwd()}/") and link.stat().st_size > 4000**2 * 8:
                return True
        except FileNotFoundError:
            pass
    return False


@pytest.mark.parametrize(
    ("number", "code", "how", "out"),
    [
        (signal.SIGINT, 130, "interrupted", "K.npy"),
        (signal.SIGINT, 130, "interrupted", "K.zarr"),
        (signal.SIGTERM, 143, "terminated", "K.npy"),
        (signal.SIGTERM, 143, "terminated", "K.zarr"),
        (signal.SIGHUP, 129, "terminated", "K.npy"),
    ],
)
def test_signals(folder: Path, out: str, number: signal.Signals, code: int, how: str) -> None:
    """Exit code, one sentence; no file at all, and a store that can be gone on with."""
    before = set(folder.iterdir())
    with running(out) as process:
        process.send_signal(number)
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert printed == b""
    hint = "; the same call with --resume goes on" if out == "K.zarr" else ""
    assert errors.decode() == f"fastntk: {how}{hint}.\n"
    if out == "K.zarr":
        done, total = fastntk.store.count("K.zarr")
        assert done < total
        assert not list(folder.rglob("*.lock"))
    else:
        assert set(folder.iterdir()) == before


def test_sigterm_without_nameless_files(folder: Path) -> None:
    """Where the file must have a name it is removed."""
    before = set(folder.iterdir())
    with running("K.npy", NAMED) as process:
        assert len(set(folder.iterdir()) - before) == 1
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]
    assert (process.returncode, errors) == (143, b"fastntk: terminated.\n")
    assert set(folder.iterdir()) == before


def test_sigkill(folder: Path) -> None:
    """Leaves nothing where files need no name."""
    before = set(folder.iterdir())
    with running("K.npy") as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert set(folder.iterdir()) == before


def test_sigkill_without_nameless_files(folder: Path) -> None:
    """Leaves a file, which the next run with the same output removes, and no other."""
    with running("K.npy", NAMED) as process:
        process.kill()
    (left,) = folder.glob(".K.npy.*.fastntk-partial")
    assert left.stat().st_size > 4000**2 * 8
    others = [".K.npy.mine.partial", ".K.npy.0123456789abcdef.fastntk-partial.txt", ".L.npy." + left.name[7:]]
    for name in others:
        (folder / name).write_text("mine")
    (folder / (".K.npy." + 16 * "0" + ".fastntk-partial")).symlink_to(folder / "X.npy")
    np.save("X.npy", np.eye(5))
    assert main(["compute", "X.npy", "--out", "K.npy", "--quiet"]) == 0
    assert not left.exists()
    assert all((folder / name).read_text() == "mine" for name in others)
    np.testing.assert_array_equal(np.load("K.npy"), fastntk.mlp(1).ntk(np.load("X.npy")))


def test_what_another_process_writes_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is locked, until that process ends."""
    monkeypatch.setattr(output, "open_nameless", lambda _: None)
    held = tmp_path / (".K.npy." + 16 * "a" + ".fastntk-partial")
    with held.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with new_file(tmp_path / "K.npy") as file:
            file.write(b"whole")
        assert held.exists()
    (tmp_path / "K.npy").unlink()
    with new_file(tmp_path / "K.npy") as file:
        file.write(b"again")
    assert [path.name for path in tmp_path.iterdir()] == ["K.npy"]
    assert (tmp_path / "K.npy").read_bytes() == b"again"


@pytest.mark.parametrize("named", [False, True])
def test_nothing_is_written_over(tmp_path: Path, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that appears in the meantime is left, and so is one that is there; after an error there is none."""
    if named:
        monkeypatch.setattr(output, "open_nameless", lambda _: None)
    path = tmp_path / "K.npy"

    def write(meanwhile: Callable[[], object]) -> None:
        with new_file(path) as file:
            file.write(b"ours")
            meanwhile()

    with pytest.raises(FileExistsError, match=r"another process has made it in the meantime: '.*K\.npy'"):
        write(lambda: path.write_text("mine"))
    with pytest.raises(FileExistsError):
        write(lambda: None)
    assert path.read_text() == "mine"
    path.unlink()
    with pytest.raises(ZeroDivisionError):
        write(lambda: 1 // 0)
    assert not list(tmp_path.iterdir())


def test_handlers_are_given_back(folder: Path) -> None:
    """Who calls `main` keeps its own, and those that it set."""
    del folder
    np.save("X.npy", np.eye(3))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert main(["compute", "X.npy", "--out", "K.npy", "--quiet"]) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert main(["compute", "X.npy", "--out", "L.npy", "--quiet"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread(capsys: pytest.CaptureFixture[str]) -> None:
    """Which may set no handlers: the command line runs without."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["config"]).result() == 0
    assert capsys.readouterr().out.startswith("version: ")
