"""Forty images of 6 x 5 pixels and two channels, some of them black, for all that takes samples."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fastntk import Conv, Dense, Flatten, Reshape, Sequential

Kind = Literal["nngp", "ntk"]

SHAPE = (6, 5, 2)
_RNG = np.random.default_rng(0)
X, Y = _RNG.normal(size=(40, *SHAPE)), _RNG.normal(size=(13, *SHAPE))
X[5, 1:4], X[7], X[9] = 0, 0, X[3] * 2
TARGET = np.sin(X[:, 0, 0, 0]) + X.mean(axis=(1, 2, 3))

FLAT = Sequential(Conv(3, sigma_w=1.4, sigma_b=0.1), "relu", Conv(2, 2, sigma_b=0.2), "erf", Flatten(), Dense(1.2, 0.1))
ROWS = Sequential(Reshape(*SHAPE), *FLAT)


def rows(x: Any) -> Any:
    """One row of numbers a sample."""
    return x.reshape(len(x), -1)


def kernel(net: Sequential, kind: Kind, *data: Any) -> Any:
    """In memory, layer by layer."""
    return getattr(net, kind)(*data, univariate=False)
