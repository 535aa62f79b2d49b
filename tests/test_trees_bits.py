"""A network with every layer has the same bits by every door: in memory, in blocks, in files and on a cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.test_threads import run
from tests.trees import EVERY_LAYER, WIDTH

import fastntk
from fastntk import Activation, Dense, Dropout, LayerNorm, Residual, Sequential, Sum, _core, reference
from fastntk.kernels.blocks import KernelMatrix
from fastntk.layers import Layer

rng = np.random.default_rng(4)
X = rng.normal(size=(700, WIDTH))
X[5], X[77], X[300], X[301] = X[3], -X[3], X[3] * (1 + 1e-9), 1e3 * X[8]
Y = np.concatenate((X[:40], rng.normal(size=(90, WIDTH))))

#: Pairs of a strip share the terms of an expansion, so that its last bits depend on the block: every layer with closed
#: forms.
_CLOSED = {"tanh": "erf", "hard_tanh": "erf", "polynomial": "snake"}


def _closed(layer: Layer) -> Layer:
    return Activation(_CLOSED[layer.name]) if isinstance(layer, Activation) and layer.name in _CLOSED else layer


CLOSED = EVERY_LAYER.changed(_closed)


def test_number_of_threads() -> None:
    """One, two and seven: kernels, products, derivatives."""
    code = f"""
        import hashlib, json, sys, warnings
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        import numpy as np
        from tests.trees import EVERY_LAYER, WIDTH

        X = np.random.default_rng(0).normal(size=(500, WIDTH))
        small, V = X[:90], np.random.default_rng(1).normal(size=(500, 3))
        found = {{}}
        for dtype in ("float32", "float64"):
            x = X.astype(dtype)
            results = [*EVERY_LAYER.kernels(x), *EVERY_LAYER.kernels(x, x[:70]), EVERY_LAYER.ntk.operator(x) @ V]
            results += [*EVERY_LAYER.ntk.value_and_gradient(small), EVERY_LAYER.nngp.vjp(small, small @ small.T)]
            found[dtype] = [hashlib.sha256(np.ascontiguousarray(r).tobytes()).hexdigest() for r in results]
        print(json.dumps(found))
    """
    one, two, seven = (json.loads(run(code, OMP_NUM_THREADS=threads)) for threads in ("1", "2", "7"))
    assert one == two == seven


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("right", [None, Y], ids=["symmetric", "with Y"])
def test_blocks(right: NDArray[Any] | None, dtype: str) -> None:
    """Blocks of the whole, also those across its diagonal."""
    x, y = X.astype(dtype), None if right is None else right.astype(dtype)
    whole = CLOSED.kernels(x, y, univariate=False)
    matrix = KernelMatrix(CLOSED.layers, x, y, "both", None)
    n, m = matrix.shape
    for rows, columns in [
        (slice(0, n), slice(0, m)),
        (slice(3, 200), slice(3, 100)),
        (slice(100, 300), slice(17, 130)),
        (slice(299, 302), slice(0, 10)),
        (slice(0, 10), slice(m - 7, m)),
    ]:
        shape = rows.stop - rows.start, columns.stop - columns.start
        outputs = [np.full(shape, np.nan, dtype) for _ in range(2)]
        matrix.write((rows, columns), outputs)
        for found, wanted in zip(outputs, whole, strict=True):
            np.testing.assert_array_equal(found, wanted[rows, columns])


@pytest.mark.parametrize("right", [None, Y], ids=["symmetric", "with Y"])
def test_files(tmp_path: Path, right: NDArray[Any] | None) -> None:
    """A memory map, a store that is resumed, and what is given."""
    wanted = CLOSED.ntk(X, right, univariate=False)
    out = np.memmap(tmp_path / "map", np.float64, "w+", shape=wanted.shape)
    CLOSED.ntk(X, right, out=out, max_memory=2**26)
    np.testing.assert_array_equal(out, wanted)
    kernel = fastntk.store.compute(CLOSED, X, tmp_path / "store", Y=right, chunk=130)
    np.testing.assert_array_equal(kernel[:], wanted)
    np.testing.assert_array_equal(fastntk.store.open(tmp_path / "store")[:], wanted)
    given = np.empty(wanted.shape)
    assert CLOSED.ntk(X, right, out=given, univariate=False) is given
    np.testing.assert_array_equal(given, wanted)


def test_dask() -> None:
    """Chunks of any size, and products with them."""
    da, fd = pytest.importorskip("dask.array"), pytest.importorskip("fastntk.dask")
    x = da.from_array(X, chunks=((300, 1, 399), WIDTH))
    np.testing.assert_array_equal(fd.ntk(CLOSED, x).compute(), CLOSED.ntk(X, univariate=False))
    y = da.from_array(Y, chunks=(50, WIDTH))
    np.testing.assert_array_equal(fd.nngp(CLOSED, x, y).compute(), CLOSED.nngp(X, Y, univariate=False))
    V = rng.normal(size=(len(X), 2))
    operator = fd.operator(CLOSED, x)
    np.testing.assert_allclose(operator @ V, CLOSED.ntk(X) @ V, rtol=1e-12, atol=1e-12 * np.abs(V).sum())
    K = CLOSED.ntk(X)
    np.testing.assert_allclose(operator.block([5, 3, 9], slice(0, 8)), K[[5, 3, 9], :8], rtol=1e-13)


def test_operator() -> None:
    """Its products, its diagonal, and entries of a sample with itself and with its copy, which dropout tells apart."""
    K = CLOSED.ntk(X)
    A = CLOSED.ntk.operator(X)
    V = rng.normal(size=(len(X), 3))
    np.testing.assert_allclose(A @ V, K @ V, rtol=1e-12, atol=1e-12 * np.abs(K).max())
    np.testing.assert_allclose(A.diagonal(), K.diagonal(), rtol=1e-14)
    rows, columns = np.array([3, 5, 9, 3]), np.array([5, 3, 3])
    assert K[3, 3] > 1.01 * K[3, 5]
    np.testing.assert_allclose(A.block(rows, columns), K[np.ix_(rows, columns)], rtol=1e-13)
    np.testing.assert_allclose(A.block(slice(2, 9), slice(4, 8)), K[2:9, 4:8], rtol=1e-13)
    B = CLOSED.ntk.operator(X, Y)
    np.testing.assert_allclose(B.T @ V, CLOSED.ntk(X, Y).T @ V, rtol=1e-12, atol=1e-12 * np.abs(K).max())


def test_prepared() -> None:
    """And rows that stay: equal rows are different samples."""
    prepared = EVERY_LAYER.ntk.prepare(Y)
    wanted = EVERY_LAYER.ntk(X, Y)
    np.testing.assert_allclose(prepared(X), wanted, rtol=1e-12)
    np.testing.assert_array_equal(np.concatenate([prepared(X[i : i + 9]) for i in range(0, len(X), 9)]), prepared(X))


@pytest.mark.parametrize("isa", _core.supported_instruction_sets())
def test_instruction_sets(isa: str) -> None:
    """Within rounding of one another."""
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        import numpy as np
        from tests.trees import EVERY_LAYER, WIDTH
        print(EVERY_LAYER.ntk(np.random.default_rng(0).normal(size=(60, WIDTH))).tobytes().hex())
    """
    found = np.frombuffer(bytes.fromhex(run(code, FASTNTK_ISA=isa))).reshape(60, 60)
    wanted = EVERY_LAYER.ntk(np.random.default_rng(0).normal(size=(60, WIDTH)))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


#: One function of the angle: residual nets without bias, and any network behind LayerNorm.
_ONE_VARIABLE: list[Callable[[], Sequential]] = [
    lambda: Sequential(Dense(1.3), *[Residual("relu", Dense(0.8))] * 4, Dense()),
    lambda: Sequential(Dense(1.3), LayerNorm(), *[Residual("erf", Dense(0.9))] * 4, LayerNorm(), "gelu", Dense()),
    lambda: Sequential(Dense(), "relu", LayerNorm(), Dense(1.2, 0.3), *[Residual("gelu", Dense(1.1))] * 3),
    lambda: Sequential(Dense(), *[Sum(Dense(0.5), Sequential("leaky_relu", Dense(1.2)))] * 4),
]


@pytest.mark.parametrize("make", _ONE_VARIABLE)
@pytest.mark.parametrize(("dtype", "error"), [("float64", 5e-15), ("float32", 5e-7)])
def test_univariate(make: Callable[[], Sequential], dtype: str, error: float) -> None:
    """A network that is a function of the angle alone is one polynomial, as exact as it is said to be."""
    net = make()
    x = np.random.default_rng(7).normal(size=(1100, 5)) * np.geomspace(0.1, 10, 1100)[:, None]
    x[1], x[2], x[3] = x[0], -x[0], x[0] + 1e-7 * x[1]
    x = x.astype(dtype)
    fitted, exact = net.kernels(x), net.kernels(x.astype(np.float64), univariate=False)
    for found, wanted in zip(fitted, exact, strict=True):
        scale = np.sqrt(np.outer(wanted.diagonal(), wanted.diagonal()))
        assert (np.abs(found - wanted) / scale).max() <= error
    assert not np.array_equal(fitted.ntk, net.ntk(x, univariate=False))  # it was used


def test_dropout_is_no_function_of_the_angle() -> None:
    """A sample and its copy are at the same angle."""
    net = Sequential(Dense(1.3), *[Sequential("relu", Dropout(0.2), Dense(1.4))] * 4)
    x = np.repeat(np.random.default_rng(7).normal(size=(550, 5)), 2, axis=0)
    K = net.nngp(x)
    np.testing.assert_array_equal(K, net.nngp(x, univariate=False))
    once = Sequential(Dense(1.3), "relu", Dropout(0.2), Dense(1.4)).nngp(x)
    np.testing.assert_allclose(once.diagonal() * 0.8, once[::2, 1::2].diagonal().repeat(2), rtol=1e-13)


def test_rows_of_zero() -> None:
    """A LayerNorm without eps has no direction for them, and says which."""
    x = X[:5].copy()
    x[3] = 0
    net = Sequential(Dense(), LayerNorm(), "relu", Dense())
    with pytest.raises(
        ValueError,
        match=r"row 3 of X is 0 where a LayerNorm divides by it: pass eps > 0, or have a bias of sigma_b > 0 .*\.$",
    ):
        net.ntk(x)
    with pytest.raises(ValueError, match="row 3 of Y is 0"):
        net.ntk(X[:5], x)
    assert np.isfinite(Sequential(Dense(), LayerNorm(eps=1e-5), "relu", Dense()).ntk(x)).all()
    standard = Sequential(Dense(1.0, parametrization="standard", bias=True), "relu", Dense())
    with pytest.raises(
        ValueError,
        match=r"row 3 of X is 0 where a bias or weights that begin at 0 are trained: pass sigma_b > 0\.$",
    ):
        standard.ntk(x)


def test_next_to_nothing_beside_the_mean() -> None:
    """Of exp at small variances: what is left is known to float64 for longer than to float32."""
    net = Sequential(Dense(), Activation("exp", a=0.5, b=0.7), LayerNorm(), Dense())
    x = 0.05 * X[:9]
    with pytest.raises(ValueError, match=r"nothing but rounding where a layer divides by it: scale .* up.*float64"):
        net.ntk(x, dtype="float32")
    q = 0.49 * x @ x.T / WIDTH
    wanted = np.expm1(q) / np.sqrt(np.outer(np.expm1(q.diagonal()), np.expm1(q.diagonal())))
    np.testing.assert_allclose(net.nngp(x), wanted, atol=2e-12)
    with pytest.raises(ValueError, match="nothing but rounding where"):
        net.ntk(0.01 * x)


@pytest.mark.parametrize(("layers", "side"), [(60, "beyond"), (60, "below")])
def test_out_of_range(layers: int, side: str) -> None:
    """Said before work starts, where float64 is too, and not where LayerNorm brings K back."""
    sigma = 1e6 if side == "beyond" else 1e-6
    block = Sum(Dense(sigma), Sequential("relu", Dense(sigma)))
    net = Sequential(Dense(), *[block] * layers)
    with pytest.raises(ValueError, match=f"{side} the range of float64"):
        net.ntk(X[:4])
    K = Sequential(net, LayerNorm(), "relu", Dense(2**0.5)).nngp(X[:4])
    np.testing.assert_allclose(K.diagonal(), 1, rtol=1e-14)


def test_units_that_contradict_the_features() -> None:
    """They are known with the samples only."""
    for layer in (
        Sum(fastntk.Identity(), Dense(width=64)),
        fastntk.Product(Dense(width=64), fastntk.Identity()),
        fastntk.Concat(fastntk.Identity(), Dense(width=64)),
    ):
        net = Sequential(layer, Dense(parametrization="standard"))
        with pytest.raises(
            ValueError, match=r"a branch ends with .* units where .* are needed|end with 64 and 16 units"
        ):
            net.ntk(X[:3])
        assert net.ntk(np.ones((2, 64))).shape == (2, 2)
    with pytest.raises(ValueError, match="needs the number of units"):
        Sequential(fastntk.Concat(fastntk.Identity(), Dense()), Dense(parametrization="standard")).ntk(X[:3])


SMALL_K_LARGE_THETA: list[tuple[Sequential, float]] = [
    (Sequential(Dense(width=512), "relu", Dense(1e-8, parametrization="standard"), "sigmoid", Dense()), 1.0),
    (Sequential(Dense(parametrization="standard", bias=True), "sigmoid", Dense()), 1e-6),
    (Sequential(Dense(parametrization="standard", bias=True), "hard_sigmoid", Dense()), 1e-12),
    (Sequential(Dense(parametrization="standard", bias=True), Activation("sin", c=0.3), Dense()), 1e-13),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("net", "scale"), SMALL_K_LARGE_THETA)
def test_small_variances_with_large_gradients(net: Sequential, scale: float, dtype: str) -> None:
    """Beyond what an activation follows they are refused, not wrong; the NNGP kernel is as it was."""
    x = (scale * X[:4]).astype(dtype)
    wanted = reference.ntk(net, x)
    try:
        found = net.ntk(x)
    except ValueError as error:
        assert "beyond the range" in str(error)  # noqa: PT017
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    np.testing.assert_allclose(net.nngp(x), reference.nngp(net, x), rtol=1e-5)


@pytest.mark.parametrize("activation", [Activation("cos", b=39.0), Activation("rbf", gamma=800.0)], ids=str)
def test_means_that_are_tiny_at_unit_variance(activation: Activation) -> None:
    """They are not 0 where the variance is small."""
    net = Sequential(Dense(), activation, LayerNorm(), Dense())
    np.testing.assert_allclose(net.nngp(0.02 * X[:5]), reference.nngp(net, 0.02 * X[:5]), atol=1e-11)


def test_slices_that_begin_with_a_norm() -> None:
    """What they get is not known as they are built."""
    branch = Residual(Dropout(0.1), LayerNorm(), Dense())
    assert np.isfinite(Sequential(Dense(), branch, Dense()).ntk(X[:3])).all()
    gate = fastntk.Product(fastntk.Identity(), Sequential(Dense(), "relu"))
    for layers in [(Dense(), "relu", Dropout(0.1), LayerNorm(), Dense()), (Dense(), gate, LayerNorm(), Dense())]:
        net = Sequential(*layers)
        for i in range(len(net)):
            with contextlib.suppress(ValueError):  # of kernels, where it is on the raw input
                net[i:].ntk(X[:3])
    with pytest.raises(ValueError, match="raw input"):
        Sequential(Dropout(0.1), LayerNorm(), Dense()).ntk(X[:3])


def test_directions_of_zero_rows_through_products() -> None:
    """Where branches come from different directions nothing is guessed."""
    parts = Sum(Dense(), Sequential("relu", Dense())), Sequential(Dense(), "step")
    net = Sequential(Dense(), fastntk.Product(*parts), Dense(), "step", Dense())
    x = X[:3].copy()
    x[1] = 0
    with pytest.raises(ValueError, match="row 1 of X"):
        net.nngp(x)


def test_what_is_left_of_tiny_variances() -> None:
    """Nothing, of rows of 0; too little to know, of others."""
    net = Sequential(Dense(), Activation("sin", c=0.4), LayerNorm(eps=0.1), Dense())
    with pytest.raises(ValueError, match="nothing but rounding"):
        net.nngp(1e-12 * X[:3])
    assert net.nngp(np.zeros((1, WIDTH)))[0, 0] == 0
