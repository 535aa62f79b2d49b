"""Every wrong input gets its documented exception and sentence."""

from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Sequential, mlp

NAN, INF = math.nan, math.inf
NET = mlp(depth=2, activation="relu", sigma_w=1.4, sigma_b=0.1)
RELU = Activation("relu")
X = np.random.default_rng(0).normal(size=(5, 4))


class Case(NamedTuple):
    """A call, and what it must raise."""

    name: str
    call: Callable[[], object]
    error: type[Exception]
    sentence: str


def case(name: str, error: type[Exception], sentence: str, function: Any, *arguments: Any, **options: Any) -> Case:
    """``function(*arguments, **options)``, whatever the signature allows, must raise this."""
    return Case(name, lambda: function(*arguments, **options), error, sentence)


ntk: Any = NET.ntk
KIND = r"^X must hold real numbers \(float32, float64, integers or bool\), got dtype "
#: The type of numbers that is wider than float64, where there is one: macOS on ARM and Windows have none.
WIDER = ["longdouble"] if np.dtype("longdouble") != np.float64 else []
SHAPE = r"^X must be a matrix of shape \(n, d\)"
WITH_NAN = [[1.0, 2.0], [1.0, NAN], [INF, 1.0]]
AFTER_HUGE = [[1e153]] * 200 + [[NAN]]
SPARSE = importlib.import_module("scipy.sparse").csr_array(np.eye(3))
DATES = np.array([["2020-01-01"]], "M8[D]")

INPUTS = [
    case("nan", ValueError, r"^X contains nan \(first in row 1, column 1\); .*finite", ntk, WITH_NAN),
    case("inf", ValueError, r"^X contains -inf \(first in row 1, column 0\)", ntk, [[1.0, 2.0], [-INF, 1.0]]),
    case("nan of float32", ValueError, "^X contains nan .*row 1", ntk, np.array(WITH_NAN, "f4")),
    case("nan of float16", ValueError, "^X contains nan .*row 1", ntk, np.array(WITH_NAN, "f2")),
    case("nan of Y", ValueError, "^Y contains nan .*row 1", ntk, np.ones((1, 2)), WITH_NAN),
    case("nan, diagonal", ValueError, "^X contains nan .*row 1", NET.nngp.diag, WITH_NAN),
    case("nan after huge rows", ValueError, "^X contains nan .*row 200", ntk, AFTER_HUGE),
    case("0-D", ValueError, SHAPE + r", got shape \(\)", ntk, 1.0),
    case("1-D", ValueError, SHAPE + r", got shape \(2,\)\. .*X\[None, :\]", ntk, [1.0, 2.0]),
    case("1-D Y", ValueError, r"^Y must be a matrix .*got shape \(4,\)", ntk, X, [1.0] * 4),
    case("3-D", ValueError, r"^the network ends with 3 positions, .*reshape", ntk, np.ones((2, 3, 4))),
    case("empty list", ValueError, SHAPE + r", got shape \(0,\)", ntk, []),
    case("no columns", ValueError, r"^X has shape \(3, 0\): .*at least one feature", ntk, np.ones((3, 0))),
    case("nothing at all", ValueError, r"^X has shape \(0, 0\)", ntk, np.ones((0, 0))),
    case("features", ValueError, "^X has 4 features but Y has 3", ntk, X, X[:, :3]),
    case("features, no rows", ValueError, "^X has 4 features but Y has 3", ntk, X[:0], X[:, :3]),
    case("ragged", ValueError, SHAPE + ".*inhomogeneous[^S]*$", ntk, [[1.0], [1.0, 2.0]]),
    case("sizes", ValueError, r"sizes are fastntk\.Sequences\(X\), or fast", ntk, [np.ones((2, 3)), np.ones((1, 3))]),
    case("string", TypeError, KIND + "<U3", ntk, "abc"),
    case("numbers as strings", TypeError, KIND + "<U1", ntk, [["1", "2"]]),
    case("bytes", TypeError, KIND, ntk, b"abc"),
    case("object", TypeError, KIND + "object", ntk, X.astype(object)),
    case("None", TypeError, KIND + "object", ntk, None),
    case("dict", TypeError, KIND + "object", ntk, {0: X}),
    case("too large an int", TypeError, KIND + "object", ntk, [[10**400]]),
    case("complex", TypeError, KIND + "complex128", ntk, X + 0j),
    case("complex Y", TypeError, "^Y must hold real numbers", ntk, X, X + 0j),
    *(case(name, TypeError, KIND + "float128", ntk, X.astype(name)) for name in WIDER),
    case("datetime", TypeError, KIND + "datetime64", ntk, DATES),
    case("timedelta", TypeError, KIND + "timedelta64", ntk, DATES - DATES),
    case("records", TypeError, KIND, ntk, np.zeros(3, "f4,f4")),
    case("masked", TypeError, "^X is a masked array; fill", ntk, np.ma.masked_less(X, 0)),
    case("sparse", TypeError, r"^X is a sparse matrix; pass X\.toarray\(\)", ntk, SPARSE),
    case("sparse Y", TypeError, "^Y is a sparse matrix", ntk, np.eye(3), SPARSE.tocoo()),
    case("norm", ValueError, r"^X: row 1 has norm 2e\+154, .*overflows float64", ntk, [[1.0], [2e154]]),
    case("norm, of all", ValueError, r"^X: row 0 has norm 2e\+154", ntk, np.full((1, 4), 1e154)),
    case("norm, of Y", ValueError, "^Y: row 0 has norm", ntk, [[1.0]], [[1e200]]),
    case("range", ValueError, "row 0 of X .*beyond the range of float64", mlp(1, sigma_w=1e3).ntk, [[1e153]]),
    case("range, float32", ValueError, "row 0 of X .*float32.*dtype='float64'", ntk, [[1e20]], dtype="float32"),
    case(
        "range, NTK",
        ValueError,
        "row 0 of X .*range of float32.* NTK",
        Sequential(*[Dense()] * 3).ntk,
        np.array([[1.5e19]], "f4"),
    ),
    case("range, diagonal", ValueError, "range of float32", NET.ntk.diag, [[1e20]], dtype="float32"),
    case("range, deep", ValueError, "overflows|beyond the range", mlp(5000, sigma_w=1e3).ntk, [[1.0]]),
]


def empty(*shape: int, dtype: str = "float64") -> NDArray[Any]:
    """Memory to serve as ``out``."""
    return np.zeros(shape, dtype)


def onto_itself(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    """Write the kernel of a square X, in the layout or dtype that `change` gives it, to the memory of X."""
    x = change(np.random.default_rng(1).normal(size=(6, 6)))
    return NET.ntk(x, out=x.view(np.float64))


READ_ONLY = empty(5, 5)
READ_ONLY.flags.writeable = False
MISALIGNED = np.zeros(5 * 5 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(5, 5)
BUFFER = np.ones((6, 8))
TWICE = (BUFFER[:5, :5], BUFFER[1:, 1:6])
SCARCE = r"of shape \(400000, 400000\) needs [0-9.]+ GiB and [0-9.]+ GiB are available.*memmap"
DTYPE = "^dtype must be float32 or float64, got "
REPEATS = "^out .*its own memory|^out overlaps itself"
FLOAT32 = "^out has dtype float32, .*dtype float64; pass dtype='float32'"
NO_ADVICE = "^out has dtype {0}, .*dtype float64(?!.*dtype='{1}')"
NOT_DTYPES: tuple[Any, ...] = ("int32", "float16", *WIDER, "complex", "garbage", 3, (1, 2), {"a": 1}, [], int)

OPTIONS = [
    *(case(f"dtype {value!r}", TypeError, DTYPE, ntk, X, dtype=value) for value in NOT_DTYPES),
    case("diagonal dtype", TypeError, DTYPE + "'garbage'", NET.ntk.diag, X, dtype="garbage"),
    *(case(f"progress {value!r}", TypeError, "^progress must be", ntk, X, progress=value) for value in (3, None, "x")),
    case("out list", TypeError, "^out must be a NumPy array, got list", ntk, X, out=[[0.0] * 5] * 5),
    case("out masked", TypeError, "^out must be .*got MaskedArray", ntk, X, out=np.ma.zeros((5, 5))),
    case("out shape", ValueError, r"^out has shape \(5, 4\), .*shape \(5, 5\)", ntk, X, out=empty(5, 4)),
    case("out transposed", ValueError, r"^out has shape \(3, 5\), .*\(5, 3\)", ntk, X, X[:3], out=empty(3, 5)),
    case("out 1-D", ValueError, r"^out has shape \(25,\)", ntk, X, out=empty(25)),
    case("out float32", ValueError, FLOAT32, ntk, X, out=empty(5, 5, dtype="f4")),
    case("out int", ValueError, NO_ADVICE.format("int64", "int64"), ntk, X, out=empty(5, 5, dtype="i8")),
    case("out swapped", ValueError, NO_ADVICE.format(">f8", "float64"), ntk, X, out=empty(5, 5, dtype=">f8")),
    case("out read-only", ValueError, "^out is read-only", ntk, X, out=READ_ONLY),
    case("out misaligned", ValueError, "^out is not aligned", ntk, X, out=MISALIGNED),
    case("out one column", ValueError, REPEATS, ntk, X, out=as_strided(empty(5), (5, 5), (8, 0))),
    case("out one row", ValueError, REPEATS, ntk, X, out=as_strided(empty(5), (5, 5), (0, 8))),
    case("out windows", ValueError, REPEATS, ntk, X, out=as_strided(empty(9), (5, 5), (8, 8))),
    case("out is X", ValueError, "^out overlaps X", onto_itself, np.ascontiguousarray),
    case("out is X in Fortran order", ValueError, "^out overlaps X", onto_itself, np.asfortranarray),
    case("out is X reversed", ValueError, "^out overlaps X", onto_itself, np.fliplr),
    case("out is X of int", ValueError, "^out overlaps X", onto_itself, lambda x: x.astype(np.int64)),
    case("out is X swapped", ValueError, "^out overlaps X", onto_itself, lambda x: x.astype(">f8")),
    case("out is Y", ValueError, "^out overlaps Y", ntk, X[:, :3], BUFFER[:3, :3], out=BUFFER[1:, :3]),
    case("pair of one", TypeError, "^out must be a pair of arrays", NET.kernels, X, out=empty(5, 5)),
    case("pair of three", TypeError, "^out must be a pair", NET.kernels, X, out=(empty(5, 5),) * 3),
    case("pair of the same", ValueError, "two arrays of out overlap", NET.kernels, X, out=(empty(5, 5),) * 2),
    case("pair overlapping", ValueError, "two arrays of out overlap", NET.kernels, X, out=TWICE),
    case("pair, one bad", ValueError, "^out has shape", NET.kernels, X, out=(empty(5, 5), empty(4, 4))),
    case("pair, one None", TypeError, "^out must be a NumPy array", NET.kernels, X, out=(empty(5, 5), None)),
    case("memory", MemoryError, SCARCE, ntk, np.ones((400_000, 1))),
    case("memory of two", MemoryError, SCARCE, NET.kernels, np.broadcast_to(1.0, (400_000, 1))),
    case("memory, float32", MemoryError, SCARCE + "(?!.*float32)", ntk, np.ones((400_000, 1), "f4")),
    case("memory, advice", MemoryError, "^(?!.*Use dtype='float32')", ntk, np.ones((400_000, 1), "f4")),
]


def dense(name: str, error: type[Exception], sentence: str, value: object) -> list[Case]:
    """The same wrong standard deviation in both places."""
    sigmas = ("sigma_w", "sigma_b")
    return [case(f"{sigma} {name}", error, f"^{sigma} {sentence}", Dense, **{sigma: value}) for sigma in sigmas]


NUMBER = "must be a real number"
DEPTH = "^depth must be an integer >= 0, got "
DEGREE = "^degree must be an integer from 0 to 3, got "
LAYER = r"^a layer is one of fastntk's, such as Dense\(\), the name of an activation .* or a Sequential, got "
NEAR = "^unknown activation '{}'. Did you mean '{}'.*Known are "
MONOMIAL = "rectified_monomial"


def HOLE(x: Any) -> Any:  # noqa: N802
    """A function that is NaN below 0."""
    return np.where(x > 0, x, NAN)


NETWORKS = [
    *dense("negative", ValueError, "is a standard deviation and must be >= 0, got -0.5", -0.5),
    *dense("nan", ValueError, "must be finite, got nan", NAN),
    *dense("inf", ValueError, "must be finite, got inf", INF),
    *dense("too large", ValueError, "must be finite|is too large", 10**400),
    *dense("string", TypeError, NUMBER + ", got '1'", "1"),
    *dense("bool", TypeError, NUMBER + ", got True", True),
    *dense("None", TypeError, NUMBER, None),
    *dense("array", TypeError, NUMBER, np.ones(2)),
    *dense("complex", TypeError, NUMBER, 1j),
    *dense("NumPy complex", TypeError, NUMBER, np.complex128(1)),
    *dense("timedelta", TypeError, NUMBER, np.timedelta64(1, "s")),
    *(case(f"depth {value}", ValueError, DEPTH, mlp, value) for value in (-1, 2.5, 2.0, NAN, np.float32(1))),
    *(case(f"depth {value!r}", TypeError, DEPTH, mlp, value) for value in ("3", True, None, 1j)),
    case("mlp sigma", ValueError, "^sigma_w is a standard deviation", mlp, 1, "relu", -1.0),
    case("mlp activation", TypeError, "^an activation .*got 3", mlp, 1, 3),
    case("mlp unknown", ValueError, "^unknown activation 'rleu'", mlp, 0, "rleu"),
    case("misspelt", ValueError, NEAR.format("rleu", "relu"), Activation, "rleu"),
    case("capital", ValueError, NEAR.format("Relu", "relu"), Activation, "Relu"),
    case("other spelling", ValueError, NEAR.format("leakyrelu", "leaky_relu"), Activation, "leakyrelu"),
    case("far off", ValueError, "^unknown activation 'qqqq'. Known are abrelu, abs, ", Activation, "qqqq"),
    case("tolerance 0", ValueError, "^tolerance must be from 1e-13 to 1, got 0", Activation, "tanh", tolerance=0.0),
    case("tolerance string", TypeError, "^tolerance must be a real number", Activation, "tanh", tolerance="tight"),
    case("method", ValueError, "^method must be None or 'quadrature'", Activation, "tanh", method="monte carlo"),
    case("nodes alone", ValueError, "^method must be .*nodes are for", Activation, "tanh", nodes=64),
    case(
        "nodes 0",
        ValueError,
        "^nodes must be an integer from 1 to 2000",
        Activation,
        "tanh",
        method="quadrature",
        nodes=0,
    ),
    case(
        "quadrature of a kernel",
        ValueError,
        "kernel without a known",
        Activation,
        "exp_normalized",
        method="quadrature",
    ),
    case(
        "quadrature of a callable",
        ValueError,
        "^method='quadrature' is for named",
        Activation,
        np.tanh,
        method="quadrature",
    ),
    case(
        "derivative of a name", TypeError, "^derivative, kinks and name are for a callable", Activation, "tanh", np.cos
    ),
    case("kinks of a name", TypeError, "^derivative, kinks and name are for a", Activation, "tanh", kinks=[1.0]),
    case("name of a name", TypeError, "^derivative, kinks and name are for a", Activation, "tanh", None, (), "mine"),
    case("kinks of a name, a number", TypeError, "^kinks must be a sequence", Activation, "tanh", kinks=1.0),
    case(
        "parameters of a callable",
        TypeError,
        "^a callable takes no parameters, got alpha",
        Activation,
        np.tanh,
        alpha=1.0,
    ),
    case("derivative 3", TypeError, "^derivative must be a callable", Activation, np.tanh, 3),
    case("kinks twice", ValueError, "^kinks must be in ascending order, each once", Activation, np.abs, kinks=(0, 0)),
    case("kinks nan", ValueError, r"^kinks\[0\] must be finite", Activation, np.abs, kinks=(NAN,)),
    case("kinks number", TypeError, "^kinks must be a sequence", Activation, np.abs, kinks=1.0),
    case("name 3", TypeError, "^name must be a string", Activation, np.abs, None, (), 3),
    case("slopes", ValueError, "^slopes must be one more than breakpoints", Activation.piecewise_linear, [0], [1]),
    case(
        "breakpoints", ValueError, "^breakpoints must be in ascending", Activation.piecewise_linear, [1, 0], [1, 2, 3]
    ),
    case("s 0", ValueError, "^s must be > 0", Activation, "smoothed_relu", s=0),
    case("gamma -1", ValueError, "^gamma must be >= 0", Activation, "rbf", gamma=-1),
    case("a 0", ValueError, "^a must not be 0", Activation, "snake", a=0),
    case("coefficients", TypeError, "^coefficients must be a sequence", Activation, "polynomial", coefficients=3),
    case("no coefficients", ValueError, "^coefficients must be 1 to 21", Activation, "polynomial", coefficients=()),
    case("no phi", TypeError, "^'exp_normalized' is a kernel without", Activation("exp_normalized"), 1.0),
    case("not vectorised", ValueError, "must be vectorised: .* returned shape", Activation(np.sum).dual, 0, 1, 1),
    case("complex", TypeError, "must return real numbers", Activation(lambda x: x + 1j).dual, 0, 1, 1),
    case(
        "log",
        ValueError,
        "must be finite where it is evaluated; at x",
        Activation(lambda x: np.where(x > 0, x, NAN)).dual,
        0,
        1,
        1,
    ),
    case(
        "too large a variance",
        ValueError,
        "^an input has variance q = 1e.0[78] .*scale the",
        Activation("tanh").dual,
        0,
        1e7,
        1e8,
    ),
    case(
        "quadrature bound", ValueError, "has no error bound", Activation("tanh", method="quadrature").error_bound, 1, 1
    ),
    case("negative variance", ValueError, "^q2 must hold variances", Activation("tanh").error_bound, 1, -1),
    case("empty name", ValueError, "^unknown activation ''", Activation, ""),
    case("no name", TypeError, "^an activation .*None", Activation, None),
    case("missing parameter", TypeError, "^activation 'abrelu': missing .*'b'", Activation, "abrelu", a=1.0),
    case("unknown parameter", TypeError, "^activation 'relu': .*'alpha'", Activation, "relu", alpha=1.0),
    case("internal parameter", TypeError, "^activation 'sign': .*'mean'", Activation, "sign", mean=1.0),
    case("alpha nan", ValueError, "^alpha must be finite, got nan", Activation, "leaky_relu", alpha=NAN),
    case("b inf", ValueError, "^b must be finite, got -inf", Activation, "erf", b=-INF),
    case("alpha string", TypeError, "^alpha must be a real number", Activation, "leaky_relu", alpha="x"),
    case("alpha bool", TypeError, "^alpha must be a real number", Activation, "leaky_relu", alpha=True),
    *(case(f"degree {n}", ValueError, DEGREE, Activation, MONOMIAL, degree=n) for n in (4, -1, 1.5, NAN)),
    *(case(f"degree {n!r}", TypeError, DEGREE, Activation, MONOMIAL, degree=n) for n in ("2", True, None)),
    *(case(f"layer {x!r}", TypeError, LAYER, Sequential, x) for x in (None, Dense, [Dense()], 1.0)),
]

DUALS = [
    case("negative q1", ValueError, "^q1 must hold variances >= 0, got -1", RELU.dual, 0, -1, 1),
    case("negative q2", ValueError, "^q2 must hold variances >= 0, got -1e-09", RELU.dual_derivative, 0, 1, [1, -1e-9]),
    case("c too large", ValueError, r"^c\*\*2 must not exceed q1\*q2: got c=2", RELU.dual, [0, 2], 1, 1),
    case("c without variance", ValueError, r"^c\*\*2 must not exceed", RELU.dual, 1e-9, 0, 1),
    case("c nan", ValueError, "^c must be finite", RELU.dual, NAN, 1, 1),
    case("q2 inf", ValueError, "^q2 must be finite", RELU.dual, 0, 1, INF),
    case("c complex", TypeError, "^c must hold real numbers, got dtype complex128", RELU.dual, 1j, 1, 1),
    case("q1 string", TypeError, "^q1 must hold real numbers", RELU.dual, 0, "1", 1),
    case("q1 None", TypeError, "^q1 must hold real numbers", RELU.dual, 0, None, 1),
    case("dual shapes", ValueError, r"shape.*\(2,\).*\(3,\)", RELU.dual, [0, 0], [1, 1, 1], 1),
    case("phi of a string", TypeError, "real numbers", RELU, "x"),
    case("phi of a complex", TypeError, "real numbers", RELU, 1j),
    case("phi' of None", TypeError, "real numbers", RELU.derivative, [None]),
]


@pytest.mark.parametrize("wrong", [*INPUTS, *OPTIONS, *NETWORKS, *DUALS], ids=lambda wrong: wrong.name)
def test_wrong_input_gets_its_sentence(wrong: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented exception, a sentence that names what was given, and no work before it."""

    def compute(*_: object) -> None:
        pytest.fail("the engine, which writes to memory, was called")

    for name in ("compute_float32", "compute_float64"):
        monkeypatch.setattr(fastntk._core, name, compute)
    with pytest.raises(wrong.error, match=wrong.sentence):
        wrong.call()


def test_memory_error_counts_every_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kernels of 20,000 samples take 6 GiB."""
    monkeypatch.setattr("fastntk._checks.arrays.available_memory", lambda: 2**30)
    with pytest.raises(MemoryError, match=r"needs 6\.0 GiB and 1\.0 GiB are available"):
        NET.kernels(np.ones((20_000, 1)))


def test_unknown_instruction_set_is_refused() -> None:
    """FASTNTK_ISA has to name one that this processor has."""
    code = "import fastntk\ntry: fastntk.mlp().ntk([[1.0]])\nexcept ValueError as error: print(error)"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"FASTNTK_ISA": "avx1024"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("unknown instruction set in FASTNTK_ISA 'avx1024'")
    assert "baseline" in done.stdout
