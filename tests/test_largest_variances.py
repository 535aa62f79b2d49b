"""Expansions at the largest variances they accept, where their series are longest: every way through the core.

Under the address sanitizer (`.ci/run`) an array that is too short ends the process.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Activation, ToleranceWarning, _core
from fastntk.activations import hermite
from fastntk.activations.duals import Expanded
from fastntk.activations.expansion import _TOPS
from fastntk.activations.interpolation import LARGEST_VARIANCE
from fastntk.activations.registry import REGISTRY
from fastntk.activations.series import _OCTAVES

pytestmark = pytest.mark.sweep

EXPANSIONS = [
    name for name, family in REGISTRY.items() if not any(p.default is None for p in family.parameters.values())
]
EXPANSIONS = [name for name in EXPANSIONS if isinstance(Activation(name)._dual, Expanded)]

#: Where the bend of x |x| is taken out, and the series of float64 go on beyond the last exponent.
BENT: list[tuple[str, float, float | None]] = [(name, 1000.0, None) for name in ("elu", "selu", "celu", "softsign")]

#: Elsewhere all is in reach of a loose tolerance, or takes the longest series.
LARGEST: list[tuple[str, float, float | None]] = [(name, LARGEST_VARIANCE, 1e-5) for name in EXPANSIONS]

rng = np.random.default_rng(0)


def rows(variance: float) -> Any:
    """Duplicates, near-duplicates and antipodes among rows of that variance, at most."""
    x = rng.normal(size=(13, 4))
    x[1], x[2], x[3] = x[0], -x[0], x[0] + 1e-7
    return x * (2 * variance**0.5 / np.linalg.norm(x, axis=1, keepdims=True)) * (1 - 1e-12)


@pytest.mark.parametrize(("name", "variance", "tolerance"), BENT + LARGEST)
def test_every_way_through_the_core(name: str, variance: float, tolerance: float | None) -> None:
    """Kernels in both precisions, gradients, products and duals: finite, and one number for duplicates."""
    act = Activation(name, tolerance=tolerance)
    x, net = rows(variance), fastntk.mlp(1, act)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToleranceWarning)
        for dtype, share in (("float64", 1e-3), ("float32", 2e-2)):
            both = net.kernels(x, dtype=dtype)
            for kernel in both:
                assert np.isfinite(kernel).all()
                assert abs(kernel[0, 1] - kernel[0, 0]) <= share * kernel[0, 0]
        assert np.isfinite(net.ntk(x, x[:3])).all()
        assert np.isfinite(net.ntk.operator(x) @ np.ones(len(x))).all()
        q = variance * (1 - 1e-12)
        assert np.isfinite(act.dual_derivative([q, -q, 0.999 * q], q, q)).all()
        assert all(
            np.isfinite(slope).all()
            for _, slope in (net.ntk.value_and_gradient(x), net.nngp.value_and_gradient(x, shared=True))
        )


def test_the_longest_series_fits_into_the_core() -> None:
    """Of every tolerance, at the last exponent that is tried and continued; the core refuses what is longer."""
    reached = 0
    for tolerance in 10.0 ** np.arange(-17, -4):
        rule = hermite.thinning(tolerance, _TOPS[-1] * 2**_OCTAVES)
        reached = max(reached, int(rule.level.max()))
        program(rule.level, rule.multiple)
    assert reached == 25
    with pytest.raises(ValueError, match="levels"):
        program(np.array([0, 26, 0]), np.array([1, 1, 1]))
    with pytest.raises(ValueError, match="order of levels"):
        program(np.array([3, 2, 0]), np.array([1, 1, 1]))
    with pytest.raises(ValueError, match="multiples"):
        program(np.array([0, 3, 0]), np.array([1, 11, 1]))


def program(level: Any, multiple: Any) -> None:
    """One sample, one series of even terms with these steps."""
    count = len(level)
    zeros = np.zeros(count)
    steps = (np.append(level[:-1], 0), np.append(multiple[:-1], 0))
    columns = np.concatenate((zeros, *steps, *[zeros] * 5))
    one = np.ones(1)
    _core.ProgramFloat64("baseline", 1, one).expansion(
        [0, count, 0, 0, 1e-10, *columns.tolist()], np.zeros((count, 1)), one, one
    )


@pytest.mark.parametrize(
    ("parameters", "tables", "what"),
    [
        ([0, 1, 0, 0], (1, 1), "number of parameters"),
        ([0, 1, 0, 0, 1e-10], (1, 1), "number of parameters"),
        ([0, -1, 0, 0, 1e-10], (0, 1), "number of terms"),
        ([0, 0, 0, 3, 1e-10], (0, 1), "bends"),
        ([0, 0, 0, float("nan"), 1e-10], (0, 1), "bends"),
        ([2, 0, 0, 0, 1e-10], (1, 1), "number of tables"),
        ([0, 0, 0, 2, 1e-10], (0, 1), "number of tables"),
        ([0, 0, 0, 0, 1e-10], (0, 2), "does not fit the samples"),
    ],
)
def test_what_does_not_fit_is_refused(parameters: list[float], tables: tuple[int, int], what: str) -> None:
    """Before anything is computed: numbers that do not belong together, and tables of other samples."""
    one = np.ones(1)
    with pytest.raises(ValueError, match=what):
        _core.ProgramFloat64("baseline", 1, one).expansion(parameters, np.zeros(tables), one, one)


def test_pieces_that_do_not_fit_are_refused() -> None:
    """The numbers of thresholds and of tables."""
    one = np.ones(1)
    one_kink, orders = [3.0, 1.0, 1.0, 1.0], [2.0, 1.0, 0.0, 0.0, 0.0, 0.7, 1e-16]
    cases: list[tuple[list[float], int]] = [
        ([3], 12),
        ([3, 1], 23),
        (one_kink, 23),
        ([*one_kink, *orders], 25),
        ([*one_kink, *orders], 27),
        ([*one_kink, -1, *orders[1:]], 23),
    ]
    for parameters, tables in cases:
        with pytest.raises(ValueError, match="wrong number"):
            _core.ProgramFloat64("baseline", 1, one).pieces(parameters, np.zeros((tables, 1)), one, one)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["hard_tanh", "relu6", "hard_sigmoid"])
def test_where_saturated_parts_cancel(name: str, dtype: str) -> None:
    """At any variance: right, or with a warning that tells no less than the error, or refused; phi is nearly a step."""
    theta = np.linspace(0.01, np.pi - 0.01, 50)
    x, Y = np.array([[1.0, 0.0]]), np.stack((np.cos(theta), np.sin(theta)), axis=1)
    sign = 2 / np.pi * np.arcsin(np.cos(theta))
    expected = sign if name == "hard_tanh" else (1 + sign) / 2
    ends = set()
    for power in np.arange(4.5, 30):
        net = fastntk.mlp(1, name, 1.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ToleranceWarning)
            try:
                rows = [(10.0**power * z).astype(dtype) for z in (x, Y)]
                found = net.nngp(*rows)[0] / net.nngp.diag(rows[0])
            except ValueError as error:
                assert "accepts up to" in str(error)  # noqa: PT017
                ends.add("refused")
                continue
        stated = 1e-6
        if caught:
            stated = float(str(caught[0].message).split("up to ")[1].split(",")[0])
            ends.add("warned")
        ramp = 12 / 10.0**power  # no step between the kinks, which are at most 6 apart
        assert np.abs(found - expected).max() <= stated + ramp
    assert ends == {"warned", "refused"}
