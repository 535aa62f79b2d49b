"""Derivative of the sum of the entries of an NNGP in the samples."""

from typing import Any

import torch
from botorch.models.kernels import InfiniteWidthBNNKernel

bnn = InfiniteWidthBNNKernel(3).requires_grad_(False)


def gradient(x: Any) -> Any:
    """Of the shape of x."""
    x = torch.from_numpy(x)
    bnn.to(x)
    bnn.weight_var, bnn.bias_var = x.new_tensor(2.0), x.new_tensor(0.01)  # numbers would be rounded to float32
    x.requires_grad_()
    bnn(x).to_dense().sum().backward()
    return x.grad
