"""Covariances of derivatives: the second derivatives of K, against high-precision differences and plain ones."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.test_gradients import ACTIVATIONS, EXPLOSIVE, STEPS, WEIGHTS
from tests.trees import built

import fastntk
from fastntk import Activation, Dense, LayerNorm, Sequential, mlp
from fastntk.kernels.input_hessian import covariances, slope_variances

pytest.importorskip("mpmath")
from mpmath import mp, mpf

pytestmark = pytest.mark.sweep

Array = NDArray[np.float64]

with mp.workdps(15):  # the scripts set another precision
    from tests.data.make_tree_tables import State, chain
    from tests.data.tree_networks import act, dense, norm, product, residual

rng = np.random.default_rng(11)
X = rng.normal(size=(3, 3))
SIGMOID = act("erf", a=1.0, b=1.0, c=0.0)
TREES = {
    "relu 1": [dense(1.4), act("relu"), dense(1.2)],
    "relu 3": [dense(1.4), *[act("relu"), dense(1.4)] * 3],
    "relu 3, bias": [dense(1.4, 0.3), *[act("relu"), dense(1.4, 0.3)] * 3],
    "erf 2": [dense(1.4, 0.3), *[SIGMOID, dense(1.4, 0.3)] * 2],
    "tree": [
        dense(1.3, 0.2), residual(norm(0.01), act("relu"), dense(1.1, 0.1)), act("gelu"),
        product([dense(0.9, 0.3)], [dense(1.1, 0.2), SIGMOID]), dense(1.2, 0.3), residual(SIGMOID, dense(1.1)), dense(),
    ],
}  # fmt: skip


def exact(layers: Any, x: Array, y: Array) -> Array:
    """Differences of K in 120-digit arithmetic, with steps of 1e-30: the matrix of second derivatives."""
    step, d = mpf(10) ** -30, len(x)

    def kernel(a: int, b: int, side: int, other: int) -> mpf:
        u, v = ([mpf(float(value)) for value in row] for row in (x, y))
        u[a] += side * step
        v[b] += other * step
        keys = {(0, 1, False): (u, v), (0, 0, True): (u, u), (1, 1, True): (v, v)}
        K = {key: mp.fdot(*rows) / d for key, rows in keys.items()}
        state = State(K, dict.fromkeys(K, mpf(0)), {0: mpf(0), 1: mpf(0)}, d)
        return chain(layers, state).K[0, 1, False]

    with mp.workdps(120):
        signs = [(s, t) for s in (1, -1) for t in (1, -1)]
        found = [[mp.fsum(s * t * kernel(a, b, s, t) for s, t in signs) for b in range(d)] for a in range(d)]
        return np.array([[float(value / (4 * step**2)) for value in row] for row in found])


@pytest.mark.parametrize("name", TREES)
def test_to_working_precision(name: str) -> None:
    """Of generic pairs, duplicates, near-duplicates, multiples and antipodes."""
    net = built(TREES[name], "float64")
    x = X[0]
    others = [X[1], x, 2 * x, -1.5 * x, 0.01 * X[2]]
    others += [x + distance * X[2] for distance in (1e-2, 1e-4, 1e-6, 1e-8)]
    own = exact(TREES[name], x, x).diagonal()
    np.testing.assert_allclose(slope_variances(net.layers, x[None])[0], own, atol=1e-12 * own.max())
    found = covariances(net.layers, x[None], np.array(others)).both[0].transpose(1, 0, 2)
    for both, y in zip(found, others, strict=True):
        wanted = exact(TREES[name], x, y)
        # Of an antipode without bias all are 0.
        np.testing.assert_allclose(both, wanted, atol=1e-10 * max(np.abs(wanted).max(), 1e-5 * own.max()))


def by_differences(net: Sequential, X: Array, Y: Array, h: float = 1e-3) -> Array:
    """Of order six in h, of the first derivatives."""
    m, d = Y.shape
    moved = Y[:, None, None] + h * np.multiply.outer(STEPS, np.eye(d))
    slopes = np.stack([net.nngp.input_gradient(x, moved.reshape(-1, d)) for x in X])
    return np.asarray(np.einsum("s,xjsba->xajb", WEIGHTS, slopes.reshape(len(X), m, len(STEPS), d, d)) / (60 * h))


#: Not those that jump, of which there is no derivative, and what is a kernel of no function.
SMOOTH = [a for a in ACTIVATIONS if a.name not in {"step", "sign", "hard_shrink", "exp_normalized"}]


@pytest.mark.parametrize("activation", SMOOTH, ids=repr)
def test_every_activation(activation: Activation) -> None:
    """Against differences of first derivatives, and what else is known of them."""
    net = mlp(1 if activation.name in EXPLOSIVE else 2, activation, 1.2, 0.3)
    x, y = X[:2], np.stack((X[2], 0.5 * X[0] + 0.2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastntk.ToleranceWarning)
        found, wanted = covariances(net.layers, x, y), by_differences(net, x, y)
        np.testing.assert_allclose(found.values, net.nngp(x, y), atol=1e-9 * np.abs(found.values).max())
        np.testing.assert_allclose(found.both, wanted, atol=1e-6 * max(1e-3, np.abs(wanted).max()))
        for i in range(2):
            slopes = net.nngp.input_gradient(x[i], y)
            np.testing.assert_allclose(found.slopes_x[i].T, slopes, atol=1e-9 * np.abs(slopes).max())
        for j in range(2):
            slopes = net.nngp.input_gradient(y[j], x)
            np.testing.assert_allclose(found.slopes_y[:, j], slopes, atol=1e-9 * np.abs(slopes).max())
        variances = np.einsum("iaia->ia", covariances(net.layers, x, x).both)
        np.testing.assert_allclose(slope_variances(net.layers, x), variances, atol=1e-9 * variances.max())


@pytest.mark.parametrize("name", ["relu", "erf", "tanh", "hard_tanh"])
def test_a_covariance(name: str) -> None:
    """Of values and derivatives together: symmetric, and no eigenvalue is below 0, near-duplicates included."""
    x = np.concatenate((X, X[:1] + 1e-5, 2 * X[:1], -X[1:2]))
    net, n, d = mlp(2, name, 1.4, 0.3), 6, 3
    of = covariances(net.layers, x, x)
    joint = np.block([
        [of.values, of.slopes_y.reshape(n, n * d)],
        [of.slopes_x.reshape(n * d, n), of.both.reshape(n * d, n * d)],
    ])  # fmt: skip
    np.testing.assert_allclose(joint, joint.T, atol=1e-11 * np.abs(joint).max())
    assert np.linalg.eigvalsh(joint).min() > -1e-9 * np.abs(joint).max()


def test_relu_is_continuous() -> None:
    """In units of the distance, towards a duplicate: no jump, and nothing infinite."""
    net, x = Sequential(Dense(1.4, 0.2), "relu", LayerNorm(eps=0.1), Dense(1.1), "relu", Dense(1.2)), X[:1]
    at = covariances(net.layers, x, x).both
    for distance in 10.0 ** -np.arange(2, 15):
        near = covariances(net.layers, x, x + distance * X[1]).both
        assert np.abs(near - at).max() < 10 * distance * np.abs(at).max() + 1e-12


def test_memory_is_checked() -> None:
    """Before work starts."""
    with pytest.raises(MemoryError, match="GiB"):
        covariances(mlp(1).layers, np.ones((20_000, 100)), np.ones((20_000, 100)))


def test_empty() -> None:
    """No rows, no covariances."""
    of = covariances(mlp(1).layers, np.ones((0, 2)), np.ones((3, 2)))
    assert of.values.shape == (0, 3)
    assert of.both.shape == (0, 2, 3, 2)
