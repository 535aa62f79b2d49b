"""Fantasies, samples and sampled functions of inference.GaussianProcess, against its covariance."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.processes import BOTH, ERF, NETS, OPTIONS, X_TEST, Array, X, Y

from fastntk.inference import GaussianProcess

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("y", [Y, BOTH], ids=["one output", "two"])
def test_fantasies(option: str, y: Array) -> None:
    """Are what follows from each draw, with the mean and the units of the process that they are of."""
    model = GaussianProcess(ERF, X, y, **OPTIONS[option])
    new, noise = X_TEST[:2], 0.03 if option == "each its noise" else None
    draws = RNG.normal(size=(4, 2, *y.shape[1:]))
    futures = model.fantasize(new, draws, noise=noise)
    assert futures.y.shape == (32, draws[0, 0].size * 4)
    found = futures.predict(X_TEST[2:])
    few, many = futures.predict(X_TEST[:3], gradient=True), futures.predict(np.tile(X_TEST[:3], (4, 1)), gradient=True)
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other[:3], rtol=1e-9, atol=1e-9 * np.abs(other).max())
    # The same by the covariance: mean + C(x, new) (C(new, new) + noise)⁻¹ (draw - mean(new)).
    prior = model.predict(X_TEST, covariance=True)
    unit: Array = GaussianProcess(ERF, X, Y, noise=model.noise).predict(X_TEST, covariance=True).covariance
    level = 0.01 if noise is None else noise
    gain = unit[2:, :2] @ np.linalg.inv(unit[:2, :2] + level * np.eye(2))
    means = np.stack([prior.mean[2:] + gain @ (draw - prior.mean[:2]) for draw in draws], axis=1).reshape(5, -1)
    np.testing.assert_allclose(found.mean, means, rtol=1e-8)
    std = np.sqrt(np.diag(unit[2:, 2:] - gain @ unit[:2, 2:]))
    np.testing.assert_allclose(found.std, np.multiply.outer(std, np.tile(model.scale, 4)), rtol=1e-8)
    again = futures.condition(new, futures.y[:2] * 0 + 1, noise=0.1)  # keeps them too
    np.testing.assert_array_equal(again.constant, futures.constant)


def test_fantasies_are_drawn_with_noise() -> None:
    """Of the posterior of new targets."""
    model = GaussianProcess(ERF, X, Y, noise=0.05, standardize=True)
    draws = model.fantasize(X_TEST[:1], 4000, rng=0).y[-1]
    mean, std = model.predict(X_TEST[:1])
    total = np.hypot(std[0], np.sqrt(0.05) * model.scale)
    assert abs(draws.mean() - mean[0]) < 5 * total / np.sqrt(4000)
    assert abs(draws.std() / total - 1) < 5 / np.sqrt(8000)


def test_samples() -> None:
    """Have the posterior's mean and covariance."""
    model = GaussianProcess(ERF, X, BOTH, noise=0.05, standardize=True)
    draws = model.sample(X_TEST[:3], 5000, rng=0)
    assert draws.shape == (5000, 3, 2)
    mean, covariance = model.predict(X_TEST[:3], covariance=True)
    deviation = np.sqrt(np.einsum("iik->ik", covariance))
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * deviation / np.sqrt(5000)).all()
    for output in range(2):
        found = np.cov(draws[:, :, output].T)
        bound = 5 * np.outer(deviation[:, output], deviation[:, output]) * np.sqrt(2 / 5000)
        assert (np.abs(found - covariance[..., output]) < bound).all()
    products = np.prod((draws[:, 0] - mean[0]) / deviation[0], axis=1)
    assert abs(products.mean()) < 5 / np.sqrt(5000)  # outputs are independent
    assert model.sample(X_TEST, 0).shape == (0, 7, 2)
    assert model.sample(np.empty((0, 3)), 4).shape == (4, 0, 2)


@pytest.mark.parametrize("option", ["plain", "both"])
def test_sampled_function_is_drawn_given_what_it_said(option: str) -> None:
    """Every new value is the mean given all before, taken as observed without noise, and a normal number of its own."""
    model = GaussianProcess(ERF, X, Y, noise=0.05, **OPTIONS[option])
    function, numbers = model.sample_function(rng=5), np.random.default_rng(5)
    keep = model.fantasize(X_TEST[:1], function(X_TEST[:1])[None], noise=0.0)
    mean, std = model.predict(X_TEST[:1])
    assert function(X_TEST[:1])[0] == pytest.approx(mean[0] + std[0] * numbers.standard_normal(), rel=1e-9)
    for i in range(1, 7):
        mean, std = keep.predict(X_TEST[[i]])
        value = function(X_TEST[[i]])
        assert value[0] == pytest.approx(mean[0, 0] + std[0, 0] * numbers.standard_normal(), rel=1e-7)
        keep = keep.condition(X_TEST[[i]], value[:, None], noise=0.0)


def test_sampled_function_remembers() -> None:
    """The same values whatever they are asked with, through pickle, from several threads; at data without noise."""
    model = GaussianProcess(ERF, X, BOTH, noise=0.0, standardize=True)
    function = model.sample_function(rng=0)
    first = function(X_TEST)
    assert first.shape == (7, 2)
    again = function(np.concatenate((X_TEST[::-1], X_TEST[:2] + 1, X_TEST[:1])))
    np.testing.assert_array_equal(again[6::-1], first)
    np.testing.assert_array_equal(again[-1], first[0])
    assert len(np.unique(again, axis=0)) == 9
    other = pickle.loads(pickle.dumps(function))
    np.testing.assert_array_equal(other(X_TEST), first)
    np.testing.assert_array_equal(other(X_TEST + 2), function(X_TEST + 2))
    np.testing.assert_allclose(function(X[:3]), BOTH[:3], rtol=1e-5)
    np.testing.assert_array_equal(function([[0.0, 1.0, 2.0]]), function([[-0.0, 1.0, 2.0]]))
    with ThreadPoolExecutor(4) as pool:
        values = list(pool.map(function, [X_TEST - 3] * 8))
    assert all(np.array_equal(value, values[0]) for value in values)
    assert function(np.empty((0, 3))).shape == (0, 2)
    with pytest.raises(ValueError, match=r"X has samples of shape \(2,\), but the function is of \(3,\)"):
        function(X[:, :2])


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh"])
def test_sampled_function_is_smooth(activation: str) -> None:
    """On a grid much finer than the data can tell apart, asked in no order."""
    model = GaussianProcess(NETS[activation], X[:, :1], Y, noise=1e-3)
    grid = np.linspace(-1, 1, 401)[:, None]
    function, values = model.sample_function(rng=1), np.empty(401)
    for part in np.array_split(np.random.default_rng(0).permutation(401), 7):
        values[part] = function(grid[part])
    mean, std = model.predict(grid)
    assert np.abs((values - mean) / std).max() < 5
    if activation != "relu":
        assert np.abs(np.diff(values, 4)).max() < 1e-4
