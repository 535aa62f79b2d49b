"""How conjugate gradients end: converged, too slow, singular, indefinite, or as far as rounding allows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as sparse
from numpy.typing import NDArray

import fastntk
from fastntk.solvers import ConvergenceWarning, pcg

rng = np.random.default_rng(0)


def matrix(spectrum: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A symmetric matrix of that spectrum, and its eigenvectors."""
    vectors = np.linalg.qr(np.random.default_rng(1).normal(size=(len(spectrum), len(spectrum))))[0]
    A = (vectors * spectrum) @ vectors.T
    return (A + A.T) / 2, vectors


SPECTRA = {
    "gap": np.concatenate((np.zeros(20), np.linspace(1, 2, 80))),
    "decay": np.concatenate((np.zeros(40), np.logspace(-4, 0, 60))),
    "one": np.concatenate((np.zeros(1), np.linspace(0.1, 300, 99))),
}


@pytest.mark.parametrize("rank", [0, 20, None])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_singular(spectrum: str, rank: int | None) -> None:
    """Out of the range there is no solution, and it is said; in the range there is one. Together, each as it is."""
    A, vectors = matrix(SPECTRA[spectrum])
    nullity = int((SPECTRA[spectrum] == 0).sum())
    inside = vectors[:, nullity:] @ rng.normal(size=100 - nullity)
    outside = inside + 0.5 * np.linalg.norm(inside) * vectors[:, 0]
    assert pcg(A, inside, rank=rank, rng=0).converged
    with pytest.warns(ConvergenceWarning, match=r"is singular to working precision, and b is not in its range; raise"):
        solution = pcg(A, np.stack((inside, outside), axis=1), rank=rank, maxiter=5000, rng=0)
    assert (solution.converged, solution.reason) == (False, "singular")
    assert solution.iterations < 5000
    assert np.isfinite(solution.x).all()
    np.testing.assert_allclose(A @ solution.x[:, 0], inside, atol=1e-4 * float(np.linalg.norm(inside)))
    residual = np.linalg.norm(outside - A @ solution.x[:, 1]) / np.linalg.norm(outside)
    assert solution.residuals[-1, 1] == pytest.approx(residual, rel=1e-6)
    assert residual >= 0.4


@pytest.mark.parametrize("spectrum", ["gap", "one"])
def test_best_of_singular(spectrum: str) -> None:
    """Where there is no solution that x is given whose residual was the least of all that there were."""
    A, vectors = matrix(SPECTRA[spectrum])
    b = vectors @ np.random.default_rng(3).normal(size=100)
    seen = [float(np.linalg.norm(b))]
    with pytest.warns(ConvergenceWarning, match="is singular"):
        x = pcg(A, b, rank=0, maxiter=5000, callback=lambda x: seen.append(float(np.linalg.norm(b - A @ x)))).x
    assert min(seen) < 0.9 * seen[0]
    assert np.linalg.norm(b - A @ x) < (1 + 1e-6) * min(seen)


def test_absolute_tolerance_of_large_and_small() -> None:
    """Is of the residual itself, in the units of each right-hand side, and is not made much smaller than asked for."""
    A, b = matrix(np.linspace(0.01, 1, 100))[0], rng.normal(size=(100, 2)) * [1e4, 1e-4]
    for atol in (1e-2, 1e-6):
        residual = np.linalg.norm(b - A @ pcg(A, b, rtol=0.0, atol=atol, rank=0).x, axis=0)
        assert (residual <= atol).all()
        assert residual[0] > 0.05 * atol


def test_singular_however_pivots_are_drawn() -> None:
    """Preconditioned directions may see next to nothing of A from the first: what rounding is, its diagonal tells."""
    spectrum = SPECTRA["decay"]
    A, vectors = matrix(spectrum)
    for seed in range(30):
        drawn = np.random.default_rng(seed)
        b = vectors[:, 40:] @ drawn.normal(size=60)
        b += 0.5 * np.linalg.norm(b) * vectors[:, 0]
        with pytest.warns(ConvergenceWarning, match=r"is singular"):
            assert pcg(A, b, maxiter=5000, rng=seed).reason == "singular"


def test_duplicates() -> None:
    """Rows that repeat, with other targets, and no ridge: the usual way to a singular kernel."""
    x = rng.normal(size=(60, 3))
    x[40:] = x[:20]
    K = fastntk.mlp(2, "relu", 1.5, 0.3).ntk(x)
    with pytest.warns(ConvergenceWarning, match=r"singular") as caught:
        assert pcg(K, rng.normal(size=60), maxiter=10**4, rng=0).reason == "singular"
    assert len(caught) == 1
    assert pcg(K, rng.normal(size=60), ridge=1e-2, rng=0).converged


def test_slow() -> None:
    """Is not singular: more passes help."""
    A, _ = matrix(np.logspace(-6, 0, 200))
    b = rng.normal(size=200)
    with pytest.warns(ConvergenceWarning, match=r"after 7 passes, and not within rtol: allow for more, by maxiter"):
        assert pcg(A, b, rank=0, maxiter=7).reason == "maxiter"
    solution = pcg(A, b, rank=0, maxiter=10**4)
    assert (solution.reason, solution.converged) == ("converged", True)


@pytest.mark.parametrize("least", [-1.0, -1e-3, -1e-6])
def test_indefinite(least: float) -> None:
    """Raises, however small the negative eigenvalue is, if rounding does not hide it."""
    A, vectors = matrix(np.concatenate(([least], np.linspace(1, 2, 50))))
    with pytest.raises(np.linalg.LinAlgError, match=r"is not positive definite to working precision"):
        pcg(A, vectors @ np.ones(51), rank=0, rtol=1e-12)


@pytest.mark.parametrize("form", ["matrix", "operator", "stranger"])
def test_scipys_names(form: str) -> None:
    """x0, rtol, atol, maxiter and callback mean what they mean in SciPy's cg, which gives the same iterates."""
    X = rng.normal(size=(80, 3))
    net = fastntk.mlp(2, "relu", 1.5, 0.3)
    K = net.ntk(X) + 0.1 * np.eye(80)
    A: Any = {"matrix": K, "operator": net.ntk.operator(X, ridge=0.1), "stranger": sparse.aslinearoperator(K)}[form]
    b, x0 = np.sin(X[:, 0]), rng.normal(size=80)
    ours: list[NDArray[Any]] = []
    theirs: list[NDArray[Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = pcg(A, b, x0, rank=0, maxiter=6, rtol=0.0, atol=1e-13, callback=lambda x: ours.append(x.copy()))
    sparse.cg(K, b, x0, maxiter=6, rtol=0.0, atol=1e-13, callback=lambda x: theirs.append(x.copy()))
    assert len(ours) == len(theirs) == found.iterations == 6
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ours[-1], found.x)
    loose = pcg(A, b, x0, rank=0, rtol=0.0, atol=0.5)
    assert np.linalg.norm(b - K @ loose.x) <= 0.5
    assert pcg(A, b, loose.x, rank=0, rtol=0.0, atol=0.6).iterations == 0
    np.testing.assert_array_equal(pcg(A, 0 * b, x0).x, 0)
    with pytest.raises(TypeError):
        pcg(A, b, tol=1e-3)  # type: ignore[call-arg]


def test_callback_of_many() -> None:
    """Gets all columns, in the shape of b."""
    A, _ = matrix(np.linspace(1, 2, 30))
    seen: list[NDArray[Any]] = []
    solution = pcg(A, rng.normal(size=(30, 2)) * [1e-200, 1e200], rank=0, callback=lambda x: seen.append(x.copy()))
    assert {x.shape for x in seen} == {(30, 2)}
    np.testing.assert_array_equal(seen[-1], solution.x)
