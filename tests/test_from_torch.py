"""PyTorch's modules as networks: every layer against the module itself, what a forward may do, and whose sigmas."""

from __future__ import annotations

import doctest
import math
import operator
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch, which no other stage has")

import torch
from tests.torch_modules import Of, layers, linears
from torch import nn
from torch.nn import functional as F  # noqa: N812

import fastntk
from fastntk import Activation, Concat, Dense, Product, Residual, Sequential, Sum, from_torch
from fastntk.pytorch import translation
from fastntk.pytorch.modules import RULES, WEIGHTED

GRID = np.concatenate([np.linspace(-9, 9, 1001), [-30.0, 30.0]])


def of(forward: Callable[[Any], Any]) -> Of:
    """A module whose forward is a function behind a Linear and a tanh."""
    return Of(lambda self, x: forward(torch.tanh(self.first(x))), first=nn.Linear(3, 4))


ACTIVATIONS = [
    nn.ReLU(), nn.LeakyReLU(), nn.LeakyReLU(0.3), nn.ReLU6(), nn.ELU(), nn.ELU(0.5), nn.SELU(), nn.CELU(), nn.CELU(2.0),
    nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Tanh(), nn.Sigmoid(), nn.Softplus(), nn.Softplus(2.0),
    nn.Softplus(0.5, 30.0), nn.Softsign(), nn.Hardtanh(), nn.Hardtanh(-0.5, 2.0), nn.Hardtanh(0.0, 1.0),
    nn.Hardswish(), nn.Hardsigmoid(), nn.Softshrink(), nn.Softshrink(1.1), nn.Hardshrink(), nn.Hardshrink(0.7),
]  # fmt: skip

FUNCTIONS: list[tuple[Callable[[Any], Any], nn.Module | Callable[[Any], Any]]] = [
    (F.relu, nn.ReLU()), (lambda x: F.relu(input=x), nn.ReLU()),
    (torch.relu, nn.ReLU()), (lambda x: x.relu(), nn.ReLU()), (F.gelu, nn.GELU()),
    (lambda x: F.gelu(x, approximate="tanh"), nn.GELU("tanh")), (lambda x: F.leaky_relu(x, 0.2), nn.LeakyReLU(0.2)),
    (lambda x: F.leaky_relu(x, negative_slope=0.2), nn.LeakyReLU(0.2)), (lambda x: F.elu(x, 0.5), nn.ELU(0.5)),
    (F.selu, nn.SELU()), (lambda x: F.celu(x, 2.0), nn.CELU(2.0)), (F.silu, nn.SiLU()), (F.mish, nn.Mish()),
    (torch.tanh, nn.Tanh()), (lambda x: x.tanh(), nn.Tanh()), (torch.sigmoid, nn.Sigmoid()),
    (F.softplus, nn.Softplus()),
    (lambda x: F.softplus(x, 2.0), nn.Softplus(2.0)), (F.softsign, nn.Softsign()), (F.relu6, nn.ReLU6()),
    (lambda x: F.hardtanh(x, -0.5, 2.0), nn.Hardtanh(-0.5, 2.0)), (F.hardswish, nn.Hardswish()),
    (F.hardsigmoid, nn.Hardsigmoid()), (lambda x: F.softshrink(x, 1.1), nn.Softshrink(1.1)),
    (F.hardshrink, nn.Hardshrink()), (torch.sin, torch.sin), (lambda x: x.cos(), torch.cos), (torch.erf, torch.erf),
    (torch.exp, torch.exp), (torch.abs, torch.abs), (torch.sign, torch.sign), (lambda x: x**3, lambda x: x**3),
    (torch.square, torch.square), (lambda x: 0.3 * x, lambda x: 0.3 * x), (lambda x: -x, lambda x: -x),
    (lambda x: x / 4, lambda x: x / 4), (lambda x: x.mul(2), lambda x: 2 * x),
]  # fmt: skip


@pytest.mark.parametrize("module", ACTIVATIONS, ids=str)
def test_activations_are_the_modules_functions(module: nn.Module) -> None:
    """On a grid, in float64; Softplus is linear from 20 on in PyTorch."""
    (activation,) = layers(nn.Sequential(nn.Linear(1, 1), module))[1:]
    wanted = module(torch.from_numpy(GRID)).numpy()
    np.testing.assert_allclose(activation(GRID), wanted, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("function", "module"), FUNCTIONS)
def test_functions_are_those_of_modules(function: Callable[[Any], Any], module: Callable[[Any], Any]) -> None:
    """The same layer as the module is, and the same values."""
    (activation,) = layers(of(function))[2:]
    if isinstance(module, nn.Module):
        assert activation == layers(nn.Sequential(nn.Linear(1, 1), module))[1]
    np.testing.assert_allclose(activation(GRID), module(torch.from_numpy(GRID)).numpy(), rtol=1e-9, atol=1e-15)


def test_every_activation_is_tried() -> None:
    """All modules that have a rule are in a test of this file."""
    others = {nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
              nn.AdaptiveAvgPool3d, nn.Flatten, nn.LayerNorm, nn.GroupNorm, nn.Dropout, nn.Identity}  # fmt: skip
    assert set(RULES) == {*map(type, ACTIVATIONS), *others, *WEIGHTED}


WINDOWS = [
    (nn.Conv2d(2, 1, 3), None), (nn.Conv2d(2, 1, 3, padding=1), None), (nn.Conv2d(2, 1, 3, padding="same"), None),
    (nn.Conv2d(2, 1, 4, padding="same"), None), (nn.Conv2d(2, 1, (4, 3), padding="same", dilation=(1, 2)), None),
    (nn.Conv2d(2, 1, (3, 2), stride=(2, 1), padding=(1, 0)), None), (nn.Conv2d(2, 1, 3, 2, 1), None),
    (nn.Conv2d(2, 1, 3, dilation=2, padding="valid"), None), (nn.Conv2d(2, 1, 5, 3, 4, dilation=2), None),
    (nn.Conv2d(2, 1, 3, padding=1, padding_mode="circular"), None),
    (nn.Conv2d(2, 1, 4, padding="same", padding_mode="circular"), None),
    (nn.Conv2d(2, 1, (5, 3), padding=(4, 1), dilation=(2, 1), padding_mode="circular"), None),
    (nn.Conv2d(2, 1, 3, padding_mode="circular"), None),
    (nn.Conv2d(2, 1, 1), nn.AvgPool2d(2)), (nn.Conv2d(2, 1, 3, padding=1), nn.AvgPool2d(3, 1)),
    (nn.Conv2d(2, 1, 1), nn.AvgPool2d((3, 2), (2, 1), padding=1)),
    (nn.Conv2d(2, 1, 1), nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)),
    (nn.Conv2d(2, 1, 3), nn.AdaptiveAvgPool2d(1)), (nn.Conv2d(2, 1, 3), nn.AdaptiveAvgPool2d((1, 1))),
    (nn.Conv1d(2, 1, 3, padding=1), None), (nn.Conv1d(2, 1, 2, stride=2), nn.AvgPool1d(2, 1)),
    (nn.Conv1d(2, 1, 3), nn.AdaptiveAvgPool1d(1)), (nn.Conv1d(2, 1, 4, padding="same", dilation=3), None),
    (nn.Conv3d(2, 1, (1, 2, 3), stride=(1, 2, 1)), nn.AvgPool3d(2, 1)), (nn.Conv3d(2, 1, 2), nn.AdaptiveAvgPool3d(1)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize(("conv", "pool"), WINDOWS, ids=str)
def test_windows_are_the_modules(conv: Any, pool: Any, rng: np.random.Generator) -> None:
    """What is linear in its weights has the kernel of its derivatives in them: no sampling, the same to rounding."""
    axes = len(conv.kernel_size)
    X = torch.from_numpy(rng.normal(size=(3, 2, *(7, 6, 5)[:axes])))
    weight = conv.weight.detach().double()

    def outputs(weight: Any) -> Any:
        out = conv._conv_forward(X, weight, None)
        return (out if pool is None else pool(out)).flatten(1)

    J = torch.func.jacrev(outputs)(weight).flatten(2)
    wanted = torch.einsum("iPw,jPw->ij", J, J) / J.shape[1] / weight.numel()  # weights of variance 1 / fan-in
    module = nn.Sequential(conv, *([] if pool is None else [pool]), nn.Flatten())
    found = from_torch(module, 1.0, 0.0).nngp(X.movedim(1, -1).numpy())
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-11, atol=1e-14)


def test_heads_and_layouts() -> None:
    """All ways to take positions together, and to move channels, are the same layers."""
    conv, sequence = nn.Conv2d(3, 4, 3), nn.Conv1d(3, 4, 3)
    flat = layers(nn.Sequential(conv, nn.Flatten()))
    for head in (
        lambda x: x.flatten(1), lambda x: torch.flatten(x, 1), lambda x: torch.flatten(x, start_dim=1),
        lambda x: x.view(x.size(0), -1), lambda x: x.reshape(x.shape[0], -1), lambda x: x.view((x.size()[0], -1)),
        lambda x: x.view(-1, 144), lambda x: x.permute(0, 2, 3, 1).flatten(1), lambda x: x.contiguous().flatten(1, 3),
    ):  # fmt: skip
        assert layers(Of(lambda self, x, head=head: head(self.conv(x)), conv=conv)) == flat, head
    pooled = layers(nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)))
    for head in (
        lambda x: x.mean((2, 3)), lambda x: x.mean([-1, -2]), lambda x: torch.mean(x, dim=(2, 3)),
        lambda x: x.mean((2, 3), keepdim=True).flatten(1),
        lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1),
        lambda x: F.avg_pool2d(x, 1).permute(0, 2, 3, 1).mean((1, 2)),
    ):  # fmt: skip
        found = layers(Of(lambda self, x, head=head: self.out(head(self.conv(x))), conv=conv, out=nn.Linear(4, 1)))
        assert found[0] == pooled[0]
        assert found[-2:] == pooled[-2:] == (fastntk.GlobalAvgPool(), Dense())
    summed = layers(Of(lambda self, x: self.conv(x).sum((2, 3)), conv=conv))
    assert summed[1] == fastntk.GlobalSumPool()
    tokens = Of(lambda self, x: self.out(self.conv(x.transpose(1, 2)).transpose(1, 2)).mean(1),
                conv=sequence, out=nn.Linear(4, 2))  # fmt: skip
    assert layers(tokens)[1:] == (Dense(), fastntk.GlobalAvgPool())
    assert layers(nn.Sequential(sequence, nn.Flatten()))[0] == fastntk.Conv((3,), padding="valid")
    cast = Of(lambda self, x: self.a(x.to(torch.float64).double()).float(), a=nn.Linear(3, 4))
    assert layers(cast) == (Dense(),)
    for axes in ((2, 3), (-1, -2)):  # of what comes in, where nothing has said yet where channels are
        assert layers(Of(lambda self, x, axes=axes: self.a(x.mean(axes)), **linears(1)))[0] == fastntk.GlobalAvgPool()
    for shape in ((-1, 4), (2, -1), (2, 4)):  # of vectors, nothing
        viewed = Of(lambda self, x, shape=shape: self.b(self.a(x).flatten(1).view(shape)), **linears(2))
        assert layers(viewed)[-1] == Dense(), shape
    sets = Of(lambda self, x: self.b(F.relu(self.a(x)).mean(1)), a=nn.Linear(3, 4), b=nn.Linear(4, 1))
    assert layers(sets) == (Dense(), Activation("relu"), fastntk.GlobalAvgPool(), Dense())


def test_normalisations() -> None:
    """Over the units of a position, or over all; their eps."""
    conv = nn.Conv2d(3, 4, 3)
    assert layers(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)))[1] == fastntk.LayerNorm(eps=1e-5)
    assert layers(nn.Sequential(conv, nn.LayerNorm([4, 5, 5], eps=0.1)))[1] == fastntk.LayerNorm("all", eps=0.1)
    assert layers(nn.Sequential(conv, nn.GroupNorm(1, 4)))[1] == fastntk.LayerNorm("all", eps=1e-5)
    last = Of(lambda self, x: self.norm(self.conv(x).permute(0, 2, 3, 1)), conv=conv, norm=nn.LayerNorm(4))
    assert layers(last)[1] == fastntk.LayerNorm("channels", eps=1e-5)
    there_and_back = Of(
        lambda self, x: self.b(self.a(self.norm(self.conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)),
        conv=conv, norm=nn.LayerNorm(4), a=nn.Linear(4, 5), b=nn.Conv2d(5, 6, 3),
    )  # fmt: skip
    valid = fastntk.Conv((3, 3), padding="valid")
    assert layers(there_and_back) == (valid, fastntk.LayerNorm("channels", eps=1e-5), Dense(), valid)


def test_dropout_is_for_training() -> None:
    """In evaluation it is not there, as a module and as a function."""
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))
    assert layers(module)[1] == fastntk.Dropout(0.3)
    assert layers(module.eval()) == (Dense(), Dense())
    function = Of(lambda self, x: F.dropout(self.a(x), 0.3, self.training), a=nn.Linear(3, 4))
    assert layers(function)[1:] == (fastntk.Dropout(0.3),)
    assert layers(function.eval()) == (Dense(),)


def test_branches() -> None:
    """Sums, products, and units side by side, nested; a Residual where one branch is what came in."""
    residual = Of(lambda self, x: x + self.b(F.relu(self.a(x))), **linears(2))
    assert layers(nn.Sequential(nn.Linear(3, 4), residual))[1:] == (Residual(Dense(), "relu", Dense()),)
    for forward in (lambda self, x: torch.add(self.a(x), x), lambda self, x: self.a(x).add(x)):
        assert layers(Of(forward, **linears(1))) == (Residual(Dense()),)
    shortcut = Of(lambda self, x: self.a(F.relu(x)) + self.b(x), **linears(2))
    assert layers(nn.Sequential(nn.Linear(3, 4), shortcut))[1:] == (Sum(Sequential("relu", Dense()), Dense()),)
    shared = Of(lambda self, x: (lambda r: self.b(r) + self.c(r))(F.relu(self.a(x))), **linears(3))
    assert layers(shared) == (Dense(), Activation("relu"), Sum(Dense(), Dense()))
    nested = Of(lambda self, x: x + (lambda h: h + self.b(h))(self.a(x)), **linears(2))
    assert layers(nested) == (Residual(Dense(), Residual(Dense())),)
    gated = Of(lambda self, x: self.a(x) * torch.sigmoid(self.b(x)), **linears(2))
    assert layers(gated) == (Product(Dense(), Sequential(Dense(), "sigmoid")),)
    scaled = Of(lambda self, x: F.relu(x + 0.5 * self.a(x)) * -2, **linears(1))  # of a Gaussian, and of none
    half, double = Dense(0.5, trainable=False), Activation("abrelu", a=-2.0, b=-2.0)
    assert layers(nn.Sequential(nn.Linear(3, 4), scaled))[1:] == (Residual(Dense(), half), Activation("relu"), double)
    wide = Of(lambda self, x: self.c(torch.cat([self.a(x), self.b(x)], dim=1).relu()),
              a=nn.Linear(3, 4), b=nn.Linear(3, 12), c=nn.Linear(16, 1))  # fmt: skip
    with pytest.raises(ValueError, match="only channels, or units of vectors"):  # of a sequence 1 is the other axis
        layers(wide)
    wide.function = lambda self, x: self.c(torch.cat([self.a(x), self.b(x)], dim=-1).relu())
    assert layers(wide) == Sequential(Concat(Dense(), Dense(), fractions=[0.25, 0.75]), "relu", Dense()).layers
    for dim in (1, -3):  # channels of images, and units behind a pool
        images = Of(
            lambda self, x, dim=dim: torch.cat([self.a(x), self.b(x)], dim), a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 12, 3)
        )
        assert layers(images)[0].fractions == (0.25, 0.75)
    pooled = Of(lambda self, x: torch.cat([self.a(x).mean((2, 3)), self.b(x).mean((2, 3))], 1),
                a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 12, 3))  # fmt: skip
    assert layers(pooled)[0].fractions == (0.25, 0.75)
    three = Of(lambda self, x: self.a(x) + self.b(x) + self.c(x), **linears(3))
    assert layers(three) == (Sum(Sum(Dense(), Dense()), Dense()),)


def test_what_changes_in_place() -> None:
    """Is refused where it would change what a branch keeps, and accepted elsewhere."""
    parts: dict[str, nn.Module] = {**linears(2), "relu": nn.ReLU(inplace=True), "same": nn.Identity()}

    def changed(self: Any, x: Any) -> Any:
        h = self.a(x)
        return h + self.b(self.relu(h))  # h is relu(h) by then

    def forgotten(self: Any, x: Any) -> Any:
        h = self.a(x)
        self.relu(h)
        return self.b(h)

    def added(self: Any, x: Any) -> Any:
        h = self.a(x)
        h += self.b(F.relu(h))
        return self.relu(h)

    def kept(self: Any, x: Any) -> Any:
        h = before = self.a(x)
        h += self.b(F.relu(h))
        return self.relu(before)

    with pytest.raises(
        ValueError, match=r"^the module itself calls 'iadd': it changes in place what is used again later"
    ):
        layers(Of(kept, **parts))

    def by_another_name(self: Any, x: Any) -> Any:
        h = self.a(x)
        shortcut = self.same(h)
        return self.b(self.relu(h)) + shortcut

    def returned(self: Any, x: Any) -> Any:
        h = self.a(x)
        self.relu(h)
        return h

    for forward in (changed, forgotten, by_another_name, returned):
        with pytest.raises(ValueError, match=r"^module 'relu' is a ReLU: it changes in place what is used again later"):
            layers(Of(forward, **parts))
    assert layers(Of(added, **parts)) == Sequential(Dense(), Residual("relu", Dense()), "relu").layers


OPERATORS: Any = operator


@pytest.mark.parametrize(
    ("change", "alone"),
    [
        (lambda h: OPERATORS.imul(h, 2.0), (Dense(), Dense(2.0, trainable=False))),
        (lambda h: OPERATORS.itruediv(h, 2.0), (Dense(), Dense(0.5, trainable=False))),
        (lambda h: OPERATORS.ipow(h, 2), (Dense(), Activation("monomial", degree=2))),
    ],
    ids=["*=", "/=", "**="],
)
def test_operators_in_place(change: Callable[[Any], Any], alone: tuple[Any, ...]) -> None:
    """Alone they are those that make a new tensor; what has the same memory by another name is changed too."""
    assert layers(Of(lambda self, x: change(self.a(x)), **linears(1))) == alone

    def shared(self: Any, x: Any) -> Any:
        h = self.a(x)
        return self.b(change(h)) + self.c(h)

    with pytest.raises(ValueError, match="it changes in place what is used again later"):
        layers(Of(shared, **linears(3)))


def test_training_of_each_layer() -> None:
    """Frozen weights are not trained."""
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    module[0].requires_grad_(False)
    assert [layer.trainable for layer in layers(module)[::2]] == [False, True]


def test_deviations_of_pytorchs_initialisation() -> None:
    """Whatever it draws is known to be its own; the bias of one unit too."""
    for seed in range(300):
        torch.manual_seed(seed)
        size, width = 1 + seed % 5, 1 + seed % 40
        net = from_torch(nn.Sequential(nn.Linear(size, width), nn.Linear(width, 1)))
        first, last = net
        assert isinstance(first, Dense)
        assert isinstance(last, Dense)
        assert first.sigma_w == last.sigma_w == pytest.approx(1 / math.sqrt(3), rel=1e-15)
        assert first.sigma_b == pytest.approx(1 / math.sqrt(3 * size), rel=1e-15)
        assert (first.width, last.width, first.parametrization) == (width, 1, "standard")
    conv = from_torch(nn.Conv2d(3, 8, (3, 5)))[0]
    assert isinstance(conv, fastntk.Conv)
    assert conv.sigma_b == pytest.approx(1 / math.sqrt(3 * 45), rel=1e-15)
    assert from_torch(nn.Linear(3, 4, device="meta")) == from_torch(nn.Linear(3, 4))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda layer: nn.init.kaiming_normal_(layer.weight), "weight"),
        (lambda layer: nn.init.xavier_uniform_(layer.weight), "weight"),
        (lambda layer: nn.init.zeros_(layer.bias), "bias"),
        (lambda layer: nn.init.constant_(layer.bias, 1e-4), "bias"),
        (lambda layer: nn.init.orthogonal_(layer.weight), "weight"),
        (lambda layer: nn.init.uniform_(layer.weight, -0.04, 0.04), "weight"),
    ],
)
def test_other_initialisations_are_told_apart(change: Callable[[Any], Any], what: str) -> None:
    """And measured, if that is asked for, or given."""
    layer = nn.Linear(400, 300)
    change(layer)
    with pytest.raises(ValueError, match=f"its {what} is not as PyTorch initialises it, .* = 0.05: pass sigma_"):
        from_torch(nn.Sequential(layer))
    (measured,) = from_torch(layer, "measured", "measured")
    assert isinstance(measured, Dense)
    assert measured.sigma_w == pytest.approx(float(layer.weight.detach().square().mean()) ** 0.5 * 20, rel=1e-5)
    assert measured.sigma_b == pytest.approx(float(layer.bias.detach().square().mean()) ** 0.5, rel=1e-5)
    assert measured.bias
    assert layers(layer) == (Dense(1.0, 0.0),)


@pytest.mark.parametrize(("units", "value"), [(1, 0.0), (10, 0.0), (10, 1e-3)])
def test_few_numbers_are_told_apart_too(units: int, value: float) -> None:
    """Biases of one unit, or ten, that no interval of that length gives."""
    layer = nn.Linear(100, units)
    nn.init.constant_(layer.bias, value)
    with pytest.raises(ValueError, match="its bias is not as PyTorch initialises it"):
        from_torch(layer)


def test_given_deviations() -> None:
    """One for all, or one for each layer in the order of calls, some of them read off; no bias where there is none."""
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 1))
    net = from_torch(module, [1.0, None, 2.0], 0.1, parametrization="ntk")
    assert net == Sequential(Dense(1.0, 0.1), "relu", Dense(1 / math.sqrt(3)), "relu", Dense(2.0, 0.1))
    with pytest.raises(ValueError, match=r"^sigma_w must be one for all or one for each of the 3 layers with weights"):
        from_torch(module, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"^sigma_w\[1\] must be a standard deviation, 'measured' or None, got 'read'"):
        from_torch(module, [1.0, "read", 2.0])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"^sigma_b is a standard deviation and must be >= 0"):
        from_torch(module, 1.0, -1.0)
    with pytest.raises(ValueError, match=r"^parametrization must be 'standard' or 'ntk'"):
        from_torch(module, parametrization="mup")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^module '0' is a Linear: its weight has no numbers yet"):
        from_torch(nn.Sequential(nn.Linear(3, 4, device="meta")), "measured")


def test_import_needs_no_pytorch() -> None:
    """`import fastntk` does not import it, and a machine without it gets a sentence."""
    code = (
        "import sys, fastntk\nassert 'torch' not in sys.modules\nsys.modules['torch'] = None\n"
        "try: fastntk.from_torch(3)\nexcept TypeError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "from_torch takes a torch.nn.Module, got 3.\n"


def test_docstring() -> None:
    """Its examples print what they say."""
    assert doctest.testmod(translation, optionflags=doctest.ELLIPSIS).failed == 0
