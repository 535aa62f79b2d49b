"""Small PyTorch modules, and the layers that they become, for the tests of `from_torch`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from fastntk import from_torch


class Of(nn.Module):  # type: ignore[misc]
    """A module whose forward is a function of its parts and of what comes in."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any) -> Any:
        """Call the function."""
        return self.function(self, x)


def layers(module: nn.Module) -> tuple[Any, ...]:
    """Layers, in the NTK parametrisation with sigmas of 1 and 0."""
    return from_torch(module, 1.0, 0.0, parametrization="ntk").layers


def linears(count: int) -> dict[str, nn.Module]:
    """Square layers a, b, c, ..."""
    return {name: nn.Linear(4, 4) for name in "abcdef"[:count]}
