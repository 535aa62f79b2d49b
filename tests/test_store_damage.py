"""Stores in a world that is not kind: flipped bits, cut and lost files, garbage, and folders of somebody else."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import store
from fastntk.__main__ import main
from fastntk.store.folder import LOCK
from fastntk.store.layout import sign

zarr = pytest.importorskip("zarr")

NET = fastntk.Sequential(fastntk.Dense(1.4, 0.2), fastntk.Activation("leaky_relu", alpha=0.1), fastntk.Dense(1.5))
X = np.random.default_rng(0).normal(size=(50, 3))
K = NET.ntk(X)


def make(path: Path, *, half: bool) -> None:
    """Four chunks, or three."""
    store.compute(NET, X, path, chunk=25, half=half)


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit."""
    changed = bytearray(content)
    changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def swap_lines(content: bytes, rng: np.random.Generator) -> bytes:
    """Of a text two lines, of a chunk two parts."""
    lines = content.splitlines(keepends=True)
    i, j = rng.integers(len(lines), size=2)
    lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)


def other_digits(content: bytes, rng: np.random.Generator) -> bytes:
    """Of numbers."""
    return re.sub(rb"\d", lambda _: b"%d" % rng.integers(10), content, count=int(rng.integers(1, 99)))


DAMAGES: dict[str, Callable[[bytes, np.random.Generator], bytes | None]] = {
    "bit": flip,
    "cut": lambda content, rng: content[: rng.integers(len(content))],
    "longer": lambda content, rng: content + rng.bytes(int(rng.integers(1, 9))),
    "garbage": lambda content, rng: rng.bytes(len(content)),
    "zeros": lambda content, rng: content[: rng.integers(len(content))].ljust(len(content), b"\0"),
    "swap": swap_lines,
    "digit": other_digits,
    "missing": lambda *_: None,
}


@pytest.mark.parametrize("half", [False, True], ids=["whole", "half"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage(tmp_path: Path, damage: str, half: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Of any file: right values, or a sentence that names it; and the same call mends every chunk."""
    make(tmp_path / "whole", half=half)
    for seed in range(16):
        rng = np.random.default_rng([seed, *damage.encode()])
        path = tmp_path / f"K{seed}"
        shutil.copytree(tmp_path / "whole", path)
        files = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
        name = files[rng.integers(len(files))] if seed % 2 else Path("zarr.json")
        before = (path / name).read_bytes()
        after = DAMAGES[damage](before, rng)
        if after is None:
            (path / name).unlink()
        else:
            (path / name).write_bytes(after)
        harmless = after == before or (name.name == "zarr.json" and after is not None and same_json(before, after))
        told = sentences(path)
        assert all(str(path) in sentence and len(sentence) < 400 for sentence in told), told
        if not harmless:
            assert told
            assert any(
                str(name) in sentence or "chunks are there" in sentence or "not a kernel" in sentence
                for sentence in told
            )
        code, printed = main(["info", str(path)]), capsys.readouterr()
        assert (code, printed.err.count("\n")) in ((0, 0), (1, 1))
        if name.name == "zarr.json" and not harmless:
            with pytest.raises(ValueError, match=re.escape(str(path))):
                store.compute(NET, X, path, half=half)
        else:
            stored = store.compute(NET, X, path, half=half)
            np.testing.assert_array_equal(stored, K)
            if name.name != "zarr.json":
                assert (path / name).read_bytes() == before
            assert not sentences(path)


def same_json(before: bytes, after: bytes) -> bool:
    """Whether two texts say the same."""
    try:
        return bool(json.loads(before) == json.loads(after))
    except ValueError:
        return False


def sentences(path: Path) -> list[str]:
    """What is said on opening, reading, multiplying; what is read must be right."""
    told = []
    uses: list[Callable[[], object]] = [
        lambda: np.testing.assert_array_equal(store.open(path), K),
        lambda: np.testing.assert_allclose(store.open(path) @ np.ones(50), K.sum(axis=1), rtol=1e-12),
        lambda: np.testing.assert_array_equal(store.open(path)[40, 3:30], K[40, 3:30]),
        lambda: np.testing.assert_equal(store.open(path).network, NET),
    ]
    for use in uses:
        try:
            use()
        except (ValueError, FileNotFoundError) as error:
            told.append(str(error))
    return told


def rewrite(path: Path, change: Callable[[dict[str, Any]], object], *, signed: bool) -> None:
    """Change what a store says of itself, with the digest that goes with it or without."""
    metadata = json.loads((path / "zarr.json").read_text())
    about = metadata["attributes"]["fastntk"]
    change(about)
    if signed:
        about["sha256"] = sign(about, metadata["shape"], metadata["data_type"], (25, 25))
    (path / "zarr.json").write_text(json.dumps(metadata))


CHANGES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    *[
        (lambda about, key=key: about.pop(key), rf"does not say its '{key}'")
        for key in ("half", "kind", "network", "data", "version", "instruction_set")
    ],
    (lambda about: about.pop("format"), r"in another format"),
    (lambda about: about.update(half="yes"), r"its 'half' is 'yes', which is no bool"),
    (lambda about: about.update(kind="both"), r"its 'kind' is 'both', not 'nngp' or 'ntk'"),
    (lambda about: about.update(network=3), r"its network is '3', which is no text and no list of texts"),
    (lambda about: about.update(network=[]), r"its network is '\[\]', which is no text and no list of texts"),
    (lambda about: about.update(network=["Dense()", 3]), r"its network is .*, which is no text and no list of texts"),
    (lambda about: about.update(network="Dense('x')"), r"at character 1, .*sigma_w must be a real number, got 'x'"),
    (lambda about: about.update(network="Sequential(Activation(<f>))"), r"cannot be written as text"),
    (lambda about: about.update(network=""), r"the text of a network is empty"),
    (lambda about: about.update(data={}), r"its data are not those"),
    (lambda about: about["data"].update(Z=3), r"its data, 'Z', cannot be understood"),
    (lambda about: about["data"]["X"].update(shape=[50]), r"its data, 'X', cannot be understood"),
    (
        lambda about: about["data"]["X"].update(shape=[49, 3]),
        r"its shape is \(50, 50\), and that of its data gives \(49",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), CHANGES, ids=[sentence[:30] for _, sentence in CHANGES])
def test_without_what_it_needs(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Attributes that are missing or of the wrong kind, as another program might write them."""
    path = tmp_path / "K"
    make(path, half=False)
    rewrite(path, change, signed=True)
    for call in (store.open, store.about, store.count, lambda p: store.compute(NET, X, p)):
        with pytest.raises(ValueError, match=sentence):
            call(path)
    assert main(["info", str(path)]) == 1
    assert re.search(sentence, capsys.readouterr().err)


@pytest.mark.parametrize("shape", [(50,), (50, 50, 2), (49, 50), (50, 50)])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "complex64"])
def test_of_the_wrong_shape_or_dtype(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    """Arrays that say that they are stores."""
    make(tmp_path / "K", half=False)
    about = json.loads((tmp_path / "K/zarr.json").read_text())["attributes"]
    about["fastntk"]["sha256"] = sign(about["fastntk"], shape, dtype, (25,) * len(shape))
    zarr.create_array(tmp_path / "A", shape=shape, dtype=dtype, chunks=(25,) * len(shape), attributes=about)
    for call in (store.open, store.about, store.count, lambda p: store.compute(NET, X, p)):
        with pytest.raises(ValueError, match=r"A/zarr\.json is damaged: "):
            call(tmp_path / "A")


FOREIGN = [
    "thesis.partial", "zarr.partial", "zarr.abc.partial", ".lock", "notes.txt", "c", "0.partial", LOCK, "zarr.json.bak",
    "K.zarr",
]  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_folders_of_others(tmp_path: Path, name: str) -> None:
    """Are refused, whatever is in them, and left as they are."""
    (tmp_path / name).write_text("mine")
    for call in (lambda path: store.compute(NET, X, path), store.open, store.about, store.count):
        with pytest.raises(ValueError, match=r"is not a kernel that fastntk has stored"):
            call(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["thesis.partial", "zarr.abc.partial", ".lock", "c/notes", "c/0/thesis.partial"])
def test_files_of_others_in_a_store(tmp_path: Path, name: str) -> None:
    """Are left as they are, when it is gone on with; what this library left is removed."""
    make(tmp_path, half=False)
    (tmp_path / name).write_text("mine")
    ours = [tmp_path / f"{at}.{32 * 'a'}.partial" for at in ("zarr", "c/1/1")]
    for path in ours:
        path.touch()
    (tmp_path / "c/1/1").unlink()
    np.testing.assert_array_equal(store.compute(NET, X, tmp_path), K)
    assert (tmp_path / name).read_text() == "mine"
    assert not any(path.exists() for path in ours)


def as_link(path: Path, target: Path) -> None:
    """To somebody's file."""
    path.symlink_to(target)


def as_pipe(path: Path, target: Path) -> None:
    """Which blocks who opens it."""
    del target
    os.mkfifo(path)


def as_folder(path: Path, target: Path) -> None:
    """Empty."""
    del target
    path.mkdir()


def as_file(path: Path, target: Path) -> None:
    """With something in it."""
    shutil.copy(target, path)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("kind", [as_link, as_pipe, as_folder, as_file])
def test_a_lock_that_is_none(tmp_path: Path, kind: Callable[[Path, Path], None], begun: bool) -> None:
    """A link is not followed, and nothing is cut or removed."""
    (tmp_path / "precious").write_text("mine")
    path = tmp_path / "K"
    path.mkdir()
    if begun:
        make(path, half=False)
    kind(path / LOCK, tmp_path / "precious")
    before = (path / LOCK).lstat()
    with pytest.raises(ValueError, match=re.escape(LOCK)):
        store.compute(NET, X, path)
    assert (tmp_path / "precious").read_text() == "mine"
    after = (path / LOCK).lstat()
    assert (after.st_ino, after.st_size, after.st_mode) == (before.st_ino, before.st_size, before.st_mode)


@pytest.mark.parametrize("begun", [False, True])
def test_a_link_named_lock(tmp_path: Path, begun: bool) -> None:
    """Is no business of the store: what it points to keeps its bytes."""
    (tmp_path / "precious").write_text("mine")
    path = tmp_path / "K"
    path.mkdir()
    if begun:
        make(path, half=False)
        (path / "c/0/1").unlink()
    (path / ".lock").symlink_to(tmp_path / "precious")
    if begun:
        np.testing.assert_array_equal(store.compute(NET, X, path), K)
    else:
        with pytest.raises(ValueError, match=r"As it holds '\.lock', choose a folder that is new or empty"):
            store.compute(NET, X, path)
    assert (path / ".lock").is_symlink()
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize(("link", "file"), [("c/1", "0"), ("c", "0/5")])
def test_links_are_not_cleaned(link: str, file: str, tmp_path: Path) -> None:
    """Rows of chunks, or all, that lie elsewhere are read and written; nothing is removed there."""
    make(tmp_path / "K", half=False)
    shutil.move(tmp_path / "K" / link, tmp_path / "elsewhere")
    (tmp_path / "K" / link).symlink_to(tmp_path / "elsewhere")
    other = tmp_path / f"elsewhere/{file}.{32 * 'a'}.partial"
    other.write_text("mine")
    np.testing.assert_array_equal(store.compute(NET, X, tmp_path / "K"), K)
    assert other.read_text() == "mine"


def test_chunks_that_need_more_memory(tmp_path: Path) -> None:
    """Of a store that is gone on with are refused by a limit that is given, as those of a new one."""
    x = np.random.default_rng(0).normal(size=(1500, 3))
    store.compute(fastntk.mlp(1), x, tmp_path / "K", chunk=1500)
    (tmp_path / "K/c/0/0").unlink()
    with pytest.raises(ValueError, match=r"K has chunks of shape \(1500, 1500\), which need more than max_memory"):
        store.compute(fastntk.mlp(1), x, tmp_path / "K", max_memory="64 MiB")
    store.compute(fastntk.mlp(1), x, tmp_path / "K")


def test_a_folder_of_that_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is what shells make of ~; no folder of that name is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"~, which shells know: pass Path\('~/K.zarr'\)\.expanduser\(\)"):
        store.compute(NET, X, "~/K.zarr")
    assert not list(tmp_path.iterdir())


def test_another_chunk_is_refused(tmp_path: Path) -> None:
    """Never ignored; the same one, one as large as all, or none goes on."""
    net, x = fastntk.mlp(1), np.random.default_rng(0).normal(size=(60, 3))
    store.compute(net, x, tmp_path / "K", chunk=50)
    store.compute(net, x, tmp_path / "all", chunk=100)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file())
    for chunk in (7, 60):
        with pytest.raises(ValueError, match=rf"K has chunks of shape \(50, 50\), not of chunk={chunk}: leave it out"):
            store.compute(net, x, tmp_path / "K", chunk=chunk)
    for name, chunk_given in (("K", 50), ("K", None), ("all", 60), ("all", 10**3)):
        store.compute(net, x, tmp_path / name, chunk=chunk_given)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()) == before
