"""rnn: the plain recurrent network."""

from __future__ import annotations

from typing import Any, Literal

from .._checks.arguments import one_of, per_layer, standard_deviation, true_or_false
from ..layers.base import Layer
from ..layers.concat import Concat
from ..layers.dense import Dense
from ..layers.migration import check_widths, refuse
from ..layers.recurrent import Recurrent
from .mlp import Hidden, activations, depth_of
from .sequential import PerLayer, Sequential


@refuse(check_widths("rnn", "depth", "activation", "sigma_w", "sigma_u", "sigma_b", "readout", "bidirectional"))
def rnn(
    depth: int = 1,
    activation: PerLayer[Hidden] = "tanh",
    sigma_w: PerLayer[float] = 1.0,
    sigma_u: PerLayer[float] = 1.0,
    sigma_b: PerLayer[float] = 0.0,
    *,
    readout: Literal["last", "mean"] = "last",
    bidirectional: bool = False,
    **parameters: Any,
) -> Sequential:
    """Build a recurrent network: `depth` times Recurrent, the last one with a readout, then Dense.

    Parameters
    ----------
    depth : int >= 1
        Number of recurrent layers; each after the first reads the states of the one before it.
    activation : str, callable or Activation, or sequence of `depth` of those, default "tanh"
        Of every recurrent layer, or of each.
    sigma_w, sigma_b : float >= 0, or sequence of `depth` + 1 of those, default 1.0 and 0.0
        Standard deviations of weights of the state, and of biases, in every recurrent layer and of weights and biases
        in the Dense layer at the end, or in each.
    sigma_u : float >= 0, or sequence of `depth` of those, default 1.0
        Standard deviation of the weights of what comes in, in every recurrent layer or in each.
    readout : {"last", "mean"}, default "last"
        What the last recurrent layer passes on, as for `Recurrent`.
    bidirectional : bool, default False
        Whether each layer is two halves side by side, one of which reads from the last step to the first.
    **parameters
        Of the activation, where it is one name or function for all layers.

    Returns
    -------
    Sequential
        For sequences of any lengths.

    Raises
    ------
    ValueError, TypeError
        As for `mlp` and `Recurrent`.

    References
    ----------
    Yang, "Tensor programs II: neural tangent kernel for any architecture", arXiv:2006.14548.
    Schuster and Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 1997.

    Examples
    --------
    >>> import fastntk
    >>> print(fastntk.rnn(2, "relu", 2**0.5, bidirectional=True))
    Sequential of 3 layers
    0      Concat
    0.0.0  ├─ Recurrent(Activation('relu'), sigma_w=1.414, sigma_u=1.0, sigma_b=0.0, readout=None)
    0.1.0  └─ Recurrent(Activation('relu'), sigma_w=1.414, sigma_u=1.0, sigma_b=0.0, readout=None, reverse=True)
    1      Concat
    1.0.0  ├─ Recurrent(Activation('relu'), sigma_w=1.414, sigma_u=1.0, sigma_b=0.0, readout='last')
    1.1.0  └─ Recurrent(Activation('relu'), sigma_w=1.414, sigma_u=1.0, sigma_b=0.0, readout='last', reverse=True)
    2      Dense(sigma_w=1.414, sigma_b=0.0)
    """
    depth = depth_of(depth, least=1)
    weights = per_layer(sigma_w, "sigma_w", depth + 1, "layers with weights", standard_deviation)
    inputs = per_layer(sigma_u, "sigma_u", depth, "recurrent layers", standard_deviation)
    biases = per_layer(sigma_b, "sigma_b", depth + 1, "layers with weights", standard_deviation)
    hidden = activations("rnn", activation, depth, parameters)
    one_of(readout, "readout", ("last", "mean"))
    directions = (False, True) if true_or_false(bidirectional, "bidirectional") else (False,)
    layers: list[Layer] = []
    for i, (phi, w, u, b) in enumerate(zip(hidden, weights[:-1], inputs, biases[:-1], strict=True), 1):
        states = readout if i == depth else None
        parts = [Recurrent(phi, w, u, b, readout=states, reverse=reverse) for reverse in directions]
        layers.append(Concat(*parts) if bidirectional else parts[0])
    return Sequential(*layers, Dense(weights[-1], biases[-1]))
