"""Networks: layers put together, which have kernels.

`sequential` is layers one after the other; `mlp`, `resmlp`, `cnn`, `rnn`, `transformer` and `gcn` are the usual ones,
`myrtle`, `resnet`, `cntk` and `gntk` published ones; `text` reads what their repr says, `repeats` keeps that short,
`tree` draws them, `summary` is the table of what they do to their kernels. `description` and `fingerprint` tell what a
network is in files. What a single layer is belongs to `fastntk.layers`, how kernels are computed to `fastntk.kernels`.
"""

from .cnn import cnn
from .cntk import cntk
from .gcn import gcn
from .gntk import gntk
from .mlp import mlp
from .myrtle import myrtle
from .resmlp import resmlp
from .resnet import resnet
from .rnn import rnn
from .sequential import Sequential
from .summary import Summary
from .text import network
from .transformer import transformer

__all__ = [
    "Sequential",
    "Summary",
    "cnn",
    "cntk",
    "gcn",
    "gntk",
    "mlp",
    "myrtle",
    "network",
    "resmlp",
    "resnet",
    "rnn",
    "transformer",
]
