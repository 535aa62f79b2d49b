"""Published networks of images, against the programs of their authors; their layers, counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import (
    Residual,
    Sequential,
    cntk,
    myrtle,
    resnet,
)
from fastntk.layers.base import Signal, follow_each, walk
from fastntk.layers.weighted import Weighted

Array = NDArray[Any]

IMAGES = np.random.default_rng(16).normal(size=(3, 8, 8, 2))


# The programs that the authors published, in NumPy: sums over taps of whole position pairs, one pair of images each.


def box(k: Array) -> Array:
    """Sum over 3x3 taps of both positions: k of shape (H, W, H, W)."""
    height, width = k.shape[:2]
    padded = np.pad(k, 1)
    taps = [(a, b) for a in range(3) for b in range(3)]
    shifted = [padded[a : a + height, b : b + width, a : a + height, b : b + width] for a, b in taps]
    return np.asarray(sum(shifted))


def pooled(k: Array, size: int) -> Array:
    """Sum over all pairs of positions of two windows."""
    height, width = (length // size for length in k.shape[:2])
    cut = k[: height * size, : width * size, : height * size, : width * size]
    windows: Array = cut.reshape(height, size, width, size, height, size, width, size)
    return np.asarray(windows.sum(axis=(1, 3, 5, 7)))


def of_positions(x: Array, y: Array) -> Array:
    """Sums over channels of all pairs of positions."""
    return np.asarray(np.einsum("hwc,uvc->hwuv", x, y))


def diagonal(k: Array) -> Array:
    """Entries of the same position."""
    return np.asarray(np.einsum("hwhw->hw", k))


def relu(k: Array, p: Array, q: Array) -> tuple[Array, Array]:
    """(E φφ, E φ'φ') without the factor 1/2, for position pairs of variances p and q."""
    size = np.sqrt(np.multiply.outer(p, q))
    rho = np.clip(k / size, -1, 1)
    angle = np.pi - np.arccos(rho)
    return size * (rho * angle + np.sqrt(1 - rho**2)) / np.pi, angle / np.pi


class Three:
    """A function of two images beside itself on each of them, for the variances."""

    def __init__(self, x: Array, y: Array) -> None:
        self.k = [of_positions(a, b) for a, b in ((x, y), (x, x), (y, y))]
        self.steps: list[Array] = []

    def each(self, step: Any) -> None:
        """Apply it to each."""
        self.k = [step(k) for k in self.k]

    def relu(self) -> None:
        """Behind sqrt(2) times ReLU."""
        p, q = diagonal(self.k[1]), diagonal(self.k[2])
        pairs = ((p, q), (p, p), (q, q))
        both = [relu(k, *pair) for k, pair in zip(self.k, pairs, strict=True)]
        self.k, self.steps = [k for k, _ in both], [step for _, step in both]


def published_cntk(x: Array, y: Array, depth: int, gap: bool) -> float:
    """CNTK.py of github.com/ruosongwang/CNTK."""
    three = Three(x, y)
    three.each(box)
    theta = np.zeros_like(three.k[0]) if gap else three.k[0].copy()
    for i in range(1, depth):
        three.relu()
        three.each(lambda k: k / 9)
        theta = theta * three.steps[0] / 9 + three.k[0]
        if i < depth - 1:
            three.each(box)
            theta = box(theta)
    if gap:
        theta -= three.k[0]
    return float(theta.mean() if gap else diagonal(theta).sum())


def published_myrtle(x: Array, y: Array, convolutions: tuple[int, int, int]) -> float:
    """The configurations of github.com/modestyachts/neural_kernels_code, whose last pool is over all positions."""
    three = Three(x, y)
    for part, count in enumerate(convolutions):
        for _ in range(count):
            three.each(box)
            three.relu()
        if part < 2:
            three.each(lambda k: pooled(k, 2))
    return float(three.k[0].sum())


def published_resnet(x: Array, y: Array, blocks: tuple[int, ...]) -> float:
    """configs/mnist_as_tf.py of github.com/cambridge-mlg/cnn-gp: variances and covariance of the same position."""

    def conv(k: Array, size: int = 3, stride: int = 1) -> Array:
        padded = np.pad(k, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
        return np.asarray(windows[:, ::stride, ::stride].mean(axis=(3, 4)))

    def phi(k: Array) -> Array:
        xy, xx, yy = k
        rho = np.clip(xy / np.sqrt(xx * yy), -1, 1)
        covariance = np.sqrt(xx * yy) * (rho * (np.pi - np.arccos(rho)) + np.sqrt(1 - rho**2)) / (2 * np.pi)
        return np.stack([covariance, xx / 2, yy / 2])

    k = np.stack([(a * b).mean(axis=-1) for a, b in ((x, y), (x, x), (y, y))])
    k = conv(k)
    for stage, count in enumerate(blocks):
        stride = 2 if stage else 1
        k = phi(k)
        k = conv(k, 1, stride) + conv(phi(conv(k, 3, stride)))
        for _ in range(count - 1):
            k = k + conv(phi(conv(phi(k))))
    whole = k.mean(axis=(1, 2), keepdims=True)  # a "valid" convolution over all positions
    return float(phi(whole)[0, 0, 0])


@pytest.mark.parametrize(("depth", "gap"), [(3, True), (5, True), (2, False), (4, False)])
def test_cntk_is_that_of_its_authors(depth: int, gap: bool) -> None:
    """Up to the factor that its docstring has."""
    x = IMAGES[:, :5, :6]
    theta = cntk(depth, gap).ntk(x) * x.shape[-1] * (1 if gap else 5 * 6)
    for i, j in ((0, 0), (0, 1), (1, 2)):
        np.testing.assert_allclose(theta[i, j], published_cntk(x[i], x[j], depth, gap), rtol=1e-12)


@pytest.mark.parametrize(("depth", "convolutions"), [(5, (2, 1, 1)), (7, (2, 2, 2)), (10, (3, 3, 3))])
def test_myrtle_is_that_of_its_authors(depth: int, convolutions: tuple[int, int, int]) -> None:
    """Up to a factor; 8x7 images end with 2x1 positions."""
    x = IMAGES[:, :, :7]
    k = myrtle(depth).nngp(x)
    pairs = ((0, 0), (0, 1), (1, 2))
    wanted = np.array([published_myrtle(x[i], x[j], convolutions) for i, j in pairs])
    found = np.array([k[i, j] for i, j in pairs])
    np.testing.assert_allclose(found / found[0], wanted / wanted[0], rtol=1e-12)


@pytest.mark.parametrize("blocks", [(1,), (2, 1), (1, 2, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_resnet_is_that_of_its_authors(blocks: tuple[int, ...], size: tuple[int, int]) -> None:
    """With odd sizes too, which a stride rounds up."""
    x = IMAGES[:, : size[0], : size[1]]
    k = resnet(blocks).nngp(x)
    for i, j in ((0, 0), (0, 1), (1, 2)):
        np.testing.assert_allclose(k[i, j], published_resnet(x[i], x[j], blocks), rtol=1e-12)


def weighted(net: Sequential) -> list[Weighted]:
    """Its layers with weights."""
    return [layer for _, layer in walk(net.layers) if isinstance(layer, Weighted)]


def positions(net: Sequential, *shape: int) -> list[tuple[float, ...]]:
    """Behind each layer."""
    return [signal.shape[:-1] for signal in follow_each(net.layers, Signal(shape[:-1], shape[-1]))]


def test_sizes_of_the_published_networks() -> None:
    """Layers and positions, counted by hand."""
    net = resnet()
    assert len(weighted(net)) == 1 + 3 * 10 + 3 + 2  # ResNet-32: 1 + 30 + 1; three shortcuts, and one for the pool
    found = positions(net, 28, 28, 1)
    assert list(dict.fromkeys(found)) == [(28, 28), (14, 14), (7, 7), ()]
    # ARCHITECTURES' count of position pairs: of 3x3 convolutions 11 at 28x28, 10 at 14x14, 10 at 7x7.
    pairs = 784
    for layer, at in zip(net, found, strict=True):
        pairs += 2 * int(np.prod(at)) if isinstance(layer, Residual) else 0
    assert pairs == 11_074
    for depth, count in ((5, 4), (7, 6), (10, 9)):
        assert len(weighted(myrtle(depth))) == count + 1 == depth
        assert positions(myrtle(depth), 32, 32, 3)[-3] == (8, 8)
        assert positions(myrtle(depth), 28, 28, 1)[-3] == (7, 7)
    assert [layer.trainable for layer in weighted(cntk(4))] == [False, True, True, False]
    assert all(layer.trainable for layer in weighted(cntk(4, gap=False)))
    assert len(weighted(cntk(11))) == 11
