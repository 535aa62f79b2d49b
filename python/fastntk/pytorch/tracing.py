"""The forward of a module as a graph, by torch.fx, with the place of each node in the module."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from .modules import has_weights

#: The name of the module in `_Root`.
_PREFIX = "module"


def place(path: str) -> str:
    """How a sentence names the module of this path, which is empty for the whole one."""
    return f"module {path!r}" if path else "the module itself"


@dataclass(frozen=True)
class Traced:
    """Nodes from the input to the output, those of them that the output needs, and the modules that are called."""

    nodes: list[fx.Node]
    needed: set[fx.Node]
    modules: dict[str, Any]

    @property
    def weighted(self) -> dict[str, Any]:
        """Layers with weights, by their paths, in the order in which they are called."""
        called = (path_of(node) for node in self.nodes if node in self.needed and node.op == "call_module")
        return {path: self.modules[path] for path in called if has_weights(self.modules[path])}


class _Root(nn.Module):  # type: ignore[misc]
    """Calls a module as a user does, with one argument; so that also a single layer has a graph."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Any) -> Any:
        return self.module(x)


class _Proxy(fx.Proxy):  # type: ignore[misc]
    """A tensor of a graph; `x += y` is no other tensor, as torch.fx has it, but changes x."""

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __imul__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})

    def __ipow__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.ipow, (self, other), {})


class _Tracer(fx.Tracer):  # type: ignore[misc]
    """Knows in which module an error was raised, and whether gradients are switched off there."""

    def __init__(self) -> None:
        super().__init__()
        self.where = ""
        self.with_gradients = torch.is_grad_enabled()

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        before, self.where = self.where, _inside(self.path_of_module(m))
        if torch.is_grad_enabled() != self.with_gradients:  # which a graph does not show
            raise ValueError("it switches gradients off; freeze weights by requires_grad_(False) instead")
        result = super().call_module(m, forward, args, kwargs)
        self.where = before
        return result


def traced(module: nn.Module) -> Traced:
    """Follow the forward of a module.

    Raises
    ------
    ValueError
        A forward that looks at numbers, or takes more than one argument.
    """
    tracer, root = _Tracer(), _Root(module)
    try:
        graph = tracer.trace(root)
    except Exception as error:  # whatever forward does with what is no tensor
        why = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise ValueError(f"{place(tracer.where)}: torch.fx cannot follow its forward: {why}.") from error
    nodes = list(graph.nodes)
    needed = {nodes[0], nodes[-1]}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    modules = {_inside(path): one for path, one in root.named_modules() if path}
    found = Traced(nodes, needed, modules)
    _refuse_shared(found)
    return found


def path_of(node: fx.Node) -> str:
    """Path of the module that a node calls, or in whose forward it is."""
    if node.op == "call_module":
        return _inside(node.target)
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return _inside(str(stack[-1][0])) if stack else ""


def _inside(path: str) -> str:
    return path.removeprefix(_PREFIX).removeprefix(".")


def _refuse_shared(graph: Traced) -> None:
    """Refuse weights that are used twice."""
    owners: dict[int, str] = {}
    for node in graph.nodes:
        if node.op != "call_module" or node not in graph.needed:
            continue
        path = path_of(node)
        for parameter in graph.modules[path].parameters():
            if id(parameter) in owners:
                other = owners[id(parameter)]
                twice = "is called twice" if other == path else f"has the weights of {place(other)} too"
                raise ValueError(f"{place(path)} {twice}, and layers here have weights of their own each time.")
            owners[id(parameter)] = path
