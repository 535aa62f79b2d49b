"""Networks for tests: one with every layer, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import fastntk
from fastntk import (
    Activation,
    Concat,
    Dense,
    Dropout,
    Identity,
    LayerNorm,
    Product,
    Residual,
    Sequential,
    Sum,
    reference,
)
from fastntk.layers import Layer
from fastntk.layers.base import Signal, follow_all

#: Of the samples that networks with the "standard" parametrization are for, and of all layers that have one.
WIDTH = 16

#: Every layer, and every kind of activation: closed form, jump, polynomial, pieces, expansion.
EVERY_LAYER = Sequential(
    Dense(1.2, 0.1, parametrization="standard", width=WIDTH),
    Residual("relu", Dense(0.9, 0.2, width=WIDTH)),
    LayerNorm(eps=0.1),
    Residual(
        *(Residual(LayerNorm(), "gelu", Dropout(0.1), Dense(1.1, 0.1)), Activation("leaky_relu", alpha=0.2)),
        Dense(0.7, trainable=False),
        shortcut=Dense(1.3, 0.2),
    ),
    *("relu", LayerNorm(), Dense(1.1)),
    Concat(
        *(Identity(), Sequential("erf", Dense(0.8, width=WIDTH)), Sequential(LayerNorm(eps=0.5), "abs")),
        fractions=[0.5, 0.3, 0.2],
    ),
    Dense(1.0, 0.3),
    Product(
        *(Dense(1.1), Sequential(Dense(1.0, 0.5), "step")),
        Sequential(Dense(0.9, 0.6), Sum(Dense(), Sequential("tanh", Dense(0.8)))),
    ),
    Dense(0.8, 0.2),
    Sequential(Activation("polynomial", coefficients=(0.2, 0.8, 0.1)), Dropout(0.3), Dense(0.9, 0.1, width=WIDTH)),
    Sequential("hard_tanh", Dense(0.9, parametrization="standard", bias=True)),
)

#: Activations with a closed form, of which the reference has it too.
CLOSED = (
    *(Activation(name) for name in ("identity", "relu", "abs", "step", "sign", "squared_relu", "erf", "normal_cdf")),
    *(Activation(name) for name in ("sigmoid_like", "gelu", "smoothed_relu", "snake", "rbf", "gaussian", "gabor")),
    Activation("leaky_relu", alpha=0.2),
    Activation("abrelu", a=-0.5, b=1.2),
    Activation("rectified_monomial", degree=3),
    Activation("erf", a=1.2, b=0.7, c=0.3),
    Activation("sin", a=1.2, b=0.8, c=0.4),
    Activation("cos", a=0.9, b=0.7, c=0.2),
    Activation("exp", a=0.7, b=0.3),
    Activation("exp_normalized", gamma=0.5, shift=0.2),
    Activation("monomial", degree=2),
    Activation("polynomial", coefficients=(0.3, 0.8, 0.1, -0.1)),
    Activation("hermite", degree=2),
)

#: Those without.
OTHERS = (
    *(Activation(name) for name in ("hard_tanh", "relu6", "hard_sigmoid", "hard_swish", "soft_shrink", "hard_shrink")),
    *(Activation(name) for name in ("tanh", "sigmoid", "softplus", "silu", "mish", "gelu_tanh", "elu", "selu")),
    *(Activation(name) for name in ("celu", "softsign", "log_cosh")),
    Activation("swish", beta=0.7),
    Activation.piecewise_linear([-1.0, 0.5], [0.2, 1.0, 0.4]),
    Activation(lambda x: x * np.exp(-x * x / 2), lambda x: (1 - x * x) * np.exp(-x * x / 2), name="wavelet"),
)

#: Of the truth tables, those without a closed form.
EXPANDED = ("tanh", "silu", "softplus")

_PROBE = np.random.default_rng(5).standard_normal((3, WIDTH))


def random_network(
    rng: np.random.Generator, activations: Sequence[Activation] = CLOSED, *, length: int = 6, nesting: int = 2
) -> Sequential:
    """Make a network of up to `length` random layers, whose branches have branches, `nesting` deep.

    One that may be built, of kernels between 1e-3 and 1e2 for samples of WIDTH features of unit variance.
    """
    # Little may be done to the raw input, which is no Gaussian, and has a mean that is not known of K.
    net = Sequential(_dense(rng) if rng.random() < 0.9 else activations[int(rng.integers(len(activations)))])
    for _ in range(int(rng.integers(1, length))):
        for _ in range(20):  # as many are refused
            try:
                longer = Sequential(net, _layer(rng, activations, nesting))
                follow_all(longer.layers, Signal((), WIDTH))
                K, Theta = reference.kernels(longer, _PROBE, nodes=16)
            except ValueError:
                continue
            size = np.diag(K)
            if size.min() >= 1e-3 and size.max() <= 1e2 and np.isfinite(Theta).all():
                net = longer
                break
    return net


def _dense(rng: np.random.Generator) -> Dense:
    sigma_w, sigma_b = float(rng.uniform(0.5, 1.5)), float(rng.choice([0.0, 0.0, 0.3]))
    standard = rng.random() < 0.2
    return Dense(
        sigma_w,
        sigma_b,
        trainable=bool(rng.random() < 0.85),
        parametrization="standard" if standard else "ntk",
        width=WIDTH if rng.random() < 0.4 else None,
        bias=True if standard and rng.random() < 0.5 else None,
    )


def _layer(rng: np.random.Generator, activations: Sequence[Activation], nesting: int) -> Layer:
    simple: list[Callable[[], Layer]] = [
        lambda: _dense(rng),
        lambda: _dense(rng),
        lambda: activations[int(rng.integers(len(activations)))],
        lambda: activations[int(rng.integers(len(activations)))],
        lambda: LayerNorm(eps=float(rng.choice([0.0, 0.1]))),
        lambda: Dropout(float(rng.choice([0.0, 0.2, 0.5]))),
        Identity,
    ]

    def chain() -> Sequential:
        """Ends in weights two times of three, without which few branches add up."""
        inner = [_layer(rng, activations, nesting - 1) for _ in range(rng.integers(1, 4))]
        return Sequential(*inner, *([_dense(rng)] if rng.random() < 2 / 3 else []))

    def concat() -> Layer:
        shares = rng.dirichlet([2.0, 2.0, 2.0])
        return Concat(chain(), chain(), chain(), fractions=shares.tolist())

    branching: list[Callable[[], Layer]] = [
        lambda: Residual(chain()),
        lambda: Residual(chain(), shortcut=chain()),
        lambda: Sum(*[chain() for _ in range(rng.integers(1, 4))]),
        lambda: Product(*[chain() for _ in range(rng.integers(1, 4))]),
        concat,
        lambda: Concat(chain(), chain()),
    ]
    made = simple + 2 * branching if nesting else simple
    return made[int(rng.integers(len(made)))]()


def built(layers: Sequence[Any], dtype: str) -> Sequential:
    """Network of a truth table; expansions are to be as good as what is asked for."""
    tolerance: dict[str, Any] = {"tolerance": 1e-13} if dtype == "float64" else {}

    def layer(kind: str, branches: list[Any], options: dict[str, Any]) -> Layer:
        if kind == "Activation":
            expanded: dict[str, Any] = tolerance if options["activation"] in EXPANDED else {}
            return Activation(**options, **expanded)
        make: Callable[..., Layer] = getattr(fastntk, kind)
        return make(*[Sequential(*[layer(*inner) for inner in branch]) for branch in branches], **options)

    return Sequential(*[layer(*part) for part in layers])


def kinds(net: Sequential) -> set[str]:
    """Names of the classes of its layers."""

    def each(layers: tuple[Layer, ...]) -> set[str]:
        inner = [each(branch) for layer in layers for branch in layer.branches]
        return {type(layer).__name__ for layer in layers}.union(*inner)

    return each(net.layers)


def uses(net: Sequential, activation: Activation) -> bool:
    """Whether it is somewhere in it."""
    return any(layer == activation for _, layer in fastntk.layers.base.walk(net.layers))
