"""Kernels as scikit-learn objects: its Gaussian processes and whatever takes a callable kernel."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import fastntk

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.cluster import SpectralClustering
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

from fastntk.sklearn import NNGPKernel, NTKKernel

rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(40, 3)), rng.normal(size=(10, 3))
Y = np.sin(X[:, 0]) + 0.1 * rng.normal(size=40)
LABELS = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)
NET = fastntk.mlp(2, "erf", 1.5, 0.3)
KERNELS = [NNGPKernel(2, "erf", 1.5, 0.3), NTKKernel(2, "erf", 1.5, 0.3)]
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: type(k).__name__)


@each_kernel
def test_it_is_the_networks(kernel: Any) -> None:
    """Matrix, cross matrix and diagonal; from parameters, or from a network."""
    of_net = NET.nngp if isinstance(kernel, NNGPKernel) else NET.ntk
    np.testing.assert_array_equal(kernel(X), of_net(X))
    np.testing.assert_array_equal(kernel(X_TEST, X), of_net(X_TEST, X))
    np.testing.assert_allclose(kernel.diag(X), np.diag(kernel(X)), rtol=1e-13)
    given = type(kernel)(network=NET)
    np.testing.assert_array_equal(given(X), kernel(X))
    assert given.n_dims == 2
    given.set_params(hyperparameters="fixed")
    assert given.n_dims == 0
    assert given(X, eval_gradient=True)[1].shape == (40, 40, 0)
    assert not kernel.is_stationary()
    assert kernel.requires_vector_input


@each_kernel
def test_gradient(kernel: Any) -> None:
    """In theta, against central differences; only of what is free."""
    value, slopes = kernel(X, eval_gradient=True)
    np.testing.assert_allclose(value, kernel(X), rtol=1e-13)
    assert kernel.n_dims == 2
    np.testing.assert_allclose(kernel.theta, np.log([0.3, 1.5]))  # in alphabetical order
    h = 1e-4
    for k in range(2):
        step = h * np.eye(2)[k]
        near, far = (
            kernel.clone_with_theta(kernel.theta + s * step)(X) - kernel.clone_with_theta(kernel.theta - s * step)(X)
            for s in (1, 2)
        )
        # of fourth order: where a slope is nearly 0, the error of the second is seen
        np.testing.assert_allclose(slopes[..., k], (8 * near - far) / (12 * h), rtol=1e-6)
    half = clone(kernel).set_params(sigma_w_bounds="fixed")
    np.testing.assert_array_equal(half(X, eval_gradient=True)[1], slopes[..., :1])
    assert type(kernel)(2, "erf", 1.5).n_dims == 1  # sigma_b = 0 has no logarithm
    with pytest.raises(ValueError, match="Gradient can only be evaluated when Y is None"):
        kernel(X, X, eval_gradient=True)


@each_kernel
def test_as_an_object(kernel: Any) -> None:
    """Clone, pickle, equality, representation, algebra."""
    assert clone(kernel) == kernel == pickle.loads(pickle.dumps(kernel))
    assert kernel != type(kernel)(2, "erf", 1.5, 0.4)
    assert repr(kernel) == f"{type(kernel).__name__}(depth=2, activation='erf', sigma_w=1.5, sigma_b=0.3)"
    named = type(kernel)(network=fastntk.mlp(1), hyperparameters="all")
    assert repr(named) == f"{type(kernel).__name__}(network={fastntk.mlp(1)!r}, hyperparameters='all')"
    both = ConstantKernel(2.0) * kernel + WhiteKernel(0.1)
    np.testing.assert_allclose(both(X), 2 * kernel(X) + 0.1 * np.eye(40), rtol=1e-12)
    assert len(both.theta) == 4
    with pytest.raises(TypeError, match=r"^depth is a network: pass it by name, NTKKernel\(network=\.\.\.\)\.$"):
        NTKKernel(fastntk.mlp(1))(X)
    with pytest.raises(TypeError, match=r"network must be a fastntk\.Sequential"):
        type(kernel)(network="relu")(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # sigma_b goes to its lower bound
@each_kernel
def test_gaussian_processes(kernel: Any) -> None:
    """Regression raises the likelihood and finds the noise; classification separates."""
    model = GaussianProcessRegressor(kernel + WhiteKernel(1.0)).fit(X, Y)
    before = model.log_marginal_likelihood(np.log([0.3, 1.5, 1.0]))
    assert model.log_marginal_likelihood_value_ > before
    assert 1e-3 < model.kernel_.k2.noise_level < 0.1
    assert GaussianProcessClassifier(kernel).fit(X, LABELS).score(X, LABELS) > 0.9


class Counting(NTKKernel):
    """Counts its calls."""

    calls = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Count, and evaluate."""
        Counting.calls += 1
        return super().__call__(*arguments, **options)


def test_callable_kernels_are_called_for_all_pairs_at_once() -> None:
    """Where a plain function would be called for each."""
    kernel, net = Counting(1, "relu", 1.5, 0.3), fastntk.mlp(1, "relu", 1.5, 0.3)  # nowhere negative
    wanted = np.linalg.solve(net.ntk(X) + 0.1 * np.eye(40), Y)
    for model, most in (
        (KernelRidge(alpha=0.1, kernel=kernel), 2),
        (SVC(kernel=kernel), 2),
        (KernelPCA(2, kernel=kernel), 2),
        (SpectralClustering(2, affinity=kernel), 1),
    ):
        Counting.calls = 0
        model.fit(X, LABELS if isinstance(model, SVC) else Y)
        if isinstance(model, KernelRidge):
            np.testing.assert_allclose(model.predict(X_TEST), net.ntk(X_TEST, X) @ wanted, rtol=1e-8)
        assert 1 <= Counting.calls <= most
