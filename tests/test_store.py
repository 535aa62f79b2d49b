"""Kernels on disk: killed and gone on with, of something else, cut short, on a full disk, by two processes."""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import store
from fastntk.store.layout import sign

zarr = pytest.importorskip("zarr")

NET = fastntk.mlp(3, "relu", 1.4, 0.2)
X = np.random.default_rng(0).normal(size=(500, 6))
X[7], X[300], X[400] = 0, X[3], -X[100]
Y = np.random.default_rng(1).normal(size=(310, 6))

each_right = pytest.mark.parametrize("right", [None, Y], ids=["square", "with Y"])


def chunks(path: Path) -> dict[Path, tuple[int, bytes]]:
    """When each chunk was written, and what it holds."""
    return {
        file.relative_to(path): (file.stat().st_mtime_ns, file.read_bytes())
        for file in path.glob("c/*/*")
        if file.suffix != ".partial"
    }


@each_right
@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_as_in_memory(tmp_path: Path, right: NDArray[Any] | None, kind: Any, dtype: str) -> None:
    """The whole, any part of it, and as others read it."""
    stored = store.compute(NET, X, tmp_path / "K.zarr", right, kind=kind, dtype=dtype, chunk=120)
    wanted = getattr(NET, kind)(X, right, dtype=dtype)
    np.testing.assert_array_equal(np.asarray(stored), wanted)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "K.zarr", mode="r")[:], wanted)
    np.testing.assert_array_equal(store.open(tmp_path / "K.zarr")[100:130, -50:], wanted[100:130, -50:])
    assert (stored.shape, stored.dtype, stored.kind, stored.half) == (wanted.shape, wanted.dtype, kind, False)
    assert stored.network == NET


def test_half(tmp_path: Path) -> None:
    """Of a symmetric kernel takes half the disk, and reads as the whole."""
    stored = store.compute(NET, X, tmp_path / "half", half=True, chunk=100)
    assert len(chunks(tmp_path / "half")) == 15
    wanted = NET.ntk(X)
    for key in np.s_[:, :], np.s_[90:210, 5:17], np.s_[450:, 100:101], np.s_[30:30, :]:
        np.testing.assert_array_equal(stored[key], wanted[key])
    np.testing.assert_array_equal(stored[20:130], wanted[20:130])
    with pytest.raises(ValueError, match=r"^half=True is for a symmetric kernel"):
        store.compute(NET, X, tmp_path / "other", Y, half=True)
    with pytest.raises(ValueError, match=r"^a kernel on disk cannot become an array without a copy\."):
        np.asarray(stored, copy=False)


WORKER = """
import pickle, sys, time, fastntk
def slow(fraction):
    print(fraction, flush=True)
    time.sleep(0.02)
with open(sys.argv[1], "rb") as file:
    net, X, how = pickle.load(file)
fastntk.store.compute(net, X, sys.argv[2], progress=slow, **how)
"""

NODES = [np.random.default_rng(i).normal(size=(1 + i % 5, 6)) for i in range(60)]
EDGES = [np.ones((len(nodes), len(nodes))) for nodes in NODES]
RNN, GNN = fastntk.rnn(1, "relu", sigma_b=0.1), fastntk.gntk(2)

each_kind_of_samples = pytest.mark.parametrize(
    ("net", "samples", "how"),
    [
        (NET, X, {"chunk": 60}),
        (NET, X, {"chunk": 60, "half": True}),
        (RNN, fastntk.Sequences(NODES), {"chunk": 7}),
        (GNN, fastntk.Graphs(NODES, EDGES), {"chunk": 7, "half": True}),
    ],
    ids=["whole", "half", "sequences", "graphs"],
)


def writing(folder: Path, *work: Any) -> subprocess.Popen[str]:
    """A process that writes a store, slowly, and tells how far it is."""
    (folder / "work").write_bytes(pickle.dumps(work))
    command = [sys.executable, "-c", WORKER, str(folder / "work"), str(folder / "K.zarr")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed(at: Iterable[float], folder: Path, *work: Any) -> Iterator[Path]:
    """The store of a process, each time it was killed (SIGKILL) at that share of what was missing when it began."""
    for share in at:
        with writing(folder, *work) as process:
            assert process.stdout is not None
            while float(process.stdout.readline()) < share:
                pass
            time.sleep(0.02 * (share % 0.01) / 0.01)  # in the middle of whatever it does
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        yield folder / "K.zarr"


def finished(path: Path, net: Any, samples: Any, how: dict[str, Any]) -> dict[Path, tuple[int, bytes]]:
    """Its chunks, finished in this process: what is written at once, and nothing beside."""
    store.compute(net, samples, path, **how)
    after, at_once = chunks(path), path.with_name("at once")
    store.compute(net, samples, at_once, **how)
    assert {name: held for name, (_, held) in after.items()} == {
        name: held for name, (_, held) in chunks(at_once).items()
    }
    files = {file.name for file in path.rglob("*") if file.is_file()}
    assert not any(name.endswith((".partial", ".lock")) for name in files)
    np.testing.assert_array_equal(store.open(path), net.ntk(samples))
    return after


@each_kind_of_samples
def test_killed(tmp_path: Path, net: Any, samples: Any, how: dict[str, Any]) -> None:
    """At several moments: the end is bit-identical, and finished chunks are left as they are."""
    there: dict[Path, tuple[int, bytes]] = {}
    shares = (0.2, 0.5, 0.75) if samples is X else (0.3, 0.6)
    for path in killed(shares, tmp_path, net, samples, how):
        now = chunks(path)
        assert there.items() <= now.items()
        assert len(now) > len(there)
        assert store.count(path)[0] < store.count(path)[1]
        with pytest.raises(ValueError, match=r"is not finished: \d+ of \d+ chunks are there\."):
            store.open(path)
        there = now
    assert there.items() <= finished(path, net, samples, how).items()


@pytest.mark.many
@each_kind_of_samples
def test_killed_often(tmp_path: Path, net: Any, samples: Any, how: dict[str, Any]) -> None:
    """At twenty moments, any."""
    there: dict[Path, tuple[int, bytes]] = {}
    for path in killed(np.random.default_rng(0).uniform(0, 0.15, 20), tmp_path, net, samples, how):
        now = chunks(path)
        assert there.items() <= now.items()
        there = now
    assert store.count(path)[0] > 0
    assert there.items() <= finished(path, net, samples, how).items()


def test_again(tmp_path: Path) -> None:
    """The same call on a finished store computes nothing; ``resume=False`` refuses it."""
    seen: list[float] = []
    store.compute(NET, X, tmp_path / "K", chunk=100)
    before = chunks(tmp_path / "K")
    store.compute(NET, X, tmp_path / "K", progress=seen.append)
    assert chunks(tmp_path / "K") == before
    assert seen == []
    with pytest.raises(FileExistsError, match=r"exists; pass resume=True to go on with it, or remove it\."):
        store.compute(NET, X, tmp_path / "K", resume=False)


def test_ctrl_c(tmp_path: Path) -> None:
    """Leaves what is done, and the same call goes on."""

    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as end:
        store.compute(NET, X, tmp_path / "K", chunk=100, progress=stop)
    assert "the same call goes on with it" in end.value.__notes__[0]
    done, total = store.count(tmp_path / "K")
    assert 0 < done < total
    np.testing.assert_array_equal(store.compute(NET, X, tmp_path / "K"), NET.ntk(X))


def test_stopped_before_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What that leaves is no obstacle."""

    def stop(*_: Any, **__: Any) -> None:
        (tmp_path / f"K/zarr.{32 * 'a'}.partial").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zarr, "create_array", stop)
        with pytest.raises(KeyboardInterrupt):
            store.compute(NET, X, tmp_path / "K")
    assert list((tmp_path / "K").iterdir())
    np.testing.assert_array_equal(store.compute(NET, X, tmp_path / "K"), NET.ntk(X))


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"net": fastntk.mlp(3, "relu", 1.4, 0.3)}, r"layer 0 of its network is Dense\(.*0\.2\), not Dense\(.*0\.3\)"),
    ({"net": fastntk.mlp(2, "relu", 1.4, 0.2)}, r"layer \d of its network is .*, not missing"),
    ({"X": X + 1e-15}, "X had other values"),
    ({"X": X[:-1]}, r"the shape of X was \[500, 6\], not \[499, 6\]"),
    ({"X": X.astype(np.float32), "dtype": "float64"}, "the dtype of X was float64, not float32"),
    ({"Y": Y}, "it was made without Y"),
    ({"kind": "nngp"}, "its kind is 'ntk', not 'nngp'"),
    ({"half": True}, "its half is False, not True"),
    ({"dtype": "float32"}, "its dtype is float64, not float32"),
]


@pytest.mark.parametrize(("change", "sentence"), OTHERS, ids=[sentence[:20] for _, sentence in OTHERS])
def test_of_another_kernel(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Is refused with what differs, and left as it is."""
    store.compute(NET, X, tmp_path / "K", chunk=300)
    before = chunks(tmp_path / "K")
    call = {"net": NET, "X": X, "path": tmp_path / "K", **change}
    with pytest.raises(ValueError, match=r"K is the store of another kernel: " + sentence):
        store.compute(**call)
    assert chunks(tmp_path / "K") == before


def test_of_another_function(tmp_path: Path) -> None:
    """An activation that is a Python function is known by its values, not by its name."""

    def of(power: float) -> fastntk.Sequential:
        return fastntk.Sequential(
            fastntk.Dense(1.0, 0.1), fastntk.Activation(lambda x: np.tanh(power * x)), fastntk.Dense()
        )

    store.compute(of(1.0), X[:30], tmp_path / "K")
    store.compute(of(1.0), X[:30], tmp_path / "K")
    with pytest.raises(ValueError, match=r"layer 1 of its network is"):
        store.compute(of(1.1), X[:30], tmp_path / "K")


@pytest.mark.parametrize(("key", "sentence"), [("version", "install 0.0.1"), ("instruction_set", "set FASTNTK_ISA=")])
def test_begun_by_another_version(tmp_path: Path, key: str, sentence: str) -> None:
    """Or on another instruction set: not gone on with, as bits may differ; a finished one is as good as any."""
    path = tmp_path / "K"
    store.compute(NET, X, path, chunk=300)
    array = zarr.open_array(path, mode="r+")
    about = {**array.attrs["fastntk"], key: "0.0.1"}
    array.attrs["fastntk"] = {**about, "sha256": sign(about, array.shape, array.dtype.name, array.chunks)}
    store.compute(NET, X, path)
    (path / "c/0/1").unlink()
    with pytest.raises(ValueError, match=rf"was begun with {key.replace('_', ' ')} 0\.0\.1, .*{sentence}"):
        store.compute(NET, X, path)


@pytest.mark.parametrize("cut", [0, 1000])
def test_truncated(tmp_path: Path, cut: int) -> None:
    """A chunk that was cut short is missing: it is not read, and computed again."""
    path = tmp_path / "K"
    store.compute(NET, X, path, chunk=300)
    whole = chunks(path)
    os.truncate(path / "c/1/0", cut)
    with pytest.raises(ValueError, match=r"is not finished: 3 of 4 chunks are there\."):
        store.open(path)
    store.compute(NET, X, path)
    assert {name: held for name, (_, held) in chunks(path).items()} == {name: h for name, (_, h) in whole.items()}


def test_changed_bytes(tmp_path: Path) -> None:
    """A chunk whose checksum is wrong is not read, but named; and computed again."""
    path = tmp_path / "K"
    store.compute(NET, X, path, chunk=300)
    with (path / "c/1/0").open("r+b") as file:
        file.seek(1000)
        file.write(b"\1\2\3")
    with pytest.raises(ValueError, match=r"^chunk c/1/0 of .*K was changed: its checksum is wrong\. The call of"):
        store.open(path)[:, :]
    np.testing.assert_array_equal(store.compute(NET, X, path), NET.ntk(X))


def test_something_else(tmp_path: Path) -> None:
    """Folders and files that are no store are refused, and left as they are."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes").write_text("mine")
    zarr.create_array(tmp_path / "array", shape=(3,), dtype="f8")
    (tmp_path / "file").write_text("mine")
    for name in ("folder", "array"):
        listing = sorted((tmp_path / name).rglob("*"))
        for call in (lambda path: store.compute(NET, X, path), store.open, store.about, store.count):
            with pytest.raises(ValueError, match=rf"{name} is not a kernel that fastntk has stored\."):
                call(tmp_path / name)
        assert sorted((tmp_path / name).rglob("*")) == listing
    with pytest.raises(FileExistsError):
        store.compute(NET, X, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(FileNotFoundError, match="no such store"):
        store.open(tmp_path / "nothing")


def test_unknown_format(tmp_path: Path) -> None:
    """Of a later version of this library."""
    store.compute(NET, X[:9], tmp_path / "K")
    array = zarr.open_array(tmp_path / "K", mode="r+")
    array.attrs["fastntk"] = {**array.attrs["fastntk"], "format": 99}
    with pytest.raises(ValueError, match=r"was stored in another format than version"):
        store.open(tmp_path / "K")


def test_disk_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known before work starts, from what is free and what is missing."""
    free = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    seen: list[float] = []
    with pytest.raises(OSError, match=r"the kernel needs 0\.0 GiB more, and 0\.0 GiB of disk are free") as caught:
        store.compute(NET, X, tmp_path / "K", chunk=100, progress=seen.append)
    assert caught.value.errno == errno.ENOSPC
    assert seen == []


def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle: what is there stays, the sentence says how much that is, and the same call goes on."""
    write, count = zarr.Array.__setitem__, 0

    def full(self: Any, key: Any, value: Any) -> None:
        nonlocal count
        count += 1
        if count > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Array, "__setitem__", full)
        with pytest.raises(OSError, match=r"No space left on device; 6 of 15 blocks are there, and the same call"):
            store.compute(NET, X, tmp_path / "K", chunk=100)
    assert store.count(tmp_path / "K") == (10, 25)
    np.testing.assert_array_equal(store.compute(NET, X, tmp_path / "K"), NET.ntk(X))


def test_read_only(tmp_path: Path) -> None:
    """A folder that cannot be written to."""
    tmp_path.chmod(0o500)
    folder = tmp_path if os.geteuid() else Path("/sys")  # root may write anywhere but there
    with pytest.raises(OSError, match=re.escape(str(folder / "K"))):
        store.compute(NET, X, folder / "K")
    tmp_path.chmod(0o700)


def test_two_processes(tmp_path: Path) -> None:
    """Of which the second is refused; after the first was killed it may."""
    with writing(tmp_path, NET, X, {"chunk": 60}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(FileExistsError, match=r"K\.zarr is being written by another process\."):
            store.compute(NET, X, tmp_path / "K.zarr", chunk=60)
        process.kill()
    store.compute(NET, X, tmp_path / "K.zarr", chunk=60)


BAD_CALLS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"net": "relu"}, TypeError, "net must be a Sequential, got 'relu'"),
    ({"kind": "both"}, ValueError, "kind must be 'nngp' or 'ntk', got 'both'"),
    ({"chunk": 0}, ValueError, "chunk must be an integer >= 1, got 0"),
    ({"chunk": 10**5, "max_memory": "64 MiB"}, ValueError, "chunk=100000 needs more than max_memory"),
    ({"resume": "yes"}, TypeError, "resume must be True or False"),
    ({"max_memory": "1 KiB"}, ValueError, "max_memory must be at least 64 MiB"),
    ({"X": np.where(np.arange(500)[:, None] == 431, np.nan, X)}, ValueError, r"X contains nan \(first in row 431"),
    ({"progress": "yes"}, TypeError, "progress must be True, False or a callable"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), BAD_CALLS, ids=[call[2][:20] for call in BAD_CALLS])
def test_bad_calls(tmp_path: Path, change: dict[str, Any], error: type[Exception], sentence: str) -> None:
    """Are refused before anything is made."""
    call: Callable[..., Any] = store.compute
    with pytest.raises(error, match=sentence):
        call(**{"net": NET, "X": X, "path": tmp_path / "K", **change})
    assert not (tmp_path / "K").exists()


def test_progress(tmp_path: Path) -> None:
    """Goes up to 1; of a run that goes on it is the share of what was missing."""
    seen: list[float] = []
    store.compute(NET, X, tmp_path / "K", chunk=100, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    (tmp_path / "K/c/2/2").unlink()
    (tmp_path / "K/c/4/0").unlink()
    before, seen = chunks(tmp_path / "K"), []
    store.compute(NET, X, tmp_path / "K", progress=seen.append)
    assert seen[-1] == 1.0
    assert len(seen) >= 2
    after = chunks(tmp_path / "K")
    assert before.items() <= after.items()
    assert len(after) == 25


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOLCK, "No locks available"), r"the file system has no locks \(No locks available\), by which"),
        (OSError(errno.EACCES, "Permission denied", "K/.lock"), r"Permission denied: 'K/.lock'"),
    ],
)
def test_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str) -> None:
    """A store is kept to one process, or not begun."""

    def acquire(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    with pytest.raises(OSError, match=sentence):
        store.compute(NET, X[:10], tmp_path / "K.zarr")
