"""Networks: layers put together, which have kernels.

`sequential` is layers one after the other, `mlp` and `resmlp` the usual ones; `text` reads what their repr says,
`repeats` keeps that short, `tree` draws them, `summary` is the table of what they do to their kernels. `description`
and `fingerprint` tell what a network is in files. What a single layer is belongs to `fastntk.layers`, how kernels are
computed to `fastntk.kernels`.
"""

from .mlp import mlp
from .resmlp import resmlp
from .sequential import Sequential
from .summary import Summary
from .text import network

__all__ = ["Sequential", "Summary", "mlp", "network", "resmlp"]
