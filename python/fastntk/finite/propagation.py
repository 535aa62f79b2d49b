"""What a network of finite width computes with its parameters, and derivatives forward and back, in NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import one_of, random_generator, whole_number
from .._checks.arrays import real_array
from .._checks.shown import one_line, shown
from .._machine.floating import undisturbed
from ..kernels.blocks import memory_limit
from ..kernels.inputs import Input
from ..layers.alternating import dense_and_activations, widths
from ..networks.sequential import Sequential, checked
from .architecture import Law, laws

Array = NDArray[np.float64]


@one_line
class Layer(NamedTuple):
    """Parameters of a Dense layer, or directions in their space: z = bias_scale b + weight_scale W h."""

    W: Array
    b: Array


@undisturbed
class Propagation:
    """Layers with their parameters, drawn when the first samples are seen, as `FiniteNetwork` describes them."""

    def __init__(
        self,
        net: Sequential,
        width: int | Sequence[int],
        n_outputs: int = 1,
        *,
        rng: np.random.Generator | int | None = None,
        n_inputs: int | None = None,
        parametrization: Literal["ntk", "standard"] = "ntk",
        weights: str | Law | Sequence[str | Law] = "normal",
    ) -> None:
        self.dense, self.activations = dense_and_activations(checked(net).layers)
        self.net = net
        self.width = widths(width, len(self.activations))
        self.n_outputs = whole_number(n_outputs, "n_outputs", least=1)
        one_of(parametrization, "parametrization", ("ntk", "standard"))
        self.parametrization = parametrization
        self._laws = laws(weights, len(self.dense))
        self._generators = random_generator(rng, "rng").spawn(len(self.dense))
        self._parameters: list[Layer] = []
        if n_inputs is not None:
            self._draw(whole_number(n_inputs, "n_inputs", least=1))

    def __repr__(self) -> str:
        return f"FiniteNetwork({shown(self.net)}, width={shown(self.width)}, n_outputs={self.n_outputs})"

    def _draw(self, n_inputs: int) -> None:
        fan_in, drawn = n_inputs, []
        for dense, law, rng, units in zip(
            self.dense, self._laws, self._generators, [*self.width, self.n_outputs], strict=True
        ):
            w = real_array(law(rng, (units, fan_in)), "a draw of weights", finite=False).astype(np.float64)
            if w.shape != (units, fan_in):
                raise ValueError(f"a law of weights gave shape {w.shape} instead of {(units, fan_in)}.")
            if not np.isfinite(w).all():
                raise ValueError("a law of weights gave NaN or infinite numbers.")
            b = rng.standard_normal(units)
            if self.parametrization == "standard":
                w, b = dense.sigma_w / fan_in**0.5 * w, dense.sigma_b * b
            drawn.append(Layer(w, b))
            fan_in = units
        self._parameters = drawn
        self._laws, self._generators = [], []  # done with; a law of the user's may not pickle

    @property
    def parameters(self) -> list[Layer]:
        """(W, b) of every Dense layer."""
        if not self._parameters:
            raise ValueError(
                "the parameters are drawn when the first samples are seen; pass n_inputs to draw them now."
            )
        return self._parameters

    @property
    def scales(self) -> list[tuple[float, float]]:
        """Factors of weights and biases in every layer; 0 for a bias that is not there."""
        if self.parametrization == "standard":
            return [(1.0, float(dense.sigma_b > 0)) for dense in self.dense]
        return [
            (dense.sigma_w / layer.W.shape[1] ** 0.5, dense.sigma_b)
            for dense, layer in zip(self.dense, self.parameters, strict=True)
        ]

    def copy(self) -> Self:
        """Make one with parameters of its own; if they are not drawn yet, both will draw the same."""
        return deepcopy(self)

    def read(self, X: ArrayLike, name: str = "X") -> Array:
        """Samples in float64, checked; the first that are seen give the number of inputs."""
        x = Input(X, name).x.astype(np.float64, copy=False)
        if not self._parameters:
            self._draw(x.shape[1])
        if x.shape[1] != self.parameters[0].W.shape[1]:
            raise ValueError(
                f"{name} has {x.shape[1]} features, but the network {self.parameters[0].W.shape[1]} inputs."
            )
        return x

    def forward(self, X: ArrayLike) -> Array:
        """Outputs, of shape (n, n_outputs)."""
        return self.pre_activations(X)[-1]

    def pre_activations(self, X: ArrayLike) -> list[Array]:
        """What every Dense layer gives, z^1 to the output, of shapes (n, units)."""
        return self.propagate(self.read(X))[1]

    def propagate(self, x: Array) -> tuple[list[Array], list[Array]]:
        """What every Dense layer gets and what it gives."""
        given, z = [x], []
        for i, (layer, (weight_scale, bias_scale)) in enumerate(zip(self.parameters, self.scales, strict=True)):
            z.append(weight_scale * (given[i] @ layer.W.T) + bias_scale * layer.b)
            if i < len(self.activations):
                given.append(np.asarray(self.activations[i](z[i]), np.float64))
        return given, z

    def sensitivities(self, z: list[Array], cotangents: Array, top: int | None = None) -> list[Array]:
        """Derivatives in every z of `cotangents`, of shape (n, c, units), times z[top], by default the outputs.

        Of shapes (n, c, units of the layer).
        """
        back = [cotangents]
        for i in reversed(range(len(self.activations) if top is None else top)):
            weight_scale = self.scales[i + 1][0]
            slope = np.asarray(self.activations[i].derivative(z[i]), np.float64)
            back.append(weight_scale * (back[-1] @ self.parameters[i + 1].W) * slope[:, None, :])
        return back[::-1]

    def gradient(self, X: ArrayLike, cotangents: ArrayLike) -> list[Layer]:
        """Derivatives in all parameters of sum(cotangents * forward(X)), by back-propagation.

        Parameters
        ----------
        X : array_like of shape (n, d)
        cotangents : array_like of shape (n, n_outputs)
            For the gradient of a loss its derivatives in the outputs.

        Returns
        -------
        list of (W, b)
            Of every Dense layer; zero where it is frozen.
        """
        x = self.read(X)
        c = real_array(cotangents, "cotangents").astype(np.float64)
        if c.shape != (len(x), self.n_outputs):
            raise ValueError(f"cotangents must have shape {(len(x), self.n_outputs)}, got {c.shape}.")
        total = [Layer(np.zeros_like(layer.W), np.zeros_like(layer.b)) for layer in self.parameters]
        for rows in self.panels(len(x), 1):
            given, z = self.propagate(x[rows])
            for layer, part in zip(total, self.pull_back(given, z, c[rows]), strict=True):
                layer.W[:] += part.W
                layer.b[:] += part.b
        return total

    def pull_back(self, given: list[Array], z: list[Array], cotangents: Array) -> list[Layer]:
        """`gradient` from what `propagate` gave."""
        total = []
        for i, g in enumerate(self.sensitivities(z, cotangents[:, None, :])):
            weight_scale, bias_scale = self.scales[i] if self.dense[i].trainable else (0.0, 0.0)
            total.append(Layer(weight_scale * (g[:, 0].T @ given[i]), bias_scale * g[:, 0].sum(axis=0)))
        return total

    def derivative(self, X: ArrayLike, direction: Sequence[tuple[Array, Array]]) -> Array:
        """Derivative of the outputs, (n, n_outputs), as the parameters move in a direction: forward differentiation."""
        x = self.read(X)
        out = np.empty((len(x), self.n_outputs))
        for rows in self.panels(len(x), 1):
            given, z = self.propagate(x[rows])
            moved = np.zeros_like(given[0])
            for i, ((w, b), (weight_scale, bias_scale)) in enumerate(zip(direction, self.scales, strict=True)):
                dz = weight_scale * (moved @ self.parameters[i].W.T)
                if self.dense[i].trainable:
                    dz += weight_scale * (given[i] @ w.T) + bias_scale * b
                moved = dz if i == len(z) - 1 else np.asarray(self.activations[i].derivative(z[i])) * dz
            out[rows] = moved
        return out

    def panels(self, rows: int, cotangents: int, max_memory: int | str | None = None) -> Iterator[slice]:
        """Rows in parts whose hidden layers, and what is propagated back to them, fit into memory."""
        units = self.parameters[0].W.shape[1] + sum(self.width) + self.n_outputs
        step = max(1, memory_limit(max_memory) // (4 * 8 * units * (1 + cotangents)))
        return (slice(i, min(i + step, rows)) for i in range(0, rows, step))


def check_finite_network(network: object) -> None:
    """Refuse what is none."""
    if not isinstance(network, Propagation):
        raise TypeError(f"network must be a FiniteNetwork, got {shown(network)}.")
