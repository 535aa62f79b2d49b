"""gntk: the graph network whose tangent kernel was the first to be published."""

from __future__ import annotations

from typing import Literal

from .._checks.arguments import one_of, true_or_false, whole_number
from ..layers.activation import Activation
from ..layers.aggregate import Aggregate
from ..layers.base import Layer
from ..layers.dense import Dense
from ..layers.migration import check_widths, refuse
from ..layers.pool import GlobalSumPool
from ..layers.sum import Sum
from .sequential import Sequential

_SIGMA_W = 2**0.5

#: Blocks with jumping knowledge are one within the other.
_MOST_BLOCKS = 100


@refuse(check_widths("gntk", "blocks", "mlp_layers", "jumping", "scale"))
def gntk(
    blocks: int = 2,
    mlp_layers: int = 2,
    jumping: bool = True,
    scale: Literal["uniform", "degree"] = "uniform",
) -> Sequential:
    """Build the network of the graph neural tangent kernel: blocks of Aggregate and a perceptron, GlobalSumPool.

    Parameters
    ----------
    blocks : int from 1 to 100, default 2
        How often nodes take what their neighbours have.
    mlp_layers : int >= 1, default 2
        Dense layers with ReLU in each block.
    jumping : bool, default True
        Whether what nodes are at the beginning and behind each block is read out, each by weights of its own, or behind
        the last block alone.
    scale : {"uniform", "degree"}, default "uniform"
        Whether a node takes the sum of its neighbours and itself, or the mean.

    Returns
    -------
    Sequential
        For `Graphs`. Without biases; sigma_w is √2 behind every ReLU, and 1 at the input.

    Raises
    ------
    ValueError, TypeError
        If these are not of that kind.

    Notes
    -----
    The authors' program counts the input among its layers, ``num_layers = blocks + 1``, and its Theta is twice the
    number of channels times that of ``gntk(...)``: a factor of the whole kernel.

    References
    ----------
    Du, Hou, Póczos, Salakhutdinov, Wang, Xu, "Graph neural tangent kernel: fusing graph neural networks with graph
    kernels", NeurIPS 2019, arXiv:1905.13192, and https://github.com/KangchengHou/gntk.

    Examples
    --------
    >>> import fastntk
    >>> print(fastntk.gntk(2, 1))
    Sequential of 2 layers
    0          Sum
    0.0.0      ├─ Dense(sigma_w=1.0, sigma_b=0.0)
    0.1.0      └─ Aggregate()
    0.1.1         Dense(sigma_w=1.0, sigma_b=0.0)
    0.1.2         Activation('relu')
    0.1.3         Sum
    0.1.3.0.0     ├─ Dense(sigma_w=1.414, sigma_b=0.0)
    0.1.3.1.0     └─ Aggregate()
    0.1.3.1.1        Dense(sigma_w=1.414, sigma_b=0.0)
    0.1.3.1.2        Activation('relu')
    0.1.3.1.3        Dense(sigma_w=1.414, sigma_b=0.0)
    1          GlobalSumPool()
    """
    blocks = whole_number(blocks, "blocks", least=1, most=_MOST_BLOCKS)
    mlp_layers = whole_number(mlp_layers, "mlp_layers", least=1)
    one_of(scale, "scale", ("uniform", "degree"))
    aggregate, relu = Aggregate("mean" if scale == "degree" else None), Activation("relu")
    jumping = true_or_false(jumping, "jumping")
    behind: list[Layer] = [Dense(_SIGMA_W)]
    for block in reversed(range(blocks)):
        first = Dense(_SIGMA_W if block else 1.0)
        own = [aggregate, first, relu, *[Dense(_SIGMA_W), relu] * (mlp_layers - 1)]
        behind = [Sum(first, Sequential(*own, *behind))] if jumping else [*own, *behind]
    return Sequential(*behind, GlobalSumPool())
