"""A dual activation at given covariances, by the ops of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arrays import real_array, variance_array
from .._machine import runtime
from .._machine.floating import undisturbed

if TYPE_CHECKING:
    from .duals import Dual


@undisturbed
def dual(activation: Dual, c: ArrayLike, q1: ArrayLike, q2: ArrayLike, *, derivative: bool) -> NDArray[np.float64]:
    """Evaluate F(q1, q2, c), or F'(q1, q2, c), elementwise by the op that the engine uses."""
    covariance, first, second = np.broadcast_arrays(
        real_array(c, "c").astype(np.longdouble), variance_array(q1, "q1"), variance_array(q2, "q2")
    )
    shape, n = covariance.shape, covariance.size
    covariance, q = covariance.ravel(), np.concatenate((first.ravel(), second.ravel()))
    length = np.sqrt(q[:n] * q[n:])
    excess = np.abs(covariance) - length
    if (excess > 1e-6 * length).any():
        at = int(np.argmax(excess))
        raise ValueError(f"c**2 must not exceed q1*q2: got c={covariance[at]:.6g}, q1={q[at]:.6g}, q2={q[n + at]:.6g}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(length > 0, np.maximum(-excess, 0) / length, 1)
    gap = np.copysign(distance, covariance).astype(np.float64)
    factor = np.ones_like(gap)
    if derivative:
        # F' = factor sqrt(F(q1, q1) F(q2, q2)) / sqrt(q1 q2), whose limit at q = 0 is finite. The op multiplies by
        # factor, maybe of the size q1 q2, what it is given.
        q = np.maximum(q, np.longdouble(activation.smallest_variance))
        factor = np.asarray(1 / np.sqrt(q[:n] * q[n:]), np.float64)
    program = _core.ProgramFloat64(q)
    activation.add_to(program)
    _core.run_elementwise(runtime.instruction_set(), program, gap, factor)
    scale = np.sqrt(program.variance)
    result = (factor if derivative else np.copysign(1 - np.abs(gap), gap)) * scale[:n] * scale[n:]
    if n and not np.abs(result).max() <= np.finfo(np.float64).max:
        raise ValueError("the dual is beyond the range of float64 for these variances.")
    return np.asarray(result, np.float64).reshape(shape)[()]
