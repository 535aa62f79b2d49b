"""Activations as mathematics: phi, phi' and their dual kernels, each by its name."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Sequential
from fastntk.activations.registry import REGISTRY

Float = NDArray[np.float64]

RELU = Activation("relu")

#: One row per name: parameters to try. A new activation needs a row here.
PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "identity": [{}],
    "relu": [{}],
    "leaky_relu": [{}, {"alpha": 0.3}, {"alpha": -2.0}],
    "abs": [{}],
    "abrelu": [{"a": -0.5, "b": 2.0}, {"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 0.0}],
    "step": [{}],
    "sign": [{}],
    "rectified_monomial": [{"degree": degree} for degree in range(4)],
    "erf": [{}, {"a": 2.0, "b": 0.5, "c": -0.25}],
    **{name: [{}] for name in ("squared_relu", "normal_cdf", "sigmoid_like", "gelu", "gabor", "hard_tanh", "relu6")},
    **{name: [{}] for name in ("hard_sigmoid", "hard_swish", "soft_shrink", "hard_shrink", "tanh", "sigmoid", "silu")},
    **{name: [{}] for name in ("mish", "gelu_tanh", "selu", "softsign", "log_cosh")},
    "smoothed_relu": [{}, {"s": 0.3}],
    "sin": [{}, {"a": 0.7, "b": 1.3, "c": 0.4}],
    "cos": [{}, {"a": 0.7, "b": 1.3, "c": 0.4}],
    "snake": [{}, {"a": -0.4}],
    "rbf": [{}, {"gamma": 0.3}],
    "exp": [{"b": 0.3}],
    "exp_normalized": [{}, {"gamma": 0.5, "shift": 0.2}],
    "gaussian": [{}, {"a": 0.5, "b": -0.2}],
    "monomial": [{"degree": degree} for degree in (0, 1, 2, 3)],
    "polynomial": [{"coefficients": (0.3, -1.0, 0.5, 0.25)}],
    "hermite": [{"degree": degree} for degree in (1, 2, 4)],
    "softplus": [{}, {"beta": 2.5}],
    "swish": [{"beta": 1.7}],
    "elu": [{}, {"alpha": 0.6}],
    "celu": [{"alpha": 0.7}],
}
ACTIVATIONS = [Activation(name, **row) for name, rows in PARAMETERS.items() for row in rows]
each_activation = pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)


#: Those that have a phi.
each_function = pytest.mark.parametrize("act", [act for act in ACTIVATIONS if act.name != "exp_normalized"], ids=repr)


def error(act: Activation) -> float:
    """What is promised of its duals at moderate variances: twice the tolerance of an expansion, or rounding."""
    return 2e-10 if type(act._dual).__name__ == "Expanded" else 1e-13


def jumps(act: Activation) -> bool:
    """Whether phi is not continuous, so that phi' almost everywhere is not its derivative."""
    return act.name in ("step", "sign", "hard_shrink") or (act.name, dict(act.parameters).get("degree")) == (
        "rectified_monomial",
        0,
    )


def test_every_name_is_tried() -> None:
    """A new activation comes with a row of tests."""
    assert set(PARAMETERS) == set(REGISTRY)


@each_activation
def test_is_its_repr_and_its_pickle(act: Activation) -> None:
    """Read back they are equal, and compute the same."""
    read = eval(repr(act), vars(fastntk).copy())
    copies = [pickle.loads(pickle.dumps(act, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for again in (read, *copies, copy.copy(act), copy.deepcopy(act)):
        assert (again, hash(again), repr(again), type(again)) == (act, hash(act), repr(act), type(act))
        assert again.dual(0.3, 1, 1) == act.dual(0.3, 1, 1)


FORMULAS: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0),
    "leaky_relu": lambda x, alpha: x if x > 0 else alpha * x,
    "abs": abs,
    "abrelu": lambda x, a, b: b * x if x > 0 else a * x,
    "step": lambda x: float(x > 0),
    "sign": np.sign,
    "rectified_monomial": lambda x, degree: x**degree if x > 0 else 0.0,
    "erf": lambda x, a, b, c: a * math.erf(b * x) + c,
    "squared_relu": lambda x: max(x, 0.0) ** 2,
    "normal_cdf": lambda x: math.erfc(-x / math.sqrt(2)) / 2,
    "sigmoid_like": lambda x: math.erf(x / 2.4020563531719796) / 2 + 0.5,
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "smoothed_relu": lambda x, s: (
        x * math.erfc(-x / s / math.sqrt(2)) / 2 + s * math.exp(-((x / s) ** 2) / 2) / math.sqrt(2 * math.pi)
    ),
    "sin": lambda x, a, b, c: a * math.sin(b * x + c),
    "cos": lambda x, a, b, c: a * math.cos(b * x + c),
    "snake": lambda x, a: x + math.sin(a * x) ** 2 / a,
    "rbf": lambda x, gamma: math.sqrt(2) * math.sin(math.sqrt(2 * gamma) * x + math.pi / 4),
    "exp": lambda x, a, b: a * math.exp(b * x),
    "gaussian": lambda x, a, b: a * math.exp(b * x * x),
    "gabor": lambda x: math.exp(-x * x) * math.sin(x),
    "monomial": lambda x, degree: x**degree,
    "polynomial": lambda x, coefficients: sum(c * x**i for i, c in enumerate(coefficients)),
    "hermite": lambda x, degree: {1: x, 2: (x**2 - 1) / math.sqrt(2), 4: (x**4 - 6 * x**2 + 3) / math.sqrt(24)}[degree],
    "hard_tanh": lambda x: min(max(x, -1.0), 1.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0.0), 1.0),
    "hard_swish": lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0),
    "soft_shrink": lambda x, threshold: math.copysign(max(abs(x) - threshold, 0.0), x),
    "hard_shrink": lambda x, threshold: x if abs(x) > threshold else 0.5 * x if abs(x) == threshold else 0.0,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x, beta: math.log1p(math.exp(-abs(beta * x))) / beta + max(x, 0.0),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "swish": lambda x, beta: x / (1 + math.exp(-beta * x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "gelu_tanh": lambda x: x / (1 + math.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) if x > -20 else 0.0,
    "elu": lambda x, alpha: x if x > 0 else alpha * math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "celu": lambda x, alpha: x if x > 0 else alpha * math.expm1(x / alpha),
    "softsign": lambda x: x / (1 + abs(x)),
    "log_cosh": lambda x: math.log(math.cosh(x)),
}
POINTS = np.array([-40.0, -3.0, -1.0, -0.25, 0.125, 0.5, 1.0, 2.5, 40.0])


@each_function
def test_phi(act: Activation) -> None:
    """The formula of the table in the docstring, of any shape; float32 stays float32."""
    expected = [FORMULAS[act.name](x, **dict(act.parameters)) for x in POINTS]
    np.testing.assert_allclose(act(POINTS), expected, rtol=2e-14, atol=2e-16)
    np.testing.assert_array_equal(act(POINTS.reshape(3, 3)), act(POINTS).reshape(3, 3))
    assert act(POINTS.astype(np.float32)).dtype == act.derivative(POINTS.astype(np.float32)).dtype == np.float32
    assert act([1, 2]).dtype == act.derivative([True]).dtype == np.float64
    assert np.ndim(act(1.0)) == np.ndim(act.derivative(1)) == 0


#: No limit, or the difference of infinities, or x^0.
NO_LIMIT = ("sin", "cos", "rbf", "snake", "polynomial", "hermite", "gaussian", "gabor", "monomial")


@pytest.mark.parametrize("act", [act for act in ACTIVATIONS if act.name not in (*NO_LIMIT, "exp_normalized")], ids=repr)
def test_phi_of_what_is_not_finite(act: Activation) -> None:
    """Limits at infinity and NaN where NaN came in, without warnings."""
    far, slope = act([-np.inf, np.inf, np.nan]), act.derivative([-np.inf, np.inf, np.nan])
    assert np.isnan(far[2])
    for value, limit in zip(far, act([-1e100, 1e100]), strict=False):
        assert value == pytest.approx(limit, rel=1e-15, abs=1e-300) or (np.isinf(value) and abs(limit) > 1e90)
    assert not np.isnan(slope[:2]).any()


@each_function
def test_derivative_is_the_slope(act: Activation) -> None:
    """Central differences away from 0; at a kink in 0, the mean of both sides."""
    h = 1e-5
    points = POINTS[np.abs(POINTS) < 5] + (0.01 if act.name.startswith(("hard", "soft_shrink")) else 0)
    slope = (act(points + h) - act(points - h)) / (2 * h)
    np.testing.assert_allclose(act.derivative(points), slope, rtol=1e-7, atol=1e-8)
    if not jumps(act):
        sides = act.derivative([-1e-12, 1e-12])
        assert act.derivative(0.0) == pytest.approx(sides.mean(), abs=1e-9)


leggauss: Any = np.polynomial.legendre.leggauss


def density(z: Float) -> Float:
    """Of the standard normal distribution."""
    return np.asarray(np.exp(-z * z / 2) / math.sqrt(2 * math.pi))


def gauss_legendre(edges: Float) -> tuple[Float, Float]:
    """Nodes and weights of the 16-point rule on every interval between the last axis of `edges`."""
    x, w = leggauss(16)
    half = np.diff(edges)[..., None] / 2
    shape = (*edges.shape[:-1], -1)
    return ((edges[..., :-1, None] + half) + half * x).reshape(shape), (half * w).reshape(shape)


def expectation(phi: Callable[[Float], Float], c: float, q1: float, q2: float) -> tuple[float, float]:
    """E[phi(u) phi(v)] and sqrt(E[phi(u)²] E[phi(v)²]), split where u or v is 0; |c| < sqrt(q1 q2)."""
    rho = c / math.sqrt(q1 * q2)
    rest = math.sqrt((1 - rho) * (1 + rho))
    z, w = gauss_legendre(np.concatenate((np.linspace(-12, 0, 13), np.linspace(0, 12, 13)[1:])))
    w = w * density(z)
    split = np.clip(-rho * z / rest, -12, 12)[:, None]
    steps = np.linspace(0, 1, 11)
    y, inner = gauss_legendre(np.concatenate((-12 + (split + 12) * steps, split + (12 - split) * steps[1:]), axis=1))
    v = math.sqrt(q2) * (rho * z[:, None] + rest * y)
    value = w * phi(math.sqrt(q1) * z) @ (inner * density(y) * phi(v)).sum(axis=1)
    norms = [w @ phi(math.sqrt(q) * z) ** 2 for q in (q1, q2)]
    return float(value), math.sqrt(norms[0] * norms[1])


PAIRS = [
    (0.5, 1.0, 1.0),
    (0.0, 1.0, 2.0),
    (-0.6, 0.5, 1.5),
    (0.95, 1.0, 1.0),
    (-0.2, 0.01, 9.0),
    (2.7, 0.8, 10.0),
]


@each_function
def test_dual_is_the_expectation(act: Activation) -> None:
    """F and F' against quadrature in two dimensions, which is split at 0 only: other kinks are in test_duals."""
    if type(act._dual).__name__ == "PiecewisePolynomial":
        return
    for c, q1, q2 in PAIRS:
        for dual, phi in ((act.dual, act), (act.dual_derivative, act.derivative)):
            expected, scale = expectation(phi, c, q1, q2)
            assert abs(float(dual(c, q1, q2)) - expected) <= max(1e-11, error(act)) * scale


@each_activation
def test_price_theorem(act: Activation) -> None:
    """dF/dc = F', by central differences."""
    if jumps(act) or act.dual_derivative(0.5, 1, 1) == 0:
        return
    c, q1, q2 = np.array(PAIRS).T
    h = 1e-4 * np.sqrt(q1 * q2)
    slope = (act.dual(c + h, q1, q2) - act.dual(c - h, q1, q2)) / (2 * h)
    scale = np.sqrt(act.dual_derivative(q1, q1, q1) * act.dual_derivative(q2, q2, q2))
    np.testing.assert_array_less(np.abs(act.dual_derivative(c, q1, q2) - slope), 1e-6 * scale)


@each_activation
def test_dual_broadcasts_and_is_symmetric(act: Activation) -> None:
    """Like a ufunc of three arguments; scalars in, scalar out; q1 and q2 change places."""
    c, q1, q2 = np.linspace(-0.5, 0.5, 5)[:, None, None], np.array([[0.25], [1], [4]]), np.array([1.0, 2.0])
    for dual in (act.dual, act.dual_derivative):
        value = dual(c, q1, q2)
        assert value.shape == (5, 3, 2)
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, dual(c, q2, q1), rtol=1e-13, atol=1e-14)
        assert value[4, 1, 0] == pytest.approx(dual(0.5, 1, 1), rel=1e-13 if error(act) < 1e-12 else 1e-9, abs=0)
        assert np.ndim(dual(0.5, 1, 1)) == 0
        assert isinstance(dual(0.5, 1, 1), np.float64)
        assert dual([0.5], 1, np.float32(1)).shape == (1,)
        assert dual(0.5, 1, 1) == dual(np.float32(0.5), True, np.int8(1))


@pytest.mark.parametrize(
    ("name", "dual", "slope"),
    [
        ("identity", 0.5, 1.0),
        ("relu", (math.sqrt(3) / 2 + math.pi / 3) / (2 * math.pi), 1 / 3),
        ("abs", (math.sqrt(3) + math.pi / 6) / math.pi, 1 / 3),
        ("step", 1 / 3, 0.0),
        ("sign", 1 / 3, 0.0),
        ("erf", 2 / math.pi * math.asin(1 / 3), 4 / math.pi / math.sqrt(8)),
    ],
)
def test_known_values(name: str, dual: float, slope: float) -> None:
    """At q1 = q2 = 1, c = 1/2: an angle of 60 degrees."""
    act = Activation(name)
    assert act.dual(0.5, 1, 1) == pytest.approx(dual, rel=1e-15)
    assert act.dual_derivative(0.5, 1, 1) == pytest.approx(slope, rel=1e-15)


def test_more_known_values() -> None:
    """Equal, opposite and independent arguments."""
    assert RELU.dual(1, 1, 1) == RELU.dual(2, 1, 4) / 2 == 0.5
    assert RELU.dual(-1, 1, 1) == RELU.dual_derivative(-1, 1, 1) == 0
    assert RELU.dual_derivative(0, 1, 2) == 0.25
    assert Activation("step").dual([-1, 0, 1], 1, 1).tolist() == [0, 0.25, 0.5]
    assert Activation("sign").dual([-1, 0, 1], 1, 1).tolist() == [-1, 0, 1]
    assert Activation("erf", c=3.0).dual(0, 1, 2) == pytest.approx(9, rel=1e-15)
    cube = Activation("rectified_monomial", degree=3)
    assert cube.dual(2, 2, 2) == pytest.approx(15 / 2 * 8, rel=1e-15)
    assert cube.dual_derivative(2, 2, 2) == pytest.approx(9 * 3 / 2 * 4, rel=1e-15)


@each_activation
def test_zero_variance(act: Activation) -> None:
    """The limit of small variances; a constant and anything are independent."""
    if act.name == "exp_normalized" or (act(0.0) != 0 and not jumps(act)):
        return
    limit = act(0.0) ** 2 if not jumps(act) or act.name == "hard_shrink" else act.dual(0, 1, 1)
    np.testing.assert_allclose(act.dual(0, [0, 0, 1e-300], [0, 1, 0]), limit, rtol=1e-12, atol=1e-15)
    values = [act.dual_derivative(0, q, q) for q in (0, 1e-320, 1e-300, 1e-30)]
    np.testing.assert_allclose(values, values[3], rtol=1e-12, atol=1e-15)


@each_function
def test_ends_of_the_range(act: Activation) -> None:
    """At c = ± sqrt(q1 q2), also when rounding puts it a little outside, and continuous up to there."""
    if type(act._dual).__name__ == "PiecewisePolynomial":
        return  # kinks elsewhere, see test_duals
    for q in (0.3, 1.0, 7.0):
        z, w = gauss_legendre(np.concatenate((np.linspace(-12, 0, 49), np.linspace(0, 12, 49)[1:])))
        w = w * density(z)
        u = math.sqrt(q) * z
        for sign in (-1, 1):
            for dual, phi in ((act.dual, act), (act.dual_derivative, act.derivative)):
                expected = w @ (phi(u) * phi(sign * u))
                scale = w @ phi(u) ** 2
                inside = dual(sign * q * (1 - np.array([0.0, -1e-15, 1e-15])), q, q)
                np.testing.assert_allclose(inside, expected, rtol=0, atol=1e-6 * scale)
                assert dual(sign * q, q, q) == pytest.approx(expected, abs=error(act) * scale)


@pytest.mark.parametrize("exponent", [10, 20, 30, 40, 50])
def test_relu_near_the_ends(exponent: int) -> None:
    """Full accuracy in the gap, where acos(rho) would lose half the digits."""
    gap = np.longdouble(2.0**-exponent)
    theta = 2 * np.arcsin(np.sqrt(gap / 2))
    pi = 4 * np.arctan(np.longdouble(1))
    sine = np.sqrt(gap * (2 - gap))
    rho = float(1 - gap)
    assert RELU.dual_derivative(rho, 1, 1) == pytest.approx(float((pi - theta) / (2 * pi)), rel=3e-16)
    assert RELU.dual(rho, 1, 1) == pytest.approx(float((sine + (pi - theta) * (1 - gap)) / (2 * pi)), rel=3e-16)
    assert RELU.dual_derivative(-rho, 1, 1) == pytest.approx(float(theta / (2 * pi)), rel=1e-15)


def test_the_tolerance_that_was_asked_for() -> None:
    """None where the kernel's precision says it."""
    assert Activation("tanh", tolerance=1e-3).tolerance == 1e-3
    assert Activation("tanh").tolerance is None


def test_a_dual_beyond_all_numbers() -> None:
    """Is told: E exp(u + v) = exp((q1 + q2) / 2 + c)."""
    act = Activation("exp", b=1.0)
    assert act.dual(340.0, 340.0, 340.0) == pytest.approx(math.exp(680), rel=1e-10)
    with pytest.raises(ValueError, match=r"^the dual is beyond the range of float64 for these variances\.$"):
        act.dual(380.0, 380.0, 380.0)


@each_activation
def test_dual_is_the_kernel_of_the_activation(act: Activation) -> None:
    """Sequential(act) maps x.y/d to F, and after a Dense layer its NTK to F' Theta."""
    X = np.random.default_rng(3).normal(size=(6, 5))
    c = X @ X.T / 5
    q = c.diagonal()
    far = ~np.eye(6, dtype=bool)
    kernel = Sequential(act).nngp(X)
    scale = np.sqrt(np.outer(kernel.diagonal(), kernel.diagonal()))
    np.testing.assert_array_less(np.abs(kernel - act.dual(c, q[:, None], q))[far], error(act) * scale[far])
    np.testing.assert_allclose(kernel.diagonal(), act.dual(q, q, q), rtol=1e-7 if jumps(act) else 2e-13)
    theta = Sequential(Dense(), act).ntk(X)
    np.testing.assert_allclose(
        theta[far], (c * act.dual_derivative(c, q[:, None], q))[far], atol=10 * error(act) * np.abs(theta).max()
    )
