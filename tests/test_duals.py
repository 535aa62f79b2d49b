"""Dual activations against independent truth: `data/make_dual_tables.py` says how the tables were made.

The points: variances 4^-10 to 1e4, equal and unequal, correlations 0, ±1/2, ±29/32, ±127/128, ±(1 - 2^-20), ±1, such
that c and the gap are exact in float64. Errors are relative to sqrt(F(q1, q1) F(q2, q2)).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, ToleranceWarning, _core
from fastntk._machine import runtime
from fastntk.activations.registry import REGISTRY

pytestmark = pytest.mark.sweep

Float = NDArray[np.float64]

TABLES = np.load(Path(__file__).parent / "data" / "dual_tables.npz")
Q, RHO, PAIRS = TABLES["q"], TABLES["rho"], TABLES["pairs"]
Q1, Q2 = Q[PAIRS[:, :1]], Q[PAIRS[:, 1:]]
SAME = np.flatnonzero(PAIRS[:, 0] == PAIRS[:, 1])

#: Of the scale: what is less is no number of float32.
SMALLEST = 1e-30

Case = tuple[int, str, dict[str, Any]]
CASES: list[Case] = [(i, case["name"], case["parameters"]) for i, case in enumerate(json.loads(str(TABLES["cases"])))]

#: Pairs of variances for expansions: every one alone, and the most unequal; those with 1e4 take a second each.
CHOSEN = [i for i, (a, b) in enumerate(PAIRS.tolist()) if a == b or (a, b) in ((0, 3), (1, 4), (2, 3))]

#: Where a tolerance is out of reach, in F' at variances of 1e4, where phi would need more than 10^6 terms.
#: There the error is to stay below what the warning says.
HARD = {"tanh", "softplus", "elu", "selu", "celu", "softsign"}


def expanded(act: Activation) -> bool:
    """Whether its accuracy is a matter of tolerance."""
    return type(act._dual).__name__ == "Expanded"


closed_forms = pytest.mark.parametrize(
    "case", [case for case in CASES if not expanded(Activation(case[1], **case[2]))], ids=str
)
expansions = pytest.mark.parametrize(
    "case", [case for case in CASES if expanded(Activation(case[1], **case[2]))], ids=str
)


def truth(case: Case, what: str) -> tuple[Float, Float]:
    """The table and the scale of its errors, of shape (pairs, rho)."""
    table = TABLES[f"{case[0]}/{what}"]
    diagonal = np.full(len(Q), np.nan)
    diagonal[PAIRS[SAME, 0]] = table[SAME, np.flatnonzero(RHO == 1)[0]]
    return table, np.sqrt(diagonal[PAIRS[:, 0]] * diagonal[PAIRS[:, 1]])[:, None] * np.ones_like(table)


def errors(case: Case, evaluate: Callable[[str, Float], Float], pairs: Iterable[int] = range(len(PAIRS))) -> Float:
    """Largest error of F and of F' at pairs of variances; what is out of range or 0 does not count."""
    result = np.zeros(len(PAIRS))
    for what in ("F", "dF"):
        table, scale = truth(case, what)
        for pair in pairs:
            known = np.isfinite(table[pair]) & np.isfinite(scale[pair]) & (scale[pair] > SMALLEST)
            if known.any():
                difference = np.abs(evaluate(what, np.array([pair])) - table[pair])[known]
                result[pair] = max(result[pair], (difference / scale[pair][known]).max())
    return result


def public(act: Activation) -> Callable[[str, Float], Float]:
    """The duals of an activation at the points of the tables."""

    def evaluate(what: str, pair: Any) -> Float:
        q1, q2 = Q1[pair[0], 0], Q2[pair[0], 0]
        dual = act.dual if what == "F" else act.dual_derivative
        return np.asarray(dual(RHO * np.sqrt(q1 * q2), q1, q2))

    return evaluate


def single(act: Activation) -> Callable[[str, Float], Float]:
    """The same by the float32 arithmetic of the engine."""

    def evaluate(what: str, pair: Any) -> Float:
        q1, q2 = Q1[pair[0], 0], Q2[pair[0], 0]
        gap = np.copysign(1 - np.abs(RHO), RHO).astype(np.float32)
        factor = np.ones_like(gap)
        n = len(gap)
        program = _core.ProgramFloat32(runtime.instruction_set(), 1, np.repeat([q1, q2], n))
        act._dual.add_to(program)
        _core.run_elementwise(runtime.instruction_set(), program, gap, factor)
        scale = np.sqrt(program.variance[:n] * program.variance[n:]).astype(np.float64)
        if what == "dF":
            return np.asarray(factor * scale / np.sqrt(q1 * q2))
        return np.asarray(np.copysign(1 - np.abs(gap.astype(np.float64)), gap) * scale)

    return evaluate


def test_the_tables_name_every_activation() -> None:
    """A name added to the registry is noticed, unless `data/kernel_tables.npz` has it."""
    kernels = np.load(Path(__file__).parent / "data" / "kernel_tables.npz")
    named = {entry["activation"] for entry in json.loads(str(kernels["networks"]))}
    assert {name for _, name, _ in CASES} | named == set(REGISTRY)


@closed_forms
def test_closed_forms(case: Case) -> None:
    """2e-14 in float64; functions that saturate piecewise lose as much as their variance is large."""
    act = Activation(case[1], **case[2])
    bound = np.asarray(act.error_bound(Q1[:, 0], Q2[:, 0]))
    assert (errors(case, public(act)) <= bound).all()


@closed_forms
def test_closed_forms_in_single_precision(case: Case) -> None:
    """2e-6 in float32."""
    assert errors(case, single(Activation(case[1], **case[2]))).max() <= 2e-6


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-10])
@expansions
def test_expansions(case: Case, tolerance: float) -> None:
    """Within the tolerance, or within the bound that is stated beforehand, and then with a warning."""
    act = Activation(case[1], tolerance=tolerance, **case[2])
    for pair in CHOSEN:
        q1, q2 = float(Q1[pair, 0]), float(Q2[pair, 0])
        if q2 == 1e4 and tolerance > 1e-10:  # slow, and in test_expansion_bounds.py
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            error = max(errors_at(case, act, pair))
        if not caught:
            assert error <= tolerance, (q1, q2)
            continue
        assert {warning.category for warning in caught} == {ToleranceWarning}
        assert q2 == 1e4, "no warning for ordinary variances"
        assert case[1] in HARD
        stated = float(str(caught[0].message).partition("error of ")[2].partition(",")[0])
        assert error <= 1.1 * stated, (q1, q2)


def errors_at(case: Case, act: Activation, pair: int) -> list[float]:
    """Of F and of F' at one pair of variances."""
    result = []
    for what in ("F", "dF"):
        table, scale = truth(case, what)
        known = np.isfinite(table[pair]) & (scale[pair] > SMALLEST)
        difference = np.abs(public(act)(what, np.array([pair])) - table[pair])
        result.append(float((difference[known] / scale[pair][known]).max(initial=0)))
    return result


@expansions
def test_expansions_in_single_precision(case: Case) -> None:
    """The default tolerance of float32, and a few roundings of it, at moderate variances."""
    pairs = [pair for pair in CHOSEN if Q2[pair, 0] < 1e4]
    assert errors(case, single(Activation(case[1], **case[2])), pairs).max() <= 3e-6


@expansions
def test_the_diagonal_is_the_variance(case: Case) -> None:
    """F(q, q, q) from the series is, to rounding, E[phi^2] by quadrature, which the diagonal of a kernel uses."""
    act = Activation(case[1], tolerance=1e-6, **case[2])
    table, _ = truth(case, "F")
    expected = table[SAME, np.flatnonzero(RHO == 1)[0]]
    q = Q[PAIRS[SAME, 0]][:-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToleranceWarning)
        np.testing.assert_allclose(act.dual(q, q, q), expected[:-1], rtol=2e-13)


def test_callables_are_like_names() -> None:
    """A function of the user, with and without its derivative, with kinks and a jump."""
    pairs = (
        (Activation(np.tanh), Activation("tanh")),
        (Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2), Activation("tanh")),
        (Activation(lambda x: np.clip(x, -1, 1), kinks=(-1, 1)), Activation("hard_tanh")),
        (Activation(lambda x: np.where(np.abs(x) > 0.5, x, 0), kinks=(-0.5, 0.5)), Activation("hard_shrink")),
        (Activation(lambda x: np.maximum(x, 0.1 * x), kinks=(0,)), Activation("leaky_relu", alpha=0.1)),
    )
    q = np.array([0.03, 1.0, 7.0])[:, None]
    for mine, named in pairs:
        for rho in (-1, -0.7, 0, 0.5, 0.99, 1 - 2.0**-20, 1):
            c = rho * np.sqrt(q * q.T)
            scale = np.sqrt(named.dual(q, q, q) * named.dual(q, q, q).T)
            slope_scale = np.sqrt(named.dual_derivative(q, q, q) * named.dual_derivative(q, q, q).T)
            assert np.abs((mine.dual(c, q, q.T) - named.dual(c, q, q.T)) / scale).max() <= 2e-10
            slopes = mine.dual_derivative(c, q, q.T) - named.dual_derivative(c, q, q.T)
            assert np.abs(slopes / slope_scale).max() <= 2e-10


def test_a_kink_that_is_not_named_is_noticed() -> None:
    """Its expansion cannot reach the tolerance, and says so."""
    secret = Activation(lambda x: np.abs(x - 0.7), tolerance=1e-8)
    assert secret.error_bound(1.0, 1.0) > 1e-8
    with pytest.warns(
        ToleranceWarning, match=r"reaches an error of .*, not the 1.0e-08 asked for|not bounded .* kinks="
    ):
        fastntk.mlp(1, secret).ntk([[1.0, 2.0], [0.5, 1.0]])


def test_a_steep_function_is_resolved() -> None:
    """Features far below the scale of x: tanh(20 x) is tanh at 400 times the variance."""
    steep, plain = Activation(lambda x: np.tanh(20 * x), tolerance=1e-9), Activation("tanh")
    for q in (0.01, 1.0):
        for rho in (-0.5, 0.9, 1.0):
            assert abs(steep.dual(rho * q, q, q) - plain.dual(400 * rho * q, 400 * q, 400 * q)) <= 1e-10


def test_piecewise_linear() -> None:
    """Breakpoints and slopes, on either side of 0 and at 0: the function, and a dual without kinks elsewhere."""
    act = Activation.piecewise_linear([-2, 0, 1.5], [0.5, -1, 2, 0.25])
    np.testing.assert_allclose(act([-4.0, -2.0, -1.0, 0.0, 1.0, 1.5, 3.5]), [1, 2, 1, 0, 2, 3, 3.5], rtol=1e-15)
    relu, bent = Activation("relu"), Activation.piecewise_linear([0], [0, 1])
    c = np.linspace(-1, 1, 21)
    np.testing.assert_allclose(bent.dual(c, 1, 1), relu.dual(c, 1, 1), rtol=0, atol=1e-15)
    assert Activation.piecewise_linear([], [2.0]).dual(0.3, 1, 1) == pytest.approx(1.2, rel=1e-14)


@pytest.mark.parametrize("name", ["tanh", "gelu", "sin", "softplus", "snake", "erf", "squared_relu"])
def test_direct_quadrature_in_the_core(name: str) -> None:
    """The n x n rule, its own phi and its own code, agrees at moderate variances; 200 nodes do not overflow."""
    act, rule = Activation(name), Activation(name, method="quadrature", nodes=200)
    c = np.array([-0.5, -0.2, 0.0, 0.3, 0.45])
    scale = act.dual(0.5, 0.5, 0.5)
    tolerance = 1e-2 if name == "squared_relu" else 1e-9
    assert np.abs(rule.dual(c, 0.5, 0.5) - act.dual(c, 0.5, 0.5)).max() <= tolerance * scale
    X = np.random.default_rng(0).normal(size=(6, 4))
    exact = fastntk.mlp(1, act, 0.8, 0.1).ntk(X)
    direct = fastntk.mlp(1, rule, 0.8, 0.1).ntk(X)
    np.testing.assert_allclose(direct, exact, rtol=0, atol=(0.1 if tolerance > 1e-3 else 1e-7) * np.diag(exact).max())
