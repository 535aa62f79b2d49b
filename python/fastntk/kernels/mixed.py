"""Samples of several nodes each, which layers mix: their programs, and all pairs of samples, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._checks.progress import Progress
from .._machine import runtime
from .._machine.limits import available_memory
from ..layers.base import emit_network
from .block_pairs import Block, BlockPairs, Portion
from .compilation import Kind, refuse_loss, refuse_range
from .inputs import Centre, Input, centre_step
from .positions import PositionPairs

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ..layers.activation import Activation
    from ..layers.attention import Similarity
    from ..layers.base import Layers

Float = NDArray[np.float64]
Starts = NDArray[np.intp]

#: Nodes of a block: its tables take some megabytes, and are used for as many tiles as there are blocks.
_NODES = 2048

#: Numbers that the programs of blocks take together which are kept, about.
_KEPT = 2**22

#: Sums of nodes are rounded to this part of what they would be without cancellation (core/mixing.hpp).
_ROUNDING = 8 * float(np.finfo(np.float64).eps)

#: Numbers of a pair of nodes, about: K and Theta, as they come and as they go.
_NUMBERS = 7

#: Bytes that are there.
_LITTLE = 64 * 2**20

#: Of an op at a pair of nodes, about, on a core.
_SECONDS = 4e-9


class Whole(NamedTuple):
    """What programs of all blocks of samples share."""

    centre: Float
    dtype: np.dtype[Any]
    nonnegative: bool  # no edge of any graph has a weight below 0

    @classmethod
    def of(cls, inputs: list[Input]) -> Whole:
        """What these samples have in common."""
        edges = [data.adjacency.data for data in inputs if data.adjacency is not None]
        dtype = np.result_type(*(data.x.dtype for data in inputs))
        return cls(Centre.of(inputs).unit, dtype, all(weights.min(initial=0) >= 0 for weights in edges))


class MixingProgram(_core.ProgramFloat64):
    """A program for the nodes of some samples; layers that mix these find here what they need to know."""

    def __init__(
        self,
        rows: tuple[NDArray[Any], Float, Starts],
        norms: Float,
        grids: list[tuple[int, ...]],
        adjacency: csr_array | None,
        whole: Whole,
        like: MixingProgram | None,
    ) -> None:
        super().__init__(runtime.instruction_set(), runtime.threads(), norms, rows[0].shape[1])
        self.rows, self._whole, self._like = rows, whole, like
        self._own: _core.OwnTiles | None = None
        self._entries = 0  # of matrices

        #: What arithmetic at the input is relative to: of the rows given, and wherever they were mixed.
        self._centres = [whole.centre]

        #: Where the nodes of each sample begin, and the last ones end, here.
        self.starts = rows[2]

        #: Positions of each sample, along its axes.
        self.grids = grids

        #: Of samples that are graphs, block by block, the weights of their edges.
        self.adjacency = adjacency
        self._forks: list[list[tuple[Starts, list[tuple[int, ...]]]]] = []

        #: The first sample that a layer cannot act on, and why, as nodes were mixed: for K alone, and with Theta.
        self._lost: dict[bool, tuple[int, int]] = {}

    @property
    def size(self) -> int:
        """Numbers of its tables and matrices, about."""
        return self.rows[0].size + 4 * self.op_count * len(self.rows[0]) + 2 * self._entries

    @property
    def centre(self) -> Float:
        """What arithmetic at the input is relative to."""
        return self._centres[-1]

    @property
    def _ntk_of_variance(self) -> float:
        """Theta / K, of all nodes while there are Dense layers without bias alone."""
        known = np.where(np.isfinite(self.variance), self.variance, 0.0)
        return float(self.ntk[known.argmax()] / known.max()) if known.any() else 0.0

    def _own_tiles(self) -> _core.OwnTiles:
        if self._own is None:
            self._own = _core.OwnTiles(runtime.instruction_set(), runtime.threads(), self, self.rows, self.centre)
        self.settle()
        self._own.advance()
        return self._own

    def follow(self, layers: Layers, choices: Any = None) -> Any:
        """Append layers, of a whole network; give what they chose."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # it is refused afterwards, with its place
                return emit_network(layers, self, choices)
        finally:
            self._own = None  # it holds the program, as the program holds it

    def own_kernels(self) -> Float:
        """K of each sample with itself, here, at all P² pairs of its nodes: one after the other, one sample's too."""
        return self._own_tiles().covariances()

    def mix(self, matrix: csr_array, starts: Starts, grids: list[tuple[int, ...]] | None = None) -> None:
        """K <- A K A'^T, Theta likewise, A a matrix of blocks, one a sample, from nodes here to others.

        Their positions are `grids`; by default those here, or none if there is one node behind of each sample.
        """
        if grids is None:
            grids = (
                self.grids
                if len(self.starts) == len(starts) and (self.starts == starts).all()
                else [()] * len(self.grids)
            )
        rows, columns = (np.ascontiguousarray(index, np.intp) for index in (matrix.indptr, matrix.indices))
        mix = _core.mix_matrix(self.starts, starts, rows, columns, matrix.data, self._whole.nonnegative)
        if self.multiplies_input:
            self._mix_input(mix, matrix, starts, grids)
        else:
            self._mix(mix, starts, grids)
            self._entries += matrix.nnz

    def _mix_input(self, mix: Any, matrix: csr_array, starts: Starts, grids: list[tuple[int, ...]]) -> None:
        """Mix the rows of the input: each once, not at all pairs."""
        self._see_lost()
        x, inverse_norms, _ = self.rows
        deviations = np.sqrt(self.variance)
        rows = matrix @ (x * (deviations * inverse_norms)[:, None])  # inner products of rows are K
        norms, inverse_norms, *_ = _core.row_norms(rows, runtime.threads())
        sizes = type(matrix)((np.abs(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)  # shares indices
        gone = norms < _ROUNDING * (sizes @ deviations)  # nodes that cancel
        rows[gone] = norms[gone] = inverse_norms[gone] = 0
        k = np.where(np.isnan(norms), np.inf, norms**2)  # of what was infinite
        self.mix_nodes(mix, k, k * self._ntk_of_variance)
        self.rows, self.starts, self.grids, self._own = (rows, inverse_norms, starts), starts, grids, None
        if self._like is None:
            centre = _core.centre([(rows, norms, inverse_norms, centre_step(*rows.shape))], True)[0]
        else:
            centre = self._like._centres[len(self._centres)]
        self._centres.append(centre)

    def shift(self, factor: float, similarity: Similarity) -> None:
        """K <- factor K + R, Theta <- factor Theta + R."""
        self._mix(_core.mix_shift(self.starts, factor, *similarity), self.starts, self.grids)

    def attend(self, factor: float, similarity: Similarity, values: bool, scale: float, bias: float) -> None:
        """K <- scale <K^, V> K^ + bias, with K^ = factor K + R as of `shift`, and V = K^ if `values`, or K.

        <., .> is the sum over all pairs of nodes of two samples; Theta as for layers with weights of their own.
        """
        self._mix(_core.mix_pairs(self.starts, factor, *similarity, values, scale, bias), self.starts, self.grids)

    def window(self, sources: Starts, starts: Starts, grids: list[tuple[int, ...]]) -> None:
        """K(P, P') <- mean over taps of K at their sources, [tap][node behind], -1 outside; Theta likewise."""
        self._mix(_core.mix_window(starts, sources), starts, grids)

    def layer_norm(self, eps: float, of_all: bool) -> None:
        """Of each node, or of all those of a sample together."""
        if of_all and any(self.grids):
            self.normalise_nodes(eps, self.starts)
        else:
            super().layer_norm(eps, False)

    def sample_of(self, node: int) -> int:
        """The sample that a node is of, here."""
        return int(np.searchsorted(self.starts, node, side="right")) - 1

    def _see_lost(self) -> None:
        """Keep which sample is lost: behind what mixes nodes all are."""
        for with_ntk in {False, True} - self._lost.keys():
            node = self.first_lost(with_ntk)
            if node >= 0:
                self._lost[with_ntk] = self.sample_of(node), self.why_lost(node)

    def lost(self, *, with_ntk: bool) -> tuple[int, int] | None:
        """The first sample that a layer cannot act on, and why, if there is one."""
        self._see_lost()
        return self._lost.get(with_ntk)

    def _mix(self, mix: Any, starts: Starts, grids: list[tuple[int, ...]]) -> None:
        self._see_lost()
        self.mix_nodes(mix, *self._own_tiles().mixed(mix))
        self.starts, self.grids = starts, grids

    def recur(self, activation: Activation, sigma_w: float, sigma_u: float, sigma_b: float, like: Any = None) -> Any:
        """h_t = phi(sigma_w h_(t-1) + sigma_u x_t + sigma_b), in place of x_t; give what the activation chose."""
        begins, counts = self.starts[:-1], np.diff(self.starts)
        own_k, own_theta = sigma_u**2 * self.variance + sigma_b**2, sigma_u**2 * self.ntk
        z, theta = own_k.copy(), own_theta + own_k
        for t in range(1, int(counts.max(initial=0))):
            now = begins[counts > t] + t
            step = self._behind(activation, z[now - 1], theta[now - 1])[0]
            z[now] += sigma_w**2 * step.variance
            theta[now] = own_theta[now] + z[now] + sigma_w**2 * step.ntk
        self._see_lost()
        program, choice = self._behind(activation, z, theta, like)
        self.recur_nodes(program, self.starts, sigma_w, sigma_u, sigma_b)
        return choice

    def _behind(self, activation: Activation, z: Float, theta: Float, like: Any = None) -> tuple[Any, Any]:
        """An activation of nodes with these K(x, x) and Theta(x, x)."""
        program = _core.ProgramFloat64(runtime.instruction_set(), runtime.threads(), z, 0)
        if self.with_means:
            program.follow_means()
        program.begin_with(theta, 0.0, False)
        return program, activation.emit(program, like)

    def fork(self) -> None:
        """Begin branches."""
        super().fork()
        self._forks.append([(self.starts, self.grids)])

    def add(self, fraction: float) -> None:
        """End a branch that is added to those before."""
        super().add(fraction)
        self._end_branch()

    def multiply(self) -> None:
        """End a branch that those before are multiplied with."""
        super().multiply()
        self._end_branch()

    def _end_branch(self) -> None:
        if len(self._forks[-1]) == 1:
            self._forks[-1].append((self.starts, self.grids))
        self.starts, self.grids = self._forks[-1][0]

    def join(self) -> None:
        """End branches."""
        super().join()
        self.starts, self.grids = self._forks.pop()[1]


def mixing_program(data: Input, part: slice, whole: Whole, like: MixingProgram | None = None) -> MixingProgram:
    """A program without layers, for some samples."""
    nodes = slice(int(data.starts[part.start]), int(data.starts[part.stop]))
    starts = np.ascontiguousarray(data.starts[part.start : part.stop + 1] - nodes.start)
    adjacency = None if data.adjacency is None else data.adjacency[nodes, nodes]
    rows = data.x[nodes].astype(whole.dtype, copy=False), data.inverse_norms[nodes], starts
    return MixingProgram(rows, data.norms[nodes], data.grids[part], adjacency, whole, like)


class _Cut(NamedTuple):
    """Rows of a block that are wanted, in it and in the whole."""

    length: int
    inside: slice
    to: slice

    @classmethod
    def of(cls, rows: slice, wanted: slice) -> _Cut:
        """Of those rows of a kernel the wanted ones."""
        first, last = max(rows.start, wanted.start), min(rows.stop, wanted.stop)
        return cls(rows.stop - rows.start, slice(first - rows.start, last - rows.start), slice(first, last))

    @property
    def wanted(self) -> int:
        """How many."""
        return int(self.to.stop - self.to.start)


class _Compiled(NamedTuple):
    program: MixingProgram
    choices: Any


class MixedPairs(BlockPairs):
    """All pairs of samples of several nodes. A block of them is computed as it is in the whole.

    Computed in float64: near duplicates lose half their digits where nodes are mixed.
    """

    def __init__(self, layers: Layers, left: Input, right: Input | None, kind: Kind, dtype: np.dtype[Any]) -> None:
        super().__init__(left, right, kind, dtype)
        self._layers, self._whole = layers, Whole.of(self._inputs)
        #: The program that others are like, and those of blocks that are kept: replaced together.
        self._made: tuple[_Compiled | None, dict[tuple[int, int, int], MixingProgram]] = (None, {})
        self._ops = 1
        self._check_memory()
        self._look()

    @property
    def pair_seconds(self) -> float:
        """About how long a pair takes on a core."""
        nodes = [len(data.x) / max(1, len(data)) for data in self._inputs]
        return _SECONDS * nodes[0] * nodes[-1] * self._ops

    def _check_memory(self) -> None:
        nodes = [int(np.diff(data.starts).max(initial=0)) for data in self._inputs]
        tiles = min(runtime.threads(), self._inputs[0].samples * self._inputs[-1].samples)
        needed = 8 * _NUMBERS * max(max(nodes) ** 2, tiles * nodes[0] * nodes[-1])
        free = available_memory() if needed > _LITTLE else None  # it takes a moment to find out
        if free is not None and needed > free:
            raise MemoryError(
                f"all pairs of nodes of samples of {max(nodes)} nodes take {needed / 2**30:.1f} GiB at once, and "
                f"{free / 2**30:.1f} GiB are free: use smaller samples, or fewer threads."
            )

    def _look(self) -> None:
        """Compile it for all samples: what its layers choose for them, the diagonals; refuse what is lost."""
        seen: object = None
        while self._made[0] is None or self._made[0] is not seen:
            seen = self._made[0]
            for data, diagonals in zip(self._inputs, self._diagonals, strict=False):
                for part in _parts(data, 0, data.samples):
                    program = self._compile(data, part)
                    seen = seen or self._made[0]
                    self._ops = program.op_count
                    rows = data.rows_of(part)
                    diagonals[0, rows], diagonals[1, rows] = program.variance, program.ntk
                    self._refuse(program, data, part)
            if not any(data.samples for data in self._inputs):
                return

    def _refuse(self, program: MixingProgram, data: Input, part: slice) -> None:
        def place(node: int) -> str:
            return f"sample {data.first + part.start + program.sample_of(node)} of {data.name}"

        if lost := program.lost(with_ntk=self._kind != "nngp"):
            refuse_loss(f"sample {data.first + part.start + lost[0]} of {data.name}", lost[1], single=False)
        refuse_range(program, place, self._kind, self._dtype)

    def _compile(self, data: Input, part: slice) -> MixingProgram:
        key, (model, kept) = (id(data), part.start, part.stop), self._made  # which another thread may replace
        if key in kept:
            return kept[key]
        compiled = self._compiled(data, part, model and model.program, model and model.choices)
        if model is None or compiled.choices != model.choices:
            if compiled.choices is not None:
                compiled = self._compiled(data, part, None, compiled.choices)
            model, kept = compiled, {}
        if sum(program.size for program in kept.values()) > _KEPT:
            kept = dict(list(kept.items())[:-1])  # blocks come in turn: the first are the next ones
        self._made = model, {**kept, key: compiled.program}
        return compiled.program

    def _compiled(self, data: Input, part: slice, like: MixingProgram | None, choices: Any) -> _Compiled:
        program = mixing_program(data, part, self._whole, like)
        return _Compiled(program, program.follow(self._layers, choices))

    def _blocks(self, kind: Kind, rows: slice, columns: slice, symmetric: bool, portion: Portion) -> Iterator[Block]:
        left, right = self._inputs[0], self._inputs[-1]
        for own in _parts(left, *left.samples_of(rows.start, rows.stop)):
            x, down = self._compile(left, own), _Cut.of(left.rows_of(own), rows)
            begin, end = right.samples_of(columns.start, columns.stop)
            for part in _parts(right, own.start if symmetric else begin, end):
                same = self.symmetric and own == part
                y, across = x if same else self._compile(right, part), _Cut.of(right.rows_of(part), columns)
                mirrored = symmetric and not same
                share = portion((1 + mirrored) * down.wanted * across.wanted)
                found = self._block(kind, x, y, (down.length, across.length), same, share)
                yield Block(down.to, across.to, mirrored, [values[down.inside, across.inside] for values in found])

    def _block(
        self, kind: Kind, x: MixingProgram, y: MixingProgram, shape: tuple[int, int], same: bool, progress: Progress
    ) -> list[Float]:
        nngp, ntk = (None if kind == other else np.empty(shape) for other in ("ntk", "nngp"))
        _core.compute_mixed(
            runtime.instruction_set(),
            runtime.threads(),
            x,
            x.rows,
            y,
            y.rows,
            same,
            x.centre,
            nngp,
            ntk,
            progress or None,
        )
        return [values for values in (nngp, ntk) if values is not None]

    @property
    def _rows_at_once(self) -> int:
        # What a node has depends on all others of its sample.
        return self.shape[0] if self._inputs[0].by_nodes else super()._rows_at_once


def _parts(data: Input, begin: int, end: int) -> Iterator[slice]:
    """Samples from `begin` to `end`, in parts of about as many nodes."""
    while begin < end:
        most = int(np.searchsorted(data.starts, data.starts[begin] + _NODES, side="right")) - 1
        stop = min(end, max(begin + 1, most))
        yield slice(begin, stop)
        begin = stop


def position_pairs(layers: Layers, left: Input, right: Input | None, kind: Kind, dtype: np.dtype[Any]) -> BlockPairs:
    """All pairs of samples with positions, for the engine of planes, or for that of nodes where layers mix these."""
    return (MixedPairs if left.mixed else PositionPairs)(layers, left, right, kind, dtype)
