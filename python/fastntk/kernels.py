"""The kernels of a network on data: checks, what is per sample, and the call of the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _core, runtime
from . import univariate as fit
from ._shown import one_line, shown
from ._validation import (
    engine_rows,
    input_array,
    kernel_dtype,
    new_output,
    output_matrix,
    real_array,
    refuse_faint_rows,
    refuse_rows,
    variance_array,
)
from .activations import Activation
from .duals import Expanded
from .floating import undisturbed
from .places import refuse_shared

if TYPE_CHECKING:
    from .duals import Dual, Program
    from .layers import Layer

Progress = bool | Callable[[float], object]
Kind = Literal["nngp", "ntk", "both"]

#: Rows whose mean is the centre subtracted at the input: any centre is right, the mean is the most accurate.
_CENTRE_ROWS = 1024
_CENTRE_NUMBERS = 10_000_000

_FLOAT64 = np.dtype(np.float64)


@one_line
class Kernels(NamedTuple):
    """Both kernels of a network, each of shape (n, m)."""

    nngp: NDArray[Any]
    ntk: NDArray[Any]


class Bar:
    """A progress bar that appears only where the work takes more than a second."""

    def __init__(self, total: int, unit: str = "pair", what: str = "kernel") -> None:
        self._total, self._unit, self._what = total, unit, what
        self._bar: Any = None
        self._start = time.perf_counter()

    def __call__(self, fraction: float) -> None:
        """Show that so much is done."""
        if self._bar is None:
            if time.perf_counter() - self._start < 1.0:
                return
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self._total, unit=self._unit, unit_scale=True, desc=self._what)
        self._bar.update(round(fraction * self._total) - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class Input:
    """A checked matrix, the norms of its rows, and what the engine needs of them.

    `first` is the number of its first row in the whole, for messages.
    """

    def __init__(self, value: ArrayLike, name: str, *, first: int = 0) -> None:
        self.given = input_array(value, name)
        self.name, self.first = name, first
        self.x = engine_rows(self.given)
        self.norms, self.inverse_norms, squarable, self.nonzero = _core.row_norms(self.x, runtime.threads())
        if not squarable:
            refuse_rows(self.norms, self.x, name, first)
        if not self.nonzero:
            refuse_faint_rows((self.norms > 0) & (self.inverse_norms == 0), self.norms, name, first)


def centre_step(rows: int, features: int) -> int:
    """Distance of the rows of a matrix that its centre is made of."""
    most = max(16, min(_CENTRE_ROWS, _CENTRE_NUMBERS // max(features, 1)))
    return max(1, -(-rows // most))


class Centre(NamedTuple):
    """What arithmetic is relative to. Any centre is right; one amid the samples is the most accurate.

    It is part of the bits of a result: a block of a kernel is computed with that of the whole.
    """

    unit: NDArray[np.float64]  # mean of rows of length one; one number more if rows of the whole are zero
    norms: NDArray[np.float64]  # of these rows

    @classmethod
    def of(cls, inputs: list[Input], *, zero_rows: bool | None = None) -> Centre:
        """Make it of some rows of each; whether the whole has zero rows is seen from these, if it is not given."""
        if zero_rows is None:
            zero_rows = not all(data.nonzero for data in inputs)
        unit = np.zeros(inputs[0].x.shape[1] + zero_rows)
        steps = [centre_step(*data.x.shape) for data in inputs]
        for data, step in zip(inputs, steps, strict=True):
            _core.add_unit_rows(data.x, data.inverse_norms, step, unit)
        norms = np.concatenate([data.norms[::step] for data, step in zip(inputs, steps, strict=True)])
        return cls(unit / max(len(norms), 1), norms)


def _program(
    layers: tuple[Layer, ...],
    norms: NDArray[np.float64],
    features: int,
    dtype: np.dtype[Any],
    directions: list[list[float]],
    reference: NDArray[np.intp],
) -> Program:
    make = _core.ProgramFloat32 if dtype == np.float32 else _core.ProgramFloat64
    program: Program = make(runtime.instruction_set(), runtime.threads(), norms, features, directions, reference)
    for layer in layers:
        if isinstance(layer, Activation):
            layer._dual.add_to(program)
        else:
            program.dense(layer.sigma_w, layer.sigma_b, layer.trainable)
    return program


def compile_program(
    layers: tuple[Layer, ...],
    inputs: list[Input],
    kind: Kind,
    dtype: np.dtype[Any],
    directions: list[list[float]] | None = None,
    centre: Centre | None = None,
    result: np.dtype[Any] | None = None,
) -> Program:
    """Compile a network for the samples of these inputs, and for derivatives in some directions.

    Refuses samples whose kernel of that kind with themselves is not in the range of dtype, or of the result's.
    """
    norms = [data.norms for data in inputs]
    n, count = len(norms[0]), sum(map(len, norms))
    if centre is None:
        x, y = (np.arange(0, len(data.x), centre_step(*data.x.shape)) for data in (inputs[0], inputs[-1]))
        reference = x if len(inputs) == 1 else np.concatenate((x, n + y))
    else:  # of a larger whole, whose samples follow these
        reference = count + np.arange(len(centre.norms))
        norms.append(centre.norms)
    program = _program(layers, np.concatenate(norms), inputs[0].x.shape[1], dtype, directions or [], reference)
    limits = np.finfo(result or dtype)
    sample = program.first_out_of_range(float(limits.tiny), float(limits.max), kind != "nngp")
    if 0 <= sample < count:
        data, row = (inputs[0], sample) if sample < n else (inputs[1], sample - n)
        nngp, ntk = (np.format_float_scientific(values[sample], 2) for values in (program.variance, program.ntk))
        large = not max(program.variance[sample], program.ntk[sample]) <= limits.max
        instead = ", or use dtype='float64'" if limits.dtype == np.float32 else ""
        raise ValueError(
            f"the kernel of row {data.first + row} of {data.name} with itself is {'beyond' if large else 'below'} the "
            f"range of {limits.dtype.name}, in the network or at its end (there NNGP {nngp}, NTK {ntk}); scale the "
            f"data or the parameters {'down' if large else 'up'}{instead}."
        )
    return program


def _collapse(
    program: Program, layers: tuple[Layer, ...], inputs: list[Input], dtype: np.dtype[Any], kind: str
) -> None:
    """Make one op of a network that depends on the gap alone, where that is quicker and as accurate."""
    if not program.univariate or program.op_count < fit.FEWEST_OPS:
        return

    features = inputs[0].x.shape[1]

    def compile_pair(norms: tuple[float, float]) -> _core.ProgramFloat64:
        return cast("_core.ProgramFloat64", _program(layers, np.array(norms), features, _FLOAT64, [], np.arange(2)))

    # Expansions are as smooth as their error.
    duals = [layer._dual for layer in layers if isinstance(layer, Activation)]
    noise = max((dual.noise for dual in duals if isinstance(dual, Expanded)), default=0.0)
    # Zero rows have no gap; where others have, their norm does not matter or is that of all.
    norms = np.concatenate([data.norms for data in inputs])
    norms = norms[norms > 0]
    if norms.size:
        extremes = norms.min(), norms.max()
        parameters = fit.fit(compile_pair, extremes, dtype, noise, nngp=kind != "ntk", ntk=kind != "nngp")
        if parameters is not None:
            program.replace_ops(parameters)


def read_inputs(X: ArrayLike, Y: ArrayLike | None, first: tuple[int, int] = (0, 0)) -> tuple[Input, Input | None]:
    """Check both matrices; they may be rows from `first` on of larger ones."""
    left = Input(X, "X", first=first[0])
    right = None if Y is None else Input(Y, "Y", first=first[1])
    if right is not None and right.x.shape[1] != left.x.shape[1]:
        raise ValueError(
            f"X has {left.x.shape[1]} features but Y has {right.x.shape[1]}; they must have the same number."
        )
    return left, right


def check_progress(progress: object) -> None:
    """Refuse what is neither a truth value nor a callable."""
    if not isinstance(progress, (bool, np.bool_)) and not callable(progress):
        raise TypeError(f"progress must be True, False or a callable, got {shown(progress)}.")


@undisturbed
def compute(
    layers: tuple[Layer, ...],
    X: ArrayLike,
    Y: ArrayLike | None,
    kind: Kind,
    *,
    out: Any,
    dtype: DTypeLike | None,
    progress: Progress,
    univariate: bool,
) -> list[NDArray[Any]]:
    """Compute the kernels asked for, in the order (nngp, ntk)."""
    left, right = read_inputs(X, Y)
    check_progress(progress)
    result_dtype = kernel_dtype(dtype, left.x, (right or left).x)
    shape = (left.x.shape[0], (right or left).x.shape[0])
    count = 2 if kind == "both" else 1
    if out is None:
        outputs = new_output(shape, result_dtype, count)
    else:
        if count == 2 and not (isinstance(out, (tuple, list)) and len(out) == 2):
            raise TypeError("out must be a pair of arrays (nngp, ntk).")
        inputs = {"X": left.given} if right is None else {"X": left.given, "Y": right.given}
        outputs = [output_matrix(o, shape, result_dtype, inputs) for o in (out if count == 2 else (out,))]
        refuse_shared(outputs)
    _run(layers, left, right, result_dtype, outputs, kind, progress, univariate)
    return outputs


def _run(
    layers: tuple[Layer, ...],
    left: Input,
    right: Input | None,
    dtype: np.dtype[Any],
    outputs: list[NDArray[Any]],
    kind: Kind,
    progress: Progress,
    univariate: bool,
) -> None:
    inputs = [left] if right is None else [left, right]
    program = compile_program(layers, inputs, kind, dtype)
    if outputs[0].size == 0:
        return
    if univariate and outputs[0].size >= fit.FEWEST_PAIRS:
        _collapse(program, layers, inputs, dtype, kind)
    Pairs(program, left, right).run(_core.compute, outputs_of(kind, outputs), progress)


def outputs_of(kind: str, outputs: list[Any]) -> tuple[Any, Any]:
    """(nngp, ntk) from a list of those that are wanted."""
    return None if kind == "ntk" else outputs[0], None if kind == "nngp" else outputs[-1]


class Pairs:
    """All pairs of samples, ready for the engine. A block of them has the same bits as it has in the whole.

    The centre depends on all data and the per-sample numbers of an expansion on the range of variances: they are
    computed once, for the whole.
    """

    def __init__(self, program: Program, left: Input, right: Input | None, centre: Centre | None = None) -> None:
        self.program = program
        self._x, self._y = left.x, None if right is None else right.x
        self._inverse_x, self._inverse_y = left.inverse_norms, (right or left).inverse_norms
        if self._y is not None and self._y.dtype != self._x.dtype:
            self._x, self._y = np.ascontiguousarray(self._x, np.float64), np.ascontiguousarray(self._y, np.float64)
        self.shape = len(self._x), len(self._x if self._y is None else self._y)
        if centre is None:
            centre = Centre.of([left] if right is None else [left, right])
        self._centre = centre.unit

    @property
    def symmetric(self) -> bool:
        """Whether the pairs are those of X with itself."""
        return self._y is None

    def run(
        self,
        engine: Callable[..., None],
        arguments: tuple[Any, ...],
        progress: Progress,
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> None:
        """Run the engine over all pairs, or over those of some rows and columns, with progress."""
        (i, end_i, _), (j, end_j, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        x, inverse_x = self._x[i:end_i], self._inverse_x[i:end_i]
        if self._y is not None:
            y, inverse_y, first = self._y[j:end_j], self._inverse_y[j:end_j], (i, self.shape[0] + j)
        elif (i, end_i) == (j, end_j):
            y, inverse_y, first = None, inverse_x, (i, i)
        else:
            y, inverse_y, first = self._x[j:end_j], self._inverse_x[j:end_j], (i, j)
        n = len(x)
        pairs = n * (n + 1) // 2 if y is None else n * len(y)
        if y is None and not n:
            return
        with Bar(pairs) as bar:
            engine(
                runtime.instruction_set(),
                runtime.threads(),
                self.program,
                x,
                inverse_x,
                y,
                inverse_y,
                first,
                self._centre,
                *arguments,
                progress if callable(progress) else bar if progress else None,
            )


@undisturbed
def diagonal(
    layers: tuple[Layer, ...], X: ArrayLike, kind: Literal["nngp", "ntk"], *, dtype: DTypeLike | None
) -> NDArray[Any]:
    """Compute the diagonal of a kernel from the norms alone."""
    data = Input(X, "X")
    result_dtype = kernel_dtype(dtype, data.x)
    program = compile_program(layers, [data], kind, result_dtype)
    values = program.variance if kind == "nngp" else program.ntk
    return values.astype(result_dtype)


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
