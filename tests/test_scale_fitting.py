"""The weights of Scale as hyper-parameters: derivatives of kernels in them, and fits by marginal likelihood."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Dense, Dropout, LayerNorm, Residual, Scale, Sequential
from fastntk.inference import fit_marginal_likelihood, log_marginal_likelihood
from fastntk.inference.fitting import FitWarning
from fastntk.kernels.input_hessian import covariances, slope_variances

Float = np.ndarray[Any, np.dtype[np.float64]]

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 4)), RNG.normal(size=(6, 4))
X[3], X[4], X[6] = 2 * X[2], -X[2], 0
Y[1], Y[2] = X[0] + 1e-6 * RNG.normal(size=4), -2 * X[0]  # exactly: at a distance of rounding there is no axis
WEIGHTS = [1.5, 0.3, 0.0, 1.0]

PLAIN = {
    "linear": Sequential(Dense(1.3)),
    "erf": fastntk.mlp(2, "erf", 1.4, 0.3),
    "relu": fastntk.mlp(3, "relu", 1.4, 0.2),
    "bias-free": fastntk.mlp(2, "relu", 1.4),
    "expansion": fastntk.mlp(1, "tanh", 1.2, 0.3),
    "tree": Sequential(
        *(Dense(1.2, 0.1), Residual(LayerNorm(eps=0.1), "relu", Dropout(0.2), Dense(0.9)), "erf", Dense(1.1, 0.2))
    ),
    "standard": Sequential(Dense(1.2, 0.1, parametrization="standard", width=9), "relu", Dense()),
}
each_net = pytest.mark.parametrize("plain", PLAIN.values(), ids=list(PLAIN))
each_kind = pytest.mark.parametrize("kind", ["nngp", "ntk"])


def slope(f: Callable[[Float], Any], at: Any, j: int) -> Any:
    """Derivative in number j, by central differences of fourth order."""
    h = 1e-3
    step = h * (np.arange(len(at)) == j)
    near, far = (f(at + times * step) - f(at - times * step) for times in (1, 2))
    return (8 * near - far) / (12 * h)


@each_kind
@each_net
@pytest.mark.parametrize("other", [None, Y], ids=["X", "X, Y"])
def test_derivatives(plain: Sequential, kind: Any, other: Float | None) -> None:
    """Of the kernel and of sums of it: duplicates, antipodes, a row and a weight of 0, Dropout on the diagonal."""
    net = Sequential(Scale(WEIGHTS), plain)
    one, without = getattr(net, kind), getattr(plain, kind)

    def kernel(weights: Float) -> Any:
        return without(X * weights, None if other is None else other * weights)

    truth = np.array([slope(kernel, np.array(WEIGHTS), j) for j in range(4)])
    own = without.gradient(X * WEIGHTS, None if other is None else other * WEIGHTS)
    value, slopes = one.value_and_gradient(X, other)
    np.testing.assert_allclose(value, one(X, other), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(slopes[:4], truth, rtol=0, atol=1e-8 * np.abs(truth).max())
    np.testing.assert_array_equal(slopes[4:], own)
    weights = RNG.normal(size=value.shape)
    for shared in (False, True):
        slopes = one.gradient(X, other, shared=shared)
        sums = one.vjp(X, weights, other, shared=shared)
        scale = np.abs(slopes * weights).sum(axis=(1, 2)).max()
        np.testing.assert_allclose(sums, (slopes * weights).sum(axis=(1, 2)), rtol=0, atol=1e-11 * scale)


def test_linear_network() -> None:
    """K = sigma_w² sum_j w_j² x_j y_j / d, whose derivatives are those of a polynomial."""
    net = Sequential(Scale(WEIGHTS), Dense(1.3))
    truth = 1.3**2 * 2 / 4 * np.array(WEIGHTS)[:, None, None] * X.T[:, :, None] * Y.T[:, None, :]
    np.testing.assert_allclose(net.nngp.gradient(X, Y)[:4], truth, rtol=0, atol=1e-14)
    np.testing.assert_allclose(Sequential(Scale(WEIGHTS)).nngp.gradient(X, Y), truth / 1.3**2, rtol=0, atol=1e-14)
    G = RNG.normal(size=(9, 6))
    np.testing.assert_allclose(net.nngp.vjp(X, G, Y)[:4], (truth * G).sum(axis=(1, 2)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9])
def test_derivatives_near_antipodes(distance: float) -> None:
    """Where what they are made of cancels: of ReLU, by arc-cosines in 40 digits."""
    mp = pytest.importorskip("mpmath")
    weights, x = [1.3, 0.7], np.array([[1.0, 0.5]])
    y = distance * np.eye(2)[1:] - x

    def exact(*scales: Any) -> Any:
        u, v = ([w * mp.mpf(float(value)) for w, value in zip(scales, row[0], strict=True)] for row in (x, y))
        c, size = mp.fdot(u, v), mp.sqrt(mp.fdot(u, u) * mp.fdot(v, v))
        angle = mp.acos(c / size)
        return (size * (mp.sin(angle) + (mp.pi - angle) * c / size) + c * (mp.pi - angle)) / (4 * mp.pi)

    with mp.workdps(40):
        truth = [float(mp.diff(exact, tuple(weights), order)) for order in ((1, 0), (0, 1))]
    net = Sequential(Scale(weights), Dense(), "relu", Dense())
    np.testing.assert_allclose(net.ntk.gradient(x, y)[:2, 0, 0], truth, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(net.ntk.vjp(x, np.ones((1, 1)), y)[:2], truth, rtol=1e-6, atol=1e-15)


@each_kind
@each_net
def test_derivatives_in_the_inputs(plain: Sequential, kind: Any) -> None:
    """Those of the network without it, at the samples times the weights, times the weights."""
    one, without = getattr(Sequential(Scale(WEIGHTS), plain), kind), getattr(plain, kind)
    G, H = RNG.normal(size=(9, 9)), RNG.normal(size=(9, 6))
    u, v = X * WEIGHTS, Y * WEIGHTS
    np.testing.assert_allclose(one.vjp(X, G, wrt="inputs"), without.vjp(u, G, wrt="inputs") * WEIGHTS, rtol=1e-14)
    for found, wanted in zip(one.vjp(X, H, Y, wrt="inputs"), without.vjp(u, H, v, wrt="inputs"), strict=True):
        np.testing.assert_allclose(found, wanted * WEIGHTS, rtol=1e-14)
    np.testing.assert_allclose(one.input_gradient(X[0], Y), without.input_gradient(u[0], v) * WEIGHTS, rtol=1e-14)
    prepared, other = one.prepare(Y), without.prepare(v)
    np.testing.assert_allclose(prepared.vjp(X, H), other.vjp(u, H) * WEIGHTS, rtol=1e-14)
    np.testing.assert_allclose(prepared.input_gradient(X[0]), other.input_gradient(u[0]) * WEIGHTS, rtol=1e-14)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_covariances_of_derivatives(name: str) -> None:
    """Likewise: each derivative in a feature times its weight."""
    net, plain, w = Sequential(Scale(WEIGHTS), PLAIN[name]), PLAIN[name], np.array(WEIGHTS)
    found = covariances(net.layers, X, Y)
    wanted = covariances(plain.layers, X * w, Y * w)
    np.testing.assert_array_equal(found.values, wanted.values)
    np.testing.assert_allclose(found.slopes_x, wanted.slopes_x * w[:, None], rtol=1e-15)
    np.testing.assert_allclose(found.slopes_y, wanted.slopes_y * w, rtol=1e-15)
    np.testing.assert_allclose(found.both, wanted.both * w[:, None, None] * w, rtol=1e-15)
    variances = slope_variances(plain.layers, X * w) * w**2
    np.testing.assert_allclose(slope_variances(net.layers, X), variances, rtol=1e-15)


def test_progress() -> None:
    """Ascends to 1 over both passes."""
    net, x = Sequential(Scale(np.ones(4)), PLAIN["relu"]), RNG.normal(size=(300, 4))
    for call in (lambda see: net.ntk.vjp(x, np.eye(300), progress=see), lambda see: net.ntk.gradient(x, progress=see)):
        seen: list[float] = []
        call(seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == 1.0


def data(n: int, seed: int) -> tuple[Float, Float]:
    """Eight features, of which the third and the sixth matter."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8))
    return x, np.sin(2 * x[:, 2]) + 0.5 * x[:, 5] ** 2 + 0.1 * rng.normal(size=n)


TRAIN, TARGETS = data(80, 0)
TEST, TRUTH = data(200, 1)
MLP = fastntk.mlp(1, "erf", 1.0, 0.5)
ARD = Sequential(Scale(np.ones(8)), MLP)


def quietly(net: Sequential, **how: Any) -> Any:
    """A fit, without what it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_marginal_likelihood(net, TRAIN, TARGETS, **how)


def relevant(weights: Any) -> bool:
    """Whether the two features that matter have weights, and the others next to none."""
    weights = np.asarray(weights)
    return bool(np.delete(weights, [2, 5]).max() < 0.1 * weights[[2, 5]].min())


@each_kind
def test_what_matters_is_found(kind: Any) -> None:
    """Irrelevant features lose their weights, of which there is no warning; the likelihood is that of the network."""
    fit, without = quietly(ARD, kind=kind), quietly(MLP, kind=kind)
    assert fit.converged
    assert relevant(fit.network[0].weights)
    assert not any("weights" in remark for remark in fit.remarks)
    assert fit.log_marginal_likelihood > without.log_marginal_likelihood + 80
    assert list(fit.parameters) == [*(f"weights[{j}]" for j in range(8)), "sigma_w", "sigma_b", "output_scale", "noise"]
    assert list(fit.parameters.values())[:8] == pytest.approx(fit.network[0].weights)
    K = getattr(fit.network, kind)(TRAIN)
    assert log_marginal_likelihood(K, TARGETS, fit.noise) == pytest.approx(fit.log_marginal_likelihood, abs=1e-4)


def test_what_is_kept() -> None:
    """Weights by their bounds or with all hyper-parameters, one of 0, and which are free with those of every layer."""
    for how in ({"scale_bounds": "fixed"}, {"hyperparameters": "fixed"}):
        fit = quietly(ARD, most_evaluations=5, **how)
        assert fit.network[0] == ARD[0]
        assert not any("weights" in name for name in fit.parameters)
    fit = quietly(Sequential(Scale([1, 1, 2, 1, 0, 3, 1, 1]), MLP), most_evaluations=30, hyperparameters="all")
    assert fit.network[0].weights[4] == 0
    assert list(fit.parameters)[:4] == [f"weights[{j}] of layer 0" for j in range(4)]
    assert "weights[4] of layer 0" not in fit.parameters
    fit = quietly(ARD, scale_bounds=(0.5, 2.0))
    assert min(fit.network[0].weights) == pytest.approx(0.5)
    assert max(fit.network[0].weights) <= 2.0 * (1 + 1e-12)
    with pytest.raises(TypeError, match=r"^scale_bounds must be a pair of numbers"):
        quietly(ARD, scale_bounds=1.0)
    plain = quietly(MLP, scale_bounds=(0.5, 2.0), most_evaluations=5)
    assert plain.log_marginal_likelihood == quietly(MLP, most_evaluations=5).log_marginal_likelihood


class TestScikitLearn:
    """Its Gaussian processes, and ours in its idiom."""

    sk = pytest.importorskip("sklearn").__name__ and fastntk.sklearn

    def test_regressor(self) -> None:
        """Finds what matters, and predicts much better; the slopes of its likelihood are those of differences."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, plain = (
                self.sk.NNGPRegressor(network=net, optimizer="lbfgs").fit(TRAIN, TARGETS) for net in (ARD, MLP)
            )
        assert relevant(model.network_[0].weights)
        errors = [float(np.mean((each.predict(TEST) - TRUTH) ** 2)) for each in (model, plain)]
        assert errors[0] < 0.2 * errors[1]
        start = self.sk.NNGPRegressor(network=Sequential(Scale(np.arange(1, 9) / 4), MLP)).fit(TRAIN, TARGETS)
        theta = np.log(list(start.parameters_.values()))
        slopes = start.log_marginal_likelihood(theta, eval_gradient=True)[1]
        truth = [slope(start.log_marginal_likelihood, theta, j) for j in range(len(theta))]
        np.testing.assert_allclose(slopes, truth, rtol=1e-7, atol=1e-7 * np.abs(slopes).max())

    @pytest.mark.parametrize("kind", ["NNGPKernel", "NTKKernel"])
    @pytest.mark.parametrize("which", ["shared", "all"])
    def test_kernels(self, kind: str, which: Any) -> None:
        """Every weight is a hyper-parameter by name, within its bounds; their slopes are those of theta."""
        from sklearn.base import clone

        net = Sequential(Scale([1.5, 0.3, 0.0, 1.0]), fastntk.mlp(1, "relu", 1.3, 0.2))
        kernel = getattr(self.sk, kind)(network=net, hyperparameters=which, scale_bounds=(1e-2, 1e2))
        place = "" if which == "shared" else "0__"
        names = [each.name for each in kernel.hyperparameters]
        assert names[:3] == [f"network__{place}weights[{j}]" for j in (0, 1, 3)]
        np.testing.assert_allclose(kernel.theta[:3], np.log([1.5, 0.3, 1.0]))
        np.testing.assert_allclose(np.exp(kernel.bounds[:3]), [[1e-2, 1e2]] * 3)
        assert clone(kernel) == kernel
        moved = clone(kernel).set_params(**{names[1]: 0.7})
        assert moved.network[0] == Scale([1.5, 0.7, 0.0, 1.0])
        slopes = kernel(X, eval_gradient=True)[1]
        for j in range(len(names)):
            truth = slope(lambda theta: kernel.clone_with_theta(theta)(X), kernel.theta, j)
            np.testing.assert_allclose(slopes[..., j], truth, rtol=0, atol=1e-9 * np.abs(slopes).max())
        fixed = getattr(self.sk, kind)(network=net, scale_bounds="fixed")
        assert [each.name for each in fixed.hyperparameters] == ["network__sigma_w", "network__sigma_b"]

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_gaussian_process(self) -> None:
        """Of scikit-learn, with that kernel and noise of its own, finds what matters too."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import WhiteKernel

        model = GaussianProcessRegressor(self.sk.NNGPKernel(network=ARD) + WhiteKernel(0.1)).fit(TRAIN, TARGETS)
        assert relevant(model.kernel_.k1.network[0].weights)
