"""Recurrent layers: the reference against the recursion as it is written, and against wide random networks."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import asin, erf, pi, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from fastntk import (
    Activation,
    Concat,
    Conv,
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

Float = NDArray[np.float64]

#: phi, and E[phi(u) phi(v)], E[phi'(u) phi'(v)] of a Gaussian pair with covariance c and variances q, r.
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


DUALS: dict[str, Callable[[float, float, float], tuple[float, float]]] = {"relu": relu, "erf": arcsine}


def variances(layer: Recurrent, own: Sequence[float]) -> list[float]:
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
        k, tangent = 0.0, 0.0
        if t and u:
            k, slope = (layer.sigma_w**2 * f for f in behind[t - 1, u - 1])
            tangent = slope * z[t - 1, u - 1][1]
        k += layer.sigma_u**2 * between[t, u] + layer.sigma_b**2
        z[t, u] = k, k + tangent + layer.sigma_u**2 * theta[t, u]
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
            steps = range(end - begin)[:: -1 if layer.reverse else 1]
            for last, t in pairwise([None, *reversed(steps)]):
                if last is not None:
                    g[:, t] += layer.sigma_w / sqrt(width) * g[:, last] @ W
                g[:, t] *= slope_z[begin + t]
        for (begin, end), g in zip(spans, gradients, strict=True):
            for (first, final), other in zip(spans, gradients, strict=True):
                products = np.einsum("tsi,uri->tsur", g, other, optimize=True)
                Theta[begin:end, first:final] += np.einsum("tsur,sr->tu", products, inner[begin:end, first:final])
        gradients = [layer.sigma_u / sqrt(U.shape[1]) * g @ U for g in gradients]
    return K, Theta


@pytest.mark.parametrize("name", ["relu", "erf", "reversed", "two", "the second reversed"])
def test_random_networks(name: str, rng: np.random.Generator) -> None:
    """At every pair of steps, equal or not, of sequences of different lengths, and of their means."""
    layers, X = LAYERS[name], sequences(rng, [4, 1, 3])
    wanted = [np.block([[recursion(layers, x, y)[i] for y in parts(X)] for x in parts(X)]) for i in range(2)]
    draws = np.array([random_network(layers, X, 400, rng) for _ in range(24)])
    means = np.repeat(np.eye(len(X)) / X.lengths, X.lengths, axis=1)
    for kernel, found in zip(wanted, draws.swapaxes(0, 1), strict=True):
        for A in (np.eye(len(kernel)), means):
            limit, those = A @ kernel @ A.T, A @ found @ A.T
            error = those.std(axis=0, ddof=1) / sqrt(len(draws))
            scale = np.sqrt(np.outer(np.diag(limit), np.diag(limit)))
            assert (error < 0.06 * scale).all()
            assert (abs(those.mean(axis=0) - limit) < 4.5 * error).all()
