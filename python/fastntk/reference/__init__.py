"""The slow twin: every network in plain NumPy and float64, each formula once, as the papers print it.

`kernels` is what users call, `recursion` has the rule of each layer, `forms` and `means` the textbook integrals over
Gaussians, `quadrature` what stands for those that no textbook has. Nothing of the engine is used here, so that tests
of the one are tests of the other.
"""

from . import recurrent  # noqa: F401 -- its rule is registered
from .kernels import kernels, nngp, ntk
from .quadrature import gauss_hermite

__all__ = ["gauss_hermite", "kernels", "nngp", "ntk"]
