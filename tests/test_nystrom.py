"""Regression over landmarks: against the normal equations, from every kind of source, with rows that are named."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk.solvers import ConvergenceWarning, nystrom
from fastntk.solvers.chunks import PairwiseSum
from fastntk.solvers.samples import Sample, Samples

NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)
rng = np.random.default_rng(0)
X = rng.normal(size=(3000, 4))
Y = np.stack((np.sin(2 * X[:, 0]), X[:, 1] * X[:, 2]), axis=1) + 0.1 * rng.normal(size=(3000, 2))
TEST = rng.normal(size=(500, 4))
LANDMARKS = X[:120]
RIDGE = 0.1


def normal_equations(kind: str, y: NDArray[Any]) -> NDArray[np.float64]:
    """Predictions at TEST by the least squares of [K_nm; sqrt(ridge) L^T], the definition."""
    kernel: Callable[..., NDArray[Any]] = getattr(NET, kind)
    root = np.linalg.cholesky(kernel(LANDMARKS))
    stacked = np.concatenate((kernel(X, LANDMARKS), RIDGE**0.5 * root.T))
    target = np.concatenate((y, np.zeros((len(LANDMARKS), *y.shape[1:]))))
    return np.asarray(kernel(TEST, LANDMARKS) @ np.linalg.lstsq(stacked, target)[0])


def test_sums_over_many_chunks() -> None:
    """Are right to rounding, which of numbers one after the other would add up."""

    def summed(numbers: NDArray[np.float64]) -> float:
        total = PairwiseSum()
        for number in numbers:
            total.add(np.array([number]))
        return float(total.value()[0])

    for count in range(1, 20):
        assert summed(np.arange(1.0, count + 1)) == count * (count + 1) / 2
    numbers = np.random.default_rng(0).uniform(size=30_000)
    exact = math.fsum(numbers)
    assert abs(summed(numbers) - exact) <= 4 * np.spacing(exact)
    assert summed(np.full(2**14, 0.1)) == 0.1 * 2**14


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("y", [Y, Y[:, 0]], ids=["two", "one"])
def test_normal_equations(kind: Any, y: NDArray[Any]) -> None:
    """Solved to the tolerance."""
    model = nystrom(NET, X, y, landmarks=LANDMARKS, kind=kind, ridge=RIDGE, tol=1e-10, rng=0)
    assert model.converged
    assert model.jitter == 0
    assert model.coefficients.shape == (120, *y.shape[1:])
    np.testing.assert_array_equal(model.landmarks, LANDMARKS)
    np.testing.assert_allclose(model.predict(TEST), normal_equations(kind, y), atol=1e-8)


def test_all_rows_as_landmarks() -> None:
    """Are kernel ridge regression, of the same ridge."""
    x, y = X[:300], Y[:300]
    exact = NET.ntk(TEST, x) @ np.linalg.solve(NET.ntk(x) + RIDGE * np.eye(300), y)
    model = nystrom(NET, x, y, landmarks=x, ridge=RIDGE, tol=1e-10, rng=0)
    np.testing.assert_allclose(model.predict(TEST), exact, atol=1e-7)


def sources(folder: Path) -> Iterator[tuple[Any, Any]]:
    """The same rows, from wherever they may come."""
    np.save(folder / "X.npy", X)
    np.save(folder / "Y.npy", Y)
    yield np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "Y.npy", mmap_mode="r")
    yield X, Y.tolist()
    yield lambda: ((X[i : i + 3000], Y[i : i + 3000]) for i in (0,)), None
    zarr = pytest.importorskip("zarr")
    yield (
        zarr.create_array(folder / "X.zarr", data=X, chunks=(700, 4)),
        zarr.create_array(folder / "Y.zarr", data=Y, chunks=(1000, 1)),
    )


@pytest.mark.parametrize("choice", ["pivoted", "uniform"])
def test_sources(tmp_path: Path, choice: Any) -> None:
    """Arrays, memory maps, Zarr arrays and functions give the same bits."""
    options: dict[str, Any] = {"landmarks": 60, "choice": choice, "ridge": RIDGE, "rng": 3}
    wanted = nystrom(NET, X, Y, **options)
    for x, y in sources(tmp_path):
        model = nystrom(NET, x, y, **options)
        np.testing.assert_array_equal(model.landmarks, wanted.landmarks)
        np.testing.assert_array_equal(model.coefficients, wanted.coefficients)
        if y is not None:
            np.testing.assert_array_equal(model.predict(x), wanted.predict(X))


def test_chunks_of_any_size() -> None:
    """Uneven ones of a function; kept in memory or computed again in every pass."""
    borders = [0, 1, 700, 701, 2999, 3000]
    wanted = normal_equations("ntk", Y)
    passes = 0

    def chunks() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        nonlocal passes
        passes += 1
        for a, b in pairwise(borders):
            yield X[a:b], Y[a:b]

    model = nystrom(NET, chunks, landmarks=LANDMARKS, ridge=RIDGE, tol=1e-10, rng=0)
    np.testing.assert_allclose(model.predict(TEST), wanted, atol=1e-8)
    assert passes == model.iterations + 3
    again = nystrom(NET, chunks, landmarks=LANDMARKS, ridge=RIDGE, tol=1e-10, max_memory="64 MiB", rng=0)
    np.testing.assert_array_equal(again.coefficients, model.coefficients)


@pytest.mark.parametrize("choice", ["pivoted", "uniform"])
def test_few_passes(choice: Any) -> None:
    """Whatever the choice of landmarks; without a preconditioner it would be hundreds."""
    model = nystrom(NET, X, Y, landmarks=200, choice=choice, ridge=1e-2, rng=0)
    assert model.iterations <= 30
    assert (model.residuals[-1] <= 1e-4).all()


def test_preconditioner_stands_for_all_rows() -> None:
    """Of 20,000, though it is made of 400: without their weights it takes 30 passes, not 21."""
    x = np.random.default_rng(5).normal(size=(20_000, 4))
    options: dict[str, Any] = {"landmarks": 100, "choice": "uniform", "ridge": 1.0, "tol": 1e-6}
    counts = [nystrom(NET, x, np.sin(2 * x[:, 0]), **options, rng=seed).iterations for seed in range(4)]
    assert np.mean(counts) <= 25


def test_rare_rows_of_large_norm() -> None:
    """Of one-hot columns that were standardised, say: a uniform sample would miss most, and take ages."""
    x = rng.normal(size=(20_000, 12))
    rare = rng.permutation(20_000)[:200]
    x[rare, 4 + np.arange(200) % 8] += 100 * rng.normal(size=200)
    y = np.sin(x[:, 0]) + 0.01 * np.abs(x[:, 4:]).sum(axis=1)
    for seed in range(3):
        model = nystrom(NET, x, y, landmarks=150, ridge=1e-2, rng=seed)
        assert model.converged
        assert model.iterations <= 60


@pytest.mark.parametrize("rows", [30, 400])
def test_sample_stands_for_the_whole(rows: int) -> None:
    """Sums over a mixed sample of 40 rows, weighted by what each stands for, are those of all within 5 % on average."""
    weights = np.abs(np.random.default_rng(3).standard_cauchy(rows))
    weights[4] = 0
    sums = []
    for seed in range(3000):
        generator = np.random.default_rng(seed)
        samples = Samples(Sample(60, generator, weighted=False), Sample(20, generator, weighted=True))
        for part in np.array_split(np.arange(rows), 3):
            samples.add(part, weights[part], np.ones(len(part)))
        drawn, stands_for = samples.mixed(40)
        assert len(drawn) == min(40, 2 * rows)
        assert len(samples.uniform.first(55)[0]) == min(55, rows)
        sums.append((stands_for.sum(), stands_for @ weights[drawn], stands_for @ np.sqrt(weights[drawn])))
    np.testing.assert_allclose(np.mean(sums, axis=0), (rows, weights.sum(), np.sqrt(weights).sum()), rtol=0.05)


def test_float32_and_duplicates() -> None:
    """Landmarks that are the same need jitter, which is told; predictions are those without."""
    twice = np.concatenate((LANDMARKS, LANDMARKS)).astype(np.float32)
    model = nystrom(NET, X.astype(np.float32), Y, landmarks=twice, ridge=RIDGE, tol=1e-5, rng=0)
    assert 0 < model.jitter <= 1e-6
    np.testing.assert_allclose(model.predict(TEST), normal_equations("ntk", Y), atol=2e-3)


def test_not_converged() -> None:
    """Warns with what was reached."""
    with pytest.warns(ConvergenceWarning, match=r"^the relative residual is .* after 1 iterations, not 0\.0001; allow"):
        assert not nystrom(NET, X, Y, landmarks=100, max_iterations=1, rng=0).converged


def broken(row: int, value: float) -> NDArray[Any]:
    """Rows of which one is not a number."""
    x = X.copy()
    x[row, 2] = value
    return x


def in_chunks(x: NDArray[Any], y: NDArray[Any], step: int) -> Callable[[], Iterator[tuple[NDArray[Any], NDArray[Any]]]]:
    """A function that gives chunks."""
    return lambda: ((x[i : i + step], y[i : i + step]) for i in range(0, len(x), step))


def uneven() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Chunks of which the second has another width."""
    yield X[:100], Y[:100]
    yield X[100:200, :3], Y[100:200]


def shrinking() -> Callable[[], Iterator[tuple[NDArray[Any], NDArray[Any]]]]:
    """A source that gives fewer rows each time it is called."""
    sizes = iter((3000, 2000, 1000, 500))
    return lambda: iter([(X[: (n := next(sizes))], Y[:n])])


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_other_precisions(dtype: Any) -> None:
    """Integers and half precision are computed with as everywhere."""
    x = (50 * np.abs(X)).astype(dtype)
    wider: Any = np.float32 if dtype == np.float16 else np.float64
    found = nystrom(NET, x, Y, landmarks=50, ridge=RIDGE, rng=0)
    wanted = nystrom(NET, x.astype(wider), Y, landmarks=50, ridge=RIDGE, rng=0)
    np.testing.assert_array_equal(found.coefficients, wanted.coefficients)
    assert found.predict(TEST.tolist()).shape == (500, 2)


def test_empty_chunks() -> None:
    """Are passed over."""
    wanted = nystrom(NET, X, Y, landmarks=LANDMARKS, ridge=RIDGE, rng=0)
    parts = [(X[:0], Y[:0]), (X, Y), (X[:0], Y[:0])]
    found = nystrom(NET, lambda: iter(parts), landmarks=LANDMARKS, ridge=RIDGE, rng=0)
    np.testing.assert_array_equal(found.coefficients, wanted.coefficients)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nystrom(NET, broken(2345, np.nan), Y), ValueError, r"^X contains nan \(first in row 2345, column 2\)"),
    (lambda: nystrom(NET, in_chunks(broken(2345, -np.inf), Y, 100)), ValueError, r"^X contains -inf .*row 2345"),
    (
        lambda: nystrom(NET, X, np.where(Y[2345, 1] == Y, np.nan, Y)),
        ValueError,
        r"^y contains nan \(first at \(2345, 1\)\)",
    ),
    (lambda: nystrom(NET, X, Y[:5]), ValueError, r"^X must have shape \(n, d\) and y \(n,\) or \(n, k\), got"),
    (lambda: nystrom(NET, X), ValueError, r"^X must have shape \(n, d\) and y \(n,\)"),
    (lambda: nystrom(NET, iter([(X, Y)])), TypeError, r"^X must be an array, .* could be used once only"),
    (lambda: nystrom(NET, lambda: iter([(X, Y)]), Y), TypeError, r"^y must not be given where X is a function"),
    (lambda: nystrom(NET, lambda: iter([])), ValueError, r"^there are no rows to fit"),
    (lambda: nystrom(NET, lambda: iter([X])), TypeError, r"^a function that gives chunks must give pairs"),
    (lambda: nystrom(NET, uneven), ValueError, r"^the chunk of rows from 100 on has X of shape \(100, 3\)"),
    (lambda: nystrom(NET, X, Y, ridge=0), ValueError, r"^ridge must be > 0, got 0"),
    (lambda: nystrom(NET, X, Y, landmarks=0), ValueError, r"^landmarks must be an integer >= 1, got 0"),
    (
        lambda: nystrom(NET, X, Y, landmarks=X[:3, :2]),
        ValueError,
        r"^landmarks have samples of shape \(2,\) but X has some of shape \(4,\)",
    ),
    (lambda: nystrom(NET, X, Y, landmarks=X[:0]), ValueError, r"^there are no landmarks"),
    (lambda: nystrom(fastntk.mlp(2), 0 * X, Y), ValueError, r"^every row that could be a landmark is zero"),
    (lambda: nystrom(NET, shrinking()), ValueError, r"^X gave 3000 rows at first and 2000 later"),
    (lambda: nystrom(NET, X, Y, choice="best"), ValueError, r"^choice must be 'pivoted' or 'uniform'"),  # type: ignore[arg-type]
    (lambda: nystrom(NET, X, Y, kind="both"), ValueError, r"^kind must be 'nngp' or 'ntk'"),  # type: ignore[arg-type]
    (lambda: nystrom("relu", X, Y), TypeError, r"^net must be a Sequential"),  # type: ignore[arg-type]
    (lambda: nystrom(NET, X, Y, progress="yes"), TypeError, r"^progress must be"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD, ids=[sentence[:40] for _, _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    """One clear sentence, with the row's number in the whole."""
    with pytest.raises(error, match=sentence):
        call()


def test_row_of_a_large_memory_map(tmp_path: Path) -> None:
    """NaN in row 731,204 of a million."""
    x = np.memmap(tmp_path / "X", np.float32, "w+", shape=(1_000_000, 2))
    x[:] = 1
    x[731_204, 1] = np.nan
    with pytest.raises(ValueError, match=r"^X contains nan \(first in row 731204, column 1\)"):
        nystrom(NET, x, np.zeros(1_000_000), landmarks=100)
