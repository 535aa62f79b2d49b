"""Kernels of a network of finite width, by products of Gram matrices: of vectors no Jacobian is ever formed."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from .._checks.arguments import whole_number
from .._checks.shown import shown
from .._machine.floating import undisturbed
from ..layers.pool import GlobalAvgPool
from ..layers.weighted import Weighted
from .nodes import Nodes
from .parameters import Array
from .positions import Action, action
from .propagation import Propagation, check_finite_network
from .samples import Given, Samples
from .tree import Node, ending_with, ends_at_positions

#: Which outputs a kernel is of: one of them, the sum over all, or every pair.
Outputs = int | Literal["trace", "all"]


@undisturbed
def empirical_nngp(
    network: Propagation,
    X: Given,
    Y: Given | None = None,
    *,
    max_memory: int | str | None = None,
) -> Array:
    """K of every layer with weights given the layer before it: sigma_b^2 + sigma_w^2 h h'^T / fan-in.

    At positions the mean of K(P, P), as `Flatten` takes it; of samples of different numbers of nodes the mean over all
    pairs, as `GlobalAvgPool` takes it.

    Parameters
    ----------
    network : FiniteNetwork
    X : array_like of shape (n, d) or (n, *positions, channels), Sequences or Graphs
    Y : array_like of shape (m, d) or (m, *positions, channels), Sequences or Graphs, optional
    max_memory : int or str, optional
        Bytes, or "4 GiB", for hidden layers; a quarter of what is free by default.

    Returns
    -------
    ndarray of shape (layers, n, m)
        Of every layer with weights, in the order of ``network.parameters``. Of a network that ends with Dense, ``[-1]``
        is the covariance of the outputs given all other layers; `net.nngp.fluctuation` tells how far it is from its
        limit, ``net.nngp(X, Y)``.

    Notes
    -----
    Cost: n m times the sum of the widths, and the forward passes, of Y once for every panel of X.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import FiniteNetwork
    >>> K = FiniteNetwork(fastntk.mlp(1), width=8, rng=0).empirical_nngp(np.eye(2))
    >>> K.shape
    (2, 2, 2)
    """
    check_finite_network(network)
    x, y = network.read(X), None if Y is None else network.read(Y, "Y")
    right = x if y is None else y
    out = np.empty((len(network.weighted), len(x), len(right)))
    for rows in network.panels(len(x), 0, max_memory):
        left = _given(network, x[rows])
        for columns in network.panels(len(right), 0, max_memory):
            if y is None and columns.start < rows.start:
                continue
            other = left if y is None and rows == columns else _given(network, right[columns])
            for i, layer in enumerate(network.weighted):
                products = action(layer, left[i].shape[1:-1]).products(left[i], other[i])
                out[i, rows, columns] = layer.sigma_b**2 + layer.sigma_w**2 * products
            if y is None and rows != columns:
                out[:, columns, rows] = out[:, rows, columns].swapaxes(1, 2)
    return out


def _given(network: Propagation, samples: Samples) -> list[Array]:
    """What every layer with weights gets; of nodes the mean."""
    given = network.propagate(samples).given
    nodes = samples.nodes
    return [
        given[i] if nodes is None or not at_positions else nodes.means @ given[i]
        for i, at_positions in enumerate(network.at_positions)
    ]


@undisturbed
def empirical_ntk(
    network: Propagation,
    X: Given,
    Y: Given | None = None,
    *,
    outputs: Outputs = 0,
    layer: int | None = None,
    max_memory: int | str | None = None,
) -> Array:
    """Theta = J(X) J(Y)^T, J the derivatives of the outputs in all trainable parameters.

    Parameters
    ----------
    network : FiniteNetwork
    X : array_like of shape (n, d) or (n, *positions, channels), Sequences or Graphs
    Y : array_like of shape (m, d) or (m, *positions, channels), Sequences or Graphs, optional
    outputs : int, "trace" or "all", default 0
        Of one output; the sum over all of them (its limit is n_outputs times Theta); or of every pair.
    layer : int, optional
        Of the pre-activations of this layer (0 is the first of ``network.parameters``) instead of the outputs: of one
        unit, or of a few units' trace. At positions the mean of Theta(P, P), which costs as much as an output for each;
        of samples of different numbers of nodes the mean over all pairs. Of a layer that is a part of a `Recurrent` or
        `SelfAttention`, what the whole of that gives.
    max_memory : int or str, optional
        Bytes, or "4 GiB", for hidden layers; a quarter of what is free by default.

    Returns
    -------
    ndarray of shape (n, m), or (n, m, k, k) for "all"

    Notes
    -----
    A layer that gets h and whose outputs are changed by g adds (bias_scale^2 + weight_scale^2 h·h') (g·g'). Cost: n m
    times twice the sum of the widths for one output, k times the second half for the trace, k^2 times for all. At
    positions that is a sum over all pairs (P, P'), with h·h' summed over taps, and as many times the cost; or products
    of the derivatives in the weights, where these are fewer numbers than such pairs.

    References
    ----------
    Novak, Sohl-Dickstein, Schoenholz, "Fast finite width neural tangent kernel", ICML 2022, section 3.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import FiniteNetwork
    >>> network = FiniteNetwork(fastntk.mlp(1), width=8, n_outputs=3, rng=0)
    >>> network.empirical_ntk(np.eye(2), outputs="all").shape
    (2, 2, 3, 3)
    """
    check_finite_network(network)
    x, y = network.read(X), None if Y is None else network.read(Y, "Y")
    right = x if y is None else y
    chain, shape = network.chain, (network.n_outputs,)
    if layer is not None:
        number = whole_number(layer, "layer", least=0, most=len(network.weighted) - 1)
        chain = ending_with(chain, number)
        if x.nodes is not None and ends_at_positions(chain):
            chain = (*chain, Node(GlobalAvgPool(), 0, behind_weights=True, at_positions=True, branches=()))
        shape = network.propagate(x[:0], chain).out.shape[1:]
    seeds = _seeds(outputs, shape)
    summed, kept = seeds.shape[:2]
    every = outputs == "all"
    out = np.zeros((len(x), len(right), kept, kept))

    def there_and_back(samples: Samples) -> dict[int, tuple[Array, Array]]:
        """What every layer with weights gets, and derivatives of the seeds' units in what it gives."""
        way = network.propagate(samples, chain)
        cotangents = seeds.reshape(summed * kept, *shape)
        found = way.sensitivities(np.broadcast_to(cotangents, (len(samples), *cotangents.shape)))
        return {i: (way.given[i], _side_by_side(g, summed)) for i, g in found.items()}

    for rows in network.panels(len(x), summed * kept, max_memory):
        left, of_rows = there_and_back(x[rows]), x[rows].nodes
        for columns in network.panels(len(right), summed * kept, max_memory):
            if y is None and columns.start < rows.start:
                continue
            same = y is None and rows == columns
            other, of_columns = left if same else there_and_back(right[columns]), right[columns].nodes
            for i in left:
                if network.weighted[i].trainable:
                    added = _added(network.weighted[i], network.scales[i], left[i], other[i])
                    if of_rows is not None and of_columns is not None and network.at_positions[i]:
                        added = _of_samples(added, of_rows, of_columns)
                    out[rows, columns] += added
            if same and x.nodes is not None:  # exactly symmetric
                out[rows, rows] = (out[rows, rows] + out[rows, rows].transpose(1, 0, 3, 2)) / 2
            if y is None and not same:
                out[columns, rows] = out[rows, columns].transpose(1, 0, 3, 2)
    return out if every else out[..., 0, 0]


def _seeds(outputs: Outputs, shape: tuple[int, ...]) -> Array:
    """Cotangents of what is asked for, of shape (those summed over, those kept apart, *shape).

    Of each position by itself, and in the mean over positions.
    """
    *positions, units = shape
    if isinstance(outputs, str):
        if outputs not in ("trace", "all"):
            raise ValueError(f"outputs must be a number, 'trace' or 'all', got {shown(outputs)}.")
        of_units = np.eye(units)[:, None] if outputs == "trace" else np.eye(units)[None]
    else:
        of_units = np.eye(units)[None, [whole_number(outputs, "outputs", least=0, most=units - 1)]]
    count = math.prod(positions)
    at = np.eye(count).reshape(count, 1, 1, count, 1) / count**0.5
    summed, kept, _ = of_units.shape
    return np.asarray((at * of_units[:, :, None]).reshape(count * summed, kept, *shape))


def _side_by_side(g: Array, summed: int) -> Array:
    """Derivatives, (n, summed kept, *positions, units), as (n, kept, *positions, summed units)."""
    n, c, positions, units = len(g), g.shape[1] // summed, g.shape[2:-1], g.shape[-1]
    parted = np.moveaxis(g.reshape(n, summed, c, *positions, units), 1, -2)
    return parted.reshape(n, c, *positions, summed * units)


def _added(
    layer: Weighted, scales: tuple[float, float], left: tuple[Array, Array], right: tuple[Array, Array]
) -> Array:
    """What the parameters of a layer add to Theta, (n, m, c, c)."""
    (h, g), (other_h, other_g) = left, right
    weight_scale, bias_scale = scales
    if h.ndim == 2:
        k = bias_scale**2 + weight_scale**2 * (h @ other_h.T)
        return np.asarray(k[..., None, None] * _products(g, other_g))
    act, positions = action(layer, h.shape[1:-1]), h.shape[1:-1]
    if g.shape[-1] * math.prod(act.taps) * h.shape[-1] <= math.prod(positions) ** 2:  # what takes less memory
        weights, biases = _slopes(act, *left)
        others = (weights, biases) if left is right else _slopes(act, *right)
        return weight_scale**2 * _products(weights, others[0]) + bias_scale**2 * _products(biases, others[1])
    n, m, c, outputs = len(h), len(other_h), g.shape[1], math.prod(g.shape[2:-1])
    h, other_h = (one.reshape(len(one), math.prod(positions), one.shape[-1]) for one in (h, other_h))
    g, other_g = g.reshape(n, c, outputs, g.shape[-1]), other_g.reshape(m, c, outputs * g.shape[-1]).swapaxes(1, 2)
    added = np.empty((n, m, c, c))
    for i in range(n):
        rest = slice(i if left is right else 0, None)
        products = other_h[rest] @ h[i].T  # positions of the others come first
        k = bias_scale**2 + weight_scale**2 * act.pairs(products.reshape(-1, *positions, *positions))
        changed = (k.reshape(-1, outputs) @ g[i]).reshape(c, len(k), -1)
        added[i, rest] = changed.swapaxes(0, 1) @ other_g[rest]
        if left is right:  # exactly symmetric
            added[i, i] = (added[i, i] + added[i, i].T) / 2
            added[rest, i] = added[i, rest].swapaxes(1, 2)
    return added


def _of_samples(added: Array, left: Nodes, right: Nodes) -> Array:
    """Sums over all pairs of nodes, (nodes, nodes', c, c), of two samples."""
    c = added.shape[2:]
    first = (left.sums @ added.reshape(left.total, -1)).reshape(len(left), right.total, *c).swapaxes(0, 1)
    summed: Array = right.sums @ first.reshape(right.total, -1)
    return summed.reshape(len(right), len(left), *c).swapaxes(0, 1)


def _products(left: Array, right: Array) -> Array:
    """Of derivatives, (n, c, numbers) and (m, c, numbers), for every pair: (n, m, c, c)."""
    (n, c, numbers), m = left.shape, len(right)
    products = left.reshape(n * c, numbers) @ right.reshape(m * c, numbers).T
    return np.asarray(products.reshape(n, c, m, c).transpose(0, 2, 1, 3))


def _slopes(act: Action, h: Array, g: Array) -> tuple[Array, Array]:
    """Derivatives in weights and biases, before their scales, of every sample by itself: (n, c, numbers)."""
    weights = [[act.slope(one[None], h[i : i + 1]).ravel() for one in g[i]] for i in range(len(h))]
    return np.array(weights), g.sum(axis=tuple(range(2, g.ndim - 1)))
