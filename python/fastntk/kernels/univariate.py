"""One variable instead of L layers: a network that depends on the gap alone, fitted once and evaluated as one op.

That is so in a network of positively homogeneous activations without bias, and in any network on inputs of equal
norm. The fit is made from the network itself, in float64, on Chebyshev points of the variable of
cpp/isa/univariate.hpp; duplicates and antipodes have their own numbers. It is used where it is known to be right: as it
is evaluated it is compared with the network, between its nodes and down to the smallest gaps there are. Chaotic
networks (rbf or sin with large sigma_w, deep step) have cliffs at the ends that no node is near.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._machine import runtime

Array = NDArray[np.float64]

#: What a network becomes for the pair of two norms of rows.
Compile = Callable[[tuple[float, float]], _core.ProgramFloat64]

#: Entries of the result from which a fit (some milliseconds) is worth it, and ops that take longer than its evaluation.
FEWEST_PAIRS = 1_000_000
FEWEST_OPS = 10

#: Size of the coefficients that are left out, and what the fit may be found to err by: of rho, and of Theta relative to
#: its diagonal. The errors stated in network.py are larger: rounding is worse among the pairs of a kernel than among
#: those of the check.
PRECISION = {"float32": 1e-8, "float64": 1e-15}
TOLERANCE = {"float32": 3e-7, "float64": 4.5e-15}

_POINTS = 96
_MOST_COEFFICIENTS = 64
_SCALES = np.array((4.0, 1.0, 0.4, 0.2, 0.1, 0.05, 0.02, 0.01))


def _gap(x: Array) -> Array:
    """Signed gap of two inputs at the angle pi x."""
    return np.where(x <= 0.5, 2 * np.sin(0.5 * np.pi * x) ** 2, -2 * np.cos(0.5 * np.pi * x) ** 2)


def _nodes() -> Array:
    """Gaps of the Chebyshev points of every scale."""
    zeta = np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
    z, kappa = (zeta + 1) / 2, _SCALES[:, None]
    return _gap(z * kappa / (1 + kappa - z))


def _check_gaps(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Both ends, all sizes of gaps towards them, and the nodes of all scales: those of others are between one's own."""
    # The smallest is subnormal
    smallest = np.log10(np.finfo(dtype).smallest_subnormal)
    sizes = np.concatenate((np.zeros(1, dtype), np.logspace(smallest, 0, int(-2 * smallest)).astype(dtype)))
    return np.concatenate((sizes, -sizes, _nodes().ravel().astype(dtype)))


def _network(program: _core.ProgramFloat64, gap: NDArray[Any]) -> Array:
    """(rho, Theta / s_p s_q) layer by layer."""
    gap = gap.astype(np.float64)
    theta = np.zeros_like(gap)
    _core.run_elementwise(runtime.instruction_set(), program, gap, theta)
    return np.stack((np.copysign(1 - np.abs(gap), gap), theta))


def _evaluate(parameters: list[float], dtype: np.dtype[Any], gap: NDArray[Any]) -> Array:
    """(rho, Theta / s_p s_q) as the op has it."""
    make = _core.ProgramFloat32 if dtype == np.float32 else _core.ProgramFloat64
    program = make(runtime.instruction_set(), 1, np.ones(2))
    program.replace_ops(parameters)
    gap, theta = gap.copy(), np.zeros_like(gap)
    _core.run_elementwise(runtime.instruction_set(), program, gap, theta)
    return np.stack((np.copysign(1 - np.abs(gap), gap), theta)).astype(np.float64)


def fit(
    compile_network: Compile,
    norms: tuple[float, float],
    dtype: np.dtype[Any],
    noise: float,
    *,
    nngp: bool,
    ntk: bool,
) -> list[float] | None:
    """Parameters of the op; None if no short fit errs by less than `TOLERANCE`, or twice `noise`.

    Parameters
    ----------
    compile_network : callable
        The program for two samples.
    norms : (float, float)
        Least and largest norm of the rows that are not 0, equal but for rounding where it matters.
    dtype : dtype
        Of the evaluation.
    noise : float
        How far the network itself is from being smooth.
    nngp, ntk : bool
        Which of them is wanted.
    """
    least, most = norms
    program = compile_network((most, most))
    coefficients, size = _coefficients(program)
    counts = (size > max(noise, PRECISION[dtype.name])).sum(axis=-1) * np.array([[nngp], [ntk]])
    best = int(counts.sum(axis=0).argmin())
    if counts[:, best].max() > _MOST_COEFFICIENTS:
        return None
    # One is needed, be it 0.
    rho, slope = (
        row[best, : max(count, wanted)]
        for row, count, wanted in zip(coefficients, counts[:, best], (nngp, ntk), strict=True)
    )
    with np.errstate(invalid="ignore"):
        duplicate = float(program.ntk[0] / program.variance[0])
    antipode, antipode_theta = _network(program, np.array([-0.0]))[:, 0]
    ends = [np.copysign(1 - abs(antipode), antipode), duplicate, antipode_theta]
    parameters = [float(_SCALES[best]), len(rho), len(slope), *ends, *rho.tolist(), *slope.tolist()]

    gap = _check_gaps(dtype)
    fitted = _evaluate(parameters, dtype, gap)
    # Norms that differ in their last digits may matter to a chaotic network.
    pairs = {(least, least), (least, most), (most, most)}
    error = np.max([np.abs(fitted - _network(compile_network(pair), gap)).max(axis=-1) for pair in pairs], axis=0)
    allowed = max(TOLERANCE[dtype.name], 2 * noise) * np.array((1, duplicate))
    return parameters if (error <= allowed)[[nngp, ntk]].all() else None


def _coefficients(program: _core.ProgramFloat64) -> tuple[Array, Array]:
    """Of (rho, Theta) for every scale, and the largest from some order on, relative to the largest value."""
    values = _network(program, _nodes().ravel()).reshape(2, len(_SCALES), _POINTS)
    # T_k at the points, its argument reduced exactly: cos(k pi (i + 1/2) / n)
    quarters = np.outer(2 * np.arange(_POINTS) + 1, np.arange(_POINTS)) % (4 * _POINTS)
    basis = np.cos(np.pi * quarters / (2 * _POINTS))
    coefficients = 2 / _POINTS * values @ basis
    coefficients[..., 0] /= 2
    # Coefficients at the far end are rounding: what they leave is told by the largest from some order on.
    size = np.abs(coefficients) / np.maximum(np.abs(values).max(axis=-1, keepdims=True), 1e-300)
    return coefficients, np.maximum.accumulate(size[..., ::-1], axis=-1)[..., ::-1]
