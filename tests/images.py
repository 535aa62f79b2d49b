"""Random convolutional networks, and images and sequences of every kind that is hard to tell apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.trees import CLOSED, WIDTH

from fastntk import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    LayerNorm,
    Product,
    Residual,
    Sequential,
    Sum,
    SumPool,
    reference,
)
from fastntk.layers import Layer
from fastntk.layers.base import walk
from fastntk.layers.pool import Pooling
from fastntk.layers.window import Padding

Float = NDArray[np.float64]
Positions = tuple[int, ...]

#: Positions along an axis.
LONGEST = 12

#: Closed form, pieces, expansion, and a function of users; jumps are in `tests.trees` only: they take roots of errors.
SMOOTH = tuple(a for a in CLOSED if a.name not in ("step", "sign"))
OTHERS = (Activation("tanh"), Activation("hard_tanh"), Activation("elu"), Activation("softplus"))

#: Some of every number of axes.
SHAPES: tuple[Positions, ...] = ((1,), (2,), (5,), (8,), (1, 3), (4, 5), (6, 3), (2, 3, 2))

#: Every padding × stride × kernel size × number of positions, of one axis.
PADDINGS: tuple[Padding, ...] = ("same", "valid", "circular", 1, 2)
WINDOWS: tuple[tuple[Padding, int, int, int], ...] = tuple(
    (padding, stride, kernel_size, length)
    for padding, stride, kernel_size, length in product(PADDINGS, (1, 2, 3), range(1, 6), range(1, LONGEST + 1))
    if padding in ("same", "circular") or length + 2 * (padding if isinstance(padding, int) else 0) >= kernel_size
)


def averages(net: Sequential) -> bool:
    """Whether something is taken together over pairs of different positions."""
    return any(isinstance(layer, Pooling) for _, layer in walk(net.layers))


def random_positions(rng: np.random.Generator, longest: int = LONGEST) -> Positions:
    """A sequence, or an image: square, rectangular, of one row."""
    return tuple(int(length) for length in rng.integers(1, longest + 1, rng.choice([1, 2, 2])))


def random_network(
    rng: np.random.Generator,
    positions: Positions,
    channels: int,
    activations: Sequence[Activation] = SMOOTH,
    *,
    length: int = 5,
    pools: bool = True,
) -> Sequential:
    """Make a network for images of this shape, of up to `length` parts, a head and up to two layers behind it.

    One that may be built, of kernels between 1e-3 and 1e3 for pixels of unit variance.
    """
    probe = np.random.default_rng(5).standard_normal((2, *positions, channels))

    def longer(net: Sequential, parts: Callable[[], Layer | Sequential], end: Sequential) -> Sequential | None:
        for _ in range(20):  # as many are refused, or too large for what positions are left
            try:
                candidate = Sequential(net, parts())
                kernels = reference.kernels(Sequential(candidate, end), probe, nodes=8)
            except ValueError:
                continue
            size = np.diag(kernels.nngp)
            if size.min() >= 1e-3 and size.max() <= 1e3 and np.isfinite(kernels.ntk).all():
                return candidate
        return None

    axes, flat, none = len(positions), Sequential(Flatten(), Dense()), Sequential()
    net = longer(Sequential(), lambda: _conv(rng, axes), flat) or Sequential(Conv(1))
    for _ in range(int(rng.integers(1, length))):
        net = longer(net, lambda: _part(rng, axes, activations, pools), flat) or net
    net = longer(net, lambda: _head(rng, pools), none) or Sequential(net, Flatten())
    for _ in range(int(rng.integers(0, 3))):
        net = longer(net, lambda: Sequential(_dense(rng), _one(rng, activations), _dense(rng)), none) or net
    return net


def _one(rng: np.random.Generator, of: Sequence[Any]) -> Any:
    return of[int(rng.integers(len(of)))]


def _weights(rng: np.random.Generator) -> dict[str, Any]:
    """No bias that is 0 at first: that is refused where K is 0, as it is behind windows with nothing inside."""
    standard = bool(rng.random() < 0.2)
    return {
        "sigma_w": float(rng.uniform(0.8, 1.8)),
        "sigma_b": float(rng.choice([0.0, 0.0, 0.3])),
        "trainable": bool(rng.random() < 0.85),
        "parametrization": "standard" if standard else "ntk",
        "width": WIDTH if rng.random() < 0.4 else None,
    }


def _dense(rng: np.random.Generator) -> Dense:
    return Dense(**_weights(rng))


def _conv(rng: np.random.Generator, axes: int, stride: int | None = None, kernel_size: int | None = None) -> Conv:
    """Of any window; of this stride and kernel size, as many positions as any other such one gives."""

    def each(values: Sequence[int]) -> int | tuple[int, ...]:
        numbers = tuple(int(_one(rng, values)) for _ in range(axes))
        return numbers if rng.random() < 0.3 else numbers[0]

    free = stride is None
    return Conv(
        each(range(1, 6)) if kernel_size is None else kernel_size,
        each((1, 1, 1, 2, 3)) if stride is None else stride,
        _one(rng, PADDINGS) if free else _one(rng, ("same", "same", "circular")),
        dilation=each((1, 1, 1, 2)),
        **_weights(rng),
    )


def _pool(rng: np.random.Generator) -> AvgPool | SumPool:
    size, stride, padding = int(rng.integers(1, 4)), _one(rng, (None, None, 1, 2)), _one(rng, ("valid", *PADDINGS))
    if rng.random() < 0.3:
        return SumPool(size, stride, padding)
    return AvgPool(size, stride, padding, normalize_edges=bool(rng.random() < 0.5))


def _part(rng: np.random.Generator, axes: int, activations: Sequence[Activation], pools: bool) -> Layer | Sequential:
    def phi() -> Activation:
        found: Activation = _one(rng, activations)
        return found

    def norm() -> LayerNorm:
        return LayerNorm(_one(rng, ("channels", "all")), eps=float(rng.choice([0.0, 0.1])))

    def block() -> Layer:
        return Residual(phi(), _conv(rng, axes, 1), phi(), _conv(rng, axes, 1))

    def strided() -> Layer:
        stride = int(rng.integers(1, 4))
        inner = phi(), _conv(rng, axes, stride), phi(), _conv(rng, axes, 1)
        return Residual(*inner, shortcut=_conv(rng, axes, stride, 1))

    def inception() -> Layer:
        branches = _conv(rng, axes, 1, 1), Sequential(phi(), _conv(rng, axes, 1)), Identity()
        return Concat(*branches, fractions=rng.dirichlet([2.0, 2.0, 2.0]).tolist())

    parts: list[Callable[[], Layer | Sequential]] = [
        *[lambda: Sequential(phi(), _conv(rng, axes))] * 3,
        *[phi, lambda: _conv(rng, axes), lambda: _dense(rng)],
        *[lambda: Sequential(norm(), phi()), lambda: Sequential(phi(), norm(), _conv(rng, axes))],
        lambda: Sequential(phi(), Dropout(float(rng.choice([0.2, 0.5]))), _conv(rng, axes)),
        *[block, strided, inception],
        lambda: Sum(_conv(rng, axes, 1), Sequential(phi(), _dense(rng)), Dense(0.7)),
        lambda: Residual(norm(), phi(), _conv(rng, axes, 1)),
        lambda: Sequential(Product(_conv(rng, axes, 1), Sequential(_conv(rng, axes, 1), "sigmoid_like")), Dense()),
        *([lambda: Sequential(_pool(rng), _conv(rng, axes))] * 3 if pools else []),
    ]
    part: Callable[[], Layer | Sequential] = _one(rng, parts)
    return part()


def _head(rng: np.random.Generator, pools: bool) -> Layer | Sequential:
    heads: list[Callable[[], Layer | Sequential]] = [Flatten]
    if pools:
        heads += [GlobalAvgPool, GlobalAvgPool, GlobalSumPool, lambda: Sequential(_pool(rng), Flatten()), Flatten]
    head: Callable[[], Layer | Sequential] = _one(rng, heads)
    return head()


def natural(rng: np.random.Generator, count: int, positions: Positions, channels: int) -> Float:
    """Images of pixels of standard deviation 1/2 to 2."""
    size = np.geomspace(0.5, 2, count).reshape(-1, *[1] * (len(positions) + 1))
    return np.asarray(rng.standard_normal((count, *positions, channels)) * size)


def rounded(images: NDArray[np.floating[Any]]) -> Float:
    """The nearest numbers of float32."""
    return images.astype(np.float32).astype(np.float64)


def _near(rng: np.random.Generator, positions: Positions, channels: int) -> Float:
    """One image, and others ever nearer to it: all over down to 1e-6, in a black corner down to 1e-10."""
    a, direction = rounded(rng.standard_normal((2, *positions, channels)))
    corner = (0,) * len(positions)
    a[corner] = 0
    close = [a + step * direction for step in (1e-2, 1e-4, 1e-6)]
    spots = [a.copy() for _ in range(5)]
    for spot, step in zip(spots, (1e-2, 1e-4, 1e-6, 1e-8, 1e-10), strict=True):
        spot[corner] = step * direction[corner]
    return np.array([a, *close, *spots, a])


def _brightness(rng: np.random.Generator, positions: Positions, channels: int) -> Float:
    """One image, brighter and darker."""
    a = rounded(rng.standard_normal((*positions, channels)))
    return np.array([factor * a for factor in (1.0, 2.0, 0.5, 0.125, 3.0, 1.1, 0.999)])


def _flat(rng: np.random.Generator, positions: Positions, channels: int) -> Float:
    """Of one colour, of others, with one half of one colour."""
    a, colour, other = rounded(rng.standard_normal((3, *positions, channels)))
    colour[...], other[...] = rounded(rng.standard_normal((2, channels)))
    half = colour.copy()
    half[: max(positions[0] // 2, 1)] = a[: max(positions[0] // 2, 1)]
    return np.array([a, colour, 2 * colour, other, half, half + 2.0**-12 * (half == colour)])


def _borders(rng: np.random.Generator, positions: Positions, channels: int) -> Float:
    """Black all around, of one, two positions, and all but one."""
    images = rounded(rng.standard_normal((4, *positions, channels)))
    for image, width in zip(images, (0, 1, 2, max(positions) // 2), strict=True):
        inside = tuple(slice(min(width, length // 2), length - min(width, (length - 1) // 2)) for length in positions)
        black = np.ones(positions, dtype=bool)
        black[inside] = False
        image[black] = 0
    return np.concatenate((images, images[1:] * 0.5))


def _zero(rng: np.random.Generator, positions: Positions, channels: int) -> Float:
    """Images that are black, and others."""
    images = rounded(rng.standard_normal((4, *positions, channels)))
    images[[1, 3]] = 0
    return images


def _antipodes(rng: np.random.Generator, positions: Positions, channels: int) -> Float:
    """Negatives, of flat ones too, exact and nearly."""
    a, direction = rounded(rng.standard_normal((2, *positions, channels)))
    flat = np.full_like(a, 0.75)
    return np.array([a, -a, -a - 1e-4 * direction, -2 * a, flat, -flat, -flat - 1e-6 * direction])


#: name -> images of this kind
KINDS: dict[str, Callable[[np.random.Generator, Positions, int], Float]] = {
    "natural": lambda rng, positions, channels: natural(rng, 5, positions, channels),
    "near-duplicates": _near,
    "brightness": _brightness,
    "flat": _flat,
    "black borders": _borders,
    "zero": _zero,
    "antipodes": _antipodes,
}


def three_and_two(positions: Positions, channels: int = 3, seed: int = 0) -> tuple[Float, Float]:
    """Three images and two others, of independent normal numbers."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, *positions, channels)), rng.standard_normal((2, *positions, channels))


def x_and_y(rng: np.random.Generator, positions: Positions, channels: int = 4) -> tuple[Float, Float]:
    """Three images and two others, of numbers of float32."""
    both = images("natural", rng, positions, channels)
    return both[:3], both[3:]


def errors(found: NDArray[np.floating[Any]], truth: Float, left: Float, right: Float) -> Float:
    """Of every pair, relative to the diagonals; where those are 0, only 0 will do."""
    scale, difference = np.sqrt(np.outer(left, right)), np.abs(found.astype(np.float64) - truth)
    return np.where(scale > 0, difference / np.where(scale > 0, scale, 1), np.where(difference > 0, np.inf, 0))


def images(kind: str, rng: np.random.Generator, positions: Positions, channels: int) -> Float:
    """Images of a kind, of numbers of float32."""
    return rounded(KINDS[kind](rng, positions, channels))


def largest_errors(net: Sequential, X: Float, Y: Float) -> dict[str, tuple[float, float]]:
    """Of K and of Theta of the engine, of both dtypes: of X with itself and with Y, all numbers of float32."""
    count, truth = len(X), reference.kernels(net, np.concatenate((X, Y)))

    def largest(whole: Float, *parts: NDArray[Any]) -> float:
        left, every = np.diag(whole)[:count], (slice(0, count), slice(count, None))
        return max(
            float(errors(part, whole[:count, columns], left, np.diag(whole)[columns]).max())
            for part, columns in zip(parts, every, strict=True)
        )

    found = {}
    for dtype in ("float64", "float32"):
        x, y = X.astype(dtype), Y.astype(dtype)
        K, Theta = (largest(*each) for each in zip(truth, net.kernels(x), net.kernels(x, y), strict=True))
        found[dtype] = K, Theta
    return found
