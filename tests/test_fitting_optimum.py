"""A fit ends where the likelihood has its maximum, whatever the units of y and the noise to start from, or says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, mlp
from fastntk.inference import FitWarning, fit_marginal_likelihood, log_marginal_likelihood
from fastntk.inference.fitting.likelihood import Likelihood
from fastntk.inference.fitting.sigmas import Sigmas

Array = NDArray[Any]
UCI = Path(os.environ.get("FASTNTK_DATA", ".")) / "uci90.npz"
NETS = {"relu": mlp(2, "relu", 1.0, 1.0), "erf": mlp(1, "erf", 1.0, 1.0)}
AT_A_BOUND = "ignore:.*ended at its:fastntk.inference.FitWarning"


def standardised(x: Array) -> Array:
    """Columns of mean 0 and deviation 1, without constant ones."""
    x = np.asarray(x, np.float64)
    deviation = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0))[:, deviation > 0] / deviation[deviation > 0])


def bundled(name: str) -> tuple[Array, Array]:
    """A set of scikit-learn's."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return standardised(x), np.asarray(y, np.float64)


def uci(name: str) -> tuple[Array, Array]:
    """One of the UCI-90 sets; labels are the targets."""
    if not UCI.exists():
        pytest.skip(f"no {UCI.name} in a folder named by FASTNTK_DATA")
    with np.load(UCI) as stored:
        return standardised(stored[f"{name}/X"]), np.asarray(stored[f"{name}/y"], np.float64)


BUNDLED = ("diabetes", "iris", "wine", "breast_cancer", "digits")


@pytest.mark.filterwarnings(AT_A_BOUND)
@pytest.mark.parametrize("name", [*BUNDLED, "energy-y1", "glass", "parkinsons", "ecoli", "seeds"])
@pytest.mark.parametrize("act", NETS)
def test_one_optimum(name: str, act: str) -> None:
    """From noises between 1e-3 and 10 var(y), within a nat; restarts from random sigmas may only find a better one."""
    x, y = bundled(name) if name in BUNDLED else uci(name)
    rows = np.random.default_rng(0).permutation(len(y))[:60]
    x, y = standardised(x[rows]), y[rows]
    fits = [fit_marginal_likelihood(NETS[act], x, y, noise=noise) for noise in (1e-3, 0.1 * y.var(), 10 * y.var())]
    values = [fit.log_marginal_likelihood for fit in fits]
    assert max(values) - min(values) < 1
    assert all(fit.converged for fit in fits)
    again = fit_marginal_likelihood(NETS[act], x, y, restarts=2, random_state=0)
    assert again.log_marginal_likelihood >= max(values)
    assert again.evaluations > fits[0].evaluations


def test_known_optima() -> None:
    """Diabetes: -2406 and -486 were the best known; it had ended at -5988, and at -627 where all is noise."""
    x, y = bundled("diabetes")
    of_relu = fit_marginal_likelihood(NETS["relu"], x, y, noise=0.01)
    assert of_relu.converged
    assert of_relu.log_marginal_likelihood > -2407
    unit = (y - y.mean()) / y.std()
    of_erf = fit_marginal_likelihood(NETS["erf"], x, unit, noise=0.01)
    large = fit_marginal_likelihood(NETS["erf"], x, 1e4 * unit, noise=0.01)
    assert of_erf.log_marginal_likelihood > -486
    np.testing.assert_allclose(large.noise, 1e8 * of_erf.noise, rtol=1e-6)


@pytest.mark.filterwarnings(AT_A_BOUND)
@pytest.mark.parametrize("seed", range(6))
def test_units_of_y(seed: int) -> None:
    """With c y for y: the log likelihood less n log c, the scale c times, the noise c² times."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 3))
    y = np.sin(x[:, [0]]) + x[:, [1]] * [0.5, 1.0] + 0.2 * rng.normal(size=(40, 2))
    net = mlp(1 + seed % 2, ("relu", "erf", "tanh")[seed % 3], rng.uniform(0.5, 2), rng.uniform(0.2, 1))
    c = 10 ** rng.uniform(-8, 8)
    options: dict[str, Any] = {"hyperparameters": "all" if seed % 2 else "shared", "kind": ("nngp", "ntk")[seed // 3]}
    one, other = (fit_marginal_likelihood(net, x, values, **options) for values in (y, c * y))
    np.testing.assert_allclose(
        other.log_marginal_likelihood, one.log_marginal_likelihood - y.size * np.log(c), rtol=1e-8
    )
    for name, power in (("output_scale", 1), ("noise", 2)):
        np.testing.assert_allclose(other.parameters[name], one.parameters[name] * c**power, rtol=1e-4)
    kernel = getattr(other.network, options["kind"])(x)
    value = log_marginal_likelihood(kernel, c * y, other.noise)
    np.testing.assert_allclose(value, other.log_marginal_likelihood, rtol=1e-9)


def cases() -> Iterator[Any]:
    """What may be free: scale, noise, sigmas of layers; noise of every sample; both kernels."""
    for kind in ("nngp", "ntk"):
        for scaled in (True, False):
            for noise in (None, 0.3):
                yield pytest.param(kind, scaled, noise, "shared", id=f"{kind}-{scaled}-{noise}")
    yield pytest.param("nngp", True, 0.3, "all", id="all")
    yield pytest.param("ntk", True, None, "fixed", id="fixed")


@pytest.mark.parametrize(("kind", "scaled", "noise", "which"), [*cases()])
def test_slopes(kind: Any, scaled: bool, noise: float | None, which: Any) -> None:
    """Of the likelihood as it is searched, against central differences; and its value against the plain one."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(25, 3)), 30 * rng.normal(size=(25, 2))
    pattern = rng.uniform(0.5, 2, size=25)
    net = fastntk.Sequential(Dense(1.2, 0.3), Activation("tanh"), Dense(0.8, 0.3), Activation("relu"), Dense(1.1, 0.2))
    sigmas = Sigmas(net, None, None, which)
    likelihood = Likelihood(sigmas, x, y, kind, noise, pattern / pattern.mean(), scaled=scaled)
    theta = rng.normal(scale=0.3, size=len(sigmas) + likelihood.has_ratio)
    point = likelihood(theta)
    kernel = getattr(point.network, kind)(x)
    plain = log_marginal_likelihood(kernel, y, point.noise * pattern / pattern.mean())
    np.testing.assert_allclose(point.value, plain, rtol=1e-11)
    if noise is not None:
        np.testing.assert_allclose(point.noise, noise, rtol=1e-12)
    h = 1e-5
    for i, step in enumerate(h * np.eye(len(theta))):
        slope = (likelihood(theta + step).value - likelihood(theta - step).value) / (2 * h)
        np.testing.assert_allclose(point.gradient[i], slope, rtol=1e-5, atol=1e-6 * abs(point.value))


def test_slopes_are_bounded() -> None:
    """Wherever the noise and whatever the units, with a scale: so no step of the search goes far."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    for act in ("relu", "erf", "tanh", "gelu"):
        sigmas = Sigmas(mlp(2, act, 1.5, 0.5), None, None, "shared")
        for c in (1e-6, 1.0, 1e6):
            likelihood = Likelihood(sigmas, x, c * y, "nngp", None, np.ones(40), scaled=True)
            for log_ratio in np.log([1e-9, 1e-4, 1.0, 1e4]):
                slopes = likelihood(np.array([0.0, 0.0, log_ratio])).gradient / 40
                assert np.abs(slopes).max() < 8  # the kernel is at most of degree 6 in the sigmas
                assert abs(slopes[-1]) <= 0.5


@pytest.mark.filterwarnings(AT_A_BOUND)
@pytest.mark.parametrize("seed", range(4))
def test_the_end_is_stationary(seed: int) -> None:
    """Where it says converged, no parameter by itself does better."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, 2))
    y = 100 * (np.sin(2 * x[:, 0]) + 0.3 * rng.normal(size=50)) + 3
    net = mlp(1, "erf", 1.5, 0.5)
    fit = fit_marginal_likelihood(net, x, y)
    assert fit.converged
    s, b, u, noise = fit.parameters.values()
    for factors in np.exp(0.02 * np.concatenate((np.eye(4), -np.eye(4)))):
        moved = np.array([s, b, u, noise]) * factors
        kernel = moved[2] ** 2 * mlp(1, "erf", moved[0], moved[1]).nngp(x)
        assert log_marginal_likelihood(kernel, y, moved[3]) < fit.log_marginal_likelihood + 1e-3


def test_what_is_said() -> None:
    """Of noise alone, a bound, an unfinished search, and a mean without bias."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    net = mlp(1, "erf", 1.0, 0.5)
    with pytest.warns(FitWarning, match="all is noise") as caught:
        fit = fit_marginal_likelihood(net, x, y)
    assert [str(w.message) for w in caught] == list(fit.remarks)
    signal = np.sin(x[:, 0]) + 0.1 * y
    with pytest.warns(FitWarning, match="sigma_w ended at its upper bound"):
        fit = fit_marginal_likelihood(net, x, signal, sigma_w_bounds=(0.1, 0.5), sigma_b_bounds="fixed")
    assert fit.parameters["sigma_w"] == pytest.approx(0.5)
    with pytest.warns(FitWarning, match="not converged: a slope of"):
        fit = fit_marginal_likelihood(net, x, signal, most_evaluations=2)
    assert not fit.converged
    with pytest.warns(FitWarning, match="the network has no bias"), pytest.warns(FitWarning, match="all is noise"):
        fit_marginal_likelihood(mlp(1, "erf", 1.0), x, signal + 5)
    with pytest.warns(FitWarning, match="the noise ended at its bound 0.5"):
        fit = fit_marginal_likelihood(net, x, signal, noise_bounds=(0.5, 2.0))
    assert fit.noise == pytest.approx(0.5)
    kernel = fit.network.nngp(x)
    np.testing.assert_allclose(log_marginal_likelihood(kernel, signal, 0.5), fit.log_marginal_likelihood, rtol=1e-10)
    with pytest.warns(FitWarning, match=r"the log likelihood is [\d.e+]+ below that of"):
        fit_marginal_likelihood(
            net, x, 1e-3 * signal, output_scale=False, sigma_w_bounds="fixed", sigma_b_bounds="fixed"
        )


@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")
def test_what_is_said_names_no_argument() -> None:
    """The estimators say it too, whose arguments have other names."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    fit = fit_marginal_likelihood(mlp(1, "erf"), x, 5 + x[::-1, 0], most_evaluations=1, sigma_w_bounds=(0.9, 1.0))
    assert {remark.split(":")[0][:15] for remark in fit.remarks} >= {"the network has", "all is noise"}
    assert not any("=" in remark for remark in fit.remarks)


@pytest.mark.filterwarnings(AT_A_BOUND)
def test_what_is_fixed_stays() -> None:
    """Sigmas, the noise, and the variance of every sample, which the fit uses."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    variances = rng.uniform(0.01, 1.0, size=60)
    y = np.sin(x[:, 0]) + np.sqrt(variances) * rng.normal(size=60)
    net = mlp(1, "erf", 1.3, 0.4)
    fit = fit_marginal_likelihood(net, x, y, noise=variances, sigma_w_bounds="fixed")
    np.testing.assert_array_equal(fit.noise, variances)
    assert list(fit.parameters) == ["sigma_b", "output_scale"]
    first = fit.network[0]
    assert isinstance(first, Dense)
    assert first.sigma_w == 1.3
    value = log_marginal_likelihood(fit.network.nngp(x), y, variances)
    np.testing.assert_allclose(fit.log_marginal_likelihood, value, rtol=1e-10)
    assert value > log_marginal_likelihood(net.nngp(x), y, variances)
    alone = fit_marginal_likelihood(net, x, y, sigma_w_bounds="fixed", sigma_b_bounds="fixed", output_scale=False)
    assert list(alone.parameters) == ["noise"]
    assert alone.network == net


def test_noise_and_a_mean() -> None:
    """Is all noise too; and the likelihood of both is that of a constant kernel, at its maximum."""
    rng = np.random.default_rng(3)
    x, y, pattern = rng.normal(size=(40, 2)), 7 + rng.normal(size=(40, 2)), rng.uniform(0.5, 1.5, size=40)
    with pytest.warns(FitWarning, match="all is noise"):
        fit_marginal_likelihood(mlp(5, "erf", 0.03, 0.3), x, y)
    sigmas = Sigmas(NETS["erf"], None, None, "shared")
    found = Likelihood(sigmas, x, y, "nngp", None, pattern / pattern.mean(), scaled=True).of_noise_alone()
    grid = [
        log_marginal_likelihood(np.full((40, 40), size), y, level * pattern / pattern.mean())
        for size in np.linspace(30, 70, 81)
        for level in np.linspace(0.6, 1.6, 101)
    ]
    assert found >= max(grid) > found - 1e-3


def test_targets_that_are_nearly_all_0() -> None:
    """None of the samples that the search begins with may have another."""
    x = np.random.default_rng(0).normal(size=(1001, 1))
    y = np.zeros(1001)
    y[np.random.default_rng(0).permutation(1001)[-1]] = 1.0  # the one that is left out
    likelihood = Likelihood(Sigmas(NETS["erf"], None, None, "shared"), x, y, "nngp", None, y + 1, scaled=True)
    start = likelihood.start(np.zeros(2))
    assert np.isfinite(start).all()
    assert np.isfinite(likelihood(start).value)


@pytest.mark.filterwarnings(AT_A_BOUND)
def test_restarts() -> None:
    """One that is out of range is left out; what a callback raises is not taken for one."""
    x, y = np.random.default_rng(0).normal(size=(30, 2)), np.random.default_rng(1).normal(size=30)
    y += 3 * np.sin(x[:, 0])
    steep = mlp(5, Activation("rectified_monomial", degree=3), 1.0, 0.5)  # of degree 486 in the sigmas
    likelihood = Likelihood(Sigmas(steep, None, "fixed", "shared"), x, y, "nngp", None, np.ones(30), scaled=True)
    drawn = np.random.default_rng(0).normal(scale=1.5, size=6)
    with pytest.raises(ValueError):  # noqa: PT011 (whatever the kernel says)
        likelihood.start(drawn[[np.abs(drawn).argmax()]])
    with pytest.warns(FitWarning, match="all is noise"):
        fit_marginal_likelihood(steep, x, y, restarts=6, random_state=0, sigma_b_bounds="fixed")
    starts = [len(fit_marginal_likelihood(NETS["erf"], x, y, restarts=k, random_state=0).history) for k in (0, 1)]

    def stop(*_: Any) -> None:
        starts[0] -= 1
        if starts[0] < 0:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        fit_marginal_likelihood(NETS["erf"], x, y, restarts=1, random_state=0, callback=stop)


def test_errors() -> None:
    """One clear sentence each."""
    x, y, net = np.eye(5), np.arange(5.0), mlp(1, "erf", 1.0, 0.1)
    with pytest.raises(ValueError, match="append one, or pass output_scale=False"):
        fit_marginal_likelihood(net[:2], x, y)
    with pytest.raises(ValueError, match="mean square of y is 0"):
        fit_marginal_likelihood(net, x, 0 * y)
    with pytest.raises(ValueError, match="y is constant: there is nothing to fit"):
        fit_marginal_likelihood(net, x, 0 * y + 0.1, constant=True)
    with pytest.raises(ValueError, match="numbers > 0 in ascending order"):
        fit_marginal_likelihood(net, x, y, sigma_w_bounds=(2.0, 1.0))
    with pytest.raises(TypeError, match="noise_bounds must be a pair of numbers"):
        fit_marginal_likelihood(net, x, y, noise_bounds="free")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="noise_bounds='fixed' needs noise"):
        fit_marginal_likelihood(net, x, y, noise_bounds="fixed")
    with pytest.raises(ValueError, match=r"noise must be a number or of shape \(5,\)"):
        fit_marginal_likelihood(net, x, y, noise=np.ones(4))
    with pytest.raises(ValueError, match="the kernel is 0 everywhere"):
        fit_marginal_likelihood(mlp(1, "relu", 0.0, 0.0), x, y)
    with pytest.raises(ValueError, match="tolerance must be > 0"):
        fit_marginal_likelihood(net, x, y, tolerance=0.0)
    with pytest.raises(ValueError, match="narrower than the range of the layers"):
        fit_marginal_likelihood(
            fastntk.Sequential(Dense(1.0, 0.1), Activation("erf"), Dense(9.0, 0.1)), x, y, sigma_w_bounds=(0.9, 1.1)
        )


@pytest.mark.filterwarnings("ignore:sigma_. ended at its:fastntk.inference.FitWarning")
def test_little_noise_that_is_given() -> None:
    """Where the kernel is well conditioned it changes nothing: the kernel is not held to some multiple of it."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    net = fastntk.mlp(1, "erf", 1.5, 0.5)
    ends = [
        fit_marginal_likelihood(net, X, y, noise=noise, noise_bounds="fixed").log_marginal_likelihood
        for noise in (1e-6, 1e-9, 1e-12, 1e-15, 1e-40)
    ]
    np.testing.assert_allclose(ends, ends[0], rtol=1e-5)
