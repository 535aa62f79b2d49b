"""Networks that depend on the angle alone, as one polynomial, against the same layer by layer and in 50 digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from numpy.typing import NDArray

import fastntk
from fastntk import Activation
from fastntk.kernels import univariate

Matrix = NDArray[np.floating[Any]]

N = 1000  # so that the result has FEWEST_PAIRS entries


def rows(unit: bool, dtype: str) -> Matrix:
    """Normal rows, among them duplicates, antipodes and near ones of both."""
    x = np.random.default_rng(0).normal(size=(N, 12))
    x[1], x[2], x[3] = x[0], -x[0], 2 * x[0]
    x[4], x[5] = x[0] + 1e-3, -x[0] + 1e-6
    return (x / np.linalg.norm(x, axis=1, keepdims=True) if unit else x).astype(dtype)


def worst(actual: Matrix, expected: Matrix) -> float:
    """Largest error relative to the diagonals."""
    s = np.sqrt(np.diag(expected).astype(np.float64))
    return float((np.abs(actual.astype(np.float64) - expected) / np.outer(s, s)).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b", "unit"),
    [("relu", 2**0.5, 0.0, False), ("leaky_relu", 1.4, 0.0, False), ("relu", 2**0.5, 0.1, True),
     ("gelu", 1.2, 0.1, True), ("tanh", 1.0, 0.1, True)],
)  # fmt: skip
def test_the_same_to_the_stated_error(activation: str, sigma_w: float, sigma_b: float, unit: bool, dtype: str) -> None:
    """Both kernels, X with itself and with others; it was indeed evaluated the other way."""
    x = rows(unit, dtype)
    for depth in (8, 50):
        net = fastntk.mlp(depth, activation, sigma_w, sigma_b)
        one, layers = net.kernels(x), net.kernels(x, univariate=False)
        assert not np.array_equal(one.ntk, layers.ntk)
        exact = net.kernels(x, univariate=False, dtype="float64") if dtype == "float32" else layers
        bound = 1e-6 if dtype == "float32" else 2e-10 if activation == "tanh" else 5e-15
        for kernel, truth in zip(one, exact, strict=True):
            assert worst(kernel, truth) <= bound
            np.testing.assert_array_equal(kernel, kernel.T)
            assert kernel[0, 1] == pytest.approx(kernel[0, 0], rel=1e-6)
        cross = net.ntk(x, x[::-1].copy())
        assert worst(cross[:, ::-1], exact.ntk) <= bound


def test_against_fifty_digits() -> None:
    """Depth 50 without bias: kappa_0 and kappa_1 iterated (Bietti and Mairal 2019, section 3)."""
    x = rows(False, "float64")
    theta = fastntk.mlp(50, "relu", 2**0.5).ntk(x)
    with mp.workdps(50):
        for p, q in ((0, 6), (0, 4), (0, 2), (7, 8), (0, 5), (1, 3)):
            a, b = ([mpf(float(v)) for v in x[i]] for i in (p, q))
            norms = mp.sqrt(sum(v * v for v in a) * sum(v * v for v in b))
            rho = min(max(sum(v * w for v, w in zip(a, b, strict=True)) / norms, mpf(-1)), mpf(1))
            total = rho
            for _ in range(50):
                angle = mp.acos(rho)
                slope = 1 - angle / mp.pi
                rho = (mp.sin(angle) + (mp.pi - angle) * mp.cos(angle)) / mp.pi
                total = rho + slope * total
            weight = mpf(2**0.5) ** 102 / mpf(2) ** 50 * norms / x.shape[1]  # sigma_w^2 is not quite 2
            assert abs(mpf(float(theta[p, q])) - weight * total) <= 8e-15 * weight * 51


def test_not_where_samples_matter() -> None:
    """Bias and different norms: nothing is replaced, and the keyword changes nothing."""
    x = rows(False, "float64")
    for net in (fastntk.mlp(8, "relu", 2**0.5, 0.1), fastntk.mlp(8, "erf", 1.2)):
        np.testing.assert_array_equal(net.ntk(x), net.ntk(x, univariate=False))


def test_zero_rows_and_sigmas() -> None:
    """A zero row without bias stays orthogonal to all others, and nothing is NaN."""
    x = rows(False, "float32")
    x[7] = 0
    net = fastntk.mlp(12, "relu", 2**0.5)
    theta = net.ntk(x)
    assert np.isfinite(theta).all()
    assert not theta[7].any()


def test_a_network_that_no_short_polynomial_fits() -> None:
    """Step functions turn a gap into its square root in every layer: evaluated layer by layer, as before."""
    x = rows(False, "float64")
    net = fastntk.mlp(10, Activation("sign"), 1.0)
    np.testing.assert_array_equal(net.nngp(x), net.nngp(x, univariate=False))
    assert univariate.FEWEST_PAIRS <= N * N
