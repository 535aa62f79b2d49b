"""Scale: the features of samples, each times a weight of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import not_negative
from .._checks.shown import shown
from .base import Layer, Signal

if TYPE_CHECKING:
    from ..activations.duals import Program

#: Weights that people are shown.
_FEW = 6


@dataclass(frozen=True, init=False)
class Scale(Layer):
    """Multiply feature j of the samples by weights[j]: the first layer of a network on vectors.

    A weight says how much a feature matters, the inverse of its length scale: of 0 it does not. They are among the
    hyper-parameters, ``weights[0]``, ``weights[1]``, ..., so that a fit by marginal likelihood finds them, which is
    known as automatic relevance determination (ARD).

    Parameters
    ----------
    weights : sequence of float >= 0
        One for each feature, not all 0. Kernels are functions of their squares, so that signs would say nothing.

    Raises
    ------
    ValueError, TypeError
        A single number, weights that are negative, not finite or all 0; anywhere but at the beginning of a network, or
        samples of another number of features or with positions.

    Notes
    -----
    Samples are multiplied as they are read, in their own precision. K = sum_j weights[j]² x_j x'_j / d at the input;
    a common factor of all weights is one of sigma_w of the first layer.

    References
    ----------
    Neal, "Bayesian learning for neural networks", 1996, section 1.2.4. Rasmussen and Williams, "Gaussian processes for
    machine learning", 2006, section 5.1.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> X = np.arange(6.0).reshape(2, 3)
    >>> net = fastntk.Sequential(fastntk.Scale([1.0, 0.5, 0.0]), fastntk.Dense(1.5, 0.1), "relu", fastntk.Dense())
    >>> bool(np.array_equal(net.ntk(X), net[1:].ntk(X * [1.0, 0.5, 0.0])))
    True
    >>> net.parameters[1]
    Parameter(path='0', name='weights[1]', value=0.5)
    """

    weights: tuple[float, ...]

    def __init__(self, weights: Sequence[float] | NDArray[Any]) -> None:
        try:
            if isinstance(weights, str):
                raise TypeError
            entries: tuple[Any, ...] = tuple(weights)
        except TypeError:
            raise TypeError(
                f"weights must be a sequence, one for each feature, such as [1.0] * 8; got {shown(weights)}."
            ) from None
        numbers = tuple(not_negative(entry, f"weights[{i}]") for i, entry in enumerate(entries))
        if not any(numbers):
            raise ValueError("weights must be one for each feature, not all 0: nothing would be left of the samples.")
        object.__setattr__(self, "weights", numbers)

    def __repr__(self) -> str:
        return f"Scale({list(self.weights)})"

    def __str__(self) -> str:
        some = ", ".join(f"{weight:.4g}" for weight in self.weights[:_FEW])
        return f"Scale([{some}{', …' if len(self.weights) > _FEW else ''}])"

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """Samples x of shape (n, d), float32 or float64, times the weights."""
        with np.errstate(over="ignore", invalid="ignore"):  # who reads samples looks at their norms
            return np.asarray(x * np.asarray(self.weights, x.dtype))

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Its weights."""
        return {f"weights[{j}]": weight for j, weight in enumerate(self.weights)}

    def with_values(self, **values: float) -> Scale:
        """One with other values of some weights."""
        return Scale(list({**self.hyperparameters, **values}.values()))

    def emit(self, program: Program, like: object = None) -> None:
        """Append nothing: samples are multiplied before the engine sees them."""

    def follow(self, signal: Signal) -> Signal:
        """As many features."""
        if not signal.raw:
            raise ValueError("Scale is for the samples themselves, as the first layer of a network.")
        if signal.positions:
            raise ValueError("Scale is for vectors; of images and sequences multiply the channels, X * weights.")
        count = len(self.weights)
        if not math.isnan(signal.units) and signal.units != count:
            raise ValueError(f"there are {count} weights for {signal.units:.0f} features; there must be one for each.")
        return signal._replace(positions=(), units=count)
