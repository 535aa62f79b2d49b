"""Functions of a user: what is stated of their error is true, or they are refused.

Truth is the quadrature of `data/make_dual_tables.py`, which is told of all kinks, whether fastntk is or not.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, ToleranceWarning, _core
from fastntk._machine import runtime

Array = NDArray[Any]


def _script() -> Any:
    path = Path(__file__).parent / "data" / "make_dual_tables.py"
    spec = importlib.util.spec_from_file_location("make_dual_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRUTH = _script()

#: What a bound is relative to is a number, not rounding.
SMALLEST = 1e-25


class Case(NamedTuple):
    """phi, phi' and where they, or their derivatives, jump; `features` are for the quadrature alone."""

    phi: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()
    features: tuple[float, ...] = ()


def families(rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """One random member of each family."""
    a, b, c = rng.normal(size=3).tolist()
    f, k = float(rng.uniform(0.3, 6)), float(rng.choice([0.0, rng.normal(), 2 * rng.normal()]))
    end = k + float(rng.exponential())
    steep = 30 * f
    yield (
        "smooth",
        Case(
            lambda x: a * np.tanh(f * x) + b * np.cos(f * x + c),
            lambda x: a * f / np.cosh(np.minimum(np.abs(f * x), 300)) ** 2 - b * f * np.sin(f * x + c),
        ),
    )
    yield "jump", Case(lambda x: np.where(x > k, 1 + a * x, b), lambda x: np.where(x > k, a, 0.0), (k,))
    yield "jump and wave", Case(lambda x: a * np.sign(x - k) + np.sin(f * x), lambda x: f * np.cos(f * x), (k,))
    yield "step", Case(lambda x: np.where(x > k, a, b), np.zeros_like, (k,))
    yield "kink", Case(lambda x: np.abs(x - k) + a * np.sin(x), lambda x: np.sign(x - k) + a * np.cos(x), (k,))
    yield (
        "elu",
        Case(
            lambda x: np.where(x > k, b * (x - k), a * np.expm1(np.minimum(x - k, 0))),
            lambda x: np.where(x > k, b, a * np.exp(np.minimum(x - k, 0))),
            (k,),
        ),
    )
    yield (
        "bump",
        Case(
            lambda x: np.where((x > k) & (x < end), 1 + a * x * x, 0.0) + b,
            lambda x: np.where((x > k) & (x < end), 2 * a * x, 0.0),
            (k, end),
        ),
    )
    yield (
        "curve",
        Case(lambda x: np.where(x > k, 1, a) * (x - k) ** 2 + b, lambda x: 2 * np.where(x > k, 1, a) * (x - k), (k,)),
    )
    yield "cubic", Case(lambda x: np.maximum(x - k, 0) ** 3 + b * x, lambda x: 3 * np.maximum(x - k, 0) ** 2 + b, (k,))
    yield "oscillating", Case(lambda x: np.sin(4 * f * x) + a, lambda x: 4 * f * np.cos(4 * f * x))
    yield "growing", Case(lambda x: np.exp(a * x), lambda x: a * np.exp(a * x))
    yield "growing fast", Case(lambda x: np.exp(0.2 * f * x * x), lambda x: 0.4 * f * x * np.exp(0.2 * f * x * x))
    yield (
        "steep",
        Case(
            lambda x: np.tanh(steep * (x - k)),
            lambda x: steep / np.cosh(np.minimum(np.abs(steep * (x - k)), 300)) ** 2,
            features=tuple(k + j / (2 * steep) for j in range(-30, 31)),
        ),
    )
    yield (
        "pole of the slope",
        Case(lambda x: np.sqrt(np.abs(x - k)), lambda x: np.sign(x - k) / (2 * np.sqrt(np.abs(x - k) + 1e-300)), (k,)),
    )
    yield "wrong derivative", Case(np.tanh, lambda x: a + b * x)


def duals(act: Activation, q1: float, q2: float, rho: Array) -> Array:
    """F and F' by the arithmetic of the engine, of correlations that are exact."""
    gap, factor, n = np.copysign(1 - np.abs(rho), rho), np.ones_like(rho), len(rho)
    program = _core.ProgramFloat64(runtime.instruction_set(), 1, np.repeat([q1, q2], n))
    act._dual.add_to(program)
    _core.run_elementwise(runtime.instruction_set(), program, gap, factor)
    scale = np.sqrt(program.variance[:n] * program.variance[n:]).astype(np.float64)
    return np.stack((np.copysign(1 - np.abs(gap), gap) * scale, factor * scale / math.sqrt(q1 * q2)))


def check(name: str, case: Case, act: Activation, q1: float, q2: float, rho: Array) -> str:
    """What came of it: a refusal, no bound and a warning, or an error that is below the bound."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = duals(act, q1, q2, rho)
        except ValueError as refusal:
            return "refused" if "finite" in str(refusal) else str(refusal)
        warned = {w.category for w in caught}
        bound = float(act.error_bound(q1, q2))
    assert warned <= {ToleranceWarning}
    assert bound >= 1e-10
    if bound > 1e-10:
        assert warned, (name, bound)
    if not math.isfinite(bound):
        return "no bound"
    function = TRUTH.Function(case.phi, case.derivative, case.kinks + case.features, 10.0, 0.5)
    diagonal = np.array([TRUTH.parallel(function, q, q, 1, TRUTH.FINE) for q in (q1, q2)])
    truth = np.array([TRUTH.quadrature(function, q1, q2, float(r), TRUTH.FINE) for r in rho]).T
    scale = np.sqrt(diagonal.prod(axis=0))
    error = np.abs(found - truth).max(axis=1) / np.where(scale > SMALLEST, scale, 1)
    assert error.max() <= bound, (name, q1, q2, error, bound)
    return "true"


@pytest.mark.parametrize("seed", range(2))
def test_bounds_are_true(seed: int) -> None:
    """Of random functions and variances, with and without the derivative, with and without their kinks named."""
    rng = np.random.default_rng(seed)
    outcomes = set()
    for i, (name, case) in enumerate(families(rng)):
        q1 = float(10.0 ** rng.uniform(-2, 1))
        q2 = q1 * float(rng.choice([1.0, 10.0 ** rng.uniform(-0.5, 0.5)]))
        rho = np.array([1.0, -1.0, 1 - 2.0 ** -int(rng.integers(4, 40)), float(rng.uniform(-1, 1))])
        # What is not named takes the longest series, a second each.
        named, given = (i + 3 * seed) % 7 > 0, (i + seed // 2) % 2 > 0 or name == "wrong derivative"
        act = Activation(case.phi, case.derivative if given else None, case.kinks if named else (), name)
        outcomes.add(check(name, case, act, q1, q2, rho))
    assert "true" in outcomes
    assert outcomes <= {"true", "refused", "no bound"}


def test_a_jump_at_zero_that_is_named() -> None:
    """It is that of sign: the arc sine law, and no derivative; also with a slope and a kink, for rows near 0 too."""
    for derivative in (np.zeros_like, None):
        act = Activation(np.sign, derivative, kinks=[0])
        assert act.error_bound(1.0, 1.0) == 1e-10
        for q in (1e-14, 1.0, 100.0):
            c = np.array([1, 0.5, -0.3, -1]) * q
            np.testing.assert_allclose(act.dual(c, q, q), 2 / np.pi * np.arcsin(c / q), rtol=0, atol=1e-10)
            assert np.abs(act.dual_derivative(c, q, q)).max() <= 1e-10
        x = np.array([[1.0, 2.0], [1.0, 2.0], [-1.0, 0.3], [0.0, 0.0]])
        for dtype, atol in (("float64", 1e-9), ("float32", 1e-5)):
            mine, named = (fastntk.mlp(1, a, 1.0, 0.1).ntk(x, dtype=dtype) for a in (act, Activation("sign")))
            np.testing.assert_allclose(mine, named, atol=atol)
    shifted = Activation(lambda x: np.where(x > 0, 1 + x, 0.0), lambda x: 1.0 * (x > 0), kinks=[0])
    assert float(shifted.dual_derivative(1.0, 1.0, 1.0)) == pytest.approx(0.5, abs=1e-10)
    assert float(shifted.dual(1.0, 1.0, 1.0)) == pytest.approx(1 + 2 / math.sqrt(2 * math.pi), abs=1e-10)


@pytest.mark.parametrize("phi", [np.sign, np.round, lambda x: 1.0 * (x > 0.7)], ids=["0", "many", "0.7"])
@pytest.mark.parametrize("derivative", [np.zeros_like, None], ids=["given", "differences"])
def test_a_jump_that_is_not_named(phi: Any, derivative: Any) -> None:
    """There is no bound, and a warning; F' of the series is not that of the function."""
    act = Activation(phi, derivative, name="stairs")
    assert act.error_bound(1.0, 1.0) == np.inf
    with pytest.warns(ToleranceWarning, match="stairs .* not bounded .*kinks="):
        fastntk.mlp(1, act).ntk([[1.0, 2.0], [0.5, 1.0]])


@pytest.mark.filterwarnings("ignore::fastntk.ToleranceWarning")
def test_mean_squares_that_are_infinite() -> None:
    """E[exp(2 x^2)] is from variance 1/4 on; before, its closed form. And functions whose mass is beyond the nodes."""
    grows = Activation(lambda x: np.exp(x**2), name="grows")
    for q in (0.25, 0.3, 1.0):
        for call in (grows.dual, grows.dual_derivative):
            with pytest.raises(ValueError, match=r"grows .*infinite"):
                call(q / 2, q, q)
        with pytest.raises(ValueError, match=r"grows .*infinite"):
            grows.error_bound(q, q)
        with pytest.raises(ValueError, match=r"grows .*infinite"):
            fastntk.mlp(1, grows).nngp(np.full((2, 1), q**0.5))
    exact = Activation("gaussian", b=1.0)
    for q in (0.05, 0.15):
        scale, bound = float(exact.dual(q, q, q)), float(grows.error_bound(q, q))
        for rho in (-1.0, 0.3, 1.0):
            assert abs(float(grows.dual(rho * q, q, q)) - float(exact.dual(rho * q, q, q))) <= bound * scale
    with pytest.raises(ValueError, match=r"must be finite where it is evaluated; at x = .* it is inf"):
        grows.dual(0.0, 900.0, 900.0)
    far = Activation(np.exp, np.exp)
    with pytest.raises(ValueError, match="standard deviations"):
        far.dual(0.0, 150.0, 150.0)
    with pytest.raises(ValueError, match=r"activation function hole must .* at x = .* it is nan"):
        Activation(lambda x: np.where(x > 3, np.nan, x), name="hole").dual(0.0, 1.0, 1.0)


def test_a_wrong_derivative_is_noticed() -> None:
    """F' is the slope of F: where E[phi'^2] is another number, there is no bound that means something."""
    act = Activation(np.tanh, lambda x: 3 + 0 * x)
    assert act.error_bound(1.0, 1.0) == np.inf
    with pytest.warns(ToleranceWarning):
        act.dual_derivative(0.5, 1.0, 1.0)


@pytest.mark.parametrize("make", [np.poly1d, lambda c: np.polynomial.Polynomial(c[::-1])])
def test_functions_without_a_hash(make: Callable[[list[float]], Any]) -> None:
    """Are functions as others: NumPy's polynomials, which are compared by their coefficients."""
    f = make([0.3, 1.0, 0.2])
    act, again = (Activation(g, g.deriv(), name="mine") for g in (f, make([0.3, 1.0, 0.2])))
    assert act == again
    assert hash(act) == hash(again)
    assert act != Activation(make([0.4, 1.0, 0.2]), f.deriv(), name="mine")
    X = np.random.default_rng(0).normal(size=(4, 3))
    named = fastntk.mlp(1, "polynomial", coefficients=[0.2, 1.0, 0.3])
    np.testing.assert_allclose(fastntk.mlp(1, act).ntk(X), named.ntk(X), rtol=1e-9)
