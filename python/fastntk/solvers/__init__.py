"""Linear systems of kernels: exact in place, by preconditioned conjugate gradients, and over few landmarks."""

from .cg import ConvergenceWarning, Solution, pcg
from .cholesky import CholeskySolution, cholesky
from .pivoted import random_pivots

__all__ = ["CholeskySolution", "ConvergenceWarning", "Solution", "cholesky", "pcg", "random_pivots"]
