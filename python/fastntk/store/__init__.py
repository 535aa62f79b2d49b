"""Kernels on disk: Zarr v3 arrays that know what they are of, and that an interrupted run goes on with.

`layout` is what is in the folder, `folder` to whom it belongs, `computing` writes it, `kernel` reads it. How a
block is computed is not known here: `fastntk.kernels.blocks` does.
"""

from .computing import compute
from .kernel import StoredKernel, about, count, open

__all__ = ["StoredKernel", "about", "compute", "count", "open"]
