"""Which layer a function or a method of a tensor is, in a forward that was traced."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..layers import Activation, Flatten, GlobalAvgPool, GlobalSumPool
from .layout import Layout
from .modules import Step, step, why_not

#: Functions that take what the module is made with, in the same order.
_AS_MODULES: dict[Any, Any] = {
    functional.relu: nn.ReLU,
    functional.leaky_relu: nn.LeakyReLU,
    functional.relu6: nn.ReLU6,
    functional.elu: nn.ELU,
    functional.selu: nn.SELU,
    functional.celu: nn.CELU,
    functional.gelu: nn.GELU,
    functional.silu: nn.SiLU,
    functional.mish: nn.Mish,
    functional.tanh: nn.Tanh,
    functional.sigmoid: nn.Sigmoid,
    functional.softplus: nn.Softplus,
    functional.softsign: nn.Softsign,
    functional.hardtanh: nn.Hardtanh,
    functional.hardswish: nn.Hardswish,
    functional.hardsigmoid: nn.Hardsigmoid,
    functional.softshrink: nn.Softshrink,
    functional.hardshrink: nn.Hardshrink,
    functional.avg_pool1d: nn.AvgPool1d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.avg_pool3d: nn.AvgPool3d,
    functional.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    functional.adaptive_avg_pool3d: nn.AdaptiveAvgPool3d,
    torch.relu: nn.ReLU,
    torch.selu: nn.SELU,
    torch.celu: nn.CELU,
    torch.tanh: nn.Tanh,
    torch.sigmoid: nn.Sigmoid,
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    "tanh": nn.Tanh,
    "tanh_": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "sigmoid_": nn.Sigmoid,
}

#: Activations that PyTorch has as functions only.
_ACTIVATIONS = {
    "sin": Activation("sin"),
    "cos": Activation("cos"),
    "exp": Activation("exp"),
    "erf": Activation("erf"),
    "abs": Activation("abs"),
    "sign": Activation("sign"),
    "square": Activation("monomial", degree=2),
}


def call(function: Any, args: Sequence[Any], kwargs: dict[str, Any], layout: Layout) -> Step:
    """What a function, or a method of this name, makes of a tensor; ``args`` are those that follow the tensor."""
    if function in _AS_MODULES:
        return step(_AS_MODULES[function](*args, **kwargs), layout, {})
    rule = _RULES.get(function)
    if rule is None:
        raise why_not(function if isinstance(function, str) else getattr(function, "__name__", ""))
    return rule(layout, *args, **kwargs)


def _flatten(layout: Layout, start_dim: int = 0, end_dim: int = -1) -> Step:
    return step(nn.Flatten(start_dim, end_dim), layout, {})


def _view(layout: Layout, *shape: Any) -> Step:
    """A shape of two numbers: that of the samples, and of all else."""
    given = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    whole = len(given) == 2 and isinstance(given[1], int)
    if whole and given[0] == -1:  # as many samples as there were, or not
        whole = layout.units in (None, given[1]) if layout.is_vector else given[1] not in (-1, layout.units)
    if not whole:
        raise ValueError("only view(x.size(0), -1), all axes but that of the samples, has an equal")
    return None if layout.is_vector else Flatten(), layout.vector()


def _dropout(layout: Layout, p: float = 0.5, training: bool = True, inplace: bool = False) -> Step:  # noqa: ARG001
    return step(nn.Dropout(p).train(training), layout, {})


def _dims(dim: Any) -> tuple[int, ...]:
    if dim is None:
        raise ValueError("it is over the samples too")
    return tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)


def _mean(layout: Layout, dim: Any = None, keepdim: bool = False) -> Step:  # noqa: ARG001
    return GlobalAvgPool(), layout.pooled(_dims(dim))


def _sum(layout: Layout, dim: Any = None, keepdim: bool = False) -> Step:  # noqa: ARG001
    return GlobalSumPool(), layout.pooled(_dims(dim))


def _permute(layout: Layout, *dims: Any) -> Step:
    order = tuple(dims[0]) if len(dims) == 1 else dims
    return None, layout.permuted(tuple(dim % len(order) for dim in order))


def _transpose(layout: Layout, dim0: int, dim1: int) -> Step:
    rank = max(3, dim0 + 1, dim1 + 1, -dim0, -dim1) if layout.axes is None else layout.axes + 2
    order = list(range(rank))
    if not (-rank <= dim0 < rank and -rank <= dim1 < rank):
        raise ValueError(f"there are {rank} axes here")
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return None, layout.permuted(tuple(order))


def _squeeze(layout: Layout, *_: Any) -> Step:
    if not layout.is_vector and layout.units != 1:
        raise ValueError("only what is behind a global pool, or a single output, may be squeezed")
    return None, layout


def _multiplied(layout: Layout, factor: Any) -> Step:
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not math.isfinite(factor):
        raise ValueError("only a number may be multiplied, or another branch")
    return Activation("abrelu", a=float(factor), b=float(factor)), layout


def _divided(layout: Layout, divisor: Any) -> Step:
    if not isinstance(divisor, (int, float)) or divisor == 0:
        raise ValueError("it may be divided by a number only")
    return _multiplied(layout, 1 / divisor)


def _power(layout: Layout, exponent: Any) -> Step:
    if not isinstance(exponent, int):
        raise ValueError("only whole powers have an equal")
    return Activation("monomial", degree=exponent), layout


def _same(layout: Layout, *_: Any, **__: Any) -> Step:
    return None, layout


def _activation(layer: Activation) -> Callable[[Layout], Step]:
    return lambda layout: (layer, layout)


_RULES: dict[Any, Callable[..., Step]] = {
    torch.flatten: _flatten,
    "flatten": _flatten,
    torch.reshape: _view,
    "view": _view,
    "reshape": _view,
    functional.dropout: _dropout,
    torch.mean: _mean,
    "mean": _mean,
    torch.sum: _sum,
    "sum": _sum,
    torch.permute: _permute,
    "permute": _permute,
    torch.transpose: _transpose,
    "transpose": _transpose,
    torch.squeeze: _squeeze,
    "squeeze": _squeeze,
    operator.mul: _multiplied,
    operator.imul: _multiplied,
    torch.mul: _multiplied,
    "mul": _multiplied,
    operator.truediv: _divided,
    operator.itruediv: _divided,
    torch.div: _divided,
    "div": _divided,
    operator.neg: lambda layout: _multiplied(layout, -1),
    operator.pow: _power,
    operator.ipow: _power,
    torch.pow: _power,
    "pow": _power,
    "contiguous": _same,
    "clone": _same,
    "float": _same,
    "double": _same,
    "to": _same,
}
for _name, _layer in _ACTIVATIONS.items():
    _RULES |= {getattr(torch, _name): _activation(_layer), _name: _activation(_layer)}
