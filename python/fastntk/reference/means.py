"""Textbook means of `reference`: E[phi(sqrt(q) z)], z ~ N(0, 1), as LayerNorm subtracts it."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, gamma, pi, sqrt

import numpy as np
from numpy import exp, expm1

from ..layers.activation import Activation
from .forms import Array

__all__ = ["MEANS", "kinks"]


def _rectified_monomial(q: Array, degree: float) -> Array:
    """For phi = max(x, 0)^n: half the absolute moment, 2^(n/2) Gamma((n + 1) / 2) / sqrt(pi) q^(n/2)."""
    return np.asarray(2 ** (degree / 2) * gamma((degree + 1) / 2) / (2 * sqrt(pi)) * q ** (degree / 2))


def _abrelu(q: Array, a: float, b: float) -> Array:
    """For phi = b max(x, 0) + a min(x, 0)."""
    return (b - a) * _rectified_monomial(q, 1)


def _polynomial(q: Array, coefficients: tuple[float, ...]) -> Array:
    """For phi = sum of a_i x^i: E[x^(2m)] = (2m)! q^m / (2^m m!)."""
    total = np.zeros_like(q)
    for m, coefficient in enumerate(coefficients[::2]):
        total = total + coefficient * (factorial(2 * m) // (2**m * factorial(m))) * q**m
    return total


def _hermite(q: Array, degree: float) -> Array:
    """For phi = He_n(x) / sqrt(n!), by E exp(t x - t^2 / 2) = exp(t^2 (q - 1) / 2)."""
    n = int(degree)
    if n % 2:
        return np.zeros_like(q)
    return np.asarray(sqrt(factorial(n)) / (2 ** (n // 2) * factorial(n // 2)) * (q - 1) ** (n // 2))


#: name -> E[phi(sqrt(q) z)], as a function of q and the parameters of the activation
MEANS: dict[str, Callable[..., Array]] = {
    "identity": np.zeros_like,
    "relu": lambda q: _abrelu(q, 0, 1),
    "leaky_relu": lambda q, alpha: _abrelu(q, alpha, 1),
    "abs": lambda q: _abrelu(q, -1, 1),
    "abrelu": _abrelu,
    "step": lambda q: _rectified_monomial(q, 0),
    "sign": np.zeros_like,
    "squared_relu": lambda q: _rectified_monomial(q, 2),
    "rectified_monomial": _rectified_monomial,
    "erf": lambda q, a, b, c: np.full_like(q, c),  # noqa: ARG005
    "normal_cdf": lambda q: np.full_like(q, 1 / 2),
    "sigmoid_like": lambda q: np.full_like(q, 1 / 2),
    "gelu": lambda q: q / np.sqrt(2 * pi * (1 + q)),  # Stein's lemma: q E[Phi'(x)]
    "smoothed_relu": lambda q, s: _rectified_monomial(q + s**2, 1),
    "sin": lambda q, a, b, c: a * np.sin(c) * exp(-(b**2) * q / 2),
    "cos": lambda q, a, b, c: a * np.cos(c) * exp(-(b**2) * q / 2),
    "rbf": lambda q, gamma: exp(-gamma * q),
    "snake": lambda q, a: -expm1(-2 * a**2 * q) / (2 * a),
    "exp": lambda q, a, b: a * exp(b**2 * q / 2),
    "exp_normalized": lambda q, gamma, shift: np.full_like(q, np.nan),  # noqa: ARG005  # of no known phi
    "gaussian": lambda q, a, b: a / np.sqrt(1 - 2 * b * q),
    "gabor": np.zeros_like,
    "polynomial": _polynomial,
    "monomial": lambda q, degree: _polynomial(q, (0.0,) * int(degree) + (1.0,)),
    "hermite": _hermite,
}

#: Where activations without a mean here are not smooth, other than at 0.
_KINKS: dict[str, Callable[..., tuple[float, ...]]] = {
    "hard_tanh": lambda: (-1, 1),
    "relu6": lambda: (0, 6),
    "hard_sigmoid": lambda: (-3, 3),
    "hard_swish": lambda: (-3, 3),
    "soft_shrink": lambda threshold: (-threshold, threshold),
    "hard_shrink": lambda threshold: (-threshold, threshold),
    "piecewise_linear": lambda breakpoints, slopes: breakpoints,  # noqa: ARG005
}


def kinks(activation: Activation) -> tuple[float, ...]:
    """Where it is not smooth, other than at 0."""
    if activation.function is not None:
        return tuple(dict(activation._options).get("kinks", ()))
    where = _KINKS.get(activation.name)
    return () if where is None else where(**dict(activation.parameters))
