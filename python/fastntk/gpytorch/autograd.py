"""The kernel matrix as a function that PyTorch differentiates, once, by the derivatives of the C++ core."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .sets import Family, Sets


def kernel_matrix(family: Family, values: torch.Tensor, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
    """Kernel of every set of x with its own of y.

    Parameters
    ----------
    family : Family
    values : tensor of shape (*batch, p)
        Of the free sigmas.
    x : tensor of shape (*batch, n, d)
    y : tensor of shape (*batch, m, d), optional
        Without it x: one tensor, so that its gradient is that of both arguments.

    Returns
    -------
    tensor of shape (*batch, n, m)
        Batches are broadcast.
    """
    given = [x] if y is None else [x, y]
    for tensor in given:
        if tensor.dtype not in (torch.float32, torch.float64) or tensor.device.type != "cpu":
            raise TypeError(
                f"fastntk computes on the CPU, in float32 or float64: got a tensor of {tensor.dtype} on "
                f"{tensor.device}; move model and data with .to('cpu', torch.float64)."
            )
    batch = torch.broadcast_shapes(values.shape[:-1], *(tensor.shape[:-2] for tensor in given))
    return _KernelMatrix.apply(family, values, *(tensor.expand(*batch, -1, -1) for tensor in given))


class _KernelMatrix(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, family: Family, values: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        ctx.family = family
        ctx.save_for_backward(values, *given)
        matrices = _sets(family, values, *given).kernels()
        return torch.from_numpy(matrices.reshape(*given[0].shape[:-2], *matrices.shape[1:]))

    @staticmethod
    def backward(ctx: Any, weights: torch.Tensor) -> tuple[Any, ...]:
        return None, *_Gradients.apply(ctx.family, ctx.needs_input_grad[1:], weights, *ctx.saved_tensors)


class _Gradients(torch.autograd.Function):  # type: ignore[misc]
    """Those of a kernel matrix. They are a function of their own, so that it can say that it has no derivatives."""

    @staticmethod
    def forward(
        _ctx: Any, family: Family, wanted: tuple[bool, ...], weights: torch.Tensor, *saved: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        found = _sets(family, *saved).vjp(_in_a_row(weights, 2), *wanted)
        return tuple(
            torch.from_numpy(slopes.reshape(tensor.shape)).to(tensor.dtype)
            for slopes, tensor in zip(found, saved, strict=True)
        )

    @staticmethod
    def backward(_ctx: Any, *_: torch.Tensor) -> None:
        raise RuntimeError(
            "kernels of fastntk are differentiated once: a gradient made with create_graph=True cannot be "
            "differentiated again; use an optimizer that needs no second derivatives."
        )


def _sets(family: Family, values: torch.Tensor, x: torch.Tensor, y: torch.Tensor | None = None) -> Sets:
    numbers = np.arange(math.prod(values.shape[:-1])).reshape(values.shape[:-1])
    which = np.broadcast_to(numbers, x.shape[:-2]).flatten()
    rows = _in_a_row(values, 1).astype(np.float64)
    return Sets(family, rows, which, _in_a_row(x, 2), None if y is None else _in_a_row(y, 2))


def _in_a_row(tensor: torch.Tensor, kept: int) -> NDArray[Any]:
    """A tensor as an array with all axes of batches in one, before those that are kept."""
    array: NDArray[Any] = tensor.detach().numpy()
    return array.reshape(math.prod(array.shape[:-kept]), *array.shape[-kept:])
