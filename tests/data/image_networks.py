"""Networks of `make_image_tables.py`, and the images that their kernels are about."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tests.data.tree_networks import Layer, act, dense, dropout, residual

Images = NDArray[np.float64]


def conv(kernel_size: int = 3, sigma_w: float = 2**0.5, sigma_b: float = 0.0, **others: Any) -> Layer:
    """A convolution; ReLU before it keeps variances."""
    return "Conv", [], {"kernel_size": kernel_size, "sigma_w": sigma_w, "sigma_b": sigma_b, **others}


def avg_pool(size: int, **others: Any) -> Layer:
    """Averages over windows."""
    return "AvgPool", [], {"size": size, **others}


def norm(axes: str, eps: float = 0.0) -> Layer:
    """LayerNorm."""
    return "LayerNorm", [], {"axes": axes, "eps": eps}


def plain(name: str) -> Layer:
    """A layer without arguments."""
    return name, [], {}


def hard(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Images]:
    """Images that are hard to tell apart, by what they are: beside a and b all numbers are those of float32.

    Near-duplicates differ all over as far as float32 has the numbers, and in a corner in which a is 0.
    """
    a, b, direction = rng.standard_normal((3, *shape)).astype(np.float32).astype(np.float64)
    corner = tuple(length - 1 for length in shape[:-1])
    a[corner] = 0
    images = {"a": a}
    for step in (1e-2, 1e-4, 1e-6):
        images[f"near {step:g}"] = a + step * direction
    for step in (1e-4, 1e-6, 1e-8, 1e-10):
        images[f"corner {step:g}"] = a.copy()
        images[f"corner {step:g}"][corner] = step * direction[corner]
    flat, half, border = np.full(shape, 0.625), a.copy(), np.zeros(shape)
    half[shape[0] // 2 :] = 0.625
    inside = tuple(slice(1, max(length - 1, 2)) for length in shape[:-1])
    border[inside] = a[inside]
    near_border = border.copy()
    near_border[inside] += 1e-5 * direction[inside]
    images |= {
        "antipode": -a,
        "near antipode": -a - 1e-4 * direction,
        "brighter": 2 * a,
        "darker": 0.3 * a,
        "hardly brighter": (1 + 2.0**-16) * a,
        "flat": flat,
        "near flat": flat + 1e-6 * direction,
        "flat antipode": -1.5 * flat,
        "half flat": half,
        "black border": border,
        "near black border": near_border,
        "b": b,
        "zero": np.zeros(shape),
    }
    return {kind: image.astype(np.float32).astype(np.float64) for kind, image in images.items()}


def close(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Images]:
    """Near-duplicates all over, of numbers of float64."""
    a, b, direction = rng.standard_normal((3, *shape))
    images = {f"near {step:g}": a + step * direction for step in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)}
    return {"a": a, **images, "brighter": 1.7 * a, "near antipode": -a - 1e-8 * direction, "b": b}


def bright(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Images]:
    """Of brightness 1 to 30,000, of numbers of float32: a shadow beside a lamp in one image, too."""
    images = {}
    for factor in (1, 8, 30, 128, 500, 2000, 30000):
        images[f"times {factor}"] = factor * rng.standard_normal(shape)
    a = images["times 1"]
    lamp = a.copy()
    lamp[0] *= 1000
    images |= {"a times 300": 300 * a, "near a times 300": 300 * a + 1e-3 * images["times 8"], "lamp": lamp}
    return {kind: image.astype(np.float32).astype(np.float64) for kind, image in images.items()}


#: name -> what an image is -> the image
SETS: dict[str, dict[str, Images]] = {
    "grey": hard(np.random.default_rng(1), (6, 6, 1)),
    "colour": hard(np.random.default_rng(2), (5, 5, 3)),
    "sequence": hard(np.random.default_rng(3), (11, 2)),
    "double": close(np.random.default_rng(4), (8, 8, 1)),
    "bright": bright(np.random.default_rng(5), (5, 5, 2)),
}


class Network(NamedTuple):
    """A network of the tables."""

    name: str
    layers: list[Layer]
    sets: Sequence[str] = ("grey", "colour")

    #: Whether anything is averaged over pairs of positions, behind which other bounds hold.
    averages: bool = False


RELU, ERF = act("relu"), act("erf", a=1.0, b=1.0, c=0.0)
FLATTEN, GLOBAL = plain("Flatten"), plain("GlobalAvgPool")


def stack(depth: int, phi: Layer = RELU, **options: Any) -> list[Layer]:
    """Convolutions, each before an activation; what comes in has other variances than what follows."""
    return [part for _ in range(depth) for part in (conv(**options), phi)]


NETWORKS = [
    Network("1 layer", [*stack(1), FLATTEN, dense()], ("grey", "colour", "sequence", "double", "bright")),
    Network("2 layers", [*stack(2), FLATTEN, dense()]),
    Network("3 layers", [*stack(3), FLATTEN, dense()]),
    Network("4 layers", [*stack(4), FLATTEN, dense()], ("grey", "colour", "sequence", "double", "bright")),
    Network("4 layers with bias", [*stack(4, sigma_b=0.1), FLATTEN, dense(1.0, 0.1)], ("grey", "double", "bright")),
    Network("3 layers of erf", [*stack(3, ERF), FLATTEN, dense()], ("grey", "colour", "double")),
    Network("3 layers of erf with bias", [*stack(3, ERF, sigma_b=0.2), FLATTEN, dense()]),
    Network("valid", [*stack(2, padding="valid"), FLATTEN, dense()], ("grey", "colour", "sequence")),
    Network("stride 2", [*stack(1), *stack(1, stride=2), *stack(1), FLATTEN, dense()], ("grey", "colour", "sequence")),
    Network("circular", [*stack(3, padding="circular"), FLATTEN, dense()], ("grey", "colour", "sequence")),
    Network("padding 2, dilation 2", [*stack(2, padding=2, dilation=2), FLATTEN, dense()]),
    Network("kernel size 5, then 2", [*stack(1, kernel_size=5), *stack(2, kernel_size=2), FLATTEN, dense()]),
    Network("gelu", [*stack(2, act("gelu")), FLATTEN, dense()]),
    Network(
        "residual",
        [
            conv(),
            residual(RELU, conv(), RELU, conv(sigma_w=0.7)),
            residual(RELU, conv(stride=2), RELU, conv(), shortcut=[conv(1, 1.0, stride=2)]),
            *(RELU, FLATTEN, dense()),
        ],
        ("grey", "colour", "double"),
    ),
    Network(
        "norm",
        [conv(sigma_b=0.1), norm("channels"), RELU, conv(), norm("all", 0.1), RELU, dropout(0.2), conv(), FLATTEN],
    ),
    Network("dense behind", [*stack(2), FLATTEN, dense(2**0.5), RELU, dense(2**0.5, 0.1), RELU, dense()]),
    Network(
        "standard, one frozen",
        [
            conv(parametrization="standard", width=32),
            *(RELU, conv(trainable=False, width=32)),
            *(RELU, FLATTEN, dense(1.0, 0.1, parametrization="standard")),
        ],
    ),
    Network("average 2", [*stack(2), avg_pool(2), FLATTEN, dense()], ("grey", "sequence"), averages=True),
    Network(
        "convnet",
        [*stack(1), avg_pool(2), *stack(1, sigma_b=0.1), avg_pool(2), *stack(1), FLATTEN, dense()],
        ("grey", "sequence"),
        averages=True,
    ),
    Network(
        "average 3 of stride 1",
        [*stack(2, ERF), avg_pool(3, stride=1, padding="same", normalize_edges=True), FLATTEN, dense()],
        ("sequence",),
        averages=True,
    ),
    Network("global, 1 layer", [*stack(1), GLOBAL, dense()], ("colour", "sequence", "bright"), averages=True),
    Network("global, 3 layers", [*stack(3), GLOBAL, dense()], ("colour", "sequence"), averages=True),
    Network("global with bias", [*stack(2, sigma_b=0.1), GLOBAL, dense()], ("colour",), averages=True),
    Network("global of erf", [*stack(2, ERF), GLOBAL, dense()], ("sequence",), averages=True),
    Network(
        "global, dense behind",
        [*stack(2, padding="circular"), GLOBAL, dense(2**0.5), RELU, dense()],
        ("sequence",),
        averages=True,
    ),
]
