"""The slow twin: every network in plain NumPy and float64, each formula once, as the papers print it.

`recursion` goes through the layers, `forms` has the textbook duals. Nothing of the engine is used here, so that tests
of the one are tests of the other.
"""

from .recursion import gauss_hermite, kernels, nngp, ntk

__all__ = ["gauss_hermite", "kernels", "nngp", "ntk"]
