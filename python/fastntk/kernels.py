"""The kernels of a network on data: checks, what is per sample, and the call of the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _core, runtime
from ._validation import input_matrix, kernel_dtype, new_output, output_matrix, refuse_rows
from .activations import Activation

if TYPE_CHECKING:
    from .duals import Dual, Program
    from .network import Layer

Progress = bool | Callable[[float], object]

#: Rows whose mean is the centre subtracted at the input: any centre is right, the mean is the most accurate.
_CENTRE_ROWS = 1024


class Kernels(NamedTuple):
    """Both kernels of a network, each of shape (n, m)."""

    nngp: NDArray[Any]
    ntk: NDArray[Any]


class _Bar:
    """A progress bar that appears only where the work takes more than a second."""

    def __init__(self, total: float) -> None:
        self._total = total
        self._bar: Any = None
        self._start = time.perf_counter()

    def __call__(self, fraction: float) -> None:
        if self._bar is None:
            if time.perf_counter() - self._start < 1.0:
                return
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self._total, unit="pair", unit_scale=True, desc="kernel")
        self._bar.update(fraction * self._total - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self(1.0)
            self._bar.close()


class _Input:
    """A checked matrix, the norms of its rows, and what the engine needs of them."""

    def __init__(self, value: ArrayLike, name: str) -> None:
        self.x = input_matrix(value, name)
        self.norms, self.inverse_norms, squarable, self.nonzero = _core.row_norms(self.x, runtime.threads())
        if not squarable:
            refuse_rows(self.norms, self.x, name)

    @property
    def variance(self) -> NDArray[np.longdouble]:
        """|x|^2 / d."""
        norms = self.norms.astype(np.longdouble)
        return np.asarray(norms * norms / self.x.shape[1])


def _compile(layers: tuple[Layer, ...], variance: NDArray[np.longdouble], dtype: np.dtype[Any]) -> Program:
    """Compile a network for samples of this variance |x|^2 / d at the input."""
    program = _core.ProgramFloat32(variance) if dtype == np.float32 else _core.ProgramFloat64(variance)
    for layer in layers:
        if isinstance(layer, Activation):
            layer._dual.add_to(program)
        else:
            program.dense(layer.sigma_w, layer.sigma_b)
    sample = program.first_overflow()
    if sample >= 0:
        raise ValueError(
            f"the kernel of sample {sample} with itself is beyond the range of {dtype.name}: NNGP "
            f"{program.variance[sample]:.3g}, NTK {program.ntk[sample]:.3g}; scale the data or the sigmas down"
            + (", or use dtype='float64'." if dtype == np.float32 else ".")
        )
    return program


def compute(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | None,
    kind: Literal["nngp", "ntk", "both"],
    *,
    out: Any,
    dtype: DTypeLike | None,
    progress: Progress,
) -> list[NDArray[Any]]:
    """Compute the kernels asked for, in the order (nngp, ntk)."""
    left = _Input(X, "X")
    right = left if Y is None else _Input(Y, "Y")
    if right.x.shape[1] != left.x.shape[1]:
        raise ValueError(
            f"X has {left.x.shape[1]} features but Y has {right.x.shape[1]}; they must have the same number."
        )
    if not isinstance(progress, (bool, np.bool_)) and not callable(progress):
        raise TypeError(f"progress must be True, False or a callable, got {progress!r}.")
    inputs = {"X": left.x} if Y is None else {"X": left.x, "Y": right.x}
    result_dtype = kernel_dtype(dtype, *inputs.values())
    shape = (left.x.shape[0], right.x.shape[0])
    count = 2 if kind == "both" else 1
    if out is None:
        outputs = new_output(shape, result_dtype, count)
    else:
        if count == 2 and not (isinstance(out, (tuple, list)) and len(out) == 2):
            raise TypeError("out must be a pair of arrays (nngp, ntk).")
        outputs = [output_matrix(o, shape, result_dtype, inputs) for o in (out if count == 2 else (out,))]
        if count == 2 and np.may_share_memory(outputs[0], outputs[1]):
            raise ValueError("the two arrays of out overlap in memory.")
    _run(layers, left, None if Y is None else right, result_dtype, outputs, kind, progress)
    return outputs


def _run(
    layers: tuple[Layer, ...],
    left: _Input,
    right: _Input | None,
    dtype: np.dtype[Any],
    outputs: list[NDArray[Any]],
    kind: str,
    progress: Progress,
) -> None:
    variance = left.variance if right is None else np.concatenate((left.variance, right.variance))
    program = _compile(layers, variance, dtype)
    if outputs[0].size == 0:
        return
    x, y = left.x, None if right is None else right.x
    inverse_x, inverse_y = left.inverse_norms, (right or left).inverse_norms
    if y is not None and y.dtype != x.dtype:
        x, y = x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
    zero_rows = not (left.nonzero and (right or left).nonzero)
    centre = np.zeros(x.shape[1] + zero_rows)
    added = _core.add_unit_rows(x, inverse_x, _CENTRE_ROWS, centre)
    if y is not None:
        added += _core.add_unit_rows(y, inverse_y, _CENTRE_ROWS, centre)
    centre /= added

    bar = _Bar(outputs[0].size) if progress is True else None
    report = progress if callable(progress) else bar
    nngp = None if kind == "ntk" else outputs[0]
    ntk = None if kind == "nngp" else outputs[-1]
    try:
        _core.compute(
            runtime.instruction_set(),
            runtime.threads(),
            program,
            x,
            inverse_x,
            y,
            inverse_y,
            centre,
            nngp,
            ntk,
            report,
        )
    finally:
        if bar is not None:
            bar.close()


def diagonal(
    layers: tuple[Layer, ...], X: ArrayLike, kind: Literal["nngp", "ntk"], *, dtype: DTypeLike | None
) -> NDArray[Any]:
    """Compute the diagonal of a kernel from the norms alone."""
    data = _Input(X, "X")
    result_dtype = kernel_dtype(dtype, data.x)
    program = _compile(layers, data.variance, result_dtype)
    values = program.variance if kind == "nngp" else program.ntk
    return values.astype(result_dtype)


def dual(
    activation: Dual, c: ArrayLike, q1: ArrayLike, q2: ArrayLike, *, derivative: bool
) -> NDArray[np.float64]:
    """Evaluate F(q1, q2, c), or F'(q1, q2, c), elementwise by the op that the engine uses."""
    arrays = [np.asarray(value) for value in (c, q1, q2)]
    for array, name in zip(arrays, ("c", "q1", "q2"), strict=True):
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}.")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite.")
    covariance, *variances = np.broadcast_arrays(*(array.astype(np.longdouble) for array in arrays))
    shape = covariance.shape
    covariance, first, second = (np.ravel(array) for array in (covariance, *variances))
    if min(first.min(initial=0), second.min(initial=0)) < 0:
        raise ValueError("q1 and q2 are variances and must be >= 0.")
    length = np.sqrt(first) * np.sqrt(second)
    excess = np.abs(covariance) - length
    if (excess > 1e-6 * length).any():
        at = int(np.argmax(excess))
        raise ValueError(
            f"c**2 must not exceed q1*q2: got c={covariance[at]:.6g} with q1={first[at]:.6g}, q2={second[at]:.6g}."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(length > 0, np.maximum(-excess, 0) / length, 1)
    gap = np.copysign(distance, covariance).astype(np.float64)
    factor = np.ones_like(gap)
    # F' = factor sqrt(F(q1, q1)/q1 F(q2, q2)/q2), whose limit at q = 0 is finite
    tiny = np.longdouble(np.finfo(np.float64).tiny)
    arguments = [np.maximum(q, tiny) if derivative else q for q in (first, second)]
    programs = [_core.ProgramFloat64(q) for q in arguments]
    for program in programs:
        activation.add_to(program)
    _core.run_elementwise(runtime.instruction_set(), programs[0], programs[1], gap, factor)
    lengths = [np.sqrt(program.variance.astype(np.longdouble)) for program in programs]
    scale = lengths[0] * lengths[1]
    if derivative:
        result = factor * scale / (np.sqrt(arguments[0]) * np.sqrt(arguments[1]))
    else:
        result = scale * np.copysign(1 - np.abs(gap), gap)
    return np.asarray(result, np.float64).reshape(shape)[()]
