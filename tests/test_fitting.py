"""Fitting hyper-parameters by marginal likelihood."""

from __future__ import annotations

import numpy as np
import pytest

import fastntk
from fastntk import Activation, Dense, Sequential, mlp
from fastntk.inference import FitWarning, fit_marginal_likelihood, gp_posterior, log_marginal_likelihood
from fastntk.inference.fitting.sigmas import Sigmas

rng = np.random.default_rng(0)
TRUTH = mlp(2, "erf", 1.8, 0.5)
X = rng.normal(size=(300, 2))
NOISE = 0.03
Y = np.linalg.cholesky(TRUTH.nngp(X) + NOISE * np.eye(300)) @ rng.normal(size=(300, 4))


def test_the_truth_is_found() -> None:
    """Data drawn from the prior: a start far away, and the likelihood of the truth is passed."""
    seen: list[float] = []
    fit = fit_marginal_likelihood(mlp(2, "erf", 0.7, 2.0), X, Y, noise=1.0, callback=lambda *a: seen.append(a[2]))
    assert fit.converged
    assert fit.log_marginal_likelihood >= log_marginal_likelihood(TRUTH.nngp(X), Y, NOISE)
    np.testing.assert_allclose(fit.noise, NOISE, rtol=0.1)
    found = fit.network[0]
    assert isinstance(found, Dense)
    np.testing.assert_allclose([found.sigma_w, found.sigma_b], [1.8, 0.5], rtol=0.25)
    assert fit.network[2:3] == Sequential(found)
    np.testing.assert_array_equal(fit.history, seen)
    assert fit.evaluations == len(seen) < 60


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_it_is_a_maximum(kind: str) -> None:
    """In every parameter of every layer, a step either way is worse; what was 0 stays 0."""
    net = Sequential(Dense(1.2, 0.3), Activation("relu"), Dense(1.5, 0.0))
    fit = fit_marginal_likelihood(net, X[:80], Y[:80], hyperparameters="all", kind=kind, tolerance=1e-7)  # type: ignore[arg-type]
    first, act, last = fit.network
    assert isinstance(first, Dense)
    assert isinstance(last, Dense)
    assert last.sigma_b == 0

    def value(a: float, b: float, c: float, noise: float) -> float:
        moved = Sequential(Dense(a, b), act, Dense(c, 0.0))
        kernel = moved.nngp(X[:80]) if kind == "nngp" else moved.ntk(X[:80])
        return log_marginal_likelihood(kernel, Y[:80], noise)

    at = np.array([first.sigma_w, first.sigma_b, last.sigma_w, fit.noise])
    np.testing.assert_allclose(value(*at), fit.log_marginal_likelihood, rtol=1e-12)
    for k in range(4):
        for factor in (0.9, 1.1):
            moved = at.copy()
            moved[k] *= factor
            assert value(*moved) < fit.log_marginal_likelihood


def test_layers_that_differ_keep_their_ratios() -> None:
    """One factor for all sigma_w, one for all sigma_b."""
    net = Sequential(Dense(1.0, 0.2), Activation("tanh"), Dense(2.0, 0.1, trainable=False))
    fit = fit_marginal_likelihood(net, X[:60], Y[:60, 0], output_scale=False)
    first, _, last = fit.network
    assert isinstance(first, Dense)
    assert isinstance(last, Dense)
    np.testing.assert_allclose([last.sigma_w / first.sigma_w, last.sigma_b / first.sigma_b], [2.0, 0.5], rtol=1e-12)
    assert not last.trainable
    fixed = fit_marginal_likelihood(net, X[:60], Y[:60, 0], noise=0.5, noise_bounds="fixed", output_scale=False)
    assert fixed.noise == 0.5


def test_bounds_of_layers_that_differ() -> None:
    """Are those of each: the smallest sigma_w gets to the lower one, the largest to the upper one."""
    net = mlp(2, "erf", [1.0, 2.0, 0.5], 0.1)
    for which, count in (("shared", 2), ("all", 6)):
        sigmas = Sigmas(net, (0.25, 4.0), (0.01, 1.0), which)  # type: ignore[arg-type]
        assert len(sigmas) == count
        low, high = np.transpose(sigmas.bounds)
        for theta, pick, ends in ((low, min, (0.25, 0.01)), (high, max, (4.0, 1.0))):
            values = [value for *_, value in sigmas.network(theta).parameters]
            np.testing.assert_allclose([pick(values[::2]), pick(values[1::2])], ends, rtol=1e-12)


def test_what_is_fitted_predicts() -> None:
    """Better than where it began, on samples left out."""
    x = rng.uniform(-2, 2, size=(80, 1))
    f = np.sin(2 * x[:, 0])
    y = f + 0.1 * rng.normal(size=80)
    errors = []
    with pytest.warns(FitWarning, match="sigma_b ended at its lower bound"):  # of an odd function
        fit = fit_marginal_likelihood(mlp(1, "erf", 1.0, 1.0), x[:40], y[:40])
    for net, noise in ((mlp(1, "erf", 1.0, 1.0), 1e-2), (fit.network, fit.noise)):
        mean = gp_posterior(net.nngp(x[:40]), y[:40], net.nngp(x[40:], x[:40]), noise=noise).mean
        errors.append(float(np.sqrt(np.mean((mean - f[40:]) ** 2))))
    assert errors[1] < 0.7 * errors[0]
    assert errors[1] < 0.06


def test_errors() -> None:
    """One clear sentence each."""
    net = mlp(1, "relu", 1.0, 0.1)
    with pytest.raises(ValueError, match="noise must be > 0"):
        fit_marginal_likelihood(net, X, Y, noise=0.0)
    with pytest.raises(ValueError, match="y must have shape"):
        fit_marginal_likelihood(net, X, Y[:5])
    with pytest.raises(ValueError, match="kind must be 'nngp' or 'ntk'"):
        fit_marginal_likelihood(net, X, Y, kind="rbf")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing to fit"):
        fit_marginal_likelihood(mlp(1, "relu", 0.0, 0.0), X, Y, noise=1.0, noise_bounds="fixed", output_scale=False)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        fit_marginal_likelihood(fastntk.mlp(0), 1e12 * X, Y, noise=1e-9, noise_bounds="fixed", output_scale=False)
