"""Linear systems of kernels: exact in place, by preconditioned conjugate gradients, and over few landmarks."""

from .cg import ConvergenceWarning, Solution, pcg
from .cholesky import CholeskySolution, cholesky
from .nystrom import NystromModel, nystrom
from .pivoted import random_pivots

__all__ = [
    "CholeskySolution",
    "ConvergenceWarning",
    "NystromModel",
    "Solution",
    "cholesky",
    "nystrom",
    "pcg",
    "random_pivots",
]
