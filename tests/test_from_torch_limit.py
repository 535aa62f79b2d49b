"""Kernels of what `from_torch` makes against wide modules: outputs over initialisations, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch, which no other stage has")

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fastntk import from_torch
from fastntk.inference import GradientFlow

WIDTH, DRAWS = 256, 200

#: Standard errors that a sampled kernel may be from its limit, and what finite widths add, relative to the diagonal.
ERRORS, BIAS = 5.0, 0.02


class Block(nn.Module):  # type: ignore[misc]
    """A residual block as people write them, with a shortcut that may have weights."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, before)
        self.first = nn.Conv2d(before, width, 3, stride, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(before, width, 1, stride)

    def forward(self, x: Any) -> Any:
        """Pre-activation."""
        out = F.relu(self.norm(x))
        identity = self.shortcut(x)
        return identity + self.second(F.relu(self.first(out)))


class Perceptron(nn.Module):  # type: ignore[misc]
    """Two branches, one of them scaled."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(4, WIDTH), nn.Linear(WIDTH, outputs)
        self.block = nn.Sequential(nn.LayerNorm(WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Any) -> Any:
        """A residual block between two layers."""
        h = self.inner(x)
        h = h + 0.5 * self.block(h)
        return self.out(torch.tanh(h))


def initialised(module: nn.Module) -> nn.Module:
    """With normal weights of deviation 1.4 / √fan-in, and biases of deviation 0.5."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.Conv1d)):
            nn.init.normal_(layer.weight, std=1.4 / layer.weight[0].numel() ** 0.5)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.5)
    return module


def frozen(module: Any) -> nn.Module:
    """With its first layer frozen."""
    module[0].requires_grad_(False)
    return module


IMAGE, SEQUENCE, VECTOR = (2, 6, 6), (2, 7), (4,)
CASES: dict[str, tuple[tuple[int, ...], Callable[[int], nn.Module]]] = {
    "mlp": (VECTOR, lambda outputs: nn.Sequential(
        nn.Linear(4, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, outputs))),
    "normal": (VECTOR, lambda outputs: initialised(nn.Sequential(
        nn.Linear(4, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.ELU(), nn.Linear(WIDTH, outputs)))),
    "frozen": (VECTOR, lambda outputs: frozen(nn.Sequential(
        nn.Linear(4, WIDTH), nn.Softplus(2.0), nn.Linear(WIDTH, outputs, bias=False)))),
    "residual": (VECTOR, Perceptron),
    "flatten": (IMAGE, lambda outputs: nn.Sequential(
        nn.Conv2d(2, 128, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(128, 128, 2, stride=2), nn.Hardswish(),
        nn.Flatten(), nn.Linear(128, outputs))),
    "pooled": (IMAGE, lambda outputs: initialised(nn.Sequential(
        nn.Conv2d(2, 128, 3, padding=1, padding_mode="circular"), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(128, outputs)))),
    "resnet": (IMAGE, lambda outputs: initialised(nn.Sequential(
        nn.Conv2d(2, 64, 3, padding=1), Block(64, 64), Block(64, 128, 2), nn.ReLU(), nn.Flatten(),
        nn.Linear(9 * 128, outputs)))),
    "sequence": (SEQUENCE, lambda outputs: nn.Sequential(
        nn.Conv1d(2, 128, 3, dilation=2), nn.Mish(), nn.Flatten(), nn.Linear(3 * 128, outputs))),
}  # fmt: skip


def samples(shape: tuple[int, ...]) -> Any:
    """Three, in PyTorch's order of axes."""
    return torch.from_numpy(np.random.default_rng(1).normal(size=(3, *shape)))


def limit(case: str, outputs: int) -> Any:
    """The network of a module; sigmas are given where PyTorch's own initialisation is not its."""
    sigmas = (1.4, 0.5) if case in ("normal", "pooled", "resnet") else ()
    return from_torch(CASES[case][1](outputs), *sigmas)


def compare(drawn: Any, wanted: Any) -> None:
    """A mean over draws with its limit, in standard errors and for what a finite width adds."""
    mean, error = drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    scale = np.sqrt(np.outer(wanted.diagonal(), wanted.diagonal()))
    assert (error / scale).max() < 0.015  # else nothing is tested
    assert (abs(mean - wanted) <= ERRORS * error + BIAS * scale).all(), (mean - wanted) / scale


@pytest.mark.parametrize("case", CASES)
def test_covariance_of_outputs(case: str) -> None:
    """Over initialisations and outputs it is the NNGP kernel."""
    shape, make = CASES[case]
    X, outputs = samples(shape), 256
    torch.manual_seed(0)
    drawn = []
    for _ in range(DRAWS):
        with torch.no_grad():
            f = make(outputs).double()(X).numpy()
        drawn.append(f @ f.T / outputs)
    compare(np.stack(drawn), limit(case, outputs).nngp(X.movedim(1, -1).numpy()))


@pytest.mark.parametrize("case", CASES)
def test_products_of_gradients(case: str) -> None:
    """Of one output, in all parameters that are trained, but for gain and offset of normalisations: the NTK."""
    shape, make = CASES[case]
    X = samples(shape)
    torch.manual_seed(0)
    drawn = []
    for _ in range(DRAWS):
        module = make(1).double()
        kept = [
            parameter
            for layer in module.modules()
            if isinstance(layer, (nn.Linear, nn.Conv2d, nn.Conv1d))
            for parameter in layer.parameters()
            if parameter.requires_grad
        ]
        rows = [torch.autograd.grad(f, kept, retain_graph=True) for f in module(X)[:, 0]]
        J = torch.stack([torch.cat([one.flatten() for one in row]) for row in rows])
        drawn.append((J @ J.T).numpy())
    compare(np.stack(drawn), limit(case, 1).ntk(X.movedim(1, -1).numpy()))


def test_gain_and_offset_are_a_small_part() -> None:
    """Of Theta, as the docstring of `from_torch` says: of the order of 1 / width."""
    X = samples(VECTOR)
    module = Perceptron(1).double()
    theta = {}
    for name, parameters in {"norm": module.block[0].parameters(), "all": module.parameters()}.items():
        kept = list(parameters)
        rows = [torch.autograd.grad(f, kept, retain_graph=True) for f in module(X)[:, 0]]
        J = torch.stack([torch.cat([one.flatten() for one in row]) for row in rows])
        theta[name] = (J @ J.T).diagonal().numpy()
    assert 0 < (theta["norm"] / theta["all"]).max() < 2 / WIDTH


def test_training_in_pytorch() -> None:
    """Gradient descent moves a wide module as `GradientFlow` with its NTK says, on average over initialisations."""
    X = samples(VECTOR)
    y, steps, rate = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64), 60, 2e-3

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 1024), nn.ReLU(), nn.Linear(1024, 1))

    theta = from_torch(make()).ntk(X.numpy())
    torch.manual_seed(0)
    ends, draws = [], 40
    for _ in range(draws):
        module = make().double()
        descent = torch.optim.SGD(module.parameters(), lr=rate)
        for _ in range(steps):
            descent.zero_grad()
            (0.5 * (module(X)[:, 0] - y).square().sum()).backward()
            descent.step()
        ends.append(module(X)[:, 0].detach().numpy())
    flow = GradientFlow(theta, y.numpy())
    wanted = flow.mean(steps * rate)
    assert (abs(wanted - y.numpy()) > 0.02).any()  # it is still on its way
    error = np.std(ends, axis=0, ddof=1) / np.sqrt(draws)
    assert (error < 0.05).all()
    assert (abs(np.mean(ends, axis=0) - wanted) <= ERRORS * error + 0.02).all()
