"""Stated bounds of expansions against truth, at and near abs(rho) = 1: `data/make_diagonal_tables.py`."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

import fastntk
from fastntk import Activation, ToleranceWarning, _core
from fastntk._machine import runtime
from fastntk.activations import moments
from fastntk.activations.interpolation import chebyshev_grid, interpolation_matrix
from fastntk.activations.means import mean

pytestmark = pytest.mark.sweep

TABLES = np.load(Path(__file__).parent / "data" / "diagonal_tables.npz")
CASES = list(enumerate(json.loads(str(TABLES["cases"]))))
Q1, Q2, GAP = TABLES["q1"], TABLES["q2"], TABLES["gap"]

#: Expansions at larger variances take seconds: up to which all are asked, and some.
MOST, MOST_OF = 60.0, {"tanh": 1e4, "elu": 400.0, "softsign": 400.0}

every_case = pytest.mark.parametrize(("index", "case"), CASES, ids=lambda value: str(value))


def duals(act: Activation, q1: float, q2: float, *, single: bool = False) -> NDArray[np.float64]:
    """F and F' for the gaps of the tables as they are, by the arithmetic of the engine."""
    gap = GAP.astype(np.float32 if single else np.float64)
    factor, n = np.ones_like(gap), len(gap)
    make = _core.ProgramFloat32 if single else _core.ProgramFloat64
    program: Any = make(runtime.instruction_set(), 1, np.repeat([q1, q2], n))
    act._dual.add_to(program)
    _core.run_elementwise(runtime.instruction_set(), program, gap, factor)
    scale = np.sqrt(program.variance[:n] * program.variance[n:]).astype(np.float64)
    rho = np.copysign(1 - np.abs(gap.astype(np.float64)), gap)
    return np.stack((rho * scale, factor * scale / np.sqrt(q1 * q2)))


def error(index: int, pair: int, found: NDArray[np.float64]) -> float:
    """The largest of F and F', relative to their diagonals."""
    return float((np.abs(found - TABLES["truth"][index, pair]) / TABLES["scale"][index, pair][:, None]).max())


def asked(case: dict[str, Any]) -> list[int]:
    """Pairs of variances."""
    return [pair for pair, q in enumerate(Q1) if q <= MOST_OF.get(case["name"], MOST)]


@every_case
def test_bounds_are_true(index: int, case: dict[str, Any]) -> None:
    """In float64, at the default tolerance; a bound that exceeds it comes with a warning, and only then."""
    act = Activation(case["name"], **case["parameters"])
    for pair in asked(case):
        q1, q2 = float(Q1[pair]), float(Q2[pair])
        bound = float(act.error_bound(q1, q2))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = duals(act, q1, q2)
        assert [w.category for w in caught] == ([ToleranceWarning] if bound > 1e-10 else []), (q1, q2)
        assert bound >= 1e-10
        assert error(index, pair, found) <= bound, (q1, q2)


@pytest.mark.parametrize("tolerance", [1e-13, 1e-4])
@every_case
def test_bounds_of_other_tolerances_are_true(index: int, case: dict[str, Any], tolerance: float) -> None:
    """Tighter and looser ones."""
    act = Activation(case["name"], tolerance=tolerance, **case["parameters"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToleranceWarning)
        for pair in asked(case)[1::3]:
            q1, q2 = float(Q1[pair]), float(Q2[pair])
            assert error(index, pair, duals(act, q1, q2)) <= float(act.error_bound(q1, q2)), (q1, q2)


@every_case
def test_single_precision(index: int, case: dict[str, Any]) -> None:
    """The default tolerance of 1e-6, and as much again of rounding; gaps are those of float32."""
    act = Activation(case["name"], **case["parameters"])
    for pair in asked(case):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = duals(act, float(Q1[pair]), float(Q2[pair]), single=True)
        if not caught:
            assert error(index, pair, found) <= 2e-6, (Q1[pair], Q2[pair])


@every_case
def test_duplicates_have_the_ntk_of_the_diagonal(index: int, case: dict[str, Any]) -> None:  # noqa: ARG001
    """The diagonal is by quadrature, what is beside it the series."""
    act = Activation(case["name"], **case["parameters"])
    net = fastntk.mlp(1, act)
    for q in (1e-3, 4.5, MOST_OF.get(case["name"], MOST)):
        x = np.full((2, 1), q**0.5)
        for dtype, tolerance in (("float64", float(act.error_bound(q, q))), ("float32", 2e-6)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ToleranceWarning)
                kernel, diagonal = net.ntk(x, dtype=dtype), net.ntk.diag(x)
            assert abs(kernel[0, 1] - kernel[0, 0]) <= tolerance * kernel[0, 0]
            assert abs(kernel[0, 0] - diagonal[0]) <= tolerance * kernel[0, 0]


def test_small_variances() -> None:
    """Below what smooth functions are expanded for: x, x^2 / 2 and x - x |x|, whose second term is not far below."""
    q = 1e-13
    truth = {"tanh": q, "log_cosh": 0.75 * q**2, "softsign": q - 2 * math.sqrt(8 / math.pi) * q**1.5}
    for name, value in truth.items():
        assert float(Activation(name).dual(q, q, q)) == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("name", ["elu", "celu", "selu", "tanh", "softsign", "sigmoid", "silu", "softplus", "mish"])
def test_rounding_in_float32(name: str) -> None:
    """Of both kernels beside float64, for all correlations and variances: what is promised, and what roundings add."""
    near = np.logspace(-6, -2, 30)
    rho = np.concatenate((np.linspace(-1, 1, 201), near - 1, 1 - near))
    x, Y = np.array([[1, 0]], np.float32), np.stack((rho, np.sqrt(1 - rho**2)), axis=1).astype(np.float32)
    promised = 0
    for sigma_w in np.geomspace(0.1, 100, 31):
        net = fastntk.Sequential(fastntk.Dense(sigma_w), name, fastntk.Dense())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ToleranceWarning)
            truth, found = net.kernels(x, Y, dtype="float64"), net.kernels(x, Y)
        if caught:  # more than the tolerance is promised there
            continue
        promised += 1
        for i, kernel in enumerate((net.nngp, net.ntk)):
            largest = float(kernel.diag(x, dtype="float64")[0])
            np.testing.assert_allclose(found[i], truth[i], rtol=0, atol=(1e-6 + 5e-6) * largest)
    assert promised >= 20


@pytest.mark.parametrize(("low", "high"), [(0.5, 3.0), (1e-6, 1e3)])
def test_interpolation(low: float, high: float) -> None:
    """Of polynomials in log q, on the grid itself too, where the formula divides by 0."""
    grid = chebyshev_grid(low, high)
    np.testing.assert_array_equal(interpolation_matrix(grid, grid), np.eye(len(grid)))
    q = np.concatenate((np.geomspace(low, high, 50), grid[[3]], grid[:5] * (1 + 1e-15)))
    x, y = np.log(grid / low) / np.log(high / low), np.log(q / low) / np.log(high / low)
    for degree in (0, 1, 2, 7, 12):
        np.testing.assert_allclose(interpolation_matrix(grid, q) @ x**degree, y**degree, atol=1e-13)


def test_means_beside_a_kink() -> None:
    """Of |x - a| they are known, at any variance."""
    variance = np.array([0.0, 1e-12, 1e-4, 0.1, 1.0, 9.0, 400.0, 1e6])
    for a in (0.3, -2.0):
        function = SimpleNamespace(phi=lambda x, a=a: np.abs(x - a), derivative=lambda x, a=a: np.sign(x - a))
        found, slope = mean(function, (a,), variance)  # type: ignore[arg-type]
        with np.errstate(divide="ignore"):
            bulk = np.sqrt(2 * variance / np.pi) * np.exp(-(a**2) / (2 * variance))
            wanted = bulk + a * erf(a / np.sqrt(2 * variance))
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
        np.testing.assert_allclose(slope, bulk / 2, rtol=1e-12, atol=1e-15)


def test_means_of_what_is_narrow() -> None:
    """Of exp(-x² / 2) they are (1 + q)^-1/2, however wide the Gaussian is."""
    function = SimpleNamespace(phi=lambda x: np.exp(-(x**2) / 2), derivative=lambda x: -x * np.exp(-(x**2) / 2))
    q = np.array([1e-6, 1.0, 1e4, 1e8])
    found, slope = mean(function, (), q)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, (1 + q) ** -0.5, rtol=1e-12)
    np.testing.assert_allclose(slope, -q / 2 * (1 + q) ** -1.5, rtol=1e-11)


def test_moments_of_short_intervals() -> None:
    """Do not cancel: against a rule on each of them."""
    x, w = np.polynomial.legendre.leggauss(40)
    for width in (1.0, 1e-2, 1e-5, 1e-10):
        a = np.array([0.0, 0.5, 3.0, 12.0, 30.0])
        b = a + width
        found = moments._moments(a, b, moments.excesses(a), moments.excesses(b))
        t = (b - a)[:, None] * (x + 1) / 2
        density = (b - a)[:, None] * w / 2 * np.exp(-((a[:, None] + t) ** 2) / 2) / np.sqrt(2 * np.pi)
        wanted = [(t**k * density).sum(axis=1) for k in range(5)]
        np.testing.assert_allclose(found, wanted, rtol=2e-12)
