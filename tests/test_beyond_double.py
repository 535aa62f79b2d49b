"""Samples whose variances leave the range of double on the way: right all the same, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Activation, Dense, Sequential

pytestmark = pytest.mark.sweep

mp = pytest.importorskip("mpmath")

X = np.array([[1.0, 2.0], [0.5, -1.0]])
PRODUCTS = X @ X.T / 2
LENGTHS = np.outer(np.diag(PRODUCTS), np.diag(PRODUCTS))
CUBE = 9 * LENGTHS * PRODUCTS + 6 * PRODUCTS**3  # E[u^3 v^3]
CUBE_SLOPE = 9 * (LENGTHS + 2 * PRODUCTS**2)  # E[3 u^2 3 v^2]

SMALL_AT_ZERO = ["tanh", "hard_tanh", "silu", "elu", "softsign", "log_cosh"]


@pytest.mark.parametrize("power", [-400, -200, -120, 0, 120, 200, 400])
def test_homogeneous_polynomials(power: int) -> None:
    """Of x^3 at 2^power x, where weights take the power back."""
    half = -3 * power // 2
    net = Sequential(
        Dense(1.0), Activation("monomial", degree=3), Dense(2.0**half), Dense(2.0 ** (-3 * power - half), 0.5)
    )
    x = np.ldexp(X, power)
    np.testing.assert_allclose(net.nngp(x), CUBE + 0.25, rtol=1e-14)
    # Theta = F' K, and F for the layer behind
    frozen = Sequential(*net[:2], Dense(2.0**half, trainable=False), net[3])
    np.testing.assert_allclose(frozen.ntk(x), CUBE + 0.25 + CUBE_SLOPE * PRODUCTS, rtol=1e-14)


@pytest.mark.parametrize("trainable", [True, False])
def test_ends_of_a_polynomial(trainable: bool) -> None:
    """h_3 = (x^3 - 3 x) / sqrt 6: where q is 1e-400 its first power alone, where q is 1e+400 its last."""
    for weight, back, truth, slope in (
        (1e-200, 1e200, 1.5 * PRODUCTS, 1.5),
        (1e200, 1e-300, CUBE / 6, CUBE_SLOPE / 6),
    ):
        rest = 1.0 if weight < 1 else 1e-300
        net = Sequential(
            Dense(weight, trainable=trainable),
            Activation("hermite", degree=3),
            Dense(back, trainable=False),
            Dense(rest, 0.1),
        )
        np.testing.assert_allclose(net.nngp(X), truth + 0.01, rtol=1e-13)
        np.testing.assert_allclose(net.ntk(X), truth + 0.01 + trainable * slope * PRODUCTS, rtol=1e-13)


@pytest.mark.parametrize("name", SMALL_AT_ZERO)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_double_lost_is_refused(name: str, dtype: str) -> None:
    """F(q, q) at q = 1e-400 is seen if a weight of 1e+200 follows; beside a bias it is not."""
    for rest in ((Dense(1e200, 0.1),), (Dense(1e200), "relu", Dense(1.0, 0.1)), (Dense(1e100), Dense(1e100, 0.1))):
        net = Sequential(Dense(1e-200), Activation(name), *rest)
        for kernel in (net.nngp, net.ntk):
            with pytest.raises(ValueError, match=f"the range of {dtype}"):
                kernel(X, dtype=dtype)
    rows = np.append(X, np.zeros((1, 2)), axis=0)
    beside = Sequential(Dense(1e-200), Activation(name), Dense(1.0, 0.1))
    for found in beside.kernels(rows, dtype=dtype):
        np.testing.assert_allclose(found, 0.01, rtol=1e-6 if dtype == "float32" else 1e-15)
    np.testing.assert_allclose(Sequential(*beside[:2], Dense(1e200, 0.1)).nngp(rows[2:]), 0.01, rtol=1e-15)


def test_quadrature_of_what_double_lost() -> None:
    """As the others."""
    act = Activation("tanh", method="quadrature")
    with pytest.raises(ValueError, match="below the range"):
        Sequential(Dense(1e-200), act, Dense(1e200, 0.1)).nngp(X)


def test_what_is_nearly_zero_beside_a_constant() -> None:
    """Where phi(0) is not 0 a variance of 1e-400 is 0."""
    for name, at_zero in (("sigmoid", 0.5), ("softplus", np.log(2))):
        net = Sequential(Dense(1e-200), Activation(name), Dense(2.0, 0.1))
        np.testing.assert_allclose(net.nngp(X), 4 * at_zero**2 + 0.01, rtol=1e-10)
    net = Sequential(Dense(1e-200), Activation("polynomial", coefficients=(1.0, 2.0)), Dense(2.0, 0.1))
    np.testing.assert_allclose(net.nngp(X), 4.01, rtol=1e-14)


@pytest.mark.parametrize("weight", [1e-140, 1e-160, 1e-200, 1e-250])
def test_gradients_for_tiny_weights(weight: float) -> None:
    """K = sigma_b^2 + sigma_w^2 F: 2 sigma_w F and 2 sigma_b, and of Theta twice or once that and its own part."""
    start = Sequential(Dense(1.2, 0.1), "relu")
    nngp, ntk = Sequential(*start, Dense()).kernels(X)
    by_weight, by_bias = Sequential(*start, Dense(weight, 1.0)), Sequential(*start, Dense(1.0, weight))
    np.testing.assert_allclose(by_weight.nngp.gradient(X)[2], 2 * weight * nngp, rtol=1e-12)
    np.testing.assert_allclose(by_weight.ntk.gradient(X)[2], 2 * weight * ntk, rtol=1e-12)
    for kernel in (by_bias.nngp, by_bias.ntk):
        np.testing.assert_allclose(kernel.gradient(X)[3], 2 * weight, rtol=1e-14)


def test_what_is_infinite_stays_so() -> None:
    """Theta is 1e+720 at the end, K is not: beyond, and no NaN."""
    net = Sequential(*[Dense(1.0), Activation("erf", a=1.0, b=1e60, c=0.5)] * 6)
    with pytest.raises(ValueError, match=r"beyond the range.*NTK inf.* down"):
        net.ntk(X)
    # exp(1e600), whatever comes then
    for last in (Dense(1e-150), Dense(1.0, 0.5), Dense(0.0, 1.0)):
        for following in ("relu", "sign", "erf", "gelu", "gabor", "sin", "rbf", "gaussian"):
            net = Sequential(Dense(1e300), Activation("exp"), Dense(1e-150), following, last)
            with pytest.raises(ValueError, match=r"beyond the range.* down"):
                net.kernels(X)


@pytest.mark.parametrize("q", [600.0, 711.0, 2e3, 2e4, 4e5])
def test_exponentials_beyond_all_range(q: float) -> None:
    """K = exp(2 q) of one number, and layers that bring it back."""
    x = np.array([[np.sqrt(q)]])
    with mp.workdps(60):
        exponent = 2 * mp.mpf(float(x[0, 0])) ** 2
        layers = int(exponent / 1200) + 1
        weight = float(mp.exp(-exponent / (2 * layers)))
        truth = mp.exp(exponent) * mp.mpf(weight) ** (2 * layers)
        net = Sequential(Dense(1.0), Activation("exp"), *[Dense(weight)] * layers)
        assert abs(net.nngp(x)[0, 0] / truth - 1) <= 4e-16


@pytest.mark.parametrize("name", ["relu", "gelu", "erf", "sin", "exp", "gabor", "rectified_monomial"])
@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_zero_rows_are_alike(name: str, bias: float) -> None:
    """One, or many among others: the bits are those of the same rows alone."""
    rng = np.random.default_rng(0)
    x: NDArray[np.float64] = rng.normal(size=(150, 3)) * rng.choice([1e-140, 1.0, 1e3], (150, 1))
    x[rng.random(150) < 0.4] = 0
    if name == "exp":
        x[np.abs(x) > 10] = 1
    net = Sequential(*[Dense(1.1, bias), Activation(name), Dense(0.7)] * (1 if name == "exp" else 2))
    for kernel in (net.nngp, net.ntk):
        together = kernel.diag(x)
        assert np.isfinite(together).all()
        np.testing.assert_array_equal(together, np.concatenate([kernel.diag(row[None]) for row in x]))


def test_polynomials_between_their_powers() -> None:
    """Of phi = x + x^3 / 10^120, which is x where that is below 1e50, and its cube far beyond."""
    act = Activation("polynomial", coefficients=(0.0, 1.0, 0.0, 1e-120))
    for weight, back, truth in ((1.0, 1.0, PRODUCTS), (1e50, 1e-25, PRODUCTS), (1e200, 1e-240, CUBE)):
        net = Sequential(Dense(weight), act, Dense(back), Dense(back, 0.1))
        np.testing.assert_allclose(net.nngp(X), truth + 0.01, rtol=1e-13)
