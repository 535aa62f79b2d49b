"""What the limit is the limit of: kernels of random wide networks agree with net.nngp and net.ntk.

Nothing of fastntk is used on the finite side but the layers' sigmas.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Activation, Dense, Sequential

Matrix = NDArray[np.floating[Any]]
Function = Callable[[Matrix], Matrix]

#: phi and phi'
FUNCTIONS: dict[str, tuple[Function, Function]] = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.2 * x), lambda x: np.where(x > 0, x.dtype.type(1), 0.2)),
    "erf": (
        lambda x: np.vectorize(math.erf)(x).astype(x.dtype),
        lambda x: 2 / np.sqrt(np.pi, dtype=x.dtype) * np.exp(-x * x),
    ),
}

NETWORKS = [
    Sequential(
        *(Dense(1.3, 0.3), Activation("relu"), Dense(1.5, 0.2), Activation("relu")),
        *(Dense(1.4, 0.1), Activation("relu"), Dense(1.2, 0.4)),
    ),
    Sequential(
        *(Dense(1.1, 0.2), Activation("leaky_relu", alpha=0.2), Dense(1.4, 0.3)),
        *(Activation("leaky_relu", alpha=0.2), Dense(1.2, 0.1)),
    ),
    Sequential(Dense(1.5, 0.3), Activation("erf"), Dense(1.7, 0.2), Activation("erf"), Dense(1.2, 0.1)),
]

Parameters = Sequence[tuple[Matrix, Matrix]]


def dense_layers(net: Sequential) -> list[Dense]:
    """The layers with parameters."""
    return [layer for layer in net if isinstance(layer, Dense)]


def functions(net: Sequential) -> tuple[Function, Function]:
    """The one pair (phi, phi') of a network."""
    (name,) = {layer.name for layer in net if isinstance(layer, Activation)}
    return FUNCTIONS[name]


def draw(net: Sequential, inputs: int, width: int, rng: np.random.Generator) -> Parameters:
    """(W, b) of every Dense layer, all N(0, 1), with one output."""
    sizes = [inputs, *[width] * (len(dense_layers(net)) - 1), 1]
    return [
        (rng.standard_normal((m, n), dtype=np.float32), rng.standard_normal(m, dtype=np.float32))
        for n, m in pairwise(sizes)
    ]


def forward(net: Sequential, parameters: Parameters, X: Matrix) -> tuple[list[Matrix], list[Matrix]]:
    """What every Dense layer gets and what it gives: z = sigma_b b + sigma_w / sqrt(N) W x."""
    phi = functions(net)[0]
    given, pre_activations = [X], []
    for layer, (W, b) in zip(dense_layers(net), parameters, strict=True):
        z = layer.sigma_b * b + layer.sigma_w / W.shape[1] ** 0.5 * given[-1] @ W.T
        pre_activations.append(z)
        given.append(phi(z))
    return given[:-1], pre_activations


def empirical_kernels(net: Sequential, parameters: Parameters, X: Matrix) -> NDArray[np.float64]:
    """(NNGP, NTK) of one finite network, of shape (2, n, n).

    NNGP: the covariance of an output given the last hidden layer. NTK: df/dW_kj = sigma_w / sqrt(N) g_k x_j
    and df/db_k = sigma_b g_k with g = df/dz, so that a layer adds (sigma_b^2 + sigma_w^2 x·x' / N) (g·g').
    """
    derivative = functions(net)[1]
    given, pre_activations = forward(net, parameters, X)
    grams = [
        layer.sigma_b**2 + layer.sigma_w**2 * (x @ x.T).astype(np.float64) / x.shape[1]
        for layer, x in zip(dense_layers(net), given, strict=True)
    ]
    g = np.ones((len(X), 1), X.dtype)
    ntk = grams[-1]
    for at in reversed(range(1, len(grams))):
        layer, W = dense_layers(net)[at], parameters[at][0]
        g = layer.sigma_w / W.shape[1] ** 0.5 * (g @ W) * derivative(pre_activations[at - 1])
        ntk = ntk + grams[at - 1] * (g @ g.T)
    return np.stack((grams[-1], ntk))


@pytest.mark.parametrize("net", NETWORKS, ids=["relu", "leaky_relu", "erf"])
def test_the_finite_ntk_is_the_gram_matrix_of_the_gradients(net: Sequential, rng: np.random.Generator) -> None:
    """The sum over layers above, against central differences in every parameter of a narrow network."""
    X = rng.standard_normal((3, 4))
    parameters = [(W.astype(np.float64), b.astype(np.float64)) for W, b in draw(net, 4, 5, rng)]
    jacobian, step = [], 1e-6
    for array in (array for pair in parameters for array in pair):
        for index in np.ndindex(array.shape):
            outputs = []
            for sign in (1, -1):
                array[index] += sign * step
                outputs.append(forward(net, parameters, X)[1][-1][:, 0])
                array[index] -= sign * step
            jacobian.append((outputs[0] - outputs[1]) / (2 * step))
    expected = np.transpose(jacobian) @ np.array(jacobian)
    np.testing.assert_allclose(empirical_kernels(net, parameters, X)[1], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("net", NETWORKS, ids=["relu", "leaky_relu", "erf"])
def test_wide_networks_have_the_kernels_of_the_limit(net: Sequential, rng: np.random.Generator) -> None:
    """Mean over 32 networks of width 1024, to the Monte-Carlo error and a bias of order 1 / width."""
    width, draws = 1024, 32
    X = rng.standard_normal((6, 5), dtype=np.float32)
    X[1] = X[0] + 0.1 * X[1]
    limit = np.stack(net.kernels(X.astype(np.float64)))
    scale = np.sqrt(np.einsum("kpp,kqq->kpq", limit, limit))
    errors = np.array([empirical_kernels(net, draw(net, 5, width, rng), X) for _ in range(draws)]) - limit
    errors /= scale
    # One standard error for each kernel, pooled over its entries: 32 draws are too few for one per entry.
    standard_error = np.sqrt(errors.var(axis=0, ddof=1).mean(axis=(1, 2)) / draws)
    assert standard_error.max() < 0.02
    assert (np.abs(errors.mean(axis=0)).max(axis=(1, 2)) <= 4.5 * standard_error + 10 / width).all()
