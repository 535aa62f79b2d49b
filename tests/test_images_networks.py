"""Networks of images: those that were published, their text, and what is refused of samples with positions."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import (
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    LayerNorm,
    Reshape,
    Residual,
    Sequential,
    SumPool,
    cnn,
    cntk,
    mlp,
    myrtle,
    network,
    resnet,
)
from fastntk.kernels.shapes import shaped
from fastntk.layers.base import Signal, follow_each, walk
from fastntk.layers.weighted import Weighted

Array = NDArray[Any]

RNG = np.random.default_rng(16)
IMAGES = RNG.normal(size=(3, 8, 8, 2))
ANY: Any = fastntk


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


def test_cnn_with_the_last_window_as_a_convolution() -> None:
    """A "valid" convolution over all positions, as its authors write the end of one, is Flatten and Dense."""
    net = cnn(1, "relu", [7 * 2.79**0.5, 2.79**0.5], 7.86**0.5, kernel_size=(7, 7))
    written = [*net[:2], Conv((8, 8), padding="valid", sigma_w=2.79**0.5, sigma_b=7.86**0.5), Flatten()]
    np.testing.assert_allclose(net.nngp(IMAGES), Sequential(*written).nngp(IMAGES), rtol=1e-13)


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


def test_cnn_is_what_it_says() -> None:
    """Layer by layer."""
    assert cnn(2, ["erf", "relu"], [1.0, 2.0, 3.0], 0.1, kernel_size=5, pool=(2, 1), head="gap") == Sequential(
        *(Conv(5, sigma_w=1.0, sigma_b=0.1), "erf", AvgPool((2, 1))),
        *(Conv(5, sigma_w=2.0, sigma_b=0.1), "relu", AvgPool((2, 1)), GlobalAvgPool(), Dense(3.0, 0.1)),
    )
    assert cnn(0) == Sequential(Flatten(), Dense())
    assert cnn(1, "leaky_relu", alpha=0.2)[1] == Activation("leaky_relu", alpha=0.2)
    assert cnn(1, np.tanh)[1] == Activation(np.tanh)


NETWORKS = [
    cnn(3, "erf", 1.4, 0.1, pool=2),
    cnn(2, kernel_size=(5,), head="gap"),
    *(myrtle(5), myrtle(10, "exp_normalized"), resnet((2, 3)), cntk(5), cntk(3, gap=False)),
    Sequential(Reshape(8, 8, 1), *cnn(2)),
    Sequential(
        Conv(3, 2, "valid", dilation=2), LayerNorm(axes="all"), "relu", SumPool(2, 1, "same"), Flatten(), Dense()
    ),
    Sequential(Conv(kernel_size=16, stride=16, padding=(0, 1)), GlobalSumPool(), Dense()),
    Sequential(
        *(Conv(3, padding="circular"), Concat("relu", Sequential("erf", Conv(1, trainable=False)))),
        *(AvgPool(3, 1, "same", normalize_edges=True), Flatten(), Dense(0.5, parametrization="standard", width=3)),
    ),
]


@pytest.mark.parametrize("net", NETWORKS)
def test_text_is_read_back(net: Sequential) -> None:
    """As repr writes it; pickles too; and print shows every layer with weights."""
    assert network(repr(net)) == net
    assert pickle.loads(pickle.dumps(net)) == net
    assert hash(network(repr(net))) == hash(net)
    if len(net) < 25:
        assert str(net).count("sigma_w") == len(weighted(net))


@pytest.mark.parametrize(
    ("text", "net"),
    [
        ('cnn(2, "relu", 2**0.5, pool=2)', cnn(2, "relu", 2**0.5, pool=2)),
        ("fastntk.myrtle(7)", myrtle(7)),
        ("resnet((1, 1))", resnet((1, 1))),
        ("cntk(4, gap=False)", cntk(4, gap=False)),
        ("Sequential(Reshape(8, 8, 1), *[Conv(3), 'relu'] * 2, Flatten(), cnn(0))", None),
    ],
)
def test_networks_in_text(text: str, net: Sequential | None) -> None:
    """Called as in Python."""
    made = network(text)
    assert made == net if net else len(made) == 8


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: myrtle(6), ValueError, r"^there are Myrtle networks of depth 5, 7 and 10, got 6"),
        (lambda: ANY.resnet(5), TypeError, r"^blocks must be a sequence of integers, one for each stage, got 5"),
        (lambda: resnet((5, 0)), ValueError, r"^blocks\[1\] must be an integer >= 1, got 0"),
        (lambda: cntk(2), ValueError, r"^depth must be an integer >= 3, got 2"),
        (lambda: cntk(1, gap=False), ValueError, r"^depth must be an integer >= 2, got 1"),
        (lambda: ANY.cntk(3, "gap"), TypeError, r"^gap must be True or False, got 'gap'"),
        (lambda: ANY.cnn(2, head="Flatten"), ValueError, r"^head must be 'flatten' or 'gap', got 'Flatten'"),
        (lambda: cnn(2, "relu", [1.0, 2.0]), ValueError, r"one for each of the 3 layers with weights, got 2"),
        (lambda: ANY.cnn(2, filters=64), TypeError, r"^cnn has no 'filters': the network is infinitely wide"),
        (lambda: ANY.cnn(2, kernel=5), TypeError, r"^cnn has no argument 'kernel'. Did you mean 'kernel_size'"),
        (lambda: cnn(3, "relu", 64), ValueError, r"^fastntk's cnn has no widths.* write cnn\(3, 'relu'\)"),
        (lambda: cnn(1, Conv(3)), TypeError, r"^activation must be the name of an activation"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments(call: Any, error: type[Exception], sentence: str) -> None:
    """Each has its sentence."""
    with pytest.raises(error, match=sentence):
        call()


def of(*layers: Any, x: Array = IMAGES) -> tuple[int, ...]:
    """Shape of samples that layers take."""
    return shaped(Sequential(*layers).layers, x, "X").shape


ROWS = IMAGES.reshape(3, -1)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: of(*cnn(2), x=IMAGES[..., 0]), r"^X has samples of shape \(8, 8\): layer 0, .* needs X\[..., None\]"),
        (lambda: of(*myrtle(5), x=IMAGES[..., 0]), r"layer 0, .* is for 2 axes, .* needs X\[..., None\]"),
        (lambda: of(*resnet((1,)), x=IMAGES[..., 0]), r"layer 0, .* needs X\[..., None\]"),
        (lambda: of(*cntk(3), x=IMAGES[..., 0]), r"layer 0, .* needs X\[..., None\]"),
        (lambda: of(*cnn(1), x=ROWS), r"^X has samples of shape \(128,\): .* vectors, without positions.*Reshape\("),
        (lambda: of(Conv(3), "relu"), r"^the network ends with 8 x 8 positions.*Flatten\(\).*GlobalAvgPool\(\)"),
        (lambda: of(*mlp(1)), r"^the network ends with 8 x 8 positions"),
        (lambda: of(Conv(3), Flatten(), "relu", Dense()), r"^layer 2, .* units of several positions side by side"),
        (lambda: of(Conv(3), "relu", AvgPool(2), "relu"), r"^layer 3, .* averages of activations"),
        (lambda: of(Conv(3), "relu", GlobalAvgPool(), "relu"), r"^layer 3, .* averages of activations"),
        (lambda: of(Flatten(), "relu"), r"^X has samples of shape \(8, 8, 2\): layer 1, .* an activation acts on"),
        (
            lambda: of(Conv(3), Residual("relu", Conv(3, 2)), Flatten()),
            r"layer 1, .* end with 4 x 4 and 8 x 8 positions, .* Conv of kernel size 1 with the strides",
        ),
        (lambda: of(Reshape(8, 8, 3), *cnn(1), x=ROWS), r"layer 0, .* a sample of 128 features is none of shape"),
        (lambda: of(Reshape(8, 4, 4), *cnn(1)), r"^X has samples of shape \(8, 8, 2\), which Reshape\(8, 4, 4\) does"),
        (lambda: of(Dense(), Reshape(8, 8, 2)), r"^layer 1, .* for the samples themselves, as the first layer"),
        (lambda: of(Conv(9, padding="valid"), Flatten()), r"a window over 9 positions does not fit into 8; pass"),
        (lambda: of(*cnn(4, pool=2)), r"layer 11, AvgPool\(2\): a window over 2 positions does not fit into 1"),
        (lambda: of(Conv((3, 3, 3)), Flatten()), r"size \(3, 3, 3\) is for 3 axes, and what comes in has 2"),
        (lambda: of(Conv(3), GlobalAvgPool(), Conv(3)), r"layer 2, .* what comes in are vectors"),
    ],
)
def test_samples_that_do_not_suit(call: Any, sentence: str) -> None:
    """Are refused before work starts, by the layer that is wrong."""
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(
    "net",
    [
        Sequential(Conv(3), Residual("relu", AvgPool(2, 1, "same"), Conv(1)), Flatten(), Dense()),
        Sequential(Conv(3), Residual("relu", Conv(3), SumPool(3, 1, "same")), Flatten(), Dense()),
    ],
)
def test_pools_in_branches(net: Sequential) -> None:
    """Are refused, and what to do is said."""
    with pytest.raises(ValueError, match=r"Pool\(.* inside a branch.*behind the branches, or use a Conv with a stride"):
        net.nngp(IMAGES)


def test_kernel_needs_samples_that_suit() -> None:
    """The kernels themselves give the same sentences, of X and of Y."""
    net = cnn(1)
    with pytest.raises(ValueError, match=r"^X has samples of shape \(8, 8\): .* needs X\[..., None\]"):
        net.nngp(IMAGES[..., 0])
    with pytest.raises(ValueError, match=r"^the network ends with 8 x 8 positions"):
        net[:2].ntk.diag(IMAGES)
    with pytest.raises(ValueError, match=r"Y"):
        net.ntk(IMAGES, IMAGES[:, :7])
    bad = IMAGES.copy()
    bad[1, 2, 3, 0] = np.nan
    with pytest.raises(ValueError, match=r"^X contains nan"):
        net.ntk(bad)


def test_replace_and_parameters() -> None:
    """Of all layers with weights, convolutions too."""
    net = resnet((1, 1)).replace(sigma_w=2**0.5, sigma_b=0.1, trainable=False)
    assert {(layer.sigma_w, layer.sigma_b, layer.trainable) for layer in weighted(net)} == {(2**0.5, 0.1, False)}
    assert len(net.parameters) == 2 * len(weighted(net))
    values = [0.5 + i / 10 for i in range(len(net.parameters))]
    assert [parameter.value for parameter in net.with_parameters(values).parameters] == values


@pytest.mark.parametrize(
    "net",
    [
        *(myrtle(5), resnet((1, 2)), cnn(2, "tanh", 1.5, 0.1)),
        Sequential(
            Conv(3), LayerNorm(axes="all"), "erf", SumPool(2, 1, "same"), Conv(2, 2), Flatten(), Dense(0.5, 0.1)
        ),
        Sequential(Conv(3, sigma_b=0.1), Concat("relu", Dense()), AvgPool(2), GlobalSumPool(), Dense(), "abs", Dense()),
    ],
    ids=["myrtle", "resnet", "tanh", "norm", "concat"],
)
def test_summary_has_means_over_positions(net: Sequential) -> None:
    """Behind each layer: what Flatten there makes of them, which is the mean over positions."""
    table = net.summary(IMAGES)
    assert table.end == ""
    for i in range(len(net)):
        part = net[: i + 1]
        part = Sequential(*part, Flatten()) if table.shapes and len(table.shapes[i]) > 1 else part
        for kind in ("nngp", "ntk"):
            diagonal = getattr(part, kind).diag(IMAGES)
            for name, statistic in (("mean", np.mean), ("min", np.min), ("max", np.max)):
                np.testing.assert_allclose(getattr(table, f"{kind}_{name}")[i], statistic(diagonal), rtol=1e-12)


def test_summary_where_kernels_end() -> None:
    """Beyond the range of float64, and where an activation does not accept a variance."""
    table = Sequential(Conv(3, sigma_w=1e90), "relu", Conv(3, sigma_w=1e90), "relu", Flatten(), Dense()).summary(IMAGES)
    assert table.end == "After layer 2 a kernel is beyond the range of float64."
    assert table.nngp_mean is not None
    assert np.isinf(table.nngp_mean[2])
    assert np.isnan(table.nngp_mean[3:]).all()
    pool = Sequential(Conv(3), Residual("relu", AvgPool(3, 1, "same"), Conv(1)), Flatten(), Dense()).summary(IMAGES)
    assert pool.end.startswith("Layer 1 does not go on: AvgPool(3, stride=1, padding='same') is inside a branch")


def test_summary_has_shapes() -> None:
    """Of images and rows of them; without samples the layers alone."""
    net = Sequential(Conv((3, 3), 2), "relu", AvgPool(2), Flatten(), Dense())
    table = net.summary(IMAGES)
    inf = np.inf
    shapes = ((4, 4, inf), (4, 4, inf), (2, 2, inf), (inf,), (inf,))
    assert table.shapes == shapes
    assert table.samples == IMAGES.shape
    lines = str(table).splitlines()
    assert lines[0].startswith("Sequential of 5 layers, 3 samples of 8 x 8 x 2 features: K(x, x) = ")
    assert lines[1].split()[:2] == ["layer", "shape"]
    assert ["4 x 4 x ∞" in lines[2], "4 x 4 x ∞" in lines[3], "2 x 2 x ∞" in lines[4], " x ∞" in lines[5]] == [
        1,
        1,
        1,
        0,
    ]
    assert table.at_input is not None
    np.testing.assert_allclose(
        np.array(table.at_input), [f((IMAGES**2).mean(axis=(1, 2, 3))) for f in (np.mean, np.min, np.max)]
    )
    rows = Sequential(Reshape(8, 8, 2), *net).summary(ROWS)
    assert rows.shapes == ((8, 8, 2), *shapes)
    assert "8 x 8 x 2" in rows._repr_html_()
    assert len(str(net.summary()).splitlines()) == 7
