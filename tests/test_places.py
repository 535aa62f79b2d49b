"""Outputs that are, in memory or on disk, where another output or an input is."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk._checks.places import overlap

N = 40
X = np.random.default_rng(0).normal(size=(N, 6))
NET = fastntk.mlp(2, "relu", 1.4, 0.2)

OVERLAP = r"^the two arrays of out overlap: each kernel needs a place of its own"


def mapped(path: Path, rows: int = N, columns: int = N, *, offset: int = 0, mode: Any = "r+") -> Any:
    """A map of a file that is there, and large enough."""
    if not path.exists():
        np.full(4 * N * N, np.nan).tofile(path)
    return np.memmap(path, np.float64, mode, shape=(rows, columns), offset=offset)


def plain_map(path: Path) -> Any:
    """A map that NumPy has not made itself."""
    mapped(path)
    with path.open("r+b") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0), np.float64)[: N * N].reshape(N, N)


def linked(path: Path) -> Any:
    """The same file by another name."""
    mapped(path)
    other = path.with_name("link")
    other.hardlink_to(path)
    return mapped(other)


SAME: dict[str, Callable[[Path], Any]] = {
    "one map": lambda path: (m := mapped(path), m),
    "one map, as an array": lambda path: (m := mapped(path), np.asarray(m)),
    "parts of one map": lambda path: ((m := mapped(path, N + 1))[:-1], m[1:]),
    "two maps": lambda path: (mapped(path), mapped(path)),
    "two maps, one transposed": lambda path: (mapped(path), mapped(path).T),
    "two maps, one backwards": lambda path: (mapped(path), mapped(path)[::-1]),
    "one entry in common": lambda path: (mapped(path), mapped(path, offset=8 * (N * N - 1))),
    "behind a page": lambda path: (mapped(path, offset=8 * 1000), mapped(path, offset=8 * 1100)),
    "two names": lambda path: (mapped(path), linked(path)),
    "a map of another kind": lambda path: (mapped(path), plain_map(path)),
    "a private map": lambda path: (mapped(path), mapped(path, mode="c")),
}

APART: dict[str, Callable[[Path], Any]] = {
    "two files": lambda path: (mapped(path), mapped(path.with_name("other"))),
    "one after the other": lambda path: (mapped(path), mapped(path, offset=8 * N * N)),
    "beside each other": lambda path: (mapped(path, columns=2 * N)[:, :N], mapped(path, columns=2 * N)[:, N:]),
    "alternating": lambda path: (mapped(path, columns=2 * N)[:, ::2], mapped(path, columns=2 * N)[:, 1::2]),
    "both private": lambda path: (mapped(path, mode="c"), mapped(path, mode="c")),
    "a map and memory": lambda path: (mapped(path), np.empty((N, N))),
}


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("name", SAME)
def test_outputs_in_one_place(tmp_path: Path, name: str, swapped: bool) -> None:
    """Are refused, and nothing is written."""
    pair = SAME[name](tmp_path / "file")
    with pytest.raises(ValueError, match=OVERLAP):
        NET.kernels(X, out=pair[::-1] if swapped else pair)
    assert np.isnan(np.fromfile(tmp_path / "file")).all()


@pytest.mark.parametrize("name", APART)
def test_outputs_apart(tmp_path: Path, name: str) -> None:
    """Get what they should."""
    pair = APART[name](tmp_path / "file")
    NET.kernels(X, out=pair)
    for out, kernel in zip(pair, NET.kernels(X), strict=True):
        np.testing.assert_array_equal(out, kernel)


def test_overlap_of_random_views(tmp_path: Path, rng: np.random.Generator) -> None:
    """Through two maps of one file as through one."""
    first, second = mapped(tmp_path / "file"), mapped(tmp_path / "file")
    seen = set()
    for _ in range(300):
        keys = []
        for _ in range(2):
            starts = rng.integers(0, N - 2, size=2)
            steps = rng.integers(1, 5, size=2) * rng.choice([-1, 1], size=2)
            ends = [int(s + rng.integers(1, 12) * t) for s, t in zip(starts, steps, strict=True)]
            key = [slice(int(s), e if e >= 0 else None, int(t)) for s, t, e in zip(starts, steps, ends, strict=True)]
            keys.append(tuple(key))
        expected = np.shares_memory(first[keys[0]], first[keys[1]])
        assert overlap(first[keys[0]], second[keys[1]]) == expected, keys
        seen.add(expected)
    assert seen == {True, False}


def test_an_output_over_an_input(tmp_path: Path) -> None:
    """In another map of its file, through every door."""
    path = tmp_path / "file"
    samples = mapped(path, N, 6)
    samples[:] = X
    before = path.read_bytes()
    inputs = {"r+": samples, "r": mapped(path, N, 6, mode="r"), "slice": mapped(path, N, 6, mode="r")[:]}
    for x in inputs.values():
        for out in (mapped(path), mapped(path).T, plain_map(path)):
            for call in (NET.ntk, NET.nngp):
                with pytest.raises(ValueError, match=r"^out overlaps X in memory"):
                    call(x, out=out)
            with pytest.raises(ValueError, match=r"^out overlaps X"):
                NET.kernels(x, out=(np.empty((N, N)), out))
            with pytest.raises(ValueError, match=r"^out overlaps Y"):
                NET.ntk(X, x, out=out)
    assert path.read_bytes() == before
    beyond = mapped(path, offset=8 * 6 * N)
    np.testing.assert_array_equal(NET.ntk(samples, out=beyond), NET.ntk(X))


def test_outputs_in_one_zarr_array(tmp_path: Path) -> None:
    """One object, two of one array on disk, or in a store in memory; and an input that is one."""
    zarr = pytest.importorskip("zarr")

    def create(store: Any, path: str | None = None, shape: tuple[int, int] = (N, N)) -> Any:
        return zarr.create_array(
            store, name=path, shape=shape, chunks=(10, 10), dtype="f8", fill_value=np.nan, overwrite=True
        )

    one = create(tmp_path / "one")
    group = zarr.create_group(tmp_path / "group")
    inside = create(tmp_path / "group", "inside")
    memory = zarr.storage.MemoryStore()
    in_memory = create(memory, "a")
    for pair in (
        (one, one),
        (one, zarr.open_array(tmp_path / "one", mode="r+")),
        (inside, group["inside"]),
        (inside, zarr.open_array(tmp_path / "group" / "inside", mode="r+")),
        (in_memory, zarr.open_array(memory, path="a", mode="r+")),
    ):
        with pytest.raises(ValueError, match=OVERLAP):
            NET.kernels(X, out=pair)
        assert np.isnan(pair[0][:]).all()
    for pair in ((one, inside), (inside, in_memory), (in_memory, create(memory, "b")), (one, np.empty((N, N)))):
        NET.kernels(X, out=pair)
        for out, kernel in zip(pair, NET.kernels(X), strict=True):
            np.testing.assert_array_equal(out[:], kernel)
    square = create(tmp_path / "square")
    square[:] = np.eye(N)
    with pytest.raises(ValueError, match=r"^out is X itself; inputs are never written to"):
        NET.ntk(zarr.open_array(tmp_path / "square", mode="r"), out=square)
    np.testing.assert_array_equal(square[:], np.eye(N))
