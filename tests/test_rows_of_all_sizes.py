"""Rows of one size beside rows of all others: against mpmath, however small the share of a bias or of a branch is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from mpmath import mp, mpf
from numpy.typing import NDArray

from fastntk import Conv, Dense, Flatten, Residual, Sequential

Float = NDArray[np.float64]

#: Along one direction, and along others; powers of two leave them exact.
ROWS = np.round(np.random.default_rng(0).normal(size=(3, 3)) * 64) / 64
DIRECTIONS = np.array([ROWS[0], 2 * ROWS[0], -ROWS[0], ROWS[1], ROWS[0] + 2.0**-20 * ROWS[2]])

#: The largest size of a row beside others of 1/16 or so.
SIZES = {"float32": (1.0, 2.0**10), "float64": (1.0, 2.0**10, 2.0**33, 2.0**66, 2.0**400)}

#: Of K and Theta relative to the diagonals.
BOUND = {"float32": 1e-6, "float64": 3e-15}


class Truth(NamedTuple):
    """K and Theta of a pair, and K of both with themselves."""

    K: Any
    Theta: Any
    first: Any
    second: Any


def dense(at: Truth, sigma_w: float, sigma_b: float) -> Truth:
    """Through a Dense layer."""
    w2, b2 = mpf(sigma_w) ** 2, mpf(sigma_b) ** 2
    K = w2 * at.K + b2
    return Truth(K, K + w2 * at.Theta, w2 * at.first + b2, w2 * at.second + b2)


def erf(at: Truth) -> Truth:
    """Williams (1997)."""
    one, other, c = 1 + 2 * at.first, 1 + 2 * at.second, 2 * at.K

    def dual(c: Any, product: Any) -> Any:
        return 2 / mp.pi * mp.asin(c / mp.sqrt(product))

    slope = 4 / mp.pi / mp.sqrt(one * other - c * c)
    return Truth(
        dual(c, one * other), slope * at.Theta, dual(2 * at.first, one * one), dual(2 * at.second, other * other)
    )


def start(x: Float, y: Float) -> Truth:
    """Of the samples."""
    u, v = ([mpf(float(value)) for value in row] for row in (x, y))

    def mean(left: Any, right: Any) -> Any:
        return sum(a * b for a, b in zip(left, right, strict=True)) / len(left)

    return Truth(mean(u, v), mpf(0), mean(u, u), mean(v, v))


def bias(x: Float, y: Float) -> Truth:
    """A bias before an activation that tells apart what is 1 / |x| apart."""
    return dense(erf(dense(start(x, y), 1.4, 0.3)), 0.8, 0.0)


def residual(x: Float, y: Float) -> Truth:
    """A branch that is bounded, beside what is not."""
    at = dense(start(x, y), 1.0, 0.0)
    branch = dense(erf(at), 1.2, 0.0)
    return dense(erf(Truth(*(a + b for a, b in zip(at, branch, strict=True)))), 0.8, 0.0)


def magnified(x: Float, y: Float) -> Truth:
    """A bias, of which small rows differ little, and a layer that makes much of it."""
    return dense(erf(dense(dense(start(x, y), 1.0, 0.25), 2.0**30, 0.0)), 0.8, 0.0)


NETWORKS: dict[str, tuple[Any, Sequential]] = {
    "bias": (bias, Sequential(Dense(1.4, 0.3), "erf", Dense(0.8))),
    "residual": (residual, Sequential(Dense(), Residual("erf", Dense(1.2)), "erf", Dense(0.8))),
    "magnified": (magnified, Sequential(Dense(1.0, 0.25), Dense(2.0**30), "erf", Dense(0.8))),
}


@pytest.mark.parametrize("dtype", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_beside_rows_of_other_sizes(name: str, dtype: str) -> None:
    """Of rows of each size all pairs, in a call with all the other sizes, are as accurate as alone."""
    truth, net = NETWORKS[name]
    # Nearly equal rows are told apart as well as their norms are known, which is not well enough to magnify that.
    directions = DIRECTIONS[:-1] if name == "magnified" else DIRECTIONS
    sizes = [size for largest in SIZES[dtype] for size in (largest, 1 / largest)]
    X = np.concatenate([directions * size for size in sizes]).astype(dtype)
    found = [np.asarray(kernel, np.float64) for kernel in net.kernels(X, univariate=False)]
    n = len(directions)
    with mp.workdps(600):
        for first in range(0, len(X), n):
            for i in range(first, first + n):
                for j in range(first, i + 1):
                    pair, own, other = (truth(X[a], X[b]) for a, b in ((i, j), (i, i), (j, j)))
                    for k, (wanted, of_i, of_j) in enumerate(zip(pair[:2], own[:2], other[:2], strict=True)):
                        error = abs(mpf(float(found[k][i, j])) - wanted) / mp.sqrt(of_i * of_j)
                        assert error < BOUND[dtype], (k, i, j, float(error))


@pytest.mark.parametrize("dtype", SIZES)
@pytest.mark.parametrize("activation", ["sign", "step"])
def test_rows_of_one_number(activation: str, dtype: str) -> None:
    """Nothing but the sign of a number is left behind a jump: a kink that follows would show any other digit."""
    numbers = np.random.default_rng(2).normal(size=(7, 4, 4, 1)).astype(dtype)
    behind = (Dense(1.2), "relu", Dense())
    for x, net in (
        (numbers[:, 0, 0], Sequential(Dense(), activation, *behind)),
        (numbers[:, 0, 0], Sequential(activation, *behind)),
        (numbers, Sequential(Conv(1), activation, Conv(3), "relu", Flatten(), Dense())),
        (numbers, Sequential(activation, Conv(3), "relu", Flatten(), Dense())),
    ):
        for found, wanted in zip(net.kernels(x), net.kernels(np.sign(x)), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=BOUND[dtype] * wanted.max())
