"""The hyper-parameters of a network that a fit may move: which sigmas, together or one by one, and how far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..._checks.arguments import finite_number
from ..._checks.shown import shown
from ...layers.base import Layer
from ...layers.dense import Dense
from ...networks.sequential import Sequential

Array = NDArray[np.float64]
Bounds = Sequence[float] | Literal["fixed"] | None


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


def output_scaled(net: Sequential, factor: float) -> Sequential:
    """The network whose outputs are `factor` times as large: both sigmas of its last layer, which is Dense."""
    last = net.layers[-1]
    assert isinstance(last, Dense)
    return Sequential(*net.layers[:-1], replace(last, sigma_w=factor * last.sigma_w, sigma_b=factor * last.sigma_b))


class Sigmas:
    """Factors exp(theta) of the sigmas of the Dense layers: one for all of a kind, or one each.

    A sigma of 0 has no logarithm and stays 0; a kind whose bounds are "fixed" stays as it is.
    """

    def __init__(self, net: Sequential, sigma_w: Bounds, sigma_b: Bounds, *, per_layer: bool) -> None:
        self.layers = net.layers
        dense = [layer for layer in net.layers if isinstance(layer, Dense)]
        self.sigmas: Array = np.array([(layer.sigma_w, layer.sigma_b) for layer in dense]).reshape(-1, 2)
        alike = bool((self.sigmas == self.sigmas[:1]).all())
        # The gradient in one sigma that all layers have in common costs less.
        self.shared = alike and not per_layer
        kinds = np.tile(np.eye(2), len(dense))
        moved = np.eye(self.sigmas.size) if per_layer else kinds
        free = self.sigmas.ravel() > 0
        for kind, bounds in zip(kinds, (sigma_w, sigma_b), strict=True):
            free &= (kind == 0) | (not is_fixed(bounds))
        names = [f"{kind} of Dense layer {i}" for i in range(len(dense)) for kind in ("sigma_w", "sigma_b")]
        chosen: NDArray[np.bool_] = np.asarray((moved * free).any(axis=1))
        self._moved = moved[chosen] * free
        each = names if per_layer else [kind if alike else f"factor of {kind}" for kind in ("sigma_w", "sigma_b")]
        self.names = [name for name, there in zip(each, chosen, strict=True) if there]
        self.bounds = [self._factors(row > 0, sigma_w, sigma_b) for row in self._moved]

    def __len__(self) -> int:
        return len(self._moved)

    def _factors(self, row: NDArray[np.bool_], sigma_w: Bounds, sigma_b: Bounds) -> tuple[float, float]:
        """Bounds of the logarithm of a factor, such that all that it multiplies stay within theirs."""
        which = int(np.flatnonzero(row)[0]) % 2
        bounds, name = (sigma_w, sigma_b)[which], ("sigma_w_bounds", "sigma_b_bounds")[which]
        if bounds is None:
            return -_FARTHEST, _FARTHEST
        low, high = np.log(pair(bounds, name))
        now = np.log(self.sigmas.ravel()[row])
        if low - now.min() > high - now.max():
            raise ValueError(f"{name}={bounds!r} is narrower than the range of the layers, which share one factor.")
        return float(low - now.min()), float(high - now.max())

    @property
    def start(self) -> Array:
        """Logarithms of what `names` are the names of: of the sigmas, or 0 of a factor of several that differ."""
        values = [self.sigmas.ravel()[row > 0] for row in self._moved]
        factor = [name.startswith("factor") for name in self.names]
        return np.array([0.0 if f else float(np.log(v[0])) for v, f in zip(values, factor, strict=True)])

    def network(self, theta: Array) -> Sequential:
        """The network with its sigmas multiplied."""
        scaled = iter((self.sigmas * np.exp(theta @ self._moved).reshape(-1, 2)).tolist())
        layers: list[Layer] = []
        for layer in self.layers:
            if isinstance(layer, Dense):
                sigma_w, sigma_b = next(scaled)
                layers.append(replace(layer, sigma_w=sigma_w, sigma_b=sigma_b))
            else:
                layers.append(layer)
        return Sequential(*layers)

    def pull_back(self, slopes: Array, net: Sequential) -> Array:
        """Derivative in theta, from that in the sigmas of a network."""
        now = np.array([(layer.sigma_w, layer.sigma_b) for layer in net.layers if isinstance(layer, Dense)])
        if self.shared:
            return np.asarray((slopes * now[0])[self._moved[:, :2].any(axis=0)])
        return np.asarray(self._moved @ (slopes * now.ravel()))


#: How far a sigma without bounds of its own goes from where it starts, in its logarithm: a factor of 1,000.
_FARTHEST = float(np.log(1e3))
