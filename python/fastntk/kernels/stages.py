"""A network of samples with positions as stages, with averages between them, compiled for some samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._checks.shown import position
from .._machine import runtime
from ..layers.activation import Activation
from ..layers.base import Signal, emit_network, follow_each, walk
from ..layers.layer_norm import LayerNorm
from ..layers.pool import Pooling

if TYPE_CHECKING:
    from ..activations.duals import Program
    from ..layers.base import Layer, Layers

Float = NDArray[np.float64]


class Stage(NamedTuple):
    """Layers up to the next average, for samples of these positions and units."""

    layers: Layers
    positions: tuple[int, ...]
    units: float

    #: That it ends with, and how the engine has it; the last stage has none.
    pool: tuple[list[int], list[NDArray[np.int64]], list[list[float]]] | None


#: K(x, x) and Theta(x, x) behind an average, [position][sample].
Average: TypeAlias = tuple[Float, Float]


class Compiled(NamedTuple):
    """What was compiled for some samples: a program a stage, the averages between, and the choices of its layers."""

    programs: list[Program]
    averages: list[Average]
    choices: tuple[Any, ...]


def stages_of(layers: Layers, positions: tuple[int, ...], channels: int) -> list[Stage]:
    """Cut a network at its averages; those inside of branches are refused as it is compiled."""
    signal = Signal(positions, channels, "given", "unknowable", alike=channels == 1)
    stages: list[Stage] = []
    begin = signal
    inner: list[Layer] = []
    for layer, behind in zip(layers, follow_each(layers, signal), strict=True):
        if isinstance(layer, Pooling):
            axes = layer.axes(signal.positions)
            weights = [layer.weights(axis).tolist() for axis in axes]
            pool = list(signal.positions or ()), [axis.sources for axis in axes], weights
            stages.append(Stage(tuple(inner), begin.positions or (), begin.units, pool))
            begin, inner = behind, []
        else:
            inner.append(layer)
        signal = behind
    stages.append(Stage(tuple(inner), begin.positions or (), begin.units, None))
    return stages


def engine_dtype(stages: list[Stage], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Precision of the engine for kernels of a dtype.

    An activation behind an average sees near-duplicates by the difference of averages, and keeps half their digits: of
    float32 too few would be left.
    """
    behind = [layer for stage in stages[1:] for _, layer in walk(stage.layers)]
    return np.dtype(np.float64) if any(isinstance(layer, Activation) for layer in behind) else dtype


class StagedNetwork:
    """A network for samples with positions, for kernels of one dtype.

    The first samples it was compiled for are the `model` of all others, for which activations are computed as for them.
    """

    def __init__(self, layers: Layers, positions: tuple[int, ...], channels: int, dtype: np.dtype[Any]) -> None:
        self._layers, self.stages = layers, stages_of(layers, positions, channels)
        self.dtype, self.channels = engine_dtype(self.stages, dtype), channels
        self.model: Compiled | None = None
        self.networks: list[Any] = []
        suffix = "Float32" if self.dtype == np.float32 else "Float64"
        self._program = getattr(_core, f"Program{suffix}")
        self._network, self._side = getattr(_core, f"PlaneNetwork{suffix}"), getattr(_core, f"PlaneSide{suffix}")
        self._variances = getattr(_core, f"plane_variances_{self.dtype.name}")
        self.compute = getattr(_core, f"compute_planes_{self.dtype.name}")

    @property
    def whole(self) -> Any:
        """The whole network, as the engine has it."""
        return self.networks[-1]

    def compile(self, x: NDArray[Any], averages: list[Average] | None = None) -> Compiled:
        """Compile it for samples, of shape (n, numbers); `averages` are those of these samples, if they are known.

        Where its layers choose otherwise for these samples than for those before, these become the model.
        """
        compiled = self._compile(x, self.model, averages)
        if self.model is None and not any(compiled.choices):
            self.model = compiled
        elif self.model is None or compiled.choices != self.model.choices:
            self.networks.clear()
            compiled = self.model = self._compile(x, None, averages, compiled.choices)
        return compiled

    def _compile(
        self,
        x: NDArray[Any],
        model: Compiled | None,
        averages: list[Average] | None,
        choices: tuple[Any, ...] | None = None,
    ) -> Compiled:
        given = choices or (model.choices if model else (None,) * len(self.stages))
        programs: list[Program] = []
        found: list[Average] = []
        chosen: list[Any] = []
        for s, stage in enumerate(self.stages):
            if s:
                found.append(averages[s - 1] if averages else self._average(x, s, programs))
            norms = self._norms(x) if s == 0 else found[-1][0]
            like = model.programs[s] if model else None
            make, features = (_core.ProgramFloat64, 0) if s else (self._program, self.channels)
            again = like and like.again(runtime.threads(), norms, features, found[-1][1] if s else None)
            if again:
                chosen.append(given[s])
                programs.append(again)
                continue
            program: Program = make(runtime.instruction_set(), runtime.threads(), norms, features)
            program.place(list(stage.positions))
            if s:
                units = stage.units if 0 < stage.units < math.inf else 0.0
                program.begin_with(found[-1][1], units, programs[-1].nonnegative)
            chosen.append(emit_network(stage.layers, program, given[s]))
            programs.append(program)
        return Compiled(programs, found, tuple(chosen))

    def place_of_loss(self, x: NDArray[Any], *, with_ntk: bool) -> str:
        """Where nothing is left of one sample: the layer, and the position if it acts at each by itself."""
        for count, layer in enumerate(self._layers):
            part = StagedNetwork(self._layers[: count + 1], self.stages[0].positions, self.channels, self.dtype)
            last = part.compile(x).programs[-1]
            if (lost := last.first_lost(with_ntk)) >= 0:
                here = f"layer {count}, {layer}"
                if isinstance(layer, LayerNorm) and layer.axes == "channels" and last.positions:
                    return f" at position {position(np.unravel_index(lost, last.positions))} in {here},"
                return f" in {here},"
        return ""

    def _norms(self, x: NDArray[Any]) -> Float:
        """Of the features at each position, [position][sample]."""
        positions = math.prod(self.stages[0].positions)
        rows = np.ascontiguousarray(x).reshape(len(x) * positions, self.channels)
        norms: Float = _core.row_norms(rows, runtime.threads())[0]
        return norms.reshape(len(x), positions).T.ravel()

    def _average(self, x: NDArray[Any], s: int, programs: list[Program]) -> Average:
        """The average before a stage, of these samples, whose programs reach so far."""
        network = self._to(s, programs)
        # Where samples with themselves come one at a time, the other lanes are for nothing.
        lanes = network.lanes if network.takes_any_pairs else 64 // self.dtype.itemsize
        side = self.side(network, programs, x, rows=not network.takes_any_pairs, lanes=lanes)
        found: Average = self._variances(runtime.instruction_set(), runtime.threads(), network, side)
        return found

    def _to(self, s: int, programs: list[Program]) -> Any:
        """The network up to average number s - 1; or all of it."""
        while len(self.networks) < s:
            count = len(self.networks) + 1
            pools = [stage.pool for stage in self.stages[:count] if stage.pool]
            positions = list(self.stages[0].positions)
            self.networks.append(self._network(programs[0], programs[1:count], pools, positions, self.channels))
        return self.networks[s - 1]

    def finish(self) -> None:
        """Have the whole network, once there is a model."""
        if self.model is not None:
            self._to(len(self.stages), self.model.programs)

    def side(self, network: Any, programs: list[Program], x: NDArray[Any], *, rows: bool, lanes: int) -> Any:
        """Samples as the engine reads them: as rows, and in lanes."""
        return self._side(network, programs[0], programs[1:], np.ascontiguousarray(x, self.dtype), rows, lanes)
