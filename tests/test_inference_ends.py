"""What inference does at its ends: threads, tiny and huge times, fantasies, float32, draws of all sizes."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import inference, solvers
from fastntk._checks.caller import warn, without
from fastntk.inference import CrossEntropy, GaussianProcess, GradientFlow, functional, functional_flow, gp_posterior
from fastntk.inference.precision import PrecisionWarning
from fastntk.networks import text

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, size=(25, 1))
Y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=25)
NET = fastntk.mlp(1, "erf", 1.5, 0.5)


@pytest.mark.filterwarnings("ignore")
def test_filters_of_warnings_are_those_of_all_threads() -> None:
    """None of them is of our kinds while something is fitted."""
    seen: list[Any] = []
    inference.fit_marginal_likelihood(NET, X, Y, most_evaluations=3, callback=lambda *_: seen.extend(warnings.filters))
    assert seen
    assert not [kind for kind in seen if kind[2].__module__.startswith("fastntk")]


def test_filters_of_estimators(monkeypatch: pytest.MonkeyPatch) -> None:
    """They give warnings of scikit-learn's kind in place of ours."""
    estimators = pytest.importorskip("fastntk.sklearn")
    from sklearn.exceptions import ConvergenceWarning

    filters: Any = []
    for module, name in ((solvers, "nystrom"), (estimators.gaussian_process, "fit_marginal_likelihood")):
        function = getattr(module, name)

        def same(*args: Any, function: Any = function, **options: Any) -> Any:
            assert warnings.filters[-len(filters) :] == filters
            assert not any(
                kind[0] == "ignore" and kind[2].__module__.startswith("fastntk") for kind in warnings.filters
            )
            return function(*args, **options)

        monkeypatch.setattr(module, name, same)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        filters[:] = warnings.filters
        estimators.NystromNTKRegressor(1, "erf", 1.0, 0.1, n_landmarks=10, max_iter=1, tol=1e-12).fit(X, Y)
        estimators.NNGPRegressor(1, "erf", 1.0, 0.1, optimizer="lbfgs").fit(X, Y)
    assert any(issubclass(warning.category, ConvergenceWarning) for warning in given)
    assert not any(warning.category.__module__.startswith("fastntk") for warning in given)


def test_warnings_that_are_left_out() -> None:
    """Of that kind, and within."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        with without(RuntimeWarning), without(DeprecationWarning):
            warn("within", RuntimeWarning)
            warn("within", DeprecationWarning)
            warn("of another kind", FutureWarning)
        warn("after", RuntimeWarning)
    assert [str(warning.message) for warning in given] == ["of another kind", "after"]


def test_networks_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused by a filter while one is read stays refused if another is read meanwhile."""
    parse = ast.parse

    def locked(*args: Any, **options: Any) -> Any:
        assert text._ONE_BY_ONE.locked()
        return parse(*args, **options)

    monkeypatch.setattr(ast, "parse", locked)
    assert fastntk.network("mlp(1)") == fastntk.mlp(1)


@pytest.mark.parametrize("end", [1e-290, 1e-160, 1e-3, 1.0, 30.0])
def test_flows_to_all_times(end: float) -> None:
    """A linear one, beside its closed form."""
    theta, times = np.array([[2.0, 1.0], [1.0, 2.0]]), end * np.array([0.25, 1.0])
    found = functional_flow(theta, lambda f: f - 1, times, f0_train=np.zeros(2), atol=1e-12).train
    np.testing.assert_allclose(found, np.repeat(-np.expm1(-3 * times)[:, None], 2, axis=1), rtol=1e-5)


def test_flows_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """End with a sentence."""
    monkeypatch.setattr(functional, "_MOST_EVALUATIONS", 1000)
    with pytest.raises(RuntimeError, match=r"after 1000 gradients it has not reached t = 1;"):
        functional_flow(1e200 * np.eye(2), lambda f: f - 1, 1.0, f0_train=np.zeros(2))


def test_functions_that_change_what_they_get() -> None:
    """Change their own copy."""

    def in_place(f: Any) -> Any:
        f -= 1
        return f

    def spread(f: Any) -> float:
        return float((in_place(f) ** 2).sum())

    theta, start, times = NET.ntk(X[:4]), np.zeros(4), [0.5, 1.0]
    found, expected = (
        functional_flow(theta, gradient, times, f0_train=start, cost=cost)
        for gradient, cost in ((in_place, spread), (lambda f: f - 1, lambda f: float(((f - 1) ** 2).sum())))
    )
    np.testing.assert_array_equal(found.train, expected.train)
    np.testing.assert_array_equal(found.cost, expected.cost)


def test_classes_beside_probabilities() -> None:
    """Are as many."""
    assert repr(CrossEntropy([[0.5, 0.5]], classes=2)) == "CrossEntropy(1 samples, 2 classes)"
    with pytest.raises(ValueError, match="probability of 2 classes, not of classes=3"):
        CrossEntropy([[0.5, 0.5]], classes=3)


@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")
def test_fit_of_a_fantasy() -> None:
    """Is of the model it has: the constant and the units are those of the process it is one of."""
    x = np.random.default_rng(0).uniform(-2, 2, (15, 1))
    y = 3 + np.sin(2 * x[:, 0])
    for options in ({"mean": "constant"}, {"standardize": True}):
        process = GaussianProcess(fastntk.mlp(1, "erf", 2.0, 1.0), x[:5], y[:5], noise=0.01, **options)
        fantasy = process.fantasize(x[5:], y[None, 5:] + 4)
        found = fantasy.fit(hyperparameters="fixed")
        assert found.log_marginal_likelihood() > fantasy.log_marginal_likelihood()
        if "mean" in options:
            assert found.fitted is not None
            fitted = found.fitted.log_marginal_likelihood
            np.testing.assert_allclose(fitted, found.log_marginal_likelihood(), rtol=1e-9)


def test_flow_of_float32() -> None:
    """Warns where the end of training depends on eigenvalues that are rounding; not before, nor with a ridge."""
    x = np.random.default_rng(0).normal(size=(12, 1))
    theta = NET.ntk(x, dtype="float32")
    y = np.sin(2 * x[:, 0])
    with pytest.warns(PrecisionWarning, match=r"^ntk_train is float32, with an error of about"):
        GradientFlow(theta, y).mean(np.inf)
    with pytest.warns(PrecisionWarning, match=r"^ntk_train is float32"):  # times are in any order
        GradientFlow(theta, y).mean([np.inf, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GradientFlow(theta, y).mean([0.0, 1.0])
        GradientFlow(theta, y, ridge=0.1).mean(np.inf)
        GradientFlow(theta.astype(np.float64), y).mean(1e3)


def test_targets_far_below_the_start() -> None:
    """Are learned to their own last digits."""
    y, f0 = np.array([1.0, -2.0]), np.array([1e10, 3e10])
    found = GradientFlow([[2.0, 1.0], [1.0, 2.0]], y).mean(1e3, f0_train=f0)
    np.testing.assert_allclose(found, y, rtol=1e-14)


def test_loss_of_huge_targets() -> None:
    """Is beyond the range of float64, and no sign of divergence."""
    flow = GradientFlow([[2.0, 1.0], [1.0, 2.0]], [1e200, 1.0])
    for ask, number in ((flow.loss, 0.0), (flow.time_to, 1.0)):
        with pytest.raises(OverflowError, match=r"^y - f0_train leaves the range of float64 when squared"):
            ask(number)


SMALL = np.array([[-1.0, 0.3], [1e-7, 0.0], [0.4, 0.7], [-2.0, -3.0]])


def test_draws_of_samples_of_all_sizes() -> None:
    """The deviation of each is right, that of a small one beside large ones too: of functions and of posteriors."""
    process = GaussianProcess(fastntk.mlp(1, "relu", 2**0.5), [[0.0, 3.0]], [0.0], noise=1.0)
    truth = np.sqrt(process.predict(SMALL, covariance=True).covariance.diagonal())
    kernel = fastntk.mlp(1, "relu", 2**0.5).nngp
    posterior = gp_posterior(kernel([[0.0, 3.0]]), [0.0], kernel(SMALL, [[0.0, 3.0]]), kernel(SMALL), noise=1.0)
    for drawn in (
        np.array([process.sample_function(rng=seed)(SMALL) for seed in range(2000)]),
        process.sample(SMALL, 4000, rng=0),
        posterior.sample(4000, rng=0),
    ):
        np.testing.assert_allclose(drawn.std(axis=0), truth, rtol=0.06)


def test_solutions_that_are_none() -> None:
    """Of a matrix that float32 cannot tell from a singular one."""
    with pytest.warns(solvers.ConvergenceWarning, match=r"^the relative residual is .*nearly singular for float32"):
        solvers.cholesky(np.ones((3, 3), np.float32), np.array([1.0, -1.0, 0.0]), ridge=1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solvers.cholesky(np.ones((3, 3)), np.array([1.0, -1.0, 0.0]), ridge=1e-7)


def test_estimators_that_fit_nothing() -> None:
    """Have the network that was asked for; parameters that are refused change nothing."""
    estimators = pytest.importorskip("fastntk.sklearn")
    with pytest.warns(UserWarning, match="y is constant"):
        model = estimators.NNGPRegressor(1, "relu", 1.3, 0.0, optimizer="lbfgs").fit(X, np.zeros(25))
    assert model.network_ == fastntk.mlp(1, "relu", 1.3, 0.0)
    kernel = estimators.NNGPKernel(network=NET)
    before = kernel.get_params()
    with pytest.raises(ValueError, match="there is no free hyper-parameter network__foo"):
        kernel.set_params(sigma_w_bounds=(1, 2), network__foo=1.0)
    assert kernel.get_params() == before
