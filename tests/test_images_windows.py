"""Windows of the engine against the reference: every padding × stride × size × number of positions, in both dtypes.

Errors are relative to sqrt(K_pp K_qq), of images of which no two patches are nearly parallel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.images import PADDINGS, WINDOWS, Positions, averages, largest_errors, x_and_y

from fastntk import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, GlobalSumPool, Sequential, SumPool
from fastntk.layers.window import Padding

pytestmark = pytest.mark.sweep

#: Of two layers of ReLU: rounding, of the reference too.
SEPARATED = {"float64": 1e-13, "float32": 1e-6}

#: And of what is averaged behind them; circular windows of all positions of an axis make patches equal.
AVERAGED = {"float64": 1e-9, "float32": 1e-6}

Case = tuple[Sequential, Positions]


def convolutions(padding: Padding, axes: int) -> Iterator[Case]:
    """Of sequences, and of images with another window along the other axis."""
    rng = np.random.default_rng(axes)
    cases = [window[1:] for window in WINDOWS if window[0] == padding]
    small = [case for case in cases if case[2] <= 5]  # so that all pairs of positions are not too many
    for case in cases[:: 1 if axes == 1 else 5]:
        others = [small[int(rng.integers(len(small)))] for _ in range(axes - 1)]
        strides, sizes, positions = zip(case, *others, strict=True)
        first = Conv(sizes, strides, padding, sigma_w=1.4, sigma_b=float(rng.choice([0.0, 0.2])))
        second = Conv(sizes, strides, "same", sigma_w=1.2, dilation=int(rng.integers(1, 3)))
        head = Flatten() if rng.random() < 0.5 else GlobalAvgPool()
        yield Sequential(first, "relu", second, "relu", head, Dense()), positions


def pools(padding: Padding) -> Iterator[Case]:
    """Of sequences and rectangles, between convolutions."""
    rng = np.random.default_rng(3)
    for _, stride, size, length in [window for window in WINDOWS if window[0] == padding][::5]:
        edges = rng.random() < 0.5
        summed = rng.random() < 0.3
        pool = SumPool(size, stride, padding) if summed else AvgPool(size, stride, padding, normalize_edges=edges)
        positions = (length,) if rng.random() < 0.5 else (length, max(size, int(rng.integers(1, 5))))
        head = (Flatten(), GlobalAvgPool(), GlobalSumPool())[int(rng.integers(3))]
        behind = Sequential(Conv(3), "relu", head, Dense())
        yield Sequential(Conv(2, sigma_w=1.3, sigma_b=0.1), "relu", pool, behind), positions


def check(cases: Iterator[Case]) -> None:
    """How many are too bad, the worst of them, and the shortest."""
    rng = np.random.default_rng(0)
    bad: list[tuple[float, str]] = []
    for net, positions in cases:
        X, Y = x_and_y(rng, positions)
        bounds = AVERAGED if averages(net) else SEPARATED
        try:
            found = largest_errors(net, X, Y)
        except ValueError as error:
            bad.append((np.inf, f"{positions}: {net!r}: {error}"))
            continue
        for dtype, each in found.items():
            if not max(each) <= bounds[dtype]:
                bad.append((max(each), f"{dtype} {positions}: {net!r}"))
    assert not bad, f"{len(bad)}, {max(bad)}, {min(bad, key=lambda one: len(one[1]))}"


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("padding", PADDINGS)
def test_convolutions(padding: Padding, axes: int) -> None:
    """Two, of sizes 1 to 5 and strides 1 to 3, on 1 to 12 positions."""
    check(convolutions(padding, axes))


@pytest.mark.parametrize("padding", PADDINGS)
def test_pools(padding: Padding) -> None:
    """Sums, averages, and averages over what is inside."""
    check(pools(padding))
