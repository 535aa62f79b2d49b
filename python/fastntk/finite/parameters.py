"""Parameters of layers of finite width: their laws, how they are drawn, and the scales they act with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import unknown_name
from .._checks.arrays import real_array
from .._checks.shown import one_line, shown
from ..layers.weighted import Weighted

Array = NDArray[np.float64]


@one_line
class Weights(NamedTuple):
    """Parameters of a layer, or directions in their space: z = bias_scale b + weight_scale W h.

    W has the shape (units, fan-in), of a convolution (units, *taps, channels).
    """

    W: Array
    b: Array


#: Draws (fan-out, fan-in) independent weights of mean 0 and variance 1.
Law = Callable[[np.random.Generator, tuple[int, int]], Array]


def _uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.uniform(-(3**0.5), 3**0.5, shape)


def _rademacher(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.asarray(2.0 * rng.integers(0, 2, shape) - 1)


def _student_t(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.asarray(rng.standard_t(5, shape) * (3 / 5) ** 0.5)


#: Laws of weights by the names that `FiniteNetwork(weights=...)` takes, each a function of (rng, shape). Their mean is
#: 0 and their variance 1, but for "cauchy", which has neither, and no Gaussian limit.
LAWS: dict[str, Law] = {
    "normal": np.random.Generator.standard_normal,
    "uniform": _uniform,
    "rademacher": _rademacher,
    "student_t": _student_t,
    "cauchy": np.random.Generator.standard_cauchy,
}


def laws(weights: str | Law | Sequence[str | Law], behind_weights: Sequence[bool]) -> list[Law]:
    """One law per layer with weights, of which it is given whether there are others before it.

    A single one is for those: the first ones sum over inputs, and are normal.
    """
    if not isinstance(weights, Sequence) or isinstance(weights, str):
        law = _law(weights, "weights")
        return [law if behind else LAWS["normal"] for behind in behind_weights]
    each = [_law(entry, f"weights[{i}]") for i, entry in enumerate(weights)]
    if len(each) != len(behind_weights):
        raise ValueError(
            f"weights must be one law or one for each of {len(behind_weights)} layers with weights, got {len(each)}."
        )
    return each


def _law(entry: object, name: str) -> Law:
    if isinstance(entry, str):
        if entry not in LAWS:
            raise unknown_name("law of weights", entry, list(LAWS))
        return LAWS[entry]
    if not callable(entry):
        raise TypeError(f"{name} must be the name of a law or a function of (rng, shape), got {shown(entry)}.")
    return entry


def drawn(layer: Weighted, given: tuple[int, ...], law: Law, rng: np.random.Generator) -> Weights:
    """Parameters of a layer that has a width, at random; each unit sums over what is `given`, (*taps, channels)."""
    fan_in, fan_out = math.prod(given), layer.width
    assert fan_out is not None
    w = real_array(law(rng, (fan_out, fan_in)), "a draw of weights", finite=False).astype(np.float64)
    if w.shape != (fan_out, fan_in):
        raise ValueError(f"a law of weights gave shape {w.shape} instead of {(fan_out, fan_in)}.")
    if not np.isfinite(w).all():
        raise ValueError("a law of weights gave NaN or infinite numbers.")
    b = rng.standard_normal(fan_out)
    w = w.reshape(fan_out, *given)
    if layer.parametrization == "standard":
        return Weights(layer.sigma_w / fan_in**0.5 * w, layer.sigma_b * b)
    return Weights(w, b)


def scales(layer: Weighted, fan_in: int) -> tuple[float, float]:
    """Factors of weights and biases; 0 for a bias that is not there."""
    if layer.parametrization == "standard":
        return 1.0, float(layer.bias)
    return layer.sigma_w / fan_in**0.5, layer.sigma_b
