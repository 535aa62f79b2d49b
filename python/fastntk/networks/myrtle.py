"""myrtle: the network of Myrtle.ai, whose kernels are among the best on small images."""

from __future__ import annotations

from .._checks.arguments import whole_number
from .._checks.shown import shown
from ..layers.base import Layer
from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.pool import AvgPool, GlobalAvgPool
from .mlp import Hidden, activations
from .sequential import Sequential

#: Convolutions of each of the three parts, by the number of all layers with weights.
_CONVOLUTIONS = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}

_SIGMA_W = 2**0.5


def myrtle(depth: int = 5, activation: Hidden = "relu") -> Sequential:
    """Build a Myrtle network: three parts of 3x3 convolutions, pools of 2x2 between them, a global pool, Dense.

    Parameters
    ----------
    depth : {5, 7, 10}
        Number of layers with weights: 2, 1, 1; 2, 2, 2; or 3, 3, 3 convolutions before the three pools, and Dense.
    activation : str, callable or Activation, default "relu"
        Behind every convolution. The paper's best kernel has the normalised Gaussian, ``"exp_normalized"``.

    Returns
    -------
    Sequential
        All its sigma_w are √2, so that ReLU keeps the size of K, and there are no biases; all layers are trained.
        ``myrtle(5).replace(sigma_b=0.1)`` has others.

    Raises
    ------
    ValueError, TypeError
        If there is no such network; as for `Activation`.

    Notes
    -----
    On 32x32 images it is what was published: behind the second pool there are 8x8 positions, and the last one is over
    all of them. On images of other sizes that stays so: a global pool of what is left of them, 7x7 for 28x28 as in
    the paper's own network for MNIST. A pool drops the last row and column of an odd number. The example
    of neural-tangents has three pools of 2x2 for it, which is the same for 32x32 alone.

    The paper takes K before the Dense layer, with sums where there are means here: a constant times K here, which
    kernel regression does not notice.

    Cost: all pairs of positions, 1.1 million at 32x32 in each layer before the first pool. Begin with smaller images.

    References
    ----------
    Shankar, Fang, Guo, Fridovich-Keil, Schmidt, Ragan-Kelley, Recht, "Neural kernels without tangents", ICML 2020.
    Page, "How to train your ResNet", myrtle.ai, 2018, of the network.

    Examples
    --------
    >>> import fastntk
    >>> print(fastntk.myrtle(5))
    Sequential of 12 layers
    0   Conv((3, 3), sigma_w=1.414, sigma_b=0.0)
    1   Activation('relu')
    2   Conv((3, 3), sigma_w=1.414, sigma_b=0.0)
    3   Activation('relu')
    4   AvgPool((2, 2))
    5   Conv((3, 3), sigma_w=1.414, sigma_b=0.0)
    6   Activation('relu')
    7   AvgPool((2, 2))
    8   Conv((3, 3), sigma_w=1.414, sigma_b=0.0)
    9   Activation('relu')
    10  GlobalAvgPool()
    11  Dense(sigma_w=1.414, sigma_b=0.0)
    """
    which = whole_number(depth, "depth", least=1)
    if which not in _CONVOLUTIONS:
        raise ValueError(f"there are Myrtle networks of depth 5, 7 and 10, got {shown(depth)}.")
    first, second, third = _CONVOLUTIONS[which]
    block: list[Layer] = [Conv((3, 3), sigma_w=_SIGMA_W), *activations("myrtle", activation, 1, {})]
    parts = *block * first, AvgPool((2, 2)), *block * second, AvgPool((2, 2)), *block * third
    return Sequential(*parts, GlobalAvgPool(), Dense(_SIGMA_W))
