"""Derivatives of the kernels in their inputs: against central differences, for every activation and every layer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.test_gradients import ACTIVATIONS, EXPLOSIVE, STEPS, WEIGHTS
from tests.trees import EVERY_LAYER, WIDTH

import fastntk
from fastntk import (
    Activation,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    Product,
    Residual,
    Sequential,
    Sum,
    mlp,
)
from fastntk.kernels import input_gradients
from fastntk.kernels.kernel import Kernel

pytestmark = pytest.mark.sweep

Array = NDArray[np.float64]

rng = np.random.default_rng(7)
#: Generic rows, antipodes, multiples, a small and a large row; and others. Differences move them one by one.
X = rng.normal(size=(6, 3))
X[1], X[2], X[4] = -1.1 * X[0] + 0.02, 1.3 * X[0], 0.2 * X[4]
Y = rng.normal(size=(5, 3))
SQUARE, CROSS = rng.normal(size=(6, 6)), rng.normal(size=(6, 5))

#: Theta of these has a cone at multiples: there differences are taken at other rows.
STEEP = 1e-6


def central(kernel: Kernel, weights: Array, X: Array, Y: Array | None = None, h: float = 4e-3) -> Array:
    """Slopes in X of the weighted sum of its kernel: of order six in h, relative to the length of a row.

    One call has all moved rows: a pair of samples does not depend on others.
    """
    n, d = X.shape
    step_of = h * np.linalg.norm(X, axis=1)
    moves = np.multiply.outer(STEPS, np.eye(d))  # of (step, feature, feature)
    moved = (X[:, None, None] + step_of[:, None, None, None] * moves).reshape(-1, d)
    of_row = np.repeat(np.arange(n), len(STEPS) * d)
    if Y is None:
        found = kernel(np.concatenate((X, moved)))[n:]
        beside = weights + weights.T
        np.fill_diagonal(beside, 0)
        totals = (beside[of_row] * found[:, :n]).sum(axis=1) + weights.diagonal()[of_row] * found[:, n:].diagonal()
    else:
        totals = (weights[of_row] * kernel(moved, Y)).sum(axis=1)
    return np.asarray(np.einsum("s,nsd->nd", WEIGHTS, totals.reshape(n, -1, d)) / (60 * step_of[:, None]))


def check(kernel: Kernel, X: Array, Y: Array, tolerance: float = STEEP, h: float = 4e-3) -> None:
    """Of X, of X and Y, and of one point."""
    square, cross = SQUARE[: len(X), : len(X)], CROSS[: len(X), : len(Y)]

    def close(found: Array, wanted: Array) -> None:
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, atol=tolerance * max(np.abs(wanted).max(), 1e-3))

    close(kernel.vjp(X, square, wrt="inputs"), central(kernel, square, X, h=h))
    in_x, in_y = kernel.vjp(X, cross, Y, wrt="inputs")
    close(in_x, central(kernel, cross, X, Y, h))
    close(in_y, central(kernel, cross.T, Y, X, h))
    point = kernel.input_gradient(X[0], Y)
    for j in range(len(Y)):
        one = np.zeros_like(cross)
        one[0, j] = 1
        close(point[j], kernel.vjp(X, one, Y, wrt="inputs")[0][0])


@pytest.mark.parametrize("act", ACTIVATIONS, ids=repr)
def test_every_activation(act: Activation) -> None:
    """Depth 2, 1 where kernels explode."""
    net = mlp(1 if act.name in EXPLOSIVE else 2, act, 1.2, 0.3)
    apart = np.delete(X, 2, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastntk.ToleranceWarning)
        for kernel in (net.nngp, net.ntk):
            check(kernel, apart, Y)


BRANCHES = {
    "residual": Sequential(Dense(1.3, 0.2), Residual("relu", Dense(1.1, 0.1)), Residual("gelu", Dense(0.7)), Dense()),
    "shortcut": Sequential(Dense(1.2), Residual("erf", Dense(1.1, 0.1), shortcut=Dense(0.8, 0.3)), "relu", Dense()),
    "sum": Sequential(Sum(Sequential(Dense(1.1, 0.2), "sin"), Dense(0.8), Sequential(Dense(0.5), "relu")), Dense()),
    "concat": Sequential(
        *(Dense(1.1, 0.1), Concat("relu", Sequential("erf", Dense(0.8, 0.1)), fractions=[0.3, 0.7]), Dense()),
    ),
    "product": Sequential(Dense(1.1, 0.1), Product(Dense(0.9), Sequential(Dense(1.0, 0.4), "erf"), "relu"), Dense(1.1)),
    "norm": Sequential(Dense(1.2, 0.3), "relu", LayerNorm(), Dense(1.1, 0.2), "erf", LayerNorm(eps=0.1), Dense()),
    "dropout": Sequential(Dense(1.2, 0.3), "relu", Dropout(0.2), Dense(1.1, 0.1), "gelu", Dropout(0.1), Dense(0.8)),
    "standard": Sequential(
        Dense(1.2, 0.1, parametrization="standard", width=32), "relu", Dense(0.9, parametrization="standard", bias=True)
    ),
    "frozen": Sequential(Dense(1.2, 0.3, trainable=False), "erf", Dense(1.1, 0.1), "relu", Dense(trainable=False)),
    "linear": Sequential(Dense(1.5, 0.2), Dense(0.9, 0.1)),
    "pieces": Sequential(Dense(1.2, 0.3), "hard_tanh", Dense(0.9), "elu", Dense()),
    "input": Sequential("relu", Dense(1.2)),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_every_layer(name: str) -> None:
    """Both kernels. Dropout tells a row from a copy of it: the diagonal of X with itself moves too."""
    for kernel in (BRANCHES[name].nngp, BRANCHES[name].ntk):
        check(kernel, np.delete(X, 2, axis=0), Y)


def test_layers_in_layers() -> None:
    """All of them, of samples with as many features as they are for."""
    x, y = rng.normal(size=(3, WIDTH)), rng.normal(size=(2, WIDTH))
    for kernel in (EVERY_LAYER.nngp, EVERY_LAYER.ntk):
        check(kernel, x, y, h=1e-2)


def test_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a block, and more than a tile: the sum is that of the parts."""
    x, y = rng.normal(size=(1100, 3)), rng.normal(size=(130, 3))
    net = mlp(2, "relu", 1.3, 0.2)
    square, cross = rng.normal(size=(1100, 1100)), rng.normal(size=(130, 1100)).T
    for kernel in (net.nngp, net.ntk):
        whole, both = kernel.vjp(x, square, wrt="inputs"), kernel.vjp(x, cross, y, wrt="inputs")
        rows = [0, 500, 1023, 1024, 1099]
        for i in rows:
            slopes = kernel.input_gradient(x[i], x)
            wanted = (square[i] + square[:, i]) @ slopes
            np.testing.assert_allclose(whole[i], wanted, rtol=1e-10, atol=1e-10 * np.abs(whole).max())
            np.testing.assert_allclose(
                both[0][i], cross[i] @ kernel.input_gradient(x[i], y), rtol=1e-10, atol=1e-10 * np.abs(both[0]).max()
            )
        some = cross[:, 7] @ kernel.input_gradient(y[7], x)
        np.testing.assert_allclose(both[1][7], some, rtol=1e-10, atol=1e-10 * np.abs(both[1]).max())
    x, square = x[:50], square[:50, :50]
    whole, both = net.ntk.vjp(x, square, wrt="inputs"), net.ntk.vjp(x, cross[:50, :20], y[:20], wrt="inputs")
    monkeypatch.setattr(input_gradients, "_BLOCK", 16)
    np.testing.assert_allclose(net.ntk.vjp(x, square, wrt="inputs"), whole, rtol=1e-12, atol=1e-12)
    for found, wanted in zip(net.ntk.vjp(x, cross[:50, :20], y[:20], wrt="inputs"), both, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_one_set_of_rows_is_both_arguments() -> None:
    """Of X, what X and a copy have together; of weights and of them turned the same."""
    x, g = rng.normal(size=(20, 4)), rng.normal(size=(20, 20))
    for kernel in (mlp(3, "relu", 1.4, 0.1).ntk, mlp(2, "tanh", 1.2, 0.2).nngp):
        found = kernel.vjp(x, g, wrt="inputs")
        both = sum(kernel.vjp(x, g, x.copy(), wrt="inputs"))
        np.testing.assert_allclose(found, both, rtol=1e-10, atol=1e-11 * np.abs(found).max())
        np.testing.assert_allclose(kernel.vjp(x, g.T, wrt="inputs"), found, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(
            kernel.vjp(x, (g + g.T) / 2, wrt="inputs"), found, rtol=1e-11, atol=1e-12 * np.abs(found).max()
        )


def test_strides_and_dtypes() -> None:
    """Of weights and samples: the same numbers have the same derivatives, float64 whatever the samples are."""
    x, y, g = rng.normal(size=(20, 4)), rng.normal(size=(9, 4)), rng.normal(size=(20, 9))
    kernel = mlp(2, "relu", 1.4, 0.1).ntk
    wanted = kernel.vjp(x, g, y, wrt="inputs")
    wide = np.repeat(np.repeat(g, 2, axis=1), 3, axis=0)[::3, ::2]
    for same in (wide, np.asfortranarray(g), g[::-1][::-1], g.tolist()):
        for found, exact in zip(kernel.vjp(x, same, y, wrt="inputs"), wanted, strict=True):
            np.testing.assert_array_equal(found, exact)
    for found, exact in zip(
        kernel.vjp(np.asfortranarray(x), g, np.repeat(y, 2, axis=1)[:, ::2], wrt="inputs"), wanted, strict=True
    ):
        np.testing.assert_array_equal(found, exact)
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    doubles = kernel.vjp(x32.astype(np.float64), g, y32.astype(np.float64), wrt="inputs")
    for found, double in zip(kernel.vjp(x32, g, y32, wrt="inputs"), doubles, strict=True):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, double, rtol=1e-12, atol=1e-12)
    whole = kernel.input_gradient(x32[0], y32)
    np.testing.assert_allclose(whole, kernel.input_gradient(x32[0].astype(np.float64), y32), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        kernel.vjp(np.eye(3, dtype=int), np.eye(3), wrt="inputs"), kernel.vjp(np.eye(3), np.eye(3), wrt="inputs")
    )


def test_threads() -> None:
    """Same bits for any number of them."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    x, y, g = rng.normal(size=(300, 6)), rng.normal(size=(210, 6)), rng.normal(size=(300, 300))
    x[7], x[250] = x[3] + 1e-9, -x[3]
    kernel = mlp(3, "relu", 1.4, 0.1).ntk

    def everything() -> list[Array]:
        return [
            kernel.vjp(x, g, wrt="inputs"),
            *kernel.vjp(x, g[:, :210], y, wrt="inputs"),
            kernel.input_gradient(x[0], y),
        ]

    with threadpoolctl.threadpool_limits(2, user_api="openmp"):
        two = everything()
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        for one, other in zip(everything(), two, strict=True):
            np.testing.assert_array_equal(one, other)


def test_progress() -> None:
    """Told in order, to the end."""
    seen: list[float] = []
    x = rng.normal(size=(300, 3))
    mlp(2).nngp.vjp(x, np.ones((300, 300)), wrt="inputs", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_empty() -> None:
    """No rows, no derivatives; rows with none beside them have derivatives of 0."""
    for kernel in (mlp(2).nngp, mlp(2).ntk):
        assert kernel.vjp(np.ones((0, 3)), np.ones((0, 0)), wrt="inputs").shape == (0, 3)
        in_x, in_y = kernel.vjp(np.ones((4, 3)), np.ones((4, 0)), np.ones((0, 3)), wrt="inputs")
        np.testing.assert_array_equal(in_x, np.zeros((4, 3)))
        assert in_y.shape == (0, 3)
        assert kernel.input_gradient(np.ones(3), np.ones((0, 3))).shape == (0, 3)


def test_cones() -> None:
    """Theta of a kink at multiples: the mean of the derivatives from opposite sides; K has a derivative there."""
    net, x, direction = mlp(2, "relu", 1.4, 0.0), X[0], np.cross(X[0], [0.3, 1.0, -0.2])
    for factor in (1.0, 2.0, -1.0):
        other, h = (factor * x)[None], 1e-5
        for kernel in (net.nngp, net.ntk):
            found = kernel.input_gradient(x, other)[0]
            above, below = (kernel((x + side * direction)[None], other)[0, 0] for side in (h, -h))
            assert abs(found @ direction - (above - below) / (2 * h)) < 1e-9
            assert abs(found @ x - kernel(x[None], other)[0, 0]) < 1e-13 * abs(found @ x) + 1e-15  # homogeneous
        here = net.ntk(x[None], other)[0, 0]
        one_sided = (net.ntk((x + h * direction)[None], other)[0, 0] - here) / h
        if factor > 0:
            assert abs(one_sided) > 0.01
    symmetric = net.ntk.vjp(np.stack((x, x)), np.ones((2, 2)), wrt="inputs")
    np.testing.assert_allclose(symmetric, 4 * net.ntk.diag(x[None])[0] * np.stack((x, x)) / (x @ x), rtol=1e-12)


def test_at_zero() -> None:
    """The derivative where there is one: without a kink, or behind a bias; otherwise 0."""
    zero, both = np.zeros((1, 3)), np.concatenate((np.zeros((1, 3)), Y))
    smooth = [mlp(2, name, 1.3, bias) for name in ("erf", "gelu", "tanh", "identity") for bias in (0.0, 0.3)]
    smooth += [mlp(2, "relu", 1.3, 0.3), Sequential(Dense(1.4)), mlp(1, "selu", 1.2, 0.2)]
    for net in smooth:
        for kernel in (net.nngp, net.ntk):
            slopes = kernel.input_gradient(zero[0], Y)
            h = 1e-3
            for a in range(3):
                move = h * np.eye(3)[[a]]
                above, below, twice, under = (kernel(step * move, Y)[0] for step in (1, -1, 2, -2))
                wanted = (8 * (above - below) - (twice - under)) / (12 * h)
                np.testing.assert_allclose(slopes[:, a], wanted, atol=1e-6 * max(1e-3, np.abs(slopes).max()))
            in_zero, in_y = kernel.vjp(zero, np.ones((1, 5)), Y, wrt="inputs")
            np.testing.assert_allclose(in_zero[0], slopes.sum(axis=0), rtol=1e-10, atol=1e-13)
            assert np.isfinite(in_y).all()
            alone = kernel.vjp(both, np.eye(6), wrt="inputs")
            np.testing.assert_allclose(alone[0], 0, atol=1e-7)  # the least of K(x, x)
    for net in (mlp(2, "relu", 1.3, 0.0), mlp(1, "leaky_relu", 1.2, 0.0), mlp(2, "selu", 1.1, 0.0)):
        for kernel in (net.nngp, net.ntk):
            assert not kernel.input_gradient(zero[0], Y).any()
            assert np.isfinite(kernel.vjp(both, SQUARE, wrt="inputs")).all()
    nothing = mlp(2, "erf", 1.3, 0.2).ntk.vjp(np.zeros((3, 2)), np.ones((3, 3)), wrt="inputs")
    np.testing.assert_allclose(nothing, 0, atol=1e-12)


def test_extreme_norms() -> None:
    """Derivatives scale as they should, from 1e-100 to 1e100."""
    g = CROSS
    for kernel in (mlp(3, "relu", 1.4, 0.0).nngp, mlp(3, "relu", 1.4, 0.0).ntk):
        in_x, in_y = kernel.vjp(X, g, Y, wrt="inputs")
        for scale in (1e-100, 1e-3, 1e100):
            found = kernel.vjp(scale * X, g, Y, wrt="inputs")
            np.testing.assert_allclose(found[0], in_x, rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(found[1], scale * in_y, rtol=1e-11, atol=1e-13 * scale)


def test_errors() -> None:
    """One clear sentence each."""
    net = mlp(1)
    conv: Any = Sequential(Conv(3), "relu", Flatten(), Dense())
    images = np.ones((2, 4, 4, 1))
    wrong: list[tuple[Any, type[Exception], str]] = [
        (lambda: conv.ntk.vjp(images, np.ones((2, 2)), wrt="inputs"), ValueError, "of kernels of vectors"),
        (lambda: net.ntk.vjp(X, SQUARE, wrt="inputs", shared=True), ValueError, "shared=True is of"),  # type: ignore[call-overload]
        (lambda: net.ntk.vjp(X, SQUARE, wrt="input"), ValueError, "wrt must be"),  # type: ignore[call-overload]
        (lambda: net.ntk.vjp(X, CROSS, wrt="inputs"), ValueError, r"G has shape \(6, 5\), but the kernel has"),
        (lambda: net.ntk.vjp(X, SQUARE, Y, wrt="inputs"), ValueError, r"G has shape \(6, 6\), but the kernel has"),
        (lambda: net.ntk.vjp(X, np.nan * SQUARE, wrt="inputs"), ValueError, "G contains nan"),
        (lambda: net.ntk.vjp(np.nan * X, SQUARE, wrt="inputs"), ValueError, "X contains nan"),
        (lambda: net.ntk.vjp(X, CROSS, Y[:, :2], wrt="inputs"), ValueError, "same number"),
        (lambda: net.ntk.input_gradient(X, Y), ValueError, r"x must be one point, of shape \(d,\), got shape \(6, 3\)"),
        (lambda: net.ntk.input_gradient(X[0, :2], Y), ValueError, "same number"),
        (lambda: net.ntk.input_gradient(X[0], Y[0]), ValueError, "Y"),
        (lambda: net.ntk.input_gradient(np.nan * X[0], Y), ValueError, "x contains nan"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()
