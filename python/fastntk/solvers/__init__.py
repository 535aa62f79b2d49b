"""Linear systems of kernels: exact in place, by preconditioned conjugate gradients, and over few landmarks.

`cholesky` factors in place, `cg` iterates (with `pivoted` as its preconditioner and `iteration` for when to stop),
`nystrom` regresses over landmarks, with `chunks` and `samples` for data that come in parts. Posteriors and training
dynamics, which need whole matrices, are in `fastntk.inference`.
"""

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
