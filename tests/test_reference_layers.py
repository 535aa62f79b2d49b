"""The rules of the reference for layers with branches, LayerNorm, Dropout and means, each by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from tests.trees import CLOSED, EVERY_LAYER, WIDTH

from fastntk import (
    Activation,
    AvgPool,
    Concat,
    Dense,
    Dropout,
    Flatten,
    Identity,
    LayerNorm,
    Product,
    Residual,
    Sequential,
    Sum,
    reference,
)
from fastntk.layers import Layer
from fastntk.reference.forms import CLOSED_FORMS, Pair
from fastntk.reference.means import MEANS, kinks
from fastntk.reference.quadrature import mean_in_panels

Float = NDArray[np.float64]

X = np.random.default_rng(3).standard_normal((4, WIDTH))
Y = np.random.default_rng(4).standard_normal((3, WIDTH))
Q = np.array([0.01, 0.3, 1.0, 2.5])

#: With means of both signs behind the second.
FIRST, SECOND = Sequential(Dense(1.2, 0.3)), Sequential(Dense(0.8), Activation("abrelu", a=1.0, b=0.3))


def both(*layers: Layer | Sequential, rows: Float = X, columns: Float | None = None) -> tuple[Float, Float]:
    """K and Theta of layers."""
    return reference.kernels(Sequential(*layers), rows, columns)


def variances(*layers: Layer | Sequential) -> tuple[Float, Float]:
    """K of samples with themselves, of shapes (4, 1) and (1, 3)."""
    return np.diag(both(*layers)[0])[:, None], np.diag(both(*layers, rows=Y)[0])[None, :]


@pytest.mark.parametrize("columns", [None, Y], ids=["X", "XY"])
def test_sums_products_and_concatenations(columns: Float | None) -> None:
    """By the formulas, from the kernels of their branches."""
    (K1, T1), (K2, T2) = (both(part, columns=columns) for part in (FIRST, SECOND))
    expected: list[tuple[Layer, Any]] = [
        (Sum(FIRST, SECOND), (K1 + K2, T1 + T2)),
        (Residual(*FIRST, shortcut=SECOND), (K1 + K2, T1 + T2)),
        (Product(FIRST, SECOND), (K1 * K2, T1 * K2 + K1 * T2)),
        (Product(FIRST, SECOND, FIRST), (K1 * K2 * K1, 2 * T1 * K1 * K2 + K1 * K1 * T2)),
        (Concat(FIRST, SECOND, fractions=[0.2, 0.8]), (0.2 * K1 + 0.8 * K2, 0.2 * T1 + 0.8 * T2)),
        (Sum(FIRST), (K1, T1)),
    ]
    for layer, kernels in expected:
        for found, kernel in zip(both(layer, Identity(), columns=columns), kernels, strict=True):
            np.testing.assert_allclose(found, kernel, rtol=1e-14)


@pytest.mark.parametrize("eps", [0.0, 0.4])
def test_layer_norm_subtracts_means(eps: float) -> None:
    """Of one branch, of both side by side, of their sum and of their product, which has mean 0 as one of them has."""
    root, means = np.sqrt(2 * np.pi), []
    for q in variances(Dense(0.8)):
        means.append((0.3 - 1.0) * np.sqrt(q) / root)
    cases: list[tuple[Layer | Sequential, float]] = [
        *((FIRST, 0.0), (SECOND, 1.0), (Sum(FIRST, SECOND), 1.0), (Product(FIRST, SECOND), 0.0)),
        (Concat(FIRST, SECOND, fractions=[0.2, 0.8]), 0.8),
    ]
    for layer, part in cases:
        K, Theta = both(layer, columns=Y)
        q1, q2 = variances(layer)
        mean1, mean2 = (part * mean for mean in means)
        scale = np.sqrt((q1 - mean1**2 + eps) * (q2 - mean2**2 + eps))
        found = both(layer, LayerNorm(eps=eps), columns=Y)
        np.testing.assert_allclose(found[0], (K - mean1 * mean2) / scale, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(found[1], Theta / scale, rtol=1e-13)


def test_dropout_is_of_the_same_sample() -> None:
    """Its place, not its values: the diagonal of X with itself, and the variances that an activation goes by."""
    K, Theta = both(FIRST)
    same = 1 / (1 - 0.2 * np.eye(len(X)))
    for found, kernel in zip(both(FIRST, Dropout(0.2)), (K, Theta), strict=True):
        np.testing.assert_allclose(found, kernel * same, rtol=1e-15)
    for found, kernel in zip(both(FIRST, Dropout(0.2), columns=X.copy()), both(FIRST, columns=X.copy()), strict=True):
        np.testing.assert_array_equal(found, kernel)
    c, q = both(FIRST, Dropout(0.2), Dense(), columns=X.copy())[0], np.diag(K) / 0.8
    s = np.sqrt(np.outer(q, q))
    theta = np.arccos(c / s)
    expected = s / (2 * np.pi) * (np.sin(theta) + (np.pi - theta) * np.cos(theta))  # Cho and Saul (2009), eq. 6
    found, _ = both(FIRST, Dropout(0.2), Dense(), Activation("relu"), columns=X.copy())
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("bias", [True, None])
def test_the_standard_parametrization_counts_units(bias: bool | None, trainable: bool) -> None:
    """Of the input, of a width, of one side of a sum, of all that is side by side."""
    last = Dense(0.7, parametrization="standard", bias=bias, trainable=trainable)
    wide, others = Dense(1.2, width=40), Dense(0.5, width=24)
    cases: list[tuple[tuple[Layer, ...], int]] = [
        ((), WIDTH),
        ((wide,), 40),
        ((wide, Activation("relu"), LayerNorm(), Dropout(0.5)), 40),
        ((wide, Residual(Dense())), 40),
        ((Sum(Dense(), wide),), 40),
        ((Product(Dense(), others),), 24),
        ((Concat(wide, others, fractions=[0.625, 0.375]),), 64),
    ]
    for layers, units in cases:
        K, Theta = both(*layers)
        found = both(*layers, last)
        np.testing.assert_allclose(found[0], 0.49 * K, rtol=1e-15)
        own = units * K + bool(bias) if trainable else 0
        np.testing.assert_allclose(found[1], own + 0.49 * Theta, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("activation", CLOSED, ids=repr)
def test_closed_forms_of_means(activation: Activation) -> None:
    """Against a rule in panels; and the product of two of them, which F is where c = 0."""
    assert set(MEANS) == set(CLOSED_FORMS)
    mean = MEANS[activation.name](Q, **dict(activation.parameters))
    if activation.name == "exp_normalized":  # of no known phi
        assert np.isnan(mean).all()
        return
    np.testing.assert_allclose(mean, mean_in_panels(activation, Q, ()), rtol=1e-13, atol=1e-14)
    pair = Pair(np.zeros((4, 4)), Q[:, None], Q[None, :], np.full((4, 4), np.pi / 2))
    product = CLOSED_FORMS[activation.name](pair, **dict(activation.parameters))[0]
    np.testing.assert_allclose(np.outer(mean, mean), product, rtol=1e-12, atol=1e-15)


def test_means_split_at_kinks() -> None:
    """By the mean of relu(x - t): s pdf(t / s) - t (1 - cdf(t / s))."""
    s = np.sqrt(Q)

    def relu(t: float) -> Float:
        return np.asarray(s * norm.pdf(t / s) - t * norm.sf(t / s))

    def mean(activation: Activation) -> Float:
        return mean_in_panels(activation, Q, kinks(activation))

    bent = Activation.piecewise_linear([-1.0, 0.5], [0.2, 1.0, 0.4])  # x + 0.8 relu(-1 - x) - 0.6 relu(x - 0.5)
    for activation, expected in (
        (Activation("relu6"), relu(0) - relu(6)),
        (Activation("hard_sigmoid"), np.full(4, 0.5)),
        (bent, 0.8 * relu(1) - 0.6 * relu(0.5)),
        (Activation(lambda x: np.maximum(x - 0.7, 0), kinks=[0.7]), relu(0.7)),
    ):
        np.testing.assert_allclose(mean(activation), expected, rtol=1e-12, atol=1e-15)
    for odd in ("hard_tanh", "soft_shrink", "hard_shrink", "tanh", "softsign"):
        assert np.abs(mean(Activation(odd))).max() <= 1e-15


def test_zero_rows_are_the_limit_along_a_direction_of_their_own() -> None:
    """Through branches of any kind, as of a row of norm 1e-30 where all others are 0."""
    rows = X.copy()
    rows[[1, 3]] = 0
    near = np.zeros((len(X), 4 * WIDTH))  # so that 2 X has the kernel of X
    near[:, :WIDTH] = 2 * rows
    near[[1, 3], -1] = 1e-30
    relu, sign = Activation("relu"), Activation("sign")
    nets = [
        Sequential(Dense(), Residual(relu, Dense(0.7)), sign),
        Sequential(Dense(), Sum(Dense(), Sequential(relu, Dense(2.0)), Sequential("erf", Dense())), sign, Dense()),
        Sequential(Dense(), Concat(Identity(), Sequential(relu, Dropout(0.5))), Dense(), sign),
        Sequential(Product(Dense(), Sequential(Dense(), relu)), Dense(), sign),
        Sequential(Dense(), Residual(Residual(relu, LayerNorm(eps=0.1), Dense()), relu, Dense()), sign, LayerNorm()),
    ]
    for net in nets:
        for copy, close in ((None, None), (rows[[1]], near[[1]])):
            for found, limit in zip(
                reference.kernels(net, rows, copy), reference.kernels(net, near, close), strict=True
            ):
                np.testing.assert_allclose(found, limit, rtol=1e-12, atol=1e-14)


def test_quadrature_of_a_tree() -> None:
    """Every activation and every mean by Gauss-Hermite rules."""
    net = Sequential(
        *(Dense(1.1, 0.2), Residual("gelu", LayerNorm(eps=0.1), Dense(0.7)), Activation("sin", c=0.4), LayerNorm()),
        *(Dense(), Concat("erf", Identity()), LayerNorm(), Dense()),
    )
    for found, kernel in zip(both(net), reference.kernels(net, X, method="quadrature"), strict=True):
        np.testing.assert_allclose(found, kernel, rtol=1e-9, atol=1e-11)


def test_where_nothing_can_be_normalised() -> None:
    """A sample without variance, unless there is eps; a kernel of no known function."""
    rows = np.concatenate((X, np.zeros((1, WIDTH))))
    with pytest.raises(ValueError, match="a sample has variance 0 there; pass eps > 0"):
        both(Dense(), LayerNorm(), rows=rows)
    K, Theta = both(Dense(), LayerNorm(eps=1.0), rows=rows)
    assert not K[-1].any()
    assert not Theta[-1].any()
    with pytest.raises(ValueError, match="no known mean"):
        both(Dense(), Activation("exp_normalized"), LayerNorm())


def test_every_layer_is_positive_semidefinite() -> None:
    """Both kernels, of samples that nearly coincide too."""
    rows = np.concatenate((X, X + 1e-6, -X))
    for kernel in both(EVERY_LAYER, rows=rows):
        eigenvalues = np.linalg.eigvalsh(kernel)
        assert eigenvalues[0] >= -1e-6 * eigenvalues[-1]


def test_positions_that_cancel() -> None:
    """What an average leaves of them is 0, not a variance below 0."""
    averaged = Sequential(AvgPool(3, stride=2, padding=2), "erf", Dense(1.0, 0.3))
    net, rng = Sequential(Dense(1.17), LayerNorm(), Sum(averaged), Flatten()), np.random.default_rng(0)
    for _ in range(6):  # of one channel positions are 1 or -1 behind LayerNorm
        X = rng.normal(size=(2, 2, 4, 1))
        np.testing.assert_allclose(reference.nngp(net, X), net.nngp(X), rtol=1e-13)
