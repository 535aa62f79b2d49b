"""Dask: the bits of one process, whatever the chunks and wherever they are computed."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastntk

pytest.importorskip("dask")
pytest.importorskip("distributed")
import dask
import dask.array as da
from dask.base import tokenize
from distributed import Client, LocalCluster

import fastntk.dask as fd

rng = np.random.default_rng(0)
X = rng.normal(size=(2100, 7)).astype(np.float32)
X[5], X[77], X[1500:1600] = 0, X[3], X[1500:1600] / np.linalg.norm(X[1500:1600], axis=1, keepdims=True)
Y = rng.normal(size=(500, 7))
TARGET = np.stack((np.sin(X[:, 0]), X[:, 1] * X[:, 2]), axis=1)
DX, DY = da.from_array(X, chunks=(700, 4)), da.from_array(Y, chunks=(300, 7))
NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A cluster of two worker processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


@pytest.mark.parametrize("chunks", [2100, 700, (1, 1099, 1000), 333])
@pytest.mark.parametrize("net", [NET, fastntk.mlp(2, "erf", 1.5, 0.3), fastntk.mlp(2, "relu")], ids=str)
def test_same_bits_as_in_memory(net: fastntk.Sequential, chunks: Any) -> None:
    """Of both kernels, with zero rows, duplicates, and a chunk of unit rows."""
    found = dask.compute(*fd.kernels(net, da.from_array(X, chunks=(chunks, 7))))
    for kernel, wanted in zip(found, net.kernels(X, univariate=False), strict=True):
        assert kernel.dtype == np.float32
        np.testing.assert_array_equal(kernel, wanted)


def test_of_empty_chunks() -> None:
    """And of no rows at all."""
    lazy = fd.ntk(NET, da.concatenate([DX[:0], DX[:30], DX[:0], DX[30:50]]))
    np.testing.assert_array_equal(lazy.compute(), NET.ntk(X[:50], univariate=False))
    assert fd.ntk(NET, DX[:0]).compute().shape == (0, 0)


def test_functions_are_told_apart() -> None:
    """By what they do: two lambdas, and two closures of one function, are different networks."""

    def power(p: float) -> fastntk.Sequential:
        return fastntk.mlp(1, lambda z: np.tanh(p * z))

    kernels = [fd.ntk(net, DX[:20]) for net in (power(1.0), power(2.0))]
    assert len({kernel.name for kernel in kernels}) == 2
    assert not np.allclose(*dask.compute(*kernels))


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_of_two_arrays(dtype: Any) -> None:
    """Chunks are those of the arguments; precision as in memory."""
    lazy = fd.ntk(NET, DX, DY, dtype=dtype)
    wanted = NET.ntk(X, Y, univariate=False, dtype=dtype)
    assert (lazy.chunks, lazy.dtype) == (((700,) * 3, (300, 200)), wanted.dtype)
    np.testing.assert_array_equal(lazy.compute(), wanted)
    np.testing.assert_array_equal(lazy[650:750, 290:310].compute(), wanted[650:750, 290:310])


def test_expansions_are_within_their_tolerance() -> None:
    """A block has the terms that its own samples need."""
    net = fastntk.mlp(2, "tanh", 1.5, 0.3)
    wanted = net.nngp(X.astype(np.float64), univariate=False)
    found = fd.nngp(net, DX.astype(np.float64)).compute()
    np.testing.assert_allclose(found, wanted, atol=1e-9 * wanted.diagonal().max())


def test_half_the_blocks() -> None:
    """A symmetric kernel of three chunks of rows is made of six blocks."""
    tasks = map(str, fd.ntk(NET, DX).__dask_graph__().to_dict())
    blocks = [task for task in tasks if re.fullmatch(r"\('fastntk-[0-9a-f]{32}', \d, \d\)", task)]
    assert len(blocks) == 6


def test_products() -> None:
    """Those of the operator in memory, of symmetric kernels and of others, and by conjugate gradients."""
    v, w = rng.normal(size=(2100, 2)), rng.normal(size=500)
    ours, wanted = fd.operator(NET, DX, ridge=0.1), NET.ntk.operator(X, ridge=0.1)
    np.testing.assert_allclose(ours @ v, wanted @ v, rtol=1e-13, atol=1e-12)
    np.testing.assert_array_equal(ours.diagonal(), wanted.diagonal())
    ours, wanted = fd.operator(NET, DX, DY, kind="nngp"), NET.nngp.operator(X, Y)
    np.testing.assert_allclose(ours @ w, wanted @ w, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(ours.T @ v, wanted.T @ v, rtol=1e-13, atol=1e-12)
    solution = fastntk.solvers.pcg(fd.operator(NET, DX), v, ridge=0.5, rank=100, rng=0, rtol=1e-8)
    np.testing.assert_allclose(NET.ntk.operator(X) @ solution.x + 0.5 * solution.x, v, atol=1e-6)


@pytest.mark.parametrize("persist", [False, True])
def test_nystrom_on_a_cluster(client: Client, persist: bool) -> None:  # noqa: ARG001
    """The same bits as in one process, of landmarks and coefficients."""
    options: dict[str, Any] = {"landmarks": 60, "rng": 1, "ridge": 1e-2}
    ours = fd.nystrom(NET, DX, TARGET, **options, persist=persist)
    wanted = fastntk.solvers.nystrom(NET, X, TARGET, **options)
    np.testing.assert_array_equal(ours.landmarks, wanted.landmarks)
    np.testing.assert_array_equal(ours.coefficients, wanted.coefficients)


def test_sums_of_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree of tasks has the order of one process."""
    for module in (sys.modules[fd.nystrom.__module__], sys.modules["fastntk.solvers.nystrom"]):
        monkeypatch.setattr(module, "rows_of_a_chunk", lambda *_: 190)
    options: dict[str, Any] = {"landmarks": 60, "rng": 1, "ridge": 1e-2}
    ours, wanted = fd.nystrom(NET, DX, TARGET, **options), fastntk.solvers.nystrom(NET, X, TARGET, **options)
    np.testing.assert_array_equal(ours.coefficients, wanted.coefficients)


def test_a_worker_is_killed(client: Client) -> None:
    """Its blocks are computed again by others."""
    future = client.compute(fd.ntk(NET, da.from_array(X, chunks=(100, 7))))
    while not any(client.processing().values()):
        pass
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    np.testing.assert_array_equal(future.result(), NET.ntk(X, univariate=False))


def test_names_are_deterministic() -> None:
    """The same network and data have the same name, others another one."""
    assert fd.ntk(NET, DX).name == fd.ntk(fastntk.mlp(3, "relu", 2**0.5, 0.1), DX).name
    others = [fd.ntk(NET[:-1], DX), fd.nngp(NET, DX), fd.ntk(NET, DX, DX), fd.ntk(NET, DX, dtype="float64")]
    assert len({array.name for array in [fd.ntk(NET, DX), *others]}) == 5
    assert tokenize(fastntk.mlp(1, np.tanh)) == tokenize(fastntk.mlp(1, np.tanh)) != tokenize(fastntk.mlp(1, np.sin))


def test_bad_input() -> None:
    """One sentence each, and the number of a row in the whole."""
    with pytest.raises(TypeError, match=r"X must be a Dask array, got ndarray"):
        fd.ntk(NET, X)
    with pytest.raises(ValueError, match="7 features but Y has 6"):
        fd.ntk(NET, DX, DY[:, 1:])
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        fd.ntk(NET, DX[DX[:, 0] > 0])
    with pytest.raises(ValueError, match=r"^X must have shape \(n, d\), got \(2100,\)"):
        fd.ntk(NET, DX[:, 0])
    with pytest.raises(ValueError, match="there are no rows to fit"):
        fd.nystrom(NET, DX[:0], TARGET[:0])
    with pytest.raises(TypeError, match="net must be a Sequential"):
        fd.ntk("relu", DX)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind must be"):
        fd.operator(NET, DX, kind="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"y must have shape \(2100,\)"):
        fd.nystrom(NET, DX, TARGET[1:])
    for target in (da.from_array(TARGET, chunks=(500, 1)), TARGET):
        with pytest.raises(ValueError, match=r"^y contains nan \(first at \(1234, 1\)\)"):
            fd.nystrom(NET, DX, np.where(np.arange(2100)[:, None] == [-1, 1234], np.nan, target), landmarks=20)
    bad = X.copy()
    bad[1234, 2] = np.nan
    for run in (
        fd.ntk(NET, da.from_array(bad, chunks=(700, 7))).compute,
        lambda: fd.nystrom(NET, da.from_array(bad), TARGET),
    ):
        with pytest.raises(ValueError, match="row 1234, column 2"):
            run()
    huge = X.astype(np.float32)
    huge[1800] = 1e30
    with pytest.raises(ValueError, match=r"row 1800 of X .* beyond the range of float32"):
        fd.ntk(NET, da.from_array(huge, chunks=(700, 7))).compute()
    with pytest.raises(ValueError, match=r"row 1800 of Y .* beyond the range of float32"):
        fd.ntk(NET, DX, da.from_array(huge, chunks=(700, 7))).compute()
