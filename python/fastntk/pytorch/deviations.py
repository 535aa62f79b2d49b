"""Standard deviations of a module's weights: given, those of PyTorch's initialisation, or measured."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

from .._checks.arguments import per_layer, standard_deviation
from .._checks.shown import shown

#: None: those of PyTorch's own initialisation.
Deviation: TypeAlias = float | Literal["measured"] | None

#: Numbers that PyTorch's own initialisation draws once in so many modules are another one's.
_RARE = 1e-9

#: Deviation of the mean of n squares of uniform numbers, relative to it, times √n: √(1/5 - 1/9) · 3.
_SPREAD = math.sqrt(0.8)


class Weights:
    """Arguments of the layers that modules with weights become."""

    def __init__(self, modules: dict[str, Any], sigma_w: Any, sigma_b: Any, parametrization: str) -> None:
        self._modules = modules
        self._parametrization = parametrization
        count = len(modules)
        weights = per_layer(sigma_w, "sigma_w", count, "layers with weights", _deviation)
        biases = per_layer(sigma_b, "sigma_b", count, "layers with weights", _deviation)
        self._given = dict(zip(modules, zip(weights, biases, strict=True), strict=True))

    def arguments(self, path: str) -> dict[str, Any]:
        """Those of the module of this path."""
        module = self._modules[path]
        weight, bias = module.weight, module.bias
        fan_in = weight[0].numel()
        wanted_w, wanted_b = self._given[path]
        if bias is not None and bias.requires_grad != weight.requires_grad:
            raise ValueError("its weight and its bias must both be trained, or both be frozen.")
        sigma_w, sigma_b = wanted_w, 0.0 if bias is None else wanted_b
        if not isinstance(sigma_w, float):
            sigma_w = _read(weight, fan_in, sigma_w, "weight", "sigma_w")
        if not isinstance(sigma_b, float):
            sigma_b = _read(bias, fan_in, sigma_b, "bias", "sigma_b") / math.sqrt(fan_in)
        arguments = {"sigma_w": sigma_w, "sigma_b": sigma_b, "trainable": weight.requires_grad}
        if self._parametrization == "standard":
            arguments |= {"parametrization": "standard", "width": weight.shape[0], "bias": bias is not None}
        return arguments


def _deviation(value: object, name: str) -> Deviation:
    if value is None or (isinstance(value, str) and value == "measured"):
        return value  # type: ignore[return-value]
    if isinstance(value, str):
        raise ValueError(f"{name} must be a standard deviation, 'measured' or None, got {shown(value)}.")
    return standard_deviation(value, name)


def _read(numbers: Any, fan_in: int, wanted: Literal["measured"] | None, what: str, name: str) -> float:
    """Standard deviation of these numbers, or of those that PyTorch draws, times the root of the fan-in."""
    if wanted == "measured":
        if numbers.is_meta:
            raise ValueError(f"its {what} has no numbers yet that could be measured.")
        return math.sqrt(fan_in * float(numbers.detach().double().square().mean()))
    bound = 1 / math.sqrt(fan_in)  # of uniform numbers, in Linear and in convolutions
    if not numbers.is_meta and not _may_be_uniform(numbers.detach().double(), bound):
        raise ValueError(
            f"its {what} is not as PyTorch initialises it, uniform up to 1/√(fan-in) = {bound:.3g}: pass {name}, or "
            f"{name}='measured' for the standard deviation of the numbers that it has."
        )
    return 1 / math.sqrt(3)


def _may_be_uniform(numbers: Any, bound: float) -> bool:
    """Whether these may have been drawn from the interval of this bound."""
    count = numbers.numel()
    largest = float(numbers.abs().max()) / bound
    square = 3 * float(numbers.square().mean()) / bound**2
    return largest < 1.01 and largest**count > _RARE and abs(square - 1) < 6 * _SPREAD / math.sqrt(count)
