"""gcn: the graph convolutional network."""

from __future__ import annotations

from typing import Any, Literal

from .._checks.arguments import one_of, per_layer, standard_deviation
from ..layers.aggregate import Aggregate
from ..layers.base import Layer
from ..layers.dense import Dense
from ..layers.migration import check_widths, refuse
from ..layers.pool import GlobalAvgPool, GlobalSumPool
from .mlp import Hidden, activations, depth_of
from .sequential import PerLayer, Sequential


@refuse(check_widths("gcn", "depth", "activation", "sigma_w", "sigma_b", "readout"))
def gcn(
    depth: int = 1,
    activation: PerLayer[Hidden] = "relu",
    sigma_w: PerLayer[float] = 1.0,
    sigma_b: PerLayer[float] = 0.0,
    *,
    readout: Literal["sum", "mean"] | None = None,
    **parameters: Any,
) -> Sequential:
    """Build a graph convolutional network: `depth` times (Aggregate, Dense, Activation), then Aggregate and Dense.

    Parameters
    ----------
    depth : int >= 0
        Number of hidden layers, i.e. of nonlinearities.
    activation : str, callable or Activation, or sequence of `depth` of those
        The nonlinearity of every hidden layer, or of each.
    sigma_w, sigma_b : float >= 0, or sequence of `depth` + 1 of those
        Standard deviations of weights and biases in every Dense layer, or in each.
    readout : {None, "sum", "mean"}
        None, as it was published: the network ends with the nodes, for a kernel between those of one graph. Else
        `GlobalSumPool` or `GlobalAvgPool` stands for the last Aggregate, and the kernel is that of whole graphs.
    **parameters
        Of the activation, where it is one name or function for all layers.

    Returns
    -------
    Sequential
        For `Graphs`; each ``Aggregate("sym")`` is D^(-1/2) (A + I) D^(-1/2).

    Raises
    ------
    ValueError, TypeError
        As for `mlp`.

    References
    ----------
    Kipf and Welling, "Semi-supervised classification with graph convolutional networks", ICLR 2017, eq. 9.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net = fastntk.gcn(1, "relu", 2**0.5)
    >>> path = fastntk.Graphs([np.eye(3)], [np.eye(3, k=1) + np.eye(3, k=-1)])
    >>> fastntk.reference.ntk(net, path).shape  # between the nodes of the graph
    (3, 3)
    """
    depth = depth_of(depth)
    one_of(readout, "readout", (None, "sum", "mean"))
    weights = per_layer(sigma_w, "sigma_w", depth + 1, "Dense layers", standard_deviation)
    biases = per_layer(sigma_b, "sigma_b", depth + 1, "Dense layers", standard_deviation)
    hidden = activations("gcn", activation, depth, parameters)
    *inner, last = map(Dense, weights, biases)
    aggregate = Aggregate("sym")
    end: dict[str | None, Layer] = {None: aggregate, "sum": GlobalSumPool(), "mean": GlobalAvgPool()}
    layers = (layer for dense, act in zip(inner, hidden, strict=True) for layer in (aggregate, dense, act))
    return Sequential(*layers, end[readout], last)
