"""inference.GaussianProcess beside scikit-learn's, dense formulas, finite differences and refits."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from tests.processes import BOTH, EACH, ERF, NETS, OPTIONS, X_TEST, Array, X, Y

import fastntk
from fastntk.inference import FitWarning, GaussianProcess, fit_marginal_likelihood
from fastntk.inference.process import answers


def plane(x: Array) -> Array:
    """A prior mean."""
    return 3 + 0.5 * x[:, 1]


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh"])
@pytest.mark.parametrize("noise", [0.05, EACH], ids=["one noise", "each its own"])
@pytest.mark.parametrize("y", [Y, BOTH], ids=["one output", "two"])
@pytest.mark.parametrize("standardize", [False, True])
def test_against_scikit_learn(activation: str, noise: Any, y: Array, standardize: bool) -> None:
    """Mean, deviation, covariance, likelihood."""
    pytest.importorskip("sklearn")
    from sklearn.gaussian_process import GaussianProcessRegressor

    from fastntk.sklearn import NNGPKernel

    kernel = NNGPKernel(2, activation, 1.4, 0.3)
    theirs = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None, normalize_y=standardize).fit(X, y)
    ours = GaussianProcess(NETS[activation], X, y, noise=noise, standardize=standardize)
    mean, std = theirs.predict(X_TEST, return_std=True)
    found = ours.predict(X_TEST)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(found.std, std.reshape(found.std.shape) if std.shape == mean.shape else _each(std, y),
                               rtol=1e-8)  # fmt: skip
    whole = ours.predict(X_TEST, covariance=True)
    np.testing.assert_array_equal(whole.mean, ours.posterior_mean(X_TEST))
    np.testing.assert_allclose(whole.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(np.einsum("ii...->i...", whole.covariance), found.std**2, rtol=1e-8)
    covariance = theirs.predict(X_TEST, return_cov=True)[1]
    wanted = covariance if covariance.shape == whole.covariance.shape else np.multiply.outer(covariance, [1, 1])
    np.testing.assert_allclose(whole.covariance, wanted, atol=1e-10 * np.abs(wanted).max())
    units = float(np.log(ours.scale).sum()) * len(y)
    assert ours.log_marginal_likelihood() + units == pytest.approx(theirs.log_marginal_likelihood_value_, rel=1e-9)


def _each(std: Array, y: Array) -> Array:
    """The deviation of every output, where scikit-learn gives one."""
    return np.multiply.outer(std, np.ones(y.shape[1:]))


def test_likelihood_is_that_of_the_targets() -> None:
    """In their units, whatever is done inside."""
    model = GaussianProcess(ERF, X, Y, noise=0.05, mean="constant", standardize=True)
    covariance = float(model.scale) ** 2 * (ERF.nngp(X) + 0.05 * np.eye(30))
    level = np.full(30, model.constant)
    assert model.log_marginal_likelihood() == pytest.approx(multivariate_normal(level, covariance).logpdf(Y), rel=1e-11)


@pytest.mark.parametrize("y", [Y, BOTH], ids=["one output", "two"])
def test_constant(y: Array) -> None:
    """Is the most likely one, by generalised least squares, of every output."""
    model = GaussianProcess(ERF, X, y, noise=EACH, mean="constant")
    inverse = np.linalg.inv(ERF.nngp(X) + np.diag(EACH))
    constant = inverse.sum(axis=0) @ y / inverse.sum()
    np.testing.assert_allclose(model.constant, constant, rtol=1e-11)
    cross = ERF.nngp(X_TEST, X)
    np.testing.assert_allclose(model.predict(X_TEST).mean, constant + cross @ inverse @ (y - constant), rtol=1e-11)
    np.testing.assert_allclose(model.dual, inverse @ (y - constant), rtol=1e-9)
    apart = y.reshape(30, -1)
    for output, c in zip(apart.T, np.atleast_1d(constant), strict=True):
        at = [
            GaussianProcess(ERF, X, output, noise=EACH, mean=c + step).log_marginal_likelihood()
            for step in (-1e-3, 0, 1e-3)
        ]
        assert at[1] > max(at[0], at[2])


@pytest.mark.parametrize("standardize", [False, True])
def test_mean_that_is_a_function(standardize: bool) -> None:
    """Is that of the targets: without it, the rest is as of targets less its values."""
    model = GaussianProcess(ERF, X, Y, mean=plane, standardize=standardize)
    rest = GaussianProcess(ERF, X, Y - plane(X), standardize=standardize)
    np.testing.assert_allclose(model.predict(X_TEST).mean, rest.predict(X_TEST).mean + plane(X_TEST), rtol=1e-12)
    np.testing.assert_allclose(model.predict(X_TEST).std, rest.predict(X_TEST).std, rtol=1e-12)
    np.testing.assert_allclose(
        model.sample(X_TEST, 2, rng=0), rest.sample(X_TEST, 2, rng=0) + plane(X_TEST), rtol=1e-10
    )
    draws = np.stack((Y[:7], 2 * Y[:7]))
    futures = model.fantasize(X_TEST, draws).predict(X[:3])
    wanted = rest.fantasize(X_TEST, draws - plane(X_TEST)).predict(X[:3])
    np.testing.assert_allclose(futures.mean, wanted.mean + plane(X[:3])[:, None], rtol=1e-12)
    of_two = GaussianProcess(ERF, X, BOTH, mean=lambda x: np.stack((plane(x), 1 + 0 * plane(x)), axis=1))
    np.testing.assert_allclose(of_two.predict(X_TEST).mean[:, 0], GaussianProcess(ERF, X, Y, mean=plane)
                               .predict(X_TEST).mean, rtol=1e-12)  # fmt: skip
    with pytest.raises(ValueError, match="gradient=True needs the derivative of the mean"):
        model.predict(X_TEST, gradient=True)


@pytest.mark.parametrize("activation", NETS)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("y", [Y, BOTH], ids=["one output", "two"])
def test_gradients(activation: str, option: str, y: Array) -> None:
    """Against differences of fourth order, of single samples and of several."""
    model = GaussianProcess(NETS[activation], X, y, **OPTIONS[option])
    found = model.predict(X_TEST, gradient=True)
    plain = model.predict(X_TEST)
    np.testing.assert_allclose(found.mean, plain.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, plain.std, rtol=1e-12)
    h = 2e-3
    for feature, step in enumerate(h * np.eye(3)):
        near = [model.predict(X_TEST + i * step) for i in (-2, -1, 1, 2)]
        for name in ("mean", "std"):
            a, b, c, d = (getattr(value, name) for value in near)
            wanted = (a - 8 * b + 8 * c - d) / (12 * h)
            size = np.abs(wanted).max()
            np.testing.assert_allclose(getattr(found, f"{name}_gradient")[..., feature], wanted, atol=1e-7 * size)
    for i in range(len(X_TEST)):
        alone = model.predict(X_TEST[[i]], gradient=True)  # of derivatives of a row, and not of sums
        for one, several in zip(alone, found, strict=True):
            np.testing.assert_allclose(one[0], several[i], rtol=1e-9, atol=1e-10 * np.abs(several).max())


@pytest.mark.parametrize("activation", NETS)
def test_gradient_at_the_origin(activation: str) -> None:
    """Of one sample and among others; without a bias K(x, x') is no smooth function there, and it is 0."""
    model = GaussianProcess(NETS[activation], X, Y)
    rows, h = np.concatenate((np.zeros((1, 3)), X_TEST)), 1e-4
    for asked in (rows[:1], rows):
        found = model.predict(asked, gradient=True)
        for feature, step in enumerate(h * np.eye(3)):
            up, down = model.predict(asked + step), model.predict(asked - step)
            np.testing.assert_allclose(found.mean_gradient[0, feature], (up.mean - down.mean)[0] / (2 * h), atol=1e-4)
            np.testing.assert_allclose(found.std_gradient[0, feature], (up.std - down.std)[0] / (2 * h), atol=1e-4)
    without = GaussianProcess(fastntk.mlp(2, "relu", 1.4), X, Y)
    for asked in (rows[:1], rows):
        found = without.predict(asked, gradient=True)
        assert not found.std_gradient[0].any()
        assert np.isfinite(found.mean_gradient).all()


def test_gradient_at_samples_without_noise() -> None:
    """Is a number, and 0 where the deviation is; next to them it is that of a cone."""
    model = GaussianProcess(ERF, X[:10], Y[:10], noise=0.0)
    found = model.predict(X[:10], gradient=True)
    assert found.std.max() < 1e-6
    assert np.isfinite(found.std_gradient).all()
    assert not found.std_gradient[found.std == 0].any()
    exact = fastntk.mlp(0)  # K(x, x) = x², without a rounding error
    assert exact.nngp([[2.0]])[0, 0] == 4.0
    at, beside = (GaussianProcess(exact, [[2.0]], [1.0], noise=0.0).predict([[x]], gradient=True) for x in (2.0, 3.0))
    assert at.std[0] == at.std_gradient[0, 0] == 0
    assert beside.mean_gradient[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_condition_equals_a_refit(activation: str, option: str) -> None:
    """One by one, a hundred points: mean, deviation, gradients, likelihood, every target from the others."""
    rng = np.random.default_rng(1)
    x, options = rng.normal(size=(130, 3)), dict(OPTIONS[option])
    y, each = np.sin(x[:, 0]) + x[:, 1] + 3, rng.uniform(0.01, 0.1, size=130)
    if "noise" in options:
        options["noise"] = each
    first = options | ({"noise": each[:30]} if "noise" in options else {})
    model = GaussianProcess(NETS[activation], x[:30], y[:30], **first)
    for i in range(30, 130):
        model = model.condition(x[[i]], y[[i]], noise=each[[i]] if "noise" in options else None)
    whole = GaussianProcess(NETS[activation], x, y, **options)
    for one, other in zip(model.predict(X_TEST, gradient=True), whole.predict(X_TEST, gradient=True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())
    assert model.log_marginal_likelihood() == pytest.approx(whole.log_marginal_likelihood(), rel=1e-10)
    np.testing.assert_allclose(model.leave_one_out().mean, whole.leave_one_out().mean, rtol=1e-10)
    np.testing.assert_array_equal(model.y, y)
    np.testing.assert_array_equal(model.noise, options.get("noise", 0.01))


def test_condition_on_one_number() -> None:
    """Of one point it needs no list."""
    process = GaussianProcess(ERF, np.eye(3), [1.0, 2.0, 3.0])
    one, listed = (process.condition([[1.0, 1.0, 0.0]], y) for y in (4.0, [4.0]))
    np.testing.assert_array_equal(one.predict(np.ones((1, 3))).mean, listed.predict(np.ones((1, 3))).mean)


def test_condition_in_pieces() -> None:
    """Several samples at once, of several outputs, of another noise: then each has its own."""
    model = GaussianProcess(ERF, X[:10], BOTH[:10], noise=0.1).condition(X[10:25], BOTH[10:25])
    assert model.noise == 0.1
    model = model.condition(X[25:], BOTH[25:], noise=0.02)
    noise = np.repeat([0.1, 0.02], [25, 5])
    np.testing.assert_array_equal(model.noise, noise)
    whole = GaussianProcess(ERF, X, BOTH, noise=noise)
    np.testing.assert_allclose(model.predict(X_TEST).mean, whole.predict(X_TEST).mean, rtol=1e-11)
    np.testing.assert_allclose(model.predict(X_TEST).std, whole.predict(X_TEST).std, rtol=1e-11)


def test_fit() -> None:
    """Finds what `fit_marginal_likelihood` finds of standardised targets, and says how."""
    model = GaussianProcess(ERF, X, Y, standardize=True).fit(sigma_b_bounds="fixed")
    values = (Y - Y.mean()) / Y.std()
    found = fit_marginal_likelihood(ERF, X, values, noise=0.01, sigma_b_bounds="fixed")
    assert model.fitted is not None
    assert model.fitted.converged
    assert model.noise == pytest.approx(found.noise, rel=1e-6)
    assert model.log_marginal_likelihood() == pytest.approx(
        found.log_marginal_likelihood - 30 * np.log(Y.std()), abs=1e-8
    )
    assert model.condition(X_TEST, X_TEST[:, 0]).fitted is model.fitted
    fixed = GaussianProcess(ERF, X, Y, noise=0.2).fit(noise_bounds="fixed", hyperparameters="fixed")
    assert fixed.noise == 0.2
    np.testing.assert_array_equal(GaussianProcess(ERF, X, Y, noise=EACH).fit().noise, EACH)
    assert GaussianProcess(ERF, X, Y, noise=0.0).fit().noise > 0
    for option in ("net", "noise", "kind", "constant"):
        with pytest.raises(TypeError, match=f"fit takes the options of fit_marginal_likelihood, but not {option}"):
            model.fit(**{option: 1})


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh"])
def test_fit_with_a_constant(activation: str) -> None:
    """Is a maximum over sigma_w, noise and scale, each with its own most likely constant."""
    y = Y + 50 * np.ptp(Y)
    model = GaussianProcess(NETS[activation], X, y, mean="constant").fit(sigma_b_bounds="fixed", tolerance=1e-6)
    assert model.fitted is not None
    assert model.fitted.converged
    assert model.log_marginal_likelihood() == pytest.approx(model.fitted.log_marginal_likelihood, rel=1e-9)

    def value(theta: Array) -> float:
        factors = {"sigma_w": np.exp(theta[0]), "sigma_b": 1.0}
        last = len(model.net.parameters) - 2  # the scale of the outputs is of both sigmas of the last layer
        net = model.net.with_parameters([
            parameter.value * factors[parameter.name] * (np.exp(theta[1]) if i >= last else 1.0)
            for i, parameter in enumerate(model.net.parameters)
        ])  # fmt: skip
        noise = float(model.noise) * np.exp(theta[2])
        return GaussianProcess(net, X, y, noise=noise, mean="constant").log_marginal_likelihood()

    h = 1e-3
    slopes = [(value(h * step) - value(-h * step)) / (2 * h) for step in np.eye(3)]
    assert np.abs(slopes).max() < 30 * 1e-5


def test_fit_warns() -> None:
    """As `fit_marginal_likelihood`; of no bias only where the mean is to be explained by it."""
    net = fastntk.mlp(1, "erf", 2.0)
    with pytest.warns(FitWarning) as caught:
        GaussianProcess(net, X, Y + 9).fit()
    assert any("no bias" in str(warning.message) for warning in caught)
    GaussianProcess(net, X, Y, mean="constant").fit()
    with pytest.raises(TypeError, match="constant must be True or False"):
        fit_marginal_likelihood(net, X, Y, constant="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["plain", "number", "each its noise"])
def test_leave_one_out(option: str) -> None:
    """Against processes of all others."""
    options = dict(OPTIONS[option])
    model = GaussianProcess(ERF, X, BOTH, **options)
    found, density = model.leave_one_out(), 0.0
    options["mean"] = 0.0
    level, noise = np.asarray(model.constant), np.broadcast_to(model.noise, 30)
    if option == "number":
        level = np.full(2, 2.5)
    for i in range(30):
        rest = np.arange(30) != i
        alone = GaussianProcess(ERF, X[rest], BOTH[rest] - level, noise=noise[rest]).predict(X[[i]])
        total = np.hypot(alone.std[0], np.sqrt(noise[i]))
        np.testing.assert_allclose(found.mean[i], alone.mean[0] + level, rtol=1e-9)
        np.testing.assert_allclose(found.variance[i], total**2, rtol=1e-9)
        error = (BOTH[i] - found.mean[i]) / total
        density -= float((0.5 * error**2 + np.log(total) + 0.5 * np.log(2 * np.pi)).sum())
    assert found.log_density == pytest.approx(density, rel=1e-9)


def test_leave_one_out_in_units() -> None:
    """Of standardised targets: those of the standardised ones, scaled."""
    deviation = BOTH.std(axis=0)
    inside = GaussianProcess(ERF, X, (BOTH - BOTH.mean(axis=0)) / deviation).leave_one_out()
    found = GaussianProcess(ERF, X, BOTH, standardize=True).leave_one_out()
    np.testing.assert_allclose(found.mean, inside.mean * deviation + BOTH.mean(axis=0), rtol=1e-11)
    np.testing.assert_allclose(found.variance, inside.variance * deviation**2, rtol=1e-11)
    assert found.log_density == pytest.approx(inside.log_density - 30 * np.log(deviation).sum(), rel=1e-11)


@pytest.mark.parametrize(("noise", "condition"), [(1e-4, 1e5), (1e-12, 1e12)])
def test_small_variances(noise: float, condition: float) -> None:
    """Against 50 digits, of the same kernel matrix: no error grows with its condition number."""
    net = fastntk.mlp(1, "erf", 1.0, 1.0)
    x = np.random.default_rng(2).uniform(-1, 1, size=(60, 2))
    test = np.concatenate((x[:3] + 1e-3, np.random.default_rng(3).uniform(-1, 1, size=(3, 2))))
    model, kernel = GaussianProcess(net, x, x[:, 0], noise=noise), net.nngp(x)
    assert np.linalg.cond(kernel + noise * np.eye(60)) > condition
    with mp.workdps(50):
        factor = mp.cholesky(mp.matrix(kernel.tolist()) + mp.mpf(noise) * mp.eye(60))
        wanted = [
            float(mp.mpf(float(prior)) - mp.norm(_forward(factor, row.tolist())) ** 2)
            for row, prior in zip(net.nngp.prepare(x)(test), net.nngp.diag(test), strict=True)
        ]
    one_by_one = np.concatenate([model.predict(row[None]).std for row in test])
    for std in (model.predict(test).std, one_by_one):
        assert np.abs(std**2 - wanted).max() < 3e-13


def _forward(factor: Any, right: list[float]) -> Any:
    """L⁻¹ right."""
    found: list[Any] = []
    for i, number in enumerate(right):
        found.append((number - mp.fdot((factor[i, j], found[j]) for j in range(i))) / factor[i, i])
    return found


def test_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many samples are predicted in several."""
    model = GaussianProcess(ERF, X, BOTH, standardize=True)
    at_once = model.predict(X_TEST, gradient=True)
    monkeypatch.setattr(answers, "_TOGETHER", 3 * len(X))
    for one, other in zip(model.predict(X_TEST, gradient=True), at_once, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    nothing = model.predict(np.empty((0, 3)), gradient=True)
    assert [a.shape for a in nothing] == [(0, 2), (0, 2), (0, 2, 3), (0, 2, 3)]
    assert model.predict(np.empty((0, 3)), covariance=True).covariance.shape == (0, 0, 2)
    with pytest.raises(ValueError, match=r"X contains nan \(first at \(5, 1\)\)"):
        model.predict(np.where(np.arange(21).reshape(7, 3) == 16, np.nan, X_TEST))


@pytest.mark.parametrize("option", OPTIONS)
def test_pickles(option: str) -> None:
    """To the last bit, and what it makes afterwards."""
    model = GaussianProcess(ERF, X, BOTH, **OPTIONS[option])
    again = pickle.loads(pickle.dumps(model))
    assert repr(again) == repr(model)
    for one, other in zip(again.predict(X_TEST, gradient=True), model.predict(X_TEST, gradient=True), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not again.X.flags.writeable
    one, other = (m.condition(X_TEST, X_TEST[:, :2], noise=0.1).predict(X_TEST).std for m in (again, model))
    np.testing.assert_array_equal(one, other)


def test_immutable() -> None:
    """Its arrays are its own, and nobody writes to them."""
    x, y, noise = X.copy(), Y.copy(), EACH.copy()
    model = GaussianProcess(ERF, x, y, noise=noise)
    before = model.predict(X_TEST)
    x[:], y[:], noise[:] = 0, 0, 1
    for one, other in zip(model.predict(X_TEST), before, strict=True):
        np.testing.assert_array_equal(one, other)
    for array in (model.X, model.y, model.noise):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0  # type: ignore[index]
    with pytest.raises(AttributeError, match="a GaussianProcess is immutable"):
        model.noise = 0.1
    assert repr(GaussianProcess(fastntk.mlp(0), X, Y, mean="constant", standardize=True)) == (
        "GaussianProcess(Sequential(Dense(sigma_w=1.0, sigma_b=0.0)), 30 samples, noise=0.01, mean='constant', "
        "standardize=True)"
    )
    assert "mean=plane" in repr(GaussianProcess(ERF, X, Y, mean=plane))


def test_threads() -> None:
    """Several ask one process at once."""
    model = GaussianProcess(ERF, X, BOTH, standardize=True)
    rows = [X_TEST[[i % 7]] for i in range(70)]
    alone = [model.predict(row, gradient=True) for row in rows]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda row: model.predict(row, gradient=True), rows))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_images() -> None:
    """Samples with positions, but for gradients in them."""
    net = fastntk.Sequential(fastntk.Conv(3, sigma_w=1.4, sigma_b=0.1), "relu", fastntk.Flatten(), fastntk.Dense())
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 1))
    y = images.mean(axis=(1, 2, 3))
    model = GaussianProcess(net, images[:5], y[:5]).condition(images[5:6], y[5:6])
    cross, kernel = net.nngp(images[6:], images[:6]), net.nngp(images[:6]) + 0.01 * np.eye(6)
    np.testing.assert_allclose(model.predict(images[6:]).mean, cross @ np.linalg.solve(kernel, y[:6]), rtol=1e-9)
    with pytest.raises(ValueError, match="derivatives in the inputs are computed of kernels of vectors"):
        model.predict(images[6:], gradient=True)


MODEL = GaussianProcess(ERF, X, Y)

ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "net": (lambda: GaussianProcess("relu", X, Y), TypeError, r"net must be a fastntk\.Sequential"),  # type: ignore[arg-type]
    "no samples": (lambda: GaussianProcess(ERF, X[:0], Y[:0]), ValueError, r"X has shape \(0, 3\): a process is"),
    "vector": (lambda: GaussianProcess(ERF, Y, Y), ValueError, r"X must be a matrix of shape \(n, d\)"),
    "NaN": (lambda: GaussianProcess(ERF, X * np.nan, Y), ValueError, "X contains nan"),
    "short y": (lambda: GaussianProcess(ERF, X, Y[:3]), ValueError, r"y must have shape \(30,\)"),
    "noise": (lambda: GaussianProcess(ERF, X, Y, noise=-1.0), ValueError, "noise must be >= 0"),
    "noises": (lambda: GaussianProcess(ERF, X, Y, noise=EACH[:3]), ValueError, "noise must be a number or of shape"),
    "mean text": (lambda: GaussianProcess(ERF, X, Y, mean="zero"), ValueError, "mean must be a number, 'constant'"),  # type: ignore[arg-type]
    "mean": (lambda: GaussianProcess(ERF, X, Y, mean=[1.0]), TypeError, "mean must be a real number"),  # type: ignore[arg-type]
    "mean shape": (lambda: GaussianProcess(ERF, X, Y, mean=lambda x: x), ValueError, r"mean\(X\) must have shape"),
    "mean NaN": (lambda: GaussianProcess(ERF, X, Y, mean=lambda _: Y * np.nan), ValueError, r"mean\(X\) contains"),
    "standardize": (lambda: GaussianProcess(ERF, X, Y, standardize=1), TypeError, "standardize must be True or False"),  # type: ignore[arg-type]
    "singular": (lambda: GaussianProcess(ERF, X[[0, 0]], Y[:2], noise=0), np.linalg.LinAlgError, "rows 0 and 1 are"),
    "features": (lambda: MODEL.predict(X[:, :2]), ValueError, r"X has samples of shape \(2,\), but the process was"),
    "too much": (lambda: MODEL.predict(X, covariance=True, gradient=True), ValueError, "exclude each other"),  # type: ignore[call-overload]
    "gradient": (lambda: MODEL.predict(X, gradient=1), TypeError, "gradient must be True or False"),  # type: ignore[call-overload]
    "covariance": (lambda: MODEL.predict(X, covariance="no"), TypeError, "covariance must be True or False"),  # type: ignore[call-overload]
    "nothing new": (lambda: MODEL.condition(X[:0], Y[:0]), ValueError, "one new sample at least is needed"),
    "new y": (lambda: MODEL.condition(X[:2], BOTH[:2]), ValueError, r"y must have shape \(2,\), as the targets that"),
    "new noise": (
        lambda: GaussianProcess(ERF, X, Y, noise=EACH).condition(X[:2], Y[:2]), ValueError,
        r"each sample has its own noise: pass noise=, of shape \(2,\)",
    ),
    "known": (
        lambda: GaussianProcess(ERF, X[:9], Y[:9], noise=0).condition(X[[20, 3]], Y[[20, 3]]), np.linalg.LinAlgError,
        "singular to working precision: sample 1 of the new ones is determined by those before it",
    ),
    "constant": (
        lambda: GaussianProcess(ERF, X, 0 * Y + 0.1, mean="constant").fit(), ValueError, "y is constant: there is",
    ),
    "constant in units": (
        lambda: GaussianProcess(ERF, X[:1], Y[:1], standardize=True).fit(), ValueError, "y is constant: there is",
    ),
    "samples": (lambda: MODEL.fantasize(X[:2], np.ones((4, 3))), ValueError, r"number or of shape \(size, 2\), got"),
    "no samples drawn": (lambda: MODEL.fantasize(X[:2], 0), ValueError, "samples must be an integer >= 1"),
    "size": (lambda: MODEL.sample(X, -1), ValueError, "size must be an integer >= 0"),
    "rng": (lambda: MODEL.sample_function(rng="x"), TypeError, "rng must be a Generator"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    """One sentence each."""
    call, error, sentence = ERRORS[case]
    with pytest.raises(error, match=sentence):
        call()
