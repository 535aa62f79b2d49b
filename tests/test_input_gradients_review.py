"""Derivatives in the inputs at their edges: zero rows, rows near 0, and activations of which there are none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Kernel, Sequential, mlp
from fastntk.kernels import input_hessian

Array = NDArray[np.float64]

rng = np.random.default_rng(5)
X, Y, G = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))
#: The second is zero.
WITH_ZERO = Y * [[1.0], [0.0], [1.0], [1.0]]


def kernels(net: Sequential) -> tuple[Kernel, Kernel]:
    """Give both."""
    return net.nngp, net.ntk


def central(kernel: Kernel, x: Array, y: Array, weights: Array, step: float) -> Array:
    """Derivative in one row, of order six in the step."""
    moves = step * np.eye(len(x))
    return np.array(
        [
            sum(
                side * weight / (60 * step) * float(kernel(x[None] + side * k * move, y)[0] @ weights)
                for k, weight in ((1, 45), (2, -9), (3, 1))
                for side in (1, -1)
            )
            for move in moves
        ]
    )


@pytest.mark.parametrize("act", ["relu", "abs", "gelu", "erf", "tanh", "soft_shrink", "hard_tanh"])
def test_zero_rows_add_nothing_without_bias(act: str) -> None:
    """K(x, 0) = 0 of whatever x: derivatives are those beside the other rows, whichever way they are asked for."""
    net, others = mlp(2, act), [0, 2, 3]
    for kernel in kernels(net):
        wanted = kernel.vjp(X, G[:, others], WITH_ZERO[others], wrt="inputs")[0]
        size = 1e-10 * np.abs(wanted).max()
        prepared = kernel.prepare(WITH_ZERO)
        one_by_one = [np.einsum("m,md->d", g, kernel.input_gradient(x, WITH_ZERO)) for x, g in zip(X, G, strict=True)]
        for found in (kernel.vjp(X, G, WITH_ZERO, wrt="inputs")[0], prepared.vjp(X, G), np.array(one_by_one)):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=size)
        assert np.isfinite(kernel.gradient(X, WITH_ZERO)).all()


@pytest.mark.parametrize("largest", [1.0, 1e4, 1e10])
@pytest.mark.parametrize("act", ["relu", "erf", "gelu"])
def test_zero_row_beside_large_ones(act: str, largest: float) -> None:
    """Behind a bias kernels are smooth at 0, on the scale of the network and not of the data."""
    x, weights = np.stack((np.zeros(4), largest * X[0])), np.array([[1.0, 0.5, -0.3, 0.2], [0.0] * 4])
    for kernel in kernels(mlp(2, act, 1.1, 0.2)):
        found = kernel.vjp(x, weights, Y, wrt="inputs")[0][0]
        wanted = central(kernel, x[0], Y, weights[0], 1e-3)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())
        np.testing.assert_allclose(kernel.prepare(Y).vjp(x, weights)[0], found, rtol=1e-9)


@pytest.mark.parametrize("act", ["sigmoid", "softplus", "hard_sigmoid", "normal_cdf", "tanh", "gelu"])
def test_smooth_at_zero_without_bias(act: str) -> None:
    """Also where phi(0) is not 0, next to which the engine takes phi for a constant."""
    x, weights = np.zeros(4), np.array([1.0, 0.5, -0.3, 0.2])
    for kernel in kernels(mlp(2, act)):
        wanted = central(kernel, x, Y, weights, 1e-3)
        for found in (kernel.vjp(x[None], weights[None], Y, wrt="inputs")[0][0], weights @ kernel.input_gradient(x, Y)):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-7 * np.abs(wanted).max())
        both = kernel.vjp(np.stack((x, Y[0])), np.outer(weights[:2], weights), np.stack((x, *Y[1:])), wrt="inputs")
        wanted = central(kernel, x, np.stack((x, *Y[1:])), weights, 1e-3)
        np.testing.assert_allclose(both[0][0], wanted, rtol=0, atol=1e-7 * np.abs(wanted).max())
        wanted = central(kernel, x, np.stack((x, Y[0])), weights[:2], 1e-3)
        np.testing.assert_allclose(both[1][0], wanted, rtol=0, atol=1e-7 * np.abs(wanted).max())


def test_zero_row_beside_small_ones() -> None:
    """Theta of a kink has a cone at each row: 0 is to be nearer than all of them."""
    kernel, small, weights = mlp(1, "abs", 1.1, 0.2).ntk, 1e-5 * Y, np.array([1.0, 0.5, -0.3, 0.2])
    found = weights @ kernel.input_gradient(np.zeros(4), small)
    wanted = central(kernel, np.zeros(4), small, weights, 1e-7)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("act", ["soft_shrink", "hard_shrink"])
def test_zero_row_where_nothing_is_left(act: str) -> None:
    """Next to 0 their kernels are below any number: derivatives at 0 are 0, and nothing is refused."""
    for kernel in kernels(mlp(1, act)):
        assert not kernel.vjp(WITH_ZERO, np.ones((4, 4)), wrt="inputs")[1].any()
        assert not kernel.input_gradient(np.zeros(4), Y).any()


def test_values_at_zero_rows() -> None:
    """They are 0 without bias."""
    found = input_hessian.covariances(mlp(2, "relu").layers, X, WITH_ZERO)
    assert not found.values[:, 1].any()
    assert not found.slopes_x[:, :, 1].any()


@pytest.mark.parametrize(
    "act",
    [
        *(Activation(name) for name in ("step", "sign", "hard_shrink", "exp_normalized")),
        Activation("rectified_monomial", degree=0),
        Activation(lambda x: np.where(x > 0.3, x, 0.0), kinks=(0.3,), name="gate"),
    ],
    ids=repr,
)
def test_no_derivatives_of_functions_behind_a_jump(act: Activation) -> None:
    """Variances would be infinite, or, of a kernel of no function, wrong."""
    net = Sequential(Dense(), "relu", Dense(1.0, 0.1), fastntk.Residual(act, Dense()))
    for compute in (
        lambda: input_hessian.covariances(net.layers, X, Y),
        lambda: input_hessian.slope_variances(net.layers, X),
    ):
        with pytest.raises(ValueError, match=r"layer 3\.0\.0, .*have no derivatives behind an activation that jumps"):
            compute()


@pytest.mark.parametrize(
    "act",
    [
        *(
            Activation(name)
            for name in ("relu", "hard_tanh", "relu6", "soft_shrink", "hard_swish", "elu", "selu", "tanh")
        ),
        Activation.piecewise_linear([-1.0, 0.5], [0.2, 1.0, 0.4]),
        Activation(lambda x: np.abs(x - 0.3), kinks=(0.3,), name="bent"),
    ],
    ids=repr,
)
def test_continuous(act: Activation) -> None:
    """A kink is no jump."""
    net = Sequential(Dense(), act, Dense())
    variances = input_hessian.slope_variances(net.layers, X)
    assert np.isfinite(variances).all()
    assert (variances > 0).all()


def test_one_point_needs_others() -> None:
    """Y is no option here."""
    with pytest.raises(TypeError, match="Y must be a matrix"):
        mlp(1).nngp.input_gradient(X[0], None)  # type: ignore[arg-type]
