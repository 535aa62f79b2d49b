"""What is refused of samples with positions, each with its sentence."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    Reshape,
    Residual,
    Sequences,
    Sequential,
    cnn,
    cntk,
    mlp,
    myrtle,
    resnet,
)
from fastntk.kernels.shapes import shaped

Array = NDArray[Any]

RNG = np.random.default_rng(16)
IMAGES = RNG.normal(size=(3, 8, 8, 2))


def of(*layers: Any, x: Array = IMAGES) -> tuple[int, ...]:
    """Shape of samples that layers take."""
    return tuple(shaped(Sequential(*layers).layers, x, "X").shape)


ROWS, SEQUENCES = IMAGES.reshape(3, -1), Sequences([np.ones((3, 2)), np.ones((4, 2))])


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
        (
            lambda: of(Conv(9, padding="valid"), Flatten()),
            r"window over 9 positions .* into the 8 that .*padding='same'",
        ),
        (
            lambda: of(*cnn(4, pool=2)),
            r"layer 11, AvgPool\(2\): a window over 2 .* into the 1 that come in: use larger samples, fewer pools and",
        ),
        (lambda: of(Conv((3, 3, 3)), Flatten()), r"size \(3, 3, 3\) is for 3 axes, and what comes in has 2"),
        (lambda: of(Conv(3), GlobalAvgPool(), Conv(3)), r"layer 2, .* what comes in are vectors"),
        (
            lambda: Conv((3, 3, 3, 3)),
            r"^kernel_size must be an integer or one for each of up to 3 axes, got \(3, 3, 3,",
        ),
        (lambda: Conv((3, 3), stride=(1, 1, 1)), r"^kernel_size and stride must be for as many axes, got 2 and 3"),
        (
            lambda: Sequential(Dense(), Flatten(), Dense()).ntk(SEQUENCES),
            r"layer 1, Flatten\(\): samples with different numbers of positions have no vectors of one length",
        ),
        (lambda: cnn(1).ntk(SEQUENCES), r"^X are Sequences .*layer 0, Conv.* windows are for .* of one size"),
        (
            lambda: Sequential(Reshape(2, 1, 1), *cnn(1)).ntk(SEQUENCES),
            r"layer 0, Reshape.* is for rows, .*; leave it out",
        ),
        (lambda: Reshape(), r"^Reshape takes the shape of a sample, .* such as Reshape\(28, 28, 1\); got 0 numbers"),
    ],
)
def test_samples_that_do_not_suit(call: Any, sentence: str) -> None:
    """Are refused before work starts, by the layer that is wrong."""
    with pytest.raises(ValueError, match=sentence):
        call()


def test_kernel_needs_samples_that_suit() -> None:
    """The kernels themselves give the same sentences, of X and of Y."""
    net = cnn(1)
    with pytest.raises(ValueError, match=r"^X has samples of shape \(8, 8\): .* needs X\[..., None\]"):
        net.nngp(IMAGES[..., 0])
    with pytest.raises(ValueError, match=r"^the network ends with 8 x 8 positions"):
        net[:2].ntk.diag(IMAGES)
    with pytest.raises(ValueError, match=r"Y"):
        net.ntk(IMAGES, IMAGES[:, :7])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_finite_has_a_place(dtype: str) -> None:
    """Sample, position and channel, of images and sequences, of X and Y, and of what Reshape made of rows."""
    bad = IMAGES.astype(dtype)
    bad[1, 2, 3, 1] = np.nan
    bad[2, 0, 0, 0] = -np.inf
    where = r"contains nan \(first in sample 1, position \(2, 3\), channel 1\); every entry must be finite"
    with pytest.raises(ValueError, match=f"^X {where}"):
        cnn(1).ntk(bad)
    with pytest.raises(ValueError, match=f"^Y {where}"):
        cnn(1).ntk(IMAGES, bad)
    with pytest.raises(ValueError, match=f"^X {where}"):
        Sequential(Reshape(8, 8, 2), cnn(1)).ntk(bad.reshape(3, -1))
    with pytest.raises(ValueError, match=f"^X {where}"):
        cnn(1).ntk.diag(bad)
    with pytest.raises(ValueError, match=r"^X contains -inf \(first in sample 1, position 0, channel 0\)"):
        Sequential(Conv(3), Flatten()).nngp(bad[1:, 0])


@pytest.mark.parametrize(("head", "before"), [(Flatten(), ()), (GlobalAvgPool(), (AvgPool(2, 1, "same"), Conv(1)))])
def test_black_patches_have_a_place(head: Any, before: Any) -> None:
    """Where a LayerNorm divides by zero: in its own positions, behind a stride and an average, in Y."""
    black = IMAGES.copy()
    black[2, 4:, 5:] = 0
    net = Sequential(Conv(2, 2), *before, LayerNorm(), "relu", head)
    layer = 1 + len(before)
    where = rf"^K\(x, x\) of sample 2 of {{}} at position \(2, 3\) in layer {layer}, LayerNorm\(.*: pass eps > 0"
    for call in (lambda: net.ntk(black), lambda: net.nngp.diag(black), lambda: net.ntk.operator(black)):
        with pytest.raises(ValueError, match=where.format("X")):
            call()
    with pytest.raises(ValueError, match=where.format("Y")):
        net.ntk(IMAGES, black)
    black[1] = 0
    with pytest.raises(ValueError, match=r"of sample 1 of X in layer 1, LayerNorm\(axes='all', eps=0.0\), is 0 where"):
        Sequential(Conv(3), LayerNorm("all"), "relu", Flatten()).ntk(black)
    with pytest.raises(ValueError, match=r"of sample 1 of X in layer 1, Residual\("):
        Sequential(Conv(3), Residual(LayerNorm(), "relu", Conv(3)), Flatten()).ntk(black)
    assert np.isfinite(Sequential(Conv(2, 2), *before, LayerNorm(eps=0.1), "relu", head).ntk(black)).all()


def test_shapes_from_which_nobody_can_tell() -> None:
    """What the docstring of Conv says of them."""
    grey, steps = RNG.normal(size=(2, 8, 8)), Sequential(Conv(3), "relu", Flatten())
    assert shaped(steps.layers, grey, "X").shape == (2, 8, 8)  # eight steps with eight channels
    first = np.moveaxis(IMAGES, -1, 1)
    np.testing.assert_array_equal(steps.ntk(np.moveaxis(first, 1, -1)), steps.ntk(IMAGES))
    with pytest.raises(ValueError, match=r"needs X\[..., None\]"):
        Sequential(Conv((3, 3)), "relu", Flatten()).ntk(grey)


def test_channels_that_come_first() -> None:
    """As PyTorch has them they are other images, which is said; not of those that could be nothing else."""
    net = cnn(1)
    with pytest.warns(UserWarning, match=r"positions of 8 channels\. .* pass X\.transpose\(0, 2, 3, 1\)\.$"):
        net.ntk(np.ones((2, 3, 8, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in ((2, 8, 8, 3), (2, 3, 4, 4), (2, 3, 5, 8), (2, 8, 8, 8)):
            net.ntk(np.ones(shape))
