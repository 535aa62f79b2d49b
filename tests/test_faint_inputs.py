"""Activations without closed form where inputs are small, zero, of one norm, or where the function is zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import fastntk
from fastntk import Activation, ToleranceWarning

pytestmark = pytest.mark.sweep

Phi = Callable[[Any], Any]

SMALL = [1e-6, 1e-12, 1e-18, 1e-21]


def clip(x: Any) -> Any:
    """ReLU up to 6, as a callable."""
    return np.clip(x, 0.0, 6.0)


def clip_slope(x: Any) -> Any:
    """Its derivative."""
    return 1.0 * ((x > 0) & (x < 6))


@pytest.mark.parametrize("q", SMALL)
def test_kinks_at_small_variances(q: float) -> None:
    """Far from its other kink it is ReLU (Cho and Saul 2009, eq. 4), at rho = 1/2."""
    act = Activation(clip, clip_slope, kinks=(0, 6))
    angle = math.pi / 3
    relu = q / (2 * math.pi) * (math.sin(angle) + (math.pi - angle) * math.cos(angle))
    assert float(act.dual(q / 2, q, q)) == pytest.approx(relu, rel=1e-9)
    assert float(act.dual_derivative(q / 2, q, q)) == pytest.approx((math.pi - angle) / (2 * math.pi), rel=1e-9)


@pytest.mark.parametrize("q", SMALL)
@pytest.mark.parametrize(
    ("name", "phi", "slope"),
    [
        ("elu", lambda x: x if x > 0 else mp.expm1(x), lambda x: 1 if x > 0 else mp.exp(x)),
        ("softsign", lambda x: x / (1 + abs(x)), lambda x: (1 + abs(x)) ** -2),
        ("tanh", mp.tanh, lambda x: mp.sech(x) ** 2),
    ],
)
def test_expansions_at_small_variances(name: str, phi: Phi, slope: Phi, q: float) -> None:
    """F(q, q, q) and F'(q, q, q) are mean squares."""
    act = Activation(name)
    with mp.workdps(40):
        s = mp.sqrt(mp.mpf(q))

        def mean_square(f: Phi) -> float:
            return float(mp.quad(lambda z: f(s * z) ** 2 * mp.npdf(z), [-14, -5, -1, 0, 1, 5, 14]))

        expected, expected_slope = mean_square(phi), mean_square(slope)
    bound = float(act.error_bound(q, q))
    assert bound == 1e-10
    assert float(act.dual(q, q, q)) == pytest.approx(expected, rel=bound)
    assert float(act.dual_derivative(q, q, q)) == pytest.approx(expected_slope, rel=bound)


def test_rows_that_are_zero_or_faint(rng: np.random.Generator) -> None:
    """Do not change what others are, and are what ReLU makes of them, or 0."""
    X = rng.normal(size=(12, 4))
    X[3], X[7], X[9] = 0, 0, 1e-10 * X[9]
    act = Activation(clip, clip_slope, kinks=(0, 6))
    theta, relu = fastntk.mlp(2, act, 1.4).ntk(X), fastntk.mlp(2, "relu", 1.4).ntk(X)
    np.testing.assert_array_equal(theta[[3, 7]], 0)
    assert theta[9, 9] == pytest.approx(relu[9, 9], rel=1e-9)
    others = [i for i in range(12) if i not in (3, 7, 9)]
    np.testing.assert_allclose(theta[np.ix_(others, others)], fastntk.mlp(2, act, 1.4).ntk(X[others]), rtol=1e-8)
    # In a dead zone the built-in one is exact.
    X[9] = X[0]
    mine = Activation(lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), kinks=(-0.5, 0.5))
    np.testing.assert_allclose(
        fastntk.mlp(1, mine).nngp(X), fastntk.mlp(1, "soft_shrink").nngp(X), rtol=1e-9, atol=1e-14
    )


@pytest.mark.parametrize("name", ["", "dead"])
def test_zero_wherever_it_is_seen(name: str) -> None:
    """Is refused, and by the right advice, whatever its name."""
    act, q = Activation(lambda x: np.maximum(x - 0.5, 0), name=name), 0.0015
    with pytest.raises(ValueError, match=r"is 0 wherever it is evaluated.*scale the inputs up"):
        act.dual(q, q, q)
    with pytest.raises(ValueError, match=r"is 0 wherever it is evaluated.*scale the inputs up"):
        act.error_bound(q, q)


@pytest.mark.parametrize("kinks", [(), (0.5,)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_everywhere(kinks: tuple[float, ...], dtype: str) -> None:
    """Is no underflow: kernels are 0, or the variance of the bias, and so are their derivatives."""
    act = Activation(lambda x: 0 * x, kinks=kinks)
    X = np.random.default_rng(0).normal(size=(4, 3))
    for kernel in fastntk.mlp(1, act).kernels(X, dtype=dtype):
        np.testing.assert_array_equal(kernel, 0)
    theta, slopes = fastntk.mlp(1, act, 1.0, 0.5).ntk.value_and_gradient(X, dtype=dtype, shared=True)
    np.testing.assert_array_equal(theta, 0.25)
    np.testing.assert_allclose(slopes[0], 0, atol=1e-7)
    np.testing.assert_allclose(slopes[1], 1, rtol=1e-6)
    assert float(act.error_bound(1.0, 1.0)) <= 1e-10


@pytest.mark.parametrize("name", ["", "mine"])
def test_an_empty_name_hides_nothing(name: str) -> None:
    """What is verified of a callable does not depend on what it is called."""
    grows = Activation(lambda x: np.exp(x**2), name=name)
    with pytest.raises(ValueError, match="infinite"):
        grows.dual(1.0, 1.0, 1.0)
    jumps = Activation(lambda x: np.where(x > 0.3, 1.0, -1.0), name=name)
    assert jumps.error_bound(0.1, 0.1) == np.inf
    with pytest.warns(ToleranceWarning, match="not bounded"):
        jumps.dual(0.1, 0.1, 0.1)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "elu", Activation(clip, clip_slope, kinks=(0, 6))], ids=str)
def test_gradients_of_rows_of_one_norm(activation: Any, rng: np.random.Generator) -> None:
    """Norms that are equal but for rounding: derivatives agree with central differences."""
    X = rng.normal(size=(15, 6))
    X /= np.linalg.norm(X, axis=1, keepdims=True)

    def kernel(w: float) -> Any:
        return fastntk.mlp(2, activation, w, 0.1).ntk(X)

    _, slopes = fastntk.mlp(2, activation, 1.3, 0.1).ntk.value_and_gradient(X, shared=True)
    h = 1e-4
    differences = (8 * (kernel(1.3 + h) - kernel(1.3 - h)) - (kernel(1.3 + 2 * h) - kernel(1.3 - 2 * h))) / (12 * h)
    np.testing.assert_allclose(slopes[0], differences, rtol=1e-6, atol=1e-6)
