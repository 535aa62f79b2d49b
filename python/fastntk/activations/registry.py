"""Every activation that has a name: its parameters, and the dual they make."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from .._checks.arguments import finite_number, not_negative, positive, whole_number
from .._checks.shown import shown
from . import functions, named
from .duals import (
    Dual,
    Erf,
    Expanded,
    NormalizedExponential,
    PiecewiseLinear,
    PiecewisePolynomial,
    Polynomial,
    RectifiedMonomial,
    Sign,
    Smooth,
)
from .interpolation import MOST_KEPT

Value = float | tuple[float, ...]
Check = Callable[[object, str], Any]


@dataclass(frozen=True)
class Parameter:
    """Its default (None: required), and what it may be."""

    default: Value | None
    check: Check = finite_number


@dataclass(frozen=True)
class Family:
    """How a name becomes a dual."""

    make: Callable[..., Dual]
    parameters: dict[str, Parameter] = field(default_factory=dict)


def _not_zero(value: object, name: str) -> float:
    number = finite_number(value, name)
    if number == 0:
        raise ValueError(f"{name} must not be 0.")
    return number


def _degree(most: int) -> Check:
    return lambda value, name: whole_number(value, name, least=0, most=most)


def _coefficients(value: object, name: str) -> tuple[float, ...]:
    try:
        entries: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be a sequence of numbers, lowest order first, got {shown(value)}.") from None
    if not 0 < len(entries) <= _HIGHEST_DEGREE + 1:
        raise ValueError(f"{name} must be 1 to {_HIGHEST_DEGREE + 1} numbers, got {len(entries)}.")
    return tuple(finite_number(entry, f"{name}[{i}]") for i, entry in enumerate(entries))


#: Of polynomials: the double factorials of twice it are well within range.
_HIGHEST_DEGREE = 20


def _sinusoid(function: functions.Function, a: float, b: float, kappa: float, at_zero: float) -> Dual:
    return Smooth(function, "sinusoid", (a, b, kappa, at_zero))


def _monomial(degree: int) -> Dual:
    return _polynomial((0.0,) * degree + (1.0,))


def _polynomial(coefficients: tuple[float, ...]) -> Dual:
    return Polynomial(named.polynomial(coefficients), coefficients)


def _hermite(degree: int) -> Dual:
    """He_k / sqrt(k!) by powers: (-1)^j k! / (j! (k - 2j)! 2^j) x^(k - 2j)."""
    coefficients = [0.0] * (degree + 1)
    for j in range(degree // 2 + 1):
        count = math.factorial(degree) // (math.factorial(j) * math.factorial(degree - 2 * j) * 2**j)
        coefficients[degree - 2 * j] = (-1) ** j * count / math.sqrt(math.factorial(degree))
    return Polynomial(named.hermite(degree), tuple(coefficients))


def _expanded(make: Callable[..., functions.Function]) -> Callable[..., Dual]:
    shared = lru_cache(maxsize=MOST_KEPT)(make)  # equal activations share their expansions
    return lambda **parameters: Expanded(shared(**parameters), None)


def _pieces(make: Callable[..., functions.PiecewisePolynomial]) -> Callable[..., Dual]:
    return lambda **parameters: PiecewisePolynomial(make(**parameters))


_HALF_ROOT = 1 / math.sqrt(2)
_ABC = {"a": Parameter(1.0), "b": Parameter(1.0), "c": Parameter(0.0)}
_BETA = {"beta": Parameter(1.0, positive)}
_ALPHA = {"alpha": Parameter(1.0, positive)}
_THRESHOLD = {"threshold": Parameter(0.5, positive)}

REGISTRY: dict[str, Family] = {
    # Closed forms
    "identity": Family(lambda: PiecewiseLinear(1.0, 1.0)),
    "relu": Family(lambda: PiecewiseLinear(0.0, 1.0)),
    "leaky_relu": Family(lambda alpha: PiecewiseLinear(alpha, 1.0), {"alpha": Parameter(0.01)}),
    "abs": Family(lambda: PiecewiseLinear(-1.0, 1.0)),
    "abrelu": Family(PiecewiseLinear, {"a": Parameter(None), "b": Parameter(None)}),
    "step": Family(lambda: RectifiedMonomial(0)),
    "sign": Family(Sign),
    "squared_relu": Family(lambda: RectifiedMonomial(2)),
    "rectified_monomial": Family(RectifiedMonomial, {"degree": Parameter(1, _degree(3))}),
    "erf": Family(Erf, _ABC),
    "normal_cdf": Family(lambda: Erf(0.5, _HALF_ROOT, 0.5)),
    "sigmoid_like": Family(lambda: Erf(0.5, 1 / 2.4020563531719796, 0.5)),
    "gelu": Family(lambda: Smooth(named.gelu(), "gelu")),
    "smoothed_relu": Family(
        lambda s: Smooth(named.smoothed_relu(s), "smoothed_relu", (s,)), {"s": Parameter(1.0, positive)}
    ),
    "sin": Family(lambda a, b, c: _sinusoid(named.sin(a, b, c), a, b, math.cos(2 * c), math.sin(c)), _ABC),
    "cos": Family(lambda a, b, c: _sinusoid(named.cos(a, b, c), a, b, -math.cos(2 * c), math.cos(c)), _ABC),
    "snake": Family(lambda a: Smooth(named.snake(a), "snake", (a,)), {"a": Parameter(1.0, _not_zero)}),
    "rbf": Family(lambda gamma: Smooth(named.rbf(gamma), "rbf", (gamma,)), {"gamma": Parameter(1.0, not_negative)}),
    "exp": Family(
        lambda a, b: Smooth(named.exponential(a, b), "exponential", (a, b)), {"a": Parameter(1.0), "b": Parameter(1.0)}
    ),
    "exp_normalized": Family(NormalizedExponential, {"gamma": Parameter(1.0, not_negative), "shift": Parameter(-1.0)}),
    "gaussian": Family(
        lambda a, b: Smooth(named.gaussian(a, b), "gaussian", (a, b)), {"a": Parameter(1.0), "b": Parameter(-1.0)}
    ),
    "gabor": Family(lambda: Smooth(named.gabor(), "gabor")),
    "monomial": Family(_monomial, {"degree": Parameter(None, _degree(_HIGHEST_DEGREE))}),
    "polynomial": Family(_polynomial, {"coefficients": Parameter(None, _coefficients)}),
    "hermite": Family(_hermite, {"degree": Parameter(None, _degree(_HIGHEST_DEGREE))}),
    "hard_tanh": Family(_pieces(named.hard_tanh)),
    "relu6": Family(_pieces(named.relu6)),
    "hard_sigmoid": Family(_pieces(named.hard_sigmoid)),
    "hard_swish": Family(_pieces(named.hard_swish)),
    "soft_shrink": Family(_pieces(named.soft_shrink), _THRESHOLD),
    "hard_shrink": Family(_pieces(named.hard_shrink), _THRESHOLD),
    # Expansions
    "tanh": Family(_expanded(named.tanh)),
    "sigmoid": Family(_expanded(named.sigmoid)),
    "softplus": Family(_expanded(named.softplus), _BETA),
    "silu": Family(_expanded(partial(named.swish, 1.0))),
    "swish": Family(_expanded(named.swish), _BETA),
    "mish": Family(_expanded(named.mish)),
    "gelu_tanh": Family(_expanded(named.gelu_tanh)),
    "elu": Family(_expanded(named.elu), _ALPHA),
    "selu": Family(_expanded(named.selu)),
    "celu": Family(_expanded(named.celu), _ALPHA),
    "softsign": Family(_expanded(named.softsign)),
    "log_cosh": Family(_expanded(named.log_cosh)),
}
