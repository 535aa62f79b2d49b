"""Data, networks and ways to say what is no part of the kernel, for the tests of GaussianProcess."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastntk

Array = NDArray[np.float64]
RNG = np.random.default_rng(0)
X, X_TEST = RNG.normal(size=(30, 3)), RNG.normal(size=(7, 3))
Y = np.sin(X[:, 0]) + 0.5 * X[:, 1] + 3 + 0.1 * RNG.normal(size=30)
BOTH = np.stack((Y, 10 * Y**2), axis=1)
EACH = RNG.uniform(0.01, 0.1, size=30)
NETS = {name: fastntk.mlp(2, name, 1.4, 0.3) for name in ("relu", "erf", "tanh")}
NETS["scaled"] = fastntk.Sequential(fastntk.Scale([1.5, 1.0, 0.5]), *NETS["erf"].layers)
ERF = NETS["erf"]

#: Ways to say what is no part of the kernel.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "number": {"mean": 2.5},
    "constant": {"mean": "constant"},
    "standardised": {"standardize": True},
    "both": {"mean": "constant", "standardize": True},
    "each its noise": {"mean": "constant", "noise": EACH},
}
