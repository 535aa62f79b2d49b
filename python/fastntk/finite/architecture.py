"""Which stacks are networks of finite width, and how their parameters are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import unknown_name, whole_number
from ..activations import Activation
from ..layers import Dense
from ..network import Sequential

Array = NDArray[Any]

#: Draws (fan-out, fan-in) independent weights of mean 0 and variance 1.
Law = Callable[[np.random.Generator, tuple[int, int]], Array]

#: Laws of weights by name; "cauchy" has no variance, and no Gaussian limit.
LAWS: dict[str, Law] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-(3**0.5), 3**0.5, shape),
    "rademacher": lambda rng, shape: 2.0 * rng.integers(0, 2, shape) - 1,
    "student_t": lambda rng, shape: rng.standard_t(5, shape) * (3 / 5) ** 0.5,
    "cauchy": lambda rng, shape: rng.standard_cauchy(shape),
}

_IDENTITY = Activation("identity")


def dense_and_activations(net: object) -> tuple[list[Dense], list[Activation]]:
    """Dense layers, and what is between each two of them.

    Raises
    ------
    TypeError, ValueError
        If it is no network, or none that exists at finite width.
    """
    if not isinstance(net, Sequential):
        raise TypeError(f"net must be a Sequential, got {net!r}.")
    dense: list[Dense] = []
    between: list[Activation] = []
    for layer in net.layers:
        if isinstance(layer, Dense):
            if len(between) < len(dense):
                between.append(_IDENTITY)
            dense.append(layer)
        elif len(between) == len(dense) - 1:
            between.append(layer)
        else:
            break
    if not dense or len(between) != len(dense) - 1:
        raise ValueError(
            "a network of finite width begins and ends with Dense, and has at most one Activation between two of "
            f"them; got {net!r}."
        )
    return dense, between


def widths(width: int | Sequence[int], hidden: int) -> list[int]:
    """One width per hidden layer."""
    if isinstance(width, Sequence) or np.ndim(width):
        each = [whole_number(w, f"width[{i}]", least=1) for i, w in enumerate(width)]  # type: ignore[arg-type]
        if len(each) != hidden:
            raise ValueError(f"width must be a number or one for each of {hidden} hidden layers, got {len(each)}.")
        return each
    return [whole_number(width, "width", least=1)] * hidden


def laws(weights: str | Law | Sequence[str | Law], layers: int) -> list[Law]:
    """One law per Dense layer: a single one is for all but the first, which sums over inputs and is normal."""
    if isinstance(weights, str) or callable(weights):
        return [LAWS["normal"]] * min(1, layers) + [_law(weights)] * (layers - 1)
    each = [_law(entry) for entry in weights]
    if len(each) != layers:
        raise ValueError(f"weights must be one law or one for each of {layers} Dense layers, got {len(each)}.")
    return each


def _law(entry: object) -> Law:
    if callable(entry):
        return entry
    if entry not in LAWS:
        raise unknown_name("law of weights", str(entry), list(LAWS))
    return LAWS[str(entry)]
