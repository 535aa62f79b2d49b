"""Truth for expansions at and near abs(rho) = 1, where they converge last: writes ``diagonal_tables.npz`` next to this.

Regenerate (some ten minutes on two cores) with

    python tests/data/make_diagonal_tables.py

The activations, and the quadratures of F and F', are those of ``make_dual_tables.py``, which shares no code with
fastntk; here are more variances, and correlations down to 2^-50 from 1 and -1. The script prints the difference from a
coarser rule that has the roles of u and v exchanged, and fails where one is above 1e-12.

Contents of the file:

``cases``
    JSON list with one object per activation: ``name`` and ``parameters``.
``q1``, ``q2``, float64 ndarrays of shape (16,)
    Pairs of variances, equal and unequal.
``gap``, float64 ndarray of shape (10,)
    Signed gaps: 1 - rho where rho >= 0, -(1 + rho) where it is negative; exact.
``truth``, float64 ndarray of shape (cases, 16, 2, 10)
    F and F' of a case, a pair and a gap.
``scale``, float64 ndarray of shape (cases, 16, 2)
    sqrt(F(q1, q1) F(q2, q2)), and for F' likewise.
"""

from __future__ import annotations

import json
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from make_dual_tables import (  # type: ignore[import-not-found]
    COARSE,
    FINE,
    TOLERANCE,
    Array,
    expansions,
    parallel,
    quadrature,
)

CASES = [
    case
    for case in expansions()
    if case.name not in ("hard_tanh", "relu6", "hard_sigmoid", "hard_swish", "soft_shrink", "hard_shrink")
]
VARIANCES = (1e-3, 0.05, 0.3, 4.5, 50.0, 305.8, 2000.0, 1e4)
PAIRS = [(q, q * ratio) for q in VARIANCES for ratio in (1.0, 0.6)]
GAPS = np.array([0.0, *(2.0**-j for j in (50, 40, 30, 20, 10)), 0.5, -(2.0**-10), -(2.0**-30), -0.0])


def row(index: int, pair: int) -> tuple[Array, Array, float]:
    """F and F' for every gap, their scales, and the largest difference from the coarser rule."""
    function, (q1, q2) = CASES[index].function, PAIRS[pair]
    assert function is not None
    rho = np.copysign(1 - np.abs(GAPS), GAPS)
    truth = np.array([quadrature(function, q1, q2, float(r), FINE) for r in rho]).T
    diagonals = np.array([parallel(function, q, q, 1, FINE) for q in (q1, q2)])
    scale = np.sqrt(diagonals.prod(axis=0))
    check = np.array([quadrature(function, q2, q1, float(r), COARSE) for r in rho]).T
    return truth, scale, float((np.abs(check - truth) / scale[:, None]).max())


def main() -> None:
    """Write the file."""
    jobs = [(index, pair) for index in range(len(CASES)) for pair in range(len(PAIRS))]
    with Pool() as pool:
        rows = pool.starmap(row, jobs, chunksize=1)
    shape = len(CASES), len(PAIRS)
    worst = np.array([difference for _, _, difference in rows]).reshape(shape).max(axis=1)
    for case, difference in zip(CASES, worst, strict=True):
        print(f"{case.name:12} {case.parameters!s:25} {difference:8.1e}")
    if not worst.max() <= TOLERANCE:
        raise ArithmeticError(f"The largest difference is {worst.max():.1e}, above {TOLERANCE}: nothing was written.")
    np.savez_compressed(
        Path(__file__).with_name("diagonal_tables.npz"),
        cases=np.array(json.dumps([{"name": case.name, "parameters": case.parameters} for case in CASES])),
        q1=np.array([q for q, _ in PAIRS]),
        q2=np.array([q for _, q in PAIRS]),
        gap=GAPS,
        truth=np.array([truth for truth, _, _ in rows]).reshape(*shape, 2, len(GAPS)),
        scale=np.array([scale for _, scale, _ in rows]).reshape(*shape, 2),
    )


if __name__ == "__main__":
    main()
