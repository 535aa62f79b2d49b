"""From the graph of a forward to layers: what is between a fork and where its branches meet becomes a Sum, and so on.

Every value is made of one other, its parent, by one layer. Where branches meet the parent is the last value that all of
them are made of, and the layer has the branches.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Final

import torch
from torch import fx

from ..layers import Activation, Concat, Dense, Dropout, Flatten, Identity, Product, Residual, Sum
from ..layers.base import Layer
from ..layers.weighted import Weighted
from ..networks.sequential import Sequential
from .deviations import Weights
from .functions import call
from .layout import Layout, of_all
from .modules import Step, has_weights, step
from .tracing import Traced, path_of, place

_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_MULTIPLY = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
_CONCATENATE = (torch.cat, torch.concat, torch.concatenate)
_IN_PLACE = (operator.iadd, operator.imul, operator.itruediv, operator.ipow)


@dataclass(eq=False)
class Value:
    """What a node gives: the input itself, or what one layer makes of its parent."""

    parent: Value | None
    layer: Layer | None
    layout: Layout
    place: str = ""

    #: How many values are before it.
    depth: int = 0

    #: Whether it is in a branch already.
    taken: bool = False

    def then(self, made: Step, where: str) -> Value:
        """What a layer makes of it."""
        return Value(self, *made, where, self.depth + 1)


class _Shape:
    """The shape of a tensor, or a number of it: used to flatten, and no value."""


_SHAPE: Final = _Shape()


def network(graph: Traced, weights: Weights) -> Sequential:
    """The network that a graph is.

    Raises
    ------
    ValueError
        Where a node has no equal, with its place.
    """
    values: dict[fx.Node, Value | _Shape] = {}
    *nodes, output = graph.nodes
    for i, node in enumerate(nodes):
        try:
            _refuse_changed(node, graph, i, values)
            if node in graph.needed:
                values[node] = _value(node, values, graph, weights)
        except ValueError as why:
            raise ValueError(f"{_described(node, graph)}: {str(why).rstrip('.')}.") from why
        except TypeError as error:  # of Python's
            raise ValueError(f"{_described(node, graph)}: its arguments have no equal.") from error
    given = output.args[0]
    end = values[given] if isinstance(given, fx.Node) else _SHAPE
    if isinstance(end, _Shape):
        raise ValueError("the module itself has to give one tensor, made of the one that it takes.")
    return _sequential(_up_to(end))


def _described(node: fx.Node, graph: Traced) -> str:
    path = path_of(node)
    if node.op == "call_module":
        return f"{place(path)} is a {type(graph.modules[path]).__name__}"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"{place(path)} {'uses' if node.op == 'get_attr' else 'calls'} {name.rpartition('.')[2]!r}"


def _value(node: fx.Node, values: dict[fx.Node, Value | _Shape], graph: Traced, weights: Weights) -> Value | _Shape:
    """What a node gives."""
    if node.op == "placeholder":
        return Value(None, None, Layout())
    if node.op == "get_attr":
        raise ValueError("only the weights of layers, such as Linear and Conv2d, have an equal")
    named = (value for key, value in node.kwargs.items() if key in ("input", "tensors"))
    given = (*named, *node.args)
    if node.target in _CONCATENATE:
        given = tuple(given[0])
    known = [values.get(one, one) if isinstance(one, fx.Node) else one for one in given]
    members = [one for one in known if isinstance(one, Value)]
    if not members and any(isinstance(values[one], Value) for one in node.all_input_nodes):
        raise ValueError("it has no equal here")
    if not members or node.target == "size" or (node.target is getattr and node.args[1] == "shape"):
        return _SHAPE
    path = path_of(node)
    if len(members) > 1 or node.target in _CONCATENATE:
        return _joined(node, members, path)
    before = members[0]
    if node.op == "call_module":
        module = graph.modules[path]
        return before.then(step(module, before.layout, weights.arguments(path) if has_weights(module) else {}), path)
    if known[0] is not before and node.target not in _MULTIPLY:
        raise ValueError("the tensor has to come first")
    others = [one for one in known if one is not before]
    kwargs = {key: value for key, value in node.kwargs.items() if key not in ("input", "inplace")}
    layer, layout = call(node.target, others, kwargs, before.layout)
    return before.then((_still_gaussian(before.layer, layer), layout), path)


def _still_gaussian(before: Layer | None, layer: Layer | None) -> Layer | None:
    """A factor behind weights as a layer with the same kernels that the next activation takes for a Gaussian.

    Of Gaussians with the kernels (K, Theta) independent sums with fixed weights of deviation c / sqrt(width) have the
    kernels (c² K, c² Theta) of c times these Gaussians.
    """
    if not (isinstance(before, Weighted) and isinstance(layer, Activation)) or layer.slopes is None:
        return layer
    factor, other = layer.slopes
    return Dense(abs(factor), trainable=False, width=before.width) if factor == other else layer


def _joined(node: fx.Node, members: list[Value], path: str) -> Value:
    """What is made of several values."""
    fork = members[0]
    for member in members:
        fork = _common(fork, member)
    branches = [_up_to(member, fork) for member in members]
    for value in (value for branch in branches for value in branch):
        if value.taken and value.layer is not None and _is_random(value.layer):
            raise ValueError(f"what {place(value.place)} gives is in two branches that meet at different places")
        value.taken = True
    parts = [_sequential(branch) if any(v.layer for v in branch) else Identity() for branch in branches]
    layouts = [member.layout for member in members]
    if node.target in _CONCATENATE:
        made = _concatenated(node, parts, layouts)
    elif node.kwargs:
        raise ValueError(f"{next(iter(node.kwargs))} has no equal")
    elif node.target in _ADD:
        behind = of_all(layouts)
        made = _sum(parts), behind
    elif node.target in _MULTIPLY:
        behind = of_all(layouts)
        made = Product(*parts), behind
    else:
        raise ValueError("of several tensors only sums, products and torch.cat have an equal")
    return fork.then(made, path)


def _sum(parts: list[Sequential | Identity]) -> Layer:
    inner = [part for part in parts if isinstance(part, Sequential)]
    return Residual(*inner) if len(inner) == 1 else Sum(*parts)


def _concatenated(node: fx.Node, parts: list[Sequential | Identity], layouts: list[Layout]) -> Step:
    dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    whole = of_all([replace(layout, units=None) for layout in layouts])
    units = [layout.units for layout in layouts]
    known = [one for one in units if one is not None]
    if not whole.is_channel(dim):
        raise ValueError("only channels, or units of vectors, may be side by side")
    if len(known) < len(units):
        raise ValueError("the number of units of its members is not known")
    total = sum(known)
    return Concat(*parts, fractions=[one / total for one in known]), replace(whole, units=total)


def _common(a: Value, b: Value) -> Value:
    """The last value that both are made of, or are."""
    while a is not b:
        deeper, other = (a, b) if a.depth >= b.depth else (b, a)
        assert deeper.parent is not None  # all are made of the input
        a, b = deeper.parent, other
    return a


def _up_to(end: Value, start: Value | None = None) -> list[Value]:
    """Values behind a start, or the input, the last of which is the end."""
    found = []
    while end is not start and end.parent is not None:
        found.append(end)
        end = end.parent
    return found[::-1]


def _sequential(values: Sequence[Value]) -> Sequential:
    """Their layers, one after the other."""
    pairs = [(value.layer, value.place) for value in values if value.layer is not None]
    layers = [layer for layer, _ in pairs]
    try:
        return Sequential(*layers)
    except ValueError as error:
        for i, (_, where) in enumerate(pairs):  # which of them it was
            try:
                Sequential(*layers[: i + 1])
            except ValueError as why:
                raise ValueError(f"{place(where)}: {why}") from error
        raise


def _is_random(layer: Layer) -> bool:
    """Whether there are weights in it, or masks."""
    return isinstance(layer, (Weighted, Dropout)) or any(_is_random(one) for inner in layer.branches for one in inner)


def _refuse_changed(node: fx.Node, graph: Traced, i: int, values: dict[fx.Node, Value | _Shape]) -> None:
    """Refuse what changes a tensor that is used again, by this name or another."""
    module = graph.modules[path_of(node)] if node.op == "call_module" else None
    changes = (
        getattr(module, "inplace", False)
        or node.target in _IN_PLACE
        or node.kwargs.get("inplace", False)
        or (node.op == "call_method" and node.target.endswith("_"))
        or any(one is True for one in node.args)
    )
    if not changes:
        return
    changed = node.all_input_nodes[0]
    names = {changed} | {one for one, value in values.items() if _memory(value) is _memory(values.get(changed, _SHAPE))}
    if any(one in names for later in graph.nodes[i + 1 :] for one in later.all_input_nodes):
        raise ValueError("it changes in place what is used again later")


def _memory(value: Value | _Shape) -> Value | _Shape:
    """The value whose numbers a tensor has, in the same memory."""
    while isinstance(value, Value) and value.parent is not None and isinstance(value.layer, (Flatten, NoneType)):
        value = value.parent
    return value
