"""cntk: the convolutional networks whose tangent kernels were the first to be computed exactly."""

from __future__ import annotations

from .._checks.arguments import true_or_false, whole_number
from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.flatten import Flatten
from ..layers.given import Part
from ..layers.pool import GlobalAvgPool
from .sequential import Sequential

_SIGMA_W = 2**0.5


def cntk(depth: int = 11, gap: bool = True) -> Sequential:
    """Build the network of the CNTK: 3x3 convolutions with ReLU, Flatten or a global pool, and Dense.

    Parameters
    ----------
    depth : int >= 3, default 11
        Number of layers with weights, as the paper counts them: `depth` - 1 convolutions and the Dense layer. The
        paper has 3, 4, 6, 11 and 21. With Flatten 2 is one too.
    gap : bool, default True
        Whether the head is `GlobalAvgPool`, CNTK-GAP, or `Flatten`, CNTK-V. With the pool the first convolution and
        the Dense layer are not trained, as in the paper.

    Returns
    -------
    Sequential
        Without biases; sigma_w is √2 behind every ReLU, and 1 at the input.

    Raises
    ------
    ValueError, TypeError
        If these are not of that kind.

    Notes
    -----
    The authors' program sums over channels and positions where this takes the mean. Its Theta is C times that of
    ``cntk(depth)`` for images of C channels, and C times the number of positions that of ``cntk(depth, False)``: a
    factor of the whole kernel, which kernel regression does not notice.

    References
    ----------
    Arora, Du, Hu, Li, Salakhutdinov, Wang, "On exact computation with an infinitely wide neural net", NeurIPS 2019,
    section 4, and https://github.com/ruosongwang/CNTK.

    Examples
    --------
    >>> import fastntk
    >>> print(fastntk.cntk(3))
    Sequential of 6 layers
    0  Conv((3, 3), sigma_w=1.0, sigma_b=0.0, trainable=False)
    1  Activation('relu')
    2  Conv((3, 3), sigma_w=1.414, sigma_b=0.0)
    3  Activation('relu')
    4  GlobalAvgPool()
    5  Dense(sigma_w=1.414, sigma_b=0.0, trainable=False)
    """
    trained = not true_or_false(gap, "gap")
    depth = whole_number(depth, "depth", least=2 if trained else 3)
    between: list[Part] = [Conv((3, 3), sigma_w=_SIGMA_W), "relu"] * (depth - 2)
    end = Flatten() if trained else GlobalAvgPool()
    return Sequential(Conv((3, 3), trainable=trained), "relu", *between, end, Dense(_SIGMA_W, trainable=trained))
