"""The engine at positions against the reference: random networks, and images of every kind.

Errors are relative to sqrt(K_pp K_qq). Of nearly parallel patches the reference has half the digits of Theta: these are
in `test_images_accuracy`, where the truth has more.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.images import (
    KINDS,
    OTHERS,
    SMOOTH,
    Float,
    Positions,
    averages,
    errors,
    images,
    largest_errors,
    random_network,
    random_positions,
    x_and_y,
)
from tests.trees import kinds

from fastntk import (
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    Residual,
    Sequential,
    ToleranceWarning,
)

pytestmark = pytest.mark.sweep

#: Of two layers of ReLU on images of which no two patches are nearly parallel: rounding, of the reference too.
SEPARATED = {"float64": 1e-13, "float32": 1e-6}

#: Where near-duplicates are averaged over positions.
AVERAGED = {"float64": 1e-9, "float32": 1e-5}

#: A few roundings of each of up to some thirty layers, and what slopes and LayerNorm make of them.
DEEP = {"float64": 1e-12, "float32": 2e-5}

#: Of expansions in float64, whose tolerance is 1e-10 each.
EXPANDED = {"float64": 1e-8, "float32": 2e-5}

#: Of the reference, where patches are nearly parallel: Theta to the root of rounding.
NEAR = 1e-6

SEEDS, OTHER_SEEDS = range(100), range(1000, 1006)
DTYPES = ("float64", "float32")


@cache
def network(seed: int) -> tuple[Sequential, Float, Float]:
    """One of the random networks, and images for it."""
    rng = np.random.default_rng(seed)
    plain = seed in SEEDS
    positions, channels = random_positions(rng, 8 if plain else 4), int(rng.integers(3, 7))
    net = random_network(rng, positions, channels, SMOOTH if plain else (*SMOOTH[:2], *OTHERS))
    return net, *x_and_y(rng, positions, channels)


@pytest.mark.parametrize("first", SEEDS[::10])
def test_random_networks(first: int) -> None:
    """Of every layer and closed form."""
    bad = []
    for seed in range(first, first + 10):
        net, X, Y = network(seed)
        try:
            found = largest_errors(net, X, Y)
        except ValueError as error:
            bad.append((seed, str(error), repr(net)))
            continue
        bad += [
            (seed, f"{dtype}: {max(found[dtype])}", repr(net))
            for dtype, bound in DEEP.items()
            if not max(found[dtype]) <= bound
        ]
    assert not bad


@pytest.mark.parametrize("seed", OTHER_SEEDS)
@pytest.mark.usefixtures("duals_of_the_engine")
def test_random_networks_of_other_activations(seed: int) -> None:
    """Expansions and pieces, to their tolerance."""
    net, X, Y = network(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToleranceWarning)
        for dtype, found in largest_errors(net, X, Y).items():
            assert max(found) <= EXPANDED[dtype]


@pytest.mark.parametrize("seed", SEEDS[:40])
def test_a_copy_is_another_sample(seed: int) -> None:
    """X with a copy differs from X with itself by dropout alone, and that on the diagonal."""
    net, X, _ = network(seed)
    same, copied = net.kernels(X), net.kernels(X, X.copy())
    off = ~np.eye(len(X), dtype=bool) | ("Dropout" not in kinds(net))
    bound = (AVERAGED if averages(net) else DEEP)["float64"]
    for kernel, other in zip(same, copied, strict=True):
        assert errors(other, kernel, np.diag(kernel), np.diag(kernel))[off].max() <= bound


NETS = {
    "plain": [Conv(3, sigma_w=1.4), "relu", Conv(3, sigma_w=1.4), "relu", Flatten(), Dense()],
    "bias": [Conv(3, sigma_b=0.2), "erf", Conv(2, 2, sigma_b=0.1), "relu", Flatten(), Dense()],
    "residual": [
        *(Conv(3), Residual("relu", Conv(3)), Residual("relu", Conv(3, 2), "relu", Conv(3), shortcut=Conv(1, 2))),
        *("relu", Flatten(), Dense(1.4, 0.1), "relu", Dense()),
    ],
    "norm": [
        *(Conv(3, sigma_b=0.3), LayerNorm("all"), "relu", LayerNorm(eps=0.1), Conv(3, padding="circular")),
        *(LayerNorm(eps=0.2), "gelu", Flatten()),
    ],
    "average": [Conv(3), "relu", AvgPool(2, 1, "same", normalize_edges=True), Conv(3, 2), "relu", Flatten(), Dense()],
    "global": [Conv(3, sigma_b=0.1), "relu", Conv(3, padding="valid"), "relu", GlobalAvgPool(), Dense()],
}


@pytest.mark.parametrize("positions", [(7,), (6, 5)], ids=["sequence", "image"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETS)
def test_images_that_are_hard_to_tell_apart(name: str, kind: str, positions: Positions) -> None:
    """K to rounding, of one channel and of three; Theta as far as the reference has it."""
    parts: list[Any] = NETS[name]
    net, rng = Sequential(*parts), np.random.default_rng(11)
    for channels in (1, 3):
        X = images(kind, rng, positions, channels)
        for dtype, (K, Theta) in largest_errors(net, X, X[::-1]).items():
            bound = (AVERAGED if averages(net) else SEPARATED)[dtype]
            assert bound >= K
            assert max(NEAR, bound) >= Theta


def part(kernel: NDArray[Any], rows: slice, columns: slice) -> NDArray[Any]:
    """A rectangle."""
    return np.asarray(kernel[rows, columns])


@pytest.mark.parametrize("head", [Flatten(), GlobalAvgPool()], ids=["Flatten", "GlobalAvgPool"])
@pytest.mark.parametrize("ratio", [1, 8, 32, 128, 512, 1024, 4096, 2**14])
def test_brightness_ratios(ratio: float, head: Flatten | GlobalAvgPool) -> None:
    """Of images, and of the pixels of one image, in directions that are far from each other."""
    rng = np.random.default_rng(1)
    X, Y = images("natural", rng, (4, 4), 8)[:3], ratio * images("natural", rng, (4, 4), 8)[:3]
    X[0, 0] *= ratio
    net = Sequential(Conv(3), "relu", Conv(3), "relu", head, Dense())
    for dtype, found in largest_errors(net, X, Y).items():
        assert max(found) <= (AVERAGED if averages(net) else {"float64": 5e-15, "float32": 1e-6})[dtype]


@pytest.mark.parametrize("positions", [(3, 4, 2), (1, 3, 3), (4, 4, 4)])
def test_three_axes(positions: Positions) -> None:
    """Of different windows."""
    X, Y = x_and_y(np.random.default_rng(2), positions)
    first = Conv((2, 3, 1), (1, 2, 1), sigma_b=0.1), "relu", Conv(3, padding=1), "relu"
    for rest in ([Flatten()], [AvgPool(2, padding="same"), Conv(2), Flatten()], [GlobalAvgPool()]):
        for dtype, found in largest_errors(Sequential(*first, *rest, Dense()), X, Y).items():
            assert max(found) <= {"float64": 1e-13, "float32": 1e-6}[dtype]


@pytest.mark.parametrize(
    "parts",
    [
        *([AvgPool(2)], [GlobalAvgPool()], [Flatten()], [AvgPool(2, 1), Conv(3), "relu"], ["relu"], ["relu", Conv(3)]),
        *(["erf", AvgPool(2)], [Dropout(0.5)], [Residual("relu", Conv(3))]),
    ],
    ids=repr,
)
def test_layers_on_the_raw_input(parts: list[Any]) -> None:
    """Without a convolution before them."""
    X, Y = x_and_y(np.random.default_rng(2), (5, 4))
    for dtype, found in largest_errors(Sequential(*parts, Flatten(), Dense()), X, Y).items():
        assert max(found) <= {"float64": 1e-12, "float32": 1e-6}[dtype]


@pytest.mark.parametrize(
    "parts",
    [
        [AvgPool(1, padding=1), GlobalAvgPool()],
        [AvgPool(2, padding=2), Dense(1.0, 0.2), GlobalAvgPool()],
        [AvgPool(1), Conv(1, padding=1), GlobalAvgPool()],
        [AvgPool(1), Conv(1, padding=2), Conv(1, 3), Flatten()],
        [Conv(1, 3, padding=1), Flatten()],
        [Conv(1, 2, padding=3, sigma_b=0.1), "relu", GlobalAvgPool()],
    ],
)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_windows_with_nothing_inside(parts: list[Any], length: int) -> None:
    """They give 0, and what follows is made of that."""
    X, Y = x_and_y(np.random.default_rng(2), (length,))
    for dtype, found in largest_errors(Sequential(Dense(), *parts), X, Y).items():
        assert max(found) <= {"float64": 1e-12, "float32": 1e-6}[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETS)
def test_rectangles_of_a_kernel(name: str, dtype: str) -> None:
    """More images than a tile has: every part of the kernel of X with Y alone, and of X with itself."""
    parts: list[Any] = NETS[name]
    net, rng = Sequential(*parts), np.random.default_rng(0)
    X, Y = (rng.standard_normal((count, 5, 4, 3)).astype(dtype) for count in (37, 141))
    whole, symmetric = net.kernels(X, Y), net.kernels(Y)
    for rows, columns in ((slice(0, 1), slice(None)), (slice(7, 31), slice(3, 130)), (slice(36, 37), slice(140, 141))):
        for kernel, found in zip(whole, net.kernels(X[rows], Y[columns]), strict=True):
            np.testing.assert_allclose(
                found, part(kernel, rows, columns), rtol=0, atol=SEPARATED[dtype] * float(np.abs(kernel).max())
            )
    for kernel, found in zip(symmetric, net.kernels(Y[:70], Y[70:]), strict=True):
        np.testing.assert_array_equal(kernel, kernel.T)
        np.testing.assert_allclose(found, kernel[:70, 70:], rtol=0, atol=SEPARATED[dtype] * float(np.abs(kernel).max()))
