"""Derivative of the sum of the entries of an NNGP in the samples."""

from typing import Any

import torch
from botorch.models.kernels import InfiniteWidthBNNKernel

bnn = InfiniteWidthBNNKernel(3).requires_grad_(False)


def gradient(x: Any) -> Any:
    """Of the shape of x."""
    x = torch.tensor(x, requires_grad=True)
    bnn.to(x)
    bnn.weight_var, bnn.bias_var = 2.0, 0.01
    bnn(x).to_dense().sum().backward()
    return x.grad
