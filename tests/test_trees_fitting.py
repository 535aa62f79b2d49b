"""Hyper-parameters of networks with branches: fits, kernels of scikit-learn and estimators move them by place."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Activation, Concat, Dense, Dropout, LayerNorm, Product, Residual, Sequential, Sum, resmlp
from fastntk.inference import FitWarning, fit_marginal_likelihood, log_marginal_likelihood
from fastntk.inference.fitting.likelihood import Likelihood
from fastntk.inference.fitting.sigmas import Sigmas

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3))
Y = np.sin(X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.normal(size=40)

#: Every layer; a sigma_b of 0 in several of them.
NET = Sequential(
    Dense(1.3, 0.2, width=32),
    Residual(LayerNorm(), "erf", Dropout(0.1), Dense(0.6, 0.1, parametrization="standard")),
    Sum(Dense(0.8), Product(Dense(0.9, 0.3), Sequential(Dense(1.1, 0.4), Activation("gelu")))),
    Concat(Dense(1.2, trainable=False), Sequential(Dense(0.9, 0.2), "relu"), fractions=[0.25, 0.75]),
    Dense(1.1, 0.3),
)
#: One that a stack is the same as: of one branch.
STACKS: list[tuple[Sequential, Sequential]] = [
    (
        Sequential(Dense(1.2, 0.3), Sum(Sequential("erf", Dense(0.8, 0.2))), "relu", Dense(1.1, 0.1)),
        Sequential(Dense(1.2, 0.3), "erf", Dense(0.8, 0.2), "relu", Dense(1.1, 0.1)),
    ),
    (
        Sequential(Dense(1.2, 0.3), Concat(Sequential("erf", Dense(0.8, 0.2))), "relu", Dense(1.1, 0.1)),
        Sequential(Dense(1.2, 0.3), "erf", Dense(0.8, 0.2), "relu", Dense(1.1, 0.1)),
    ),
]


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("which", ["shared", "all"])
def test_slopes(kind: Any, which: Any) -> None:
    """Of the likelihood in what is free, against central differences."""
    sigmas = Sigmas(NET, None, None, which)
    assert len(sigmas) == (2 if which == "shared" else 14)
    likelihood = Likelihood(sigmas, X, Y, kind, None, np.ones(40), scaled=True)
    theta = np.random.default_rng(1).normal(scale=0.2, size=len(sigmas) + 1)
    point = likelihood(theta)
    kernel = getattr(point.network, kind)(X)
    np.testing.assert_allclose(point.value, log_marginal_likelihood(kernel, Y, point.noise), rtol=1e-10)
    h = 1e-5
    for i, step in enumerate(h * np.eye(len(theta))):
        slope = (likelihood(theta + step).value - likelihood(theta - step).value) / (2 * h)
        np.testing.assert_allclose(point.gradient[i], slope, rtol=2e-5, atol=1e-6 * abs(point.value))


@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")
@pytest.mark.parametrize("which", ["shared", "all", "fixed"])
@pytest.mark.parametrize(("net", "stack"), STACKS)
def test_a_branch_alone_is_a_stack(net: Sequential, stack: Sequential, which: Any) -> None:
    """Its fit is that of the stack, layer by layer."""
    one, other = (fit_marginal_likelihood(each, X, Y, hyperparameters=which) for each in (net, stack))
    assert [p.name for p in one.network.parameters] == [p.name for p in other.network.parameters]
    np.testing.assert_allclose(one.log_marginal_likelihood, other.log_marginal_likelihood, rtol=1e-6)
    wanted, found = ([p.value for p in fit.network.parameters] for fit in (other, one))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    names = {"shared": ["sigma_w", "sigma_b"], "fixed": [], "all": [f"{n} of layer {p}" for p, n, _ in net.parameters]}
    assert list(one.parameters) == [*names[which], "output_scale", "noise"]


@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")
@pytest.mark.parametrize("which", ["shared", "all", "fixed"])
def test_a_fit(which: Any) -> None:
    """Gains; a sigma of 0 stays 0; shared ones keep their ratios, but for the scale of the last layer."""
    fit = fit_marginal_likelihood(NET, X, Y, hyperparameters=which)
    before, after = ([p.value for p in net.parameters] for net in (NET, fit.network))
    assert [value == 0 for value in before] == [value == 0 for value in after]
    kernel = fit.network.nngp(X)
    np.testing.assert_allclose(log_marginal_likelihood(kernel, Y, fit.noise), fit.log_marginal_likelihood, rtol=1e-9)
    if which == "all":
        assert fit.log_marginal_likelihood > fit_marginal_likelihood(NET, X, Y).log_marginal_likelihood
        return
    ratios = np.array(after[:-2]) / np.where(np.array(before[:-2]) > 0, before[:-2], 1)
    weights, biases = ratios[::2], ratios[1::2][np.array(before[1:-2:2]) > 0]
    for same in (weights, biases):
        np.testing.assert_allclose(same, same[0], rtol=1e-12)
    if which == "fixed":
        np.testing.assert_array_equal(after[:-2], before[:-2])


def test_bounds_are_of_every_layer() -> None:
    """All stay within; what is fixed stays as it is."""
    net = resmlp(3, "erf", [1.5, 0.5, 0.7, 0.9, 1.0], 0.3)
    with pytest.warns(FitWarning, match=r"sigma_w of layer [\d.]+ ended at its (lower|upper) bound"):
        fit = fit_marginal_likelihood(
            net, X, Y, hyperparameters="all", sigma_w_bounds=(0.49, 2.0), sigma_b_bounds="fixed", output_scale=False
        )
    assert all(0.49 <= value <= 2.0 for _, name, value in fit.network.parameters if name == "sigma_w")
    assert all(value == 0.3 for _, name, value in fit.network.parameters if name == "sigma_b")
    with pytest.raises(ValueError, match=r"^sigma_w_bounds=.* is narrower than the range of the layers"):
        fit_marginal_likelihood(net, X, Y, sigma_w_bounds=(0.8, 1.2))


@pytest.mark.parametrize(
    "net", [NET[:-1], Sequential(Dense(width=4), Dense(parametrization="standard")), Sequential(Dense(), Dropout(0.1))]
)
def test_outputs_without_a_scale(net: Sequential) -> None:
    """A sentence says what to do."""
    with pytest.raises(
        ValueError, match=r"^the output scale is that of a last Dense layer, of the ntk parametrization"
    ):
        fit_marginal_likelihood(net, X, Y)


def test_a_bias_in_a_branch_is_one() -> None:
    """No remark, where another layer than the last has it; in the standard parametrization, of the NTK."""
    far = Y + 10
    nets = [
        Sequential(Dense(), Residual("erf", Dense(0.5, 0.3)), Dense()),
        Sequential(Dense(width=9), Residual("erf", Dense(0.5)), Dense()),
        Sequential(Residual(Dense(parametrization="standard", bias=True)), Dense()),
    ]
    for net, kind, said in ((nets[0], "nngp", False), (nets[1], "nngp", True), (nets[2], "ntk", False)):
        fit = _quietly(net, far, kind)
        assert any("has no bias" in remark for remark in fit.remarks) == said


def _quietly(net: Sequential, y: Any, kind: Any) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_marginal_likelihood(net, X, y, kind=kind, most_evaluations=3)


class TestKernels:
    """Of scikit-learn."""

    sklearn = pytest.importorskip("sklearn")

    @pytest.mark.parametrize("kind", ["NNGPKernel", "NTKKernel"])
    @pytest.mark.parametrize("which", ["shared", "all", "fixed"])
    def test_rules(self, kind: str, which: Any) -> None:
        """Names, theta, bounds and values agree; clones and pickles are equal; derivatives are those of theta."""
        from sklearn.base import clone
        from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

        kernel = getattr(fastntk.sklearn, kind)(network=NET, hyperparameters=which)
        free = {
            "shared": [("sigma_w", 1.3), ("sigma_b", 0.2)],
            "all": [(f"{path}__{name}", value) for path, name, value in NET.parameters if value > 0],
            "fixed": [],
        }[which]
        names = [f"network__{key}" for key, _ in free]
        assert [each.name for each in kernel.hyperparameters] == names
        np.testing.assert_array_equal(kernel.theta, np.log([value for _, value in free]))
        assert kernel.n_dims == len(free)
        assert kernel.bounds.size == 2 * len(free)
        params = kernel.get_params()
        assert {name: params[name] for name in names} == {f"network__{key}": value for key, value in free}
        assert not set(names) & set(kernel.get_params(deep=False))
        assert params["hyperparameters"] == which
        assert clone(kernel) == kernel == pickle.loads(pickle.dumps(kernel))
        for i, name in enumerate(names):
            other = clone(kernel).set_params(**{name: 0.7})
            assert other.get_params()[name] == pytest.approx(0.7, rel=1e-15)
            assert other != kernel
            np.testing.assert_allclose(other.theta[i], np.log(0.7))
            np.testing.assert_allclose(np.delete(other.theta, i), np.delete(kernel.theta, i))
            assert kernel.network == NET
        moved = kernel.clone_with_theta(kernel.theta + 0.3)
        np.testing.assert_allclose(moved.theta, kernel.theta + 0.3, rtol=1e-13)
        np.testing.assert_allclose(moved.bounds, kernel.bounds, rtol=1e-12)
        assert [value for _, _, value in moved.network.parameters].count(0.0) == 2

        value, slopes = kernel(X, eval_gradient=True)
        assert slopes.shape == (40, 40, len(free))
        np.testing.assert_allclose(value, kernel(X), rtol=1e-12)
        h = 1e-4
        for k, step in enumerate(h * np.eye(len(free))):
            near, far = (
                kernel.clone_with_theta(kernel.theta + s * step)(X)
                - kernel.clone_with_theta(kernel.theta - s * step)(X)
                for s in (1, 2)
            )
            np.testing.assert_allclose(slopes[..., k], (8 * near - far) / (12 * h), rtol=1e-6, atol=1e-9 * value.max())

        both = ConstantKernel(2.0) * kernel + WhiteKernel(0.1)
        assert [each.name for each in both.hyperparameters][1:-1] == [f"k1__k2__{name}" for name in names]
        assert set(both.get_params()) >= {f"k1__k2__{name}" for name in names}
        np.testing.assert_array_equal(both.theta[1:-1], kernel.theta)
        again = both.clone_with_theta(both.theta + 0.1)
        np.testing.assert_allclose(again.theta, both.theta + 0.1, rtol=1e-13)

    def test_a_gaussian_process(self) -> None:
        """Finds a better network, and keeps what is fixed."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import WhiteKernel

        net = resmlp(2, "erf", 0.5, 0.3)
        values = {}
        for which in ("fixed", "shared", "all"):
            kernel = fastntk.sklearn.NNGPKernel(network=net, hyperparameters=which, sigma_b_bounds="fixed")
            model = GaussianProcessRegressor(kernel + WhiteKernel(0.1)).fit(X, Y)
            values[which] = model.log_marginal_likelihood_value_
            found = model.kernel_.k1.network
            assert all(value == 0.3 for _, name, value in found.parameters if name == "sigma_b")
            assert (found == net) == (which == "fixed")
            assert kernel.network == net
        assert values["fixed"] < values["shared"] <= values["all"] + 1e-6

    def test_a_grid(self) -> None:
        """Of one layer's sigma, inside of a model."""
        from sklearn.model_selection import GridSearchCV
        from sklearn.svm import SVR

        kernel = fastntk.sklearn.NTKKernel(network=resmlp(1, "relu"), hyperparameters="all")
        grid = GridSearchCV(SVR(kernel=kernel), {"kernel__network__1.0.1__sigma_w": [0.5, 2.0]}, cv=2).fit(X, Y)
        found = grid.best_params_["kernel__network__1.0.1__sigma_w"]
        block = grid.best_estimator_.kernel.network[1]
        assert block == Residual("relu", Dense(found))

    @pytest.mark.parametrize(
        ("options", "params", "sentence"),
        [
            ({"hyperparameters": "some"}, {}, r"^hyperparameters must be 'shared' or 'all' or 'fixed', got 'some'"),
            ({"network": None, "hyperparameters": "all"}, {}, r"^hyperparameters='all' is of the layers of a network"),
            (
                {"hyperparameters": "all"},
                {"network__2.0.0__sigma_b": 0.1},
                r"^there is no free hyper-parameter network__2",
            ),
            ({}, {"network__0__sigma_w": 0.1}, r"there are network__sigma_w, network__sigma_b\.$"),
            ({}, {"network__sigma_w": 0.0}, r"^network__sigma_w must be > 0, got 0"),
            ({"hyperparameters": "fixed"}, {"network__sigma_w": 1.0}, r"there are none\.$"),
            ({"sigma_w_bounds": (1.0, 1.1)}, {}, r"^sigma_w_bounds=.* is narrower than the range of the layers"),
        ],
    )
    def test_refusals(self, options: dict[str, Any], params: dict[str, Any], sentence: str) -> None:
        """One sentence each."""
        kernel = fastntk.sklearn.NTKKernel(**{"network": NET, **options})
        with pytest.raises(ValueError, match=sentence):
            kernel.set_params(**params)(X, eval_gradient=True)

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    @pytest.mark.parametrize("which", ["shared", "all", "fixed"])
    def test_estimator(self, which: Any) -> None:
        """Its fit is the function's; theta is where it says, and the gradient is that of its likelihood."""
        model = fastntk.sklearn.NNGPRegressor(network=NET, optimizer="lbfgs", hyperparameters=which).fit(X, Y)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fastntk.inference.fitting.search.warn", lambda *_: None)
            wanted = fit_marginal_likelihood(NET, X, Y, noise=0.01, hyperparameters=which)
        assert model.network_ == wanted.network
        assert model.parameters_ == wanted.parameters
        theta = np.log(list(model.parameters_.values())) + 0.1
        value, slopes = model.log_marginal_likelihood(theta, eval_gradient=True)
        for i, step in enumerate(1e-5 * np.eye(len(theta))):
            near = model.log_marginal_likelihood(theta + step) - model.log_marginal_likelihood(theta - step)
            np.testing.assert_allclose(slopes[i], near / 2e-5, rtol=1e-4, atol=1e-6 * abs(value))
        assert np.isfinite(model.predict(X[:3], return_std=True)).all()
