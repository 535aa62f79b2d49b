"""How the parameters of networks of finite width are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import unknown_name
from .._checks.shown import shown

Array = NDArray[Any]

#: Draws (fan-out, fan-in) independent weights of mean 0 and variance 1.
Law = Callable[[np.random.Generator, tuple[int, int]], Array]


def _uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.uniform(-(3**0.5), 3**0.5, shape)


def _rademacher(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.asarray(2.0 * rng.integers(0, 2, shape) - 1)


def _student_t(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.asarray(rng.standard_t(5, shape) * (3 / 5) ** 0.5)


#: Laws of weights by name; "cauchy" has no variance, and no Gaussian limit.
LAWS: dict[str, Law] = {
    "normal": np.random.Generator.standard_normal,
    "uniform": _uniform,
    "rademacher": _rademacher,
    "student_t": _student_t,
    "cauchy": np.random.Generator.standard_cauchy,
}


def laws(weights: str | Law | Sequence[str | Law], layers: int) -> list[Law]:
    """One law per Dense layer: a single one is for all but the first, which sums over inputs and is normal."""
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        return [LAWS["normal"]] * min(1, layers) + [_law(weights, "weights")] * (layers - 1)
    each = [_law(entry, f"weights[{i}]") for i, entry in enumerate(weights)]
    if len(each) != layers:
        raise ValueError(f"weights must be one law or one for each of {layers} Dense layers, got {len(each)}.")
    return each


def _law(entry: object, name: str) -> Law:
    if isinstance(entry, str):
        if entry not in LAWS:
            raise unknown_name("law of weights", entry, list(LAWS))
        return LAWS[entry]
    if not callable(entry):
        raise TypeError(f"{name} must be the name of a law or a function of (rng, shape), got {shown(entry)}.")
    return entry
