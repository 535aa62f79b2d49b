"""From a network to the flat program that the C++ engine runs, with its tables of per-sample numbers.

All of this is O(samples x layers), in extended precision (where the platform has it) whatever the precision
of the kernel: in a deep network an error made here would repeat in every layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .activations import Activation

if TYPE_CHECKING:
    from .duals import Vector
    from .network import Dense, Layer

Op = tuple[int, bool, NDArray[Any], NDArray[Any]]


@dataclass
class Program:
    """A compiled network: the ops of the engine, and the diagonals that fall out on the way."""

    ops: list[Op]  # code, whether rho >= 0 for every pair, scalars, tables of shape (k, samples)
    variance: Vector
    ntk: Vector

    def scale(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Standard deviation of the output at each sample."""
        return np.sqrt(self.variance).astype(dtype)


@dataclass
class _Compiler:
    """The state of a pass through the layers: K(x, x) and Theta(x, x) of every sample, and what is emitted."""

    variance: Vector
    dtype: np.dtype[Any]
    ntk: Vector = field(init=False)
    nonnegative: bool = False
    ops: list[Op] = field(default_factory=list)
    carried: Vector | None = None

    def __post_init__(self) -> None:
        self.ntk = np.zeros_like(self.variance)

    def emit(self, name: str, parameters: tuple[float, ...], tables: NDArray[Any]) -> None:
        self.ops.append((_core.op_codes[name], self.nonnegative, np.array(parameters, self.dtype), tables))

    def dense(self, layer: Dense) -> None:
        weight, bias = np.longdouble(layer.sigma_w) ** 2, np.longdouble(layer.sigma_b) ** 2
        before = self.variance
        self.variance = weight * before + bias
        self.ntk = weight * self.ntk + self.variance
        if bias == 0.0:
            self.emit("dense_bias_free", (), np.empty((0, before.size), self.dtype))
        else:
            self.concatenate("dense", np.sqrt(weight * before), layer.sigma_b)

    def concatenate(self, name: str, signal: Vector, constant: float) -> None:
        """Join a feature vector of length `signal` and one constant feature."""
        tables = np.empty((4, signal.size), self.dtype)
        if self.carried is None:
            self.carried = np.ones_like(signal)
        _core.concatenation_tables(signal, np.sqrt(self.variance), constant, self.carried, tables)
        self.emit(name, (), tables)

    def activation(self, layer: Activation) -> None:
        dual = layer._dual
        op = dual.op(self.variance, float(np.finfo(self.dtype).eps))
        if op is not None:
            tables = np.array(op.tables, self.dtype).reshape(-1, self.variance.size)
            self.emit(op.name, op.parameters, tables)
        self.ntk = dual.slope_variance(self.variance) * self.ntk
        self.variance = dual.variance(self.variance)
        self.nonnegative = dual.makes_nonnegative(self.nonnegative)
        if dual.mean != 0.0:
            signal = np.sqrt(self.variance)
            self.variance = self.variance + np.longdouble(dual.mean) ** 2
            self.concatenate("offset", signal, abs(dual.mean))


def compile_network(layers: tuple[Layer, ...], variance: Vector, dtype: np.dtype[Any]) -> Program:
    """Compile for samples whose input variance is |x|^2 / d.

    Raises
    ------
    ValueError
        If the kernel of a sample with itself is beyond the range of dtype; by Cauchy-Schwarz no other
        entry is larger than the largest of these.
    """
    state = _Compiler(variance, dtype)
    largest = np.finfo(dtype).max
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
            for layer in layers:
                if isinstance(layer, Activation):
                    state.activation(layer)
                else:
                    state.dense(layer)
    except FloatingPointError:
        raise ValueError(
            f"the variance of a sample overflows in layer {layer!r}; scale the data or the sigmas down."
        ) from None
    for diagonal, name in ((state.variance, "NNGP"), (state.ntk, "NTK")):
        if diagonal.size and not diagonal.max() <= largest:
            sample = int(diagonal.argmax())
            raise ValueError(
                f"the {name} kernel of sample {sample} with itself is {diagonal[sample]:.3g}, beyond the range of "
                f"{dtype.name}; scale the data or the sigmas down"
                + (", or use dtype='float64'." if dtype == np.float32 else ".")
            )
    return Program(state.ops, state.variance, state.ntk)
