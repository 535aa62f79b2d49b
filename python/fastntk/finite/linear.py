"""The first-order Taylor model of a network in its parameters: what an infinitely wide one is."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
from numpy.typing import NDArray

from .._machine.floating import undisturbed
from .kernels import empirical_ntk
from .parameters import Array
from .propagation import Propagation, check_finite_network
from .samples import Given


class Linearized:
    """f(x; theta_0) + J(x) (theta - theta_0), as `FiniteNetwork.linearize` gives it; in trainable parameters only.

    Dropout leaves out the same units of these samples, in f and in J, whatever the parameters.

    Attributes
    ----------
    f0 : ndarray of shape (n, n_outputs)
        Outputs at the samples it was made with.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", NeurIPS 2019.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import FiniteNetwork
    >>> network, X = FiniteNetwork(fastntk.mlp(1, "tanh"), width=64, rng=0), np.eye(3)
    >>> linear, moved = network.linearize(X), network.copy()
    >>> for W, b in moved.parameters:
    ...     W += 1e-4
    >>> bool(np.abs(linear.outputs(moved.parameters) - moved.forward(X)).max() < 1e-5)
    True
    """

    def __init__(self, network: Propagation, X: Given) -> None:
        check_finite_network(network)
        self._x = deepcopy(network.read(X))
        self._origin = network.copy()
        self.f0 = self._origin.forward(self._x)

    def __repr__(self) -> str:
        return f"Linearized({self._origin!r}, {len(self._x)} samples)"

    @undisturbed
    def outputs(self, parameters: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Array:
        """At those samples, with other parameters (W, b) of every layer with weights."""
        direction = [(w - w0, b - b0) for (w, b), (w0, b0) in zip(parameters, self._origin.parameters, strict=True)]
        return self.f0 + self._origin.derivative(self._x, direction)

    @undisturbed
    def ntk(self) -> Array:
        """Its kernel, that of the network at theta_0, of shape (n, n, k, k); it never changes."""
        return empirical_ntk(self._origin, self._x, outputs="all")
