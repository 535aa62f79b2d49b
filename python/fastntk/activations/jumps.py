"""Jumps of a function, of its slope and of its second derivative, where it is not smooth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .functions import Function

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Jumps:
    """Jumps J_0, J_1, J_2 at one distance a from 0, to the right of it and to the left."""

    a: float
    right: list[float] = field(default_factory=lambda: [0.0] * 3)
    left: list[float] = field(default_factory=lambda: [0.0] * 3)

    def sides(self) -> list[tuple[float, list[float]]]:
        """Signs and jumps of those sides that have any."""
        return [(sign, weights) for sign, weights in ((1.0, self.right), (-1.0, self.left)) if any(weights)]

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Evaluate them as a function of x, and its derivative."""
        value, slope = np.zeros_like(x), np.zeros_like(x)
        for sign, (j0, j1, j2) in self.sides():
            beyond = sign * x - self.a
            inside = beyond > 0
            value += np.where(inside, j0 + beyond * (j1 + beyond * j2), 0)
            slope += sign * np.where(inside, j1 + 2 * beyond * j2, 0)
        return value, slope


def collect(breakpoints: Sequence[float], jumps: Sequence[Sequence[float]]) -> list[Jumps]:
    """Jumps at breakpoints, those at the same distance from 0 together."""
    found: dict[float, Jumps] = {}
    for a, weights in zip(breakpoints, jumps, strict=True):
        side = found.setdefault(abs(a), Jumps(abs(a)))
        (side.right if a >= 0 else side.left)[:] = weights
    return list(found.values())


def measure(function: Function) -> list[Jumps]:
    """Jumps of phi, phi' and phi'' at the kinks; what differences miss is left to the expansion."""
    weights = []
    for a in function.kinks:
        tiny, h = 2.0**-40 * max(1.0, abs(a)), 2.0**-7
        steps = np.array([tiny, *(h * np.arange(1, 5))])
        one_sided = np.array([-25, 48, -36, 16, -3]) / (12 * h)
        values = [
            2 * near - far for near, far in (function.phi(a + side * tiny * np.array([1, 2])) for side in (1, -1))
        ]
        slopes = [function.derivative(a + side * steps) for side in (1, -1)]
        jump = [values[0] - values[1], slopes[0][0] - slopes[1][0], one_sided @ (slopes[0] + slopes[1]) / 2]
        # seen from 0: to the left, what is beyond less what is before, as a function of |x| - |a|
        weights.append([float(j) * (1 if a >= 0 else (-1) ** (m + 1)) for m, j in enumerate(jump)])
    return collect(function.kinks, weights)
