"""Layers: what users write networks of. Each knows its parameters, their checks, and how it becomes an op.

`base` says what a layer is, and what is known of what passes through it; `branching` what one with branches is,
`weighted` one with weights; `window` has windows of positions; `given` is what may stand for layers; `alternating`
tells which stacks of them have a predicted fluctuation;
`migration` has the sentences for habits from other libraries; the rest are those there are, a file each. What is
*done* with layers (the reference, finite networks, text, fits) is not here: each is one dispatch in its own room.
"""

from .activation import Activation
from .aggregate import Aggregate
from .attention import SelfAttention
from .base import Layer
from .concat import Concat
from .conv import Conv
from .dense import Dense
from .dropout import Dropout
from .flatten import Flatten
from .identity import Identity
from .layer_norm import LayerNorm
from .pool import AvgPool, GlobalAvgPool, GlobalSumPool, SumPool
from .product import Product
from .recurrent import Recurrent
from .reshape import Reshape
from .scale import Scale
from .sum import Residual, Sum

__all__ = [
    "Activation",
    "Aggregate",
    "AvgPool",
    "Concat",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalSumPool",
    "Identity",
    "Layer",
    "LayerNorm",
    "Product",
    "Recurrent",
    "Reshape",
    "Residual",
    "Scale",
    "SelfAttention",
    "Sum",
    "SumPool",
]
