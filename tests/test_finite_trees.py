"""Trees of layers at finite width: forward by hand, derivatives by finite differences, widths, masks, what is refused.

Their limits are in test_finite_trees_limit.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.derivatives import Instead, check_derivatives, check_training, jacobian

from fastntk import Activation, Concat, Dense, Dropout, Identity, LayerNorm, Product, Residual, Sequential, Sum
from fastntk.finite import FiniteNetwork, convergence
from fastntk.layers.base import Layer

Array = NDArray[np.float64]
Parameters = list[tuple[Array, Array]]

X = np.random.default_rng(0).normal(size=(4, 3))
Y = np.random.default_rng(1).normal(size=(3, 3))


def affine(dense: Dense, parameters: tuple[Array, Array], h: Array) -> Array:
    """Z of a Dense layer, in the ntk parametrization."""
    w, b = parameters
    return np.asarray(dense.sigma_b * b + dense.sigma_w / h.shape[1] ** 0.5 * h @ w.T)


def relu(z: Array) -> Array:
    """Positive part."""
    return np.maximum(z, 0)


def normed(h: Array, eps: float) -> Array:
    """Less its mean over the units, over their deviation."""
    return np.asarray((h - h.mean(axis=1, keepdims=True)) / np.sqrt(h.var(axis=1, keepdims=True) + eps))


A, B, C, D = Dense(1.2, 0.3), Dense(0.8, 0.2), Dense(1.1, 0.1), Dense(0.9, 0.4)

#: Networks of width 8, and their outputs by hand.
BY_HAND: dict[str, tuple[Sequential, Callable[[Parameters], Array]]] = {
    "Sum": (
        Sequential(A, Sum(B, Sequential("relu", C)), "tanh", D),
        lambda p: affine(D, p[3], np.tanh(affine(B, p[1], z := affine(A, p[0], X)) + affine(C, p[2], relu(z)))),
    ),
    "Residual": (
        Sequential(A, Residual("relu", B, "tanh", C), D),
        lambda p: affine(D, p[3], (z := affine(A, p[0], X)) + affine(C, p[2], np.tanh(affine(B, p[1], relu(z))))),
    ),
    "Residual with a shortcut": (
        Sequential(A, Residual("relu", B, shortcut=C), D),
        lambda p: affine(D, p[3], affine(B, p[1], relu(z := affine(A, p[0], X))) + affine(C, p[2], z)),
    ),
    "folded": (
        Sequential(A, Sum(Identity(), "relu", B), D),
        lambda p: affine(D, p[2], (z := affine(A, p[0], X)) + relu(z) + affine(B, p[1], z)),
    ),
    "Product": (
        Sequential(A, Product(B, Sequential(C, "tanh"), "relu"), D),
        lambda p: affine(D, p[3], affine(B, p[1], z := affine(A, p[0], X)) * np.tanh(affine(C, p[2], z)) * relu(z)),
    ),
    "Concat": (
        Sequential(A, Concat(B, Sequential(C, "tanh"), fractions=[0.25, 0.75]), D),
        lambda p: affine(
            D,
            p[3],
            np.concatenate((affine(B, p[1], z := affine(A, p[0], X)), np.tanh(affine(C, p[2], z))), axis=1),
        ),
    ),
    "LayerNorm": (
        Sequential(A, LayerNorm(), "tanh", B, "relu", LayerNorm(eps=0.1), C),
        lambda p: affine(C, p[2], normed(relu(affine(B, p[1], np.tanh(normed(affine(A, p[0], X), 0.0)))), 0.1)),
    ),
    "Identity": (
        Sequential(A, Identity(), "relu", Identity(), B),
        lambda p: affine(B, p[1], relu(affine(A, p[0], X))),
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_outputs_by_hand(name: str) -> None:
    """Every layer, written out with the parameters in the order of the walk; and what every Dense gives."""
    net, outputs = BY_HAND[name]
    network = FiniteNetwork(net, 8, 2, rng=0, n_inputs=3)
    np.testing.assert_allclose(network.forward(X), outputs(network.parameters), rtol=1e-12, atol=1e-13)  # type: ignore[arg-type]
    z = network.pre_activations(X)
    assert [one.shape[1] for one in z] == [dense.width for dense in network.weighted]
    np.testing.assert_allclose(z[0], affine(A, network.parameters[0], X), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(z[-1], network.forward(X), rtol=1e-12)


def test_outputs_with_dropout_by_hand() -> None:
    """Each unit of each sample is left out or scaled; of kept samples the same ones."""
    network = FiniteNetwork(Sequential(A, "tanh", Dropout(0.25), B), 4000, rng=0, n_inputs=3)
    h = np.tanh(affine(A, network.parameters[0], X))
    samples = network.read(X)
    factors: Array = network.propagate(samples).given[1] / h
    assert set(np.unique(factors.round(9))) == {0.0, round(1 / 0.75, 9)}
    assert np.abs(np.mean(factors, axis=1) - 1).max() < 5 * (0.25 / 0.75 / 4000) ** 0.5
    np.testing.assert_array_equal(network.forward(samples), network.forward(samples))
    np.testing.assert_allclose(network.forward(samples), affine(B, network.parameters[1], h * factors), rtol=1e-12)
    # independent from sample to sample, and from call to call
    assert np.abs(np.asarray(np.corrcoef(factors))[np.triu_indices(4, 1)]).max() < 5 / 4000**0.5
    assert not np.array_equal(network.forward(X), network.forward(X))
    again = network.copy()
    np.testing.assert_array_equal(network.forward(X), again.forward(X))


def test_masks_of_different_layers_are_independent() -> None:
    """Of two in a row, and of two branches."""
    net = Sequential(A, Sum(Sequential(Dropout(0.5), B), Sequential(Dropout(0.5), C)), D)
    network = FiniteNetwork(net, 1000, rng=0, n_inputs=3)
    way = network.propagate(network.read(X[:1]))
    one, other = (way.given[i][0] == 0 for i in (1, 2))
    assert abs(np.mean(one & other) - 0.25) < 5 * (3 / 16 / 1000) ** 0.5


def block(rng: np.random.Generator, depth: int, dense: Callable[..., Dense], units: int = 4) -> list[Layer]:
    """Layers that take and give Gaussians, with others inside of them."""

    def inner(units: int = units) -> Sequential:
        return Sequential(*block(rng, depth - 1, dense, units), activation(), new(units))

    def new(units: int = units) -> Dense:
        return dense(rng, units)

    def activation() -> Layer:
        return Activation(str(rng.choice(["tanh", "relu", "gelu", "sin"])))

    if depth == 0:
        return [new()]
    kind = rng.integers(8)
    if kind == 0:
        return [*inner(), LayerNorm(eps=float(rng.choice([0.0, 0.3])))]
    if kind == 1:
        return [new(), Residual(activation(), *inner())]
    if kind == 2:
        return [new(), Sum(inner(), Sequential(activation(), Dropout(0.3)), new()), new()]
    if kind == 3:
        return [new(), Product(Identity(), Sequential(inner(), activation()), new()), new()]
    if kind == 4:
        return [new(), Concat(inner(units // 2), inner(units - units // 2)), activation(), new()]
    if kind == 5:
        return [*inner(), activation(), LayerNorm(eps=0.1), Dropout(0.2), new()]
    if kind == 6:
        return [Sum(inner(), Product(new(), inner())), new()]
    return [*block(rng, depth - 1, dense, units), *inner()]


def ntk(rng: np.random.Generator, units: int) -> Dense:  # noqa: ARG001
    """Without a width of its own."""
    return Dense(*rng.uniform(0.5, 1.5, 2), trainable=bool(rng.random() < 0.8))


def either(rng: np.random.Generator, units: int) -> Dense:
    """Of either parametrization, with a width."""
    if rng.random() < 0.4:
        return Dense(*rng.uniform(0.5, 1.5, 2), width=units)
    sigma_b = float(rng.choice([0.0, 0.7]))
    return Dense(1.3, sigma_b, parametrization="standard", width=units, bias=sigma_b > 0 or bool(rng.random() < 0.5))


def random_network(seed: int) -> FiniteNetwork:
    """Four units wide, two outputs, layers in layers to a depth of three."""
    rng = np.random.default_rng(seed)
    layers = block(rng, 1 + seed // 2 % 3, ntk if seed % 2 else either)
    if seed % 2:
        return FiniteNetwork(Sequential(*layers, "tanh", Dense(1.1, 0.2)), 4, 2, rng=rng, n_inputs=3)
    return FiniteNetwork(Sequential(*layers, "tanh", either(rng, 2)), rng=rng, n_inputs=3)


@pytest.mark.parametrize("name", BY_HAND)
def test_derivatives_of_every_layer(name: str) -> None:
    """Back and forward."""
    check_derivatives(FiniteNetwork(BY_HAND[name][0], 4, 2, rng=2, n_inputs=3), X, Y)


@pytest.mark.parametrize("seed", range(18))
def test_derivatives_of_random_trees(seed: int) -> None:
    """Every layer in every other, with Dropout, frozen layers, both parametrizations."""
    check_derivatives(random_network(seed), X, Y)


@pytest.mark.parametrize(
    "last", [(Residual("tanh", B),), (B, LayerNorm()), ("relu",), (Concat(B, C),), (Sum(B, Sequential("relu", C)),)]
)
def test_derivatives_where_the_last_layer_is_no_dense(last: Any) -> None:
    """The outputs are as many units as the Dense layers that end the network have."""
    network = FiniteNetwork(Sequential(A, *last), 4, rng=2, n_inputs=3)
    assert network.n_outputs == 4
    check_derivatives(network, X, Y)
    assert FiniteNetwork(Sequential(A, *last), 4, 6, n_inputs=3).forward(X).shape == (4, 6)


@pytest.mark.parametrize("seed", [0, 1, 3, 7])
def test_kernels_of_every_dense_layer(seed: int) -> None:
    """Theta of a hidden unit, by differences of that unit; K from what the layer gets."""
    network = random_network(seed)
    x = network.read(X)
    k = network.empirical_nngp(x)
    for i, dense in enumerate(network.weighted):
        h = network.propagate(x).given[i]
        np.testing.assert_allclose(k[i], dense.sigma_b**2 + dense.sigma_w**2 * h @ h.T / h.shape[1], rtol=1e-12)

        def unit(_: Any, i: int = i) -> Array:
            return network.pre_activations(x)[i]

        j = jacobian(Instead(network, unit), None)[..., 0]  # type: ignore[arg-type]
        found = network.empirical_ntk(x, layer=i)
        assert np.abs(found - np.einsum("pn,pm->nm", j, j)).max() <= 1e-6 * max(1.0, np.sum(j**2))


def test_panels_have_one_mask_for_a_sample() -> None:
    """Memory bounds the rows at a time, and changes nothing."""
    x = np.random.default_rng(0).normal(size=(600, 3))
    net = Sequential(A, Residual("relu", Dropout(0.4), B), "tanh", Dropout(0.1), C)
    network = FiniteNetwork(net, 500, 2, rng=0, n_inputs=3)
    samples, other = network.read(x), network.read(x[:70])
    assert len(list(network.panels(600, 2, "64 MiB"))) > 1
    for more in ({"outputs": "all"}, {"Y": other}):
        whole, parts = (network.empirical_ntk(samples, **more, **how) for how in ({}, {"max_memory": "64 MiB"}))  # type: ignore[arg-type]
        np.testing.assert_allclose(whole, parts, rtol=1e-10, atol=1e-12)
    whole, parts = (network.empirical_nngp(samples, max_memory=most) for most in (None, "64 MiB"))
    np.testing.assert_allclose(whole, parts, rtol=1e-10, atol=1e-12)


def widths_of(net: Sequential, *args: Any) -> list[int | None]:
    """Of every Dense layer, in order."""
    return [dense.width for dense in FiniteNetwork(net, *args).weighted]


def test_parametrization_is_that_of_each_layer() -> None:
    """As it was an argument once."""
    with pytest.raises(TypeError, match=r"it is that of each layer, Dense\(parametrization='standard'\)"):
        FiniteNetwork(Sequential(Dense()), 8, parametrization="standard")  # type: ignore[call-arg]


def test_widths() -> None:
    """Parts of a Concat have their fractions of the width, down to any depth; own widths hold; sums agree."""
    thirds = Sequential(Concat(A, B, C), D)
    assert widths_of(thirds, 100) == [33, 34, 33, 1]
    assert widths_of(thirds, np.int64(100)) == [33, 34, 33, 1]
    nested = Sequential(Concat(A, Concat(B, C, fractions=[0.75, 0.25])), Sum(Identity(), D), A)
    assert widths_of(nested, 16, 3) == [8, 6, 2, 16, 3]
    assert widths_of(Sequential(A, Concat(Identity(), B), C), 10) == [5, 5, 1]
    assert widths_of(Sequential(A, Residual("relu", B, "relu", C), D), (7, 5, 7), 2) == [7, 5, 7, 2]
    assert widths_of(Sequential(A, Residual("relu", B, "relu", C)), 7, 2) == [2, 7, 2]
    assert widths_of(Sequential(Concat(A, B)), 9, 4) == [2, 2]
    assert widths_of(Sequential(Dense(width=6), "relu", A), 5) == [6, 1]
    assert widths_of(Sequential(Dense(width=6), "relu", Dense(width=2))) == [6, 2]
    network = FiniteNetwork(Sequential(Sum(Identity(), A), B), 3, rng=0)
    np.testing.assert_allclose(network.forward(X), affine(B, network.parameters[1], X + network.pre_activations(X)[0]))


def test_steps_of_training() -> None:
    """A step is that of the empirical NTK: masks stay as training goes on."""
    net = Sequential(A, Residual("tanh", Dropout(0.3), B), LayerNorm(), "tanh", C)
    check_training(FiniteNetwork(net, 30, rng=0, n_inputs=3), X, np.sin(X[:, 0]), Y)


RAW = r"put a Dense before it"
BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: FiniteNetwork(Sequential(Residual("relu", A), B), 3), rf"^layer 0\.0\.0, Activation\('relu'\): .*{RAW}"),
    (lambda: FiniteNetwork(Sequential(Sum(Identity(), A), "relu", B), 3), rf"^layer 1, Activation\('relu'\): .*{RAW}"),
    (lambda: FiniteNetwork(Sequential(A, "relu", LayerNorm(), "relu", B), 3), rf"^layer 3, .*{RAW}"),
    (
        lambda: FiniteNetwork(Sequential(LayerNorm(), A), 3),
        r"^layer 0, LayerNorm\(.*\): the mean of the raw input over its features, or of what",
    ),
    (
        lambda: FiniteNetwork(Sequential(Sum(Identity(), A), B), 5).forward(X),
        r"^layer 0, Sum\(.*\): its branches end with 3 and 5 units, and have to end with as many each",
    ),
    (
        lambda: FiniteNetwork(Sequential(Sum(A, Sequential("relu", B)), C), 5),
        r"^layer 0\.1\.0, Activation",
    ),
    (
        lambda: FiniteNetwork(Sequential(A, Sum(B, C), D), (3, 4, 5)),
        r"^the layers with weights of Sequential\(.* cannot have \[3, 4, 5, 1\] units; .*: its branches end with 4 and",
    ),
    (
        lambda: FiniteNetwork(Sequential(A, Residual("relu", Dense(width=4)), D), 5),
        r"^the layers with weights of Sequential\(.* cannot have \[5, 4, 1\] units; .*: layer 1, Residual\(",
    ),
    (
        lambda: FiniteNetwork(Sequential(Concat(A, B), C), (10, 20)),
        r"cannot have \[10, 20, 1\] units; .* Concat: its branches end with 10 and 20 units, which",
    ),
    (
        lambda: FiniteNetwork(Sequential(Concat(Identity(), A), C), 10).forward(X),
        r"^layer 0, Concat\(.*\): its branches end with 3 and 5 units, which are not the fractions",
    ),
    (
        lambda: FiniteNetwork(Sequential(Concat(A, B, fractions=[0.9, 0.1]), C), 4),
        r"^of 4 units none is left for Dense\(sigma_w=0\.8, sigma_b=0\.2\) in its part of a Concat",
    ),
    (
        lambda: FiniteNetwork(Sequential(A, LayerNorm()), 5, 1),
        r"^layer 1, LayerNorm\(.*\): one unit alone has no variance to divide by",
    ),
    (
        lambda: FiniteNetwork(Sequential(), 5),
        r"^the outputs of a finite network are those of layers with weights, and none",
    ),
    (
        lambda: FiniteNetwork(Sequential(Identity()), 5),
        r"^the outputs of a finite network are those of layers with weights",
    ),
    (
        lambda: FiniteNetwork(Sequential(A, "relu", B)),
        r"^width is needed, the units of hidden layers: Dense\(sigma_w=1\.2, sigma_b=0\.3\) has none of its own",
    ),
    (
        lambda: FiniteNetwork(Sequential(Dense(width=6), "relu", A), (5,)),
        r"^width\[0\] is 5, but that layer is Dense\(.*width=6\)",
    ),
    (
        lambda: FiniteNetwork(Sequential(A, "relu", Dense(width=6)), 5, 2),
        r"^n_outputs is 2, but Sequential\(.*\) ends with 6 units",
    ),
    (
        lambda: FiniteNetwork(Sequential(Dense(), LayerNorm(), B), 3).forward(0 * X[:1]),
        r"^all units of a sample are equal before LayerNorm\(.*\), and it divides by 0: pass eps > 0",
    ),
    (
        lambda: convergence(Sequential(A, "relu", Dense(width=6), "relu", B), X),
        r"^Dense\(.*width=6\) has one width at all widths",
    ),
    (
        lambda: Sequential(A, Residual("relu", B), C).nngp.fluctuation(X, 5),
        r"^the fluctuation at finite width is predicted where .*; layer 1 is Residual\(",
    ),
    (
        lambda: Sequential(A, "relu", LayerNorm(), C).nngp.fluctuation(X, 5),
        r"^the fluctuation at finite width is predicted where .*; layer 2 is LayerNorm\(",
    ),
    (lambda: Sequential(A, "relu").nngp.fluctuation(X, 5), r"; layer 1 is Activation\('relu'\)"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD, ids=[sentence[:40] for _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(ValueError, match=sentence):
        call()
