"""Regression on values and gradients: against the dense formula with finite differences, and what it must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Activation, Dense, Product, Residual, Sequential, mlp
from fastntk.activations.registry import REGISTRY
from fastntk.inference import DerivativePosterior, derivative_posterior, gp_posterior

Array = NDArray[np.float64]

rng = np.random.default_rng(0)
X, X_OTHER, X_TEST = rng.normal(size=(6, 2)), rng.normal(size=(4, 2)), rng.normal(size=(5, 2))
NETS = {
    "erf": mlp(2, "erf", 1.6, 0.5),
    "relu": mlp(2, "relu", 1.4, 0.4),
    "branches": Sequential(Dense(1.3, 0.4), Residual("gelu", Dense(1.1, 0.1)), "erf", Dense(1.2, 0.2)),
}


def function(x: Array) -> Array:
    """To be learned."""
    return np.asarray(np.sin(2 * x[:, 0]) + x[:, 0] * x[:, 1])


def gradient(x: Array) -> Array:
    """Of it."""
    return np.stack((2 * np.cos(2 * x[:, 0]) + x[:, 1], x[:, 0]), axis=1)


def dense(net: Sequential, values: Array, slopes: Array, h: float = 0.01) -> tuple[Array, Array]:
    """Kernel of values at X and gradients at `slopes` with themselves, and that with tests, by differences."""
    weights = {1: 45, 2: -9, 3: 1}
    shifts = np.concatenate([side * step * h * np.eye(2)[None] for step in weights for side in (1, -1)])
    factors = np.array([side * weight / (60 * h) for weight in weights.values() for side in (1, -1)])

    def spread(at: Array) -> tuple[Array, Array]:
        """Rows around those of `at`, and the matrix that makes derivatives of values there."""
        rows = (at[:, None, None] + shifts[None]).reshape(-1, 2)
        return rows, np.kron(np.eye(len(at)), np.einsum("s,ab->asb", factors, np.eye(2)).reshape(2, -1))

    def observed(at: Array, slopes_at: Array) -> tuple[Array, Array]:
        rows, differences = spread(slopes_at)
        maker = np.zeros((len(at) + len(differences), len(at) + len(rows)))
        maker[: len(at), : len(at)] = np.eye(len(at))
        maker[len(at) :, len(at) :] = differences
        return np.concatenate((at, rows)), maker

    rows, maker = observed(values, slopes)
    test_rows, test_maker = observed(X_TEST, X_TEST)
    train = maker @ net.nngp(rows) @ maker.T
    return train, test_maker @ net.nngp(test_rows, rows) @ maker.T


def check(found: DerivativePosterior, mean: Array, variance: Array, tolerance: float) -> None:
    """Values, then gradients."""
    m, scale = len(found.mean), np.abs(mean).max()
    np.testing.assert_allclose(found.mean, mean[:m], atol=tolerance * scale)
    np.testing.assert_allclose(found.gradient.ravel(), mean[m:], atol=tolerance * scale)
    np.testing.assert_allclose(found.variance, variance[:m], atol=tolerance * variance.max())
    np.testing.assert_allclose(found.gradient_variance.ravel(), variance[m:], atol=tolerance * variance.max())


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("name", ["erf", "branches"])
def test_the_dense_formula(name: str, elsewhere: bool) -> None:
    """With covariances by finite differences, and noise of every kind."""
    net, at = NETS[name], X_OTHER if elsewhere else X
    noise, slope_noise = rng.uniform(0.01, 0.1, 6), rng.uniform(0.01, 0.1, at.shape)
    train, cross = dense(net, X, at)
    known = np.concatenate((function(X), gradient(at).ravel()))
    noisy = train + np.diag(np.concatenate((noise, slope_noise.ravel())))
    prior = dense(net, X_TEST, X_TEST)[0].diagonal()
    variance = prior - np.einsum("ij,ij->i", cross, np.linalg.solve(noisy, cross.T).T)
    found = derivative_posterior(
        *(net, X, function(X), gradient(at), X_TEST),
        X_gradients=X_OTHER if elsewhere else None, noise=noise, gradient_noise=slope_noise,
    )  # fmt: skip
    assert found.jitter == 0
    check(found, cross @ np.linalg.solve(noisy, known), variance, 1e-6)


@pytest.mark.parametrize("name", NETS)
def test_of_values_alone(name: str) -> None:
    """The posterior of the function is that of `gp_posterior`; its gradient is the mean's."""
    net, h = NETS[name], 1e-5
    found = derivative_posterior(net, X, function(X), None, X_TEST, noise=0.1)
    plain = gp_posterior(net.nngp(X), function(X), net.nngp(X_TEST, X), net.nngp(X_TEST), noise=0.1)
    np.testing.assert_allclose(found.mean, plain.mean, rtol=1e-11)
    np.testing.assert_allclose(found.variance, plain.variance, atol=1e-12)
    for a in range(2):
        ends = (
            derivative_posterior(net, X, function(X), None, X_TEST + side * np.eye(2)[a], noise=0.1) for side in (h, -h)
        )
        above, below = (end.mean for end in ends)
        np.testing.assert_allclose(found.gradient[:, a], (above - below) / (2 * h), atol=1e-6)


def test_values_where_nothing_varies() -> None:
    """At 0, of a network without biases, a noisy value tells nothing of any other."""
    net = mlp(2, "erf", 1.6)
    with_zero = derivative_posterior(
        net, np.vstack((X, np.zeros((1, 2)))), [*function(X), 7.0], gradient(X), X_TEST, X_gradients=X, noise=0.1
    )
    without = derivative_posterior(net, X, function(X), gradient(X), X_TEST, noise=0.1)
    for name in ("mean", "variance", "gradient", "gradient_variance"):
        np.testing.assert_allclose(getattr(with_zero, name), getattr(without, name), rtol=1e-9)


@pytest.mark.parametrize("name", NETS)
def test_without_noise_it_interpolates(name: str) -> None:
    """Values and gradients, and is certain of them."""
    net = NETS[name]
    found = derivative_posterior(net, X, function(X), gradient(X), X)
    np.testing.assert_allclose(found.mean, function(X), atol=1e-7)
    np.testing.assert_allclose(found.gradient, gradient(X), atol=1e-7)
    assert 0 <= found.variance.min() <= found.variance.max() < 1e-8
    assert 0 <= found.gradient_variance.min() <= found.gradient_variance.max() < 1e-8
    only = derivative_posterior(net, X, None, gradient(X), X)
    np.testing.assert_allclose(only.gradient, gradient(X), atol=1e-7)


@pytest.mark.parametrize("name", NETS)
def test_gradients_help(name: str) -> None:
    """They make predictions better, and more certain of every value and partial derivative."""
    known = np.random.default_rng(3).uniform(-1.5, 1.5, size=(25, 2))
    test = np.random.default_rng(4).uniform(-1.2, 1.2, size=(100, 2))
    net = NETS[name]
    alone = derivative_posterior(net, known, function(known), None, test, noise=1e-6)
    both = derivative_posterior(net, known, function(known), gradient(known), test, noise=1e-6, gradient_noise=1e-6)
    for what, wanted in (("mean", function(test)), ("gradient", gradient(test))):
        without, with_them = (np.square(getattr(found, what) - wanted).mean() for found in (alone, both))
        assert with_them < without / 2
    assert (both.variance < alone.variance + 1e-9).all()
    assert (both.gradient_variance < alone.gradient_variance + 1e-9).all()


def test_near_duplicates_of_relu() -> None:
    """Two rows next to each other say what one does: nothing blows up as they meet."""
    net = NETS["relu"]
    once = derivative_posterior(net, X, function(X), gradient(X), X_TEST, noise=1e-3, gradient_noise=1e-3)
    for distance in (1e-3, 1e-5, 1e-7, 1e-9, 0.0):
        near = np.concatenate((X, X[:1] + distance * np.array([0.6, -0.8])))
        noise = np.full(7, 1e-3)
        noise[[0, 6]] = 2e-3
        slope_noise = np.repeat(noise[:, None], 2, axis=1)
        twice = derivative_posterior(
            net, near, function(near), gradient(near), X_TEST, noise=noise, gradient_noise=slope_noise
        )
        tolerance = 10 * distance + 1e-10
        for what in ("mean", "variance", "gradient", "gradient_variance"):
            np.testing.assert_allclose(getattr(twice, what), getattr(once, what), atol=tolerance)
    close = np.concatenate((X, X[:1] + 1e-4))
    found = derivative_posterior(net, close, function(close), gradient(close), X_TEST)
    assert np.abs(found.mean - once.mean).max() < 1


def test_units_do_not_matter() -> None:
    """Of inputs in which gradients are large or small numbers."""
    net = mlp(2, "relu", 1.4, 0.0)  # homogeneous
    plain = derivative_posterior(net, X, function(X), gradient(X), X_TEST, noise=1e-4, gradient_noise=1e-4)
    for unit in (1e-5, 1e5):
        found = derivative_posterior(
            *(net, unit * X, unit * function(X), gradient(X), unit * X_TEST),
            noise=1e-4 * unit**2, gradient_noise=1e-4,
        )  # fmt: skip
        np.testing.assert_allclose(found.mean, unit * plain.mean, rtol=1e-9)
        np.testing.assert_allclose(found.gradient, plain.gradient, rtol=1e-9)
        np.testing.assert_allclose(found.gradient_variance, plain.gradient_variance, atol=1e-12)


def test_jitter() -> None:
    """As of `gp_posterior`, relative to the prior variances."""
    net, twice = NETS["erf"], np.concatenate((X, X))
    with pytest.raises(np.linalg.LinAlgError, match="jitter='auto'"):
        derivative_posterior(net, twice, function(twice), gradient(twice), X_TEST)
    found = derivative_posterior(net, twice, function(twice), gradient(twice), X_TEST, jitter="auto")
    assert 0 < found.jitter < 1e-10
    plain = derivative_posterior(net, X, function(X), gradient(X), X_TEST)
    np.testing.assert_allclose(found.mean, plain.mean, atol=1e-5)
    np.testing.assert_allclose(found.gradient, plain.gradient, atol=1e-4)
    assert str(found).startswith("DerivativePosterior(")


def test_jumps() -> None:
    """Found in those that have them, and in no other."""
    arguments: dict[str, dict[str, Any]] = {
        "abrelu": {"a": -0.5, "b": 2.0},
        "monomial": {"degree": 3},
        "polynomial": {"coefficients": (0.3, -1.0, 0.5)},
        "hermite": {"degree": 2},
    }
    jump = {name for name in REGISTRY if not Activation(name, **arguments.get(name, {})).is_continuous}
    assert jump == {"step", "sign", "hard_shrink", "exp_normalized"}  # the last is of no known function
    assert not Activation("rectified_monomial", degree=0).is_continuous
    assert Activation("monomial", degree=0).is_continuous
    assert not Activation(lambda x: np.floor(3 * x) / 3 + x, name="stairs").is_continuous
    assert Activation(lambda x: np.sqrt(x * x + 1e-6), name="nearly abs").is_continuous
    assert not Activation("hard_shrink", threshold=2.0).is_continuous
    assert Activation.piecewise_linear([-1.0], [0.2, 1.0]).is_continuous


def test_errors() -> None:
    """One clear sentence each."""
    net, y, g = NETS["erf"], function(X), gradient(X)
    gated = Sequential(Dense(1.0, 0.1), Product(Dense(), Sequential(Dense(1.0, 0.1), "step")), Dense())
    wrong: list[tuple[Any, type[Exception], str]] = [
        (lambda: derivative_posterior(gated, X, y, g, X_TEST), ValueError, "'step'.* jumps"),
        (
            lambda: derivative_posterior(mlp(1, "exp_normalized"), X, y, g, X_TEST),
            ValueError,
            "without a known function",
        ),
        (lambda: derivative_posterior(net, X, None, None, X_TEST), ValueError, "at least one is needed"),
        (lambda: derivative_posterior(net, X[:0], y[:0], g[:0], X_TEST), ValueError, "at least one value"),
        (lambda: derivative_posterior(net, X, y[:3], g, X_TEST), ValueError, r"y must have shape \(6,\)"),
        (lambda: derivative_posterior(net, X, y, g[:3], X_TEST), ValueError, r"gradients must have shape \(6, 2\)"),
        (lambda: derivative_posterior(net, X, y, None, X_TEST, X_gradients=X), ValueError, "no gradients are"),
        (lambda: derivative_posterior(net, X, y, g, X_TEST, X_gradients=X[:, :1]), ValueError, "same number"),
        (lambda: derivative_posterior(net, X, y, g, X_TEST[:, :1]), ValueError, "X has 2 features but X_test has 1"),
        (lambda: derivative_posterior(net.nngp, X, y, g, X_TEST), TypeError, "net must be a fastntk.Sequential"),  # type: ignore[arg-type]
        (
            lambda: derivative_posterior(net, X[[0, 0]], y[[0, 0]], g[[0, 0]], X_TEST),
            np.linalg.LinAlgError,
            r"the covariance of 2 values and then 4 derivatives is singular to working precision: rows 0 and 1; rows 2 "
            r"and 4; rows 3 and 5 are duplicates\. Pass noise= and gradient_noise= > 0",
        ),
        (lambda: derivative_posterior(net, X, y, g, X_TEST, noise=-1.0), ValueError, "noise must be"),
        (
            lambda: derivative_posterior(net, X, y, g, X_TEST, noise=np.ones(3)),
            ValueError,
            r"noise must be a number or",
        ),
        (lambda: derivative_posterior(net, X, y, g, X_TEST, gradient_noise=-(g**2)), ValueError, "variances >= 0"),
        (lambda: derivative_posterior(net, X, y * np.nan, g, X_TEST), ValueError, "y contains nan"),
        (lambda: derivative_posterior(net, X, y, g * np.inf, X_TEST), ValueError, "gradients contains"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()
