"""Derivatives of the kernels in the hyper-parameters: against central differences, for every activation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, LayerNorm, Sequential, mlp
from fastntk.activations.registry import REGISTRY
from fastntk.kernels.gradients import contract_along

pytestmark = pytest.mark.sweep

Array = NDArray[np.float64]

rng = np.random.default_rng(0)
#: Generic rows, one twice as long as another, antipodes, near-duplicates, duplicates, and a small row.
X = rng.normal(size=(9, 4))
X[1], X[2], X[4], X[6], X[7] = 2 * X[0], -X[0], X[3] + 1e-4, X[5], 0.05 * X[7]
Y = rng.normal(size=(5, 4))

#: Of activations without defaults, or where the defaults are too steep.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "abrelu": {"a": -0.5, "b": 2.0},
    "rectified_monomial": {"degree": 3},
    "monomial": {"degree": 3},
    "polynomial": {"coefficients": (0.3, -1.0, 0.5, 0.25)},
    "hermite": {"degree": 2},
    "exp": {"b": 0.3},
    "gaussian": {"b": -0.4},
    "erf": {"a": 2.0, "b": 0.5, "c": -0.25},
}
ACTIVATIONS = [Activation(name, **ARGUMENTS.get(name, {})) for name in REGISTRY]
ACTIVATIONS += [
    Activation(lambda x: np.abs(x - 0.3) + np.sin(x), kinks=(0.3,), name="custom"),
    Activation.piecewise_linear((-1.0, 0.5), (0.2, 1.0, -0.3)),
]

#: Central differences of order six: multiples of the step, and their weights, over 60 steps.
STEPS, WEIGHTS = np.array([1, -1, 2, -2, 3, -3]), np.array([45, -45, -9, 9, 1, -1])

#: Their kernels grow as a power of the variance in every layer.
EXPLOSIVE = {"rectified_monomial", "squared_relu", "monomial", "polynomial", "hermite", "exp", "hard_swish"}


def network(activation: Activation, sigmas: Array) -> Sequential:
    """Of the sigmas (layer, (sigma_w, sigma_b)); the second layer is frozen."""
    dense = [Dense(w, b, trainable=i != 1) for i, (w, b) in enumerate(sigmas.tolist())]
    return Sequential(dense[0], *(layer for d in dense[1:] for layer in (activation, d)))


def sigmas_of(depth: int) -> Array:
    """Different in every layer."""
    layers = np.arange(depth + 1)
    return np.stack((1.1 - 0.04 * layers, 0.2 + 0.05 * layers), axis=1)


def central(activation: Activation, sigmas: Array, direction: Array, h: float = 2e-3) -> list[Array]:
    """Of order six in h."""
    kernels = [network(activation, sigmas + step * h * direction).kernels(X) for step in STEPS]
    return list(np.tensordot(WEIGHTS, kernels, axes=1) / (60 * h))


@pytest.mark.parametrize(
    ("act", "depth"),
    [(act, depth) for act in ACTIVATIONS for depth in (1, 2, 4)[: 2 if act.name in EXPLOSIVE else 3]],
    ids=repr,
)
def test_against_central_differences(act: Activation, depth: int) -> None:
    """In a random direction of all hyper-parameters, relative to the largest entries."""
    sigmas = sigmas_of(depth)
    direction = np.random.default_rng(depth).normal(size=sigmas.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastntk.ToleranceWarning)
        net = network(act, sigmas)
        values, slopes = zip(*(k.value_and_gradient(X) for k in (net.nngp, net.ntk)), strict=True)
        wanted = central(act, sigmas, direction)
        plain = net.kernels(X)
    for value, slope, difference, kernel in zip(values, slopes, wanted, plain, strict=True):
        assert slope.shape == (2 * (depth + 1), 9, 9)
        scale = np.sqrt(np.outer(kernel.diagonal(), kernel.diagonal()))
        scale[scale == 0] = 1  # Theta of step and sign with a frozen last layer
        np.testing.assert_allclose(value / scale, kernel / scale, atol=1e-10)
        np.testing.assert_array_equal(slope, slope.transpose(0, 2, 1))
        found = np.einsum("pij,p->ij", slope, direction.ravel())
        largest = np.abs(difference / scale).max()
        np.testing.assert_allclose(found / scale, difference / scale, atol=1e-6 * max(largest, 1e-3))


@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
def test_behind_a_mean(act: Activation) -> None:
    """Of what LayerNorm makes of an activation: its mean over the units moves with the sigmas too."""
    net = Sequential(Dense(1.1, 0.3), act, LayerNorm(eps=0.1), Dense(1.2, 0.2))
    sigmas = np.array([value for *_, value in net.parameters])
    G = np.random.default_rng(1).normal(size=(5, 5))
    for kind in ("nngp", "ntk"):
        found = getattr(net, kind).vjp(Y, G)
        for i, direction in enumerate(np.eye(4)):
            moved = [getattr(net.with_parameters(sigmas + step * 2e-3 * direction), kind)(Y) for step in STEPS]
            wanted = np.tensordot(np.tensordot(WEIGHTS, moved, axes=1), G) / (60 * 2e-3)
            assert abs(found[i] - wanted) < 1e-7 * np.abs(found).max()


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "erf", "gelu", "sin", "tanh", "elu", "hard_tanh", "step"])
def test_every_parameter(name: str) -> None:
    """One by one, depth 2; all layers together are their sum."""
    act, sigmas = Activation(name), sigmas_of(2)
    net = network(act, sigmas)
    (_, slopes), (_, shared) = net.ntk.value_and_gradient(X), net.ntk.value_and_gradient(X, shared=True)
    for k in range(6):
        direction = np.zeros(6)
        direction[k] = 1
        wanted = central(act, sigmas, direction.reshape(3, 2))[1]
        np.testing.assert_allclose(slopes[k], wanted, atol=1e-6 * max(1e-3, np.abs(wanted).max()))
    for k in range(2):
        np.testing.assert_allclose(shared[k], slopes[k::2].sum(axis=0), rtol=1e-10, atol=1e-14)


def test_directions_that_move_nothing() -> None:
    """They have no derivative, and hide none."""
    net, g = network(Activation("erf"), sigmas_of(2)), np.random.default_rng(6).normal(size=(9, 9))
    moves = [[0.0] * 6, [0, 0, 1.0, 0, 0, 0], [0.0] * 6, [0, 0, 0, 0, 1.0, 0]]
    wanted = net.ntk.vjp(X, g)
    np.testing.assert_array_equal(contract_along(net.layers, X, g, None, "ntk", moves), [0, wanted[2], 0, wanted[4]])


@pytest.mark.parametrize("name", ["relu", "tanh", "hard_tanh"])
def test_two_inputs(name: str) -> None:
    """Kernels of X and Y are blocks of that of both."""
    net = network(Activation(name), sigmas_of(2))
    for kernel in (net.nngp, net.ntk):
        pairs = zip(kernel.value_and_gradient(np.concatenate((X, Y))), kernel.value_and_gradient(X, Y), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(a[..., :9, 9:], b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
def test_without_similar_rows(act: Activation) -> None:
    """Series that converge at once, because no two rows are alike."""
    x, sigmas = np.eye(8)[:6] + 0.05 * np.random.default_rng(1).normal(size=(6, 8)), np.array([[0.9, 0.1], [1.1, 0.2]])
    net = network(act, sigmas)
    for rows, others in ((x[:3], 3 * x[3:]), (x[:3], x[3:] - x[:3])):
        moved = [network(act, sigmas + step * 2e-3 * np.array([[1.0, -0.5], [0.0, 0.0]])) for step in STEPS]
        wanted = np.tensordot(WEIGHTS, [net.kernels(rows, others) for net in moved], axes=1) / (60 * 2e-3)
        for kernel, difference in zip((net.nngp, net.ntk), wanted, strict=True):
            value, slopes = kernel.value_and_gradient(rows, others)
            scale = np.sqrt(np.outer(kernel.diag(rows), kernel.diag(others)))
            scale[scale == 0] = 1
            np.testing.assert_allclose(value / scale, kernel(rows, others) / scale, atol=1e-10)
            found = slopes[0] - 0.5 * slopes[1]
            np.testing.assert_allclose(
                found / scale, difference / scale, atol=1e-6 * max(1e-3, np.abs(difference / scale).max())
            )


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("n", [9, 130])
def test_contraction(n: int, shared: bool) -> None:
    """The vector-Jacobian product is the sum it stands for: any weights, of any strides, more than one tile."""
    x = np.random.default_rng(3).normal(size=(n, 5))
    net = mlp(2, "erf", 1.3, 0.2)
    g = np.random.default_rng(4).normal(size=(n, n))
    for kernel in (net.nngp, net.ntk):
        vjp, slopes = kernel.vjp, kernel.gradient(x, shared=shared)
        wanted = (g * slopes).sum(axis=(1, 2))
        np.testing.assert_allclose(vjp(x, g, shared=shared), wanted, rtol=1e-10)
        np.testing.assert_allclose(vjp(x, g.T, shared=shared), (g.T * slopes).sum(axis=(1, 2)), rtol=1e-10)
        wide = np.repeat(g, 2, axis=1)[:, ::2]
        np.testing.assert_array_equal(vjp(x, wide, shared=shared), vjp(x, g, shared=shared))
        slopes = kernel.gradient(x, Y[:, [0, 1, 2, 3, 0]], shared=shared)
        np.testing.assert_allclose(
            vjp(x, g[:, :5], Y[:, [0, 1, 2, 3, 0]], shared=shared), (g[:, :5] * slopes).sum(axis=(1, 2)), rtol=1e-10
        )


def test_threads_and_precision() -> None:
    """Same bits for any number of threads; float32 is the rounded result."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    x = np.random.default_rng(5).normal(size=(200, 6))
    net, g = mlp(3, "relu", 1.4, 0.1), np.ones((200, 200))
    _, slopes = net.ntk.value_and_gradient(x, shared=True)
    sums = net.ntk.vjp(x, g)
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        np.testing.assert_array_equal(net.ntk.value_and_gradient(x, shared=True)[1], slopes)
        np.testing.assert_array_equal(net.ntk.vjp(x, g), sums)
    value, single = net.ntk.value_and_gradient(x.astype(np.float32), shared=True)
    assert value.dtype == single.dtype == np.float32
    np.testing.assert_allclose(single, slopes, rtol=1e-5, atol=1e-5)


def test_edges() -> None:
    """Zero rows, sigmas that are 0, deep networks and extreme norms stay finite; what does not depend is 0."""
    x = np.concatenate((np.zeros((2, 4)), X))
    _, slopes = mlp(2, "relu", 1.3, 0.0).ntk.value_and_gradient(x)
    assert np.isfinite(slopes).all()
    assert not slopes[1::2].any()  # K depends on sigma_b squared
    assert not slopes[:, :2].any()
    _, slopes = mlp(2, "tanh", 0.0, 0.3).nngp.value_and_gradient(x)
    assert not slopes[::2].any()
    np.testing.assert_allclose(slopes[5], 0.6)  # the last bias alone is seen
    for scale in (1e-150, 1e-10, 1e70):
        values, slopes = mlp(3, "relu", 1.2, 0.0).ntk.value_and_gradient(scale * X, shared=True)
        assert np.isfinite(slopes).all()
        np.testing.assert_allclose(slopes[0], 8 * values / 1.2, rtol=1e-12)  # homogeneous of degree 8 in sigma_w
    values, slopes = mlp(100, "relu", 2**0.5, 0.0).nngp.value_and_gradient(X, shared=True)
    np.testing.assert_allclose(slopes[0], 202 * values / 2**0.5, rtol=1e-11)


def test_errors() -> None:
    """One clear sentence each."""
    net = mlp(1)
    with pytest.raises(TypeError, match="shared must be True or False"):
        net.ntk.gradient(X, shared="all")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"derivatives are net\.ntk\.gradient\(X\)"):
        net.ntk(X, gradient=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="no hyper-parameters, so no gradient"):
        Sequential(Activation("relu")).ntk.value_and_gradient(X)
    with pytest.raises(ValueError, match="method='quadrature'\\) has no gradient"):
        mlp(1, Activation("tanh", method="quadrature", nodes=8)).ntk.value_and_gradient(X)
    with pytest.raises(ValueError, match=r"G has shape \(9, 5\), but the kernel has shape \(9, 9\)"):
        net.ntk.vjp(X, np.ones((9, 5)))
    with pytest.raises(ValueError, match=r"G contains nan \(first at \(0, 0\)\)"):
        net.ntk.vjp(X, np.full((9, 9), np.nan))
    with pytest.raises(ValueError, match="X contains nan"):
        net.nngp.value_and_gradient(np.full((2, 2), np.nan))
    with pytest.raises(MemoryError, match="GiB"):
        mlp(50).ntk.value_and_gradient(np.ones((100_000, 1)))
    assert net.ntk.value_and_gradient(np.ones((0, 3)))[1].shape == (4, 0, 0)
    np.testing.assert_array_equal(net.ntk.vjp(np.ones((0, 3)), np.ones((0, 0))), np.zeros(4))
