"""Every door that takes a kernel matrix refuses one that is not symmetric: a triangle, or a kernel of X with Y."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk.inference import (
    GradientFlow,
    dissipation,
    functional_flow,
    gp_posterior,
    leave_one_out,
    log_marginal_likelihood,
    spectrum,
)
from fastntk.solvers import cholesky, pcg

NET = fastntk.mlp(2, "relu", 1.4, 0.3)
Kernel = NDArray[Any]
DOORS: dict[str, Callable[[Kernel, NDArray[Any]], Any]] = {
    "cholesky": lambda k, y: cholesky(k, y, ridge=0.1),
    "cholesky, Fortran": lambda k, y: cholesky(np.asfortranarray(k), y, ridge=0.1),
    "pcg": lambda k, y: pcg(k, y, ridge=0.1),
    "pcg, list": lambda k, y: pcg(k.tolist(), y, ridge=0.1),
    "gp_posterior": lambda k, y: gp_posterior(k, y, k[:2], noise=0.1),
    "gp_posterior, k_test": lambda k, y: gp_posterior(np.eye(len(k)), y, 0 * k, k),
    "log_marginal_likelihood": lambda k, y: log_marginal_likelihood(k, y, 0.1),
    "leave_one_out": lambda k, y: leave_one_out(k, y, 0.1),
    "GradientFlow": lambda k, y: GradientFlow(k, y),
    "GradientFlow, nngp_train": lambda k, y: GradientFlow(np.eye(len(k)), y, nngp_train=k),
    "functional_flow": lambda k, y: functional_flow(k, lambda f: f - y, 1.0, f0_train=y),
    "dissipation": lambda k, y: dissipation(k, y),
    "spectrum": lambda k, _: spectrum(k),
}


def faults(k: Kernel, rng: np.random.Generator) -> list[tuple[str, Kernel]]:
    """Matrices that are nearly the kernel."""
    i, j = np.sort(rng.choice(len(k), 2, replace=False))
    one, small = k.copy(), k.copy()
    one[i, j] *= 1.2
    i, j = np.argsort(k.diagonal())[:2]  # of rows that are small beside others
    small[i, j] += 0.1 * np.sqrt(k[i, i] * k[j, j])
    return [("lower", np.tril(k)), ("upper", np.triu(k)), ("one entry", one), ("a small entry", small)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("door", DOORS)
def test_is_refused(door: str, dtype: Any) -> None:
    """With the entries that differ; the kernel itself is taken."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(40, 4)) * 10.0 ** rng.uniform(-1, 1, size=(40, 1))
        y, k = rng.normal(size=40), NET.ntk(x.astype(dtype))
        DOORS[door](k.copy(), y)
        for name, fault in faults(k, rng):
            before = fault.copy()
            with pytest.raises(ValueError, match=r"is not symmetric: entry \(\d+, \d+\) is .*, entry") as caught:
                DOORS[door](fault, y)
            assert fault.dtype == dtype
            np.testing.assert_array_equal(fault, before, err_msg=name)  # cholesky has not begun
            numbers = str(caught.value).split("entry (")[1].split(")")[0].split(",")
            i, j = map(int, numbers)
            assert abs(before[i, j] - before[j, i]) > 0


@pytest.mark.parametrize("at", [(0, 1), (255, 599), (256, 255), (300, 590), (599, 257), (598, 599)])
@pytest.mark.parametrize("door", ["cholesky", "pcg", "gp_posterior", "GradientFlow", "spectrum"])
def test_one_entry_of_many_is_refused(door: str, at: tuple[int, int]) -> None:
    """In any block of rows and columns, and told where it is."""
    k = np.eye(600)
    k[at] = 0.1
    with pytest.raises(ValueError, match=rf"entry \({min(at)}, {max(at)}\) is [\d.]+, entry \({max(at)}, {min(at)}\)"):
        DOORS[door](k, np.ones(600))


@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 1e-5), (np.float64, 1e-10)])
@pytest.mark.parametrize("door", ["gp_posterior", "GradientFlow", "spectrum"])
def test_how_far_entries_may_be_apart(door: str, dtype: Any, error: float) -> None:
    """So much of the roots of their rows' diagonal, whatever their size."""
    k = np.diag([4.0, 9.0, 16.0]).astype(dtype)
    for i, j, root in ((0, 1, 6.0), (0, 2, 8.0), (1, 2, 12.0)):
        apart = k.copy()
        apart[i, j] = 0.8 * error * root
        DOORS[door](apart, np.ones(3))
        apart[i, j] = 2 * error * root
        with pytest.raises(ValueError, match="is not symmetric"):
            DOORS[door](apart, np.ones(3))


def test_rounding_is_not_refused() -> None:
    """Entries that differ from their mirror images by what kernels may be off by."""
    rng = np.random.default_rng(0)
    for dtype, error in ((np.float32, 1e-6), (np.float64, 1e-11)):
        for n in (2, 50, 700):
            x = rng.normal(size=(n, 4)) * 10.0 ** rng.uniform(-3, 3, size=(n, 1))
            k = NET.ntk(x) * (1 + error * rng.uniform(-1, 1, size=(n, n)))
            k = k.astype(dtype)
            cholesky(k.copy(), x[:, 0], ridge=1.0)
            spectrum(k)
    cholesky(np.zeros((3, 3)), np.ones(3), ridge=1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [(0, 1), (1, 0), (2, 2)])
def test_what_is_not_finite(value: float, at: tuple[int, int]) -> None:
    """In either triangle, and in a row whose diagonal is 0."""
    for diagonal in (np.ones(3), np.array([0.0, 1.0, 1.0])):
        k = np.diag(diagonal)
        k[at] = value
        for solver in (cholesky, pcg):
            with pytest.raises(ValueError, match=r"^[KA] contains NaN or infinite entries"):
                solver(k.copy(), np.ones(3), ridge=1.0)


@pytest.mark.parametrize("scale", [1.0, 1e-100, 1e100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 20, 300])
def test_centred_kernels_are_taken(n: int, dtype: Any, scale: float) -> None:
    """Rounding where large entries cancelled: of the mean sample, on the diagonal too, nothing else is left."""
    scale = 1.0 if dtype == np.float32 else scale
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=n + 1)
    k = fastntk.mlp(0).ntk(np.vstack([x, x.mean(axis=0)]))
    centre = np.eye(n + 1) - 1 / (n + 1)
    k = centre.astype(dtype) @ k.astype(dtype) @ centre.astype(dtype) * dtype(scale)
    k[-1, -1] = -np.finfo(dtype).eps * k.diagonal().max()
    assert (k != k.T).any()
    ridge = 0.1 * scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs: list[Any] = [
            cholesky(k.copy(), y, ridge=ridge).x,
            pcg(k, y, ridge=ridge, rng=0).x,
            log_marginal_likelihood(k, y, ridge),
            GradientFlow(k, y).mean(0.1 / scale),
        ]
    assert spectrum(k).rank <= 3
    assert spectrum(k).duplicates == ()
    exact = np.linalg.solve((k / scale).astype(np.float64) + 0.1 * np.eye(n + 1), y) / scale
    for x_found in outputs[:2]:
        np.testing.assert_allclose(x_found, exact, rtol=1e-3, atol=1e-4 * float(np.abs(exact).max()))


def test_kernels_of_kernel_centerer_are_taken() -> None:
    """Of scikit-learn."""
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        x = rng.normal(size=(40, 3)).astype(dtype)
        k = preprocessing.KernelCenterer().fit_transform(NET.ntk(np.vstack([x, x.mean(axis=0)])))
        for name, door in DOORS.items():
            if dtype == np.float64 or name != "pcg, list":  # which does not say that it was rounded to float32
                door(k.copy(), rng.normal(size=41))


def test_symmetric_ones_are_never_called_asymmetric() -> None:
    """Indefinite, with a zero on the diagonal, with large entries beside a small diagonal."""
    rng = np.random.default_rng(0)
    k = NET.ntk(rng.normal(size=(40, 3)))
    large = rng.normal(size=(40, 40))
    for matrix in (k - k.diagonal().min() * np.eye(40), (large + large.T) * (1 - (1 - 1e-9) * np.eye(40)) ** 2):
        for door in (lambda m: pcg(m, np.ones(40)), lambda m: cholesky(m.copy(), np.ones(40))):
            with pytest.raises((np.linalg.LinAlgError, ValueError), match="positive"):
                door(matrix)
