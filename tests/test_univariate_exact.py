"""The one-variable path where networks are chaotic: at duplicates and antipodes, near them, and for every activation.

Truth is the recursion of the dual activations in 60 digits where it has a short closed form, and else the network
layer by layer in float64, which test_accuracy.py compares with 120 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from numpy.typing import NDArray

import fastntk
from fastntk import Activation
from fastntk.activations.registry import REGISTRY
from fastntk.kernels import univariate

pytestmark = pytest.mark.sweep

Matrix = NDArray[np.floating[Any]]
Dual = Callable[[Any, Any], tuple[Any, Any]]

HOMOGENEOUS = ("relu", "leaky_relu", "abs", "step", "sign", "squared_relu", "rectified_monomial", "abrelu", "identity")
REQUIRED: dict[str, dict[str, Any]] = {
    "abrelu": {"a": -0.3, "b": 1.2},
    "rectified_monomial": {"degree": 3},
    "monomial": {"degree": 2},
    "polynomial": {"coefficients": (0.1, 0.5, -0.3)},
    "hermite": {"degree": 3},
}

#: What docs and docstrings state that the fit adds, and what rounding the input and the result adds to it.
STATED = {"float32": 5e-7, "float64": 5e-15}
ROUNDING = {"float32": 4e-7, "float64": 1.5e-15}


@pytest.fixture(autouse=True)
def _for_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(univariate, "FEWEST_PAIRS", 1)
    monkeypatch.setattr(univariate, "FEWEST_OPS", 3)


def rows(seed: int, dtype: str, *, unit: bool) -> Matrix:
    """Normal rows, among them duplicates, antipodes and near ones of both."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(24, 6))
    x[1], x[2] = x[0], -x[0]
    for i, size in enumerate(10.0 ** -np.arange(1, 10)):
        x[3 + 2 * i], x[4 + 2 * i] = x[0] + size * rng.normal(size=6), -x[0] - size * rng.normal(size=6)
    if not unit:
        return np.asarray((x * np.exp2(rng.integers(-3, 4, (24, 1)))).astype(dtype))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(dtype)
    x[21], x[22] = np.nextafter(x[0], x[0] + 1), -np.nextafter(x[0], x[0] - 1)  # norms differ in the last digit
    return np.asarray(x)


def errors(actual: Matrix, truth: Matrix) -> NDArray[np.float64]:
    """Relative to the diagonal of the truth."""
    s = np.sqrt(np.diag(truth).astype(np.float64))
    return np.asarray(np.abs(actual.astype(np.float64) - truth) / np.maximum(np.outer(s, s), 1e-300))


def _arc_cosine(rho: Any) -> tuple[Any, Any]:
    angle = mp.acos(rho)
    return (mp.sin(angle) + (mp.pi - angle) * rho) / mp.pi, 1 - angle / mp.pi


def _relu(q: Any, c: Any) -> tuple[Any, Any]:
    first, zeroth = _arc_cosine(c / q)
    return q * first / 2, zeroth / 2


def _abs(q: Any, c: Any) -> tuple[Any, Any]:
    return q * (_arc_cosine(c / q)[0] + _arc_cosine(-c / q)[0]), 1 - 2 * mp.acos(c / q) / mp.pi


#: F(q, q, c) and F'(q, q, c): Cho and Saul (2009), Williams (1997), and Gaussian integrals.
CLOSED: dict[str, Dual] = {
    "relu": _relu,
    "abs": _abs,
    "step": lambda q, c: ((mp.pi - mp.acos(c / q)) / (2 * mp.pi), mpf(0)),
    "sign": lambda q, c: (1 - 2 * mp.acos(c / q) / mp.pi, mpf(0)),
    "erf": lambda q, c: (
        2 / mp.pi * mp.asin(2 * c / (1 + 2 * q)),
        4 / mp.pi / mp.sqrt((1 + 2 * q - 2 * c) * (1 + 2 * q + 2 * c)),
    ),
    "sin": lambda q, c: (mp.exp(-q) * mp.sinh(c), mp.exp(-q) * mp.cosh(c)),
    "cos": lambda q, c: (mp.exp(-q) * mp.cosh(c), mp.exp(-q) * mp.sinh(c)),
    "rbf": lambda q, c: (mp.exp(-2 * (q - c)), 2 * mp.exp(-2 * (q - c))),
    "gaussian": lambda q, c: (
        1 / mp.sqrt((1 + 2 * q) ** 2 - 4 * c * c),
        4 * c / mp.sqrt((1 + 2 * q) ** 2 - 4 * c * c) ** 3,
    ),
}


def recursion(name: str, depth: int, sigmas: tuple[float, float], q: Any, c: Any) -> tuple[Any, Any]:
    """(K, Theta) of two inputs of variance q and covariance c."""
    dual = CLOSED[name]
    weight, bias = mpf(sigmas[0]) ** 2, mpf(sigmas[1]) ** 2
    q, c = bias + weight * q, bias + weight * c
    theta = c
    for _ in range(depth):
        c = max(min(c, q), -q)
        (f, slope), (q, _) = dual(q, c), dual(q, q)
        q, c = bias + weight * q, bias + weight * f
        theta = c + weight * slope * theta
    return c, theta


CHAOTIC = [
    ("rbf", 20, 2.0, 0.1), ("rbf", 5, 2.0, 0.1), ("sin", 20, 2.0, 0.1), ("cos", 20, 2.0, 0.3),
    ("gaussian", 20, 5.0, 0.1), ("sign", 20, 1.0, 0.3), ("erf", 20, 8.0, 0.1), ("step", 21, 1.0, 0.0),
    ("step", 50, 1.0, 0.0), ("abs", 50, 1.0, 0.0),
    ("relu", 50, 2**0.5, 0.0), ("relu", 50, 2**0.5, 0.1), ("sin", 12, 1.5, 0.0), ("erf", 10, 1.0, 0.1),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "depth", "sigma_w", "sigma_b"), CHAOTIC)
def test_against_sixty_digits(name: str, depth: int, sigma_w: float, sigma_b: float, dtype: str) -> None:
    """Rows of exactly equal norm: one row with some of its signs changed, so that pairs are as close as 2^-55."""
    rng = np.random.default_rng(1)
    row = np.array([1.0, *(2.0 ** -np.array([1, 4, 9, 15, 22, 30, 40, 55]))])
    signs = [np.ones(9), np.ones(9), -np.ones(9)]
    signs += [np.where(np.arange(9) == i, -1, 1) * sign for i in range(9) for sign in (1, -1)]
    signs += [rng.choice([-1.0, 1.0], 9) for _ in range(4)]
    x = (row * np.array(signs)).astype(dtype)
    kernels = fastntk.mlp(depth, name, sigma_w, sigma_b).kernels(x)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    with mp.workdps(60):
        exact = [[mpf(float(v)) for v in r] for r in x]
        q = sum(v * v for v in exact[0]) / 9
        diagonal = recursion(name, depth, (sigma_w, sigma_b), q, q)
        for j in range(len(x)):
            c = sum(v * w for v, w in zip(exact[0], exact[j], strict=True)) / 9
            truth = recursion(name, depth, (sigma_w, sigma_b), q, c)
            for kernel, value, scale in zip(kernels, truth, diagonal, strict=True):
                assert abs(mpf(float(kernel[0, j])) - value) <= tolerance * scale, j
    for kernel in kernels:
        np.testing.assert_array_equal(kernel[0, 1], kernel[0, 0])


def test_the_diagonal_of_a_thousand_rows_on_the_sphere() -> None:
    """A network whose NTK falls from 1.44e18 to 0.01 before any gap that a fit would look at."""
    x = np.random.default_rng(0).normal(size=(1000, 6))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x[1] = x[0]
    for dtype in ("float32", "float64"):
        nngp, ntk = fastntk.mlp(20, "rbf", 2.0, 0.1).kernels(x, dtype=dtype)
        theta = 4 * (1 / 6) + 0.01
        for _ in range(20):
            theta = 4.01 + 4 * 2 * theta
        for at in ((0, 0), (0, 1), (1, 0), (999, 999)):
            assert nngp[at] == pytest.approx(4.01, rel=1e-6)
            assert ntk[at] == pytest.approx(theta, rel=1e-6)
        assert theta == pytest.approx(1.44e18, rel=1e-3)


def _case(rng: np.random.Generator) -> tuple[str, int, float, float, str, bool]:
    name = str(rng.choice([name for name in REGISTRY if name != "exp"]))  # exp is out of range at once
    unit = name not in HOMOGENEOUS or bool(rng.integers(2))
    return (
        name,
        int(rng.choice([2, 3, 20] if name in CLOSED else [2, 3, 6])),
        float(rng.choice([0.5, 1.0, 1.4, 2.0])),
        float(rng.choice([0.0, 0.1, 1.0])) if unit else 0.0,
        str(rng.choice(["float32", "float64"])),
        unit,
    )


@pytest.mark.filterwarnings("ignore::fastntk.ToleranceWarning")
def test_every_activation_is_fitted_right_or_not_at_all() -> None:
    """Random networks on rows of equal norm, homogeneous ones on any rows."""
    rng = np.random.default_rng(0)
    wrong, fitted = [], set()
    for trial in range(150):
        name, depth, sigma_w, sigma_b, dtype, unit = case = _case(rng)
        activation = Activation(name, **REQUIRED.get(name, {}))
        net, x = fastntk.mlp(depth, activation, sigma_w, sigma_b), rows(trial, dtype, unit=unit)
        try:
            one, layers = net.kernels(x), net.kernels(x, univariate=False)
        except ValueError as error:
            assert "range" in str(error) or "accepts up to" in str(error)  # noqa: PT017
            continue
        if np.array_equal(one.nngp, layers.nngp) and np.array_equal(one.ntk, layers.ntk):
            continue
        fitted.add(name)
        exact = net.kernels(x, univariate=False, dtype="float64")
        allowed = max(STATED[dtype], 2e-10 if type(activation._dual).__name__ == "Expanded" else 0.0) + ROUNDING[dtype]
        for kernel, truth, diagonal in zip(one, exact, (net.nngp.diag(x), net.ntk.diag(x)), strict=True):
            np.testing.assert_array_equal(kernel, kernel.T)
            worst = errors(kernel, truth).max()
            own = np.abs(np.diag(kernel) - diagonal).max() / diagonal.max()
            if not worst <= allowed or not own <= 4 * np.finfo(dtype).eps:
                wrong.append((case, worst, own))
    assert not wrong
    assert {"relu", "tanh", "gelu", "erf", "rbf"} <= fitted
    assert len(fitted) > 25


def test_networks_that_end_in_an_activation_of_zero_slope() -> None:
    """Theta is 0, which no coefficient is needed for."""
    net = fastntk.mlp(8, "sign")[:-1]
    assert not net.ntk(rows(0, "float64", unit=True)).any()
