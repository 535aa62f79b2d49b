"""A dual activation at given covariances, by the ops of the engine."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arrays import real_array, variance_array
from .._machine import runtime
from .._machine.floating import undisturbed
from .duals import Dual


@undisturbed
def dual(activation: Dual, c: ArrayLike, q1: ArrayLike, q2: ArrayLike, *, derivative: bool) -> NDArray[np.float64]:
    """Evaluate F(q1, q2, c), or F'(q1, q2, c), elementwise by the op that the engine uses."""
    arguments = (real_array(c, "c"), variance_array(q1, "q1"), variance_array(q2, "q2"))
    covariance, first, second = np.broadcast_arrays(*(np.asarray(argument, np.float64) for argument in arguments))
    shape, n = covariance.shape, covariance.size
    covariance, q = covariance.ravel(), np.concatenate((first.ravel(), second.ravel()))
    isa = runtime.instruction_set()
    gap = _core.pair_gaps(isa, covariance, q[:n], q[n:])
    distance = np.copysign(1, covariance) * gap
    if (distance < -1e-6).any():
        at = int(np.argmin(distance))
        raise ValueError(f"c**2 must not exceed q1*q2: got c={covariance[at]:.6g}, q1={q[at]:.6g}, q2={q[n + at]:.6g}.")
    gap = np.copysign(np.maximum(distance, 0), covariance)
    factor = np.ones_like(gap)
    if derivative:
        # F' = factor sqrt(F(q1, q1) F(q2, q2)) / sqrt(q1 q2), whose limit at q = 0 is finite. The op multiplies by
        # factor, maybe of the size q1 q2, what it is given.
        q = np.maximum(q, activation.smallest_variance)
        factor = _core.inverse_lengths(isa, q[:n], q[n:])
    program = _core.ProgramFloat64(isa, runtime.threads(), q)
    activation.add_to(program)
    _core.run_elementwise(isa, program, gap, factor)
    result = factor if derivative else np.copysign(1 - np.abs(gap), gap)
    program.scale_pairs(result)
    if n and not np.abs(result).max() <= np.finfo(np.float64).max:
        raise ValueError("the dual is beyond the range of float64 for these variances.")
    return cast("NDArray[np.float64]", result.reshape(shape)[()])
