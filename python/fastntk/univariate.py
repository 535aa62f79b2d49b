"""One variable instead of L layers: a network that depends on the gap alone, fitted once and evaluated as one op.

That is so in a network of positively homogeneous activations without bias, and in any network on inputs of equal
norm. The fit is made from the network itself, in float64, on Chebyshev points of the variable of
cpp/isa/univariate.hpp.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from . import _core, runtime

Array = NDArray[np.float64]

#: Entries of the result from which a fit (some milliseconds) is worth it, and ops that take longer than its evaluation.
FEWEST_PAIRS = 1_000_000
FEWEST_OPS = 10

_POINTS = 96
_MOST_COEFFICIENTS = 64
_SCALES = (4.0, 1.0, 0.4, 0.2, 0.1, 0.05, 0.02, 0.01)


def _gap(x: Array) -> Array:
    """Signed gap of two inputs at the angle pi x."""
    return np.where(x <= 0.5, 2 * np.sin(0.5 * np.pi * x) ** 2, -2 * np.cos(0.5 * np.pi * x) ** 2)


def fit(
    compile_network: Callable[[int], _core.ProgramFloat64], precision: float, *, nngp: bool, ntk: bool
) -> list[float] | None:
    """Parameters of the op, with an error of `precision` relative to the diagonal; None if no short fit has it.

    Parameters
    ----------
    compile_network : callable
        The program for n samples that are all alike.
    precision : float
        Of rho, and of Theta relative to its largest value.
    nngp, ntk : bool
        Which of them is wanted.
    """
    zeta = np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
    kappa = np.array(_SCALES)[:, None]
    z = (zeta + 1) / 2
    gap = _gap((z * kappa / (1 + kappa - z)).ravel())
    theta = np.zeros_like(gap)
    program = compile_network(2 * len(gap))
    _core.run_elementwise(runtime.instruction_set(), program, gap, theta)
    values = np.stack((np.copysign(1 - np.abs(gap), gap), theta)).reshape(2, len(_SCALES), _POINTS)
    # T_k at the points, its argument reduced exactly: cos(k pi (i + 1/2) / n)
    quarters = np.outer(2 * np.arange(_POINTS) + 1, np.arange(_POINTS)) % (4 * _POINTS)
    basis = np.cos(np.pi * quarters / (2 * _POINTS))
    coefficients = 2 / _POINTS * values @ basis
    coefficients[..., 0] /= 2
    # Coefficients at the far end are rounding: what they leave is told by the largest from some order on.
    size = np.abs(coefficients) / np.maximum(np.abs(values).max(axis=-1, keepdims=True), 1e-300)
    left = np.maximum.accumulate(size[..., ::-1], axis=-1)[..., ::-1]
    counts = (left > precision).sum(axis=-1) * np.array([[nngp], [ntk]])
    best = int(counts.sum(axis=0).argmin())
    if counts[:, best].max() > _MOST_COEFFICIENTS:
        return None
    rho, slope = (row[best, :count] for row, count in zip(coefficients, counts[:, best], strict=True))
    return [_SCALES[best], len(rho), len(slope), *rho.tolist(), *slope.tolist()]
