"""transformer: blocks of attention and of layers at each position, with residual branches."""

from __future__ import annotations

from typing import Any

from .._checks.arguments import per_layer, standard_deviation, whole_number
from .._checks.shown import shown
from ..layers.attention import SelfAttention
from ..layers.dense import Dense
from ..layers.layer_norm import LayerNorm
from ..layers.migration import check_widths, refuse
from ..layers.pool import GlobalAvgPool
from ..layers.sum import Residual
from .mlp import Hidden, activations
from .sequential import PerLayer, Sequential


@refuse(check_widths("transformer", "blocks", "activation", "sigma_w", "sigma_b", "attention"))
def transformer(
    blocks: int = 1,
    activation: PerLayer[Hidden] = "relu",
    sigma_w: PerLayer[float] = 1.0,
    sigma_b: PerLayer[float] = 0.0,
    *,
    attention: PerLayer[SelfAttention] | None = None,
    **parameters: Any,
) -> Sequential:
    """Build a transformer: Dense, `blocks` times attention and a perceptron, LayerNorm, GlobalAvgPool, Dense.

    A block is ``Residual(LayerNorm(), attention)`` and ``Residual(LayerNorm(), Dense, activation, Dense)``, the latter
    at each position by itself.

    Parameters
    ----------
    blocks : int >= 0
        How many.
    activation : str, callable or Activation, or sequence of `blocks` of those
        The nonlinearity of every block, or of each.
    sigma_w, sigma_b : float >= 0, or sequence of 2 `blocks` + 2 of those
        Standard deviations of weights and biases in every Dense layer, or in each: the first, two of each block, the
        last.
    attention : SelfAttention, or sequence of `blocks` of those, optional
        Of every block, or of each; by default ``SelfAttention()``, which does not know of the order of positions.
    **parameters
        Of the activation, where it is one name or function for all blocks.

    Returns
    -------
    Sequential
        For `Sequences` and arrays (n, length, channels); the first Dense layer is what other transformers have for an
        embedding.

    Raises
    ------
    ValueError, TypeError
        As for `mlp`.

    Notes
    -----
    LayerNorm divides by the variance at each position: one of zeros needs a bias in the first layer.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017.
    Xiong et al., "On layer normalization in the transformer architecture", ICML 2020, of LayerNorm first in a branch.
    Hron, Bahri, Sohl-Dickstein, Novak, "Infinite attention", ICML 2020, of the kernels of attention.

    Examples
    --------
    >>> import fastntk
    >>> print(fastntk.transformer(1, "gelu", attention=fastntk.SelfAttention(position="sum")))
    Sequential of 6 layers
    0      Dense(sigma_w=1.0, sigma_b=0.0)
    1      Residual
    1.0.0  ├─ LayerNorm(axes='channels', eps=0.0)
    1.0.1  │  SelfAttention(sigma_q=1.0, sigma_k=1.0, sigma_v=1.0, sigma_o=1.0, sigma_b=0.0, position='sum')
    1.1.0  └─ Identity()
    2      Residual
    2.0.0  ├─ LayerNorm(axes='channels', eps=0.0)
    2.0.1  │  Dense(sigma_w=1.0, sigma_b=0.0)
    2.0.2  │  Activation('gelu')
    2.0.3  │  Dense(sigma_w=1.0, sigma_b=0.0)
    2.1.0  └─ Identity()
    3      LayerNorm(axes='channels', eps=0.0)
    4      GlobalAvgPool()
    5      Dense(sigma_w=1.0, sigma_b=0.0)
    """
    blocks = whole_number(blocks, "blocks", least=0)
    weights = per_layer(sigma_w, "sigma_w", 2 * blocks + 2, "Dense layers", standard_deviation)
    biases = per_layer(sigma_b, "sigma_b", 2 * blocks + 2, "Dense layers", standard_deviation)
    hidden = activations("transformer", activation, blocks, parameters)
    looks = per_layer(SelfAttention() if attention is None else attention, "attention", blocks, "blocks", _attention)
    first, *inner, last = map(Dense, weights, biases)
    norm = LayerNorm()
    halves = (
        (Residual(norm, look), Residual(norm, one, act, other))
        for look, act, one, other in zip(looks, hidden, inner[::2], inner[1::2], strict=True)
    )
    return Sequential(first, *(half for block in halves for half in block), norm, GlobalAvgPool(), last)


def _attention(value: object, name: str) -> SelfAttention:
    if not isinstance(value, SelfAttention):
        raise TypeError(f"{name} must be a SelfAttention, got {shown(value)}.")
    return value
