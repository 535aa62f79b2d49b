"""Kernels as linear operators: their products, and SciPy's own algorithms on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as sparse
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import fastntk

NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)
rng = np.random.default_rng(0)
X = rng.normal(size=(700, 7))
X[5], X[77], X[300] = 0, X[3], -X[4]
Y = rng.normal(size=(430, 7))

NETS = [
    NET,
    fastntk.mlp(2, "erf", 1.5, 0.3),
    fastntk.mlp(2, "tanh", 1.5, 0.3),
    fastntk.mlp(1, "abs"),
    fastntk.Sequential(fastntk.Dense(1.4), fastntk.Activation("relu"), fastntk.Dense(1.2, 0.1, trainable=False)),
]


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("net", NETS, ids=str)
@pytest.mark.parametrize("right", [None, Y], ids=["square", "with Y"])
def test_products(net: fastntk.Sequential, right: NDArray[Any] | None, kind: Any) -> None:
    """With one vector and with many, from both sides, are those of the stored kernel."""
    stored = getattr(net, kind)(X, right, univariate=False)
    A = getattr(net, kind).operator(X, right)
    assert isinstance(A, sparse.LinearOperator)
    assert (A.shape, A.dtype) == (stored.shape, np.float64)
    size = np.abs(stored).sum()
    for vectors in (1, 2, 7, 40):
        v, u = rng.normal(size=(A.shape[1], vectors)), rng.normal(size=(A.shape[0], vectors))
        for found, wanted in (
            (A @ v, stored @ v),
            (A.T @ u, stored.T @ u),
            (A.matvec(v[:, 0]), stored @ v[:, 0]),
            (A.rmatvec(u[:, 0]), stored.T @ u[:, 0]),
            (A.H @ u, stored.T @ u),
        ):
            assert found.shape == wanted.shape
            assert np.abs(found - wanted).max() <= 1e-15 * size


def test_float32() -> None:
    """Entries are rounded to float32, sums of them are not: 1e5 equal ones are exact."""
    x = np.ones((100_000, 1), np.float32)
    A = NET.ntk.operator(x[:64], x)
    entry = float(NET.ntk(x[:1])[0, 0])
    assert A.kernel_dtype == np.float32
    np.testing.assert_allclose(A @ np.ones(100_000), 1e5 * entry, rtol=1e-13)
    stored = NET.ntk(X, Y, dtype="float32", univariate=False).astype(np.float64)
    v = rng.normal(size=430)
    np.testing.assert_allclose(NET.ntk.operator(X, Y, dtype="float32") @ v, stored @ v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("right", [None, Y], ids=["square", "with Y"])
def test_the_same_bits_every_time(right: NDArray[Any] | None) -> None:
    """And for any number of threads, of which each adds up its own tiles."""
    A = NET.ntk.operator(X, right)
    v, u = rng.normal(size=(A.shape[1], 3)), rng.normal(size=(A.shape[0], 3))
    found = []
    for threads in (1, 2, 3, 1, 2):
        with threadpool_limits(threads, user_api="openmp"):
            found.append((A @ v, A.T @ u))
    for one, other in found[1:]:
        np.testing.assert_allclose(one, found[0][0], rtol=1e-13, atol=1e-14 * np.abs(found[0][0]).max())
        np.testing.assert_allclose(other, found[0][1], rtol=1e-13, atol=1e-14 * np.abs(found[0][1]).max())
    for i, j in ((0, 3), (1, 4)):
        np.testing.assert_array_equal(found[i][0], found[j][0])
        np.testing.assert_array_equal(found[i][1], found[j][1])


def test_ridge_diagonal_block() -> None:
    """Parts of K + ridge I."""
    A, stored = NET.ntk.operator(X, ridge=0.5), NET.ntk(X)
    v = rng.normal(size=700)
    size = np.abs(stored) @ np.abs(v)  # of the terms, whose sum may be near zero
    assert np.all(np.abs(A @ v - stored @ v - 0.5 * v) <= 1e-13 * size)
    np.testing.assert_allclose(A.diagonal(), stored.diagonal() + 0.5, rtol=1e-15)
    rows, columns = [3, 699, 0], [5, 3]
    np.testing.assert_allclose(A.block(rows, columns), stored[np.ix_(rows, columns)], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(
        NET.ntk.operator(X, Y).block(slice(5, 9), [4]), NET.ntk(X, Y)[5:9, 4:5], rtol=1e-13, atol=1e-14
    )


def test_scipy() -> None:
    """Its conjugate gradients, largest eigenvalues, and singular values."""
    stored = NET.ntk(X)
    A = NET.ntk.operator(X, ridge=1.0)
    b = rng.normal(size=700)
    found, code = sparse.cg(A, b, rtol=1e-10)
    assert code == 0
    np.testing.assert_allclose(found, np.linalg.solve(stored + np.eye(700), b), atol=1e-8)
    start = np.ones(430)
    np.testing.assert_allclose(
        sparse.eigsh(A, 4, v0=np.ones(700), return_eigenvectors=False), np.linalg.eigvalsh(stored)[-4:] + 1, rtol=1e-10
    )
    np.testing.assert_allclose(
        np.sort(sparse.svds(NET.ntk.operator(X, Y), 3, v0=start, return_singular_vectors=False)),
        np.linalg.svd(NET.ntk(X, Y), compute_uv=False)[2::-1],
        rtol=1e-10,
    )


def test_extreme_norms() -> None:
    """Rows from 1e-140 to 1e140: every entry of a product is that of the stored kernel."""
    scales = 10.0 ** np.linspace(-140, 140, 29)
    x = scales[:, None] * rng.normal(size=(29, 5))
    net = fastntk.mlp(3, "relu", 2**0.5)
    stored = net.ntk(x, univariate=False)
    for i in range(29):
        np.testing.assert_allclose(net.ntk.operator(x) @ np.eye(29)[i], stored[:, i], rtol=1e-15)


def test_empty() -> None:
    """No rows, or no vectors."""
    assert (NET.ntk.operator(X[:0], Y) @ np.ones(430)).shape == (0,)
    np.testing.assert_array_equal(NET.ntk.operator(X, Y[:0]) @ np.ones(0), np.zeros(700))
    assert (NET.ntk.operator(X) @ np.ones((700, 0))).shape == (700, 0)
    assert (NET.ntk.operator(X[:0]) @ np.ones(0)).shape == (0,)


def test_progress() -> None:
    """Of every product, up to 1."""
    seen: list[float] = []
    A = NET.ntk.operator(np.tile(X, (4, 1)), progress=seen.append)
    A @ np.ones(2800)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: NET.ntk.operator(X, ridge=-1.0), ValueError, r"^ridge must be >= 0, and 0 with Y, got -1\.0"),
    (lambda: NET.ntk.operator(X, Y, ridge=1.0), ValueError, r"^ridge must be >= 0, and 0 with Y, got 1\.0"),
    (lambda: NET.ntk.operator(X, ridge=np.nan), ValueError, r"^ridge must be"),
    (lambda: NET.ntk.operator(X, Y[:, :3]), ValueError, r"features"),
    (lambda: NET.ntk.operator(X, progress="yes"), TypeError, r"^progress must be"),  # type: ignore[arg-type]
    (lambda: NET.ntk.operator(X, Y).diagonal(), ValueError, r"^the diagonal is that of a kernel of X with itself"),
    (lambda: NET.ntk.operator(X) @ np.full(700, np.nan), ValueError, r"^a vector to multiply with has NaN"),
    (lambda: NET.ntk.operator(X) @ np.full(700, 1j), TypeError, r"^a kernel is multiplied with real vectors"),
    (lambda: NET.ntk.operator(X) @ np.ones(699), ValueError, r"dimension|shape"),
    (lambda: NET.ntk.operator(np.where(X[431, 2] == X, np.nan, X)), ValueError, r"^X contains nan \(first in row 431"),
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD, ids=[sentence[:25] for _, _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(error, match=sentence):
        call()
