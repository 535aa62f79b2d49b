"""The C++ core. Arguments were checked by the caller; kernels of dtype T take and give arrays of T."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

version: str
compiler: str

P = TypeVar("P")

class _Program:
    """A network compiled for rows of given norms and features, or of given K(x, x); methods append a layer."""

    def __init__(
        self,
        isa: str,
        threads: int,
        norms: NDArray[np.float64],
        features: int = ...,
        directions: list[list[float]] = ...,
        excess: NDArray[np.float64] | None = ...,
        /,
    ) -> None: ...
    @property
    def with_gradient(self) -> bool: ...
    def follow_inputs(self, rows: int, second: bool) -> None: ...
    def dense(self, sigma_w: float, sigma_b: float, trainable: bool) -> None: ...
    def dense_standard(self, sigma_w: float, sigma_b: float, trainable: bool, bias: bool) -> None: ...
    def set_width(self, width: int) -> None: ...
    def follow_means(self) -> None: ...
    @property
    def with_means(self) -> bool: ...
    def set_mean(self, mean: NDArray[np.float64], slope: NDArray[np.float64], /) -> None: ...
    def limit_ntk(self, smallest: float, most: float, /) -> None: ...
    def first_lost(self, with_ntk: bool, /) -> int: ...
    def why_lost(self, sample: int, /) -> int: ...
    def layer_norm(self, eps: float, of_all: bool) -> None: ...
    def normalise_nodes(self, eps: float, starts: NDArray[np.intp], /) -> None: ...
    def conv(
        self,
        sources: list[NDArray[np.int64]],
        sigma_w: float,
        sigma_b: float,
        trainable: bool,
        standard: bool,
        bias: bool,
    ) -> None: ...
    def flatten(self) -> None: ...
    def place(self, positions: list[int]) -> None: ...
    def begin_with(self, ntk: NDArray[np.float64], units: float, nonnegative: bool) -> None: ...
    @property
    def nonnegative(self) -> bool: ...
    @property
    def positions(self) -> list[int]: ...
    def dropout(self, p: float) -> None: ...
    def mix_nodes(self, mix: Mix, variance: NDArray[np.float64], ntk: NDArray[np.float64], /) -> None: ...
    @property
    def multiplies_input(self) -> bool: ...
    def recur_nodes(
        self,
        activation: _Program,
        starts: NDArray[np.intp],
        sigma_w: float,
        sigma_u: float,
        sigma_b: float,
        /,
    ) -> None: ...
    def settle(self) -> None: ...
    def fork(self) -> None: ...
    def add(self, fraction: float) -> None: ...
    def multiply(self) -> None: ...
    def join(self) -> None: ...
    def piecewise_linear(self, a: float, b: float) -> None: ...
    def rectified_monomial(self, degree: int) -> None: ...
    def sign(self) -> None: ...
    def erf(self, a: float, b: float, c: float) -> None: ...
    def smooth(self, name: str, arguments: list[float]) -> None: ...
    def expansion(
        self,
        parameters: list[float],
        tables: NDArray[np.float64],
        variance: NDArray[np.float64],
        slope: NDArray[np.float64],
        powers: NDArray[np.float64] | None = ...,
        table_slopes: NDArray[np.float64] | None = ...,
        elasticity: NDArray[np.float64] | None = ...,
        /,
    ) -> None: ...
    def pieces(
        self,
        parameters: list[float],
        tables: NDArray[np.float64],
        variance: NDArray[np.float64],
        slope: NDArray[np.float64],
        powers: NDArray[np.float64] | None = ...,
        table_slopes: NDArray[np.float64] | None = ...,
        elasticity: NDArray[np.float64] | None = ...,
        /,
    ) -> None: ...
    def quadrature(self, function: str, parameters: list[float], nodes: list[float], weights: list[float]) -> None: ...
    def replace_ops(self, parameters: list[float]) -> None: ...
    def recipe(self) -> _Recipe[Self] | None: ...
    def again(
        self,
        threads: int,
        norms: NDArray[np.float64],
        features: int,
        ntk: NDArray[np.float64] | None = ...,
        excess: NDArray[np.float64] | None = ...,
        /,
    ) -> Self | None: ...
    def first_out_of_range(self, least: float, most: float, with_ntk: bool) -> int: ...
    @property
    def univariate(self) -> bool: ...
    @property
    def op_count(self) -> int: ...
    def scale_pairs(self, values: NDArray[np.float64], /) -> None: ...
    @property
    def variance(self) -> NDArray[np.float64]: ...
    @property
    def variance_slope(self) -> NDArray[np.float64]: ...
    @property
    def ntk(self) -> NDArray[np.float64]: ...

class ProgramFloat32(_Program): ...
class ProgramFloat64(_Program): ...

class _Recipe(Generic[P]):
    """Layers as a program was given them, for programs of other samples."""

    def program(
        self,
        isa: str,
        threads: int,
        norms: NDArray[np.float64],
        features: int,
        directions: list[list[float]],
        /,
    ) -> P: ...

class RecipeFloat32(_Recipe[ProgramFloat32]): ...
class RecipeFloat64(_Recipe[ProgramFloat64]): ...

class _Prepared:
    """All rows that a program was compiled for, ready to be the y of many calls."""

    def __init__(
        self,
        isa: str,
        threads: int,
        program: _Program,
        x: NDArray[Any],
        inverse_norm: NDArray[np.float64],
        centre: NDArray[np.float64],
        /,
    ) -> None: ...

class PreparedFloat32(_Prepared): ...
class PreparedFloat64(_Prepared): ...

class _PlaneNetwork:
    """A network of samples with positions: its stages, and the averages between them."""

    def __init__(
        self,
        first: _Program,
        later: list[_Program],
        pools: list[tuple[list[int], list[NDArray[np.int64]], list[list[float]]]],
        positions: list[int],
        channels: int,
    ) -> None: ...
    @property
    def lanes(self) -> int: ...
    @property
    def scratch(self) -> float: ...
    @property
    def numbers(self) -> int: ...
    @property
    def takes_any_pairs(self) -> bool: ...
    @property
    def work(self) -> float: ...

class PlaneNetworkFloat32(_PlaneNetwork): ...
class PlaneNetworkFloat64(_PlaneNetwork): ...

class _PlaneSide:
    """Samples as such a network reads them: as rows, and in lanes."""

    def __init__(
        self, network: _PlaneNetwork, first: _Program, later: list[_Program], x: NDArray[Any], rows: bool, lanes: int
    ) -> None: ...

class PlaneSideFloat32(_PlaneSide): ...
class PlaneSideFloat64(_PlaneSide): ...

def compute_float32(
    isa: str,
    threads: int,
    program: ProgramFloat32,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    first: tuple[int, int],
    centre: NDArray[np.float64],
    prepared: PreparedFloat32 | None,
    nngp: NDArray[Any] | None,
    ntk: NDArray[Any] | None,
    progress: Callable[[float], object] | None,
    /,
) -> None: ...
def compute_float64(
    isa: str,
    threads: int,
    program: ProgramFloat64,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    first: tuple[int, int],
    centre: NDArray[np.float64],
    prepared: PreparedFloat64 | None,
    nngp: NDArray[Any] | None,
    ntk: NDArray[Any] | None,
    progress: Callable[[float], object] | None,
    /,
) -> None: ...
def kernel_times_float32(
    isa: str,
    threads: int,
    program: ProgramFloat32,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    first: tuple[int, int],
    centre: NDArray[np.float64],
    prepared: PreparedFloat32 | None,
    is_ntk: bool,
    right: NDArray[np.float64] | None,
    forward: NDArray[np.float64] | None,
    left: NDArray[np.float64] | None,
    backward: NDArray[np.float64] | None,
    progress: Callable[[float], object] | None,
    /,
) -> None: ...
def kernel_times_float64(
    isa: str,
    threads: int,
    program: ProgramFloat64,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    first: tuple[int, int],
    centre: NDArray[np.float64],
    prepared: PreparedFloat64 | None,
    is_ntk: bool,
    right: NDArray[np.float64] | None,
    forward: NDArray[np.float64] | None,
    left: NDArray[np.float64] | None,
    backward: NDArray[np.float64] | None,
    progress: Callable[[float], object] | None,
    /,
) -> None: ...
def compute_planes_float32(
    isa: str,
    threads: int,
    network: _PlaneNetwork,
    x: _PlaneSide,
    y: _PlaneSide,
    first: tuple[int, int],
    symmetric: bool,
    nngp: NDArray[Any] | None,
    ntk: NDArray[Any] | None,
    progress: Callable[[float], object] | None,
) -> None: ...
def plane_variances_float32(
    isa: str, threads: int, network: _PlaneNetwork, side: _PlaneSide
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def compute_planes_float64(
    isa: str,
    threads: int,
    network: _PlaneNetwork,
    x: _PlaneSide,
    y: _PlaneSide,
    first: tuple[int, int],
    symmetric: bool,
    nngp: NDArray[Any] | None,
    ntk: NDArray[Any] | None,
    progress: Callable[[float], object] | None,
) -> None: ...
def plane_variances_float64(
    isa: str, threads: int, network: _PlaneNetwork, side: _PlaneSide
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def compute_gradient(
    isa: str,
    threads: int,
    program: ProgramFloat64,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    first: tuple[int, int],
    centre: NDArray[np.float64],
    nngp: NDArray[np.float64] | None,
    ntk: NDArray[np.float64] | None,
    nngp_slopes: NDArray[np.float64] | None,
    ntk_slopes: NDArray[np.float64] | None,
    weights: NDArray[np.float64] | None,
    nngp_sums: NDArray[np.float64] | None,
    ntk_sums: NDArray[np.float64] | None,
    progress: Callable[[float], object] | None,
    /,
) -> None: ...
def compute_input_gradient(
    isa: str,
    threads: int,
    program: ProgramFloat64,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    first: tuple[int, int],
    centre: NDArray[np.float64],
    prepared: PreparedFloat64 | None,
    is_ntk: bool,
    weights: NDArray[np.float64],
    further_weights: NDArray[np.float64] | None,
    along: NDArray[np.float64],
    unit: NDArray[np.float64],
    own: NDArray[np.float64],
    pull: NDArray[np.float64],
    unit_columns: NDArray[np.float64],
    own_columns: NDArray[np.float64] | None,
    pull_columns: NDArray[np.float64] | None,
    progress: Callable[[float], object] | None,
    /,
) -> None: ...
def compute_input_slopes(
    isa: str,
    threads: int,
    program: ProgramFloat64,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    first: tuple[int, int],
    centre: NDArray[np.float64],
    prepared: PreparedFloat64 | None,
    is_ntk: bool,
    norms: NDArray[np.float64],
    kernel: NDArray[np.float64] | None,
    out: NDArray[np.float64],
    progress: Callable[[float], object] | None,
    /,
) -> None: ...
def matrix_times(
    isa: str,
    threads: int,
    matrix: NDArray[Any],
    transposed: bool,
    v: NDArray[np.float64],
    out: NDArray[np.float64],
    /,
) -> None: ...
def product(
    isa: str,
    threads: int,
    x: NDArray[Any],
    inverse_norm_x: NDArray[np.float64],
    y: NDArray[Any] | None,
    inverse_norm_y: NDArray[np.float64],
    centre: NDArray[np.float64],
    out: NDArray[Any],
    /,
) -> None: ...
def multiply_adds(isa: str, threads: int, is_float: bool, steps: int, /) -> float: ...
def fill(isa: str, threads: int, out: NDArray[np.float32], value: float, streaming: bool, /) -> None: ...
def total(isa: str, threads: int, x: NDArray[np.float32], /) -> float: ...
def repeat_last_op(isa: str, program: _Program, apply: bool, repetitions: int, gap: NDArray[Any], /) -> None: ...
def run_elementwise(
    isa: str,
    program: _Program,
    gap: NDArray[Any],
    ntk: NDArray[Any],
    /,
) -> None: ...
def row_norms(x: NDArray[Any], threads: int, /) -> tuple[NDArray[np.float64], NDArray[np.float64], bool, bool]: ...
def square_excess(
    x: NDArray[Any], norms: NDArray[np.float64], inverse_norm: NDArray[np.float64], threads: int, /
) -> NDArray[np.float64]: ...
def centre(
    samples: list[tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64], int]], zero_rows: bool, /
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def hermite_functions(
    isa: str, threads: int, z: NDArray[np.float64], orders: NDArray[np.int64], /
) -> NDArray[np.float64]: ...
def pair_gaps(
    isa: str, c: NDArray[np.float64], q1: NDArray[np.float64], q2: NDArray[np.float64], /
) -> NDArray[np.float64]: ...
def inverse_lengths(isa: str, q1: NDArray[np.float64], q2: NDArray[np.float64], /) -> NDArray[np.float64]: ...
def double_double(isa: str, which: int, x: NDArray[np.float64], y: NDArray[np.float64], /) -> None: ...
def has_scalar_function(function: str, /) -> bool: ...
def supported_instruction_sets() -> list[str]: ...
def max_threads() -> int: ...

class Mix:
    """What mixes the nodes of samples: a matrix, a window, or features of their positions."""

def mix_matrix(
    before: NDArray[np.intp],
    starts: NDArray[np.intp],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    weights: NDArray[np.float64],
    nonnegative: bool,
    /,
) -> Mix: ...
def mix_shift(
    starts: NDArray[np.intp], factor: float, codes: NDArray[np.intp], table: NDArray[np.float64], /
) -> Mix: ...
def mix_pairs(
    starts: NDArray[np.intp],
    factor: float,
    codes: NDArray[np.intp],
    table: NDArray[np.float64],
    shifts_values: bool,
    scale: float,
    bias: float,
    /,
) -> Mix: ...
def mix_window(starts: NDArray[np.intp], sources: NDArray[np.intp], /) -> Mix: ...

#: Rows of nodes, the inverse norms, and where the nodes of each sample begin.
_Nodes = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.intp]]

class OwnTiles:
    """Samples with themselves, at all pairs of their nodes, as far as their program is known."""

    def __init__(
        self, isa: str, threads: int, program: ProgramFloat64, nodes: _Nodes, centre: NDArray[np.float64], /
    ) -> None: ...
    def advance(self) -> None: ...
    def covariances(self) -> NDArray[np.float64]: ...
    def mixed(self, mix: Mix, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

def compute_mixed(
    isa: str,
    threads: int,
    x: ProgramFloat64,
    nodes_of_x: _Nodes,
    y: ProgramFloat64,
    nodes_of_y: _Nodes,
    symmetric: bool,
    centre: NDArray[np.float64],
    nngp: NDArray[np.float64] | None,
    ntk: NDArray[np.float64] | None,
    progress: object,
    /,
) -> None: ...
