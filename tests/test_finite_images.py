"""Finite networks on images and sequences: forward by loops over taps, derivatives by finite differences, limits.

Their limits are those of `fastntk.reference`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.derivatives import Instead, check_derivatives, check_training, jacobian
from tests.limits import check_limit

from fastntk import (
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
    Reshape,
    Residual,
    Sequential,
    Sum,
    SumPool,
)
from fastntk.finite import FiniteNetwork, convergence, output_distribution
from fastntk.layers.window import Padding

Array = NDArray[np.float64]

IMAGES, OTHERS = np.random.default_rng(0).normal(size=(2, 2, 4, 3, 2))
SEQUENCES = np.random.default_rng(1).normal(size=(3, 7, 2))


def patches(h: Array, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding: Any) -> Array:
    """What the taps of every output position take, (n, *outputs, *taps, channels), zeros outside."""
    positions = h.shape[1:-1]
    spans = [r * (k - 1) + 1 for r, k in zip(dilation, size, strict=True)]
    if padding in ("same", "circular"):
        outputs = [-(-length // s) for length, s in zip(positions, stride, strict=True)]
        total = [
            max((count - 1) * s + span - length, 0)
            for count, s, span, length in zip(outputs, stride, spans, positions, strict=True)
        ]
        low = [one // 2 for one in total]
    else:
        low = [0 if padding == "valid" else padding] * len(positions)
        outputs = [
            (length + 2 * pad - span) // s + 1
            for length, pad, span, s in zip(positions, low, spans, stride, strict=True)
        ]
    found = np.zeros((len(h), *outputs, *size, h.shape[-1]))
    for at in np.ndindex(*outputs):
        for tap in np.ndindex(*size):
            where = [s * p + r * o - pad for s, p, r, o, pad in zip(stride, at, dilation, tap, low, strict=True)]
            if padding == "circular":
                where = [one % length for one, length in zip(where, positions, strict=True)]
            if all(0 <= one < length for one, length in zip(where, positions, strict=True)):
                found[(slice(None), *at, *tap)] = h[(slice(None), *where)]
    return found


PADDINGS: tuple[Padding, ...] = ("same", "valid", "circular", 1)


def random_conv(rng: np.random.Generator, axes: int) -> tuple[Conv, dict[str, Any]]:
    """A convolution over as many axes, and its window in words of `patches`."""
    each = {
        "size": rng.integers(1, 4, axes).tolist(),
        "stride": rng.integers(1, 3, axes).tolist(),
        "dilation": rng.integers(1, 3, axes).tolist(),
        "padding": PADDINGS[rng.integers(4)],
    }
    conv = Conv(
        tuple(each["size"]),
        tuple(each["stride"]),
        each["padding"],
        dilation=tuple(each["dilation"]),
        sigma_w=1.2,
        sigma_b=0.3,
        parametrization=str(rng.choice(["ntk", "standard"])),  # type: ignore[arg-type]
        width=4,
    )
    return conv, each


@pytest.mark.parametrize("seed", range(18))
def test_convolutions_are_sums_over_taps(seed: int) -> None:
    """In 1, 2 and 3 dimensions: forward, K and Theta of its units, the mean over positions."""
    rng = np.random.default_rng(seed)
    axes = 1 + seed % 3
    conv, window = random_conv(rng, axes)
    x = rng.normal(size=(3, *rng.integers(5, 8, axes), 2))
    network = FiniteNetwork(Sequential(conv, Flatten(), Dense()), rng=rng)
    samples = network.read(x)
    w, b = network.parameters[0]
    taken = patches(x, **window)
    taken = taken.reshape(3, *taken.shape[1 : 1 + axes], -1)
    fan_in = taken.shape[-1]
    standard = conv.parametrization == "standard"
    weight_scale, bias_scale = (1.0, 1.0) if standard else (1.2 / fan_in**0.5, 0.3)
    z = bias_scale * b + weight_scale * taken @ w.reshape(4, fan_in).T
    np.testing.assert_allclose(network.pre_activations(samples)[0], z, rtol=1e-12, atol=1e-13)
    k = np.einsum("nps,mps->nm", *2 * (taken.reshape(3, -1, fan_in),)) / taken[0].size
    np.testing.assert_allclose(network.empirical_nngp(samples)[0], 0.3**2 + 1.2**2 * k, rtol=1e-12)
    theta = bias_scale**2 + weight_scale**2 * fan_in * k
    np.testing.assert_allclose(network.empirical_ntk(samples, layer=0), theta, rtol=1e-12)


def test_pools_that_go_around() -> None:
    """Take a position as often as their window meets it."""
    x = SEQUENCES[:, :2]
    taken = patches(x, (5,), (1,), (1,), "circular").reshape(3, 2, 5, 2)
    for pool, right in (
        (AvgPool(5, 1, "circular"), taken.mean(axis=2)),
        (SumPool(5, 1, "circular"), taken.sum(axis=2)),
    ):
        network = FiniteNetwork(Sequential(pool, Flatten(), Dense(width=4)), rng=0)
        found = network.forward(x)
        np.testing.assert_allclose(found, right.reshape(3, -1) @ network.parameters[0].W.T / 2, rtol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_pools_are_sums_over_windows(seed: int) -> None:
    """In 1, 2 and 3 dimensions, with every padding; the divisor is the size, or what is inside."""
    rng = np.random.default_rng(seed)
    axes = 1 + seed % 3
    size, stride = rng.integers(1, 4, axes).tolist(), rng.integers(1, 3, axes).tolist()
    padding = PADDINGS[seed // 3]
    x = rng.normal(size=(3, *rng.integers(5, 8, axes), 2))
    window = {"size": size, "stride": stride, "dilation": [1] * axes, "padding": padding}
    over = tuple(range(1 + axes, 1 + 2 * axes))
    total, inside = (patches(h, **window).sum(axis=over) for h in (x, np.ones_like(x)))
    for pool, right in (
        (SumPool(tuple(size), tuple(stride), padding), total),
        (AvgPool(tuple(size), tuple(stride), padding), total / np.prod(size)),
        (AvgPool(tuple(size), tuple(stride), padding, normalize_edges=True), total / np.maximum(inside, 1)),
        (GlobalSumPool(), x.sum(axis=tuple(range(1, 1 + axes)))),
        (GlobalAvgPool(), x.mean(axis=tuple(range(1, 1 + axes)))),
    ):
        network = FiniteNetwork(Sequential(pool, Flatten(), Dense(width=4)), rng=0)
        given = network.propagate(network.read(x)).given[0]
        np.testing.assert_allclose(given, right.reshape(3, -1), rtol=1e-12, atol=1e-13)


A, B, C, D = (
    Conv(3, sigma_w=1.3, sigma_b=0.2), Conv(2, 2, 1, sigma_b=0.3), Conv(3, 1, "circular", dilation=2), Dense(1.1, 0.2)
)  # fmt: skip
STANDARD = Conv(3, 2, sigma_w=1.2, parametrization="standard", width=3, bias=True)

#: Of width 3, for images or sequences.
NETWORKS: dict[str, Sequential] = {
    "Flatten": Sequential(A, "tanh", B, "relu", Flatten(), D),
    "global": Sequential(A, "relu", C, "tanh", GlobalAvgPool(), D, "relu", Dense()),
    "pools": Sequential(A, SumPool(2, 1, "same"), "tanh", B, AvgPool(2, 1, "same", True), "sin", GlobalSumPool(), D),
    "pool of the raw input": Sequential(AvgPool(2, 1), A, "tanh", Flatten(), D),
    "Residual with a stride": Sequential(
        A, Residual("relu", Conv(3, 2), "tanh", C, shortcut=Conv(1, 2)), Residual("relu", C), "relu", GlobalAvgPool(), D
    ),
    "Dense at positions": Sequential(D, "relu", C, LayerNorm(), "tanh", Dense(), "tanh", Flatten(), D),
    "LayerNorm over all": Sequential(A, LayerNorm("all"), "relu", C, LayerNorm("all", eps=0.3), "tanh", Flatten(), D),
    "Concat and Product": Sequential(
        A, Concat(Sequential("relu", B), B), Product(Identity(), Sequential(C, "tanh"), C), Flatten(), D
    ),
    "pools in branches": Sequential(
        A, Sum(Sequential("relu", AvgPool(2, 2, "same"), Dense()), Conv(3, 2)), "relu", GlobalAvgPool(), D
    ),
    "Dropout": Sequential(A, "relu", Dropout(0.3), C, "tanh", Dropout(0.2), GlobalAvgPool(), D, "tanh", Dense()),
    "heads": Sequential(A, "tanh", Concat(Sequential(Flatten(), D), Sequential(GlobalAvgPool(), D)), "tanh", Dense()),
    "frozen": Sequential(A.with_values(trainable=False), "tanh", B, "relu", Flatten(), D),
    "standard": Sequential(
        Conv(2, parametrization="standard", width=3), "tanh", STANDARD, "relu", Flatten(), Dense(width=3), "tanh",
        Dense(parametrization="standard"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "axes"), [*((name, 1) for name in NETWORKS), *((name, 2) for name in ("Flatten", "pools", "heads"))]
)
def test_derivatives(name: str, axes: int) -> None:
    """Empirical NTK, gradient, directional derivative and Taylor model, to 1e-6."""
    network = FiniteNetwork(NETWORKS[name], 3, 2, rng=1)
    x, y = (IMAGES, OTHERS) if axes == 2 else (SEQUENCES, SEQUENCES[:2] + 0.1)
    check_derivatives(network, x, y)
    k = network.empirical_ntk(x)
    np.testing.assert_array_equal(k, k.T)


@pytest.mark.parametrize("name", ["Flatten", "Dropout", "standard"])
def test_kernels_of_hidden_layers(name: str) -> None:
    """Theta of hidden units: the mean over positions, by differences of these units at each."""
    network = FiniteNetwork(NETWORKS[name], 3, rng=1)
    x = network.read(SEQUENCES)
    for i in range(len(network.weighted)):

        def units(_: Any, i: int = i) -> Array:
            return network.pre_activations(x)[i].reshape(len(x), -1)

        j = jacobian(Instead(network, units), None)  # type: ignore[arg-type]
        j = j.reshape(*j.shape[:2], -1, len(network.parameters[i].b))
        wanted = np.einsum("pnsk,pmsl->nmkl", j, j) / j.shape[2]
        each: list[tuple[Any, Array]] = [
            (0, wanted[..., 0, 0]), ("all", wanted), ("trace", np.einsum("nmkk->nm", wanted)),
        ]  # fmt: skip
        for outputs, theta in each:
            found = network.empirical_ntk(x, outputs=outputs, layer=i)
            assert np.abs(found - theta).max() <= 1e-6 * np.abs(theta).max()


def test_layer_norm_over_all_positions() -> None:
    """One mean and one deviation of a sample."""
    network = FiniteNetwork(Sequential(A, LayerNorm("all", eps=0.1), Flatten(), D), 5, rng=0)
    x = network.read(IMAGES)
    z = network.pre_activations(x)[0].reshape(2, -1)
    right = (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + 0.1)
    np.testing.assert_allclose(network.propagate(x).given[1], right, rtol=1e-12)


def same(one: FiniteNetwork, other: FiniteNetwork, x: Array, y: Array) -> None:
    """Outputs and kernels of two networks, of the same samples in different shapes."""
    np.testing.assert_allclose(one.forward(x), other.forward(y), rtol=1e-12)
    np.testing.assert_allclose(one.empirical_nngp(x), other.empirical_nngp(y), rtol=1e-12)
    np.testing.assert_allclose(one.empirical_ntk(x, outputs="all"), other.empirical_ntk(y, outputs="all"), rtol=1e-10)


def test_a_convolution_of_one_tap_is_dense() -> None:
    """At every position; the same numbers are drawn."""
    first, second = ([layer, "relu", layer, "tanh", Flatten(), D] for layer in (Conv(1, sigma_b=0.2), Dense(1, 0.2)))
    networks = [FiniteNetwork(Sequential(*layers), 6, 2, rng=0) for layers in (first, second)]
    same(networks[0], networks[1], IMAGES, IMAGES)


def test_flattened_images_are_rows() -> None:
    """Flatten and Dense are Dense of rows, and Reshape makes images of rows."""
    rows = IMAGES.reshape(2, -1)
    flat, dense = (FiniteNetwork(Sequential(*first, D, "relu", D), 6, 2, rng=0) for first in ([Flatten()], []))
    same(flat, dense, IMAGES, rows)
    net = NETWORKS["Flatten"]
    reshaped, cnn = (FiniteNetwork(each, 4, 2, rng=0) for each in (Sequential(Reshape(4, 3, 2), *net), net))
    same(reshaped, cnn, rows, IMAGES)
    same(reshaped, cnn, IMAGES, IMAGES)


def test_panels_have_one_mask_for_a_sample() -> None:
    """Memory bounds the rows at a time, and changes nothing."""
    x = np.random.default_rng(0).normal(size=(20, 12, 12, 1))
    net = Sequential(A, "relu", Dropout(0.4), AvgPool(2), C, "tanh", GlobalAvgPool(), D)
    network = FiniteNetwork(net, 64, 2, rng=0)
    samples, other = network.read(x), network.read(x[:7])
    assert len(list(network.panels(20, 2, "64 MiB"))) > 1
    for more in ({"outputs": "all"}, {"Y": other}):
        whole, parts = (network.empirical_ntk(samples, **more, **how) for how in ({}, {"max_memory": "64 MiB"}))  # type: ignore[arg-type]
        np.testing.assert_allclose(whole, parts, rtol=1e-10, atol=1e-12)


def test_parameters_may_be_drawn_before() -> None:
    """From the shape of a sample; with Reshape that of a row too."""
    net = NETWORKS["Flatten"]
    early, late = FiniteNetwork(net, 6, rng=5, n_inputs=(4, 3, 2)), FiniteNetwork(net, 6, rng=5)
    assert [layer.W.shape for layer in early.parameters] == [(6, 3, 3, 2), (6, 2, 2, 6), (1, 36)]
    np.testing.assert_array_equal(early.forward(IMAGES), late.forward(IMAGES))
    rows = FiniteNetwork(Sequential(Reshape(4, 3, 2), *net), 6, rng=5, n_inputs=24)
    np.testing.assert_array_equal(early.forward(IMAGES), rows.forward(IMAGES.reshape(2, 24)))


# Limits

WIDTH, DRAWS = 384, 12

X = np.random.default_rng(2).normal(size=(3, 4, 3, 2))
X[:, 0] *= 2  # variances that differ from position to position
X[2] = X[0] + 0.2 * X[1]

LIMITS: dict[str, Sequential] = {
    "Flatten": Sequential(A, "relu", Conv(2, sigma_w=1.2, sigma_b=0.3), "relu", Flatten(), D),
    "global average": Sequential(A, "relu", C, "erf", GlobalAvgPool(), D, "relu", Dense()),
    "pools": Sequential(
        A, SumPool(2, 1), "relu", Conv(2, 1, 1), AvgPool(2, 2, "same", True), "erf", GlobalSumPool(), D
    ),
    "Residual with a stride": Sequential(
        A, Residual("relu", Conv(3, 2), "relu", C, shortcut=Conv(1, 2)), Residual("relu", C), "relu", GlobalAvgPool(), D
    ),
    "LayerNorm": Sequential(A, LayerNorm("all"), "relu", C, LayerNorm(eps=0.1), "relu", Flatten(), D),
    "LayerNorm of units with a mean": Sequential(A, "relu", LayerNorm(), Dense(1.0, 0.3), "relu", GlobalAvgPool(), D),
    "Concat and Product": Sequential(
        A, Concat("relu", Sequential(C, "erf")), Product(Dense(), Sequential(C, "relu")), AvgPool(2), C, Flatten(), D
    ),
    "Dropout": Sequential(A, "relu", Dropout(0.3), C, "relu", Dropout(0.2), GlobalAvgPool(), D, "erf", D),
    "heads": Sequential(A, "relu", Sum(Sequential(Flatten(), D), Sequential(GlobalAvgPool(), Dense(2.0))), "relu", D),
    "frozen": Sequential(A.with_values(trainable=False), "relu", C, "relu", GlobalAvgPool(), Dense(trainable=False)),
    "standard": Sequential(
        Conv(2, 1, "valid", sigma_b=0.2, parametrization="standard", width=WIDTH),
        "relu",
        Conv(3, parametrization="standard", width=WIDTH, bias=True),
        "relu",
        Flatten(),
        Dense(),
    ),
    "head at the end": Sequential(A, "relu", Conv(2), GlobalAvgPool()),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    """Means over networks of width 384 are the kernels of the reference."""
    check_limit(LIMITS[name], X, width=WIDTH, draws=DRAWS)


def test_masks_of_other_samples() -> None:
    """Equal images of two sets are different samples."""
    check_limit(LIMITS["Dropout"], X, X[1:], width=WIDTH, draws=DRAWS)


# What is made of them


def test_training() -> None:
    """A step is that of the empirical NTK."""
    net = Sequential(A, "tanh", Dropout(0.3), AvgPool(2), C, "tanh", GlobalAvgPool(), D)
    check_training(FiniteNetwork(net, 20, rng=0), IMAGES, np.array([1.0, -1.0]), OTHERS)


def test_convergence() -> None:
    """Of every layer with others before it, at positions of the mean over them."""
    net = Sequential(Conv(3), "relu", Conv(2), "relu", Flatten(), D)
    found = convergence(net, X, (16, 64, 256), draws=12, rng=0)
    assert found.nngp_errors.shape == (3, 12, 2)
    assert np.abs(found.nngp_exponent + 0.5).max() < 0.15
    assert np.abs(found.ntk_exponent + 0.5).max() < 0.15
    assert np.isnan(found.nngp_predicted).all()


def test_outputs() -> None:
    """Covariances are those of the limit."""
    found = output_distribution(LIMITS["global average"], X, 64, 200, rng=0)
    assert (np.abs(found.covariance - found.gp_covariance) <= 5 * found.covariance_error + 5 / 64).all()
    assert np.isnan(found.predicted_kurtosis).all()


CNN = NETWORKS["Flatten"]
BAD: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: FiniteNetwork(Sequential(A, "relu", B), 4).forward(IMAGES),
        r"^the network ends with 3 x 2 positions, .*: append fastntk\.Flatten\(\)",
    ),
    (
        lambda: FiniteNetwork(CNN, 4).forward(IMAGES.reshape(2, -1)),
        r"^X has samples of shape \(24,\): layer 0, Conv\(.*\): what comes in are vectors, without positions",
    ),
    (
        lambda: FiniteNetwork(CNN, 4, n_inputs=24),
        r"^n_inputs has samples of shape \(24,\): layer 0, Conv\(.*\): what comes in are vectors, without positions",
    ),
    (
        lambda: FiniteNetwork(CNN, 4, n_inputs=(4, 3, 2)).forward(IMAGES[:, :3]),
        r"^X has samples of shape \(3, 3, 2\), but the network is for those of \(4, 3, 2\)",
    ),
    (
        lambda: FiniteNetwork(Sequential(A, "relu", Flatten()), 4),
        r"^the outputs of a finite network are those of layers with weights, and none ends .*; append fastntk\.Dense",
    ),
    (
        lambda: FiniteNetwork(Sequential(Residual("relu", A), GlobalAvgPool(), D), 4),
        r"^layer 0\.0\.0, Activation\('relu'\): at finite width an activation acts on what layers with weights give",
    ),
    (
        lambda: FiniteNetwork(Sequential(A, Residual("relu", Conv(3, 2)), Flatten(), D), 4).forward(IMAGES),
        r"^X has samples of shape \(4, 3, 2\): layer 1, Residual\(",
    ),
    (lambda: CNN.nngp.fluctuation(IMAGES, 5), r"^the fluctuation at finite width is predicted .*; layer 0 is Conv\("),
    (lambda: FiniteNetwork(CNN, 4).forward(np.full_like(IMAGES, np.nan)), r"^X contains nan"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD, ids=[sentence[:40] for _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(ValueError, match=sentence):
        call()
