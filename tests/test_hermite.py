"""The numerical tools of expansions against sums and integrals that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermeval

from fastntk.activations import hermite


def test_hermite_functions() -> None:
    """The recurrence of the core against NumPy's polynomials."""
    z = np.linspace(-5, 9, 71)
    orders = np.array([0, 1, 2, 5, 20, 30])
    computed = hermite.functions(z, orders)
    for row, k in zip(computed, orders.tolist(), strict=True):
        factor = math.sqrt(math.factorial(k))
        expected = hermeval(z, [0.0] * k + [1.0]) / factor * np.exp(-z * z / 4) / (2 * np.pi) ** 0.25
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-13)


def test_hermite_functions_of_high_order_are_orthonormal() -> None:
    """Over the whole range of their argument, where it is within that of float64."""
    z = np.linspace(-45, 45, 6001)
    rows = hermite.functions(z, np.array([0, 1, 399, 400]))
    np.testing.assert_allclose(rows @ rows.T * (z[1] - z[0]), np.eye(4), rtol=0, atol=1e-12)


def test_hermite_functions_of_asymptotic_order() -> None:
    """Their expansion against the recurrence that they satisfy, which lower orders are computed by."""
    z = np.linspace(0, 10.5, 211)
    first, last = 1022, 1500
    orders = np.arange(first, last + 1)
    rows = hermite.functions(z, orders)
    before, now = rows[0], rows[1]
    for row, k in zip(rows[2:], orders[1:-1].tolist(), strict=True):
        before, now = now, (z * now - math.sqrt(k) * before) / math.sqrt(k + 1)
        np.testing.assert_allclose(row, now, rtol=0, atol=1e-13)
    # Of far higher ones, over a long time, three that follow each other.
    low, middle, high = hermite.functions(z, np.array([262143, 262144, 262145]))
    residual = math.sqrt(262145) * high - z * middle + math.sqrt(262144) * low
    assert np.abs(residual).max() < 1e-12 * math.sqrt(262144)


def test_half_range_integrates() -> None:
    """Moments of the normal distribution, and a Hermite coefficient of high order: sqrt(2/pi) ... of |z|."""
    nodes = hermite.half_range(0.1, 4000)
    for power, moment in ((0, 1), (2, 1), (4, 3), (6, 15)):
        assert nodes.z**power @ nodes.density == pytest.approx(moment, rel=1e-13)
    even = hermite.functions(nodes.z, np.arange(0, 4001, 2))
    squares = ((nodes.z * nodes.root_density) @ even.T) ** 2
    # E |z| h_2m = sqrt(2/pi) (-1)^(m+1) (2m - 3)!! / sqrt((2m)!)
    expected = [2 / np.pi, 1 / np.pi]
    for m in range(2, 30):
        expected.append(expected[-1] * (2 * m - 3) ** 2 / (2 * m * (2 * m - 1)))
    np.testing.assert_allclose(squares[:30], expected, rtol=0, atol=1e-13)
    assert 1 - squares.sum() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("tolerance", "error"), [(1e-6, 5e-7), (1e-8, 3e-9), (1e-10, 1e-10), (1e-13, 3e-11)])
def test_thinned_sums(tolerance: float, error: float) -> None:
    """Sums over 2^18 terms of functions like the coefficients, from 100 to 250 of them; all weights are positive.

    The slowest functions that are tried, of scale 30, are harder than coefficients: those start smoothly.
    """
    rule = hermite.thinning(tolerance, 2**18)
    assert len(rule.m) < 270
    assert (rule.weight > 0).all()
    steps = rule.multiple * 2.0 ** np.maximum(rule.level - 1, 0)
    np.testing.assert_array_equal(np.diff(rule.m), steps[:-1])
    m = np.arange(rule.next)
    for decay in (1e-6, 1e-4, 1e-2, 0.5):
        for terms in ((m + 1.0) ** -2.5, np.exp(-np.sqrt(m / 30.0)), (m + 5.0) ** -1.5):
            sequence = terms * np.exp(-decay * m)
            assert float(rule.weight @ sequence[rule.m]) == pytest.approx(float(sequence.sum()), rel=error)
