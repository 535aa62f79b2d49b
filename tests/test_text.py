"""Networks as text: every repr is read back, shorter texts too, and hostile ones are refused in a sentence."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Activation, Dense, Sequential, mlp, network
from fastntk.activations.registry import REGISTRY
from fastntk.networks import description
from fastntk.networks import text as reader

RNG = np.random.default_rng(0)


def number(rng: np.random.Generator) -> float:
    """Any that repr may write: of all magnitudes, whole, short."""
    return float(rng.choice([rng.normal(), 10.0 ** rng.uniform(-300, 300), rng.integers(10), round(rng.normal(), 2)]))


def parameter(name: str, key: str, rng: np.random.Generator) -> Any:
    """A value of a parameter, as its check wants it."""
    if key == "degree":
        return int(rng.integers(4))
    if key == "coefficients":
        return [round(number(rng), 3) if rng.random() < 0.5 else rng.normal() for _ in range(rng.integers(1, 6))]
    signed = name not in ("snake",) and REGISTRY[name].parameters[key].check.__name__ == "finite_number"
    return rng.normal() if signed else rng.uniform(0.1, 3)


def layer(rng: np.random.Generator) -> Any:
    """Any layer, with any of its parameters and options."""
    kind = rng.integers(8)
    if kind < 3:
        return Dense(abs(number(rng)) if rng.random() < 0.5 else rng.uniform(), rng.uniform(), trainable=bool(kind))
    if kind == 3:
        points = np.sort(rng.normal(size=rng.integers(4)))
        return Activation.piecewise_linear(points, rng.normal(size=len(points) + 1))
    name = str(rng.choice(list(REGISTRY)))
    known = REGISTRY[name].parameters
    given = {k: parameter(name, k, rng) for k, p in known.items() if p.default is None or rng.random() < 0.7}
    options: dict[str, Any] = {"tolerance": 10.0 ** rng.uniform(-12, -1)} if rng.random() < 0.3 else {}
    if rng.random() < 0.2 and name != "exp_normalized":
        options |= {"method": "quadrature", "nodes": int(rng.integers(2, 30))}
    return Activation(name, **given, **options)


@pytest.mark.parametrize("seed", range(20))
def test_every_repr_is_read_back(seed: int) -> None:
    """Of random networks, blocks that repeat among them."""
    rng = np.random.default_rng(seed)
    for length in (0, 1, 5, 23, 24, 25, 60):
        layers = [layer(rng) for _ in range(length)]
        block = [layer(rng) for _ in range(rng.integers(1, 15))]
        for net in (Sequential(*layers), Sequential(*layers, *block * int(rng.integers(5)), *layers[:3])):
            assert network(repr(net)) == net
            assert eval(repr(net), vars(fastntk).copy()) == net
            assert "\n" not in repr(net)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_activation_is_read_back(name: str) -> None:
    """By its name alone where that is enough, and with every parameter."""
    given = {key: parameter(name, key, RNG) for key in REGISTRY[name].parameters}
    net = Sequential(Dense(), Activation(name, **given), Dense())
    assert network(repr(net)) == net
    if all(known.default is not None for known in REGISTRY[name].parameters.values()):
        assert network(f"Sequential(Dense(), '{name}')") == Sequential(Dense(), name)


def test_deep_networks_are_short() -> None:
    """Blocks that repeat are written once, so that any depth is read back; not those of a few layers."""
    hidden: list[str] = ["erf", "relu"] * 6 + ["erf"]
    for net in (mlp(10**4, "erf", 1.5, 0.1), mlp(13, hidden), mlp(100, "relu", frozen=50)):
        assert len(repr(net)) < 500
        assert network(repr(net)) == net
    assert "*" not in repr(mlp(11))
    weights = RNG.uniform(size=3001).tolist()
    net = mlp(3000, "relu", weights)
    assert network(repr(net)) == net


SHORT: list[tuple[str, Sequential]] = [
    ('Sequential(Dense(1.4, 0.1), "relu", Dense())', Sequential(Dense(1.4, 0.1), "relu", Dense())),
    ("mlp(3, 'relu', 1.4)", mlp(3, "relu", 1.4)),
    ("fastntk.mlp(depth=2, activation=('erf', 'relu'), sigma_w=[1, 2.5, 3])", mlp(2, ["erf", "relu"], [1, 2.5, 3])),
    ("mlp(1, 'leaky_relu', alpha=-.5, frozen=1)", mlp(1, "leaky_relu", alpha=-0.5, frozen=1)),
    ("mlp(2, sigma_w=2**0.5, sigma_b=[1/4, 3 - 2, 2 * 0.5])", mlp(2, sigma_w=2**0.5, sigma_b=[0.25, 1, 1.0])),
    ("Dense(+1.5)", Sequential(Dense(1.5))),
    ("Activation('relu')", Sequential("relu")),
    (
        "fastntk.Activation.piecewise_linear([-1, 1], (0, 1.5, -0))",
        Sequential(Activation.piecewise_linear([-1, 1], [0, 1.5, 0])),
    ),
    ("Sequential(mlp(1), Sequential('relu', Sequential(), Dense(2)))", mlp(1) + "relu" + Dense(2)),
    ("Sequential(*[Dense(2.0), 'relu'] * 3, *('sin', mlp(0)))", Sequential(*(Dense(2.0), "relu") * 3, "sin", mlp(0))),
    (
        "\n  Sequential(  # a comment\n    Dense(trainable=False),\n    'relu',\n  )\n",
        Sequential(Dense(trainable=False), "relu"),
    ),
]


@pytest.mark.parametrize(("text", "net"), SHORT, ids=[text[:30] for text, _ in SHORT])
def test_what_people_write(text: str, net: Sequential) -> None:
    """Is the same network as in Python."""
    assert network(text) == net


WRONG: list[tuple[str, str]] = [
    (
        "Sequential(Dens(1.4))",
        r"^the text of a network is wrong at character 12, 'Dens\(1.4\)\)': .* Did you mean Dense\?",
    ),
    ("Sequential(Dense(), Relu())", r"at character 21, 'Relu\(\)\)': .* Did you mean 'relu'\?$"),
    ("Sequential(Dense(), Blah())", r"there is no layer Blah\. Known are Activation, "),
    ("sequential(Dense())", r"Did you mean Sequential\?"),
    ("Dense(np.sqrt(2))", r"there is no layer np\.sqrt\. Powers are written \*\*, as in 2\*\*0\.5\."),
    ('Sequential(\n  Dense(),\n  "é", "reluu")', r"at character 26, '\"é\", .*: unknown activation 'é'"),
    (
        'Sequential(\n  Dense(),\n  "sin", "reluu")',
        r"at character 33, .*: unknown activation 'reluu'. Did you mean 'relu'",
    ),
    ("Sequential(Dense(), relu)", r"at character 21, 'relu\)': names of activations are in quotes, 'relu'"),
    (
        "Sequential(Dense(), Dense(-1))",
        r"at character 21, .*: sigma_w is a standard deviation and must be >= 0, got -1",
    ),
    ("Dense(W_std=1.5)", r"write Dense\(sigma_w=1.5\)"),
    ("Activation('leaky_relu', beta=1)", r"no parameter 'beta'; its parameters: alpha"),
    ("Sequential(Dense()", r"at character 11, .*: this is not Python: '\(' was never closed\.$"),
    ("Dense() Dense()", r"this is not Python"),
    ("", r"the text of a network is empty: write Sequential"),
    ("Dense(2^0.5)", r"powers are written \*\*, as in 2\*\*0\.5\.$"),
    ("Sequential(Dense)", r"a layer is made by a call, Dense\(\.\.\.\)"),
    ("Dense(sigma_w=1, sigma_w=2)", r"at character 18, 'sigma_w=2\)': sigma_w is given twice"),
    ("Dense(**{'sigma_w': 1})", r"at character 7, .*: \*\* is not read"),
    ("3", r"this is no network, but 3"),
    ("Dense(), Dense()", r"this is no network, but \(Dense"),
    ("Sequential([Dense()])", r"Pass a list of layers as Sequential\(\*layers\)"),
    ("Sequential(Dense(), 'a' * 3)", r"arithmetic is of numbers, got 'a'"),
    ("Dense(True + 1)", r"arithmetic is of numbers, got True"),
    ("Dense((-2)**0.5)", r"this is not a real number"),
    ("Dense(1/0)", r"division by zero"),
    ("Dense(1e308 * 10)", r"too large"),
    ("Dense(10.0**64**2)", r"exponents are at most 64, got 4096"),
    ("Dense(2**62 * 2**62 * 2**64 * 2**64 * 2**3**4)", r"exponents are at most 64, got 81"),
    ("Dense(1" + "*2**64" * 16 + ")", r"at character 7, .*: this is not a real number, or too large"),
    ("Dense(9" + "*9**64" * 6 + "/1)", r"too large"),
    ("Activation('\u2028\u00e9', \u00e9)", r"cannot be written as text"),
    ("Sequential(*3)", r"a star is for a list, got 3"),
    ("mlp(2, sigma_w=[1.0] * 2.5)", r"a list is repeated an integer of times, got 2.5"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[text[:30] for text, _ in WRONG])
def test_wrong_texts(text: str, sentence: str) -> None:
    """One sentence with the place."""
    with pytest.raises(ValueError, match=sentence) as caught:
        network(text)
    assert "\n" not in str(caught.value)


def test_functions_have_no_text() -> None:
    """What their repr is cannot be read, and says so."""
    for function in (np.tanh, lambda x: x, np.vectorize(abs)):
        text = repr(Sequential(Dense(), Activation(function, derivative=np.sign, name=None), Dense()))
        assert "derivative=<sign>" in text
        with pytest.raises(
            ValueError, match=r"at character 56, .*names of a program, such as those of Python functions"
        ):
            network(text)
    for text in ("Activation(np.tanh)", "Activation(lambda x: x)", "Activation(f)"):
        with pytest.raises(ValueError, match="names of a program, such as those of Python functions"):
            network(text)


N = 10**5
HOSTILE = {
    "power": "9**9**9", "float power": "Dense(9.0**64**64)", "powers": "2**" * N + "1", "digits": "9" * N,
    "sums": "1" + "+1" * N, "signs": "-" * N + "1", "tildes": "~" * N + "1", "nots": "not " * N + "1",
    "parentheses": "(" * N + ")" * N, "brackets": "[" * N + "]" * N, "half": "(" * N, "calls": "f(" * N + ")" * N,
    "networks": "Sequential(" * 150 + ")" * 150, "attributes": "a" + ".a" * N + "()", "lambdas": "lambda: " * N + "1",
    "conditions": "1 if 1 else " * N + "1", "long": "x" * 2**21, "strings": "f'{" * 100, "null": "Dense(\0)",
    "layers": "Sequential(*[Dense()] * 10**9)",
    "nested layers": "Sequential(*[Sequential(*[Dense()] * 10**4)] * 10**4)",
    "products": "Sequential(*[*[*[*['relu'] * 1000] * 1000] * 1000] * 1000)", "depth": "mlp(10**9)",
    "list": "mlp(1, sigma_w=[1] * 10**12)",
    "numbers": "mlp(1, sigma_w=[" + "1," * 10**5 + "])",
    "integer": "Dense(10**64**1 * 10**64 * 10**64 * 10**64 * 10**64)",
    "import": "__import__('os').system('false')", "comprehension": "[Dense() for _ in range(3)]", "index": "mlp()[0]",
    "attribute": "mlp().layers", "class": "Dense.__init__.__globals__", "call": "eval('1')",
    "method": "mlp().ntk([[1]])",
    "walrus": "(x := 3)", "yield": "(yield 3)", "format": "f'{Dense()}'", "set": "{1}", "dict": "{}", "bytes": "b'1'",
    "complex": "Dense(1j)", "ellipsis": "...", "compare": "Dense(1 < 2)", "and": "1 and 2",
    "shift": "Dense(1 << 1000000)",
    "modulo": "'%s' % 3", "statement": "import os", "surrogate": "'\ud800'",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts(name: str) -> None:
    """End soon, in one sentence that is not long."""
    with pytest.raises(ValueError, match=r"^the text of a network ") as caught:
        network(HOSTILE[name])
    assert len(str(caught.value)) < 450  # of the text no more than a few words; the names that are known take most
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["mlp(600)", "Sequential(mlp(300), mlp(300))", "Sequential(*[mlp(9)] * 90)", "Sequential(" + "mlp(9)," * 90 + ")"],
)
def test_layers_of_a_text_are_counted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are made, so that a short text does not take all memory."""
    assert len(network("mlp(200)")) == 401
    monkeypatch.setattr(reader, "_MOST", 1000)
    assert len(network("mlp(200)")) == 401
    with pytest.raises(ValueError, match=r"this makes too many layers, or entries of lists"):
        network(text)


@pytest.mark.parametrize("text", [None, 3, b"Dense()", ["Dense()"], mlp()])
def test_no_text(text: Any) -> None:
    """Is a TypeError."""
    with pytest.raises(TypeError, match=r"^the text of a network is a string, got "):
        network(text)


def test_descriptions_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """One text, or one for each layer where the whole could not be read again."""
    net = mlp(2, "erf", [1.0, 2.0, 3.0])
    assert description.describe(net) == repr(net)
    assert description.layers_of(repr(net)) == list(map(repr, net))
    assert description.build(repr(net)) == net
    monkeypatch.setattr(description, "LONGEST", 50)
    described = description.describe(net)
    assert described == list(map(repr, net))
    assert description.layers_of(described) == described
    assert description.build(described) == net
    assert description.check_described(described) is described


def test_print() -> None:
    """A few layers on one line, more on one each with their numbers, repeats once; numbers are short."""
    assert (
        str(mlp(1, "erf", 2**0.5)[:2])
        == "Sequential(Dense(sigma_w=1.414, sigma_b=0.0), Activation('erf', a=1.0, b=1.0, c=0.0))"
    )
    assert str(Sequential()) == "Sequential()"
    assert str(mlp(2, "leaky_relu", 2**0.5, alpha=1 / 3)).split("\n") == [
        "Sequential of 5 layers",
        "0  Dense(sigma_w=1.414, sigma_b=0.0)",
        "1  Activation('leaky_relu', alpha=0.3333)",
        "2  Dense(sigma_w=1.414, sigma_b=0.0)",
        "3  Activation('leaky_relu', alpha=0.3333)",
        "4  Dense(sigma_w=1.414, sigma_b=0.0)",
    ]
    assert str(Sequential(Dense(3.0), mlp(500))).split("\n") == [
        "Sequential of 1002 layers",
        "0              Dense(sigma_w=3.0, sigma_b=0.0)",
        "1, 3, …, 999   Dense(sigma_w=1.0, sigma_b=0.0)",
        "2, 4, …, 1000  Activation('relu')",
        "1001           Dense(sigma_w=1.0, sigma_b=0.0)",
    ]


@pytest.mark.parametrize(
    ("text", "why"), [("mlp(1if True else 2)", "invalid decimal literal"), (r"mlp(1, 'relu\d')", "invalid escape")]
)
@pytest.mark.filterwarnings("default")
def test_what_python_warns_of(text: str, why: str) -> None:
    """Is refused in a sentence, and nothing else is said, whatever is done with warnings."""
    with warnings.catch_warnings(record=True) as caught, pytest.raises(ValueError, match=why):
        fastntk.network(text)
    assert not caught
