"""How networks approach their limit: fluctuations, exponents, laws of outputs, against samples and quadratures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Sequential
from fastntk.finite import Convergence, FiniteNetwork, convergence, monte_carlo, output_distribution

pytest.importorskip("matplotlib").use("agg")

Array = NDArray[np.float64]

X = np.random.default_rng(0).normal(size=(4, 5))
X[3] = X[0] + 0.05
Y = np.random.default_rng(1).normal(size=(3, 5))


def variance_by_quadrature(activation: Activation, qa: float, qb: float, c: float) -> float:
    """Var[phi(u) phi(v)] by the two-dimensional Gauss-Hermite rule of 120 x 120 points."""
    z, w = hermegauss(120)
    weight = np.outer(w, w) / (2 * np.pi)
    u = np.sqrt(qa) * z[:, None]
    v = c / np.sqrt(qa) * z[:, None] + np.sqrt(max(qb - c * c / qa, 0)) * z[None, :]
    product = activation(u) * activation(v)
    return float(np.sum(weight * product**2) - np.sum(weight * product) ** 2)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("tanh", 1e-5), ("gelu", 1e-7), ("erf", 1e-6), ("relu", 2e-3), ("abs", 2e-2)]
)
@pytest.mark.parametrize("right", [None, Y], ids=["square", "with Y"])
def test_one_hidden_layer(name: str, tolerance: float, right: Array | None) -> None:
    """Is sigma_w^2 sqrt(Var[phi(u) phi(v)] / N) exactly; kinks limit the other quadrature."""
    net = fastntk.mlp(1, name, 1.3, 0.4)
    other = X if right is None else right
    found = net.nngp.fluctuation(X, 300, right)
    k = net[:1]
    c, qa, qb = k.nngp(X, other), k.nngp.diag(X), k.nngp.diag(other)
    for i in range(len(X)):
        for j in range(len(other)):
            variance = variance_by_quadrature(net.layers[1], qa[i], qb[j], c[i, j])  # type: ignore[arg-type]
            assert found[i, j] == pytest.approx(1.3**2 * np.sqrt(variance / 300), rel=tolerance)


def test_closed_forms() -> None:
    """ReLU: Var[relu(u)^2] = 5/4 q^2; sign: Var[phi(u) phi(v)] = 1 - F^2; the identity: q_a q_b + c^2."""
    relu = fastntk.mlp(1, "relu")
    q = relu[:1].nngp.diag(X)
    np.testing.assert_allclose(relu.nngp.fluctuation(X, 10).diagonal(), np.sqrt(5 / 4 / 10) * q, rtol=1e-10)
    sign = fastntk.mlp(1, "sign")
    f = sign.nngp(X)
    np.testing.assert_allclose(sign.nngp.fluctuation(X, 10), np.sqrt(np.maximum(1 - f**2, 0) / 10), atol=1e-8)
    linear = Sequential(Dense(1.2), Dense(0.9))
    k = linear[:1].nngp(X)
    wanted = 0.9**2 * np.sqrt((np.outer(k.diagonal(), k.diagonal()) + k**2) / 7)
    np.testing.assert_allclose(linear.nngp.fluctuation(X, 7), wanted, rtol=1e-10)


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["relu", "tanh", "sign", "hard_tanh"])
def test_deep_networks(name: str) -> None:
    """Sampled networks of three unequal hidden layers have the predicted deviations: 1,000 draws, 4 standard errors."""
    net = Sequential(
        *(Dense(1.3, 0.3), Activation(name), Dense(1.1, 0.2)),
        *(Activation(name), Dense(1.4), Activation(name), Dense(1.2, 0.4)),
    )
    width, draws = (80, 120, 100), 1000
    x = X[:3] if name == "sign" else X  # the last one is near the first: there F has no slope where phi jumps
    n, both = len(x), np.concatenate((x, Y))
    kernels = np.array([FiniteNetwork(net, width, rng=seed).empirical_nngp(both)[-1] for seed in range(draws)])
    for right, sampled in ((None, kernels[:, :n, :n]), (Y, kernels[:, :n, n:])):
        predicted = net.nngp.fluctuation(x, width, right)
        centred = sampled - sampled.mean(axis=0)
        deviation = np.sqrt(np.mean(centred**2, axis=0))
        # its standard error, by the fourth moment; and terms of the next order in one over the width
        error = deviation * np.sqrt((np.mean(centred**4, axis=0) / np.maximum(deviation, 1e-15) ** 4 - 1) / draws) / 2
        exact = predicted < 1e-7  # sign(u)^2 does not fluctuate: both are roots of roundings
        assert (deviation[exact] < 1e-7).all()
        assert (np.abs(deviation - predicted) <= 4 * error + 0.03 * predicted)[~exact].all()


def test_fluctuation_of_zero_rows_and_widths() -> None:
    """A zero row does not fluctuate where it has no bias; deviations go with width^(-1/2); layers by slicing."""
    x = np.concatenate((X, np.zeros((1, 5))))
    net = fastntk.mlp(2, "relu", 1.4)
    found = net.nngp.fluctuation(x, 50)
    assert not found[-1].any()
    assert not found[:, -1].any()
    np.testing.assert_allclose(net.nngp.fluctuation(x, 200), found / 2, rtol=1e-12)
    assert not net[:1].nngp.fluctuation(x, ()).any()
    both = net.nngp.fluctuation(x, (50, 70))
    np.testing.assert_allclose(both, both.T, rtol=1e-12)


def test_convergence() -> None:
    """Errors fall as width^(-1/2), those of K as predicted, in every layer."""
    net = fastntk.mlp(2, "tanh", 1.5, 0.3)
    seen: list[float] = []
    found = convergence(net, X, (32, 64, 128, 256), draws=100, rng=0, progress=seen.append)
    assert found.nngp_errors.shape == (4, 100, 2)
    assert np.abs(found.nngp_exponent + 0.5).max() < 0.08
    assert np.abs(found.ntk_exponent + 0.5).max() < 0.08
    assert np.abs(found.nngp_error / found.nngp_predicted - 1).max() < 0.25
    assert np.mean(found.nngp_error / found.nngp_predicted) == pytest.approx(1, abs=0.08)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    lines = found.plot()
    np.testing.assert_array_equal(lines[0].get_xdata(), found.widths)
    np.testing.assert_array_equal(lines[0].get_ydata(), found.nngp_error[:, -1])


@pytest.mark.sweep
@pytest.mark.parametrize("law", ["uniform", "rademacher", "student_t"])
def test_other_laws_have_the_same_limit(law: str) -> None:
    """The kernels of weights of variance one tend to those of normal ones."""
    net = fastntk.mlp(2, "erf", 1.5, 0.3)
    found = monte_carlo(net, X, width=500, draws=60, rng=0, weights=law)
    both = net.kernels(X)
    assert (np.abs(found.nngp - both.nngp) <= 5 * found.nngp_error + 4 / 500).all()
    assert (np.abs(found.ntk - both.ntk) <= 5 * found.ntk_error + 20 / 500).all()


def test_layers_without_a_limit() -> None:
    """Theta of frozen layers is zero: its relative error is no number, those of others are."""
    found = convergence(fastntk.mlp(2, "relu", 1.4, frozen=2), X, (16, 64), 4, rng=0)
    assert np.isnan(found.ntk_error[:, 0]).all()
    assert np.isfinite(found.ntk_error[:, 1]).all()
    assert np.isfinite(found.nngp_exponent).all()


def test_near_duplicates_where_phi_jumps() -> None:
    """Are warned of in deep networks, not in others."""
    x = np.concatenate((X[:2], X[:1] * (1 + 1e-9)))
    with pytest.warns(RuntimeWarning, match=r"Activation\('sign'\) jumps, and some inputs are nearly the same"):
        fastntk.mlp(2, "sign").nngp.fluctuation(x, 50)
    fastntk.mlp(1, "sign").nngp.fluctuation(x, 50)
    fastntk.mlp(2, "sign", 1.0, 0.5).nngp.fluctuation(X[:3], 50)
    fastntk.mlp(2, "relu").nngp.fluctuation(x, 50)


def test_cauchy_has_no_limit() -> None:
    """Kernels behind Cauchy weights grow with the width: the theorem needs a variance."""
    net = fastntk.mlp(2, "relu", 1.4)
    sizes = [
        np.median([FiniteNetwork(net, n, rng=seed, weights="cauchy").empirical_nngp(X)[-1][0, 0] for seed in range(40)])
        for n in (16, 256)
    ]
    assert sizes[1] > 5 * sizes[0]


@pytest.mark.sweep
def test_monte_carlo() -> None:
    """Means within their standard errors, of two sets of samples; errors fall with the square root of the draws."""
    net = fastntk.mlp(1, "tanh", 1.5, 0.3)
    few, many = (monte_carlo(net, X, Y, width=200, draws=draws, rng=1) for draws in (50, 800))
    both = net.kernels(X, Y)
    for found in (few, many):
        assert (np.abs(found.nngp - both.nngp) <= 5 * found.nngp_error).all()
        assert (np.abs(found.ntk - both.ntk) <= 5 * found.ntk_error).all()
    assert 3 < np.median(few.ntk_error / many.ntk_error) < 5.3
    np.testing.assert_allclose(many.nngp_error * 800**0.5, net.nngp.fluctuation(X, 200, Y), rtol=0.15)


@pytest.mark.parametrize("name", ["tanh", "step", "erf"])
def test_one_hidden_layer_of_neal(name: str) -> None:
    """Outputs at width 400: mean zero, covariance K, units uncorrelated, Gaussian to Kolmogorov and Smirnov."""
    net = fastntk.mlp(1, name, 1.5, 0.5)
    found = output_distribution(net, X[:3], 400, 2000, noise=0.1, rng=4)
    assert found.samples.shape == (2000, 3, 2)
    np.testing.assert_allclose(found.gp_covariance, net.nngp(X[:3]) + 0.1 * np.eye(3), rtol=1e-12)
    deviation = np.sqrt(found.gp_covariance.diagonal() / 2000)
    assert (np.abs(found.mean) < 5 * deviation[:, None]).all()
    assert (np.abs(found.covariance - found.gp_covariance) < 5 * found.covariance_error).all()
    assert (np.abs(found.covariance_between_outputs) < 5 * np.outer(deviation, deviation) * 2000**0.5).all()
    assert (found.kolmogorov_smirnov()[1] > 1e-3).all()
    assert found.joint(0, 1)[1] > 1e-3


def test_kurtosis_and_dependence_at_small_width() -> None:
    """Outputs of 6 ReLU units are far from Gaussian, by what is predicted; twice the units, half of it."""
    net = fastntk.mlp(1, "relu", 1.5)
    found = {n: output_distribution(net, X[:1], n, 40_000 // n, n_outputs=40, rng=0) for n in (6, 12)}
    for n, one in found.items():
        assert one.predicted_kurtosis[0] == pytest.approx(3 * 5 / n, rel=1e-9)  # Var[relu^2] = 5 E[relu^2]^2
        assert one.excess_kurtosis[0] == pytest.approx(one.predicted_kurtosis[0], rel=0.15)
        assert one.squares_correlation[0] == pytest.approx(one.predicted_squares_correlation[0], rel=0.3)
    assert found[6].kolmogorov_smirnov()[1][0] < 1e-6
    bars = found[6].plot()
    inside = np.abs(found[6].samples) < 4 * found[6].gp_covariance[0, 0] ** 0.5
    assert sum(bar.get_height() * bar.get_width() for bar in bars[:-1]) == pytest.approx(inside.mean())
    points, _ = found[6].plot_quantiles()
    assert (np.diff(points.get_ydata()) >= 0).all()


def test_two_layers_of_squares() -> None:
    """Of orthogonal rows: what K(x, x) and K(y, y) fluctuate by in the first layer moves K(x, y) in the second."""
    # Of the first F = E[u^4], E[v^4], E[u² v²] = 3, 3, 1: variances 96, 96, 8, covariances 0, 12, 12. Then
    # K(x, x) K(y, y) + 2 K(x, y)² changes by 3, 3 and 4 times these, and E[u^4 v^4] - E[u² v²]² = 1401 - 11².
    x, net = 2**0.5 * np.eye(2), fastntk.mlp(2, "monomial", degree=2)
    for widths in ((50, 70), (10**6, 30)):
        wanted = (9 * (96 + 96) + 16 * 8 + 2 * 12 * (12 + 12)) / widths[0] + (1401 - 121) / widths[1]
        np.testing.assert_allclose(net.nngp.fluctuation(x, widths)[0, 1], wanted**0.5, rtol=1e-9)


def test_errors_of_several_networks() -> None:
    """Are the root of the mean of their squares, and the exponent is the slope of a line through its logarithms."""
    errors = np.array([[3.0, 4.0], [0.3, 0.4]])[..., None]
    found = Convergence(np.array([10.0, 1000.0]), errors, 2 * errors[::-1], errors[:, 0])
    np.testing.assert_allclose(found.nngp_error[:, 0], np.sqrt(12.5) * np.array([1, 0.1]))
    np.testing.assert_allclose(found.ntk_error[:, 0], 2 * np.sqrt(12.5) * np.array([0.1, 1]))
    np.testing.assert_allclose([found.nngp_exponent, found.ntk_exponent], [[-0.5], [0.5]])


@pytest.mark.sweep
def test_deep_outputs_tend_to_gaussians() -> None:
    """The Kolmogorov-Smirnov distance falls with the width until it is that of the sample's size."""
    net = fastntk.mlp(2, "relu", 1.5)
    distances = [output_distribution(net, X[:1], n, 2500, rng=0).kolmogorov_smirnov()[0][0] for n in (2, 8, 64)]
    assert distances[0] > 2 * distances[1] > 2 * distances[2]
    assert distances[2] < 1.95 / 2500**0.5


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: fastntk.mlp(2).nngp.fluctuation(X * np.nan, 5), ValueError, r"^X contains nan"),
    (lambda: fastntk.mlp(2).nngp.fluctuation(X, (5,)), ValueError, r"^width must be one for all or one for each"),
    (lambda: fastntk.mlp(2).nngp.fluctuation(X, 5, Y[:, :2]), ValueError, r"features"),
    (lambda: fastntk.mlp(2).nngp.fluctuation(1e80 * X, 5), OverflowError, r"^fourth powers of the outputs are beyond"),
    (
        lambda: fastntk.mlp(2).nngp.fluctuation(1e-90 * X, 5),
        OverflowError,
        r"^fourth powers of the outputs are beyond",
    ),
    (lambda: fastntk.mlp(2).ntk.fluctuation(X, 5), ValueError, r"^the fluctuation .* is known of their NNGP kernel"),
    (lambda: output_distribution("abc", X, 5), TypeError, r"^net must be a Sequential"),  # type: ignore[arg-type]
    (
        lambda: output_distribution(fastntk.mlp(1), X[[0, 0]], 5, 10).joint(),
        ValueError,
        r"^inputs 0 and 1 determine one another",
    ),
    (
        lambda: output_distribution(fastntk.mlp(1), 0 * X, 5, 10).excess_kurtosis,
        ValueError,
        r"^K\(x, x\) is zero at input 0",
    ),
    (lambda: convergence(fastntk.mlp(0), X), ValueError, r"^a network without a hidden layer has no width"),
    (lambda: convergence(fastntk.mlp(1), X, (64,)), ValueError, r"^widths must be at least two different ones"),
    (lambda: convergence(fastntk.mlp(1), X, (64, 0)), ValueError, r"^widths\[1\] must be an integer >= 1"),
    (lambda: convergence(fastntk.mlp(1), X, 64), TypeError, r"^widths must be a sequence"),  # type: ignore[arg-type]
    (lambda: convergence(fastntk.mlp(1), X, draws=0), ValueError, r"^draws must be an integer >= 1"),
    (lambda: monte_carlo(fastntk.mlp(1), X, draws=1), ValueError, r"^draws must be an integer >= 2"),
    (lambda: output_distribution(fastntk.mlp(1), X, 5, noise=-1), ValueError, r"^noise must be >= 0, got -1"),
    (
        lambda: output_distribution(fastntk.mlp(1), X, 5, 10, n_outputs=1).squares_correlation,
        ValueError,
        r"^this compares two outputs, and there is one: pass n_outputs=2",
    ),
    (lambda: monte_carlo(fastntk.mlp(1), X, progress="yes"), TypeError, r"^progress must be"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD, ids=[sentence[:40] for _, _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(error, match=sentence):
        call()
