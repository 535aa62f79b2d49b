"""mlp: the multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numpy.typing import NDArray

from .._checks.arguments import per_layer, standard_deviation, whole_number
from .._checks.shown import shown
from ..layers.activation import Activation
from ..layers.base import Layer
from ..layers.dense import Dense
from ..layers.given import as_activation
from ..layers.migration import check_widths, refuse
from .sequential import PerLayer, Sequential

#: Layers of `mlp`, at most: so many take ten seconds to make.
_DEEPEST = 10**6

Hidden = str | Activation | Callable[[NDArray[Any]], NDArray[Any]]


@refuse(check_widths("mlp", "depth", "activation", "sigma_w", "sigma_b", "frozen"))
def mlp(
    depth: int = 1,
    activation: PerLayer[Hidden] = "relu",
    sigma_w: PerLayer[float] = 1.0,
    sigma_b: PerLayer[float] = 0.0,
    *,
    frozen: int = 0,
    **parameters: Any,
) -> Sequential:
    """Build a multi-layer perceptron: Dense, then `depth` times (Activation, Dense).

    Parameters
    ----------
    depth : int >= 0
        Number of hidden layers, i.e. of nonlinearities. 0 is the linear model.
    activation : str, callable or Activation, or sequence of `depth` of those
        The nonlinearity of every hidden layer, or of each: a name that `Activation` knows, a function of an array, or
        an Activation.
    sigma_w, sigma_b : float >= 0, or sequence of `depth` + 1 of those
        Standard deviations of weights and biases in every Dense layer, or in each. With ReLU, sigma_w = 2**0.5 keeps
        the kernel's size through the layers; 1 halves it in each.
    frozen : int from 0 to depth + 1, default 0
        How many of the first Dense layers are not trained (``Dense(trainable=False)``).
    **parameters
        Of the activation, where it is one name or function for all layers: ``mlp(3, "leaky_relu", alpha=0.1)`` has
        ``Activation("leaky_relu", alpha=0.1)``.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError, TypeError
        As for `Dense` and `Activation`, or if a sequence has not one entry for each layer; an integer from 10 on as a
        sigma_w by position, which is taken for a width.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.mlp(1, "relu", sigma_w=1.5)
    Sequential(Dense(sigma_w=1.5, sigma_b=0.0), Activation('relu'), Dense(sigma_w=1.5, sigma_b=0.0))
    >>> fastntk.mlp(2, ["erf", "relu"], sigma_w=[1.0, 2.0, 1.0]) == fastntk.Sequential(
    ...     fastntk.Dense(1.0), "erf", fastntk.Dense(2.0), "relu", fastntk.Dense(1.0)
    ... )
    True
    """
    depth = depth_of(depth)
    weights = per_layer(sigma_w, "sigma_w", depth + 1, "Dense layers", standard_deviation)
    biases = per_layer(sigma_b, "sigma_b", depth + 1, "Dense layers", standard_deviation)
    hidden = activations("mlp", activation, depth, parameters)
    frozen = whole_number(frozen, "frozen", least=0, most=depth + 1)
    first, *others = (
        Dense(sigma_w=w, sigma_b=b, trainable=i >= frozen) for i, (w, b) in enumerate(zip(weights, biases, strict=True))
    )
    return Sequential(first, *(layer for pair in zip(hidden, others, strict=True) for layer in pair))


def depth_of(value: object, least: int = 0) -> int:
    """``value`` as a number of hidden layers."""
    depth = whole_number(value, "depth", least=least)
    if depth > _DEEPEST:
        raise ValueError(f"depth must be at most {_DEEPEST}, got {shown(value)}.")
    return depth


def activations(
    function: str, activation: PerLayer[Hidden], depth: int, parameters: dict[str, Any]
) -> list[Activation]:
    """Those of all hidden layers, with the parameters of their one name or function."""
    check = partial(_hidden, function=function, parameters=parameters)
    return per_layer(activation, "activation", depth, "hidden layers", check)


def _hidden(value: Any, name: str, *, function: str, parameters: dict[str, Any]) -> Activation:
    """One entry of `activation`; its name tells whether it is the only one."""
    if not parameters:
        return as_activation(value, name)
    if name != "activation" or isinstance(value, (Layer, Sequential)):
        raise TypeError(
            f"{function} takes {', '.join(parameters)} for one activation that is given by its name or function; an "
            f"Activation has parameters of its own: Activation(name, {next(iter(parameters))}=...)."
        )
    try:
        return Activation(value, **parameters)
    except TypeError as error:  # what is no parameter may have been meant for the network
        raise TypeError(f"{error} Nor is it an argument of {function}.") from None
