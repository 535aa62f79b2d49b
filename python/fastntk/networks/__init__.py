"""Networks: layers put together, which have kernels.

`sequential` is layers one after the other, `mlp` the usual ones; `description` and `fingerprint` tell what a network is
in files. What a single layer is belongs to `fastntk.layers`, how kernels are computed to `fastntk.kernels`.
"""

from .mlp import mlp
from .sequential import Sequential

__all__ = ["Sequential", "mlp"]
