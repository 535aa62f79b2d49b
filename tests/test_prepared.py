"""Kernels against rows that were prepared: as those computed at once, whoever asks, however often and with what."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Activation, Sequential, mlp
from fastntk.activations.registry import REGISTRY
from fastntk.kernels.blocks import KernelMatrix
from fastntk.kernels.prepared_kernel import PreparedKernel

REQUIRED: dict[str, dict[str, Any]] = {
    "abrelu": {"a": -0.3, "b": 1.2},
    "monomial": {"degree": 3},
    "polynomial": {"coefficients": (0.1, 0.5, -0.3)},
    "hermite": {"degree": 3},
}
Y = np.random.default_rng(0).normal(size=(60, 5))
X = np.random.default_rng(1).normal(size=(7, 5))
X[:3] = Y[3], -Y[4], Y[5] * (1 + 1e-9)  # a duplicate, an antipode, nearly one
RELU = mlp(3, "relu", 2**0.5, 0.1)
TANH = mlp(2, "tanh", 1.5, 0.1)

#: Error of a kernel relative to sqrt(K(x, x) K(y, y)), of either of two that are compared.
CLOSED_FORM = {"float64": 2e-14, "float32": 2e-6}

#: Their kernels know the square root of the gap, which nearly the same rows have to some digits only.
JUMPS = ("step", "sign", "hard_shrink")


def deviation(found: np.ndarray, exact: np.ndarray, net: Sequential, kind: str, x: np.ndarray, y: np.ndarray) -> float:
    """Largest, relative to the diagonals."""
    diagonals = [np.sqrt(getattr(net, kind).diag(rows, dtype="float64")) for rows in (x, y)]
    return float((np.abs(found.astype(np.float64) - exact) / np.outer(*diagonals)).max())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", list(REGISTRY))
def test_as_at_once(name: str, dtype: str) -> None:
    """Both kernels of every activation, in and out of the range of the prepared rows."""
    act = Activation(name, **REQUIRED.get(name, {}))
    net = mlp(1 if name == "exp" else 2, act, 1.1, 0.1)
    y = (0.4 * Y).astype(dtype)
    allowed = max(1e-11 if name in JUMPS else CLOSED_FORM[dtype], 2 * max(layer.noise for layer in net)) + 2e-6 * (
        dtype == "float32"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastntk.ToleranceWarning)
        for kind in ("nngp", "ntk"):
            kernel = getattr(net, kind)
            prepared = kernel.prepare(y)
            for scale in (0.4, 0.01, 1.5, 0.4):
                x = (scale * X).astype(dtype)
                exact = kernel(x, y, dtype="float64").astype(np.float64)
                assert deviation(prepared(x), exact, net, kind, x, y) <= allowed


@pytest.mark.parametrize("net", [mlp(2, "relu", 1.5), RELU, mlp(2, "gelu", 1.5, 0.1)])
def test_reference(net: Sequential) -> None:
    """As the same mathematics in plain NumPy."""
    x = np.concatenate((X[3:], np.zeros((1, 5))))
    assert np.allclose(net.ntk.prepare(Y)(x), fastntk.reference.ntk(net, x, Y), rtol=1e-12)
    assert np.allclose(net.nngp.prepare(Y)(x), fastntk.reference.nngp(net, x, Y), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "act", ["relu", "erf", "tanh", "elu", "hard_tanh", "softplus", Activation("hermite", degree=3)]
)
@pytest.mark.parametrize("m", [1, 40, 150, 500])
def test_alone_and_among_others(act: Any, m: int, dtype: str) -> None:
    """A row has the same bits whatever rows it is asked with."""
    rng = np.random.default_rng(m)
    y, x = (rng.normal(size=(n, 3)).astype(dtype) for n in (m, 30))
    x /= np.linalg.norm(x, axis=1, keepdims=True)  # in the range of y, whichever
    y[:1] /= np.linalg.norm(y[:1])
    prepared = mlp(2, act, 1.2, 0.1).ntk.prepare(y)
    whole = prepared(x)
    for rows in ([0], [7], [29, 3], list(range(5, 30))):
        assert (prepared(x[rows]) == whole[rows]).all()


def test_widened_ranges_are_forgotten() -> None:
    """What was asked before does not change a bit, though it made expansions of wider ranges."""
    prepared = TANH.ntk.prepare(Y)
    before = prepared(X)
    far = [prepared(scale * X) for scale in (3, 0.01, 2, 4, 3)]
    assert (far[0] == far[-1]).all()
    assert (prepared(X) == before).all()


def test_zero_rows() -> None:
    """Of either side, with bias or without."""
    x, y = (np.concatenate((rows, np.zeros((2, 5)))) for rows in (X, Y))
    for net in (RELU, mlp(2, "relu"), mlp(2, "tanh", 1.5), mlp(1, "softplus", 1.5)):
        for left, right in ((x, Y), (X, y), (x, y), (x[-1:], Y), (x[-1:], y[-1:])):
            assert np.allclose(net.ntk.prepare(right)(left), net.ntk(left, right), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("net", [RELU, TANH])
def test_precisions(net: Sequential) -> None:
    """The result is of the dtype that both samples, or dtype=, give it; either side may be in float32."""
    single = Y.astype(np.float32)
    exact = net.ntk(X, single.astype(np.float64))
    for y, x, dtype, result in (
        (single, X, None, "float64"),
        (single, X.astype(np.float32), None, "float32"),
        (single, X, "float32", "float32"),
        (single.astype(np.float64), X.astype(np.float32), None, "float64"),
        (single.astype(np.float64), X.astype(np.float32), "float32", "float32"),
        (single, (10 * X).astype(int), None, "float64"),
    ):
        prepared = net.ntk.prepare(y)
        for _ in range(2):
            found = prepared(x, dtype=dtype)
            assert found.dtype == result
            truth = exact if x.dtype.kind == "f" else net.ntk(x, single.astype(np.float64))
            assert deviation(found, truth, net, "ntk", x, y) < 1e-5
            if result == "float64" and x.dtype == "float64":
                assert np.abs(found - exact).max() < 1e-9


def test_one_variable() -> None:
    """Large kernels of networks that depend on the angle alone are fitted, where they still do with the new rows."""
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(1100, 6)), rng.normal(size=(1000, 6))
    net = mlp(8, "relu", 2**0.5)
    prepared = net.ntk.prepare(y)
    assert deviation(prepared(x), net.ntk(x, y, univariate=False), net, "ntk", x, y) < 1e-14
    assert (prepared(x[:5]) == prepared(x, univariate=False)[:5]).all()
    net = mlp(8, "erf", 1.5, 0.1)
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    prepared = net.ntk.prepare(y)
    for scale in (1, 1.2):  # of equal norm, or not
        unit = scale * x / np.linalg.norm(x, axis=1, keepdims=True)
        assert deviation(prepared(unit), net.ntk(unit, y, univariate=False), net, "ntk", unit, y) < 1e-14


def test_empty() -> None:
    """No rows on either side."""
    assert RELU.ntk.prepare(Y)(X[:0]).shape == (0, 60)
    assert RELU.ntk.prepare(Y[:0])(X).shape == (7, 0)
    assert TANH.ntk.prepare(Y[:0])(X[:0]).shape == (0, 0)


def test_errors() -> None:
    """Those of a call with both: each names the matrix and the row that it is about."""
    prepared = RELU.ntk.prepare(Y)
    with pytest.raises(ValueError, match="X has 4 features but Y has 5"):
        prepared(X[:, :4])
    with pytest.raises(ValueError, match="X must be a matrix"):
        prepared(X[0])
    bad = X.copy()
    bad[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"X contains nan .*row 2, column 3"):
        prepared(bad)
    with pytest.raises(ValueError, match=r"Y contains nan .*row 2, column 3"):
        RELU.ntk.prepare(bad)
    with pytest.raises(ValueError, match=r"row 1 of X with itself is beyond the range of float32"):
        prepared(np.array([[1.0] * 5, [1e30] * 5]), dtype="float32")
    with pytest.raises(ValueError, match=r"row 1 of Y with itself is beyond the range of float64"):
        mlp(1, "squared_relu").ntk.prepare(np.array([[1.0], [1e90]]))
    with pytest.raises(ValueError, match="accepts up to"):
        TANH.ntk.prepare(Y)(1e8 * X)
    with pytest.raises(TypeError, match="gradient"):
        prepared(X, gradient=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="progress must be"):
        prepared(X, progress="yes")  # type: ignore[arg-type]
    square = np.random.default_rng(0).normal(size=(7, 7))
    square.flags.writeable = False  # what could be changed is copied
    prepared = RELU.ntk.prepare(square)
    assert prepared.rows.given is square


def test_rows_that_change() -> None:
    """Prepared are the rows as they were."""
    rows = np.random.default_rng(0).normal(size=(7, 4))
    before, wanted = rows.copy(), RELU.ntk(rows, rows)
    for given in (rows, rows[::-1][::-1]):
        prepared = RELU.ntk.prepare(given)
        rows *= 3
        np.testing.assert_allclose(prepared(before), wanted, rtol=1e-13)
        rows[:] = before


def test_missed_tolerance_is_told() -> None:
    """Of the prepared rows when they are, of others when they are asked."""
    with pytest.warns(fastntk.ToleranceWarning):
        TANH.ntk(X, 40 * Y)
    with pytest.warns(fastntk.ToleranceWarning):
        TANH.ntk.prepare(40 * Y)
    prepared = TANH.ntk.prepare(Y)
    with pytest.warns(fastntk.ToleranceWarning):
        prepared(40 * X)


def test_out(tmp_path: Any) -> None:
    """Into memory of any strides, or a file block by block."""
    zarr = pytest.importorskip("zarr")
    prepared = RELU.ntk.prepare(Y)
    exact = prepared(X)
    for out in (np.empty((7, 60)), np.empty((60, 7)).T, np.empty((14, 180))[::2, ::3]):
        assert prepared(X, out=out) is out
        assert (out == exact).all()
    file = np.memmap(tmp_path / "kernel", np.float64, "w+", shape=(7, 60))
    prepared(X, out=file)
    assert (file == exact).all()
    chunked = zarr.zeros(shape=(7, 60), chunks=(3, 7), dtype="f8")
    RELU.ntk.prepare(Y)(X, out=chunked)
    assert (chunked[:] == exact).all()
    parts = KernelMatrix(RELU.layers, X, prepared.rows, "ntk", None)
    for i, j, k in ((0, 0, 7), (2, 5, 60), (1, 31, 33)):
        part = np.empty((7 - i, k - j))
        parts.write((slice(i, 7), slice(j, k)), [part])
        assert (part == exact[i:, j:k]).all()
    seen: list[float] = []
    prepared(X, progress=seen.append)
    assert seen[-1] == 1.0


@pytest.mark.parametrize("act", ["relu", "tanh", "hard_tanh"])
def test_threads(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same bits for any number, in the calls and in what they are prepared by."""
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(700, 20)), rng.normal(size=(500, 20))
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(fastntk._machine.runtime, "threads", lambda threads=threads: threads)
        prepared = mlp(2, act, 1.3, 0.1).ntk.prepare(y)
        found.append((prepared(x), prepared.operator(x) @ np.ones(700)))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert (a == b).all()


def test_operator() -> None:
    """Products with vectors, both ways, and blocks."""
    rng = np.random.default_rng(0)
    prepared = RELU.ntk.prepare(Y)
    A, K = prepared.operator(X), prepared(X)
    assert A.shape == (7, 60)
    v, u = rng.normal(size=(60, 2)), rng.normal(size=7)
    assert np.allclose(A @ v, K @ v, rtol=1e-12)
    assert np.allclose(A.T @ u, K.T @ u, rtol=1e-12)
    assert np.allclose(A.block([0, 3], slice(5, 9)), K[[0, 3], 5:9], rtol=1e-12)


def test_rows_too_many_to_keep_packed() -> None:
    """More than 20 MiB of them are read as they are, to the same bits: those of a row do not depend on how."""
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(3000, 1000)), rng.normal(size=(3, 1000))
    prepared = RELU.ntk.prepare(y)
    assert np.allclose(prepared(x), RELU.ntk(x, y), rtol=1e-13)
    part = RELU.ntk.prepare(y[:2000])
    assert np.allclose(prepared(x)[:, :2000], part(x), rtol=1e-13)


@pytest.mark.parametrize("net", [RELU, TANH])
def test_pickle(net: Sequential) -> None:
    """As the kernel and its rows; what comes back gives the same bits."""
    prepared = net.ntk.prepare(Y)
    again = pickle.loads(pickle.dumps(prepared))
    assert isinstance(again, PreparedKernel)
    assert (again.layers, again.kind) == (prepared.layers, prepared.kind)
    assert (again(X) == prepared(X)).all()
    assert "60 rows" in repr(again)


def test_several_threads_ask() -> None:
    """At once, in and out of range: each gets its own."""
    from concurrent.futures import ThreadPoolExecutor

    prepared = TANH.ntk.prepare(Y)
    scales = [1.0, 5.0, 0.1, 20.0] * 6
    alone = {scale: TANH.ntk.prepare(Y)(scale * X) for scale in set(scales)}
    with ThreadPoolExecutor(4) as pool:
        for scale, found in zip(scales, pool.map(lambda scale: prepared(scale * X), scales), strict=True):
            assert (found == alone[scale]).all()


def test_estimators_keep_one_copy() -> None:
    """Their prepared kernel goes along when they are pickled, without the samples once more, and is no parameter."""
    from sklearn.base import clone

    from fastntk.sklearn import NTKClassifier, NTKRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2000))
    for model, y in ((NTKRegressor(2, "tanh"), x[:, 0]), (NTKClassifier(2, "relu"), x[:, 0] > 0)):
        bare = len(pickle.dumps(model))
        model.fit(x, y)
        dumped = pickle.dumps(model)
        assert len(dumped) - bare < 1.1 * x.nbytes
        assert (pickle.loads(dumped).predict(x[:5]) == model.predict(x[:5])).all()
        assert not hasattr(clone(model), "_cross")


def test_calls_of_a_given_precision() -> None:
    """That of the preparation, unless they have their own."""
    prepared = RELU.ntk.prepare(Y.astype(np.float32), dtype="float64")
    assert prepared(X.astype(np.float32)).dtype == np.float64
    assert pickle.loads(pickle.dumps(prepared))(X[:1].astype(np.float32)).dtype == np.float64
    assert prepared(X, dtype="float32").dtype == np.float32
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        RELU.ntk.prepare(Y, dtype="int8")
