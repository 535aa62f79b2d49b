"""Every door that takes a kernel matrix refuses one that is not symmetric: a triangle, or a kernel of X with Y."""

from __future__ import annotations

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
