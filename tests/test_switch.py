"""Functions with kinks: where |rho| is small phi's own expansion, beyond truncated moments; each against the other."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Activation, Dense, Sequential
from fastntk.activations import pieces
from fastntk.activations.duals import PiecewisePolynomial

Float = NDArray[np.float64]

#: Even, odd and neither; bent, curved and jumping, at 0 and away from it.
ACTIVATIONS = [
    *map(Activation, ("hard_tanh", "relu6", "hard_sigmoid", "hard_swish", "soft_shrink", "hard_shrink")),
    Activation("soft_shrink", threshold=1.0),
    Activation.piecewise_linear([-2, 0.3, 1], [0.5, -1, 0, 2]),
]

#: Relative to sqrt(F F'): the moments are right to 3e-15 (1 + h^2) (1 + k^2), the expansion to less.
TOLERANCE = {"float32": 5e-7, "float64": 2e-14}


def reach(*, single: bool) -> float:
    """The largest |rho| of the expansion."""
    return float(pieces._PRECISION[single] ** (1 / (pieces._TERMS + pieces._ORDERS - 1)))


def rows(dtype: str) -> NDArray[np.floating]:
    """Rows of two numbers; with the first one rho lies on both sides of the switch, and everywhere."""
    rng = np.random.default_rng(7)
    end = reach(single=dtype == "float32")
    rho = np.concatenate(
        (end + 1e-3 * rng.uniform(-1, 1, 40), -end + 1e-3 * rng.uniform(-1, 1, 40), rng.uniform(-1, 1, 120))
    )
    rho = np.concatenate(([1.0], rng.permutation(rho), [0.0, -1.0, 1.0]))
    sizes = np.concatenate(([1.3], 2.0 ** rng.uniform(-0.5, 3, len(rho) - 1)))
    return np.asarray(np.stack((rho, np.sqrt(1 - rho**2)), axis=1) * sizes[:, None], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
def test_both_forms_agree(act: Activation, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either precision with the truncated moments of all pairs in float64."""
    net = Sequential(Dense(), act, Dense())
    X = rows(dtype)
    found = net.kernels(X)
    monkeypatch.setattr(pieces, "_mehler", lambda *_, **__: (pieces._NO_MEHLER, []))
    exact = net.kernels(X.astype(np.float64))
    for one, other in zip(found, exact, strict=True):
        scale = np.sqrt(np.outer(other.diagonal(), other.diagonal()))
        assert (np.abs(one - other) <= TOLERANCE[dtype] * scale + 1e-30).all()


@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
def test_orders_sum_to_the_whole(act: Activation) -> None:
    """The squares of all Hermite coefficients add up to F(q, q): no more, and but for a tail like k^-1/2 no less."""
    q = np.array([0.25, 1.0, 3.0])
    assert isinstance(act._dual, PiecewisePolynomial)
    found = pieces.expand(act._dual.function, q)
    kinks = int(found.parameters[1])
    orders = found.tables[4 * pieces._TERMS + 11 * kinks :][: int(sum(found.parameters[2 + 2 * kinks :][:2]))]
    total = (found.tables[: pieces._TERMS] ** 2).sum(axis=0) + (orders**2).sum(axis=0)
    assert (total < 1 + 1e-13).all()
    assert (total > 1 - 1 / np.sqrt(pieces._ORDERS)).all()
