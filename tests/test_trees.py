"""Random networks with branches, of every layer and every class of activation, against the reference.

Errors are relative to sqrt(K_pp K_qq). Rows are well separated: nearly parallel ones are in
`test_trees_accuracy`, where the truth has more digits than the reference.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.trees import CLOSED, EVERY_LAYER, OTHERS, WIDTH, kinds, random_network, uses

import fastntk
from fastntk import Activation, Dense, Dropout, Residual, Sequential, ToleranceWarning, reference

pytestmark = pytest.mark.sweep

Float = NDArray[np.floating[Any]]

# A few roundings of each of up to some thirty layers, and what slopes and LayerNorm make of them.
DOUBLE, SINGLE = 1e-12, 2e-5

# Of expansions in float64, whose tolerance is 1e-10 each.
EXPANDED = 1e-8

# Where rows (nearly) coincide the angles of the reference are off by up to sqrt(eps), and jumps take roots of it.
NEAR, JUMPS = 1e-6, ("step", "sign")

CLOSED_SEEDS, OTHER_SEEDS = range(200), range(1075, 1105)


@cache
def network(seed: int) -> Sequential:
    """One of the random networks."""
    return random_network(np.random.default_rng(seed), CLOSED if seed < 1000 else (*CLOSED[:4], *OTHERS))


def samples(seed: int) -> NDArray[np.float64]:
    """Numbers of float32: five directions, and norms of 1/2 to 2."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal((5, WIDTH)) * np.geomspace(0.5, 2, 5)[:, None], np.float32).astype(np.float64)


def errors(found: Float, truth: Float, left: Float, right: Float) -> NDArray[np.float64]:
    """Of every pair, relative to the diagonals."""
    scale = np.sqrt(np.outer(left, right))
    difference = np.abs(found.astype(np.float64) - truth)
    assert not difference[scale == 0].any()
    return np.asarray(np.divide(difference, scale, out=np.zeros_like(difference), where=scale > 0))


class Expected:
    """Both kernels by the reference, of X with itself and with Y."""

    def __init__(self, net: Sequential, X: Float, Y: Float) -> None:
        self.net, self.X, self.Y = net, X, Y
        self.alone, self.with_y = reference.kernels(net, X), reference.kernels(net, X, Y)
        self.left, self.right = ([np.diag(kernel) for kernel in k] for k in (self.alone, reference.kernels(net, Y)))

    def error(self, dtype: str = "float64") -> float:
        """The largest of the engine, of X with itself."""
        found = self.net.kernels(self.X.astype(dtype))
        return max(float(errors(*each).max()) for each in zip(found, self.alone, self.left, self.left, strict=True))

    def error_with_others(self, dtype: str = "float64") -> float:
        """The largest of the engine, of X with Y."""
        found = self.net.kernels(self.X.astype(dtype), self.Y.astype(dtype))
        return max(float(errors(*each).max()) for each in zip(found, self.with_y, self.left, self.right, strict=True))


def test_random_networks_have_everything() -> None:
    """Every layer, in branches too, and every activation."""
    layers = {name: getattr(fastntk.layers, name) for name in fastntk.layers.__all__ if name != "Layer"}
    every = {name for name, layer in layers.items() if layer.on_positions is not True}  # those are in test_images
    every.remove("Scale")  # of the samples, in test_scale
    assert kinds(EVERY_LAYER) == every
    counts = dict.fromkeys(every, 0)
    for seed in CLOSED_SEEDS:
        for kind in kinds(network(seed)):
            counts[kind] += 1
    assert min(counts.values()) >= 20
    for seeds, activations in ((CLOSED_SEEDS, CLOSED), (OTHER_SEEDS, OTHERS)):
        assert all(any(uses(network(seed), activation) for seed in seeds) for activation in activations)
    names = {activation.name for activation in (*CLOSED, *OTHERS) if activation.function is None}
    assert names >= set(fastntk.activations.registry.REGISTRY)


@pytest.mark.parametrize("seed", CLOSED_SEEDS)
def test_closed_forms(seed: int) -> None:
    """X with itself and with others, in both dtypes."""
    expected = Expected(network(seed), samples(seed), samples(seed + 1))
    assert expected.error() <= DOUBLE
    assert expected.error_with_others() <= DOUBLE
    assert expected.error("float32") <= SINGLE
    assert expected.error_with_others("float32") <= SINGLE


@pytest.mark.parametrize("seed", CLOSED_SEEDS)
def test_a_copy_is_another_sample(seed: int) -> None:
    """X with a copy differs from X with itself by dropout alone, and that on the diagonal."""
    net, X = network(seed), samples(seed)
    same, copied = net.kernels(X), net.kernels(X, X.copy())
    dropped = "Dropout" in kinds(net)
    for kernel, other in zip(same, copied, strict=True):
        difference = errors(other, kernel, np.diag(kernel), np.diag(kernel))
        assert difference[~np.eye(len(X), dtype=bool) | (not dropped)].max() <= DOUBLE
    if dropped and not any(uses(net, Activation(name)) for name in JUMPS):
        assert Expected(net, X, X.copy()).error_with_others() <= NEAR


def test_dropout_on_a_long_diagonal() -> None:
    """A sample and itself are told from others wherever they are in a tile, for kernels and derivatives."""
    net = Sequential(Dense(1.2, 0.3), "relu", Dropout(0.2), Dense(1.1, 0.1), "gelu", Dropout(0.1), Dense(0.8))
    X = np.random.default_rng(0).standard_normal((200, 4))
    others = ~np.eye(len(X), dtype=bool)
    for kernel in (net.nngp, net.ntk):
        found = kernel(X)
        np.testing.assert_allclose(found.diagonal(), kernel.diag(X), rtol=1e-13)
        np.testing.assert_allclose(found[others], kernel(X, X.copy())[others], rtol=1e-12)
        slopes = kernel.gradient(X)
        np.testing.assert_allclose(slopes[:, others], kernel.gradient(X, X.copy())[:, others], rtol=1e-10)
        for i in (0, 7, 40, 129, 199):
            np.testing.assert_allclose(slopes[:, i, i], kernel.gradient(X[[i]])[:, 0, 0], rtol=1e-12)


def test_what_is_rounded_in_many_sums() -> None:
    """Weights of branches are numbers of float32: what that loses in a layer is made up for in the next."""
    net = Sequential(Dense(), *[Residual("relu", Dense(0.5, 0.3))] * 200, Dense())
    X = np.random.default_rng(0).standard_normal((40, 6)) * np.geomspace(0.3, 3, 40)[:, None]
    for kernel, most in ((net.nngp, 2.5e-7), (net.ntk, 2e-6)):
        truth = kernel(X)
        assert errors(kernel(X, dtype="float32"), truth, truth.diagonal(), truth.diagonal()).max() <= most


@pytest.mark.parametrize("seed", OTHER_SEEDS)
@pytest.mark.usefixtures("duals_of_the_engine")
def test_others(seed: int) -> None:
    """Expansions, pieces and functions of users, to their tolerance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToleranceWarning)
        expected = Expected(network(seed), samples(seed), samples(seed + 1))
        assert expected.error_with_others() <= EXPANDED
        assert expected.error() <= NEAR
        assert expected.error("float32") <= SINGLE


@pytest.mark.parametrize("length", range(len(EVERY_LAYER) + 1))
@pytest.mark.usefixtures("duals_of_the_engine")
def test_slices(length: int) -> None:
    """Both parts of a network that uses every layer."""
    X = samples(0)
    for part in (EVERY_LAYER[:length], EVERY_LAYER[length:]):
        try:
            part.nngp.diag(X)
        except ValueError as error:
            assert re.search("raw input|a branch ends with", str(error))  # noqa: PT017
            continue
        expected = Expected(part, X, samples(1))
        assert max(expected.error(), expected.error_with_others()) <= EXPANDED


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rectangles_of_a_kernel(dtype: str) -> None:
    """More rows than a tile has: every part of the kernel of X with Y alone."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((83, WIDTH)).astype(dtype), rng.standard_normal((301, WIDTH)).astype(dtype)
    whole = EVERY_LAYER.kernels(X, Y)
    tolerance = 1e-9 if dtype == "float64" else 1e-5  # of expansions for other samples
    for rows, columns in ((slice(0, 1), slice(None)), (slice(7, 61), slice(3, 290)), (slice(82, 83), slice(300, 301))):
        for kernel, part in zip(whole, EVERY_LAYER.kernels(X[rows], Y[columns]), strict=True):
            np.testing.assert_allclose(
                part, kernel[rows, columns], rtol=0, atol=tolerance * float(np.abs(kernel).max())
            )
