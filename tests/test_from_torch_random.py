"""Random PyTorch modules, branches within branches, beside the same networks written by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch, which no other stage has")

from tests.torch_modules import layers
from torch import nn

from fastntk import Dense, LayerNorm, Product, Residual, Sequential, Sum

Pair = tuple[list[nn.Module], list[Any]]


class Branches(nn.Module):  # type: ignore[misc]
    """What comes in with what one branch makes of it, or what two do."""

    def __init__(self, kind: str, branches: list[nn.Module]) -> None:
        super().__init__()
        self.kind, self.branches = kind, nn.ModuleList(branches)

    def forward(self, x: Any) -> Any:
        """As people write them."""
        given = [branch(x) for branch in self.branches]
        if self.kind == "sum":
            return given[0] + given[1]
        if self.kind == "product":
            return given[0] * given[1]
        return x + given[0] if self.kind == "before" else given[0] + x


def drawn(rng: random.Random, depth: int) -> Pair:
    """Modules one after the other, and the layers that they are."""
    modules: list[nn.Module] = []
    parts: list[Any] = []
    for _ in range(rng.randint(1, 3)):
        what = rng.choice(["linear", "activation", "norm", *["branches"] * (2 * (depth > 0))])
        if what == "norm":
            modules.append(nn.LayerNorm(4))
            parts.append(LayerNorm(eps=1e-5))
        elif what == "activation":
            module, name = rng.choice([(nn.ReLU(), "relu"), (nn.Tanh(), "tanh"), (nn.GELU(), "gelu")])
            modules.append(module)
            parts.append(name)
        elif what == "branches":
            kind = rng.choice(["before", "behind", "sum", "product"])
            inner = [drawn(rng, depth - 1) for _ in range(2 if kind in ("sum", "product") else 1)]
            modules.append(Branches(kind, [nn.Sequential(*those, nn.Linear(4, 4)) for those, _ in inner]))
            branches = [Sequential(*those, Dense()) for _, those in inner]
            parts.append({"sum": Sum, "product": Product}.get(kind, Residual)(*branches))
        if what in ("linear", "activation", "branches"):  # so that an activation may follow
            modules.append(nn.Linear(4, 4))
            parts.append(Dense())
    return modules, parts


@pytest.mark.parametrize("seed", range(100))
def test_random_modules(seed: int) -> None:
    """Their graphs become the layers that they were made of."""
    modules, parts = drawn(random.Random(seed), 3)
    assert layers(nn.Sequential(nn.Linear(3, 4), *modules)) == Sequential(Dense(), *parts).layers
