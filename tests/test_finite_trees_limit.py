"""Monte Carlo of every layer: the means over finite networks of width 1024 are net.nngp and net.ntk.

Their rules are checked by hand and by finite differences in test_finite_trees.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.limits import check_limit

import fastntk
from fastntk import Concat, Dense, Dropout, Identity, LayerNorm, Product, Residual, Sequential, Sum
from fastntk.finite import convergence, monte_carlo, output_distribution

pytestmark = pytest.mark.sweep

Array = NDArray[np.float64]

WIDTH, DRAWS = 1024, 12

X = np.random.default_rng(0).normal(size=(4, 5))
X[3] = X[0] + 0.1 * X[1]
Y = np.concatenate((X[:1], np.random.default_rng(1).normal(size=(2, 5))))


def after(activation: str, sigma_w: float = 1.0, sigma_b: float = 0.0) -> Sequential:
    """A branch that ends with an activation."""
    return Sequential(Dense(sigma_w, sigma_b), activation)


def standard(sigma_w: float, sigma_b: float = 0.0, width: int | None = None, bias: bool | None = None) -> Dense:
    """Of the standard parametrization."""
    return Dense(sigma_w, sigma_b, parametrization="standard", width=width, bias=bias)


A, B, C = Dense(1.2, 0.3), Dense(0.8, 0.2), Dense(1.1, 0.1)

NETWORKS: dict[str, Sequential] = {
    "Sum": Sequential(Sum(A, B), "relu", C),
    "Sum with what is not Gaussian": Sequential(A, Sum("relu", B), C),
    "Sum with a mean": Sequential(A, Sum(B, after("relu", 1.2)), C),
    "odd activation": Sequential(A, Sum(Identity(), after("erf", 1.2)), C),
    "folded": Sequential(A, Sum(Identity(), "relu", B), C),
    "Residual": Sequential(A, Residual("relu", B), Residual("erf", B), C),
    "Residual at the end": Sequential(A, Residual("relu", B)),
    "Residual with a shortcut": Sequential(A, Residual("relu", Dense(0.9, trainable=False), shortcut=B), "erf", C),
    "Product": Sequential(A, Product(B, after("relu")), C),
    "Product with what comes in": Sequential(A, Product(Identity(), B), C),
    "Product of three": Sequential(A, Product("relu", B, Dense()), C),
    "Concat": Sequential(A, Concat(Identity(), B, fractions=[0.25, 0.75]), C),
    "Concat and an activation": Sequential(Concat(A, Dense(2.0), fractions=[0.3, 0.7]), "relu", C),
    "LayerNorm": Sequential(A, LayerNorm(), "relu", B, LayerNorm(eps=0.5), "erf", C),
    "LayerNorm at the end": Sequential(A, "relu", B, LayerNorm()),
    "LayerNorm of units with a mean": Sequential(A, "relu", LayerNorm(eps=0.1), C),
    "LayerNorm of a sum": Sequential(A, Sum(B, after("relu")), LayerNorm(), C),
    "LayerNorm of a product": Sequential(A, Product(after("relu"), after("relu", 1.2)), LayerNorm(), C),
    "LayerNorm of a concat": Sequential(A, Concat("relu", after("erf", 2.0), fractions=[0.25, 0.75]), LayerNorm(), C),
    "LayerNorm in a sum": Sequential(A, Sum(Identity(), Sequential(B, "relu", LayerNorm())), C),
    "Dropout": Sequential(A, "relu", Dropout(0.4), C, "erf", Dropout(0.2), B),
    "Dropout of a Gaussian": Sequential(A, Dropout(0.4), Sum(B, Dense(0.5)), "relu", C),
    "Dropout in a branch": Sequential(A, Residual("relu", Dropout(0.4), B), "relu", C),
    "Dropout before LayerNorm": Sequential(A, "relu", Dropout(0.4), LayerNorm(), C),
    "standard": Sequential(
        standard(1.2, 0.2, WIDTH), Residual("relu", standard(0.9, 0, WIDTH, bias=True)), standard(1.1)
    ),
    "standard behind a concat": Sequential(
        Concat(standard(1.2, 0.2, 256), standard(0.8, 0, 768), fractions=[0.25, 0.75]), "relu", standard(1.3, 0.1)
    ),
    "standard behind a sum": Sequential(Sum(Dense(1.0, width=WIDTH), Dense(0.7)), "relu", standard(1.2)),
    "nested": Sequential(
        A,
        Residual(
            LayerNorm(),
            Concat(Sequential("relu", B), Sequential(Residual("erf", Dropout(0.3), C), B)),
            Product(Identity(), after("erf")),
            B,
        ),
        "relu",
        C,
    ),
}


check = partial(check_limit, width=WIDTH, draws=DRAWS, kernels=Sequential.kernels)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer(name: str) -> None:
    """Of samples with themselves, where masks are the same on the diagonal."""
    check(NETWORKS[name])


@pytest.mark.parametrize("name", ["Dropout", "nested"])
def test_masks_of_other_samples(name: str) -> None:
    """Equal rows of two sets of samples are different samples."""
    check(NETWORKS[name], Y)


def test_convergence_of_a_tree() -> None:
    """Every Dense layer behind others, in the order of the parameters; nothing is predicted where it is not known."""
    net = Sequential(A, Residual("relu", B, LayerNorm(), "relu", B), "erf", C)
    found = convergence(net, X, (32, 128, 512), draws=20, rng=0)
    assert found.nngp_errors.shape == (3, 20, 3)
    assert np.abs(found.nngp_exponent + 0.5).max() < 0.15
    assert np.abs(found.ntk_exponent + 0.5).max() < 0.15
    assert np.isfinite(found.nngp_predicted[:, 0]).all()
    assert np.isnan(found.nngp_predicted[:, 1:]).all()


def test_outputs_of_a_tree() -> None:
    """Covariances are those of the limit; what is predicted from the fluctuation is not known."""
    net = Sequential(A, Residual("relu", B), "erf", C)
    found = output_distribution(net, X, 128, 400, rng=0)
    assert found.samples.shape == (400, 4, 2)
    assert (np.abs(found.covariance - found.gp_covariance) <= 5 * found.covariance_error + 5 / 128).all()
    assert np.isnan(found.predicted_kurtosis).all()
    assert np.isfinite(found.excess_kurtosis).all()
    normed = output_distribution(Sequential(A, LayerNorm()), X, 64, 20, rng=0)
    assert normed.samples.shape == (20, 4, 64)
    np.testing.assert_allclose(np.einsum("sik,sik->si", normed.samples, normed.samples) / 64, 1, rtol=1e-12)


def parted(first: float, second: float, activation: str = "relu") -> Sequential:
    """Units of two laws side by side."""
    return Sequential(Concat(after(activation, first), after(activation, second)))


WITH_MEANS = Sequential(Dense(), Concat(Identity(), after("relu")))

NO_LIMIT: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Product(Concat(Dense(1.0), Dense(3.0)), Concat(Dense(1.0), Dense(3.0))),
        r"^Product: branches 0 and 1, Concat\(.* both have units of several laws side by side",
    ),
    (
        lambda: Sequential(Concat(A, B), Product(Identity(), parted(1.0, 3.0))),
        r"branches 0 and 1, .* both have units of several laws side by side",
    ),
    (
        lambda: Sum(Sequential(parted(1.0, 3.0), LayerNorm()), Sequential(parted(1.0, 3.0), LayerNorm())),
        r"^Sum: branches 0 and 1, .* have means that may not be 0",
    ),
    (lambda: Sum(WITH_MEANS, WITH_MEANS), r"^Sum: branches 0 and 1, .* have means that may not be 0"),
    (lambda: Sum("relu", WITH_MEANS), r"^Sum: branches 0 and 1, .* have means that may not be 0"),
]


@pytest.mark.parametrize(("build", "sentence"), NO_LIMIT)
def test_networks_that_the_kernels_would_be_wrong_for(build: Callable[[], object], sentence: str) -> None:
    """Sampled, K is 7 to 70 % larger than that of these formulas: they are refused."""
    with pytest.raises(ValueError, match=sentence):
        build()


def test_products_and_sums_with_units_side_by_side_that_are_right() -> None:
    """One Concat in a product, units of mean 0 in a sum, and what a Dense has mixed."""
    fresh = Sequential(Concat(Dense(1.0), Dense(3.0)))
    for net in (
        Sequential(A, Product(fresh, B), Sum(fresh, fresh), C),
        Sequential(fresh, Product(Identity(), Sequential(fresh, B)), C),
    ):
        check(net)


def test_deep_residual_networks_do_not_drift() -> None:
    """Eight blocks, narrower: K grows by the factor that the kernel says."""
    net = fastntk.Sequential(A, *[Residual("relu", Dense(0.5))] * 8, C)
    found = monte_carlo(net, X, width=256, draws=30, rng=0)
    limit = net.nngp(X)
    assert (np.abs(found.nngp - limit) <= 5 * found.nngp_error + 0.05 * limit.max()).all()
