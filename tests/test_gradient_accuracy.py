"""Derivatives of the kernels to working precision, against the textbook recursion in 60-digit arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastntk

pytest.importorskip("mpmath")
from mpmath import atan2, mp, mpf, pi, sqrt

pytestmark = pytest.mark.sweep

Dual = Callable[[Any, Any, Any], tuple[Any, Any]]

SEPARATIONS = (1, 1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10)


def relu(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    """Cho and Saul (2009), eq. 3-6."""
    s = sqrt(q1 * q2)
    sine = sqrt(max((s - c) * (s + c), 0))
    theta = atan2(sine, c)
    return (sine + (pi - theta) * c) / (2 * pi), (pi - theta) / (2 * pi)


def erf(q1: Any, q2: Any, c: Any) -> tuple[Any, Any]:
    """Williams (1997), eq. 11."""
    root = sqrt((1 + 2 * q1) * (1 + 2 * q2) - 4 * c * c)
    return 2 / pi * atan2(2 * c, root), 4 / pi / root


def exact(x: list[Any], y: list[Any], depth: int, sigma_w: Any, sigma_b: Any, dual: Dual) -> tuple[Any, Any]:
    """K and Theta of one pair."""
    q1, q2, c = (sum(u * v for u, v in zip(a, b, strict=True)) / len(x) for a, b in ((x, x), (y, y), (x, y)))
    theta = mpf(0)
    for layer in range(depth + 1):
        if layer > 0:
            next_c, slope = dual(q1, q2, c)
            q1, q2, c, theta = dual(q1, q1, q1)[0], dual(q2, q2, q2)[0], next_c, slope * theta
        q1, q2, c = (sigma_b**2 + sigma_w**2 * k for k in (q1, q2, c))
        theta = c + sigma_w**2 * theta
    return c, theta


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("dual", [relu, erf], ids=["relu", "erf"])
def test_near_duplicates_and_antipodes(dual: Dual, depth: int) -> None:
    """Relative to the derivatives on the diagonal, in float64."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=5)
    net = fastntk.mlp(depth, dual.__name__, 1.3, 0.2)
    with mp.workdps(60):
        sigmas, h = (mpf(1.3), mpf(0.2)), mpf(10) ** -20
        for separation in SEPARATIONS:
            for side in (1, -1):
                X = np.stack((base, side * (base + separation * rng.normal(size=5))))
                slopes = [kernel.gradient(X, shared=True) for kernel in (net.nngp, net.ntk)]
                x, y = ([mpf(float(v)) for v in row] for row in X)
                for k in range(2):
                    step = (h, 0) if k == 0 else (0, h)
                    up = exact(x, y, depth, sigmas[0] + step[0], sigmas[1] + step[1], dual)
                    down = exact(x, y, depth, sigmas[0] - step[0], sigmas[1] - step[1], dual)
                    for found, above, below in zip(slopes, up, down, strict=True):
                        scale = float(np.sqrt(found[k, 0, 0] * found[k, 1, 1]))
                        assert abs((above - below) / (2 * h) - mpf(float(found[k, 0, 1]))) < 5e-15 * scale
