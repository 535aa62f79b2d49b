"""Networks as text: what their repr says, read back without running any of it."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable
from difflib import get_close_matches
from threading import Lock
from typing import Any

from .._checks.shown import cut, shown
from ..activations.registry import REGISTRY
from ..layers.activation import Activation
from ..layers.aggregate import Aggregate
from ..layers.attention import SelfAttention
from ..layers.base import Layer
from ..layers.concat import Concat
from ..layers.conv import Conv
from ..layers.dense import Dense
from ..layers.dropout import Dropout
from ..layers.flatten import Flatten
from ..layers.given import as_layer
from ..layers.identity import Identity
from ..layers.layer_norm import LayerNorm
from ..layers.migration import instead_of
from ..layers.pool import AvgPool, GlobalAvgPool, GlobalSumPool, SumPool
from ..layers.product import Product
from ..layers.recurrent import Recurrent
from ..layers.reshape import Reshape
from ..layers.scale import Scale
from ..layers.sum import Residual, Sum
from .cnn import cnn
from .cntk import cntk
from .gcn import gcn
from .gntk import gntk
from .mlp import mlp
from .myrtle import myrtle
from .resmlp import resmlp
from .resnet import resnet
from .rnn import rnn
from .sequential import Sequential
from .transformer import transformer

#: What may be called in a text. A new layer or network needs a row here.
_MADE_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "Dense": Dense,
    "Conv": Conv,
    "AvgPool": AvgPool,
    "SumPool": SumPool,
    "GlobalAvgPool": GlobalAvgPool,
    "GlobalSumPool": GlobalSumPool,
    "Flatten": Flatten,
    "Reshape": Reshape,
    "Scale": Scale,
    "SelfAttention": SelfAttention,
    "Aggregate": Aggregate,
    "Activation": Activation,
    "Activation.piecewise_linear": Activation.piecewise_linear,
    "Identity": Identity,
    "Recurrent": Recurrent,
    "LayerNorm": LayerNorm,
    "Dropout": Dropout,
    "mlp": mlp,
    "resmlp": resmlp,
    "cnn": cnn,
    "myrtle": myrtle,
    "resnet": resnet,
    "cntk": cntk,
    "rnn": rnn,
    "transformer": transformer,
    "gntk": gntk,
    "gcn": gcn,
}
_MADE_OF_LAYERS: dict[str, Callable[..., Any]] = {
    "Sequential": Sequential,
    "Sum": Sum,
    "Residual": Residual,
    "Product": Product,
    "Concat": Concat,
}
_KNOWN = {**_MADE_OF_NUMBERS, **_MADE_OF_LAYERS}

#: Characters of a text: what Python makes of so many takes some hundred megabytes.
LONGEST = 2**20
_DEEPEST = 40
#: Entries of lists and layers that one text may come to.
_MOST = 10**6

#: Filters of warnings are those of all threads: one that puts them back must not do so within another.
_ONE_BY_ONE = Lock()
_LARGEST_EXPONENT = 64
_LARGEST_INTEGER = 2**1023

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip


def network(text: str) -> Sequential:
    """Make the network that a text describes, the text of its repr or one that is shorter.

    Parameters
    ----------
    text : str
        Calls of layers, Activation.piecewise_linear, Sequential, mlp and the other networks, as in Python, with
        ``fastntk.`` before them or not. Their arguments are layers, numbers and + - * / ** of numbers, names in quotes,
        True, False, None, lists and tuples of those, ``[...] * 9``, and ``*[...]`` for several layers. Nothing else is
        read, and nothing is ever run.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError
        If it is something else, with the place; longer than 2²⁰ characters; of millions of layers; or of more than
        40 calls one in the other.
    TypeError
        If it is not a string.

    Notes
    -----
    ``fastntk.network(repr(net)) == net`` for every network without Python functions, whose code no text holds, and
    whose layers are not nested more deeply.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.network('Sequential(Dense(2**0.5, 0.1), "relu", Dense())')
    Sequential(Dense(sigma_w=1.4142135623730951, sigma_b=0.1), Activation('relu'), Dense(sigma_w=1.0, sigma_b=0.0))
    >>> net = fastntk.mlp(1000, "leaky_relu", alpha=0.1)
    >>> fastntk.network(repr(net)) == net
    True
    """
    if not isinstance(text, str):
        raise TypeError(f"the text of a network is a string, got {shown(text)}.")
    if len(text) > LONGEST:
        raise ValueError(f"the text of a network has at most {LONGEST} characters, got {len(text)}.")
    if not text.strip():
        raise ValueError("the text of a network is empty: write Sequential(...) or mlp(...).")
    made = _Reader(text).read()
    return made if isinstance(made, Sequential) else Sequential(made)


class _Reader:
    """Values of the nodes of a text, each with its place, within bounds for the whole of it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = len(text) - len(text.lstrip())  # Python takes what comes first for an indentation
        self._left = _MOST

    def read(self) -> Layer | Sequential:
        try:
            with _ONE_BY_ONE, warnings.catch_warnings():
                warnings.simplefilter("error")  # what Python warns of is refused with a sentence
                tree = ast.parse(self._text[self._start :], mode="eval")
        except (MemoryError, RecursionError):  # what Python's parser says, whose stack is small
            raise ValueError("the text of a network is nested too deeply.") from None
        except SyntaxError as error:
            place = self._place(error.lineno or 1, (error.offset or 1) - 1)
            why = _NO_FUNCTIONS if "<" in self._text else f"this is not Python: {cut(error.msg)}"
            raise self._error(place, why) from None
        except ValueError as error:
            raise ValueError(f"the text of a network cannot be read: {error}.") from None
        made = self._value(tree.body, 0)
        if not isinstance(made, (Layer, Sequential)):
            raise self._wrong(tree.body, f"this is no network, but {shown(made)}; write Sequential(...) or mlp(...)")
        return made

    def _place(self, line: int, column: int) -> int:
        """Number of a character in the text, from 0."""
        lines = self._text[self._start :].splitlines(keepends=True)
        return self._start + sum(map(len, lines[: line - 1])) + column

    def _error(self, place: int, why: str) -> ValueError:
        part = " ".join(self._text[place : place + 20].split())
        where = f"character {place + 1}, {part!r}" if part else "its end"
        return ValueError(
            f"the text of a network is wrong at {where}: {why if why.endswith('?') else why.rstrip('.') + '.'}"
        )

    def _wrong(self, node: ast.expr | ast.keyword, why: object) -> ValueError:
        line = self._text[self._start :].splitlines()[node.lineno - 1]
        column = len(line.encode()[: node.col_offset].decode(errors="ignore"))  # Python counts bytes
        return self._error(self._place(node.lineno, column), str(why))

    def _spend(self, node: ast.expr, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise self._wrong(node, "this makes too many layers, or entries of lists")

    def _value(self, node: ast.expr, depth: int) -> Any:
        if depth > _DEEPEST:
            raise self._wrong(node, "this is nested too deeply")
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                return node.value
            case ast.List() | ast.Tuple():
                entries = self._entries(node.elts, depth)
                return entries if isinstance(node, ast.List) else tuple(entries)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                number = self._number(node.operand, depth)
                return -number if isinstance(node.op, ast.USub) else number
            case ast.BinOp(left=ast.List(), op=ast.Mult()):
                return self._repeated(node, depth)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self._arithmetic(node, depth)
            case ast.Call():
                return self._made(node, depth)
            case ast.BinOp(op=ast.BitXor()):
                raise self._wrong(node, "powers are written **, as in 2**0.5")
            case ast.Name(id=name) if name in _KNOWN:
                raise self._wrong(node, f"a layer is made by a call, {name}(...)")
            case ast.Name(id=name) if name in REGISTRY:
                raise self._wrong(node, f"names of activations are in quotes, '{name}'")
            case ast.Attribute() | ast.Name() | ast.Lambda():
                raise self._wrong(node, _NO_FUNCTIONS)
        raise self._wrong(node, "only layers, numbers, names in quotes and lists of those are read")

    def _entries(self, nodes: list[ast.expr], depth: int) -> list[Any]:
        entries: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                several = self._value(node.value, depth + 1)
                if not isinstance(several, (list, tuple)):
                    raise self._wrong(node, f"a star is for a list, got {shown(several)}")
                entries += several
            else:
                entries.append(self._value(node, depth + 1))
        return entries

    def _repeated(self, node: ast.BinOp, depth: int) -> list[Any]:
        entries, count = self._value(node.left, depth + 1), self._value(node.right, depth + 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise self._wrong(node, f"a list is repeated an integer of times, got {shown(count)}")
        self._spend(node, len(entries) * count)
        return list(entries * count)

    def _number(self, node: ast.expr, depth: int) -> int | float:
        value = self._value(node, depth + 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(node, f"arithmetic is of numbers, got {shown(value)}")
        return value

    def _arithmetic(self, node: ast.BinOp, depth: int) -> int | float:
        left, right = self._number(node.left, depth), self._number(node.right, depth)
        if isinstance(node.op, ast.Pow) and abs(right) > _LARGEST_EXPONENT:
            raise self._wrong(node, f"exponents are at most {_LARGEST_EXPONENT}, got {shown(right)}")
        try:
            value = _ARITHMETIC[type(node.op)](left, right)
        except ArithmeticError as error:
            raise self._wrong(node, error) from None
        small = abs(value) < _LARGEST_INTEGER if isinstance(value, int) else isinstance(value, float)
        if not small or not math.isfinite(value):
            raise self._wrong(node, "this is not a real number, or too large")
        return value  # type: ignore[no-any-return]

    def _made(self, node: ast.Call, depth: int) -> Any:
        name = self._name(node)
        arguments = self._entries(node.args, depth)
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg in named:
                raise self._wrong(keyword, f"{keyword.arg} is given twice" if keyword.arg else "** is not read")
            named[keyword.arg] = self._value(keyword.value, depth + 1)
        if name in _MADE_OF_LAYERS:
            arguments = self._layers(node, arguments)
        given = sum(len(part) if isinstance(part, Sequential) else 1 for part in arguments)
        self._spend(node, given)
        try:
            made = _KNOWN[name](*arguments, **named)
        except (TypeError, ValueError) as error:
            raise self._wrong(node, error) from None
        if isinstance(made, Sequential):
            self._spend(node, max(0, len(made) - given))
        return made

    def _layers(self, node: ast.Call, arguments: list[Any]) -> list[Any]:
        """Arguments with layers for names, whose errors are told where the name is, not where all of them begin."""
        layers = []
        starred = any(isinstance(part, ast.Starred) for part in node.args)
        for i, argument in enumerate(arguments):
            try:
                layers.append(argument if isinstance(argument, Sequential) else as_layer(argument))
            except (TypeError, ValueError) as error:
                raise self._wrong(node if starred else node.args[i], error) from None
        return layers

    def _name(self, node: ast.Call) -> str:
        """What is called, if it is known."""
        name = _dotted(node.func).removeprefix("fastntk.")
        if name not in _KNOWN:
            plain = name.rpartition(".")[2].lower()
            near = [repr(plain)] if plain in REGISTRY else get_close_matches(name, _KNOWN, n=1, cutoff=0.6)
            hint = f" Did you mean {near[0]}?" if near else instead_of(name)
            if plain == "sqrt":
                hint = " Powers are written **, as in 2**0.5."
            rest = hint or f" Known are {', '.join(sorted(_KNOWN))}"
            raise self._wrong(node, f"there is no layer {cut(name) or 'of this kind'}.{rest}")
        return name


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


_NO_FUNCTIONS = "names of a program, such as those of Python functions, cannot be written as text"
