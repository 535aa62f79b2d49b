"""PyTorch's modules as infinitely wide networks.

PyTorch is imported when `from_torch` is called, by which time the user of a module has it: `import fastntk` needs none.

What users call is in `translation`; `tracing` follows the forward of a module, `joining` makes branches of the graph
that comes of it, `modules` and `functions` know which layer a module or a function is, `layout` where the channels are,
and `deviations` the standard deviations of weights. No kernel is computed here.
"""

from .translation import from_torch

__all__ = ["from_torch"]
