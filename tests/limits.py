"""Means over finite networks, compared with their limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastntk import Sequential, reference
from fastntk.finite import monte_carlo


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Of 24 bits, in half the time."""
    return rng.standard_normal(shape, np.float32).astype(np.float64)


def check_limit(
    net: Sequential,
    x: Any,
    y: Any = None,
    *,
    width: int,
    draws: int,
    most: float = 0.06,
    kernels: Callable[..., Any] = reference.kernels,
) -> None:
    """4.5 standard errors, and a bias of order 1 / width: of a function of kernels that have a variance of that order.

    One standard error for each kernel, pooled over its entries relative to their scales: few draws do not tell each.
    It has to be less than `most`, or errors would hide what is wrong.
    """
    found = monte_carlo(net, x, y, width=width, draws=draws, rng=0, weights=normal)
    limits, left, right = kernels(net, x, y), kernels(net, x), kernels(net, x if y is None else y)
    for i, (mean, error) in enumerate(((found.nngp, found.nngp_error), (found.ntk, found.ntk_error))):
        scale = np.sqrt(np.multiply.outer(left[i].diagonal(), right[i].diagonal()))
        pooled = np.sqrt(np.mean((error / scale) ** 2))
        assert pooled < most
        assert (np.abs(mean - limits[i]) <= (4.5 * pooled + 5 / width) * scale).all()
