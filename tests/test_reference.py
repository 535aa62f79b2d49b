"""The engine against its slow twin, and the twin's two ways against each other.

Errors are relative to sqrt(K_pp K_qq), which is what positive definiteness and rounding are about.
"""

from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Sequential, reference
from fastntk.activations.registry import REGISTRY
from fastntk.reference.forms import CLOSED_FORMS

ACTIVATIONS = [
    Activation("identity"),
    Activation("relu"),
    Activation("leaky_relu"),
    Activation("leaky_relu", alpha=-0.3),
    Activation("abs"),
    Activation("abrelu", a=-0.5, b=1.2),
    Activation("step"),
    Activation("sign"),
    *(Activation("rectified_monomial", degree=degree) for degree in range(4)),
    Activation("erf"),
    Activation("erf", a=1.5, b=0.7, c=0.3),
]
#: Closed forms that are tried alone, not after each other.
SMOOTH = [
    *(
        Activation(name)
        for name in ("squared_relu", "normal_cdf", "sigmoid_like", "gelu", "gabor", "sin", "cos", "rbf")
    ),
    *(Activation(name) for name in ("smoothed_relu", "snake", "gaussian", "exp_normalized")),
    Activation("sin", a=0.7, b=1.3, c=0.4),
    Activation("exp", b=0.2),
    Activation("exp_normalized", gamma=0.5, shift=0.2),
    *(Activation("monomial", degree=degree) for degree in (0, 1, 2, 3)),
    *(Activation("hermite", degree=degree) for degree in (2, 3)),
    Activation("polynomial", coefficients=(0.3, -1.0, 0.5, 0.25)),
]
JUMPS = ("step", "sign", "rectified_monomial(degree=0)")

# Rounding, through at most four layers, of rows no two of which are parallel: the twin's theta is good to
# 1e-16 / theta (seen: 6e-15, for cubes). The engine's own bound is in test_accuracy.
SEPARATED = 2e-14

# Where rows (nearly) coincide the twin's theta is off by up to sqrt(eps) = 1.5e-8, and with it the slopes in
# the NTK (seen: 2e-8).
NEAR = 1e-7

# A few roundings of float32, 6e-8 each (seen: 3e-7).
SINGLE = 2e-6

Matrix = NDArray[np.floating[Any]]


def identify(activation: Activation) -> str:
    """Name and parameters, for test ids."""
    parameters = ",".join(f"{key}={value}" for key, value in activation.parameters)
    return f"{activation.name}({parameters})" if parameters else activation.name


def error(actual: Matrix, expected: Matrix, left: Matrix, right: Matrix) -> float:
    """Largest error relative to sqrt(diagonal x diagonal); where that is 0 only 0 will do."""
    scale = np.sqrt(left)[:, None] * np.sqrt(right)
    difference = np.abs(actual.astype(np.float64) - expected)
    assert not difference[scale == 0].any()
    return float(np.divide(difference, scale, out=np.zeros_like(difference), where=scale > 0).max(initial=0))


def largest_error(net: Sequential, X: Matrix, Y: Matrix | None = None) -> float:
    """Largest error of both kernels of the engine, as the twin sees it."""
    square = reference.kernels(net, X)
    left, right = (
        list(map(np.diag, kernels)) for kernels in (square, square if Y is None else reference.kernels(net, Y))
    )
    expected = square if Y is None else reference.kernels(net, X, Y)
    return max(error(*args) for args in zip(net.kernels(X, Y), expected, left, right, strict=True))


@pytest.fixture
def separated(rng: np.random.Generator) -> NDArray[np.float64]:
    """Rows of norms 0.6 ... 6 in directions that differ."""
    return rng.standard_normal((12, 7)) * np.geomspace(0.3, 3, 12)[:, None]


@pytest.fixture
def near(rng: np.random.Generator) -> NDArray[np.float64]:
    """One row, then duplicates, antipodes, multiples of it and rows ever nearer to it, and two others."""
    a, direction, *others = rng.standard_normal((4, 7))
    close = [a + separation * direction for separation in (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10)]
    return np.array([a, a, -a, 2 * a, 1.1 * a, *close, *(-row for row in close[2:]), *others])


def test_every_closed_form_has_a_row_here() -> None:
    """A name added to the twin is noticed; those without closed form are in test_duals."""
    assert set(CLOSED_FORMS) == {activation.name for activation in (*ACTIVATIONS, *SMOOTH)}
    assert set(CLOSED_FORMS) <= set(REGISTRY)


@pytest.mark.parametrize("sides", ["X", "XY"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *SMOOTH], ids=identify)
def test_separated_rows(activation: Activation, sigma_b: float, sides: str, separated: NDArray[np.float64]) -> None:
    """Every activation, three layers deep, with sigmas that differ from layer to layer."""
    net = Sequential(
        *(Dense(1.3, sigma_b), activation, Dense(0.9, 2 * sigma_b), activation),
        *(Dense(1.1, sigma_b / 2), activation, Dense(0.7, sigma_b)),
    )
    X, Y = (separated, None) if sides == "X" else (separated[:5], separated[5:])
    assert largest_error(net, X, Y) <= SEPARATED


@pytest.mark.parametrize("sides", ["X", "XY"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *SMOOTH], ids=identify)
def test_near_rows(activation: Activation, sigma_b: float, sides: str, near: NDArray[np.float64]) -> None:
    """Duplicates, antipodes and near ones of both; a second jump would take another square root."""
    depth = 1 if identify(activation) in JUMPS else 3
    net = fastntk.mlp(depth, activation, 1.1, sigma_b)
    assert largest_error(net, near, None if sides == "X" else near[::-1].copy()) <= NEAR


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *SMOOTH], ids=identify)
def test_float32(
    activation: Activation, sigma_b: float, separated: NDArray[np.float64], near: NDArray[np.float64]
) -> None:
    """The float32 engine against the float64 twin on the same float32 rows."""
    depth = 1 if identify(activation) in JUMPS else 3
    net = fastntk.mlp(depth, activation, 1.1, sigma_b)
    X = np.concatenate((separated[5:] / 2, near)).astype(np.float32)
    assert net.ntk(X).dtype == np.float32
    assert largest_error(net, X) <= SINGLE
    assert largest_error(net, X, X[::2].copy()) <= SINGLE


MIXED = Sequential(
    *(Dense(1.2, 0.1), Activation("relu"), Dense(0.9), Activation("erf", b=0.6), Activation("abs")),
    *(Dense(1.4, 0.3), Dense(0.8, 0.2), Activation("rectified_monomial", degree=2), Dense(0.6, 0.5)),
    *(Activation("sign"), Dense(1.1, 0.2), Activation("leaky_relu", alpha=0.2), Dense()),
)


@pytest.mark.parametrize("length", range(len(MIXED) + 1))
def test_every_prefix(length: int, separated: NDArray[np.float64]) -> None:
    """A prefix ends in a Dense layer, in an Activation, or before the first layer."""
    assert largest_error(MIXED[:length], separated) <= SEPARATED
    assert largest_error(MIXED[:length], separated[:4], separated[4:]) <= SEPARATED


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=identify)
def test_activation_on_the_raw_input(activation: Activation, separated: NDArray[np.float64]) -> None:
    """Networks that begin with an Activation, and one that is nothing else."""
    assert largest_error(Sequential(activation), separated) <= SEPARATED
    assert largest_error(Sequential(activation, Dense(1.2, 0.3)), separated) <= SEPARATED


#: One of each kind: the others are these by another name, or with other numbers.
KINDS = [
    *(Activation(name) for name in ("identity", "relu", "abs", "step", "sign")),
    Activation("abrelu", a=-0.5, b=1.2),
    *(Activation("rectified_monomial", degree=degree) for degree in (2, 3)),
    Activation("erf", a=1.5, b=0.7, c=0.3),
]


@pytest.mark.parametrize(("first", "second"), list(product(KINDS, repeat=2)), ids=identify)
@pytest.mark.parametrize("between", [(), (Dense(0.9),), (Dense(0.9, 0.3),)], ids=["none", "Dense", "bias"])
def test_two_activations_and_zero_rows(
    first: Activation, second: Activation, between: tuple[Dense, ...], separated: NDArray[np.float64]
) -> None:
    """Any activation after any other; without bias the correlations of zero rows have to be carried on."""
    separated[[2, 5]] = 0
    net = Sequential(Dense(1.1), first, *between, second, Dense(0.8))
    assert largest_error(net, separated) <= SEPARATED
    assert largest_error(net, separated[:4], separated[4:]) <= SEPARATED


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_depth_zero_is_the_linear_model(sigma_b: float, separated: NDArray[np.float64]) -> None:
    """K = Theta = sigma_b^2 + sigma_w^2 x·x'/d."""
    net = fastntk.mlp(0, "relu", 1.3, sigma_b)
    expected = sigma_b**2 + 1.3**2 * separated @ separated.T / 7
    for kernel in (*reference.kernels(net, separated), *net.kernels(separated)):
        np.testing.assert_allclose(kernel, expected, rtol=0, atol=1e-14 * expected.max())
    assert largest_error(net, separated) <= SEPARATED


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=identify)
def test_layers_that_forget_the_input(activation: Activation, separated: NDArray[np.float64]) -> None:
    """With sigma_w = 0 only the bias is left, and all rows are alike; with sigma_b = 0 nothing is."""
    for dead in (Dense(0.0, 0.5), Dense(0.0, 0.0), Sequential()):
        net = Sequential(Dense(1.2, 0.1), activation, dead, activation, Dense(1.1, 0.2))
        assert largest_error(net, separated) <= SEPARATED


def test_zero_rows_of_a_jump() -> None:
    """Independent of every other row, equal to other zero rows."""
    K = reference.nngp(Sequential(Activation("step")), [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(K, [[0.5, 0.25, 0.5], [0.25, 0.5, 0.25], [0.5, 0.25, 0.5]], rtol=1e-15)


def test_nngp_and_ntk_are_the_two_of_kernels(separated: NDArray[np.float64]) -> None:
    """Whatever the dtype of the rows, in float64."""
    X = separated.round().astype(np.int16)
    both = reference.kernels(MIXED, X)
    np.testing.assert_array_equal(both.nngp, reference.nngp(MIXED, X))
    np.testing.assert_array_equal(both.ntk, reference.ntk(MIXED, X.tolist()))
    assert both.nngp.dtype == both.ntk.dtype == np.float64


def test_method_is_one_of_two() -> None:
    """The error names both."""
    with pytest.raises(ValueError, match="'closed_form' or 'quadrature', got 'hermite'"):
        reference.nngp(fastntk.mlp(1), [[1.0]], method="hermite")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Activation\('tanh'\) has no closed form here; pass method='quadrature'"):
        reference.nngp(fastntk.mlp(1, "tanh"), [[1.0]], method="closed_form")


# Relative errors of the tensor rule, twice what is seen: smooth phi converge exponentially until they meet
# rounding, a kink (relu) like 1 / nodes, a jump (relu') like 1 / sqrt(nodes) near |rho| = 1.
QUADRATURE = {
    ("erf", "phi"): {64: 6e-13, 200: 2e-14},
    ("erf", "derivative"): {64: 2e-11, 200: 3e-14},
    ("relu", "phi"): {64: 8e-3, 200: 3e-3},
    ("relu", "derivative"): {64: 0.1, 200: 0.06},
}


@pytest.mark.parametrize("nodes", [64, 200])
@pytest.mark.parametrize(("name", "function"), QUADRATURE)
def test_gauss_hermite_against_the_dual_of_an_activation(
    name: str, function: Literal["phi", "derivative"], nodes: int
) -> None:
    """Unit variances, all correlations."""
    activation = Activation(name)
    phi = activation if function == "phi" else activation.derivative
    dual = activation.dual if function == "phi" else activation.dual_derivative
    rho = np.append(np.linspace(-1, 1, 41), [0.99, 0.999, -0.99])
    actual, expected = reference.gauss_hermite(phi, rho, 1.0, 1.0, nodes), dual(rho, 1.0, 1.0)
    assert np.abs(actual - expected).max() <= QUADRATURE[name, function][nodes] * dual(1.0, 1.0, 1.0)


def test_gauss_hermite_of_a_function_without_closed_form_here() -> None:
    """Broadcasting, unequal and zero variances: E[sin u sin v] = exp(-(q1 + q2) / 2) sinh c."""
    q1, q2 = np.array([[0.0], [0.5], [2.0]]), np.array([0.0, 0.3, 1.0, 1.5])
    for rho in (-1.0, -0.3, 0.0, 0.8, 1.0):
        c = rho * np.sqrt(q1 * q2)
        expected = np.exp(-(q1 + q2) / 2) * np.sinh(c)
        np.testing.assert_allclose(reference.gauss_hermite(np.sin, c, q1, q2), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("degree", range(5))
def test_gauss_hermite_is_exact_for_polynomials(degree: int) -> None:
    """E[(u v)^k] by Isserlis' theorem, with no more nodes than needed."""
    c, q1, q2 = 0.7, 1.3, 0.6
    s2 = q1 * q2
    moments = (1, c, s2 + 2 * c**2, 9 * c * s2 + 6 * c**3, 9 * s2**2 + 72 * c**2 * s2 + 24 * c**4)
    actual = reference.gauss_hermite(lambda x: x**degree, c, q1, q2, nodes=degree + 1)
    np.testing.assert_allclose(actual, moments[degree], rtol=1e-14)


@pytest.mark.parametrize(
    ("activation", "tolerance"),
    [
        (Activation("erf"), 1e-14),
        (Activation("erf", a=1.5, b=0.7, c=0.3), 1e-14),
        # A kink and, in the NTK, a jump in every layer (seen: 2e-2, 6e-3, 1.5e-5)
        (Activation("relu"), 4e-2),
        (Activation("leaky_relu", alpha=0.3), 2e-2),
        (Activation("rectified_monomial", degree=3), 4e-5),
    ],
    ids=str,
)
def test_networks_by_quadrature(activation: Activation, tolerance: float, separated: NDArray[np.float64]) -> None:
    """The tensor rule on phi and phi' gives what the formulas give."""
    net = Sequential(Dense(0.8, 0.3), activation, Dense(0.9, 0.2), activation, Dense(1.1))
    X = separated / np.linalg.norm(separated, axis=1, keepdims=True) * np.linspace(0.5, 2, 12)[:, None]
    X[3] = 0
    for Y in (None, X[::2]):
        exact = reference.kernels(net, X, Y)
        rule = reference.kernels(net, X, Y, method="quadrature")
        for kernel, other in zip(exact, rule, strict=True):
            assert np.abs(kernel - other).max() <= tolerance * np.abs(kernel).max()


@pytest.mark.parametrize(
    "activation",
    [
        *(Activation(name, tolerance=1e-10) for name in ("tanh", "sigmoid", "softplus", "silu", "mish", "log_cosh")),
        Activation(np.tanh, lambda x: 1 / np.cosh(x) ** 2, tolerance=1e-10),
    ],
    ids=str,
)
def test_networks_of_expansions(activation: Activation, separated: NDArray[np.float64]) -> None:
    """Three layers by the engine's series, and by the twin's tensor rule on phi and phi'; float32 likewise."""
    net = Sequential(
        *(Dense(0.8, 0.3), activation, Dense(0.9, 0.2), activation, Dense(1.1), activation, Dense(1.0, 0.1)),
    )
    X = separated / np.linalg.norm(separated, axis=1, keepdims=True) * np.linspace(0.5, 2, 12)[:, None]
    X[3] = 0
    for Y in (None, X[::2].copy()):
        rule = reference.kernels(net, X, Y, method="quadrature", nodes=160)
        for kernel, other in zip(net.kernels(X, Y), rule, strict=True):
            assert np.abs(kernel - other).max() <= 1e-9 * np.abs(other).max()
        single = net.ntk(X.astype(np.float32), None if Y is None else Y.astype(np.float32))
        assert np.abs(single - rule.ntk).max() <= 3e-6 * np.abs(rule.ntk).max()
