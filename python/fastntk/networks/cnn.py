"""cnn: the plain convolutional network."""

from __future__ import annotations

from typing import Any, Literal

from .._checks.arguments import one_of, per_layer, standard_deviation
from ..layers.base import Layer
from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.flatten import Flatten
from ..layers.migration import check_widths, refuse
from ..layers.pool import AvgPool, GlobalAvgPool
from ..layers.window import PerAxis
from .mlp import Hidden, activations, depth_of
from .sequential import PerLayer, Sequential


@refuse(check_widths("cnn", "depth", "activation", "sigma_w", "sigma_b", "kernel_size", "pool", "head"))
def cnn(
    depth: int = 1,
    activation: PerLayer[Hidden] = "relu",
    sigma_w: PerLayer[float] = 1.0,
    sigma_b: PerLayer[float] = 0.0,
    *,
    kernel_size: PerAxis = (3, 3),
    pool: PerAxis | None = None,
    head: Literal["flatten", "gap"] = "flatten",
    **parameters: Any,
) -> Sequential:
    """Build a convolutional network: `depth` times (Conv, Activation, AvgPool), then the head, then Dense.

    Parameters
    ----------
    depth : int >= 0
        Number of convolutions, i.e. of nonlinearities.
    activation : str, callable or Activation, or sequence of `depth` of those
        The nonlinearity behind every convolution, or behind each.
    sigma_w, sigma_b : float >= 0, or sequence of `depth` + 1 of those
        Standard deviations of weights and biases in every layer with weights, or in each: the convolutions, the Dense
        layer at the end.
    kernel_size : int or tuple of int, default (3, 3)
        Taps along every axis of positions, or along each; "same" padding, so that all positions stay. The default is
        for images, which two axes tell from sequences; 3 is for both, (3,) for sequences alone.
    pool : int or tuple of int, optional
        Size of an `AvgPool` behind each activation, which leaves so many times fewer positions.
    head : {"flatten", "gap"}, default "flatten"
        `Flatten`, which looks at pairs of the same position only; or `GlobalAvgPool`, which looks at all of them and
        costs as many times more.
    **parameters
        Of the activation, where it is one name or function for all layers.

    Returns
    -------
    Sequential
        For images (n, H, W, C) or sequences (n, L, C) of any size; put `Reshape` before it for rows.

    Raises
    ------
    ValueError, TypeError
        As for `mlp` and `Conv`.

    Notes
    -----
    Published with this form:

    * Garriga-Alonso et al., without pooling, the best of a random search on MNIST:
      ``cnn(7, "relu", [7 * 2.79**0.5] * 7 + [2.79**0.5], 7.86**0.5, kernel_size=(7, 7))``; the NNGP.
    * Nguyen et al., "ConvNet", trained by distillation on MNIST, Fashion-MNIST and CIFAR-10:
      ``cnn(3, "relu", 2**0.5, pool=2)``; both kernels.

    References
    ----------
    Novak et al., "Bayesian deep convolutional networks with many channels are Gaussian processes", ICLR 2019, of both
    heads.
    Garriga-Alonso, Rasmussen, Aitchison, "Deep convolutional networks as shallow Gaussian processes", ICLR 2019.
    Nguyen, Novak, Xiao, Lee, "Dataset distillation with infinitely wide convolutional networks", NeurIPS 2021.

    Examples
    --------
    >>> import fastntk
    >>> print(fastntk.cnn(2, "relu", 2**0.5, pool=2, head="gap"))
    Sequential of 8 layers
    0  Conv((3, 3), sigma_w=1.414, sigma_b=0.0)
    1  Activation('relu')
    2  AvgPool(2)
    3  Conv((3, 3), sigma_w=1.414, sigma_b=0.0)
    4  Activation('relu')
    5  AvgPool(2)
    6  GlobalAvgPool()
    7  Dense(sigma_w=1.414, sigma_b=0.0)
    """
    depth = depth_of(depth)
    weights = per_layer(sigma_w, "sigma_w", depth + 1, "layers with weights", standard_deviation)
    biases = per_layer(sigma_b, "sigma_b", depth + 1, "layers with weights", standard_deviation)
    hidden = activations("cnn", activation, depth, parameters)
    one_of(head, "head", ("flatten", "gap"))
    pools: list[Layer] = [] if pool is None else [AvgPool(pool)]
    blocks = (
        (Conv(kernel_size, sigma_w=w, sigma_b=b), phi, *pools)
        for w, b, phi in zip(weights[:-1], biases[:-1], hidden, strict=True)
    )
    end = Flatten() if head == "flatten" else GlobalAvgPool()
    return Sequential(*(layer for block in blocks for layer in block), end, Dense(weights[-1], biases[-1]))
