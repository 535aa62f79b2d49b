"""Polynomials at variances of any size, against their moments in rational arithmetic (Isserlis)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import sqrt

import numpy as np
import pytest

import fastntk
from fastntk import Activation, mlp

pytestmark = pytest.mark.sweep

#: Coefficients of each activation, from its definition.
POLYNOMIALS: list[tuple[Activation, tuple[float, ...]]] = [
    *((Activation("monomial", degree=n), (0.0,) * n + (1.0,)) for n in range(2, 6)),
    *(
        (Activation("polynomial", coefficients=p), p)
        for p in (
            (0.3, -1.0, 0.5, 0.25),
            (0.0, 2.0, 0.0, -0.5),
            (0.0, 0.0, 1.0, 3.0),
            (1.5, 0.0, 0.0, -0.25),
            (-0.5, 0.0, 1.0),
            (0.0, 0.0, 0.0, 0.0, 1e-3, 2.0),
            (2.0,),
        )
    ),
    (Activation("hermite", degree=2), (-sqrt(0.5), 0.0, sqrt(0.5))),
    (Activation("hermite", degree=3), (0.0, -3 / sqrt(6), 0.0, 1 / sqrt(6))),
    (Activation("hermite", degree=4), (3 / sqrt(24), 0.0, -6 / sqrt(24), 0.0, 1 / sqrt(24))),
]
VARIANCES = [1e-30, 1e-16, 1e-12, 1.4e-11, 1e-8, 1e-4, 0.3, 1.0, 7.0, 1e4]


def expectation(left: Sequence[Fraction], right: Sequence[Fraction], c: float, q1: float, q2: float) -> Fraction:
    """E[left(u) right(v)], by E[u g(u, v)] = q1 E[dg/du] + c E[dg/dv]."""
    covariance, first, second = Fraction(c), Fraction(q1), Fraction(q2)

    @lru_cache
    def moment(i: int, j: int) -> Fraction:
        if i == 0:
            return Fraction(j == 0) if j < 2 else (j - 1) * second * moment(0, j - 2)
        own = (i - 1) * first * moment(i - 2, j) if i > 1 else Fraction(0)
        return own + (j * covariance * moment(i - 1, j - 1) if j else 0)

    return sum((a * b * moment(i, j) for i, a in enumerate(left) for j, b in enumerate(right)), Fraction(0))


@pytest.mark.parametrize(("act", "coefficients"), POLYNOMIALS, ids=[repr(act) for act, _ in POLYNOMIALS])
def test_duals(act: Activation, coefficients: tuple[float, ...]) -> None:
    """F and F', relative to sqrt(F(q1, q1) F(q2, q2)), at variances from 1e-30 to 1e4 and pairs of them."""
    phi = [Fraction(a) for a in coefficients]
    slope = [i * a for i, a in enumerate(phi)][1:]
    for q1 in VARIANCES:
        for q2 in (q1, 2.0):
            for rho in (1.0, 0.999, 0.3, -0.8):
                c = rho * sqrt(q1) * sqrt(q2)
                for dual, p in ((act.dual, phi), (act.dual_derivative, slope)):
                    scale = sqrt(expectation(p, p, q1, q1, q1)) * sqrt(expectation(p, p, q2, q2, q2))
                    error = Fraction(float(dual(c, q1, q2))) - expectation(p, p, c, q1, q2)
                    assert abs(float(error)) <= 2e-14 * scale, (dual.__name__, q1, q2, rho)


@pytest.mark.parametrize(("act", "coefficients"), POLYNOMIALS, ids=[repr(act) for act, _ in POLYNOMIALS])
def test_limits_at_zero(act: Activation, coefficients: tuple[float, ...]) -> None:
    """F(0, 0) = phi(0)^2 and F'(0, 0) = phi'(0)^2."""
    second = coefficients[1] if len(coefficients) > 1 else 0.0
    assert act.dual(0.0, 0.0, 0.0) == pytest.approx(coefficients[0] ** 2, rel=1e-14)
    assert act.dual_derivative(0.0, 0.0, 0.0) == pytest.approx(second**2, rel=1e-14)


@pytest.mark.parametrize("size", [1e-15, 1e-6, 1e-3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_and_their_gradient(size: float, dtype: type[np.floating]) -> None:
    """mlp(1, x^3, w, 0): K = w^8 (9 q1 q2 c + 6 c^3) and Theta = K + w^8 c (9 q1 q2 + 18 c^2), of degree 8 in w."""
    x = np.random.default_rng(0).normal(size=(5, 3))
    x = (size * x / np.linalg.norm(x, axis=1, keepdims=True) * [[1.0], [2.0], [1.0], [0.5], [3.0]]).astype(dtype)
    c = x.astype(np.longdouble) @ x.T.astype(np.longdouble) / 3
    q, w = np.diag(c), 1.25
    scale = np.sqrt(np.outer(15 * q**3, 15 * q**3)) * w**8
    wanted = w**8 * (9 * np.outer(q, q) * c + 6 * c**3)
    theta = wanted + w**8 * c * (9 * np.outer(q, q) + 18 * c**2)
    net = mlp(1, Activation("monomial", degree=3), w, 0.0)
    if dtype == np.float32 and size < 1e-6:
        with pytest.raises(ValueError, match="below the range of float32"):
            net.nngp(x)
        return
    tolerance = 1e-6 if dtype == np.float32 else 2e-14
    pairs = [kernel.value_and_gradient(x, shared=True) for kernel in (net.nngp, net.ntk)]
    values, slopes = (fastntk.Kernels(*part) for part in zip(*pairs, strict=True))
    for found in (values, net.kernels(x)):
        assert np.abs(found.nngp / scale - wanted / scale).max() <= tolerance
        assert np.abs(found.ntk / scale - theta / scale).max() <= 4 * tolerance
    assert np.abs(slopes.nngp[0] / scale - 8 * wanted / w / scale).max() <= 10 * tolerance
    assert np.abs(slopes.ntk[0] / scale - 8 * theta / w / scale).max() <= 40 * tolerance


def test_what_vanishes_is_refused() -> None:
    """Never a zero that is none."""
    with pytest.raises(ValueError, match="below the range of float64"):
        mlp(1, Activation("monomial", degree=5), 1.0, 0.0).nngp([[1e-40, 2e-40]])
    act = Activation("polynomial", coefficients=(1.0, 0.0, 0.0, 1.0))
    np.testing.assert_allclose(mlp(1, act, 1.0, 0.0).ntk([[1e-40, 2e-40]]), 1.0, rtol=1e-14)
    assert fastntk.mlp(1, act, 1.0, 0.0).nngp([[0.0, 0.0]]) == 1.0
