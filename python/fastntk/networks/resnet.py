"""resnet: residual networks of convolutions, without pooling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .._checks.arguments import whole_number
from .._checks.shown import shown
from ..layers.base import Layer
from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.flatten import Flatten
from ..layers.migration import check_widths, refuse
from ..layers.sum import Residual
from .mlp import Hidden, activations
from .sequential import Sequential


@refuse(check_widths("resnet", "blocks", "activation", "sigma_w", "sigma_b"))
def resnet(
    blocks: Sequence[int] = (5, 5, 5), activation: Hidden = "relu", sigma_w: float = 1.0, sigma_b: float = 0.0
) -> Sequential:
    """Build a residual network: Conv, pre-activation blocks in stages of half the size each, Flatten, two Dense.

    Parameters
    ----------
    blocks : sequence of int >= 1, default (5, 5, 5)
        Residual blocks of each stage, of two 3x3 convolutions. The first of a stage has a 1x1 convolution as its
        shortcut, and from the second stage on both have stride 2. The default is the published ResNet-32.
    activation : str, callable or Activation, default "relu"
        Of all blocks.
    sigma_w, sigma_b : float >= 0, default 1.0 and 0.0
        Of every layer with weights. The defaults are those of the paper's repository; with sigma_w = √2 a branch
        gives as much as the identity beside it.

    Returns
    -------
    Sequential
        All of it is trained; the paper has the NNGP.

    Raises
    ------
    ValueError, TypeError
        If `blocks` are no such numbers; as for `Activation` and `Conv`.

    Notes
    -----
    The published network ends, for 28x28 images, with 7x7 positions and a "valid" convolution over all of them in the
    place of a pool, ReLU and a 1x1 convolution: at infinite width that is Flatten, Dense, ReLU, Dense, for images of
    any size. Without a pool only pairs of the same position are needed: 11,074 for each pair of 28x28
    images. The first convolution of a stage pads one zero on each side, as in PyTorch.

    References
    ----------
    Garriga-Alonso, Rasmussen, Aitchison, "Deep convolutional networks as shallow Gaussian processes", ICLR 2019,
    arXiv:1808.05587, and https://github.com/cambridge-mlg/cnn-gp, configs/mnist_as_tf.py.
    He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016, of the blocks.

    Examples
    --------
    >>> import fastntk
    >>> print(fastntk.resnet((1, 2)))
    Sequential of 10 layers
    0      Conv((3, 3), sigma_w=1.0, sigma_b=0.0)
    1      Activation('relu')
    2      Residual
    2.0.0  ├─ Conv((3, 3), padding=1, sigma_w=1.0, sigma_b=0.0)
    2.0.1  │  Activation('relu')
    2.0.2  │  Conv((3, 3), sigma_w=1.0, sigma_b=0.0)
    2.1.0  └─ Conv((1, 1), sigma_w=1.0, sigma_b=0.0)
    3      Activation('relu')
    4      Residual
    4.0.0  ├─ Conv((3, 3), stride=2, padding=1, sigma_w=1.0, sigma_b=0.0)
    4.0.1  │  Activation('relu')
    4.0.2  │  Conv((3, 3), sigma_w=1.0, sigma_b=0.0)
    4.1.0  └─ Conv((1, 1), stride=2, sigma_w=1.0, sigma_b=0.0)
    5      Residual
    5.0.0  ├─ Activation('relu')
    5.0.1  │  Conv((3, 3), sigma_w=1.0, sigma_b=0.0)
    5.0.2  │  Activation('relu')
    5.0.3  │  Conv((3, 3), sigma_w=1.0, sigma_b=0.0)
    5.1.0  └─ Identity()
    6      Flatten()
    7      Dense(sigma_w=1.0, sigma_b=0.0)
    8      Activation('relu')
    9      Dense(sigma_w=1.0, sigma_b=0.0)
    """
    if isinstance(blocks, str) or not isinstance(blocks, Sequence) or not blocks:
        raise TypeError(f"blocks must be a sequence of integers, one for each stage, got {shown(blocks)}.")
    counts = [whole_number(count, f"blocks[{i}]", least=1) for i, count in enumerate(blocks)]
    (phi,) = activations("resnet", activation, 1, {})
    conv, dense = partial(Conv, (3, 3), sigma_w=sigma_w, sigma_b=sigma_b), Dense(sigma_w, sigma_b)

    def stage(stride: int, count: int) -> list[Layer]:
        shortcut = Conv((1, 1), stride, sigma_w=sigma_w, sigma_b=sigma_b)
        first = Residual(conv(stride, 1), phi, conv(), shortcut=shortcut)
        return [phi, first, *[Residual(phi, conv(), phi, conv())] * (count - 1)]

    stages = (stage(2 if i else 1, count) for i, count in enumerate(counts))
    return Sequential(conv(), *(layer for one in stages for layer in one), Flatten(), dense, phi, dense)
