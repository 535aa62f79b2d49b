"""Derivatives of activations with kinks along strips of many lengths, against central differences of the kernels."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk

Array = NDArray[np.float64]

NAMES = ("tanh", "elu", "selu", "celu", "softsign", "hard_tanh", "relu6", "soft_shrink")
DEPTH, SIGMAS = 1, (1.2, 0.3)

rng = np.random.default_rng(18)
ROWS = rng.normal(size=(3, 4))
#: Any rows, and among them duplicates, antipodes and what is near them, multiples, and rows of zeros.
COLUMNS = rng.normal(size=(97, 4))
for i in range(0, 97, 12):
    row = ROWS[i // 12 % 3]
    others = row, -row, row + 1e-4, -row + 1e-3 * COLUMNS[i], 2 * row, 0 * row
    COLUMNS[i : i + 6] = others[: 97 - i]


def kernels(name: str, sigma_w: float, sigma_b: float) -> Array:
    """K and Theta."""
    return np.stack(fastntk.mlp(DEPTH, name, sigma_w, sigma_b).kernels(ROWS, COLUMNS))


@cache
def differences(name: str) -> Array:
    """Central, of order six, in sigma_w and sigma_b of all layers: of shape (kernel, parameter, row, column)."""
    h, weights = 2e-3, {1: 45, 2: -9, 3: 1}
    moves = np.eye(2)
    slopes = [
        sum(
            side * w / (60 * h) * kernels(name, *(SIGMAS + side * k * h * move))
            for k, w in weights.items()
            for side in (1, -1)
        )
        for move in moves
    ]
    return np.stack(slopes, axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_lengths(name: str) -> None:
    """Each pair has its derivative wherever it is in a strip, and however long that is."""
    net = fastntk.mlp(DEPTH, name, *SIGMAS)
    wanted = differences(name)
    for m in (1, 2, 3, 5, 7, 8, 13, 33, 64, 71, 96, 97):
        for kernel, difference in zip((net.nngp, net.ntk), wanted, strict=True):
            _, slopes = kernel.value_and_gradient(ROWS, COLUMNS[:m], shared=True)
            np.testing.assert_allclose(slopes, difference[:, :, :m], atol=1e-8 * np.abs(difference).max())


@pytest.mark.parametrize("name", ["tanh", "selu", "hard_tanh"])
def test_large_tiles(name: str) -> None:
    """So many pairs are in tiles twice as wide, whose strips are more than a chunk: each is what it is among few."""
    samples = np.random.default_rng(18).normal(size=(400, 4))
    samples[70], samples[90], samples[380] = samples[0], -samples[3], samples[95] + 1e-4
    net = fastntk.mlp(DEPTH, name, *SIGMAS)
    some = [0, 95, 399]
    whole = net.ntk.gradient(samples, samples.copy(), shared=True)
    few = net.ntk.gradient(samples[some], samples, shared=True)
    np.testing.assert_allclose(whole[:, some], few, atol=1e-8 * np.abs(few).max())
