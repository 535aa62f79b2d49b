"""Kernels into files: the bits of the kernel in memory, in blocks that keep to a limit of memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Sequential
from fastntk.kernels.blocks import memory_limit, pairs_of

zarr = pytest.importorskip("zarr")

Array = NDArray[Any]
Where = Callable[[Path, tuple[int, int], str], Any]

NET = fastntk.mlp(3, "relu", 1.4, 0.2)
LEAST = 2**26  # bytes, of which a block of the result gets 5 MiB

#: More rows than a block of the least memory has: 836 in float64, 1182 in float32.
X = np.random.default_rng(0).normal(size=(1900, 6))
X[7], X[1500], X[1700] = 0, X[3], -X[1000]
Y = np.random.default_rng(1).normal(size=(1300, 6))


def memmap(path: Path, shape: tuple[int, int], dtype: str) -> Any:
    """A new memory map of NaN."""
    out = np.memmap(path, dtype, "w+", shape=shape)
    out[:] = np.nan
    return out


def zarr_array(path: Path, shape: tuple[int, int], dtype: str) -> Any:
    """A new Zarr array of NaN, whose chunks divide neither the kernel nor a block."""
    return zarr.create_array(path, shape=shape, dtype=dtype, chunks=(150, 300), compressors=None, fill_value=np.nan)


each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_file = pytest.mark.parametrize("where", [memmap, zarr_array])
each_right = pytest.mark.parametrize("right", [None, Y], ids=["square", "with Y"])


@each_dtype
@each_file
@each_right
def test_same_bits_as_in_memory(tmp_path: Path, where: Where, right: Array | None, dtype: str) -> None:
    """Of nngp, ntk and both, and what is given is what comes back."""
    x, y = X.astype(dtype), None if right is None else right.astype(dtype)
    wanted = NET.kernels(x, y)
    outputs = [where(tmp_path / f"{i}", wanted.ntk.shape, dtype) for i in range(4)]
    assert NET.nngp(x, y, out=outputs[0], max_memory=LEAST) is outputs[0]
    assert NET.ntk(x, y, out=outputs[1], max_memory="64 MiB") is outputs[1]
    both = NET.kernels(x, y, out=(outputs[2], outputs[3]), max_memory=LEAST)
    assert both.nngp is outputs[2]
    assert both.ntk is outputs[3]
    for out, kernel in zip(outputs, (*wanted, *wanted), strict=True):
        np.testing.assert_array_equal(out[:], kernel)


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_what_the_file_holds(tmp_path: Path, mode: Literal["r+", "c"]) -> None:
    """A map of a part of a file leaves the rest; a private map (mode "c") has the kernel, and its file does not."""
    path, n = tmp_path / "kernel", 900
    np.full((n + 2, n), 7.0).tofile(path)
    whole = np.memmap(path, np.float64, mode, shape=(n + 2, n))
    out = whole[1:-1]
    wanted = NET.ntk(X[:n])
    NET.ntk(X[:n], out=out, max_memory=LEAST)
    np.testing.assert_array_equal(out, wanted)
    whole.flush()
    held = np.fromfile(path).reshape(n + 2, n)
    np.testing.assert_array_equal(held[1:-1], wanted if mode == "r+" else 7.0)
    assert (held[[0, -1]] == 7.0).all()


def test_one_of_two_outs_in_memory(tmp_path: Path) -> None:
    """A file and an array beside it."""
    pair = (memmap(tmp_path / "nngp", (900, 900), "float64"), np.empty((900, 900)))
    NET.kernels(X[:900], out=pair, max_memory=LEAST)
    for out, kernel in zip(pair, NET.kernels(X[:900]), strict=True):
        np.testing.assert_array_equal(out, kernel)


@each_file
@each_right
@pytest.mark.parametrize("net", [fastntk.mlp(2, "tanh", 1.5, 0.1), fastntk.mlp(40)], ids=["tanh", "deep relu"])
def test_within_tolerance(tmp_path: Path, where: Where, right: Array | None, net: Sequential) -> None:
    """Where a kernel in memory takes an expansion or one polynomial for the whole network."""
    wanted = net.kernels(X, right)
    pair = tuple(where(tmp_path / name, wanted.ntk.shape, "float64") for name in ("nngp", "ntk"))
    net.kernels(X, right, out=pair, max_memory=LEAST)
    other = X if right is None else right
    for out, kernel, diagonal in zip(pair, wanted, (net.nngp.diag, net.ntk.diag), strict=True):
        scale = np.sqrt(np.outer(diagonal(X), diagonal(other))) + 1e-30
        assert np.abs((out[:] - kernel) / scale).max() < 2e-10


class Recorder:
    """What a Zarr array has for attributes; it counts how often each entry is written."""

    def __init__(
        self, shape: tuple[int, int], chunks: tuple[int, int], shards: tuple[int, int] | None = None, dtype: str = "f8"
    ) -> None:
        self.shape, self.chunks, self.shards, self.dtype = shape, chunks, shards, np.dtype(dtype)
        self.written = np.zeros(shape, int)
        self.largest = self.count = 0

    def __setitem__(self, key: tuple[slice, slice], value: Array) -> None:
        self.written[key] += 1
        self.largest, self.count = max(self.largest, value.size), self.count + 1
        for part, length, side in zip(key, self.shape, self.shards or self.chunks, strict=True):
            assert part.start % side == 0
            assert part.stop % side == 0 or part.stop == length


@each_right
@pytest.mark.parametrize("chunks", [(1, 1), (150, 300), (64, 96), (500, 500), (700, 1)], ids=str)
def test_whole_chunks_once(chunks: tuple[int, int], right: Array | None) -> None:
    """Every chunk is written in one piece, in blocks that fit three times into the memory given."""
    out = Recorder((len(X), len(X if right is None else right)), chunks)
    NET.ntk(X, right, out=out, max_memory=LEAST)
    assert (out.written == 1).all()
    assert out.count > 1
    assert 3 * 8 * out.largest <= LEAST - 48 * 2**20


def test_outs_of_different_chunks() -> None:
    """Blocks are of whole chunks of both."""
    pair = (Recorder(X.shape[:1] * 2, (60, 40)), Recorder(X.shape[:1] * 2, (80, 30)))
    NET.kernels(X, out=pair, max_memory=LEAST)
    assert all((out.written == 1).all() and out.count == 16 for out in pair)


@pytest.mark.parametrize(
    ("chunks", "right"),
    [((1900, 1300), Y), ((1900, 1300), None), ((1899, 1), None)],
    ids=["rectangle", "square", "long"],
)
def test_chunks_larger_than_memory(chunks: tuple[int, int], right: Array | None) -> None:
    """Are refused where not one of them fits; of a symmetric kernel also long ones, which it would need both ways."""
    out = Recorder((1900, 1900 if right is None else 1300), chunks)
    with pytest.raises(
        MemoryError, match=r"^blocks of whole chunks have \d+ x \d+ .*allows for 836 x 836: use smaller"
    ):
        NET.ntk(X, right, out=out, max_memory=LEAST)
    assert not out.written.any()


@pytest.mark.parametrize(
    "size", [LEAST, "64MiB", "64 mb", " 65536 KiB ", "64M", "0.0625 GiB", "67108864", "1 TiB", None]
)
def test_forms_of_max_memory(tmp_path: Path, size: Any) -> None:
    """Numbers of bytes, with or without a unit; 64 MiB make four blocks of 900 rows, of which three are computed."""
    out = Recorder((900, 900), (1, 1))
    NET.ntk(X[:900], out=out, max_memory=size)
    assert out.count == (1 if size in ("1 TiB", None) else 4)
    NET.ntk(X[:9], out=memmap(tmp_path / "kernel", (9, 9), "float64"), max_memory=size)


SIZE = r"^max_memory must be a number of bytes or a text such as '4 GiB', got "
WRONG_SIZES: list[tuple[Any, type[Exception], str]] = [
    (LEAST - 1, ValueError, "^max_memory must be at least 64 MiB, got 67108863"),
    ("63 MiB", ValueError, "^max_memory must be at least 64 MiB, got '63 MiB'"),
    (-1, ValueError, "^max_memory must be an integer >= 0, got -1"),
    (1e9, ValueError, "^max_memory must be an integer >= 0, got 1000000000.0"),
    (True, TypeError, "^max_memory must be an integer >= 0, got True"),
    ([LEAST], TypeError, "^max_memory must be an integer >= 0, got "),
    ("", ValueError, SIZE + "''"),
    ("much", ValueError, SIZE + "'much'"),
    ("-1 GiB", ValueError, SIZE + "'-1 GiB'"),
    ("1 GiB 1", ValueError, SIZE),
    ("1e9", ValueError, SIZE),
]


@pytest.mark.parametrize(("size", "error", "sentence"), WRONG_SIZES, ids=lambda value: repr(value)[:20])
def test_wrong_max_memory(tmp_path: Path, size: Any, error: type[Exception], sentence: str) -> None:
    """Is told before anything is written."""
    out = memmap(tmp_path / "kernel", (9, 9), "float64")
    with pytest.raises(error, match=sentence):
        NET.ntk(X[:9], out=out, max_memory=size)
    assert np.isnan(out).all()


WRONG_OUTPUTS: list[tuple[Where, tuple[int, int], str, str]] = [
    (memmap, (9, 8), "float64", r"^out has shape \(9, 8\), but the kernel has shape \(9, 9\)"),
    (memmap, (9, 9), "float32", "^out has dtype float32, but the kernel has dtype float64; pass dtype='float32'"),
    (memmap, (9, 9), ">f8", "^out has dtype >f8, but the kernel has dtype float64"),
    (memmap, (9, 9), "int64", "^out has dtype int64, but the kernel"),
    (zarr_array, (9, 8), "float64", r"^out has shape \(9, 8\) and dtype float64, but the kernel has shape \(9, 9\)"),
    (zarr_array, (9, 9), "float32", r"^out has shape \(9, 9\) and dtype float32, .* dtype float64"),
]


@pytest.mark.parametrize(("where", "shape", "dtype", "sentence"), WRONG_OUTPUTS)
def test_wrong_shapes_and_dtypes(
    tmp_path: Path, where: Where, shape: tuple[int, int], dtype: str, sentence: str
) -> None:
    """Of one output, and of the second of two, before anything is written to the first."""
    out = (
        where(tmp_path / "kernel", shape, dtype)
        if dtype != "int64"
        else np.memmap(tmp_path / "k", dtype, "w+", 0, shape)
    )
    with pytest.raises(ValueError, match=sentence):
        NET.ntk(X[:9], out=out)
    first = memmap(tmp_path / "first", (9, 9), "float64")
    with pytest.raises(ValueError, match=sentence):
        NET.kernels(X[:9], out=(first, out))
    assert np.isnan(first).all()


def test_unusable_outputs(tmp_path: Path) -> None:
    """Read-only files, a single file for two kernels, two for one, and none that can be written to."""
    out, chunked = memmap(tmp_path / "map", (9, 9), "float64"), zarr_array(tmp_path / "zarr", (9, 9), "float64")
    for closed in (
        np.memmap(tmp_path / "map", np.float64, "r", shape=(9, 9)),
        zarr.open_array(tmp_path / "zarr", mode="r"),
    ):
        with pytest.raises(ValueError, match=r"^out is read-only\.$"):
            NET.ntk(X[:9], out=closed)
    for one in (out, chunked, (out,), (out, chunked, out)):
        with pytest.raises(TypeError, match=r"^out must be a pair of arrays \(nngp, ntk\)\.$"):
            NET.kernels(X[:9], out=one)
    with pytest.raises(TypeError, match=r"^out must be a NumPy array, got tuple"):
        NET.ntk(X[:9], out=(out, chunked))
    with pytest.raises(TypeError, match=r"^out must be a NumPy array, got Group"):
        NET.ntk(X[:9], out=zarr.create_group(tmp_path / "group"))
    with pytest.raises(TypeError, match=r"^progress must be True, False or a callable"):
        NET.ntk(X[:9], out=out, progress="yes")  # type: ignore[arg-type]
    assert np.isnan(out).all()


def test_out_over_its_input(tmp_path: Path) -> None:
    """In one map of both; beside each other they are fine."""
    table = np.memmap(tmp_path / "table", np.float64, "w+", shape=(9, 20))
    table[:, :6] = X[:9]
    with pytest.raises(ValueError, match=r"^out overlaps X in memory"):
        NET.ntk(table[:, :6], out=table[:, 4:13])
    NET.ntk(table[:, :6], out=table[:, 6:15])
    np.testing.assert_array_equal(table[:, 6:15], NET.ntk(X[:9]))


@each_file
def test_rows_that_are_refused_have_names(tmp_path: Path, where: Where) -> None:
    """By their number in the whole, though they are far from the first block."""
    out = where(tmp_path / "kernel", (1900, 1300), "float64")
    for name, row, value, sentence in (
        ("X", 1890, np.nan, r"^X contains nan \(first in row 1890, column 2\)"),
        ("Y", 1290, -np.inf, r"^Y contains -inf \(first in row 1290, column 2\)"),
        ("X", 1777, 1e200, "^X: row 1777 has norm 1e.200, whose square overflows"),
        ("Y", 1234, 1e153, "^the kernel of row 1234 of Y with itself is beyond the range"),
    ):
        arrays = {"X": X.copy(), "Y": Y.copy()}
        arrays[name][row, 2] = value
        with pytest.raises(ValueError, match=sentence):
            fastntk.mlp(3, "relu", 100.0).ntk(arrays["X"], arrays["Y"], out=out, max_memory=LEAST)
    assert np.isnan(out[:]).all()


@pytest.mark.parametrize("n", [1, 7])
def test_pairs_of_a_block(n: int) -> None:
    """By which progress goes: on the diagonal of a symmetric kernel each with itself and with those behind it."""
    on, off = (slice(0, n), slice(0, n)), (slice(0, n), slice(n, 2 * n + 1))
    assert pairs_of(on, symmetric=True) == len(list(combinations_with_replacement(range(n), 2)))
    assert pairs_of(on, symmetric=False) == n * n
    assert pairs_of(off, symmetric=True) == n * (n + 1)


@each_file
@each_right
def test_progress(tmp_path: Path, where: Where, right: Array | None) -> None:
    """Goes up over all blocks, to 1 exactly, in steps that are pairs computed."""
    seen: list[float] = []
    out = where(tmp_path / "kernel", (1900, 1900 if right is None else 1300), "float64")
    NET.ntk(X, right, out=out, max_memory=LEAST, progress=seen.append)
    assert len(seen) >= 6
    assert seen == sorted(seen)
    assert 0 < seen[0] < 0.5
    assert seen[-1] == 1.0
    assert np.diff(seen).max() < 0.5


@each_file
def test_ctrl_c(tmp_path: Path, where: Where) -> None:
    """What a callback raises ends the work, and the same call can be made again."""

    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    out = where(tmp_path / "kernel", (1900, 1900), "float64")
    with pytest.raises(KeyboardInterrupt):
        NET.ntk(X, out=out, max_memory=LEAST, progress=stop)
    assert np.isnan(out[-1, -1])
    NET.ntk(X, out=out, max_memory=LEAST)
    np.testing.assert_array_equal(out[:], NET.ntk(X))


@each_dtype
@each_file
def test_input_that_is_a_file(tmp_path: Path, where: Where, dtype: str) -> None:
    """A memory map of samples, read-only and of many columns of which some are used, and Y its own part of it."""
    table = np.random.default_rng(2).normal(size=(1300, 12)).astype(dtype)
    table.tofile(tmp_path / "samples")
    samples: Any = np.memmap(tmp_path / "samples", dtype, "r", shape=table.shape)
    out = where(tmp_path / "square", (1300, 1300), dtype)
    NET.ntk(samples, out=out, max_memory=LEAST)
    np.testing.assert_array_equal(out[:], NET.ntk(table))
    out = where(tmp_path / "cross", (1300, 1200), dtype)
    NET.ntk(samples[:, 2:9], samples[100:, 2:9], out=out, max_memory=LEAST)
    np.testing.assert_array_equal(out[:], NET.ntk(table[:, 2:9], table[100:, 2:9]))


def test_nothing_to_compute(tmp_path: Path) -> None:
    """No rows, no blocks, no progress."""
    seen: list[float] = []
    out = zarr_array(tmp_path / "kernel", (0, 9), "float64")
    assert NET.ntk(X[:0], X[:9], out=out, progress=seen.append) is out
    assert seen == []


PEAK = """
import resource, sys, numpy as np, zarr, fastntk
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
net, n, folder = fastntk.mlp(2, "relu", 1.4, 0.2), 8000, sys.argv[1]
X = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
small = zarr.create_array(folder + "/small", shape=(40, 40), chunks=(10, 10), dtype="float32")
net.ntk(X[:40], out=small)
before = peak()
out = np.memmap(folder + "/map", np.float32, "w+", shape=(n, n))
net.ntk(X, out=out, max_memory="64 MiB")
with_map = peak()
out = zarr.create_array(folder + "/zarr", shape=(n, n), chunks=(500, 500), dtype="float32", compressors=None)
net.ntk(X, out=out, max_memory="64 MiB")
print(with_map - before, peak() - before)
"""


def test_peak_memory(tmp_path: Path) -> None:
    """A kernel of 244 MiB takes no more memory than it may, into a map and into Zarr."""
    run = subprocess.run([sys.executable, "-c", PEAK, tmp_path], check=True, capture_output=True, text=True)
    with_map, with_zarr = map(float, run.stdout.split())
    assert with_map < 64
    assert with_zarr < 64


@pytest.mark.parametrize(
    ("free", "limit"), [(0, LEAST), (10**6, LEAST), (2**29, 2**27), (None, 2**30)], ids=["none", "little", "much", "?"]
)
def test_memory_limit(monkeypatch: pytest.MonkeyPatch, free: int | None, limit: int) -> None:
    """A quarter of what is free: that nothing is, is not the same as not knowing, which counts as 4 GiB."""
    monkeypatch.setattr("fastntk.kernels.blocks.available_memory", lambda: free)
    assert memory_limit(None) == limit
