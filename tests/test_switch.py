"""Functions with kinks: where |rho| is small phi's own expansion, beyond truncated moments; each against the other."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Activation, Dense, Sequential
from fastntk.activations import own_expansion, pieces
from fastntk.activations.duals import PiecewisePolynomial
from fastntk.activations.own_expansion import NO_MEHLER, ORDERS, TERMS

Float = NDArray[np.float64]

#: Even, odd and neither; bent, curved and jumping, at 0 and away from it.
ACTIVATIONS = [
    *map(Activation, ("hard_tanh", "relu6", "hard_sigmoid", "hard_swish", "soft_shrink", "hard_shrink")),
    Activation("soft_shrink", threshold=1.0),
    Activation.piecewise_linear([-2, 0.3, 1], [0.5, -1, 0, 2]),
]

#: Relative to sqrt(F F'): the moments are right to 3e-15 (1 + h^2) (1 + k^2), the expansion to less.
TOLERANCE = {"float32": 5e-7, "float64": 2e-14}


def reach(act: Activation, sizes: Float, *, single: bool) -> float:
    """The largest |rho| of the expansion for rows of these lengths, of two numbers."""
    assert isinstance(act._dual, PiecewisePolynomial)
    found = pieces.expand(act._dual.function, sizes**2 / 2, single=single)
    return found.parameters[-len(NO_MEHLER) :][5]


def rows(act: Activation, dtype: str, size: float | None) -> NDArray[np.floating]:
    """Rows of two numbers; with the first one rho lies on both sides of the switch, everywhere, and near 1 and -1.

    Of one length, or of many: an expansion that reaches far for all of them is rare.
    """
    rng = np.random.default_rng(7)
    count = 256
    sizes = 2.0 ** rng.uniform(-0.5, 3, count) if size is None else np.full(count, size)
    end = min(reach(act, sizes, single=dtype == "float32"), 0.998)
    close = 1 - 10.0 ** rng.uniform(-7, -1, 60)
    rho = np.concatenate((end + 1e-3 * rng.uniform(-1, 1, 40), -end + 1e-3 * rng.uniform(-1, 1, 40), close, -close))
    rho = np.concatenate((rho, rng.uniform(-1, 1, count - len(rho) - 4)))
    rho = np.concatenate(([1.0], rng.permutation(rho), [0.0, -1.0, 1.0]))
    return np.asarray(np.stack((rho, np.sqrt(1 - rho**2)), axis=1) * sizes[:, None], dtype)


@pytest.mark.parametrize("size", [None, 0.4, 0.8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
def test_both_forms_agree(act: Activation, dtype: str, size: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either precision with the truncated moments of all pairs in float64; a bend behind shows the gap's root.

    The moments themselves are right to some 2e-15, whatever the gap, and Theta to that over its root.
    """
    net = Sequential(Dense(), act, Dense(), "relu", Dense())
    X = rows(act, dtype, size)
    found = net.kernels(X)
    by_moments_alone(monkeypatch)
    exact, behind = net.kernels(X.astype(np.float64)), net[:3].nngp(X.astype(np.float64))
    root = np.sqrt(np.maximum(1 - np.abs(behind) / scales(behind), 1e-16))
    for one, other in zip(found, exact, strict=True):
        assert (np.abs(one - other) <= (TOLERANCE[dtype] + 2e-15 / root) * scales(other) + 1e-30).all()


def by_moments_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the expansions reach nothing."""
    parameters = own_expansion.mehler_parameters

    def reaching_nothing(*given: Any, **options: Any) -> list[float]:
        found = parameters(*given, **options)
        return [*found[:5], -1.0, *found[6:]]

    monkeypatch.setattr(pieces, "mehler_parameters", reaching_nothing)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_leave_more(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are prepared, with kinks that are near, and rows of which kinks are far out: neither decides alone."""
    hard_sigmoid = Activation("hard_sigmoid")
    net = Sequential(Dense(), hard_sigmoid, Dense())
    sets = rows(hard_sigmoid, dtype, 4.0), rows(hard_sigmoid, dtype, 0.6)
    pairs = [(X, Y) for X in sets for Y in sets]
    found = [net.ntk.prepare(Y)(X) for X, Y in pairs]
    by_moments_alone(monkeypatch)
    for one, (X, Y) in zip(found, pairs, strict=True):
        exact, diagonals = net.ntk(X.astype(np.float64), Y.astype(np.float64)), (net.ntk.diag(X), net.ntk.diag(Y))
        assert (np.abs(one - exact) <= TOLERANCE[dtype] * np.sqrt(np.outer(*diagonals))).all()


def scales(kernel: Float) -> Float:
    """Return sqrt(K(x, x) K(x', x')), or the least number where one is 0."""
    return np.sqrt(np.outer(kernel.diagonal(), kernel.diagonal())) + 1e-300


def test_an_expansion_may_reach_all() -> None:
    """Kinks that are far out for every sample leave so little that rho may be nearly anything."""
    hard_sigmoid = Activation("hard_sigmoid")
    assert reach(hard_sigmoid, np.array([0.25, 0.5]), single=True) > 0.99
    assert reach(hard_sigmoid, np.array([0.25, 9.0]), single=True) < 0.95


@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
def test_orders_sum_to_the_whole(act: Activation) -> None:
    """The squares of all Hermite coefficients add up to F(q, q): no more, and but for a tail like k^-1/2 no less."""
    q = np.array([0.25, 1.0, 3.0])
    assert isinstance(act._dual, PiecewisePolynomial)
    found = pieces.expand(act._dual.function, q)
    kinks = int(found.parameters[1])
    orders = found.tables[4 * TERMS + 11 * kinks + 1 :][: int(sum(found.parameters[2 + 2 * kinks :][:2]))]
    total = (found.tables[:TERMS] ** 2).sum(axis=0) + (orders**2).sum(axis=0)
    assert (total < 1 + 1e-13).all()
    assert (total > 1 - 1 / np.sqrt(ORDERS)).all()
