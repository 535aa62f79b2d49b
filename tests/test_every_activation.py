"""All named activations alike: stacks of them in float32, no samples at all, antipodes; and results of every layout."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import fastntk
from fastntk import Activation, Dense, LayerNorm, Sequential, mlp
from fastntk._checks.arrays import repeats_memory
from fastntk.activations import expansion
from fastntk.activations.registry import REGISTRY

REQUIRED: dict[str, dict[str, Any]] = {
    "abrelu": {"a": -0.3, "b": 1.2},
    "monomial": {"degree": 3},
    "polynomial": {"coefficients": (0.1, 0.5, -0.3)},
    "hermite": {"degree": 3},
}
ALL = [Activation(name, **REQUIRED.get(name, {})) for name in REGISTRY]
EMPTY, X = np.zeros((0, 4)), np.random.default_rng(0).normal(size=(3, 4))
ODD = (
    "identity",
    "sign",
    "erf",
    "sin",
    "tanh",
    "hard_tanh",
    "soft_shrink",
    "hard_shrink",
    "gabor",
    "monomial",
    "hermite",
)
EVEN = ("abs", "cos", "gaussian")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("act", ALL, ids=repr)
def test_behind_what_divides_by_a_variance(act: Activation, dtype: str) -> None:
    """A tile has, past its samples, what is no number then: every sample with itself is as `diag` has it."""
    net = Sequential(Dense(1.3, 0.2), "relu", LayerNorm(), Dense(1.2, 0.1), act, Dense(1.1, 0.1))
    for n in (1, 5, 49):
        x = np.random.default_rng(3).normal(size=(n, 16)).astype(dtype)
        for kernel, of in zip(net.kernels(x), (net.nngp, net.ntk), strict=True):
            np.testing.assert_allclose(kernel.diagonal(), of.diag(x), rtol=1e-6 if dtype == "float32" else 1e-9)


def test_stacks_in_float32() -> None:
    """Two to four of them between random layers: as in float64, to the accuracy of expansions, or refused."""
    rng = np.random.default_rng(0)
    wrong, compared = [], 0
    for _ in range(60):
        layers: list[Any] = []
        for _ in range(rng.integers(2, 5)):
            layers += [
                Dense(float(np.exp(0.5 * rng.normal())), float(rng.choice([0, 0.1, 1]))),
                ALL[rng.integers(len(ALL))],
            ]
        net = Sequential(*layers, Dense(1.0, float(rng.choice([0, 0.1]))))
        x = rng.normal(size=(6, 4))
        x[1], x[2], x[3] = x[0], -x[0], x[0] * (1 + 1e-3 * rng.normal(size=4))
        x = x.astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastntk.ToleranceWarning)
            try:
                found = net.kernels(x)
            except ValueError as error:
                assert "range" in str(error) or "accepts up to" in str(error)  # noqa: PT017
                continue
            exact = net.kernels(x, dtype="float64")
        compared += 1
        for kernel, truth in zip(found, exact, strict=True):
            s = np.sqrt(np.diag(truth))
            worst = (np.abs(kernel - truth) / np.outer(s, s)).max()
            if not worst <= 2e-5:
                wrong.append((net, worst))
    assert not wrong
    assert compared > 40


def test_far_kinks_in_float32(error_in_float32: Any) -> None:
    """Most of soft_shrink is 0 where variances are small; its density there is no number of float32."""
    shrink, alone = Activation("soft_shrink"), 0
    net = Sequential(Dense(), shrink, Dense(), Activation("gabor"), Dense(), shrink, Dense())
    for scale in np.geomspace(0.1, 10, 30):
        error = error_in_float32(net, (scale * X).astype(np.float32))
        alone += error is None
        assert error is None or error <= 1e-5
    assert 5 < alone < 25


@pytest.mark.parametrize("activation", ALL, ids=repr)
def test_no_samples(activation: Activation) -> None:
    """Results of the right shape and not one warning, whichever side is empty."""
    net = mlp(2, activation, 0.5, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x, y, shape in ((EMPTY, None, (0, 0)), (EMPTY, X, (0, 3)), (X, EMPTY, (3, 0)), (EMPTY, EMPTY, (0, 0))):
            for dtype in ("float32", "float64"):
                assert net.nngp(x, y, dtype=dtype).shape == shape
                assert net.ntk(x, y, dtype=dtype).shape == shape
            slopes: Any = net.ntk.value_and_gradient(x, y)[1]
            assert slopes.shape == (6, *shape)
            assert not net.nngp.vjp(x, np.zeros(shape), y).any()
            assert fastntk.reference.ntk(net, x, y).shape == shape
        assert net.nngp.diag(EMPTY).shape == net.ntk.diag(EMPTY).shape == (0,)
        assert activation.dual([], [], []).shape == activation.dual_derivative([], [], []).shape == (0,)


@pytest.mark.parametrize("name", [*ODD, *EVEN])
def test_antipodes(name: str) -> None:
    """Where nothing but the sign tells inputs apart: -K(x, x) of an odd function, K(x, x) of an even one."""
    sign = -1 if name in ODD else 1
    for depth, sigma_w in ((1, 1.5), (5, 1.5), (10, 4.0)):
        for dtype in ("float32", "float64"):
            x = np.stack((X[0], -X[0])).astype(dtype)
            net = mlp(depth, Activation(name, **REQUIRED.get(name, {})), sigma_w)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", fastntk.ToleranceWarning)
                try:
                    kernels = net.kernels(x)
                except ValueError as error:
                    assert "range" in str(error) or "accepts up to" in str(error)  # noqa: PT017
                    continue
            for kernel in kernels:
                np.testing.assert_allclose(kernel[0, 1], sign * kernel[0, 0], rtol=4 * float(np.finfo(dtype).eps))


def test_results_of_every_layout() -> None:
    """0, 1 and more rows and columns, in any order; refused is only what has one place for two entries."""
    net = mlp(1, "relu")
    data = np.random.default_rng(1).normal(size=(3, 4))
    for n in range(4):
        for m in range(4):
            x, y = data[:n], data[::-1][:m]
            expected = net.ntk(x, y)
            layouts = [
                np.zeros((n, m)), np.zeros((m, n)).T, np.zeros((n, m), order="F"), np.zeros((2 * n, 3 * m))[::2, ::3],
                np.zeros((3 * m, 2 * n))[::3, ::2].T, np.zeros((n, m))[::-1, ::-1], np.zeros((m, n))[::-1].T,
                np.zeros((n, m, 2))[..., 0],
            ]  # fmt: skip
            for out in layouts:
                assert net.ntk(x, y, out=out) is out
                np.testing.assert_array_equal(out, expected)
            for strides in ((0, 0), (0, 8), (8, 0), (8, 8), (16, 8), (8, 16)):
                view = np.lib.stride_tricks.as_strided(np.zeros(16), (n, m), strides)
                places = [i * strides[0] + j * strides[1] for i in range(n) for j in range(m)]
                assert repeats_memory(view) == (len(set(places)) < len(places))


@pytest.mark.parametrize("act", ALL, ids=repr)
def test_precisions_agree(act: Activation) -> None:
    """At all correlations, antipodes too, and all variances: what is 0 but for rounding has no sign of its own."""
    near = np.logspace(-6, -2, 20)
    rho = np.concatenate((np.linspace(-1, 1, 41), near - 1, 1 - near))
    x, Y = np.array([[1, 0]], np.float32), np.stack((rho, np.sqrt(1 - rho**2)), axis=1).astype(np.float32)
    compared = 0
    for sigma_w in (0.3, 1.0, 2.2, 5.01, 8.0, 20.0):
        net = Sequential(Dense(sigma_w), act, Dense())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", fastntk.ToleranceWarning)
            try:
                exact, found = net.kernels(x, Y, dtype="float64"), net.kernels(x, Y)
            except ValueError:  # beyond the range of float32
                continue
        if caught:  # less than the tolerance is promised there
            continue
        compared += 1
        for i, kernel in enumerate((net.nngp, net.ntk)):
            largest = np.sqrt(kernel.diag(x, dtype="float64")[0] * kernel.diag(Y, dtype="float64"))
            assert (np.abs(found[i] - exact[i])[0] <= 6e-6 * largest).all()
    assert compared >= 2


#: With a closed form that float computes in double near duplicates and antipodes alone.
SMOOTH = [Activation(name) for name in ("gelu", "sin", "cos", "exp", "rbf", "snake", "gaussian", "gabor")]
SIGMAS = (1e-17, 1e-9, 1e-3, 0.1, 0.5, 1.0, 2.2, 5.0, 40.0, 1e6, 1e13, 1e18)
SMOOTH += [Activation("sin", b=2.0, c=0.4), Activation("smoothed_relu", s=0.3)]


@pytest.mark.parametrize("act", SMOOTH, ids=repr)
def test_smooth_activations_in_float32(act: Activation) -> None:
    """Alone and in front of a kink; what is next to a pair, computed in double or not, changes no bit of it."""
    near = np.logspace(-6, -1, 30)
    rho = np.concatenate((np.linspace(-0.9, 0.9, 80), near - 1, 1 - near, [-1, 1]))
    np.random.default_rng(2).shuffle(rho)
    x, Y = np.array([[1, 0]], np.float32), np.stack((rho, np.sqrt(1 - rho**2)), axis=1).astype(np.float32)
    compared = 0
    for sigma_w, behind in itertools.product(SIGMAS, ([], [Sequential("relu", Dense())])):
        net = Sequential(Dense(sigma_w), act, Dense(), *behind)
        try:
            exact, found = net.kernels(x, Y, dtype="float64"), net.kernels(x, Y)
        except ValueError:  # beyond the range of float32
            continue
        compared += 1
        for i, kernel in enumerate((net.nngp, net.ntk)):
            largest = np.sqrt(kernel.diag(x, dtype="float64")[0] * kernel.diag(Y, dtype="float64"))
            assert (np.abs(found[i] - exact[i])[0] <= 1e-6 * largest).all()
            every_pair_twice = kernel.prepare(Y)(Y)
            np.testing.assert_array_equal(every_pair_twice, every_pair_twice.T)
    assert compared >= 6


@pytest.mark.parametrize(
    "act", [act for act in SMOOTH if act.name != "exp"], ids=repr
)  # whose kernels are out of range
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_right_angles_between_rows_of_very_different_size(act: Activation, dtype: str) -> None:
    """Beside a bias large and small rows are as good as orthogonal; a gap beyond 1, by rounding, changes nothing."""
    local = np.random.default_rng(1)
    sizes = (1e-12, 1e-5, 1, 1e6, 1e13) if dtype == "float32" else (1e-30, 1e-10, 1, 1e10, 1e30)
    X = np.concatenate([local.normal(size=(50, 4)) * size for size in sizes]).astype(dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-7  # of the textbook form, which loses digits near duplicates
    inputs = Sequential(Dense(0.9), "relu")
    for first, sigma_b in itertools.product(([], [inputs]), (0.1, 1.0, 10.0)):
        net = Sequential(*first, Dense(0.7, sigma_b), act, Dense())
        textbook = fastntk.reference.nngp(net, X), fastntk.reference.ntk(net, X)
        for kernel, expected in zip(net.kernels(X), textbook, strict=True):
            root = np.sqrt(expected.diagonal())
            assert (np.abs(kernel - expected) <= tolerance * root[:, None] * root).all()


def test_many_expansions_are_kept() -> None:
    """A network of many functions, asked layer by layer, computes none of them again."""
    net = Sequential(Dense(), *itertools.chain(*((Activation("elu", alpha=1 + i / 100), Dense()) for i in range(70))))
    first = net.ntk([[1.0, 2.0]])
    computed = expansion.on_grid.cache_info().misses
    np.testing.assert_array_equal(Sequential(*net.layers).ntk([[1.0, 2.0]]), first)
    assert expansion.on_grid.cache_info().misses == computed


def test_gelu_of_large_rows() -> None:
    """K and Theta by what gelu and its slope differ from those of ReLU, to first order in 1 / |x|."""

    def slope(t: float) -> float:
        return float(norm.cdf(t) + t * norm.pdf(t))

    left, right = ((-40.0, 0.0), (0.0, 40.0))
    of_slope = quad(lambda t: slope(t) ** 2, *left)[0] + quad(lambda t: slope(t) ** 2 - 1, *right)[0]
    of_value = (
        quad(lambda t: (t * norm.cdf(t)) ** 2, *left)[0] - quad(lambda t: t**2 * (1 - norm.cdf(t) ** 2), *right)[0]
    )
    x = np.logspace(6, 30, 25)[:, None]
    q = x[:, 0] ** 2
    density = 1 / np.sqrt(2 * np.pi * q)
    k = q / 2 + of_value * density
    for kernel, wanted in zip(mlp(1, "gelu").kernels(x), (k, k + q * (0.5 + of_slope * density)), strict=True):
        np.testing.assert_allclose(kernel.diagonal(), wanted, rtol=2e-14)


@pytest.mark.parametrize("act", [act for act in SMOOTH if act.name != "exp"], ids=repr)
def test_rows_of_any_size_with_themselves(act: Activation) -> None:
    """On the diagonal are the numbers of `diag`, which has them in more than double."""
    x, net = np.logspace(-3, 30, 67)[:, None], mlp(1, act)
    for kernel, of in zip(net.kernels(x), (net.nngp, net.ntk), strict=True):
        np.testing.assert_allclose(kernel.diagonal(), of.diag(x), rtol=2e-14)


@pytest.mark.parametrize("sigma_w", [1.0, 5.01, 7.0, 20.0])
def test_far_points_of_rbf(sigma_w: float) -> None:
    """K = exp(-sigma_w^2 (1 - rho)) of points of length 1 in the plane, and Theta = K (1 + sigma_w^2 rho)."""
    rho = np.concatenate((np.linspace(-1, 1, 401), np.logspace(-8, -1, 50) - 1))
    x, Y = np.array([[1.0, 0.0]]), np.stack((rho, np.sqrt(1 - rho**2)), axis=1)
    found = Sequential(Dense(sigma_w), "rbf", Dense()).kernels(x, Y)
    expected = np.exp(-(sigma_w**2) * (1 - rho))
    np.testing.assert_allclose(found.nngp[0], expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.ntk[0], expected * (1 + sigma_w**2 * rho), rtol=0, atol=1e-14 * (1 + sigma_w**2))
