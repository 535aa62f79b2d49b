"""What a network of finite width computes with its parameters, and derivatives forward and back, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import random_generator, whole_number
from .._checks.arrays import real_array
from .._checks.shown import shown
from .._machine.floating import undisturbed
from ..kernels.blocks import memory_limit
from ..layers.base import VARIOUS, Layer, Layers, Signal, follow_all
from ..layers.migration import check_finite, refuse
from ..layers.weighted import Weighted
from ..networks.sequential import Sequential, checked
from .parameters import Array, Law, Weights, drawn, laws, scales
from .positions import action
from .samples import Given, Samples, read
from .steps import Parameters, Pass
from .tree import Chain, chain_of
from .widths import check, visited, with_units


@undisturbed
class Propagation:
    """Layers with their parameters, drawn when the first samples are seen, as `FiniteNetwork` describes them."""

    @refuse(check_finite)
    def __init__(
        self,
        net: Sequential,
        width: int | Sequence[int] | None = None,
        n_outputs: int | None = None,
        *,
        rng: np.random.Generator | int | None = None,
        n_inputs: int | tuple[int, ...] | None = None,
        weights: str | Law | Sequence[str | Law] = "normal",
    ) -> None:
        self.net = checked(net)
        sized, self.width, self.n_outputs = with_units(net, width, n_outputs)
        self.chain = chain_of(sized.layers)
        nodes = [node for top in self.chain for node in top.weighted()]
        self.weighted = [node.layer for node in nodes if isinstance(node.layer, Weighted)]
        self.at_positions = [node.at_positions for node in nodes]
        self._laws = laws(weights, [node.behind_weights for node in nodes])
        *self._generators, self._masks = random_generator(rng, "rng").spawn(len(nodes) + 1)
        self._parameters: list[Weights] = []
        self._shape: tuple[int, ...] = ()
        self._most_positions = 0  # that there are parameters for, where samples have different numbers
        self._longest = self._numbers = 0  # positions of one sample, and numbers in all layers; of the longest so far
        if n_inputs is not None:
            each = n_inputs if isinstance(n_inputs, tuple) else (n_inputs,)
            shape = [whole_number(one, "n_inputs", least=1) for one in each]
            self._draw(read(np.empty((0, *shape)), "n_inputs", self.net.layers, 0))

    def __repr__(self) -> str:
        return f"FiniteNetwork({shown(self.net)}, width={shown(self.width)}, n_outputs={self.n_outputs})"

    def _draw(self, samples: Samples) -> None:
        shape = samples.shape
        if check(self._layers, shape) != self.n_outputs:
            raise ValueError(
                f"for samples of shape {_shown(shape)} this network does not have {self.n_outputs} outputs."
            )
        behind = [(layer, given) for layer, given in self._visited(shape) if isinstance(layer, Weighted)]
        self._most_positions = samples.longest
        sums = [(*action(layer, given.positions or ()).taps, self._count(given.units)) for layer, given in behind]
        self._parameters = [
            drawn(layer, given, law, rng)
            for layer, given, law, rng in zip(self.weighted, sums, self._laws, self._generators, strict=True)
        ]
        self._shape, self._longest, self._numbers = shape, samples.longest, self._numbers_in(samples)
        self._laws, self._generators = [], []  # done with; a law of the user's may not pickle

    @property
    def _layers(self) -> Layers:
        return tuple(node.layer for node in self.chain)

    def _visited(self, shape: tuple[int, ...]) -> list[tuple[Layer, Signal]]:
        """All layers, and what comes into each, for samples of a shape."""
        return [(layer, given) for _, layer, given in visited(self._layers, Signal(shape[:-1], shape[-1]))]

    def _count(self, units: float) -> int:
        """Number of units; where they are not known before there are samples, they are codes of positions."""
        return self._most_positions if math.isnan(units) else int(units)

    def _numbers_in(self, samples: Samples) -> int:
        """How many numbers the longest sample has in all layers, and its pairs of positions where there are most."""
        each = self._visited(samples.shape)
        behind = [given for layer, given in each if isinstance(layer, Weighted)]

        def positions(signal: Signal) -> int:
            return samples.longest if signal.positions == (VARIOUS,) else int(math.prod(signal.positions or ()))

        gives = [follow_all([layer], given) for layer, given in each]
        passed = sum(positions(signal) * self._count(signal.units) for signal in gives)
        pairs = max(positions(given) ** 2 if given.positions else 0 for given in behind)
        return int(samples.longest * samples.x.shape[-1]) + passed + 2 * pairs

    @property
    def parameters(self) -> list[Weights]:
        """(W, b) of every layer with weights."""
        if not self._parameters:
            raise ValueError(
                "the parameters are drawn when the first samples are seen; pass n_inputs to draw them now."
            )
        return self._parameters

    @property
    def scales(self) -> list[tuple[float, float]]:
        """Factors of weights and biases in every layer; 0 for a bias that is not there."""
        return [scales(layer, own.W[0].size) for layer, own in zip(self.weighted, self.parameters, strict=True)]

    def copy(self) -> Self:
        """Make one with parameters of its own; both will draw the same from here on, parameters and masks."""
        return deepcopy(self, {id(shared): shared for shared in (self.net, self.chain)})  # never changed

    def read(self, X: Given, name: str = "X") -> Samples:
        """Check samples, and keep the masks of Dropout: what is computed with these has the same ones each time.

        With X itself, new ones are drawn each time. The first samples that are seen give the number of inputs.
        """
        samples = X if isinstance(X, Samples) else read(X, name, self.net.layers, self._seed())
        if not self._parameters:
            self._draw(samples)
        if samples.shape != self._shape:
            raise ValueError(
                f"{name} has samples of shape {_shown(samples.shape)}, but the network is for those of "
                f"{_shown(self._shape)}."
            )
        if samples.longest > self._longest:
            self._longest, self._numbers = samples.longest, self._numbers_in(samples)
        return samples

    def _seed(self) -> int:
        return int(self._masks.integers(2**63))

    def forward(self, X: Given) -> Array:
        """Outputs, of shape (n, n_outputs)."""
        return self.propagate(self.read(X)).out

    def pre_activations(self, X: Given) -> list[Array]:
        """What every layer with weights gives, in the order of `parameters`, of shapes (n, *positions, units)."""
        found = self.propagate(self.read(X)).pre_activations
        return [found[i] for i in range(len(self.weighted))]

    def propagate(self, samples: Samples, chain: Chain | None = None) -> Pass:
        """Let samples pass through the network, or through some of its layers."""
        return Pass(self.chain if chain is None else chain, self.parameters, samples, self._most_positions)

    def gradient(self, X: Given, cotangents: ArrayLike) -> list[Weights]:
        """Derivatives in all parameters of sum(cotangents * forward(X)), by back-propagation.

        Parameters
        ----------
        X : array_like of shape (n, d) or (n, *positions, channels)
        cotangents : array_like of shape (n, n_outputs)
            For the gradient of a loss its derivatives in the outputs.

        Returns
        -------
        list of (W, b)
            Of every layer with weights; zero where it is frozen.
        """
        samples = self.read(X)
        c = real_array(cotangents, "cotangents").astype(np.float64)
        if c.shape != (len(samples), self.n_outputs):
            raise ValueError(f"cotangents must have shape {(len(samples), self.n_outputs)}, got {c.shape}.")
        total = [Weights(np.zeros_like(layer.W), np.zeros_like(layer.b)) for layer in self.parameters]
        for rows in self.panels(len(samples), 1):
            for layer, part in zip(total, self.pull_back(self.propagate(samples[rows]), c[rows]), strict=True):
                layer.W[:] += part.W
                layer.b[:] += part.b
        return total

    def pull_back(self, way: Pass, cotangents: Array) -> list[Weights]:
        """`gradient` at samples that have passed."""
        found = way.sensitivities(cotangents[:, None, :])
        total = []
        for i, (layer, (weight_scale, bias_scale)) in enumerate(zip(self.weighted, self.scales, strict=True)):
            g, h = found[i][:, 0] if layer.trainable else np.zeros_like(found[i][:, 0]), way.given[i]
            slope = action(layer, h.shape[1:-1]).slope(g, h)
            total.append(Weights(weight_scale * slope, bias_scale * g.sum(axis=tuple(range(g.ndim - 1)))))
        return total

    def derivative(self, X: Given, direction: Parameters) -> Array:
        """Derivative of the outputs, (n, n_outputs), as the parameters move in a direction: forward differentiation."""
        samples = self.read(X)
        parts = [self.propagate(samples[rows]).derivative(direction) for rows in self.panels(len(samples), 1)]
        return np.concatenate(parts) if parts else np.zeros((0, self.n_outputs))

    def panels(self, rows: int, cotangents: int, max_memory: int | str | None = None) -> Iterator[slice]:
        """Rows in parts whose hidden layers, and what comes back to them, fit into memory; so do pairs of positions."""
        step = max(1, memory_limit(max_memory) // (2 * 8 * self._numbers * (1 + cotangents)))
        return (slice(i, min(i + step, rows)) for i in range(0, rows, step))


def _shown(shape: tuple[int, ...]) -> str:
    return f"(nodes, {shape[-1]})" if VARIOUS in shape else str(shape)


def check_finite_network(network: object) -> None:
    """Refuse what is none."""
    if not isinstance(network, Propagation):
        raise TypeError(f"network must be a FiniteNetwork, got {shown(network)}.")
