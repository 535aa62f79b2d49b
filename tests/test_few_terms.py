"""Expansions where a few terms suffice, where all are needed, and where both meet in one vector, against quadrature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from fastntk import Activation, mlp

Array = NDArray[np.float64]


def elu(x: Array) -> Array:
    """Of alpha = 1."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def elu_slope(x: Array) -> Array:
    """Its derivative."""
    return np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))


FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "elu": (elu, elu_slope),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2.0),
    "polynomial": (lambda x: 3 + x - 0.3 * x**2 + 0.2 * x**3, lambda x: 1 - 0.6 * x + 0.6 * x**2),
}
COEFFICIENTS: dict[str, dict[str, Any]] = {"polynomial": {"coefficients": (3, 1, -0.3, 0.2)}}
END = 9.0


def panels(edges: Array) -> tuple[Array, Array]:
    """Gauss and Legendre's rule for the normal density between edges, the last axis of `edges`."""
    x, w = leggauss(30)
    half, middle = np.diff(edges)[..., None] / 2, (edges[..., 1:] + edges[..., :-1])[..., None] / 2
    z = (middle + half * x).reshape(*edges.shape[:-1], -1)
    return z, (half * w).reshape(z.shape) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def expectation(f: Callable[[Array], Array], q: float, rho: float) -> float:
    """E[f(u) f(v)], cut where u or v is 0."""
    z, w = panels(np.linspace(-END, END, 9))
    u, rest = np.sqrt(q) * z, np.sqrt((1 - rho) * (1 + rho))
    if rest == 0:
        return float(w @ (f(u) * f(rho * u)))
    kink = np.clip(-rho * z / rest, -END, END)[:, None]
    cuts = np.sort(np.concatenate((np.broadcast_to(np.linspace(-END, END, 5), (len(z), 5)), kink), axis=1))
    other, weight = panels(cuts)
    v = rho * u[:, None] + np.sqrt(q) * rest * other
    return float(w @ (f(u) * (weight * f(v)).sum(axis=1)))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whatever_the_correlations_of_neighbours(name: str, dtype: type[np.floating]) -> None:
    """Within the tolerance, for vectors of small correlations, of mixed ones, and of duplicates and antipodes."""
    rng, q, tolerance = np.random.default_rng(5), 1.3, 1e-6
    small, middling = rng.uniform(-0.3, 0.3, 120), rng.uniform(-0.9, 0.9, 120)
    rho = np.concatenate((small, [0, 1e-9, -1], small, [1], middling, [0.99, -0.999], small * 1e-3))
    rho = rho.astype(dtype).astype(np.float64)
    x = np.sqrt(2 * q) * np.stack((rho, np.sqrt(1 - rho**2)), axis=1)
    centre = np.array([[np.sqrt(2 * q), 0.0]])
    net = mlp(1, Activation(name, tolerance=tolerance, **COEFFICIENTS.get(name, {})), 1.0, 0.0)
    nngp, ntk = (part[0].astype(np.float64) for part in net.kernels(centre.astype(dtype), x.astype(dtype)))
    phi, slope = FUNCTIONS[name]
    rounding = 16 * np.finfo(dtype).eps
    scale, slope_scale = expectation(phi, q, 1.0), expectation(slope, q, 1.0)
    some = np.concatenate((np.arange(0, len(rho), 7), np.flatnonzero(np.abs(rho) > 0.95)))
    for i in some:
        f, f_slope = expectation(phi, q, rho[i]), expectation(slope, q, rho[i])
        assert abs(nngp[i] - f) <= (tolerance + rounding) * scale
        assert abs(ntk[i] - f - rho[i] * q * f_slope) <= 2 * (tolerance + rounding) * (scale + q * slope_scale)
