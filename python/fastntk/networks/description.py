"""What files say of networks and of samples, as plain data that JSON can hold; and networks back."""

from __future__ import annotations

import hashlib
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks.shown import cut
from ..layers.activation import Activation
from ..layers.base import Layer
from ..layers.recurrent import Recurrent
from ..samples import Ragged
from .fingerprint import UnstableError, fingerprint
from .sequential import Sequential
from .text import LONGEST, network

#: The text of a network; or of each layer, where that of the whole could not be read again.
Described = str | list[str]

#: Where the values of an activation that is a Python function are compared.
_PROBE = np.linspace(-8.0, 8.0, 1001)


def describe(net: Sequential) -> Described:
    """A network as text; with Python functions a list, where they are known by digests of their code and values.

    Raises
    ------
    ValueError
        If a Python function could not be recognised in another process.
    """
    if not any(map(functions, net)) and _is_readable(net, text := repr(net)):
        return text
    texts: list[str] = []
    for i, layer in enumerate(net):
        try:
            texts.append("".join([repr(layer), *map(_digests, functions(layer))]))
        except UnstableError as error:
            name = layer.name if isinstance(layer, Activation) else repr(layer)
            raise ValueError(
                f"layer {i} of the network, {name}, could not be recognised in another process: {error}. Write it as a "
                "plain function of what NumPy and SciPy have, or compute without a store, with out=np.memmap(...)."
            ) from None
    return texts


def _is_readable(net: Sequential, text: str) -> bool:
    """Whether `network` reads it: neither too long, nor nested too deeply."""
    try:
        return len(text) <= LONGEST and (not any(layer.branches for layer in net) or network(text) == net)
    except ValueError:
        return False


@singledispatch
def functions(layer: Layer) -> tuple[Activation, ...]:
    """Activations in a layer that are Python functions."""
    return tuple(found for branch in layer.branches for inner in branch for found in functions(inner))


@functions.register
def _(layer: Activation) -> tuple[Activation, ...]:
    return () if layer.function is None else (layer,)


@functions.register
def _(layer: Recurrent) -> tuple[Activation, ...]:
    return functions(layer.activation)


def _digests(activation: Activation) -> str:
    with np.errstate(all="ignore"):
        values = [np.asarray(of(_PROBE), np.float64).tobytes() for of in (activation, activation.derivative)]
    code = fingerprint((activation.function, dict(activation._options).get("derivative")))
    return f" of code {code[:16]} and values {hashlib.sha256(b''.join(values)).hexdigest()[:16]}"


def build(described: Described) -> Sequential:
    """Make the network again.

    Raises
    ------
    ValueError
        If one of its layers is a Python function, or unknown to this version.
    """
    if isinstance(described, str):
        return network(described)
    layers = []
    for i, text in enumerate(described):
        try:
            layers.append(network(text))
        except ValueError as error:
            raise ValueError(
                f"layer {i} of the network, {cut(text)}, is not in the file itself: make the network as it was made at "
                f"first ({str(error).rstrip('.')})."
            ) from None
    return Sequential(*layers)


def layers_of(described: Described) -> list[str]:
    """Text of each layer, functions with their digests."""
    return list(map(repr, network(described))) if isinstance(described, str) else described


def check_described(described: object) -> Described:
    """Raise ValueError if this is not what `describe` writes."""
    if isinstance(described, str):
        network(described)
        return described
    if not isinstance(described, list) or not described or not all(isinstance(text, str) for text in described):
        raise ValueError(f"its network is {str(described)[:40]!r}, which is no text and no list of texts")
    return described


def describe_data(x: NDArray[Any] | Ragged) -> dict[str, Any]:
    """Samples: their shape, or how many there are of how many channels, precision and digest."""
    digest = hashlib.sha256(type(x).__name__.encode() if isinstance(x, Ragged) else b"")
    for array in x.arrays if isinstance(x, Ragged) else (x,):
        step = max(1, 2**24 // max(1, array[:1].nbytes))
        for i in range(0, len(array), step):
            digest.update(np.ascontiguousarray(array[i : i + step]).data)
    return {
        "shape": [len(x), x.channels] if isinstance(x, Ragged) else list(x.shape),
        "dtype": x.dtype.name,
        "sha256": digest.hexdigest(),
    }
