"""Derivative of the sum of the entries of an NNGP in the samples."""

from typing import Any

import numpy as np

import fastntk

net = fastntk.mlp(3, "relu", sigma_w=2**0.5, sigma_b=0.1)


def gradient(x: Any) -> Any:
    """Of the shape of x."""
    return net.nngp.vjp(x, np.ones((len(x), len(x))), wrt="inputs")
