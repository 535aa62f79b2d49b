"""The arithmetic of single samples, in pairs of doubles, against mpmath on every instruction set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import _core

pytestmark = pytest.mark.sweep

Array = NDArray[np.float64]

SETS = _core.supported_instruction_sets()

#: By their numbers: exact values, and the relative errors that cpp/isa/double_double.hpp states.
FUNCTIONS: dict[str, tuple[int, Callable[..., Any], float]] = {
    "sum": (0, lambda x, y: x + y, 2e-31),
    "difference": (1, lambda x, y: x - y, 2e-31),
    "product": (2, lambda x, y: x * y, 2e-31),
    "quotient": (3, lambda x, y: x / y, 2e-31),
    "root": (4, lambda x, _: mpmath.sqrt(x), 2e-31),
    "exponential": (5, lambda x, _: mpmath.exp(x), 1e-27),
    "exponential less 1": (6, lambda x, _: mpmath.expm1(x), 1e-27),
    "angle": (7, lambda x, y: mpmath.atan2(x, y), 1e-26),
}


def pairs(value: Array, rng: np.random.Generator) -> Array:
    """Numbers with a low part of any size up to half a unit of the high one."""
    low = (
        value
        * rng.uniform(-1, 1, len(value))
        * 2.0 ** (-54 - rng.integers(0, 40, len(value)) * (rng.random(len(value)) < 0.3))
    )
    high = value + low
    return np.stack((high, low - (high - value)))


def arguments(name: str) -> tuple[Array, Array]:
    """Of all sizes that samples have, and near what is difficult."""
    rng = np.random.default_rng(0)
    wide = 10.0 ** rng.uniform(-100, 100, 400) * rng.choice([-1, 1], 400)
    near = rng.uniform(0.5, 2, 400)
    x = np.concatenate((wide, near, near, -near))
    y = np.concatenate(
        (rng.permutation(wide), rng.permutation(near), near * (1 + 2.0**-40 * near), near * (1 - 2.0**-52))
    )
    if name.startswith("exponential"):
        small = np.log(2) * np.arange(-20, 21) / 2
        x = np.concatenate(
            (
                rng.uniform(-600, 600, 300),
                10.0 ** rng.uniform(-100, 1, 300),
                -(10.0 ** rng.uniform(-100, 1, 300)),
                small,
            )
        )
        y = np.ones_like(x)
    if name == "angle":
        turns = np.concatenate(
            (
                rng.uniform(0, np.pi / 2, 300),
                10.0 ** rng.uniform(-60, -1, 200),
                np.pi / 2 - 10.0 ** rng.uniform(-12, -1, 200),
            )
        )
        size = 10.0 ** rng.uniform(-60, 60, len(turns))
        x, y = (
            np.concatenate((size * np.sin(turns), [1.0, 0.0, 2.0])),
            np.concatenate((size * np.cos(turns), [0.0, 1.0, 2.0])),
        )
    if name == "root":
        x = np.abs(x)
    return pairs(x, rng), pairs(y, rng)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_relative_errors(isa: str, name: str) -> None:
    """Below what is stated, of results in the range of moderate numbers."""
    number, exact, bound = FUNCTIONS[name]
    x, y = arguments(name)
    found, worst = x.copy(), 0.0
    _core.double_double(isa, number, found, y.copy())
    with mpmath.workdps(60):
        for (x_high, x_low), (y_high, y_low), (high, low) in zip(x.T, y.T, found.T, strict=True):
            truth = exact(mpmath.mpf(x_high) + mpmath.mpf(x_low), mpmath.mpf(y_high) + mpmath.mpf(y_low))
            if not truth:
                assert high == low == 0
            elif 1e-120 < abs(truth) < 1e300:
                worst = max(worst, float(abs((mpmath.mpf(high) + mpmath.mpf(low)) / truth - 1)))
                assert high == high + low
    assert 0 < worst <= bound


@pytest.mark.parametrize("isa", SETS)
def test_products_near_the_end_of_the_range(isa: str) -> None:
    """Halves of numbers near 1e300 are numbers too."""
    x = np.array([[1.0e300, 1.7e308, 3.0e299], [0.0, 0.0, 0.0]])
    y = np.array([[3.0, 1.0, 1 / 3], [0.0, 0.0, 0.0]])
    found = x.copy()
    _core.double_double(isa, 2, found, y.copy())
    with mpmath.workdps(60):
        for a, b, high, low in zip(x[0], y[0], *found, strict=True):
            assert mpmath.mpf(high) + mpmath.mpf(low) == mpmath.mpf(a) * mpmath.mpf(b)
