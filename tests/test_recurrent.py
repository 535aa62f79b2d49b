"""Recurrent layers: the reference against the recursion as it is written, and against wide random networks."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import asin, pi, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special
from threadpoolctl import threadpool_limits

from fastntk import (
    Activation,
    Concat,
    Dense,
    GlobalAvgPool,
    Graphs,
    LayerNorm,
    Recurrent,
    Sequences,
    Sequential,
    Sum,
    network,
    reference,
    rnn,
)
from fastntk.layers.recurrent import Readout
from fastntk.networks.description import describe

Float = NDArray[np.float64]

RELU = Activation("relu")
ERF = Activation("erf")


def relu(c: float, q: float, r: float) -> tuple[float, float]:
    """The arc-cosine kernels of degrees 1 and 0."""
    rho = c / sqrt(q * r)
    angle = np.arccos(rho) if rho < 1 - 1e-14 else 0.0  # a step with itself: rounding of rho has no part in it
    return sqrt(q * r) * (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi), (pi - angle) / (2 * pi)


def arcsine(c: float, q: float, r: float) -> tuple[float, float]:
    """Williams' kernel, of erf, and its slope."""
    whole = (1 + 2 * q) * (1 + 2 * r)
    return 2 / pi * asin(2 * c / sqrt(whole)), 4 / pi / sqrt(whole - 4 * c**2)


#: E[phi(u) phi(v)] and E[phi'(u) phi'(v)] of a Gaussian pair with covariance c and variances q, r.
DUALS: dict[str, Callable[[float, float, float], tuple[float, float]]] = {"relu": relu, "erf": arcsine}


def variances(layer: Recurrent, own: Float) -> list[float]:
    """K of z with itself at each step."""
    q: list[float] = []
    for k in own:
        before = layer.sigma_w**2 * DUALS[layer.activation.name](q[-1], q[-1], q[-1])[0] if q else 0.0
        q.append(before + layer.sigma_u**2 * k + layer.sigma_b**2)
    return q


def states(layer: Recurrent, x: Float, y: Float, between: Float, theta: Float) -> tuple[Float, Float]:
    """K and Theta of all states of two sequences; `x` and `y` have K of each with itself, at its own steps."""
    if layer.reverse:
        forward = Recurrent(layer.activation, layer.sigma_w, layer.sigma_u, layer.sigma_b, readout=None)
        K, Theta = states(forward, x[::-1], y[::-1], between[::-1, ::-1], theta[::-1, ::-1])
        return K[::-1, ::-1], Theta[::-1, ::-1]
    q, r = variances(layer, x), variances(layer, y)
    z: dict[tuple[int, int], tuple[float, float]] = {}
    behind: dict[tuple[int, int], tuple[float, float]] = {}
    for t, u in np.ndindex(between.shape):
        F, slope = behind.get((t - 1, u - 1), (0.0, 0.0))  # nothing before the first step
        k = layer.sigma_w**2 * F + layer.sigma_u**2 * float(between[t, u]) + layer.sigma_b**2
        before = z.get((t - 1, u - 1), (0.0, 0.0))
        z[t, u] = k, k + layer.sigma_w**2 * slope * before[1] + layer.sigma_u**2 * float(theta[t, u])
        behind[t, u] = DUALS[layer.activation.name](k, q[t], r[u])
    K, Theta = np.empty(between.shape), np.empty(between.shape)
    for place, (value, slope) in behind.items():
        K[place], Theta[place] = value, slope * z[place][1]
    return K, Theta


def recursion(layers: Sequence[Recurrent], x: Float, y: Float) -> tuple[Float, Float]:
    """K and Theta of two sequences at all pairs of steps, behind recurrent layers and a Dense of variance 1."""
    both = {"x": x, "y": y}
    pairs = {
        a + b: (both[a] @ both[b].T / x.shape[1], np.zeros((len(both[a]), len(both[b])))) for a in both for b in both
    }
    for layer in layers:
        own = {a: np.diagonal(pairs[a + a][0]) for a in both}
        pairs = {name: states(layer, own[name[0]], own[name[1]], *pair) for name, pair in pairs.items()}
    K, Theta = pairs["xy"]
    return K, K + Theta


def read(k: Float, readout: str, *, reverse: bool) -> float:
    """What a readout makes of all pairs of steps."""
    end = 0 if reverse else -1
    return float(k[end, end] if readout == "last" else k.mean())


def sequences(rng: np.random.Generator, lengths: Sequence[int], channels: int = 3) -> Sequences:
    """Random ones of these lengths."""
    return Sequences([rng.standard_normal((length, channels)) for length in lengths])


def parts(X: Sequences) -> list[Float]:
    """Of each sequence its steps."""
    return [X.values[a:b] for a, b in pairwise(X.starts)]


LAYERS = {
    "relu": [Recurrent(RELU, 1.4, 1.0, 0.3)],
    "erf": [Recurrent(ERF, 1.6, 0.8, 0.2)],
    "no bias": [Recurrent(RELU, 1.2, 1.1)],
    "no weights of the state": [Recurrent(ERF, 0.0, 1.1, 0.2)],
    "reversed": [Recurrent(RELU, 1.4, 1.0, 0.3, reverse=True)],
    "two": [Recurrent(RELU, 1.4, 1.0, 0.3, readout=None), Recurrent(ERF, 1.1, 1.3, 0.1)],
    "the second reversed": [Recurrent(RELU, 1.4, 1.0, 0.3, readout=None), Recurrent(ERF, 1.1, 1.3, 0.1, reverse=True)],
    "the first reversed": [Recurrent(ERF, 1.4, 1.0, readout=None, reverse=True), Recurrent(RELU, 1.1, 1.3, 0.1)],
}


def ending(layers: Sequence[Recurrent], readout: Any) -> list[Recurrent]:
    """Layers, the last of them with that readout."""
    return [*layers[:-1], layers[-1].with_values(readout=readout)]


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("name", LAYERS)
def test_reference(name: str, readout: Any, rng: np.random.Generator) -> None:
    """Of sequences of 1 to 6 steps, against loops over pairs of steps."""
    layers = LAYERS[name]
    X, Y = sequences(rng, [4, 1, 6, 3]), sequences(rng, [2, 1, 5])
    net = Sequential(*layers[:-1], layers[-1].with_values(readout=readout), Dense())
    for left, right, found in ((X, Y, reference.kernels(net, X, Y)), (X, X, reference.kernels(net, X))):
        wanted = [
            [[read(k, readout, reverse=layers[-1].reverse) for k in recursion(layers, x, y)] for y in parts(right)]
            for x in parts(left)
        ]
        for kernel, which in zip(found, np.moveaxis(np.array(wanted), 2, 0), strict=True):
            np.testing.assert_allclose(kernel, which, rtol=0, atol=3e-14 * abs(which).max())


#: phi and phi' of finite networks.
FUNCTIONS: dict[str, tuple[Callable[[Float], Float], Callable[[Float], Float]]] = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.heaviside(z, 0.5)),
    "erf": (special.erf, lambda z: 2 / sqrt(pi) * np.exp(-(z**2))),
}


def random_network(
    layers: Sequence[Recurrent], X: Sequences, width: int, rng: np.random.Generator
) -> tuple[Float, Float]:
    """K and Theta at all pairs of steps of a wide random network, whose Dense reads the state of every step.

    Theta is the sum, over the weights of all layers, of products of gradients: of a matrix that is used at many steps,
    (Σ_s δ_s h_sᵀ)·(Σ_s' δ'_s' h'_s'ᵀ), with all pairs of steps s, s'.
    """
    spans = list(pairwise(X.starts))
    h, kept = X.values, []
    for layer in layers:
        phi, slope = FUNCTIONS[layer.activation.name]
        W, U, b = (rng.standard_normal(shape) for shape in ((width, width), (width, h.shape[1]), width))
        z = layer.sigma_u / sqrt(h.shape[1]) * h @ U.T + layer.sigma_b * b
        before = np.zeros_like(z)
        for begin, end in spans:
            steps = range(begin, end)[:: -1 if layer.reverse else 1]
            for last, t in pairwise(steps):
                before[t] = phi(z[last])
                z[t] += layer.sigma_w / sqrt(width) * W @ before[t]
        inner = (
            layer.sigma_w**2 * before @ before.T / width + layer.sigma_u**2 * h @ h.T / h.shape[1] + layer.sigma_b**2
        )
        kept.append((layer, W, U, slope(z), inner))
        h = phi(z)
    K = h @ h.T / width
    Theta = K.copy()
    # Of the output at each step the gradients at every step of the same sequence.
    v = rng.standard_normal(width) / sqrt(width)
    gradients = [np.eye(end - begin)[:, :, None] * v for begin, end in spans]
    for layer, W, U, slope_z, inner in reversed(kept):
        for (begin, end), g in zip(spans, gradients, strict=True):
            back = range(end - begin)[:: 1 if layer.reverse else -1]
            g[:, back[0]] *= slope_z[begin + back[0]]
            for later, t in pairwise(back):
                g[:, t] = slope_z[begin + t] * (g[:, t] + layer.sigma_w / sqrt(width) * g[:, later] @ W)
        for (begin, end), g in zip(spans, gradients, strict=True):
            for (first, final), other in zip(spans, gradients, strict=True):
                products = np.einsum("tsi,uri->tsur", g, other, optimize=True)
                Theta[begin:end, first:final] += np.einsum("tsur,sr->tu", products, inner[begin:end, first:final])
        gradients = [layer.sigma_u / sqrt(U.shape[1]) * g @ U for g in gradients]
    return K, Theta


@pytest.mark.parametrize("name", ["relu", "erf", "two", "the second reversed"])
def test_random_networks(name: str) -> None:
    """At every pair of steps, equal or not, of sequences of different lengths, and of their means."""
    rng = np.random.default_rng(1)
    layers, X = LAYERS[name], sequences(rng, [4, 1, 3])
    wanted = [np.block([[recursion(layers, x, y)[i] for y in parts(X)] for x in parts(X)]) for i in range(2)]
    with threadpool_limits(1, "blas"):
        draws = np.array([random_network(layers, X, 300, rng) for _ in range(32)])
    means = np.repeat(np.eye(len(X)) / X.lengths, X.lengths, axis=1)
    for kernel, found in zip(wanted, draws.swapaxes(0, 1), strict=True):
        for A in (np.eye(len(kernel)), means):
            limit, those = A @ kernel @ A.T, A @ found @ A.T
            error = those.std(axis=0, ddof=1) / sqrt(len(draws))
            scale = np.sqrt(np.outer(np.diag(limit), np.diag(limit)))
            assert (error < 0.05 * scale).all()
            assert (abs(those.mean(axis=0) - limit) < 4.5 * error).all()


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_linear(readout: Any, rng: np.random.Generator) -> None:
    """phi(z) = z: K_z is a sum over the steps before, and Theta a sum of K_z, along the diagonal."""
    X, (w2, u2, b2) = sequences(rng, [4, 2, 3]), (0.8, 1.3, 0.2)
    net = Sequential(Recurrent("identity", sqrt(w2), sqrt(u2), sqrt(b2), readout=readout), Dense())

    def both(x: Float, y: Float) -> tuple[float, float]:
        own = u2 * x @ y.T / x.shape[1] + b2
        pairs = np.ndindex(own.shape) if readout == "mean" else [(len(x) - 1, len(y) - 1)]
        K, Theta = np.mean(
            [
                [sum(w2**s * own[t - s, u - s] for s in range(min(t, u) + 1)) for t, u in [pair]]
                + [sum((s + 1) * w2**s * own[t - s, u - s] for s in range(min(t, u) + 1)) for t, u in [pair]]
                for pair in pairs
            ],
            axis=0,
        )
        return float(K), float(K + Theta)

    wanted = np.array([[both(x, y) for y in parts(X)] for x in parts(X)])
    for kernel, which in zip(reference.kernels(net, X), np.moveaxis(wanted, 2, 0), strict=True):
        np.testing.assert_allclose(kernel, which, rtol=1e-13)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("readout", ["last", "mean"])
def test_one_step_is_a_dense_layer(readout: Any, reverse: bool, rng: np.random.Generator) -> None:
    """With all that may follow: means of units, widths, both directions side by side."""
    X = rng.standard_normal((4, 1, 3))
    layer = Recurrent("relu", 1.7, 1.2, 0.3, readout=readout, reverse=reverse, width=7)
    perceptron = (Dense(1.2, 0.3, width=7), "relu")
    rest = [Dense(parametrization="standard")] if readout == "mean" else [LayerNorm(), "erf", Dense()]
    for net, other in (
        (Sequential(layer, *rest), Sequential(*perceptron, *rest)),
        (Sequential(Concat(layer, layer), Dense()), Sequential(*perceptron, Dense())),
    ):
        for kernel, wanted in zip(reference.kernels(net, X), reference.kernels(other, X[:, 0]), strict=True):
            np.testing.assert_allclose(kernel, wanted, rtol=1e-14)


def test_backwards(rng: np.random.Generator) -> None:
    """A reversed layer is the layer on reversed sequences; its states stay at their steps."""
    X = sequences(rng, [4, 1, 3])
    turned = Sequences([x[::-1] for x in parts(X)])
    readouts: tuple[Readout, ...] = ("last", "mean")
    for readout in readouts:
        forward, backward = (Recurrent("erf", 1.3, readout=readout, reverse=r) for r in (False, True))
        for kernel, wanted in zip(
            reference.kernels(Sequential(backward, Dense()), X),
            reference.kernels(Sequential(forward, Dense()), turned),
            strict=True,
        ):
            np.testing.assert_allclose(kernel, wanted, rtol=1e-13)
    forward, backward = (Recurrent("erf", 1.3, readout=None, reverse=r) for r in (False, True))
    kernel = reference.ntk(Sequential(backward), X[:1])
    np.testing.assert_allclose(kernel[::-1, ::-1], reference.ntk(Sequential(forward), turned[:1]), rtol=1e-13)


def test_readouts(rng: np.random.Generator) -> None:
    """The mean is that of all states; a sequence has the same kernels, whatever the lengths of others."""
    X = sequences(rng, [4, 1, 6])
    mean, every = (Recurrent("tanh", 0.9, 0.6, 0.1, readout=readout, reverse=True) for readout in ("mean", None))
    K, T = reference.kernels(Sequential(mean, Dense()), X)
    for kernel, wanted in zip((K, T), reference.kernels(Sequential(every, GlobalAvgPool(), Dense()), X), strict=True):
        np.testing.assert_allclose(kernel, wanted, rtol=1e-13)
    np.testing.assert_allclose(reference.ntk(Sequential(mean, Dense()), X[:2]), T[:2, :2], rtol=1e-13)
    array = rng.standard_normal((3, 5, 2))
    net = rnn(2, "relu", 1.2, bidirectional=True)
    np.testing.assert_array_equal(reference.ntk(net, array), reference.ntk(net, Sequences(list(array))))


def test_zeros() -> None:
    """Steps that are 0, without a bias: no state, no kernel, and no nan."""
    X = Sequences([np.zeros((3, 2)), np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]), np.ones((1, 2))])
    for phi in ("relu", "erf"):
        for kernel in reference.kernels(rnn(2, phi, readout="mean"), X):
            assert np.isfinite(kernel).all()
            assert not kernel[0].any()
            assert kernel[1, 1] > 0


def test_rnn() -> None:
    """Depth, both directions, and sigmas layer by layer."""
    assert rnn() == Sequential(Recurrent(), Dense())
    assert rnn(2, ["relu", "erf"], [1, 2, 3], [4, 5], [0, 1, 2], readout="mean") == Sequential(
        Recurrent("relu", 1, 4, 0, readout=None), Recurrent("erf", 2, 5, 1, readout="mean"), Dense(3, 2)
    )
    forward, backward = (Recurrent("leaky_relu", readout="last", reverse=reverse) for reverse in (False, True))
    assert rnn(1, "leaky_relu", bidirectional=True) == Sequential(Concat(forward, backward), Dense())
    assert rnn(1, "leaky_relu", alpha=0.5)[0].activation == Activation("leaky_relu", alpha=0.5)  # type: ignore[attr-defined]


def test_text() -> None:
    """What its repr says is read back; it is pickled, changed and has parameters as others."""
    layer = Recurrent(Activation("leaky_relu", alpha=0.2), 1.5, 0.5, 0.1, readout=None, reverse=True, width=5)
    net = Sequential(layer, Recurrent(), Dense())
    assert network(repr(net)) == net
    assert network("rnn(2, 'relu', bidirectional=True)") == rnn(2, "relu", bidirectional=True)
    assert pickle.loads(pickle.dumps(net)) == net
    assert [value for path, _, value in net.parameters if path == "0"] == [1.5, 0.5, 0.1]
    assert net.with_parameters([value for *_, value in net.parameters]) == net
    assert net.with_parameters([2, 3, 4, 1, 1, 0, 1, 0])[0] == Recurrent(
        layer.activation, 2, 3, 4, readout=None, reverse=True, width=5
    )


def test_functions() -> None:
    """A Python function in it is known by its code, as in an Activation."""
    one, other = (Sequential(Recurrent(function), Dense()) for function in (lambda x: x**3, lambda x: x**5))
    assert describe(one) != describe(other)
    assert describe(one) == describe(Sequential(Recurrent(lambda z: z**3), Dense()))
    assert not Recurrent("sign").is_continuous


STEPS = np.ones((2, 3, 1))
GRAPHS = Graphs([np.ones((2, 3))], [np.ones((2, 2))])


@pytest.mark.parametrize(
    ("wrong", "error", "sentence"),
    [
        (lambda: Recurrent(Dense()), TypeError, "activation must be the name of an activation, a function or an"),  # type: ignore[arg-type]
        (lambda: Recurrent("tahn"), ValueError, "unknown activation 'tahn'. Did you mean 'tanh'"),
        (lambda: Recurrent(sigma_u=-1), ValueError, "sigma_u is a standard deviation"),
        (lambda: Recurrent(readout="first"), ValueError, "readout must be 'last' or 'mean' or None, got 'first'."),  # type: ignore[arg-type]
        (lambda: Recurrent(units=100), TypeError, "Recurrent has no 'units': the network is infinitely wide"),  # type: ignore[call-arg]
        (lambda: Recurrent(return_sequences=True), TypeError, "Did you mean 'readout'?"),  # type: ignore[call-arg]
        (lambda: rnn(0), ValueError, "depth must be an integer >= 1"),
        (lambda: rnn(1, "tanh", 128), ValueError, "fastntk's rnn has no widths"),
        (lambda: Sequential(Recurrent(readout="mean"), "relu"), ValueError, "an activation acts on Gaussians"),
        (lambda: Sequential(GlobalAvgPool(), Recurrent()), ValueError, "what comes in has no axes of positions"),
        (lambda: Sum(*[Recurrent("relu")] * 2), ValueError, "have means that may not be 0"),
        (lambda: reference.ntk(rnn(), STEPS[..., None]), ValueError, "what comes in has 2 axes of positions"),
        (lambda: reference.ntk(rnn(), STEPS[0]), ValueError, "what comes in has no axes of positions"),
        (lambda: reference.ntk(rnn()[:0] + Recurrent(readout=None), STEPS), ValueError, "ends with 3 positions"),
        (lambda: reference.ntk(rnn(), GRAPHS), ValueError, "X are Graphs, whose nodes have no order, and layer 0"),
    ],
)
def test_errors(wrong: Callable[[], object], error: type[Exception], sentence: str) -> None:
    """One sentence each, before work starts."""
    with pytest.raises(error, match=re.escape(sentence)):
        wrong()
