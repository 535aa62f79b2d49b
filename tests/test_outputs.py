"""What comes out: right numbers at every size, symmetry, `out`, dtypes, layouts, blocks, instruction sets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Dense, Kernels, Sequential, _core, mlp
from fastntk._machine import runtime

Array = NDArray[Any]
Long = NDArray[np.longdouble]

SETS = _core.supported_instruction_sets()
RELU = mlp(depth=3, activation="relu", sigma_w=1.4, sigma_b=0.2)
NETS = {
    "relu": RELU,
    "relu without bias": mlp(2),
    "erf": mlp(2, "erf", 1.5, 0.1),
    "linear": mlp(0, "relu", 1.5, 0.1),
}
TOLERANCE = {"float32": 1e-6, "float64": 5e-15}
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


def data(n: int, d: int, dtype: str = "float64", seed: int = 0) -> Array:
    """Normal rows of various lengths."""
    rng = np.random.default_rng([seed, n, d])
    return (rng.normal(size=(n, d)) * rng.uniform(0.1, 3.0, (n, 1))).astype(dtype)


def close(kernel: Array, expected: Any, left: Array, right: Array, tolerance: float) -> None:
    """The accuracy that is promised: relative to the diagonals, `left` and `right`."""
    scale = np.sqrt(left.astype(float))[:, None] * np.sqrt(right.astype(float))
    error = np.abs(kernel - expected) / scale
    assert error.max(initial=0) <= tolerance


class Twin(NamedTuple):
    """Both kernels of x and y, and for each of them the diagonals of x and of y."""

    kernels: Kernels
    diagonals: tuple[tuple[Long, Long], tuple[Long, Long]]


def unit_rows(x: Array) -> Long:
    """In long double."""
    rows = x.astype(np.longdouble)
    return np.asarray(rows / np.sqrt((rows**2).sum(1, keepdims=True)))


def relu_twin(net: Sequential, x: Array, y: Array) -> Twin:
    """Plain NumPy in long double, for networks of ReLUs; gap = 1 - rho and rest = 1 + rho are both kept."""
    left, right = x.astype(np.longdouble), y.astype(np.longdouble)
    s, t = (np.sqrt((z**2).sum(1) / z.shape[1]) for z in (left, right))
    left, right = left / s[:, None], right / t[:, None]
    gap, rest = (np.stack([((right + sign * row) ** 2).mean(1) for row in left]) / 2 for sign in (-1, 1))
    theta, thetas = np.zeros_like(gap), (np.zeros_like(s), np.zeros_like(t))
    pi, half = 4 * np.arctan(np.longdouble(1)), np.sqrt(np.longdouble(0.5))
    for layer in net:
        if isinstance(layer, Dense):
            before, w = (s, t), np.longdouble(layer.sigma_w)
            s, t = (np.hypot(w * z, np.longdouble(layer.sigma_b)) for z in before)
            a, b = (w * z / after for z, after in zip(before, (s, t), strict=True))
            c, d = (layer.sigma_b / after for after in (s, t))
            gap = ((a[:, None] - b) ** 2 + (c[:, None] - d) ** 2) / 2 + a[:, None] * b * gap
            rest = 2 - gap if layer.sigma_b > 0 else rest
            theta = w**2 * theta + s[:, None] * t * (1 - gap)
            thetas = (w**2 * thetas[0] + s**2, w**2 * thetas[1] + t**2)
        else:
            angle = 2 * np.arctan2(np.sqrt(gap), np.sqrt(rest))
            theta = theta * (pi - angle) / (2 * pi)
            gap = gap - (np.sqrt(gap * rest) - angle * (1 - gap)) / pi
            rest, s, t, thetas = 2 - gap, s * half, t * half, (thetas[0] / 2, thetas[1] / 2)
    return Twin(Kernels(s[:, None] * t * (1 - gap), theta), ((s**2, t**2), thetas))


@cache
def case_of_size(n: int, d: int, dtype: str) -> tuple[Array, Array, Twin]:
    """Rows x and y, and the kernels of x with x and y."""
    x, y = data(n, d, dtype), data(193 if n < 12 else 37, d, dtype, seed=1)
    return x, y, relu_twin(RELU, x, np.concatenate((x, y)))


SIZES = (1, 2, 11, 12, 13, 23, 24, 25, 47, 48, 49, 95, 96, 97, 191, 192, 193, 400)
FEATURES = (1, 2, 3, 255, 256, 257, 600)


@pytest.fixture(params=SETS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every instruction set of this processor in turn."""
    name: str = request.param
    monkeypatch.setattr(runtime, "instruction_set", lambda: name)
    return name


@each_dtype
@pytest.mark.usefixtures("isa")
def test_every_size(dtype: str) -> None:
    """At the edges of slivers, tiles and depth blocks."""
    cases = [(n, FEATURES[i % len(FEATURES)] if n < 300 else 3) for i, n in enumerate(SIZES)]
    cases += [(13, d) for d in FEATURES] + [(97, d) for d in FEATURES[:4]]
    for n, d in cases:
        x, y, twin = case_of_size(n, d, dtype)
        for kernel, block, expected, (left, right) in zip(RELU.kernels(x), RELU.kernels(x, y), *twin, strict=True):
            close(kernel, expected[:, :n], left, right[:n], TOLERANCE[dtype])
            close(block, expected[:, n:], left, right[n:], TOLERANCE[dtype])


@each_dtype
def test_related_rows(dtype: str) -> None:
    """Duplicates, opposites, multiples and near-duplicates are as accurate as any."""
    base = data(6, 5, dtype)
    near = [base * np.asarray(1 + 10.0**-k * data(6, 5, seed=k), dtype) for k in range(1, 8)]
    x = np.concatenate((base, base, -base, 2 * base, base / 8, *near))
    for net in (RELU, NETS["relu without bias"]):
        for kernel, exact, (left, right) in zip(net.kernels(x), *relu_twin(net, x, x), strict=True):
            close(kernel, exact, left, right, TOLERANCE[dtype])


@each_dtype
@pytest.mark.parametrize("d", [2, 3, 17, 64, 100, 3072])
def test_near_duplicates(d: int, dtype: str) -> None:
    """Their distance is right relative to itself: each of the sign layers makes a distance the square root of it."""
    net = mlp(6, "sign", 1.0, 0.0)
    near = [data(1, d) * (1 + 10.0**-k * data(1, d, seed=k)) for k in range(1, 8)]
    rows = np.concatenate((data(1, d), *near)).astype(dtype)
    x = np.concatenate((rows, rows * 2**40, rows * 2.0**-90, rows * 0.37, -1.3e-5 * rows)).astype(dtype)
    unit = unit_rows(x)
    gap, rest = (np.stack([((unit + sign * row) ** 2).sum(1) / 2 for row in unit]) for sign in (-1, 1))
    sign, gap = np.where(gap <= rest, 1, -1), np.minimum(gap, rest)
    distance = gap
    for _ in range(6):
        gap = 4 / np.longdouble(np.pi) * np.arcsin(np.sqrt(gap / 2))
    for result in {dtype, "float64"}:
        smallest = 1e-20 if result == "float32" else 1e-12  # that long double knows to so many digits
        known = (distance == 0) | (distance > smallest)
        kernel = net.nngp(x, dtype=result)
        np.testing.assert_allclose((1 - sign * kernel)[known], gap[known], rtol=0, atol=TOLERANCE[result])
        np.testing.assert_array_equal(kernel, kernel.T)


LONG = [(450, 90, 12_000, "float64"), (60, 50, 60_000, "float64"), (50, 60, 110_000, "float32")]


@pytest.mark.parametrize(("n", "m", "d", "dtype"), LONG)
def test_long_rows(n: int, m: int, d: int, dtype: str) -> None:
    """Several panels, and rows too long for a panel, which every tile packs for itself."""
    x, y = data(n, d, dtype), data(m, d, dtype, seed=1)
    square, cross = RELU.ntk(x), RELU.ntk(x, y)
    some, other = slice(None, None, n // 7), slice(None, None, m // 7)
    rest = np.concatenate((x[some], y[other]))
    expected, (_, (left, right)) = relu_twin(RELU, x[some], rest)
    k = len(x[some])
    close(square[some, some], expected.ntk[:, :k], left, right[:k], TOLERANCE[dtype])
    close(cross[some, other], expected.ntk[:, k:], left, right[k:], TOLERANCE[dtype])
    np.testing.assert_array_equal(square, square.T)
    diagonal = RELU.ntk.diag(x)
    close(square[:, : m // 2], RELU.ntk(x, x[: m // 2]), diagonal, diagonal[: m // 2], TOLERANCE[dtype])


def raw_product(isa: str, x: Array, y: Array | None, centre: Array, *, unit: bool = False) -> Array:
    """``(x - centre) @ (y - centre).T`` by the packing and micro-kernel of the engine; of unit rows if asked."""
    rows = [x] if y is None else [x, y]
    inverse = [1 / np.linalg.norm(z.astype(float), axis=1) if unit else np.ones(len(z)) for z in rows]
    out = np.full((len(x), len(rows[-1])), np.nan, x.dtype)
    _core.product(isa, 2, x, inverse[0], y, inverse[-1], centre, out)
    return out


@each_dtype
@pytest.mark.parametrize("name", SETS)
def test_product_is_matmul(name: str, dtype: str) -> None:
    """The micro-kernel against BLAS, relative to the lengths of the rows."""
    cases = [*itertools.product((1, 13, 48, 97, 193), (1, 3, 256, 257)), (25, 600), (400, 20), (9, 60_000)]
    for n, d in cases:
        x, y, centre = data(n, d, dtype), data(n // 2 + 1, d, dtype, seed=1), data(1, d, seed=2)[0]
        for left, right, middle in ((x, None, 0 * centre), (x, y, 0 * centre), (x, y, centre)):
            a, b = (z.astype(float) - middle for z in (left, left if right is None else right))
            scale = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
            error = np.abs(raw_product(name, left, right, middle) - np.matmul(a, b.T)) / scale
            assert error.max() <= 32 * np.finfo(dtype).eps, (n, d)


@each_dtype
def test_product_of_unit_rows(dtype: str) -> None:
    """Rows are scaled before the centre is subtracted."""
    x, centre = data(100, 70, dtype), data(1, 70)[0] / 8
    unit = x.astype(float) / np.linalg.norm(x.astype(float), axis=1)[:, None] - centre
    got = raw_product(SETS[-1], x, None, centre, unit=True)
    assert np.abs(got - unit @ unit.T).max() <= 32 * np.finfo(dtype).eps
    np.testing.assert_array_equal(got, got.T)


@each_dtype
@each_net
def test_instruction_sets_agree(net: Sequential, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the stated accuracy, twice: each of them is within it of the truth."""
    x, y = data(150, 40, dtype), data(70, 40, dtype, seed=1)
    results: list[tuple[Kernels, Kernels]] = []
    for name in SETS:
        monkeypatch.setattr(runtime, "instruction_set", lambda name=name: name)
        results.append((net.kernels(x), net.kernels(x, y)))
    for square, cross in results[:-1]:
        for kind, diagonal in (("nngp", net.nngp.diag), ("ntk", net.ntk.diag)):
            for got, best, other in ((square, results[-1][0], x), (cross, results[-1][1], y)):
                close(
                    getattr(got, kind),
                    getattr(best, kind),
                    diagonal(x),
                    diagonal(other),
                    2 * TOLERANCE[dtype],
                )


@each_dtype
@each_net
@pytest.mark.usefixtures("isa")
def test_symmetric_and_the_same_in_one_pass(net: Sequential, dtype: str) -> None:
    """K == K.T exactly; nngp and ntk alone are what kernels gives, bit for bit; so is the diagonal, nearly."""
    for n in (1, 2, 13, 100, 193):
        x = data(n, 20, dtype)
        x[n // 2 :: 3] = x[: len(x[n // 2 :: 3])]
        K, T = net.kernels(x)
        assert isinstance(net.kernels(x), Kernels)
        for kernel, alone, diagonal in ((K, net.nngp(x), net.nngp.diag(x)), (T, net.ntk(x), net.ntk.diag(x))):
            assert kernel.shape == (n, n)
            assert kernel.dtype == diagonal.dtype == dtype
            assert kernel.tobytes() == alone.tobytes() == kernel.T.tobytes()
            np.testing.assert_allclose(kernel.diagonal(), diagonal, rtol=TOLERANCE[dtype])
        cross = net.kernels(x, x[::-1])
        assert cross.nngp.tobytes() == net.nngp(x, x[::-1]).tobytes()
        assert cross.ntk.tobytes() == net.ntk(x, x[::-1]).tobytes()


@each_dtype
@each_net
def test_blocks_are_parts_of_the_whole(net: Sequential, dtype: str) -> None:
    """ntk(X)[i, j] against ntk(X, Y), and against a permutation of X."""
    x = data(260, 30, dtype)
    for kernel, diagonal in ((net.nngp, net.nngp.diag(x)), (net.ntk, net.ntk.diag(x))):
        whole = kernel(x)
        for rows, columns in (
            (slice(0, 100), slice(100, 260)),
            (slice(3, 4), slice(0, 260)),
            (slice(0, 260),) * 2,
        ):
            part = kernel(x[rows], x[columns])
            close(part, whole[rows, columns], diagonal[rows], diagonal[columns], TOLERANCE[dtype])
            close(part, kernel(x[columns], x[rows]).T, diagonal[rows], diagonal[columns], TOLERANCE[dtype])
        order = np.random.default_rng(5).permutation(260)
        close(kernel(x[order]), whole[np.ix_(order, order)], diagonal[order], diagonal[order], TOLERANCE[dtype])


def test_features_in_any_order() -> None:
    """And padded with zeros: with d given back, the kernel of the same vectors."""
    x = data(40, 30)
    diagonal = RELU.ntk.diag(x)
    close(RELU.ntk(x[:, ::-1]), RELU.ntk(x), diagonal, diagonal, 5e-15)
    padded = np.pad(x, ((0, 0), (0, 90))) * 2
    close(RELU.ntk(padded), RELU.ntk(x), diagonal, diagonal, 5e-15)


# out

Place = Callable[[Array, int, int], Array]
PLACES: dict[str, Place] = {
    "C": lambda buffer, n, m: buffer[: n * m].reshape(n, m),
    "Fortran": lambda buffer, n, m: buffer[: n * m].reshape(m, n).T,
    "off by one": lambda buffer, n, m: buffer[1 : 1 + n * m].reshape(n, m),
    "inside": lambda buffer, n, m: buffer[: (n + 4) * (m + 5)].reshape(n + 4, m + 5)[1:-3, 3:-2],
    "inside, transposed": lambda buffer, n, m: buffer[: (n + 4) * (m + 5)].reshape(m + 5, n + 4)[3:-2, 1:-3].T,
    "every other column": lambda buffer, n, m: buffer[: 2 * n * m].reshape(n, 2 * m)[:, ::2],
    "every other row": lambda buffer, n, m: buffer[: 2 * n * m].reshape(2 * n, m)[1::2],
    "every third of both": lambda buffer, n, m: buffer[: 9 * n * m].reshape(3 * n, 3 * m)[::3, 2::3],
    "reversed": lambda buffer, n, m: buffer[: n * m].reshape(n, m)[::-1, ::-1],
    "reversed columns": lambda buffer, n, m: buffer[: n * m].reshape(n, m)[:, ::-1],
    "a plane of a stack": lambda buffer, n, m: buffer[: 3 * n * m].reshape(n, m, 3)[:, :, 1],
}


@each_dtype
@pytest.mark.parametrize("place", PLACES)
def test_out_is_written_where_it_is(place: str, dtype: str) -> None:
    """The same bits wherever they go, the same object back, and nothing beside it is touched."""
    for n, m in ((1, 1), (1, 30), (30, 1), (70, None), (60, 200), (200, None)):
        x, y = data(n, 12, dtype), None if m is None else data(m, 12, dtype, seed=1)
        buffers = [np.full(10 * n * (m or n) + 2000, -7.0, dtype) for _ in range(2)]
        pair = [PLACES[place](buffer, n, m or n) for buffer in buffers]
        expected = RELU.kernels(x, y)
        got = RELU.kernels(x, y, out=(pair[0], pair[1]))
        for kernel, out, buffer, right in zip(got, pair, buffers, expected, strict=True):
            assert kernel is out
            np.testing.assert_array_equal(out, right)
            out[...] = -7.0
            assert (buffer == -7.0).all()
        assert RELU.ntk(x, y, out=pair[0]) is pair[0]
        np.testing.assert_array_equal(pair[0], expected.ntk)
        assert RELU.nngp(x, y, out=pair[1]) is pair[1]
        np.testing.assert_array_equal(pair[1], expected.nngp)


@pytest.mark.parametrize("place", ["C", "Fortran", "off by one", "inside", "inside, transposed", "reversed"])
def test_out_of_many_megabytes(place: str) -> None:
    """Results larger than the caches are stored past them."""
    x, y = data(1150, 3), data(1300, 3, seed=1)
    diagonal, other = RELU.ntk.diag(x), RELU.ntk.diag(y)
    expected = RELU.ntk(x[:40], y)
    buffer = np.full(1200 * 1350, -7.0)
    for kernel in (RELU.ntk(x, out=PLACES[place](buffer, 1150, 1150)), RELU.ntk(x)):
        np.testing.assert_array_equal(kernel, kernel.T)
        np.testing.assert_allclose(kernel.diagonal(), diagonal, rtol=5e-15)
        close(kernel[:40], RELU.ntk(x[:40], x), diagonal[:40], diagonal, 5e-15)
    cross = RELU.ntk(x, y, out=PLACES[place](buffer, 1150, 1300))
    close(cross[:40], expected, diagonal[:40], other, 5e-15)
    close(cross, RELU.ntk(y, x).T, diagonal, other, 5e-15)
    cross[...] = -7.0
    assert (buffer[-1000:] == -7.0).all()


def test_out_may_be_a_file(tmp_path: Path) -> None:
    """A memory map is an array; so is any other subclass that keeps its own memory."""
    x, y = data(50, 4), data(20, 4, seed=1)
    out = np.lib.format.open_memmap(tmp_path / "kernel.npy", "w+", np.float64, (50, 20))
    assert RELU.ntk(x, y, out=out) is out
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "kernel.npy"), RELU.ntk(x, y))


def test_out_beside_its_input() -> None:
    """Parts of one array that interleave but do not overlap are different memory."""
    table = np.zeros((30, 64))
    table[:, :4] = data(30, 4)
    x, expected = table[:, :4], RELU.kernels(data(30, 4))
    assert RELU.ntk(x, out=table[:, 34:]) is not None
    np.testing.assert_array_equal(table[:, 34:], expected.ntk)
    np.testing.assert_array_equal(x, data(30, 4))
    RELU.kernels(data(30, 4), out=(table[:, 0:60:2], table[:, 1:60:2]))
    np.testing.assert_array_equal(table[:, 0:60:2], expected.nngp)
    np.testing.assert_array_equal(table[:, 1:60:2], expected.ntk)


# dtypes


@each_net
def test_dtype_overrides(net: Sequential) -> None:
    """Of the computation and of the result, whatever the inputs are."""
    x, y = data(90, 7), data(60, 7, seed=1)
    exact, diagonal, other = net.ntk(x, y), net.ntk.diag(x), net.ntk.diag(y)
    low = net.ntk(x, y, dtype="float32")
    assert low.dtype == net.ntk.diag(x, dtype=np.float32).dtype == np.float32
    close(low, exact, diagonal, other, 1e-6)
    for dtype in ("float64", np.float64, float, np.dtype("f8")):
        high = net.ntk(x.astype("f4"), y.astype("f4"), dtype=dtype)
        assert high.dtype == np.float64
        close(high, net.ntk(x.astype("f4").astype("f8"), y.astype("f4").astype("f8")), diagonal, other, 5e-15)
    out = np.empty((90, 60), np.float32)
    assert net.ntk(x, y, dtype="float32", out=out) is out
    np.testing.assert_array_equal(out, low)


@pytest.mark.parametrize("kinds", ["f4 f8 f8", "f8 f4 f8", "f4 i4 f8", "f2 f4 f4", "? f4 f8"])
def test_mixed_dtypes(kinds: str) -> None:
    """The wider of both decides."""
    left, right, result = kinds.split()
    x, y = (3 * data(40, 6)).astype(left), (3 * data(30, 6, seed=1)).astype(right)
    kernel = RELU.ntk(x, y)
    assert kernel.dtype == result
    expected = RELU.ntk(x.astype(result), y.astype(result))
    close(kernel, expected, RELU.ntk.diag(x), RELU.ntk.diag(y), TOLERANCE[kernel.dtype.name])
