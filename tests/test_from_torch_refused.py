"""PyTorch's modules that have no equal: each is refused in one sentence, with its place."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch, which no other stage has")

import torch
from tests.torch_modules import Of, layers, linears
from torch import nn
from torch.nn import functional as F  # noqa: N812

import fastntk
from fastntk import from_torch


class Looks(nn.Module):  # type: ignore[misc]
    """A forward that looks at numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        """What it gives depends on a sum."""
        return self.linear(x) if x.sum() > 0 else x


class Own(nn.Linear):  # type: ignore[misc]
    """A layer that derives from one of PyTorch's, and does something else."""

    def forward(self, x: Any) -> Any:
        """Twice as much."""
        return super().forward(2 * x)


def tied() -> nn.Module:
    """Two layers with the same weights."""
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    return module


def without_gradients(self: Any, x: Any) -> Any:
    """A forward whose first layer is not trained."""
    with torch.no_grad():
        h = self.a(x)
    return self.b(h)


def with_(module: nn.Module, **attributes: Any) -> nn.Module:
    """A module with other attributes."""
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


def hooked() -> nn.Module:
    """A layer with a hook."""
    module = nn.Linear(3, 3)
    module.register_forward_hook(lambda *_: None)
    return module


def half_frozen() -> nn.Module:
    """A layer whose bias is not trained."""
    module = nn.Linear(3, 3)
    module.bias.requires_grad_(False)
    return module


CONV, SQUARE, BLOCK = nn.Conv2d(3, 4, 3), nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU())
OTHER = nn.Conv2d(3, 5, 3)
REFUSED: list[tuple[nn.Module, str]] = [
    (nn.Sequential(CONV, nn.BatchNorm2d(4)), "^module '1' is a BatchNorm2d: .* other samples of a batch; .* LayerNorm"),
    (nn.BatchNorm1d(3), "^the module itself is a BatchNorm1d: "),
    (nn.Sequential(CONV, nn.Sequential(nn.MaxPool2d(2))), r"^module '1\.0' is a MaxPool2d: of a maximum .* is known"),
    (nn.Sequential(CONV, nn.AdaptiveMaxPool2d(1)), "maximum"), (nn.Sequential(CONV, nn.LPPool2d(2, 2)), "of a norm"),
    (nn.Sequential(CONV, nn.InstanceNorm2d(4)), "LayerNorm"), (nn.RMSNorm(3), "which is the same behind a Linear"),
    (nn.TransformerEncoderLayer(4, 2), "attention has no equal"), (nn.Embedding(3, 4), "it takes indices"),
    (nn.LSTM(3, 4), "it uses the same weights at every step"), (nn.ConvTranspose2d(3, 4, 3), "transposed"),
    (nn.LazyLinear(3), "its size is not known; call the module once"),
    (nn.PReLU(), "its slope is trained; .* LeakyReLU"),
    (nn.RReLU(), "its slopes are random"), (nn.Softmax(-1), "^the module itself is a Softmax: it has no equal here"),
    (nn.Sequential(CONV, nn.Dropout2d()), "it drops channels together"), (nn.GLU(), "is a GLU: it has no equal"),
    (nn.Bilinear(3, 3, 3), "has no equal here"), (hooked(), "it has forward hooks"),
    (nn.Conv2d(4, 4, 3, groups=2), "it has 2 groups of channels"),
    (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), "padding_mode='reflect' has no equal"),
    (nn.Conv2d(3, 4, 3, padding=2, padding_mode="circular"), "circular padding is for stride 1 and as many positions"),
    (nn.Conv2d(3, 4, 3, 2, 1, padding_mode="circular"), "circular padding is for stride 1"),
    (nn.AvgPool2d(2, ceil_mode=True), "ceil_mode=True"), (nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
    (nn.AdaptiveAvgPool2d(2), "adaptive windows have no equal but for output_size=1"),
    (nn.GroupNorm(2, 4), "it has 2 groups"), (nn.Hardtanh(1.0, 2.0), "bounds on one side of 0"),
    (nn.Softplus(1.0, 5.0), "a threshold below 20"), (nn.Flatten(2), r"only Flatten\(1\)"),
    (nn.Sequential(SQUARE, with_(nn.LayerNorm(4), weight=nn.Parameter(2 * torch.ones(4)))), "its weight is not 1"),
    (nn.Sequential(CONV, nn.LayerNorm(6)), "it acts on the last axis, which is one of positions"),
    (nn.Sequential(CONV, nn.LayerNorm([6, 6])), "over the channels, or over all positions and channels"),
    (nn.Sequential(CONV, nn.Linear(6, 3)), "^module '1' is a Linear: it acts on the last axis, .* permute before"),
    (nn.Sequential(SQUARE, nn.Conv1d(4, 4, 3)), "it takes channels first and 1 axes of positions, and what .* last"),
    (nn.Sequential(CONV, nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1)), "those were taken together before it"),
    (nn.Sequential(SQUARE, nn.Dropout(), nn.ReLU()), "^module '2': layer 2, .*: an activation acts on Gaussians"),
    (nn.Sequential(*[BLOCK] * 2), r"^module '0\.0' is called twice, and layers here have weights of their own"),
    (tied(), "^module '1' has the weights of module '0' too"),
    (nn.Sequential(BLOCK, Looks()), "^module '1': torch.fx cannot follow its forward: .* control flow"),
    (nn.Sequential(Own(4, 4)), "^module '0' uses 'weight': only the weights of layers"),
    (Of(lambda self, x: self.a(x).max(1), **linears(1)), "^the module itself calls 'max': it has no equal"),
    (Of(lambda _, x: x + torch.tanh(x)), "calls 'add': Residual: branches .* have no weights of their own"),
    (Of(lambda self, x: self.a(x) - self.b(x), **linears(2)), "'sub': of several tensors only sums, products and"),
    (Of(without_gradients, **linears(2)), "^module 'a': torch.fx .*: it switches gradients off; freeze weights by"),
    (Of(lambda self, x: F.max_pool2d(self.conv(x), 2), conv=CONV), "calls 'max_pool2d': of a maximum over positions"),
    (Of(lambda self, x: torch.stack([self.a(x), self.b(x)], 1), **linears(2)), "calls 'stack': it has no equal here"),
    (Of(lambda self, x: torch.mul(self.a(x), other=self.b(x)), **linears(2)), "'mul': its arguments have no equal"),
    (Of(lambda self, x: self.a(x) * torch.ones(4), **linears(1)), "uses '_tensor_constant0': only the weights of"),
    (Of(lambda self, x: self.a(x) + 1, **linears(1)), "calls 'add': it has no equal here"),
    (Of(lambda self, x: 1 / self.a(x), **linears(1)), "'truediv': the tensor has to come first"),
    (Of(lambda self, x: torch.add(self.a(x), x, alpha=2), **linears(1)), "'add': alpha has no equal"),
    (Of(lambda self, x: self.a(x)[:, 0], **linears(1)), "calls 'getitem': it has no equal"),
    (Of(lambda self, x: (x, self.a(x)), **linears(1)), "has to give one tensor"),
    (Of(lambda _, x, more: x + more), r"^the module itself: torch.fx cannot follow its forward: .* missing"),
    (Of(lambda _, x: x.size(0)), "has to give one tensor"), (Of(lambda _, x: x.mean()), "over the samples too"),
    (Of(lambda self, x: self.a(x).mean(-1), **linears(1)), "a mean, or a sum, over all positions and nothing else"),
    (Of(lambda self, x: self.a(x).view(-1, 4), **linears(1)), r"only view\(x.size\(0\), -1\)"),
    (Of(lambda self, x: (lambda h: (x + h) * h)(self.a(x)), **linears(1)), "what module 'a' gives is in two branches"),
    (Of(lambda self, x: self.conv(x).permute(0, 3, 1, 2), conv=CONV), "only channels may move"),
    (Of(lambda self, x: self.a(self.conv(x).permute(0, 2, 3, 1).permute(0, 3, 1, 2)), conv=CONV, **linears(1)),
     "^module 'a' is a Linear: it acts on the last axis, which is one of positions"),
    (Of(lambda self, x: self.conv(x) + self.conv(x).mean((2, 3)), conv=CONV), "is called twice"),
    (Of(lambda self, x: (lambda h: h + h.mean((2, 3), keepdim=True))(self.conv(x)), conv=CONV), "different shapes"),
    (Of(lambda self, x: F.linear(x, self.a.weight), **linears(1)), "uses 'weight': only the weights of layers"),
    (Of(lambda self, x: self.conv(x).mean((2, 3)).view(x.size(0), 2, 2), conv=CONV), "'view': only view"),
    (Of(lambda self, x: self.conv(x).mean((2, 3)).view(-1, 2), conv=CONV), "'view': only view"),
    (Of(lambda self, x: self.conv(x).squeeze(), conv=CONV), "only what is behind a global pool, or a single"),
    (Of(lambda self, x: self.a(x.transpose(1, 3)), **linears(1)), "'transpose': only channels may move, from first to"),
    (Of(lambda self, x: self.a(x.transpose(-4, -1)), **linears(1)), "'transpose': only channels may move, from first"),
    (Of(lambda self, x: self.conv(x).transpose(1, 4), conv=CONV), "'transpose': there are 4 axes here"),
    (Of(lambda self, x: self.a(x) ** 0.5, **linears(1)), "calls 'pow': only whole powers have an equal"),
    (Of(lambda self, x: self.a(x) ** -1, **linears(1)), "calls 'pow': degree must be an integer from 0 to"),
    (Of(lambda self, x: self.a(x) / 0, **linears(1)), "calls 'truediv': it may be divided by a number only"),
    (Of(lambda self, x: self.a(x) / x.size(1), **linears(1)), "calls 'truediv': it may be divided by a number only"),
    (Of(lambda self, x: self.a(x) * math.nan, **linears(1)), "calls 'mul': only a number may be multiplied, or"),
    (Of(lambda self, x: self.conv(x).mean((2, 2)), conv=CONV), "a mean, or a sum, over all positions and nothing else"),
    (Of(lambda self, x: torch.cat([self.a(x), self.b(x)]), **linears(2)), "'cat': only channels, or units of vectors"),
    (Of(lambda self, x: torch.cat([self.c(x), self.d(x)], -1), c=CONV, d=OTHER), "'cat': only channels, or units of"),
    (Of(lambda self, x: torch.cat([self.c(x).flatten(1), self.d(x).flatten(1)], 1), c=CONV, d=OTHER), "is not known"),
    (nn.Sequential(SQUARE, nn.GroupNorm(1, 4)), "^module '1' is a GroupNorm: it takes channels first; LayerNorm takes"),
    (half_frozen(), "its weight and its bias must both be trained, or both be frozen"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "sentence"), REFUSED, ids=[sentence[:40] for _, sentence in REFUSED])
def test_what_has_no_equal(module: nn.Module, sentence: str) -> None:
    """Is refused in one sentence, with its place."""
    with pytest.raises(ValueError, match=sentence) as refused:
        layers(module)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("module", [3, nn.Linear, None, fastntk.mlp()])
def test_what_is_no_module(module: Any) -> None:
    """Is told so."""
    with pytest.raises(TypeError, match=r"^from_torch takes a torch\.nn\.Module, got "):
        from_torch(module)
