"""Which layer a module of PyTorch is. Types are compared exactly: one that derives from these may do anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from torch import nn

from ..layers import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
)
from ..layers.base import Layer
from .layout import Layout

#: A layer, or None for one that changes nothing; and the layout behind it.
Step: TypeAlias = tuple[Layer | None, Layout]

#: Of a module, the layout before it and, if it has weights, what its layer is given for them.
Rule: TypeAlias = Callable[[Any, Layout, dict[str, Any]], Step]

#: Softplus of PyTorch is linear from threshold / beta on; from 20 the jump is below 3e-9 / beta.
_LEAST_THRESHOLD = 20

_AVERAGE = "write an average pool"

#: By parts of the names of modules and functions, in small letters.
_WHY = {
    "batchnorm": "what it gives depends on the other samples of a batch; leave it out, or write LayerNorm",
    "instancenorm": "it divides each channel by a random number, which width does not make certain; write LayerNorm",
    "rmsnorm": "it has no equal yet; write LayerNorm, which is the same behind a Linear or a convolution",
    "maxpool": f"of a maximum over positions no kernel is known; {_AVERAGE}",
    "lppool": f"of a norm over positions no kernel is known; {_AVERAGE}",
    "transformer|attention": "attention has no equal here but fastntk.SelfAttention(), to be written by hand",
    "embedding": "it takes indices, and kernels are of numbers; give one-hot rows to a Linear",
    "rnn|lstm|gru": "it uses the same weights at every step, as here fastntk.Recurrent() alone, to be written by hand",
    "convtranspose": "transposed convolutions have no equal here",
    "lazy": "its size is not known; call the module once with a sample",
    "prelu": "its slope is trained; write LeakyReLU",
    "rrelu": "its slopes are random; write LeakyReLU",
    "dropout": "it drops channels together, or gives dropped units another value; write Dropout",
}


def why_not(name: str) -> ValueError:
    """The error for a module, or a function, that has no equal."""
    plain = name.lower().replace("_", "")
    return ValueError(next((why for part, why in _WHY.items() if re.search(part, plain)), "it has no equal here"))


def step(module: Any, layout: Layout, weights: dict[str, Any]) -> Step:
    """The layer that a module is, for what comes in."""
    rule = RULES.get(type(module))
    if rule is None:
        raise why_not(type(module).__name__)
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError("it has forward hooks, which may do anything")
    return rule(module, layout, weights)


def has_weights(module: Any) -> bool:
    """Whether it becomes a layer with weights."""
    return type(module) in WEIGHTED


def _linear(module: Any, layout: Layout, weights: dict[str, Any]) -> Step:
    behind = layout.channels_last()
    return Dense(**weights), Layout(behind.axes, "last", module.out_features)


def _conv(axes: int) -> Rule:
    def rule(module: Any, layout: Layout, weights: dict[str, Any]) -> Step:
        layout.channels_first(axes)
        if module.groups != 1:
            raise ValueError(f"it has {module.groups} groups of channels, and convolutions here have one")
        conv = Conv(
            module.kernel_size, _short(module.stride), _padding(module), dilation=_short(module.dilation), **weights
        )
        return conv, Layout(axes, "first", module.out_channels)

    return rule


def _padding(module: Any) -> Any:
    """Padding as `Conv` has it."""
    padding = module.padding
    if padding != "same" and (padding == "valid" or not any(padding)):
        return "valid"
    if module.padding_mode == "zeros":
        return padding if isinstance(padding, str) else _short(padding)
    if module.padding_mode != "circular":
        raise ValueError(f"padding_mode={module.padding_mode!r} has no equal; 'zeros' and 'circular' have")
    spans = [dilation * (taps - 1) for taps, dilation in zip(module.kernel_size, module.dilation, strict=True)]
    whole = padding == "same" or all(2 * one == span for one, span in zip(padding, spans, strict=True))
    if not whole or set(module.stride) != {1}:
        raise ValueError("circular padding is for stride 1 and as many positions as come in here")
    return "circular"


def _short(values: Any) -> Any:
    """One number, where it is that of all axes."""
    return values if len(set(values)) > 1 else values[0]


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values if len(values) == axes else values * axes


def _average(axes: int) -> Rule:
    def rule(module: Any, layout: Layout, _: dict[str, Any]) -> Step:
        behind = layout.channels_first(axes)
        if module.ceil_mode:
            raise ValueError("ceil_mode=True, windows that are cut off at the border, has no equal")
        if getattr(module, "divisor_override", None) is not None:
            raise ValueError("divisor_override has no equal")
        size, stride, padding = (_per_axis(v, axes) for v in (module.kernel_size, module.stride, module.padding))
        if not any(padding):
            return AvgPool(size, stride), behind
        return AvgPool(size, stride, padding, normalize_edges=not module.count_include_pad), behind

    return rule


def _global(axes: int) -> Rule:
    def rule(module: Any, layout: Layout, _: dict[str, Any]) -> Step:
        behind = layout.channels_first(axes)
        if set(_per_axis(module.output_size, axes)) != {1}:
            raise ValueError("adaptive windows have no equal but for output_size=1, one window of all positions")
        return GlobalAvgPool(), Layout(0, "last", behind.units)

    return rule


def _untrained(module: Any) -> None:
    """Refuse a normalisation whose gain is not 1, or whose offset is not 0."""
    for name, value in (("weight", 1), ("bias", 0)):
        numbers = getattr(module, name)
        if numbers is not None and not numbers.is_meta and bool((numbers != value).any()):
            raise ValueError(f"its {name} is not {value} everywhere, as it is before training")


def _layer_norm(module: Any, layout: Layout, _: dict[str, Any]) -> Step:
    count = len(module.normalized_shape)
    _untrained(module)
    if layout.axes and count == layout.axes + 1:
        return LayerNorm("all", module.eps), layout
    if count > 1:
        raise ValueError("it has to be over the channels, or over all positions and channels")
    return LayerNorm(eps=module.eps), layout.channels_last()


def _group_norm(module: Any, layout: Layout, _: dict[str, Any]) -> Step:
    _untrained(module)
    if module.num_groups != 1:
        raise ValueError(f"it has {module.num_groups} groups of channels, and LayerNorm one")
    if not (layout.is_vector or layout.channels == "first"):
        raise ValueError("it takes channels first; LayerNorm takes them last")
    return LayerNorm("channels" if layout.is_vector else "all", module.eps), layout


def _flatten(module: Any, layout: Layout, _: dict[str, Any]) -> Step:
    if module.start_dim != 1 or module.end_dim not in (-1, None if layout.axes is None else layout.axes + 1):
        raise ValueError("only Flatten(1), all axes but that of the samples, has an equal")
    return None if layout.is_vector else Flatten(), layout.vector()


def _dropout(module: Any, layout: Layout, _: dict[str, Any]) -> Step:
    return Dropout(module.p) if module.training and module.p > 0 else None, layout


def _activation(make: Callable[[Any], Activation]) -> Rule:
    return lambda module, layout, _: (make(module), layout)


def _named(name: str) -> Rule:
    return _activation(lambda _: Activation(name))


def _hard_tanh(module: Any) -> Activation:
    low, high = module.min_val, module.max_val
    if (low, high) == (-1, 1):
        return Activation("hard_tanh")
    if low > 0 or high < 0:
        raise ValueError("bounds on one side of 0 have no equal")
    return Activation.piecewise_linear([low, high], [0, 1, 0])


def _softplus(module: Any) -> Activation:
    if module.threshold < _LEAST_THRESHOLD:
        raise ValueError(f"a threshold below {_LEAST_THRESHOLD} has no equal")
    return Activation("softplus", beta=module.beta)


#: Modules that become layers with weights.
WEIGHTED: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv1d: _conv(1),
    nn.Conv2d: _conv(2),
    nn.Conv3d: _conv(3),
}

RULES: dict[type[nn.Module], Rule] = WEIGHTED | {
    nn.AvgPool1d: _average(1),
    nn.AvgPool2d: _average(2),
    nn.AvgPool3d: _average(3),
    nn.AdaptiveAvgPool1d: _global(1),
    nn.AdaptiveAvgPool2d: _global(2),
    nn.AdaptiveAvgPool3d: _global(3),
    nn.Flatten: _flatten,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Dropout: _dropout,
    nn.Identity: lambda _, layout, __: (None, layout),
    nn.ReLU: _named("relu"),
    nn.LeakyReLU: _activation(lambda module: Activation("leaky_relu", alpha=module.negative_slope)),
    nn.ReLU6: _named("relu6"),
    nn.ELU: _activation(lambda module: Activation("elu", alpha=module.alpha)),
    nn.SELU: _named("selu"),
    nn.CELU: _activation(lambda module: Activation("celu", alpha=module.alpha)),
    nn.GELU: _activation(lambda module: Activation({"none": "gelu", "tanh": "gelu_tanh"}[module.approximate])),
    nn.SiLU: _named("silu"),
    nn.Mish: _named("mish"),
    nn.Tanh: _named("tanh"),
    nn.Sigmoid: _named("sigmoid"),
    nn.Softplus: _activation(_softplus),
    nn.Softsign: _named("softsign"),
    nn.Hardtanh: _activation(_hard_tanh),
    nn.Hardswish: _named("hard_swish"),
    nn.Hardsigmoid: _named("hard_sigmoid"),
    nn.Softshrink: _activation(lambda module: Activation("soft_shrink", threshold=module.lambd)),
    nn.Hardshrink: _activation(lambda module: Activation("hard_shrink", threshold=module.lambd)),
}
