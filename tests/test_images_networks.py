"""Networks of images: what the usual ones are made of, their text, and their sigmas."""

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
    Sequential,
    SumPool,
    cnn,
    cntk,
    myrtle,
    network,
    resnet,
)
from fastntk.layers.base import walk
from fastntk.layers.weighted import Weighted

Array = NDArray[Any]

IMAGES = np.random.default_rng(16).normal(size=(3, 8, 8, 2))
ANY: Any = fastntk


def test_cnn_with_the_last_window_as_a_convolution() -> None:
    """A "valid" convolution over all positions, as its authors write the end of one, is Flatten and Dense."""
    net = cnn(1, "relu", [7 * 2.79**0.5, 2.79**0.5], 7.86**0.5, kernel_size=(7, 7))
    written = [*net[:2], Conv((8, 8), padding="valid", sigma_w=2.79**0.5, sigma_b=7.86**0.5), Flatten()]
    np.testing.assert_allclose(net.nngp(IMAGES), Sequential(*written).nngp(IMAGES), rtol=1e-13)


def weighted(net: Sequential) -> list[Weighted]:
    """Its layers with weights."""
    return [layer for _, layer in walk(net.layers) if isinstance(layer, Weighted)]


def test_cnn_is_what_it_says() -> None:
    """Layer by layer."""
    assert cnn(2, ["erf", "relu"], [1.0, 2.0, 3.0], 0.1, kernel_size=5, pool=(2, 1), head="gap") == Sequential(
        *(Conv(5, sigma_w=1.0, sigma_b=0.1), "erf", AvgPool((2, 1))),
        *(Conv(5, sigma_w=2.0, sigma_b=0.1), "relu", AvgPool((2, 1)), GlobalAvgPool(), Dense(3.0, 0.1)),
    )
    assert cnn(0) == Sequential(Flatten(), Dense())
    assert cnn(1, "leaky_relu", alpha=0.2)[1] == Activation("leaky_relu", alpha=0.2)
    assert cnn(1, np.tanh)[1] == Activation(np.tanh)


def test_myrtle_is_what_it_says() -> None:
    """Layer by layer; published kernels are compared up to a factor."""
    block: tuple[Any, ...] = (Conv((3, 3), sigma_w=2**0.5), "erf")
    end = GlobalAvgPool(), Dense(2**0.5)
    assert myrtle(5, "erf") == Sequential(*2 * block, AvgPool((2, 2)), *block, AvgPool((2, 2)), *block, *end)
    assert myrtle(7, "erf") == Sequential(*2 * block, AvgPool((2, 2)), *2 * block, AvgPool((2, 2)), *2 * block, *end)


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


def test_replace_and_parameters() -> None:
    """Of all layers with weights, convolutions too."""
    net = resnet((1, 1)).replace(sigma_w=2**0.5, sigma_b=0.1, trainable=False)
    assert {(layer.sigma_w, layer.sigma_b, layer.trainable) for layer in weighted(net)} == {(2**0.5, 0.1, False)}
    assert len(net.parameters) == 2 * len(weighted(net))
    values = [0.5 + i / 10 for i in range(len(net.parameters))]
    assert [parameter.value for parameter in net.with_parameters(values).parameters] == values
