"""The hyper-parameters of a network that a fit may move: which of them, together or one by one, and how far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..._checks.arguments import finite_number, one_of
from ..._checks.shown import shown
from ...layers.weighted import Weighted
from ...networks.sequential import Sequential

Array = NDArray[np.float64]
Bounds: TypeAlias = Sequence[float] | Literal["fixed"] | None

#: One factor for all sigma_w, one for all sigma_b, and the weights of a Scale; those of every layer; none.
Which: TypeAlias = Literal["shared", "all", "fixed"]


def pair(bounds: object, name: str) -> tuple[float, float]:
    """Bounds > 0 in ascending order."""
    try:
        first: object
        second: object
        first, second = bounds  # type: ignore[misc]
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair of numbers, 'fixed' or None, got {shown(bounds)}.") from None
    low, high = finite_number(first, f"{name}[0]"), finite_number(second, f"{name}[1]")
    if not 0 < low <= high:
        raise ValueError(f"{name} must be a pair of numbers > 0 in ascending order, got {shown(bounds)}.")
    return low, high


def is_fixed(bounds: object) -> bool:
    """Whether bounds say that there is nothing to move."""
    return isinstance(bounds, str) and bounds == "fixed"


def check_which(hyperparameters: object) -> None:
    """Refuse what is none of the three."""
    one_of(hyperparameters, "hyperparameters", ("shared", "all", "fixed"))


def check_output(net: Sequential) -> None:
    """Refuse a network whose outputs have no scale of their own."""
    last = net.layers[-1] if net.layers else None
    if not isinstance(last, Weighted) or last.parametrization != "ntk":
        raise ValueError(
            "the output scale is that of a last Dense layer, of the ntk parametrization: append one, or pass "
            "output_scale=False."
        )


def output_scaled(net: Sequential, factor: float) -> Sequential:
    """The network whose outputs are `factor` times as large: both sigmas of its last layer, which is Dense."""
    values = [parameter.value for parameter in net.parameters]
    return net.with_parameters([*values[:-2], *(factor * value for value in values[-2:])])


class Sigmas:
    """The sigmas of a network and weights of its Scale that are free; theta their logarithms, less where they start.

    Shared ones are told by the first that is not 0, and the others keep their ratios to it. What is 0 has no
    logarithm and stays 0; a kind whose bounds are "fixed" stays as it is.
    """

    def __init__(
        self, net: Sequential, sigma_w: Bounds, sigma_b: Bounds, hyperparameters: Which, scale: Bounds = None
    ) -> None:
        self.net = net
        parameters = net.parameters
        self._now: Array = np.array([parameter.value for parameter in parameters])
        kinds = np.array([parameter.name for parameter in parameters], dtype=np.str_)
        of_weights, of_biases, of_features = ("sigma_w", sigma_w), ("sigma_b", sigma_b), ("scale", scale)
        bounds = [
            of_biases if kind == "sigma_b" else of_features if kind.startswith("weights") else of_weights
            for kind in map(str, kinds)
        ]
        free = (self._now > 0) & np.array([not is_fixed(limits) for _, limits in bounds], bool)
        which = np.flatnonzero(free)
        moved = {
            "shared": [np.flatnonzero(free & (kinds == kind)) for kind in dict.fromkeys(kinds[which])],
            "all": [which[i : i + 1] for i in range(len(which))],
            "fixed": [],
        }[hyperparameters]
        self.names: list[str] = []
        """For people."""
        self.keys: list[str] = []
        """For keyword arguments: the place of the layer, if it is that of one layer, and the name."""
        self.bounds: list[tuple[float, float]] = []
        """Of theta, such that all sigmas that it moves stay within theirs."""
        self._moved: NDArray[np.bool_] = np.zeros((len(moved), len(kinds)), bool)
        for row, those in zip(self._moved, moved, strict=True):
            row[those] = True
            (place, kind, _), (name, limits) = parameters[those[0]], bounds[those[0]]
            self.names.append(kind if hyperparameters == "shared" else f"{kind} of layer {place}")
            self.keys.append(kind if hyperparameters == "shared" else f"{place}__{kind}")
            self.bounds.append(_factors(limits, f"{name}_bounds", self._now[row]))
        self.values: Array = self._now[[those[0] for those in moved]]
        """What `names` are the names of, where theta is 0."""

    def __len__(self) -> int:
        return len(self.names)

    def with_values(self, values: Array) -> Sequential:
        """The network with these for `values`."""
        ratios = self._moved * (self._now / np.where(self._moved, self.values[:, None], 1.0))
        return self.net.with_parameters(np.where(self._moved.any(axis=0), values @ ratios, self._now).tolist())

    def network(self, theta: Array) -> Sequential:
        """The network with its sigmas multiplied by exp(theta)."""
        return self.with_values(self.values * np.exp(theta))

    def moves(self, net: Sequential) -> list[list[float]]:
        """How far each theta moves the sigmas of a network that was made of this one."""
        moves: list[list[float]] = (self._moved * [parameter.value for parameter in net.parameters]).tolist()
        return moves


def _factors(bounds: Bounds, name: str, now: Array) -> tuple[float, float]:
    """Bounds of the logarithm of a factor, such that all that it multiplies stay within theirs."""
    if bounds is None:
        return -_FARTHEST, _FARTHEST
    low, high = np.log(pair(bounds, name))
    logs = np.log(now)
    if low - logs.min() > high - logs.max():
        raise ValueError(f"{name}={bounds!r} is narrower than the range of the layers, which share one factor.")
    return float(low - logs.min()), float(high - logs.max())


#: How far a sigma without bounds of its own goes from where it starts, in its logarithm: a factor of 1,000.
_FARTHEST = float(np.log(1e3))
