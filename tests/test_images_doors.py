"""Every door takes images and sequences: each against the kernel of the same network in memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small_images import FLAT, ROWS, SHAPE, TARGET, Kind, X, Y, kernel, rows

import fastntk
from fastntk import AvgPool, Conv, Dense, Dropout, Flatten, GlobalAvgPool, Residual, Sequential, solvers
from fastntk.inference import fit_marginal_likelihood, log_marginal_likelihood

each_kind = pytest.mark.parametrize("kind", ["nngp", "ntk"])


RNG = np.random.default_rng(1)
VECTOR = RNG.normal(size=(len(X), 2))

NETS = {
    "flat": FLAT,
    "pooled": Sequential(
        Conv(3, sigma_w=1.4, sigma_b=0.1), "relu", AvgPool(2), Conv(3), "relu", GlobalAvgPool(), Dense()
    ),
    "residual": Sequential(
        Conv(3), Residual("relu", Dropout(0.2), Conv(3, sigma_b=0.3)), "relu", Flatten(), Dense(1.1)
    ),
}
each_net = pytest.mark.parametrize("net", NETS.values(), ids=list(NETS))


def equal(found: Any, wanted: Any) -> None:
    """To the last bits: which of two formulas a pair of positions is computed by depends on those beside it."""
    np.testing.assert_allclose(found, wanted, rtol=2e-15, atol=1e-15)


def test_samples_are_what_they_are() -> None:
    """Rows with Reshape are the images; lists, integers, float32 and a single channel too."""
    K = FLAT.ntk(X)
    np.testing.assert_array_equal(ROWS.ntk(rows(X)), K)
    np.testing.assert_array_equal(ROWS.ntk(X), K)
    np.testing.assert_array_equal(FLAT.ntk(X.tolist()), K)
    np.testing.assert_array_equal(FLAT.ntk(np.asfortranarray(X)[::-1][::-1]), K)
    assert FLAT.ntk(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(FLAT.ntk(X.astype(np.float32)), K, rtol=1e-5, atol=1e-6)
    whole = np.round(X * 3).astype(np.int64)
    np.testing.assert_array_equal(FLAT.ntk(whole), FLAT.ntk(whole.astype(float)))
    assert (FLAT.ntk(X[:0]).shape, FLAT.ntk(X[:0], Y).shape) == ((0, 0), (0, 13))


@each_net
def test_calls(net: Sequential, tmp_path: Path) -> None:
    """Both in one pass, diag, out, a memory map, prepared rows, pickled."""
    both = net.kernels(X, univariate=False)
    for kind in ("nngp", "ntk"):
        one = getattr(net, kind)
        K = one(X, univariate=False)
        np.testing.assert_array_equal(getattr(both, kind), K)
        np.testing.assert_array_equal(K, K.T)
        np.testing.assert_allclose(one.diag(X), K.diagonal(), rtol=1e-13, atol=1e-14)
        cross = one(X, Y)
        out = np.empty_like(cross)
        assert one(X, Y, out=out) is out
        np.testing.assert_array_equal(out, cross)
        memory = np.memmap(tmp_path / kind, np.float64, "w+", shape=K.shape)
        one(X, out=memory)
        equal(memory, K)
        prepared = pickle.loads(pickle.dumps(one.prepare(X)))
        np.testing.assert_allclose(prepared(Y), cross.T, rtol=1e-12, atol=1e-13)


@each_kind
@each_net
def test_operator(net: Sequential, kind: Kind) -> None:
    """Its products, entries and diagonal, and a system solved with it."""
    K = kernel(net, kind, X)
    A = getattr(net, kind).operator(X)
    np.testing.assert_allclose(A @ VECTOR, K @ VECTOR, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(A.block([3, 9, 5], slice(2, 11)), K[[3, 9, 5], 2:11], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(A.diagonal(), K.diagonal(), rtol=1e-13)
    B = getattr(net, kind).operator(X, Y)
    np.testing.assert_allclose(B.T @ VECTOR, kernel(net, kind, X, Y).T @ VECTOR, rtol=1e-12, atol=1e-12)
    solution = solvers.pcg(A, TARGET, ridge=0.1, rtol=1e-10, rng=0)
    np.testing.assert_allclose(solution.x, np.linalg.solve(K + 0.1 * np.eye(40), TARGET), rtol=1e-6, atol=1e-7)


@each_kind
def test_nystrom(kind: Kind) -> None:
    """With all samples for landmarks it is the exact regression; of chunks, and with landmarks that are given."""
    K = kernel(FLAT, kind, X)
    keep = np.flatnonzero(K.diagonal() > 0)
    wanted = kernel(FLAT, kind, Y, X) @ np.linalg.solve(K + 0.1 * np.eye(40), TARGET)

    def chunks() -> Iterator[tuple[Any, Any]]:
        yield X[:17], TARGET[:17]
        yield X[17:], TARGET[17:]

    how: Any = {"kind": kind, "ridge": 0.1, "tol": 1e-10, "rng": 0}
    for model in (
        solvers.nystrom(FLAT, X, TARGET, landmarks=40, **how),
        solvers.nystrom(FLAT, chunks, landmarks=40, **how),
        solvers.nystrom(FLAT, X, TARGET, landmarks=X[keep], **how),
        solvers.nystrom(FLAT, X, TARGET, landmarks=40, choice="uniform", **how),
    ):
        assert model.landmarks.shape[1:] == SHAPE
        np.testing.assert_allclose(model.predict(Y), wanted, rtol=1e-5, atol=1e-6)
    of_rows = solvers.nystrom(ROWS, rows(X), TARGET, landmarks=40, **how)
    np.testing.assert_allclose(of_rows.predict(rows(Y)), wanted, rtol=1e-5, atol=1e-6)


def test_nystrom_refuses() -> None:
    """What does not suit, by its shape."""
    model = solvers.nystrom(FLAT, X, TARGET, landmarks=5, rng=0)
    with pytest.raises(ValueError, match=r"^X must have shape \(n, 6, 5, 2\), got \(13, 60\)"):
        model.predict(rows(Y))
    with pytest.raises(ValueError, match=r"^X has samples of shape \(60,\): layer 0, Conv.*vectors, without positions"):
        solvers.nystrom(FLAT, rows(X), TARGET, landmarks=5)
    with pytest.raises(
        ValueError, match=r"^landmarks have samples of shape \(6, 4, 2\) but X has some of .*\(6, 5, 2\)"
    ):
        solvers.nystrom(FLAT, X, TARGET, landmarks=X[:4, :, :4])
    with pytest.raises(ValueError, match=r"^landmarks has samples of shape \(60,\)"):
        solvers.nystrom(FLAT, X, TARGET, landmarks=rows(X[:4]))
    with pytest.raises(ValueError, match=r"^landmarks contains nan"):
        solvers.nystrom(FLAT, X, TARGET, landmarks=X[:4] * np.nan)


@each_kind
@each_net
def test_store(net: Sequential, kind: Kind, tmp_path: Path) -> None:
    """The same bits, gone on with after chunks were lost; of other images it is refused."""
    pytest.importorskip("zarr")
    from fastntk import store

    path = tmp_path / "K.zarr"
    K = np.asarray(store.compute(net, X, path, kind=kind, chunk=16))
    equal(K, kernel(net, kind, X))
    for name in ("0/1", "2/2"):
        (path / "c" / name).unlink()
    np.testing.assert_array_equal(np.asarray(store.compute(net, X, path, kind=kind)), K)
    again = store.open(path)
    assert again.network == net
    assert again.is_of(X)
    assert not again.is_of(X[:, ::-1])
    assert store.about(path)["data"]["X"]["shape"] == [40, *SHAPE]
    with pytest.raises(ValueError, match="X had other values"):
        store.compute(net, X[:, ::-1], path, kind=kind)
    with pytest.raises(ValueError, match=r"the shape of X was \[40, 6, 5, 2\], not \[40, 5, 6, 2\]"):
        store.compute(net, X.swapaxes(1, 2), path, kind=kind)
    other = store.compute(net, X, tmp_path / "half", kind=kind, half=True, chunk=10)
    equal(other[10:30, 5], K[10:30, 5])
    cross = store.compute(net, X, tmp_path / "cross", Y, kind=kind, chunk=20)
    equal(np.asarray(cross), kernel(net, kind, X, Y))


@each_net
def test_dask(net: Sequential) -> None:
    """The same kernel whatever the chunks, of positions too; products; regression over landmarks."""
    pytest.importorskip("dask")
    import dask.array as da

    import fastntk.dask as fd

    lazy, other = da.from_array(X, chunks=(17, 3, 5, 1)), da.from_array(Y, chunks=(5, 6, 2, 2))
    assert fd.ntk(net, lazy).chunks == ((17, 17, 6), (17, 17, 6))
    for kind, found in zip(("nngp", "ntk"), fd.kernels(net, lazy), strict=True):
        equal(np.asarray(found), kernel(net, kind, X))  # type: ignore[arg-type]
    equal(fd.nngp(net, lazy, other).compute(), kernel(net, "nngp", X, Y))
    A = fd.operator(net, lazy)
    np.testing.assert_allclose(A @ VECTOR, kernel(net, "ntk", X) @ VECTOR, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(A.diagonal(), net.ntk.diag(X), rtol=1e-13)
    np.testing.assert_allclose(A.block([3, 20], [0, 39]), kernel(net, "ntk", X)[[3, 20]][:, [0, 39]], rtol=1e-12)
    how: Any = {"landmarks": 10, "ridge": 0.1, "rng": 0}
    model = fd.nystrom(net, lazy, da.from_array(TARGET, chunks=11), **how)
    np.testing.assert_allclose(model.predict(Y), solvers.nystrom(net, X, TARGET, **how).predict(Y), rtol=1e-9)


def test_dask_refuses() -> None:
    """As the kernel in memory does, before anything is computed."""
    pytest.importorskip("dask")
    import dask.array as da

    import fastntk.dask as fd

    net = fastntk.cnn(1)
    with pytest.raises(ValueError, match=r"^X has samples of shape \(6, 5\): layer 0, .* needs X\[..., None\]"):
        fd.ntk(net, da.from_array(X[..., 0]))
    with pytest.raises(ValueError, match=r"^the network ends with 6 x 5 positions"):
        fd.ntk(net[:2], da.from_array(X))
    with pytest.raises(ValueError, match="Y"):
        fd.ntk(net, da.from_array(X), da.from_array(Y[:, :5]))


def test_gradients() -> None:
    """In all sigmas, against differences; contracted with weights."""
    net = FLAT
    gradient = net.ntk.gradient(X[:6])
    values = np.array([parameter.value for parameter in net.parameters])
    for i, slope in enumerate(gradient):
        ends = [net.with_parameters(values + step * (np.arange(len(values)) == i)).ntk(X[:6]) for step in (1e-5, -1e-5)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-7)
    weights = RNG.normal(size=(6, 6))
    error = net.ntk.vjp(X[:6], weights) - (gradient * weights).sum(axis=(1, 2))
    assert (np.abs(error) <= 1e-11 * np.abs(gradient * weights).sum(axis=(1, 2))).all()


@each_kind
def test_fit(kind: Kind) -> None:
    """The likelihood it says is that of the network it gives; of rows it is the same fit."""
    fit = fit_marginal_likelihood(FLAT, X, TARGET, kind=kind, noise=0.1, sigma_b_bounds="fixed")
    K = kernel(fit.network, kind, X)
    value = log_marginal_likelihood(K, TARGET, noise=fit.noise)
    np.testing.assert_allclose(fit.log_marginal_likelihood, value, rtol=1e-8)
    assert fit.converged
    before = log_marginal_likelihood(kernel(FLAT, kind, X), TARGET, noise=0.1)
    assert fit.log_marginal_likelihood > before
    of_rows = fit_marginal_likelihood(ROWS, rows(X), TARGET, kind=kind, noise=0.1, sigma_b_bounds="fixed")
    np.testing.assert_allclose(of_rows.log_marginal_likelihood, fit.log_marginal_likelihood, rtol=1e-10)
    with pytest.raises(ValueError, match=r"^X has samples of shape \(60,\)"):
        fit_marginal_likelihood(FLAT, rows(X), TARGET)
