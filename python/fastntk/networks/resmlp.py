"""resmlp: the multi-layer perceptron with residual blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from .._checks.arguments import not_negative, per_layer, standard_deviation, true_or_false
from .._checks.shown import shown
from ..layers.dense import Dense
from ..layers.layer_norm import LayerNorm
from ..layers.migration import check_widths, refuse
from ..layers.sum import Residual
from .mlp import Hidden, activations, depth_of
from .sequential import PerLayer, Sequential


@refuse(check_widths("resmlp", "depth", "activation", "sigma_w", "sigma_b", "scale", "layer_norm"))
def resmlp(
    depth: int = 1,
    activation: PerLayer[Hidden] = "relu",
    sigma_w: PerLayer[float] = 1.0,
    sigma_b: PerLayer[float] = 0.0,
    *,
    scale: float | Sequence[float] | Literal["depth"] = 1.0,
    layer_norm: bool = False,
    **parameters: Any,
) -> Sequential:
    r"""Build a residual perceptron: Dense, then `depth` blocks u + scale · Dense(activation(u)), then Dense.

    Parameters
    ----------
    depth : int >= 0
        Number of blocks, i.e. of nonlinearities.
    activation : str, callable or Activation, or sequence of `depth` of those
        The nonlinearity of every block, or of each.
    sigma_w, sigma_b : float >= 0, or sequence of `depth` + 2 of those
        Standard deviations of weights and biases in every Dense layer, or in each: the first, those of the blocks, the
        last.
    scale : float >= 0, or sequence of `depth` of those, or "depth"
        What the branch of every block, or of each, is multiplied by: both sigmas of its Dense layer are. "depth" is
        1 / √depth, the uniform scaling of a stable ResNet, with which the kernels have a limit as the depth grows.
    layer_norm : bool, default False
        Whether each branch begins with `LayerNorm`, as in pre-norm transformers.
    **parameters
        Of the activation, where it is one name or function for all blocks.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError, TypeError
        As for `mlp`.

    Notes
    -----
    With ReLU and no bias a block multiplies K(x, x) by 1 + scale² sigma_w² / 2: without a scale K grows exponentially,
    with ``scale="depth"`` it stays below exp(sigma_w² / 2) times what the first layer gives, at any depth. A sequence
    whose squares have a finite sum does so too (the decreasing scaling of the same paper). With `layer_norm`
    every block adds as much, and K grows as the depth.

    References
    ----------
    He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016, of pre-activation blocks.
    Hayou, Clerico, He, Deligiannidis, Doucet, Rousseau, "Stable ResNet", AISTATS 2021, of the scaling.
    Xiong et al., "On layer normalization in the transformer architecture", ICML 2020, of pre-norm.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.resmlp(1, "erf", sigma_b=0.1) == fastntk.Sequential(
    ...     fastntk.Dense(1.0, 0.1), fastntk.Residual("erf", fastntk.Dense(1.0, 0.1)), fastntk.Dense(1.0, 0.1)
    ... )
    True
    >>> net = fastntk.resmlp(100, "relu", sigma_w=2**0.5, scale="depth")
    >>> net[:-1].nngp.diag([[1.0]]).round(4), round(2 * (1 + 1 / 100) ** 100, 4)  # towards 2 e
    (array([5.4096]), 5.4096)
    """
    depth = depth_of(depth)
    weights = per_layer(sigma_w, "sigma_w", depth + 2, "Dense layers", standard_deviation)
    biases = per_layer(sigma_b, "sigma_b", depth + 2, "Dense layers", standard_deviation)
    hidden = activations("resmlp", activation, depth, parameters)
    if isinstance(scale, str) and scale == "depth":
        scale = 1 / math.sqrt(max(depth, 1))
    scales = per_layer(scale, "scale", depth, "blocks", _factor)
    before = (LayerNorm(),) if true_or_false(layer_norm, "layer_norm") else ()
    first, *inner, last = map(Dense, weights, biases)
    blocks = (
        Residual(*before, act, dense.with_values(sigma_w=by * dense.sigma_w, sigma_b=by * dense.sigma_b))
        for act, dense, by in zip(hidden, inner, scales, strict=True)
    )
    return Sequential(first, *blocks, last)


def _factor(value: object, name: str) -> float:
    if isinstance(value, str):
        raise ValueError(f"{name} must be a number >= 0, a sequence of those, or 'depth', got {shown(value)}.")
    return not_negative(value, name)
