"""Networks with branches as values: compared, hashed, copied, pickled, written, read back, printed, changed."""

from __future__ import annotations

import copy
import pickle
import sys
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
    network,
    resmlp,
)
from fastntk.networks import description

#: Every layer, and places of all depths.
NET = Sequential(
    Dense(1.5, 0.1, width=64),
    Residual(LayerNorm(), "relu", Dropout(0.1), Dense(0.5, 0.2, parametrization="standard")),
    Sum(
        Sequential(Dense(0.7), "erf", Dense(0.3, trainable=False)),
        Product(Dense(), Sequential(Dense(1.1, 0.4), "step")),
        Identity(),
    ),
    Concat(Dense(1.2), Sequential(Dense(0.9), "tanh"), fractions=[0.25, 0.75]),
    Dense(2**0.5, 0.3),
)

ONE_IN_THE_OTHER: dict[str, Callable[[Any], Any]] = {
    "Residual": lambda layer: Residual("relu", layer, Dense()),
    "shortcut": lambda layer: Residual("relu", Dense(), shortcut=layer),
    "Sum": lambda layer: Sum(layer, Dense()),
    "Product": lambda layer: Sequential(Product(layer, Dense(0.5)), Dense()),
    "Concat": lambda layer: Concat(layer, Dense(), fractions=[0.5, 0.5]),
}


def nested(name: str, depth: int, innermost: Any) -> Sequential:
    """Layers with branches, so many one in the other."""
    layer = innermost
    for _ in range(depth):
        layer = ONE_IN_THE_OTHER[name](layer)
    return Sequential(Dense(), layer)


@pytest.mark.parametrize("name", ONE_IN_THE_OTHER)
def test_nested_200_deep(name: str) -> None:
    """Whatever a value can do; one that differs in its innermost layer is another."""
    net, other = nested(name, 200, Dense(0.5)), nested(name, 200, Dense(0.6))
    assert sys.getrecursionlimit() <= 1000
    for again in (pickle.loads(pickle.dumps(net)), copy.copy(net), copy.deepcopy(net), Sequential(*net.layers)):
        assert again == net
        assert hash(again) == hash(net)
    assert other != net
    assert repr(net).count("Dense(") == str(net).count("Dense(") == len(net.parameters) // 2
    assert net.with_parameters([p.value for p in other.parameters]) == other
    with pytest.raises(ValueError, match=r"layers are nested more than 200 deep; put some one after the other"):
        ONE_IN_THE_OTHER[name](net[1])


@pytest.mark.parametrize("name", ONE_IN_THE_OTHER)
def test_nested_as_deep_as_a_text_may_be(name: str) -> None:
    """Is read back; deeper ones are refused in a sentence."""
    net = nested(name, 18, Dense(0.5))
    assert network(repr(net)) == net
    with pytest.raises(ValueError, match=r"nested too deeply|this is not Python"):
        network(repr(nested(name, 100, Dense(0.5))))


@pytest.mark.parametrize("net", [NET, resmlp(50, "erf", 1.5, 0.1, scale="depth", layer_norm=True), NET[2:], NET[1:2]])
def test_a_repr_is_read_back(net: Sequential) -> None:
    """By `network`, and by Python."""
    assert network(repr(net)) == net == eval(repr(net), vars(fastntk).copy())
    assert pickle.loads(pickle.dumps(net)) == net
    assert description.build(description.describe(net)) == net


@pytest.mark.parametrize(
    ("text", "net"),
    [
        ("Sequential(Dense(), Residual('relu', Dense()), Dense())", resmlp(1)),
        ("resmlp(2, 'erf', 1.5, 0.1, scale='depth', layer_norm=True)", None),
        ("Sum(Identity(), mlp(1), LayerNorm(eps=1e-3)[0])", ValueError),
        ("Sum(Identity(), Sequential('erf', Dense(1/2)))", Sequential(Sum(Identity(), Sequential("erf", Dense(0.5))))),
        (
            "Concat(Dense(), Dense(), fractions=[0.25, 3/4])",
            Sequential(Concat(Dense(), Dense(), fractions=[0.25, 0.75])),
        ),
        ("Residual(*['relu', Dense()] * 2, shortcut=Dense())", None),
        ("Residual('relu', Dense(), shortcut='erf')", None),
        ("Sum(Dense)", ValueError),
        ("Sum(Residual('erf'))", ValueError),
    ],
)
def test_texts_that_people_write(text: str, net: Any) -> None:
    """Of branches, with names for activations everywhere."""
    if net is ValueError:
        with pytest.raises(ValueError, match=r"^the text of a network is wrong at character \d+, "):
            network(text)
        return
    assert network(text) == (net or Sequential(eval(text, vars(fastntk).copy())))


def test_what_is_equal() -> None:
    """The same kinds of layers with the same branches in the same order; what was folded is what it is."""
    assert Residual("relu") == Sum("relu", Identity()) == Sum(Activation("abrelu", a=1.0, b=2.0))
    assert hash(Residual("relu")) == hash(Sum("relu", Identity()))
    assert network(repr(Sequential(Residual("relu")))) == Sequential(Residual("relu"))
    assert Residual("relu", Dense()) != Sum(Sequential("relu", Dense()), Identity())
    assert Sum(Dense(), Identity()) != Sum(Identity(), Dense())
    assert Sum(Dense()) != Product(Dense())
    assert Sum(Dense()) != Dense()
    assert Sum(Sequential(Dense(), Dense())) != Sum(Dense(), Dense())
    assert Concat(Dense(), Dense()) != Concat(Dense(), Dense(), fractions=[0.25, 0.75])
    assert len({Residual("relu", Dense()), Residual("relu", Dense(1.0)), Residual("erf", Dense())}) == 2


def test_print() -> None:
    """A tree with the places that `parameters` and errors tell; blocks that repeat once."""
    assert str(NET).split("\n") == [
        "Sequential of 5 layers",
        "0          Dense(sigma_w=1.5, sigma_b=0.1, width=64)",
        "1          Residual",
        "1.0.0      ├─ LayerNorm(axes='channels', eps=0.0)",
        "1.0.1      │  Activation('relu')",
        "1.0.2      │  Dropout(p=0.1)",
        "1.0.3      │  Dense(sigma_w=0.5, sigma_b=0.2, parametrization='standard')",
        "1.1.0      └─ Identity()",
        "2          Sum",
        "2.0.0      ├─ Dense(sigma_w=0.7, sigma_b=0.0)",
        "2.0.1      │  Activation('erf', a=1.0, b=1.0, c=0.0)",
        "2.0.2      │  Dense(sigma_w=0.3, sigma_b=0.0, trainable=False)",
        "2.1.0      ├─ Product",
        "2.1.0.0.0  │  ├─ Dense(sigma_w=1.0, sigma_b=0.0)",
        "2.1.0.1.0  │  └─ Dense(sigma_w=1.1, sigma_b=0.4)",
        "2.1.0.1.1  │     Activation('step')",
        "2.2.0      └─ Identity()",
        "3          Concat(fractions=[0.25, 0.75])",
        "3.0.0      ├─ Dense(sigma_w=1.2, sigma_b=0.0)",
        "3.1.0      └─ Dense(sigma_w=0.9, sigma_b=0.0)",
        "3.1.1         Activation('tanh')",
        "4          Dense(sigma_w=1.414, sigma_b=0.3)",
    ]
    lines = str(NET).split("\n")
    for path, name, _ in NET.parameters:
        assert f"{name}=" in next(line for line in lines if line.startswith(f"{path} "))
    assert str(resmlp(30, scale="depth")).split("\n") == [
        "Sequential of 32 layers",
        "0            Dense(sigma_w=1.0, sigma_b=0.0)",
        "1, 2, …, 30  Residual",
        "….0.0        ├─ Activation('relu')",
        "….0.1        │  Dense(sigma_w=0.1826, sigma_b=0.0)",
        "….1.0        └─ Identity()",
        "31           Dense(sigma_w=1.0, sigma_b=0.0)",
    ]
    table = str(NET.summary()).split("\n")
    assert [line[2:].strip() for line in table[2:]] == [line[2:].strip() for line in lines[1:]]


def test_parameters_through_the_tree() -> None:
    """All of them, in an order that `with_parameters`, `replace` and `changed` keep."""
    paths = list(dict.fromkeys(path for path, _, _ in NET.parameters))
    assert paths == ["0", "1.0.3", "2.0.0", "2.0.2", "2.1.0.0.0", "2.1.0.1.0", "3.0.0", "3.1.0", "4"]
    values = np.random.default_rng(0).uniform(0.1, 2, size=len(NET.parameters))
    other = NET.with_parameters(values.tolist())
    assert [value for _, _, value in other.parameters] == values.tolist()
    assert [parameter[:2] for parameter in other.parameters] == [parameter[:2] for parameter in NET.parameters]
    assert other.with_parameters([value for _, _, value in NET.parameters]) == NET
    weights = values[::2].tolist()
    assert [p.value for p in NET.replace(sigma_w=weights).parameters if p.name == "sigma_w"] == weights
    with pytest.raises(ValueError, match=r"^values must be one for each of 18 hyper-parameters, got 2\.$"):
        NET.with_parameters([1.0, 2.0])
    with pytest.raises(ValueError, match=r"^sigma_b of layer 1\.0\.3 is a standard deviation and must be >= 0, got -1"):
        NET.with_parameters([1.0] * 3 + [-1.0] + [1.0] * 14)
    assert Sequential("relu").with_parameters([]) == Sequential("relu")


def test_slices_are_networks() -> None:
    """A part of a stack, the last layer of which may have branches; both parts together are the whole."""
    for k in range(len(NET) + 1):
        assert NET[:k] + NET[k:] == NET
    assert NET[1:2] == Sequential(NET[1])
    assert Sequential(NET, NET[:1]).layers == (*NET.layers, NET[0])


def test_an_activation_behind_concat_acts_in_its_branches() -> None:
    """Of every way to write it."""
    wanted = Sequential(Concat(Sequential(Dense(), "erf"), Sequential(Dense(2.0), "erf")), Dense())
    assert Sequential(Concat(Dense(), Dense(2.0)), "erf", Dense()) == wanted
    assert Sequential(Concat(Dense(), Dense(2.0))) + "erf" + Dense() == wanted
    assert network("Sequential(Concat(Dense(), Dense(2.0)), 'erf', Dense())") == wanted


def test_functions_in_branches_are_described() -> None:
    """By their code and values, wherever they are: other code or values are another description."""

    def cube(x: Any) -> Any:
        return x**3

    def net(function: Any) -> Sequential:
        return Sequential(Dense(), Residual(function, Dense(), shortcut=Sum(Dense(), Sequential(np.tanh, Dense()))))

    texts = description.describe(net(cube))
    assert isinstance(texts, list)
    assert len(texts) == 2
    assert texts[1].count(" of code ") == 2
    assert description.layers_of(texts) == texts == description.describe(net(cube))
    assert description.describe(net(lambda x: x**3 + 1e-9)) != texts
    with pytest.raises(ValueError, match=r"^layer 1 of the network, Residual\(.* is not in the file itself"):
        description.build(texts)
    assert description.describe(NET) == repr(NET)


def test_networks_that_files_cannot_hold(tmp_path: Any) -> None:
    """Functions in branches, and layers nested too deeply for a text: kernels are gone on with, of the same network."""
    pytest.importorskip("zarr")
    x = np.random.default_rng(0).normal(size=(20, 3))

    def of(power: float) -> Sequential:
        return Sequential(Dense(), Residual(lambda x: np.tanh(power * x), Dense()), Dense())

    deep = [nested("Residual", 50, Dense(by)) for by in (0.5, 0.6)]
    for i, (net, other) in enumerate([(of(1.0), of(1.1)), deep]):
        path = tmp_path / str(i)
        fastntk.store.compute(net, x, path)
        fastntk.store.compute(net, x, path)
        np.testing.assert_allclose(np.asarray(fastntk.store.open(path)), net.ntk(x), rtol=1e-12)
        with pytest.raises(ValueError, match=r"layer 1 of its network is"):
            fastntk.store.compute(other, x, path)
        with pytest.raises(ValueError, match=r"^layer [01] of the network, .* is not in the file itself"):
            _ = fastntk.store.open(path).network


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_resmlp(depth: int) -> None:
    """Is the stack of blocks that it says, with what is of each layer in its place."""
    scales = [0.5, 2.0, 0.0][:depth]
    sigma_w, sigma_b = [1.0 + i for i in range(depth + 2)], [0.1 * i for i in range(depth + 2)]
    blocks = [
        Residual(LayerNorm(), Activation("leaky_relu", alpha=0.2), Dense(s * w, s * b))
        for s, w, b in zip(scales, sigma_w[1:-1], sigma_b[1:-1], strict=True)
    ]
    net = resmlp(depth, "leaky_relu", sigma_w, sigma_b, scale=scales, layer_norm=True, alpha=0.2)
    assert net == Sequential(Dense(sigma_w[0], sigma_b[0]), *blocks, Dense(sigma_w[-1], sigma_b[-1]))
    acts: list[Any] = ["erf", "relu", np.tanh][:depth]
    plain = resmlp(depth, acts, 1.5)
    assert plain == Sequential(Dense(1.5), *(Residual(act, Dense(1.5)) for act in acts), Dense(1.5))
    scaled = resmlp(depth, acts, 1.5, 0.3, scale="depth")
    by = 1 / max(depth, 1) ** 0.5
    inner = [Residual(act, Dense(by * 1.5, by * 0.3)) for act in acts]
    assert scaled == Sequential(Dense(1.5, 0.3), *inner, Dense(1.5, 0.3))


@pytest.mark.parametrize("depth", [1, 10, 100])
def test_resmlp_sizes(depth: int) -> None:
    """K(x, x) behind the blocks: grows by (1 + scale² sigma_w² / 2) each, or with LayerNorm by sigma_w² / 2."""
    x = np.random.default_rng(0).normal(size=(5, 3))
    first = 1.5**2 * (x**2).mean(axis=1)
    bounded = resmlp(depth, "relu", 1.5, scale="depth")[:-1].nngp.diag(x)
    np.testing.assert_allclose(bounded, first * (1 + 1.5**2 / 2 / depth) ** depth, rtol=1e-13)
    assert (bounded < first * np.exp(1.5**2 / 2)).all()
    grows = resmlp(depth, "relu", 1.5)[:-1].nngp.diag(x)
    np.testing.assert_allclose(grows, first * (1 + 1.5**2 / 2) ** depth, rtol=1e-13)
    normed = resmlp(depth, "relu", 1.5, layer_norm=True)[:-1].nngp.diag(x)
    np.testing.assert_allclose(normed, first + depth * 1.5**2 / 2, rtol=1e-13)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"depth": -1}, ValueError, r"^depth must be an integer >= 0, got -1"),
        ({"depth": 10**7}, ValueError, r"^depth must be at most 1000000"),
        ({"scale": "layer"}, ValueError, r"^scale must be a number >= 0, a sequence of those, or 'depth', got 'layer'"),
        ({"scale": [1.0]}, ValueError, r"^scale must be one for all or one for each of the 2 blocks, got 1"),
        ({"scale": -1.0}, ValueError, r"^scale must be >= 0, got -1"),
        ({"scale": [1.0, float("nan")]}, ValueError, r"^scale\[1\] must be finite, got nan"),
        ({"scale": None}, TypeError, r"^scale must be a real number, got None"),
        ({"layer_norm": "pre"}, TypeError, r"^layer_norm must be True or False, got 'pre'"),
        (
            {"sigma_w": [1.0] * 3},
            ValueError,
            r"^sigma_w must be one for all or one for each of the 4 Dense layers, got 3",
        ),
        ({"activation": LayerNorm()}, TypeError, r"^activation must be the name of an activation"),
        ({"activation": ["relu", "erf"], "alpha": 0.1}, TypeError, r"^resmlp takes alpha for one activation"),
        ({"frozen": 1}, TypeError, r"parameter"),
    ],
)
def test_resmlp_refuses(options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    """One sentence each."""
    with pytest.raises(error, match=sentence):
        resmlp(**{"depth": 2, **options})
