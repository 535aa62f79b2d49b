"""A kernel on disk as an array and as a linear operator: for pcg, SciPy and Dask, whole and half, square and not."""

from __future__ import annotations

import os
import pickle
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as sparse
from numpy.typing import NDArray

import fastntk
from fastntk import store
from fastntk.solvers import pcg

pytest.importorskip("zarr")

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(230, 4)), rng.normal(size=(90, 4))
NET = fastntk.mlp(2, "erf", 1.5, 0.3)
FORMS = ["whole", "half", "with Y"]


@pytest.fixture(scope="module", params=[(form, dtype) for form in FORMS for dtype in ("float32", "float64")], ids=str)
def both(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, NDArray[Any]]:
    """A stored kernel, in chunks that do not divide it, and the same in memory."""
    form, dtype = request.param
    right = Y if form == "with Y" else None
    path = tmp_path_factory.mktemp("store") / "K"
    store.compute(NET, X, path, right, dtype=dtype, chunk=60, half=form == "half")
    return store.open(path), NET.ntk(X, right, dtype=dtype, univariate=False)


def test_indexing(both: tuple[Any, NDArray[Any]]) -> None:
    """Is NumPy's, for whatever reads one axis at a time."""
    stored, K = both
    some = np.array([5, 70, 5, -1, 0])
    keys: list[Any] = [
        3, -1, np.int32(7), slice(None), slice(10, 130), slice(None, None, 7), slice(200, 20, -3), slice(5, 5), some,
        [1, 2, 3], [], np.arange(len(K)) % 3 == 0, ...,
    ]  # fmt: skip
    columns: list[Any] = [2, -3, slice(None), slice(50, 70), slice(80, None, -9), np.array([60, 1, 59]), ...]
    for key in (*keys, *((a, b) for a in keys for b in columns)):
        arrays = sum(isinstance(part, (list, np.ndarray)) for part in key) if isinstance(key, tuple) else 0
        if arrays == 2 or (isinstance(key, tuple) and key[0] is ... is key[1]):
            continue
        found = stored[key]
        np.testing.assert_array_equal(found, K[key], strict=True, err_msg=str(key))
    np.testing.assert_array_equal(stored.block(some, some[:2]), K[np.ix_(some, some[:2])])
    assert (stored.shape, stored.ndim, stored.dtype, len(stored), stored.chunks) == (K.shape, 2, K.dtype, 230, (60, 60))


def test_wrong_indices(both: tuple[Any, NDArray[Any]]) -> None:
    """One sentence."""
    stored, _ = both
    for key, error, sentence in (
        (230, IndexError, r"^index 230 is out of bounds for an axis of 230\."),
        ((0, -91 if stored.shape[1] == 90 else -231), IndexError, r"is out of bounds"),
        (([1], [2]), TypeError, r"^to read rows and columns of given numbers use stored\.block"),
        ((0, 0, 0), IndexError, r"^a stored kernel has two axes, got 3 indices"),
        (1.5, TypeError, r"^index a stored kernel with integers"),
        (True, TypeError, r"^index a stored kernel with integers"),
        (None, TypeError, r"^index a stored kernel with integers"),
        ("a", TypeError, r"^an index must hold real numbers"),
    ):
        with pytest.raises(error, match=sentence):
            stored[key]


def test_products(both: tuple[Any, NDArray[Any]]) -> None:
    """From both sides, of one vector and of many, in float64."""
    stored, K = both
    wide = K.astype(np.float64)
    v, u = rng.normal(size=(K.shape[1], 3)), rng.normal(size=(K.shape[0], 3))
    for found, wanted in (
        (stored @ v, wide @ v), (stored.T @ u, wide.T @ u), (stored @ v[:, 0], wide @ v[:, 0]),
        (stored.rmatvec(u[:, 0]), wide.T @ u[:, 0]), (u.T @ stored, u.T @ wide), ((2 * stored) @ v, 2 * wide @ v),
    ):  # fmt: skip
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13 * np.abs(wide).sum())
    with pytest.raises(ValueError, match=r"NaN or infinite entries"):
        stored @ np.full(K.shape[1], np.nan)


def test_diagonal_network_and_copies(both: tuple[Any, NDArray[Any]]) -> None:
    """What it is of, and a pickle of it."""
    stored, K = both
    if stored.symmetric:
        np.testing.assert_array_equal(stored.diagonal(), K.diagonal().astype(np.float64))
    else:
        with pytest.raises(ValueError, match=r"^the diagonal is that of a kernel of X with itself"):
            stored.diagonal()
    assert (stored.network, stored.kind) == (NET, "ntk")
    assert stored.is_of(X)
    assert not stored.is_of(X + 1e-9)
    again = pickle.loads(pickle.dumps(stored))
    np.testing.assert_array_equal(again, K)
    assert repr(again) == repr(stored)


def test_solvers(both: tuple[Any, NDArray[Any]]) -> None:
    """Fastntk's pcg with its preconditioner, the same as on the matrix; SciPy's cg and eigsh."""
    stored, K = both
    if not stored.symmetric:
        with pytest.raises(ValueError, match=r"^A must be square and not empty"):
            pcg(stored, X[:, 0])
        return
    b = np.sin(X[:, :2])
    of_disk, of_matrix = (pcg(A, b, ridge=0.01, rank=40, rtol=1e-10, rng=1) for A in (stored, K))
    assert of_disk.converged
    np.testing.assert_array_equal(of_disk.pivots, of_matrix.pivots)
    np.testing.assert_allclose(K.astype(np.float64) @ of_disk.x + 0.01 * of_disk.x, b, atol=1e-8)
    found, flag = sparse.cg(stored + 0.01 * sparse.aslinearoperator(np.eye(230)), b[:, 0], rtol=1e-10)
    assert flag == 0
    np.testing.assert_allclose(found, of_disk.x[:, 0], atol=1e-4)
    largest = sparse.eigsh(stored, 3, v0=np.ones(230), return_eigenvectors=False)
    np.testing.assert_allclose(largest, np.linalg.eigvalsh(K)[-3:], rtol=1e-5 if K.dtype == np.float32 else 1e-10)


def test_dask(both: tuple[Any, NDArray[Any]]) -> None:
    """Lazily, in its own chunks or others, with whatever Dask fuses into the reading of it."""
    da = pytest.importorskip("dask.array")
    stored, K = both
    lazy = da.from_array(stored, chunks=stored.chunks)
    assert (lazy.shape, lazy.dtype) == (K.shape, K.dtype)
    assert lazy.name == da.from_array(pickle.loads(pickle.dumps(stored)), chunks=stored.chunks).name
    for key in np.s_[:, :], np.s_[::3, 5:], np.s_[[4, 99, 7]], np.s_[:, 8], np.s_[130, ::-2]:
        np.testing.assert_array_equal(lazy[key].compute(scheduler="threads"), K[key])
    np.testing.assert_allclose(da.from_array(stored, chunks=100).sum().compute(scheduler="threads"), K.sum(), rtol=1e-5)


def test_bounded_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product reads every stored chunk once, the diagonal those on it, a block those that it needs."""
    stored = store.compute(NET, X, tmp_path / "K", chunk=60, half=True)
    read, seen = np.fromfile, []

    def counting(path: Path, *how: Any) -> NDArray[Any]:
        seen.append(path)
        return np.asarray(read(path, *how))

    monkeypatch.setattr(np, "fromfile", counting)
    for use, count in (
        (lambda: stored @ np.ones((230, 5)), 10),
        (stored.diagonal, 4),
        (lambda: stored[70:110, 5], 1),
        (lambda: stored.block([0, 59, 200], [229, 181]), 2),
    ):
        seen.clear()
        use()
        assert len(seen) == len(set(seen)) == count


def test_nothing(tmp_path: Path) -> None:
    """No rows at all."""
    stored = store.compute(NET, X[:0], tmp_path / "K", Y)
    assert np.asarray(stored).shape == (*stored[:, 3:5].shape[:1], 90) == (0, 90)
    np.testing.assert_array_equal(stored.T @ np.ones(0), np.zeros(90))
    assert (stored @ np.ones(90)).shape == (0,)


LAYERS = [
    fastntk.Activation("leaky_relu", alpha=0.1), fastntk.Activation("polynomial", coefficients=(0.5, 0.0, 1.0)),
    fastntk.Activation("tanh", tolerance=1e-7), fastntk.Activation("erf", method="quadrature", nodes=20),
    fastntk.Activation.piecewise_linear([-1, 1], [0, 1, 0]), fastntk.Activation("hermite", degree=3),
    fastntk.Dense(trainable=False), fastntk.Dense(1 / 3, 1e-300),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_networks_come_back(tmp_path: Path, layer: Any) -> None:
    """Every kind of layer, to the last bit of its parameters."""
    net = fastntk.Sequential(fastntk.Dense(1.1, 0.7), layer, fastntk.Dense())
    assert store.compute(net, X[:5], tmp_path / "K").network == net
    assert store.open(tmp_path / "K").network == net


def test_another_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel is of the folder that was opened, wherever the process goes: entries, copies, Dask's names."""
    for name, factor in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        made = store.compute(NET, factor * X[:20], "K.zarr")
        np.testing.assert_array_equal(np.asarray(made), NET.ntk(factor * X[:20], univariate=False))
    monkeypatch.chdir(tmp_path / "a")
    wanted, opened = NET.ntk(X[:20], univariate=False), store.open("K.zarr")
    token, saved = opened.__dask_tokenize__(), pickle.dumps(opened)
    monkeypatch.chdir(tmp_path / "b")
    for kernel in (opened, pickle.loads(saved), pickle.loads(pickle.dumps(opened))):
        np.testing.assert_array_equal(np.asarray(kernel), wanted)
        np.testing.assert_array_equal(kernel @ np.eye(20)[0], wanted[0])
        assert kernel.__dask_tokenize__() == token


def move(to: Path, done: float) -> None:
    """To another folder, however much is done."""
    del done
    os.chdir(to)


def test_moving_while_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback goes to another folder, with a store of that name or without: the first one is made, and unlocked."""
    for name in ("a", "b", "nowhere"):
        (tmp_path / name).mkdir()
    store.compute(NET, 2 * X[:20], tmp_path / "b/K.zarr")
    for to in ("b", "nowhere"):
        monkeypatch.chdir(tmp_path / "a")
        shutil.rmtree("K.zarr", ignore_errors=True)
        made = store.compute(NET, X[:20], "K.zarr", chunk=7, progress=partial(move, tmp_path / to))
        np.testing.assert_array_equal(np.asarray(made), NET.ntk(X[:20], univariate=False))
        assert sorted(os.listdir(tmp_path / "a/K.zarr")) == ["c", "zarr.json"]
