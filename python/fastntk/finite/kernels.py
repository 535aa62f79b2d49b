"""Kernels of a network of finite width, by products of Gram matrices: no Jacobian is ever formed."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import whole_number
from .._checks.shown import shown
from .._machine.floating import undisturbed
from .parameters import Array
from .propagation import Propagation, check_finite_network
from .samples import Samples
from .steps import Sensitivities
from .tree import Chain, ending_with

#: Which outputs a kernel is of: one of them, the sum over all, or every pair.
Outputs = int | Literal["trace", "all"]


@undisturbed
def empirical_nngp(
    network: Propagation,
    X: ArrayLike | Samples,
    Y: ArrayLike | Samples | None = None,
    *,
    max_memory: int | str | None = None,
) -> Array:
    """K of every Dense layer given the layer before it: sigma_b^2 + sigma_w^2 h h'^T / fan-in.

    Parameters
    ----------
    network : FiniteNetwork
    X : array_like of shape (n, d)
    Y : array_like of shape (m, d), optional
    max_memory : int or str, optional
        Bytes, or "4 GiB", for hidden layers; a quarter of what is free by default.

    Returns
    -------
    ndarray of shape (layers, n, m)
        Of every Dense layer, in the order of ``network.parameters``. Of a network that ends with Dense, ``[-1]`` is the
        covariance of the outputs given all other layers; `net.nngp.fluctuation` tells how far it is from its limit,
        ``net.nngp(X, Y)``.

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
    out = np.empty((len(network.dense), len(x), len(right)))
    for rows in network.panels(len(x), 0, max_memory):
        left = network.propagate(x[rows]).given
        for columns in network.panels(len(right), 0, max_memory):
            if y is None and columns.start < rows.start:
                continue
            other = left if y is None and rows == columns else network.propagate(right[columns]).given
            for i, dense in enumerate(network.dense):
                gram = left[i] @ other[i].T / left[i].shape[1]
                out[i, rows, columns] = dense.sigma_b**2 + dense.sigma_w**2 * gram
            if y is None and rows != columns:
                out[:, columns, rows] = out[:, rows, columns].swapaxes(1, 2)
    return out


@undisturbed
def empirical_ntk(
    network: Propagation,
    X: ArrayLike | Samples,
    Y: ArrayLike | Samples | None = None,
    *,
    outputs: Outputs = 0,
    layer: int | None = None,
    max_memory: int | str | None = None,
) -> Array:
    """Theta = J(X) J(Y)^T, J the derivatives of the outputs in all trainable parameters.

    Parameters
    ----------
    network : FiniteNetwork
    X : array_like of shape (n, d)
    Y : array_like of shape (m, d), optional
    outputs : int, "trace" or "all", default 0
        Of one output; the sum over all of them (its limit is n_outputs times Theta); or of every pair.
    layer : int, optional
        Of the pre-activations of this Dense layer (0 is the first of ``network.parameters``) instead of the outputs: of
        one unit, or of a few units' trace.
    max_memory : int or str, optional
        Bytes, or "4 GiB", for hidden layers; a quarter of what is free by default.

    Returns
    -------
    ndarray of shape (n, m), or (n, m, k, k) for "all"

    Notes
    -----
    A Dense layer that gets h and whose outputs are changed by g adds (bias_scale^2 + weight_scale^2 h·h') (g·g'). Cost:
    n m times twice the sum of the widths for one output, k times the second half for the trace, k^2 times for all.

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
    chain, units = network.chain, network.n_outputs
    if layer is not None:
        number = whole_number(layer, "layer", least=0, most=len(network.dense) - 1)
        chain, units = ending_with(chain, number), len(network.parameters[number].b)
    seeds = _seeds(outputs, units)
    every = outputs == "all"
    out = np.zeros((len(x), len(right), *(2 * (units,) if every else ())))
    for rows in network.panels(len(x), len(seeds), max_memory):
        left = _given_and_back(network, x[rows], seeds, chain)
        for columns in network.panels(len(right), len(seeds), max_memory):
            if y is None and columns.start < rows.start:
                continue
            same = y is None and rows == columns
            other = left if same else _given_and_back(network, right[columns], seeds, chain)
            for i in left[1]:
                if network.dense[i].trainable:
                    weight_scale, bias_scale = network.scales[i]
                    h = bias_scale**2 + weight_scale**2 * (left[0][i] @ other[0][i].T)
                    g = _gram(left[1][i], other[1][i], every=every)
                    out[rows, columns] += h[..., None, None] * g if every else h * g
            if y is None and not same:
                mirrored = out[rows, columns].swapaxes(0, 1)
                out[columns, rows] = mirrored.swapaxes(2, 3) if every else mirrored
    return out


def _seeds(outputs: Outputs, units: int) -> Array:
    """Cotangents of the outputs that are asked for, of shape (c, units)."""
    if isinstance(outputs, str):
        if outputs in ("trace", "all"):
            return np.eye(units)
        raise ValueError(f"outputs must be a number, 'trace' or 'all', got {shown(outputs)}.")
    one = whole_number(outputs, "outputs", least=0, most=units - 1)
    return np.eye(units)[one : one + 1]


def _given_and_back(
    network: Propagation, samples: Samples, seeds: Array, chain: Chain
) -> tuple[dict[int, Array], Sensitivities]:
    """What every Dense layer of a chain gets, and derivatives of the seeds' units in what it gives."""
    way = network.propagate(samples, chain)
    return way.given, way.sensitivities(np.broadcast_to(seeds, (len(samples), *seeds.shape)))


def _gram(left: Array, right: Array, *, every: bool) -> Array:
    """Products of what came back: of every pair of outputs, or summed over them."""
    n, c, units = left.shape
    if every:
        products = left.reshape(n * c, units) @ right.reshape(-1, units).T
        return np.asarray(products.reshape(n, c, len(right), c).transpose(0, 2, 1, 3))
    return np.asarray(left.reshape(n, c * units) @ right.reshape(len(right), c * units).T)
