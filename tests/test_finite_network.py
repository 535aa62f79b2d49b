"""Networks of finite width: gradients, empirical kernels and Taylor models against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Sequential
from fastntk.activations.registry import REGISTRY
from fastntk.finite import FiniteNetwork

Array = NDArray[np.float64]

X = np.random.default_rng(0).normal(size=(4, 3))
Y = np.random.default_rng(1).normal(size=(3, 3))

REQUIRED: dict[str, dict[str, Any]] = {
    "abrelu": {"a": -0.5, "b": 1.2},
    "monomial": {"degree": 3},
    "polynomial": {"coefficients": (0.1, 0.5, -0.3)},
    "hermite": {"degree": 3},
}
ACTIVATIONS = [
    *(Activation(name, **REQUIRED.get(name, {})) for name in REGISTRY if name != "exp_normalized"),
    Activation.piecewise_linear([-0.5, 0.7], [0.2, 1.0, -0.3]),
    Activation(np.arctan, name="arctan"),
]


def network_of(activation: Activation, parametrization: Any = "ntk") -> FiniteNetwork:
    """Two hidden layers of unequal width, three outputs."""
    first, second, last = (
        Dense(sigma_w, sigma_b, parametrization=parametrization, width=width)
        for sigma_w, sigma_b, width in ((1.2, 0.3, 3), (0.8, 0.2, 4), (1.1, 0.1, 3))
    )
    return FiniteNetwork(Sequential(first, activation, second, activation, last), rng=2, n_inputs=3)


def jacobian(network: FiniteNetwork, x: Array) -> Array:
    """Of all trainable parameters by central differences, of shape (parameters, n, outputs)."""
    rows = []
    for dense, layer in zip(network.weighted, network.parameters, strict=True):
        for part in layer if dense.trainable else ():
            for at in np.ndindex(part.shape):
                here, step = part[at], 1e-5
                part[at] = here + step
                above = network.forward(x)
                part[at] = here - step
                rows.append((above - network.forward(x)) / (2 * step))
                part[at] = here
    return np.array(rows)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("parametrization", ["ntk", "standard"])
def test_gradients_of_every_activation(activation: Activation, parametrization: Any) -> None:
    """Empirical NTK, gradient of a loss, and directional derivative, to 1e-6."""
    network = network_of(activation, parametrization=parametrization)
    jx, jy = jacobian(network, X), jacobian(network, Y)
    every = np.einsum("pnk,pml->nmkl", jx, jy)
    size = np.sqrt(np.einsum("pnk,pnk->", jx, jx) * np.einsum("pnk,pnk->", jy, jy))

    def close(found: Array, wanted: Array) -> None:
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= 1e-6 * size + 1e-12

    close(network.empirical_ntk(X, Y, outputs="all"), every)
    close(network.empirical_ntk(X, Y, outputs="trace"), np.einsum("nmkk->nm", every))
    close(network.empirical_ntk(X, Y, outputs=1), every[:, :, 1, 1])
    close(network.empirical_ntk(X, outputs=2), np.einsum("pn,pm->nm", jx[..., 2], jx[..., 2]))
    cotangents = np.random.default_rng(3).normal(size=(4, 3))
    gradient = np.concatenate([part.ravel() for layer in network.gradient(X, cotangents) for part in layer])
    size = np.abs(jx).sum()
    close(gradient, np.einsum("pnk,nk->p", jx, cotangents))
    direction = [tuple(np.ones_like(part) for part in layer) for layer in network.parameters]
    close(network.derivative(X, direction), jx.sum(axis=0))  # type: ignore[arg-type]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_kernels_of_every_layer(layer: int) -> None:
    """Theta of a hidden unit is that of the network cut there."""
    network = network_of(Activation("tanh"))
    cut = FiniteNetwork(network.net[: 2 * layer + 1], n_inputs=3)
    for mine, its in zip(cut.parameters, network.parameters, strict=False):
        mine.W[:], mine.b[:] = its.W, its.b
    for outputs in (0, 2, "trace", "all"):
        np.testing.assert_allclose(
            network.empirical_ntk(X, Y, outputs=outputs, layer=layer),
            cut.empirical_ntk(X, Y, outputs=outputs),
            rtol=1e-12,
        )
    z = network.pre_activations(X)
    h = X if layer == 0 else np.tanh(z[layer - 1])
    dense = network.weighted[layer]
    wanted = dense.sigma_b**2 + dense.sigma_w**2 * h @ h.T / h.shape[1]
    np.testing.assert_allclose(network.empirical_nngp(X)[layer], wanted, rtol=1e-13)


def test_frozen_layers() -> None:
    """Contribute nothing to Theta, and have no gradient."""
    net = Sequential(
        *(Dense(1.2, 0.3, trainable=False), Activation("erf"), Dense(0.8, 0.2)),
        *(Activation("erf"), Dense(1.1, trainable=False)),
    )
    network = FiniteNetwork(net, 6, 2, rng=0, n_inputs=3)
    j = jacobian(network, X)
    np.testing.assert_allclose(network.empirical_ntk(X, outputs="all"), np.einsum("pnk,pml->nmkl", j, j), atol=1e-9)
    gradient = network.gradient(X, np.ones((4, 2)))
    assert not any(part.any() for i in (0, 2) for part in gradient[i])
    assert gradient[1].W.any()


@pytest.mark.parametrize("parametrization", ["ntk", "standard"])
def test_without_biases_or_activations(parametrization: Any) -> None:
    """A bias of sigma 0 is no parameter; Dense after Dense is a linear hidden layer."""
    first, second, last = (
        Dense(sigma_w, parametrization=parametrization, width=width)
        for sigma_w, width in ((1.2, 4), (0.8, 5), (1.1, 2))
    )
    network = FiniteNetwork(Sequential(first, second, Activation("relu"), last), rng=0, n_inputs=3)
    j = jacobian(network, X)
    np.testing.assert_allclose(network.empirical_ntk(X, outputs="all"), np.einsum("pnk,pml->nmkl", j, j), atol=1e-8)
    np.testing.assert_allclose(network.forward(2 * X), 2 * network.forward(X), rtol=1e-12)
    linear = FiniteNetwork(fastntk.mlp(0, sigma_w=1.3, sigma_b=0.2), 9, rng=0)
    np.testing.assert_allclose(linear.empirical_ntk(X), fastntk.mlp(0, sigma_w=1.3, sigma_b=0.2).ntk(X), rtol=1e-13)


def test_parametrizations_are_the_same_function() -> None:
    """From the same seed; the standard one has an NTK that is larger by the widths."""
    ntk, standard = (network_of(Activation("tanh"), name) for name in ("ntk", "standard"))
    np.testing.assert_allclose(ntk.forward(X), standard.forward(X), rtol=1e-12)
    assert np.trace(standard.empirical_ntk(X)) > 3 * np.trace(ntk.empirical_ntk(X))


def test_panels() -> None:
    """Memory bounds the rows at a time, and changes nothing."""
    x = np.random.default_rng(0).normal(size=(1100, 3))
    network = FiniteNetwork(fastntk.mlp(2, "relu", 1.5, 0.2), 1000, 2, rng=0)
    whole = [network.empirical_ntk(x, outputs="all"), network.empirical_ntk(x, x[:70]), network.empirical_nngp(x)]
    assert len(list(network.panels(1100, 2, "64 MiB"))) > 3
    assert len(list(network.panels(1100, 0, "64 MiB"))) > 1
    parts = [
        network.empirical_ntk(x, outputs="all", max_memory="64 MiB"),
        network.empirical_ntk(x, x[:70], max_memory="64 MiB"),
        network.empirical_nngp(x, max_memory="64 MiB"),
    ]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_linearized() -> None:
    """The Taylor model is off by the square of the step, at the samples it was made with, and does not follow."""
    network = network_of(Activation("tanh"))
    linear = network.linearize(X)
    np.testing.assert_array_equal(linear.f0, network.forward(X))
    errors = []
    for step in (1e-2, 1e-3):
        moved = network.copy()
        for layer in moved.parameters:
            layer.W[:] += step
            layer.b[:] -= step
        errors.append(np.abs(linear.outputs(moved.parameters) - moved.forward(X)).max())
    assert 50 < errors[0] / errors[1] < 200
    kernel = network.empirical_ntk(X, outputs="all")
    network.parameters[0].W[:] += 1
    np.testing.assert_array_equal(linear.ntk(), kernel)


def test_draws() -> None:
    """The same of the same seed, whenever the number of inputs is known; independent layers; laws of variance one."""
    net = fastntk.mlp(2, "tanh")
    early, late = FiniteNetwork(net, 6, rng=5, n_inputs=3), FiniteNetwork(net, 6, rng=5)
    with pytest.raises(ValueError, match=r"^the parameters are drawn when the first samples are seen"):
        _ = late.parameters
    np.testing.assert_array_equal(early.forward(X), late.forward(X))
    assert not np.array_equal(early.forward(X), FiniteNetwork(net, 6, rng=6).forward(X))
    for law in ("normal", "uniform", "rademacher", "student_t", lambda rng, shape: rng.laplace(size=shape) / 2**0.5):
        w = FiniteNetwork(fastntk.mlp(1), 50_000, rng=0, n_inputs=3, weights=[law, "normal"]).parameters[0].W
        assert abs(w.mean()) < 0.02
        assert abs(w.var() - 1) < 0.05
    only_inner = FiniteNetwork(net, 50, rng=0, n_inputs=3, weights="rademacher").parameters
    assert set(np.unique(only_inner[1].W)) == {-1.0, 1.0}
    assert len(np.unique(only_inner[0].W)) == 150
    copied = early.copy()
    copied.parameters[0].W[:] = 0
    assert early.parameters[0].W.any()


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: FiniteNetwork("relu", 5), TypeError, r"^net must be a Sequential, got 'relu'"),  # type: ignore[arg-type]
    (
        lambda: FiniteNetwork(Sequential(Activation("relu"), Dense()), 5),
        ValueError,
        r"^layer 0, Activation\('relu'\): at finite width an activation acts on what layers with weights give",
    ),
    (
        lambda: FiniteNetwork(Sequential(Dense(), Activation("relu"), Activation("relu"), Dense()), 5),
        ValueError,
        r"^layer 2, Activation\('relu'\): at finite width an activation acts on what layers with weights give",
    ),
    (
        lambda: FiniteNetwork(fastntk.mlp(1), 5, n_inputs=2, weights=lambda _, shape: np.full(shape, np.nan)),
        ValueError,
        r"^a law of weights gave NaN or infinite numbers",
    ),
    (lambda: FiniteNetwork(fastntk.mlp(2), 0), ValueError, r"^width must be an integer >= 1, got 0"),
    (
        lambda: FiniteNetwork(fastntk.mlp(2), (5, 6, 7)),
        ValueError,
        r"^width must be one for all or one for each of the 2 hidden",
    ),
    (lambda: FiniteNetwork(fastntk.mlp(2), 5, 0), ValueError, r"^n_outputs must be an integer >= 1"),
    (lambda: FiniteNetwork(fastntk.mlp(2), 5, weights="gaussian"), ValueError, r"^unknown law of weights 'gaussian'"),
    (
        lambda: FiniteNetwork(fastntk.mlp(2), 5, weights=["normal"]),
        ValueError,
        r"^weights must be one law or one for each",
    ),
    (
        lambda: FiniteNetwork(fastntk.mlp(2), 5, weights=lambda rng, _: rng.normal(size=3), n_inputs=2),
        ValueError,
        r"^a law of weights gave shape \(3,\) instead of",
    ),
    (
        lambda: FiniteNetwork(fastntk.mlp(2), 5, n_inputs=3).forward(X[:, :2]),
        ValueError,
        r"^X has samples of shape \(2,\), but the network is for those of \(3,\)",
    ),
    (lambda: FiniteNetwork(fastntk.mlp(2), 5).forward(X * np.nan), ValueError, r"^X contains nan"),
    (lambda: FiniteNetwork(fastntk.mlp(2), 5).empirical_ntk(X, outputs=1), ValueError, r"^outputs must be"),
    (
        lambda: FiniteNetwork(fastntk.mlp(2), 5).empirical_ntk(X, outputs="sum"),  # type: ignore[arg-type]
        ValueError,
        r"^outputs must be a number",
    ),
    (lambda: FiniteNetwork(fastntk.mlp(2), 5).empirical_ntk(X, layer=3), ValueError, r"^layer must be"),
    (
        lambda: FiniteNetwork(fastntk.mlp(2), 5).gradient(X, np.ones(4)),
        ValueError,
        r"^cotangents must have shape \(4, 1\)",
    ),
    (lambda: FiniteNetwork(fastntk.mlp(1, Activation("exp_normalized")), 5).forward(X), TypeError, r"exp_normalized"),
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD, ids=[sentence[:40] for _, _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(error, match=sentence):
        call()
