"""Wrong networks with branches are refused when they are built, in one sentence: which layer, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

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
)

ANY: Any = fastntk
NAN = float("nan")


def standard(**options: Any) -> Dense:
    """A layer that sums over a known number of units."""
    return Dense(parametrization="standard", **options)


DEPENDENT: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Sum("erf", Identity()),
        r"^Sum: branches 0 and 1, Activation\('erf', .*\) and Identity\(\), have no weights",
    ),
    (
        lambda: Sum(Dense(), "erf", "tanh"),
        r"^Sum: branches 1 and 2, .* have no weights .* Put a Dense behind one of them",
    ),
    (lambda: Residual("erf"), r"^Residual: branches 0 and 1, .* no weights .* or write both as one activation"),
    (lambda: Residual(LayerNorm(), "erf"), r"^Residual: branches 0 and 1, \[LayerNorm\(.*\), Activation\('erf'"),
    (
        lambda: Sum(LayerNorm(), Identity()),
        r"^Sum: branches 0 and 1, LayerNorm\(.*\) and Identity\(\), have no weights",
    ),
    (lambda: Sum(Dropout(0.5), Identity()), r"^Sum: branches 0 and 1, Dropout\(p=0.5\) and Identity\(\), have no"),
    (lambda: Sum("relu", Sequential("relu", "relu")), r"^Sum: branches 0 and 1, .* have no weights of their own"),
    (
        lambda: Sum(Sum("erf", Dense()), Identity()),
        r"^Sum: branches 0 and 1, Sum\(.*\) and Identity\(\), have no weights",
    ),
    (
        lambda: Sum(Concat("erf", Dense()), Identity()),
        r"^Sum: branches 0 and 1, Concat\(.* have no weights of their own",
    ),
    (
        lambda: Residual(Dense(), "relu"),
        r"^Residual: .* have means that may not be 0: .* Put a Dense behind .* branch 0 ends",
    ),
    (
        lambda: Sum(Sequential(Dense(), "erf"), Sequential(Dense(), "relu"), Sequential(Dense(), "gelu")),
        r"^Sum: branches 1 and 2, .* have means that may not be 0: .* behind the activation that branch 1 ends with",
    ),
    (
        lambda: Product("relu", Identity()),
        r"^Product: branches 0 and 1, .* have no weights .* Put a Dense into one of them",
    ),
    (lambda: Product(Identity(), Dense(), Identity()), r"^Product: branches 0 and 2, .* have no weights of their own"),
]

NOT_GAUSSIAN: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Sequential(Product(Dense(), Dense()), "relu"),
        r"^layer 1, Activation\('relu'\): an activation acts on Gauss",
    ),
    (lambda: Sequential(Dense(), "erf", Residual("relu", Dense()), "relu"), r"^layer 3, Activation\('relu'\): .*a sum"),
    (
        lambda: Sequential(Dense(), Dropout(0.1), "relu"),
        r"^layer 2, .* behind dropout, .*is none: put a Dense or a Conv before it\.$",
    ),
    (lambda: Sequential(Dense(), Residual(Dropout(0.1), "erf", Dense())), r"^Residual: layer 0\.1, Activation\('erf'"),
    (
        lambda: Sequential(Dense(), "erf", Sum(Dense(), Sequential(Residual("relu", Dense()), "erf"))),
        r"^layer 2\.1\.1, Activation\('erf', .*: an activation acts on Gaussians",
    ),
    (
        lambda: Sequential(Concat(Dense(), Dense()), LayerNorm(), "relu"),
        r"^layer 2, Activation\('relu'\): an activation",
    ),
    (lambda: Sum(Sequential(Dense(), "erf", Dropout(0.2), "erf"), Dense()), r"^layer 3, Activation\('erf'"),
]

WIDTHS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Sequential(Dense(), "relu", standard()),
        r"^layer 2, Dense\(.*'standard'\): .* give the layer with weights before it a width",
    ),
    (
        lambda: Sequential(Dense(), Residual("relu", standard())),
        r"^layer 1\.0\.1, Dense\(.*'standard'\): .*needs the number",
    ),
    (lambda: Residual("relu", Dense(), "relu", standard()), r"^Residual: layer 0\.3, Dense\(.*'standard'\): .*a width"),
    (lambda: Sequential(Concat(Dense(width=8), Dense()), standard()), r"^layer 1, Dense\(.*'standard'\): .*a width"),
    (
        lambda: Sum(Dense(width=8), Dense(width=9)),
        r"^Sum: its branches end with 8 and 9 units, and have to end with as",
    ),
    (lambda: Product(Dense(width=8), Dense(width=9)), r"^Product: its branches end with 8 and 9 units"),
    (
        lambda: Sequential(Dense(width=8), "relu", Dense(width=4), Residual("relu", Dense(width=9))),
        r"^layer 3, Residual\(.*\): its branches end with 9 and 4 units, and have to end with as many each\.$",
    ),
    (
        lambda: Concat(Dense(width=8), Dense(width=24)),
        r"^Concat: its branches end with 8 and 24 units, which are not .*: pass fractions=\[0\.25, 0\.75\]\.$",
    ),
]

NO_DIRECTION: list[tuple[Callable[[], object], str]] = [
    (lambda: Sequential(Dense(0.0), LayerNorm()), r"^layer 1, LayerNorm\(.*\): what comes in is 0 .* pass eps > 0\.$"),
    (
        lambda: Sequential(Dense(0.0), "erf", LayerNorm()),
        r"^layer 2, LayerNorm\(.*\): what comes in is 0 for all samples",
    ),
    (lambda: Residual(Dense(0.0), LayerNorm(), Dense()), r"^Residual: layer 0\.1, LayerNorm\(.*: what comes in is 0"),
    (lambda: Sequential(Product(Dense(), Dense(0.0)), LayerNorm()), r"^layer 1, LayerNorm\(.*\): what comes in is 0"),
    (lambda: Sequential(Sum(Dense(0.0), Dense(0.0)), LayerNorm()), r"^layer 1, LayerNorm\(.*\): what comes in is 0"),
]

VALUES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (
        lambda: Concat(Dense(), Dense(), fractions=[0.5]),
        ValueError,
        r"^fractions must be one for each of 2 branches, got 1",
    ),
    (
        lambda: Concat(Dense(), Dense(), fractions=[0.5, 0.4]),
        ValueError,
        r"^fractions must be > 0 and 1 in all, .* 0\.9\.$",
    ),
    (lambda: Concat(Dense(), Dense(), fractions=[1.5, -0.5]), ValueError, r"^fractions must be > 0 and 1 in all, got"),
    (lambda: Concat(Dense(), Dense(), fractions=[1.0, 0.0]), ValueError, r"^fractions must be > 0 and 1 in all, got"),
    (lambda: Concat(Dense(), Dense(), fractions=[NAN, 0.5]), ValueError, r"^fractions\[0\] must be finite, got nan"),
    (lambda: ANY.Concat(Dense(), fractions=1.0), TypeError, r"^fractions must be a sequence of numbers, got 1\.0"),
    (lambda: ANY.Concat(Dense(), fractions=["a"]), TypeError, r"^fractions\[0\] must be a real number, got 'a'"),
    (lambda: Dropout(1), ValueError, r"^p, the probability of dropping a unit, must be from 0 to below 1, got 1\.$"),
    (
        lambda: Dropout(-0.1),
        ValueError,
        r"^p, the probability of dropping a unit, must be from 0 to below 1, got -0\.1",
    ),
    (lambda: Dropout(NAN), ValueError, r"^p must be finite, got nan"),
    (lambda: ANY.Dropout("0.5"), TypeError, r"^p must be a real number, got '0\.5'"),
    (lambda: Dropout(True), TypeError, r"^p must be a real number, got True"),
    (lambda: ANY.Dropout(), TypeError, r"missing 1 required positional argument: 'p'$"),
    (lambda: LayerNorm(eps=-1e-5), ValueError, r"^eps must be >= 0, got -1e-05"),
    (lambda: LayerNorm(eps=NAN), ValueError, r"^eps must be finite, got nan"),
    (lambda: ANY.LayerNorm(1e-5), TypeError, r"^axes must be 'channels' or 'all', got 1e-05"),
    (lambda: ANY.LayerNorm("rows"), ValueError, r"^axes must be 'channels' or 'all', got 'rows'"),
    (lambda: ANY.Dense(parametrization="mup"), ValueError, r"^parametrization must be 'ntk' or 'standard', got 'mup'"),
    (lambda: Dense(bias=True), ValueError, r"^bias=True contradicts sigma_b=0; .* is for parametrization='standard'"),
    (lambda: Dense(1.0, 0.1, bias=False), ValueError, r"^bias=False contradicts sigma_b=0\.1"),
    (lambda: ANY.Dense(parametrization="standard", bias=1), TypeError, r"^bias must be True or False, got 1"),
    (lambda: Dense(width=0), ValueError, r"^width must be an integer >= 1, got 0"),
    (lambda: ANY.Dense(width=2.5), ValueError, r"^width must be an integer >= 1, got 2\.5"),
    (lambda: Sum(), ValueError, r"^Sum needs branches, Sum\(branch, branch, \.\.\.\), got none\.$"),
    (lambda: Product(), ValueError, r"^Product needs branches"),
    (lambda: Concat(), ValueError, r"^Concat needs branches"),
    (lambda: Residual(), ValueError, r"^Residual needs layers, such as Residual\('relu', Dense\(\)\), got none\.$"),
    (lambda: Residual(Sequential()), ValueError, r"^Residual needs layers"),
    (lambda: Sum(Dense(), Sequential()), ValueError, r"^branch 1 of Sum is empty: write fastntk\.Identity\(\)"),
    (lambda: Residual(Dense(), shortcut=Sequential()), ValueError, r"^the shortcut of Residual is empty: leave it out"),
    (lambda: ANY.Sum(Dense, Dense()), TypeError, r"^a layer is .*, got the class Dense\. Make one: Dense\(\.\.\.\)\.$"),
    (lambda: ANY.Residual("relu", Dense(), shortcut=Dense), TypeError, r"got the class Dense\. Make one"),
    (lambda: ANY.Sequential(Dense(), Identity), TypeError, r"got the class Identity\. Make one: Identity\(\.\.\.\)\.$"),
    (lambda: ANY.Sum(Dense(), Sequential), TypeError, r"got the class Sequential\. Make one"),
    (
        lambda: ANY.Sum([Dense(), "relu"]),
        TypeError,
        r"^a layer is .* Pass a list of layers as Sequential\(\*layers\)\.$",
    ),
    (lambda: ANY.Residual(["relu", Dense()]), TypeError, r"Pass a list of layers as Sequential\(\*layers\)\.$"),
    (lambda: ANY.Sum(Dense(), None), TypeError, r"^a layer is one of fastntk's, .* got None\.$"),
    (lambda: ANY.Product(Dense(), 3), TypeError, r"^a layer is one of fastntk's, .* got 3\.$"),
    (lambda: ANY.Concat(Dense(), np.eye(2)), TypeError, r"^a layer is one of fastntk's, .* got <ndarray"),
    (lambda: Sum(Dense(), "reluu"), ValueError, r"^unknown activation 'reluu'\. Did you mean 'relu'"),
    (lambda: ANY.Residual("relu", Dense(), short=Dense()), TypeError, r"unexpected keyword argument 'short'"),
]


def one_sentence(message: str) -> bool:
    """On one line, with an end."""
    return "\n" not in message and message[-1] in ".?"


@pytest.mark.parametrize(("build", "sentence"), DEPENDENT + NOT_GAUSSIAN + WIDTHS + NO_DIRECTION)
def test_networks_whose_kernels_would_be_wrong(build: Callable[[], object], sentence: str) -> None:
    """Are none, wherever in them it is."""
    with pytest.raises(ValueError, match=sentence) as caught:
        build()
    assert one_sentence(str(caught.value))


@pytest.mark.parametrize(("build", "error", "sentence"), VALUES)
def test_values_that_are_none(build: Callable[[], object], error: type[Exception], sentence: str) -> None:
    """Numbers out of their range, wrong types, nothing where something is needed."""
    with pytest.raises(error, match=sentence):
        build()


def test_what_is_wrong_depends_on_what_is_before() -> None:
    """Branches by themselves are right, where they stand they are not: the place is told from the network on."""
    block = Residual("relu", standard())
    assert Sequential(Dense(width=8), block).layers[1] == block
    with pytest.raises(ValueError, match=r"^layer 1\.0\.1, Dense\("):
        Sequential(Dense(), block)
    with pytest.raises(ValueError, match=r"^layer 1\.1\.0\.0\.1, Dense\("):
        Sequential(Dense(), Sum(Dense(), block))
    with pytest.raises(ValueError, match=r"^the text of a network is wrong at character 1, .*: layer 1\.0\.1, Dense\("):
        fastntk.network(f"Sequential(Dense(), {block})")


def test_a_long_layer_is_cut_in_its_sentence() -> None:
    """However much is in it."""
    many: list[Any] = ["relu", Dense()] * 500
    block = Residual(*many, Dense(width=3))
    with pytest.raises(ValueError, match=r"^layer 1, Residual\(.*: its branches end with 3 and 4 units") as caught:
        Sequential(Dense(width=4), block)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "layer", [Residual("relu", Dense()), Concat(Dense()), Identity(), LayerNorm(), Dropout(0.1), Activation("relu")]
)
def test_attributes_cannot_be_set(layer: Any) -> None:
    """Nor deleted, nor added."""
    for name in ("branches", "fractions", "eps", "p", "axes", "name", "anything"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(layer, name, 3)
        with pytest.raises((AttributeError, TypeError)):
            delattr(layer, name)
    assert layer == eval(repr(layer), vars(fastntk).copy())
