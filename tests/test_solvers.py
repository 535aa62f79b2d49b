"""Linear systems of kernels: in place, by conjugate gradients; against NumPy's solution in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

import fastntk
from fastntk._machine import factor
from fastntk.solvers import ConvergenceWarning, cholesky, pcg, random_pivots

NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)
rng = np.random.default_rng(0)
X = rng.normal(size=(600, 5))
Y = np.stack((np.sin(X[:, 0]), X[:, 1] * X[:, 2], rng.normal(size=600)), axis=1)
K = NET.ntk(X)
RIDGE = 1e-2


def exact(matrix: NDArray[Any], b: NDArray[Any], ridge: float = RIDGE) -> NDArray[np.float64]:
    """NumPy's solution in float64."""
    return np.linalg.solve(np.asarray(matrix, np.float64) + ridge * np.eye(len(matrix)), b)


# Cholesky in place


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("b", [Y, Y[:, 0]], ids=["three", "one"])
def test_cholesky(dtype: Any, order: Any, b: NDArray[Any]) -> None:
    """A float32 factor gives the float64 solution of the float32 matrix, in the memory of the matrix."""
    stored = np.array(K, dtype, order=order)
    address = stored.ctypes.data
    wanted = exact(stored, b)
    log_determinant = np.linalg.slogdet(stored.astype(np.float64) + RIDGE * np.eye(600))[1]
    solution = cholesky(stored, b, ridge=RIDGE, refine=5)
    assert solution.x.shape == b.shape
    assert stored.ctypes.data == address
    np.testing.assert_allclose(solution.x, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())
    assert solution.residuals[-1].max() < 1e-11
    assert solution.log_determinant == pytest.approx(log_determinant, rel=1e-12 if dtype == np.float64 else 1e-5)
    one_half = np.tril(stored, -1), np.triu(stored, 1).T
    assert any(np.array_equal(half, np.tril(K.astype(dtype), -1)) for half in one_half)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cholesky_in_blocks(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of more than 2,048 rows."""
    monkeypatch.setattr(factor, "_BLOCK", 130)
    test_cholesky(dtype, "C", Y)


def test_refinement_of_each_column() -> None:
    """Goes on while it helps any: of one that is zero, or beside others, x is as good as alone."""
    b = Y * [0.0, 1.0, 1e-3]
    together = cholesky(K.astype(np.float32), b, ridge=RIDGE, refine=5)
    matrix = K.astype(np.float32).astype(np.float64) + RIDGE * np.eye(len(K))
    for x, right in zip(together.x.T, b.T, strict=True):
        assert np.linalg.norm(matrix @ x - right) <= 1e-13 * np.linalg.norm(right)


def test_cholesky_without_refinement() -> None:
    """Is as good as its precision; refinement never makes it worse."""
    b = Y[:, 0]
    plain = cholesky(K.astype(np.float32), b, ridge=RIDGE, refine=0)
    refined = cholesky(K.astype(np.float32), b, ridge=RIDGE)
    assert plain.residuals.shape == (1, 1)
    assert 1e-9 < plain.residuals[-1, 0] < 1e-2
    assert refined.residuals[-1, 0] < 1e-3 * plain.residuals[-1, 0]
    assert (np.diff(refined.residuals[:, 0]) <= 0).all()


def test_cholesky_of_singular() -> None:
    """Duplicates without a ridge."""
    x = X.copy()
    x[7] = x[3]
    with pytest.raises(
        np.linalg.LinAlgError, match=r"is not positive definite to working precision \(minor 8 of 600\)"
    ):
        cholesky(NET.ntk(x) * 4, Y)


# Conjugate gradients


@pytest.mark.parametrize("rank", [0, 50, 300, None])
@pytest.mark.parametrize("form", ["operator", "float64", "float32"])
def test_pcg(form: str, rank: int | None) -> None:
    """Of the kernel stored and not, all right-hand sides at once; residuals are what they are called."""
    A: Any = NET.ntk.operator(X) if form == "operator" else K.astype(form)
    stored = K.astype("float32") if form == "float32" else K
    solution = pcg(A, Y, ridge=RIDGE, rank=rank, rtol=1e-10, rng=0)
    residual = Y - np.asarray(stored, np.float64) @ solution.x - RIDGE * solution.x
    found = np.linalg.norm(residual, axis=0) / np.linalg.norm(Y, axis=0)
    assert solution.converged
    assert found.max() < 2e-10
    assert solution.residuals[-1].max() <= 1e-10
    assert solution.iterations == len(solution.residuals) - 1
    assert len(solution.pivots) <= (245 if rank is None else rank)


def test_pcg_one_right_hand_side() -> None:
    """The operator's own ridge is a part of it; shapes are those of b; zeros solve zeros."""
    one = pcg(NET.ntk.operator(X, ridge=RIDGE), Y[:, 0], rtol=1e-12, rng=0)
    assert one.x.shape == (600,)
    np.testing.assert_allclose(one.x, exact(K, Y[:, 0]), atol=1e-9)
    nothing = pcg(K, np.zeros(600), ridge=RIDGE)
    assert nothing.iterations == 0
    np.testing.assert_array_equal(nothing.x, 0)


def test_preconditioner_saves_iterations() -> None:
    """More of them the larger it is."""
    counts = [pcg(K, Y[:, 0], ridge=RIDGE, rank=rank, rng=0).iterations for rank in (0, 50, 200, 500)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] <= counts[0] / 4


@pytest.mark.parametrize("ridge", [0.0, 1e-15, 1e-6])
def test_preconditioner_of_full_rank(ridge: float) -> None:
    """With as many pivots as rows it is the inverse, to rounding."""
    solution = pcg(NET.ntk.operator(X[:100]), Y[:100], ridge=ridge, rtol=1e-10, rng=0)
    assert solution.iterations <= 3
    np.testing.assert_allclose(K[:100, :100] @ solution.x + ridge * solution.x, Y[:100], atol=1e-8)


def test_preconditioner_of_low_rank() -> None:
    """Is the inverse where it is all of the matrix: what rounding leaves is not divided by a tiny ridge."""
    low = np.random.default_rng(0).normal(size=(300, 20))
    assert pcg(low @ low.T, low.sum(axis=1), ridge=1e-10, rank=50, rtol=1e-8, rng=0).iterations <= 2


def test_residuals_are_true() -> None:
    """They are refined below what conjugate gradients alone come to; where rounding allows for no less it is said."""
    kernel = fastntk.mlp(2, "erf", 1.5, 0.3).ntk(X[:300])

    def residual(x: NDArray[np.float64]) -> NDArray[Any]:
        off = Y[:300] - kernel @ x - 1e-10 * x
        return np.asarray(np.linalg.norm(off, axis=0) / np.linalg.norm(Y[:300], axis=0))

    solution = pcg(kernel, Y[:300], ridge=1e-10, rtol=1e-9, maxiter=5000, rng=0)
    assert solution.converged
    assert residual(solution.x).max() < 2e-9
    with pytest.warns(ConvergenceWarning, match=r"rounding allows for no less"):
        solution = pcg(kernel, Y[:300], ridge=1e-10, rtol=1e-17, maxiter=10**5, rng=0)
    assert not solution.converged
    np.testing.assert_allclose(solution.residuals[-1], residual(solution.x), rtol=0.5)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_pcg_of_any_scale(scale: float) -> None:
    """Right-hand sides whose squares are beyond the range."""
    wanted = pcg(K, Y, ridge=RIDGE, rng=0).x
    np.testing.assert_allclose(pcg(K, scale * Y, ridge=RIDGE, rng=0).x / scale, wanted, atol=1e-5)


def test_pcg_of_operators_of_others() -> None:
    """Without a preconditioner, as only products are known."""
    from scipy.sparse.linalg import aslinearoperator

    operator = aslinearoperator(K)
    np.testing.assert_allclose(pcg(operator, Y, ridge=RIDGE, rtol=1e-10).x, exact(K, Y), atol=1e-6)
    with pytest.raises(ValueError, match=r"^a preconditioner needs entries of A"):
        pcg(operator, Y, rank=10)


def test_pcg_not_converged() -> None:
    """Warns with what was reached, and gives that."""
    with pytest.warns(
        ConvergenceWarning, match=r"^the largest relative .* after 3 passes, .*: allow for more, by maxiter"
    ):
        solution = pcg(K, Y, ridge=1e-8, rank=5, maxiter=3)
    assert not solution.converged
    assert solution.iterations == 3


def test_pcg_of_indefinite() -> None:
    """Is told, not iterated to NaN."""
    with pytest.raises(np.linalg.LinAlgError, match=r"^A \+ ridge I is not positive definite"):
        pcg(K - 0.9 * np.diag(K.diagonal()), Y, rank=0)


def test_pcg_progress() -> None:
    """Up to 1."""
    seen: list[float] = []
    pcg(K, Y, ridge=RIDGE, progress=seen.append, rng=0)
    assert seen[-1] == 1.0
    assert all(0 <= fraction <= 1 for fraction in seen)
    near = pcg(K, Y, ridge=RIDGE, rtol=1e-5, rng=0).x
    seen.clear()
    pcg(K, Y, near, ridge=RIDGE, rtol=1e-10, progress=seen.append, rng=0)
    assert 0.4 < seen[0] < 0.8  # half of the orders of magnitude are done


def test_pcg_shows_a_bar(capfd: pytest.CaptureFixture[str]) -> None:
    """Full at the end, with the residual."""
    pcg(K, Y, ridge=RIDGE, progress=True, rng=0)
    shown = capfd.readouterr().err
    assert "pcg: 100%" in shown
    assert "residual=" in shown


def test_pcg_of_products_out_of_range() -> None:
    """Is told: of a matrix one sees its entries, of an operator what it gives."""
    operator = LinearOperator(K.shape, lambda v: np.inf * v, dtype=np.float64)
    with pytest.raises(ValueError, match=r"^A has NaN or infinite entries, or entries whose products are beyond"):
        pcg(operator, Y[:, 0] + 3, rank=0)


# Pivots


def test_pivots() -> None:
    """Factor their block; few leave little of a matrix of low rank; ask for more than the rank and get the rank."""
    low = rng.normal(size=(400, 12))
    matrix = low @ low.T
    pivots, factor = random_pivots(
        lambda i, j: matrix[np.ix_(i, j)], matrix.diagonal().copy(), 50, np.random.default_rng(1), np.dtype(np.float64)
    )
    assert len(pivots) == len(set(pivots)) == 12
    np.testing.assert_allclose(factor @ factor.T, matrix[np.ix_(pivots, pivots)], atol=1e-10)
    np.testing.assert_array_equal(factor, np.tril(factor))


def test_pivots_are_drawn_by_the_residual() -> None:
    """Of a diagonal matrix: the first pivot with the chances of the diagonal (4 standard deviations of 4,000 draws)."""
    diagonal = np.array([1.0, 2.0, 0.0, 7.0])
    first = [
        random_pivots(
            lambda i, j: np.diag(diagonal)[np.ix_(i, j)], diagonal, 1, np.random.default_rng(seed), np.dtype(np.float64)
        )[0][0]
        for seed in range(4000)
    ]
    chances = diagonal / 10
    allowed = 4 * np.sqrt(chances * (1 - chances) / 4000)
    assert (np.abs(np.bincount(first, minlength=4) / 4000 - chances) <= allowed).all()


@pytest.mark.parametrize("rank", [500, 590, 600])
def test_pivots_of_nearly_all_rows(rank: int) -> None:
    """Are found without proposing rows for ever; what is left is less than what uniform rows leave."""
    looked_at = 0

    def entries(i: NDArray[np.intp], j: NDArray[np.intp]) -> NDArray[Any]:
        nonlocal looked_at
        looked_at += len(i) * len(j)
        return K[np.ix_(i, j)]

    pivots, factor = random_pivots(entries, K.diagonal().copy(), rank, np.random.default_rng(0), np.dtype(np.float64))
    assert len(set(pivots)) == len(pivots)
    assert len(pivots) == rank or len(pivots) > 400
    np.testing.assert_allclose(factor @ factor.T, K[np.ix_(pivots, pivots)], atol=1e-10)
    assert looked_at < 30 * K.size


def test_pivots_of_zero() -> None:
    """None."""
    zeros = np.zeros((5, 5))
    pivots, factor = random_pivots(
        lambda i, j: zeros[np.ix_(i, j)], zeros[0], 3, np.random.default_rng(0), np.dtype(np.float64)
    )
    assert pivots.shape == (0,)
    assert factor.shape == (0, 0)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: cholesky([[1.0]], [1.0]), TypeError, r"^K must be a NumPy array of float32 or float64"),  # type: ignore[arg-type]
    (lambda: cholesky(K[:, :5].copy(), Y), ValueError, r"^K must be square and not empty, got shape \(600, 5\)"),
    (lambda: cholesky(K[:9, :9], Y[:9]), ValueError, r"^K is overwritten: it must be writable and contiguous"),
    (lambda: cholesky(K.copy(), Y[:5]), ValueError, r"^b must have shape \(600,\) or \(600, k\), got \(5, 3\)"),
    (lambda: cholesky(K.copy(), Y, ridge=-1), ValueError, r"^ridge must be >= 0, got -1"),
    (
        lambda: cholesky(K.copy(), np.where(Y[4, 1] == Y, np.nan, Y)),
        ValueError,
        r"^b contains nan \(first at \(4, 1\)\)",
    ),
    (lambda: cholesky(K.copy(), Y, refine=-1), ValueError, r"^refine must be an integer >= 0"),
    (lambda: pcg(K[:5], Y), ValueError, r"^A must be square and not empty, got shape \(5, 600\)"),
    (lambda: pcg(NET.ntk.operator(X, X[:5]), Y), ValueError, r"^A must be square and not empty, got shape \(600, 5\)"),
    (lambda: pcg(K[:0, :0], Y[:0]), ValueError, r"^A must be square and not empty, got shape \(0, 0\)"),
    (
        lambda: pcg(np.where(np.abs(K) == np.abs(K[3, 5]), np.nan, K), Y, rank=0),
        ValueError,
        r"^A contains NaN or infinite",
    ),
    (lambda: cholesky(np.where(K[3, 5] == K, np.inf, K), Y), ValueError, r"^K contains NaN or infinite entries"),
    (lambda: pcg(NET, Y), TypeError, r"^A must be a matrix, a Zarr array, net\.ntk\.operator\(X\), .*, got Sequential"),
    (lambda: pcg(-K, Y), ValueError, r"^A must be positive semidefinite, but its diagonal"),
    (lambda: pcg(K, Y[:5]), ValueError, r"^b must have shape \(600,\) or \(600, k\), got \(5, 3\)"),
    (lambda: pcg(K, Y, ridge=-1), ValueError, r"^ridge must be >= 0, got -1"),
    (lambda: pcg(K, Y, rtol=0), ValueError, r"^rtol and atol must be >= 0, and one of them > 0; got 0 and 0\.0"),
    (lambda: pcg(K, Y, Y[:, 0]), ValueError, r"^x0 must have the shape of b, \(600, 3\), got \(600,\)"),
    (lambda: pcg(K, Y, callback=3), TypeError, r"^callback must be a callable or None, got 3"),  # type: ignore[arg-type]
    (lambda: pcg(K, np.where(Y[4, 1] == Y, np.inf, Y)), ValueError, r"^b contains inf"),
    (lambda: pcg(K, Y, rank=1.5), ValueError, r"^rank must be an integer >= 0"),  # type: ignore[arg-type]
    (lambda: pcg(K, Y, progress="yes"), TypeError, r"^progress must be"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD, ids=[sentence[:30] for _, _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(error, match=sentence):
        call()


def test_pcg_of_a_zarr_array(tmp_path: Path) -> None:
    """A kernel that was written there by out=, of chunks that do not divide it."""
    zarr = pytest.importorskip("zarr")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70, 3)), rng.normal(size=(70, 2))
    net = fastntk.mlp(2, "relu", 1.5, 0.3)
    stored = zarr.create_array(str(tmp_path / "K.zarr"), shape=(70, 70), chunks=(16, 16), dtype="float64")
    net.ntk(X, out=stored)
    found = fastntk.solvers.pcg(stored, y, ridge=0.1, rtol=1e-12)
    np.testing.assert_allclose(found.x, np.linalg.solve(net.ntk(X) + 0.1 * np.eye(70), y), rtol=1e-8)
    with pytest.raises(ValueError, match="A must be square"):
        fastntk.solvers.pcg(zarr.zeros((70, 60)), y)
