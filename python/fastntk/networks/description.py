"""Networks and samples as plain data that JSON can hold, for files, and networks back."""

from __future__ import annotations

import hashlib
import json
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..layers.activation import Activation
from ..layers.base import Layer
from ..layers.dense import Dense
from .fingerprint import UnstableError, fingerprint

if TYPE_CHECKING:
    from .sequential import Sequential

Plain = dict[str, Any]

#: Where the values of an activation that is a Python function are compared.
_PROBE = np.linspace(-8.0, 8.0, 1001)


def describe(layers: tuple[Layer, ...]) -> list[Plain]:
    """Layers as plain data; of a Python function its name, its fingerprint and that of its values.

    Raises
    ------
    ValueError
        If a Python function could not be recognised in another process.
    """
    entries: list[Plain] = []
    for i, layer in enumerate(layers):
        try:
            entries.append(_describe(layer))
        except UnstableError as error:
            raise ValueError(
                f"layer {i} of the network, {layer.name if isinstance(layer, Activation) else layer!r}, could not be "
                f"recognised in another process: {error}. Write it as a plain function of what NumPy and SciPy have, "
                "or compute without a store, with out=np.memmap(...)."
            ) from None
    plain: list[Plain] = json.loads(json.dumps(entries, allow_nan=False))
    return plain


@singledispatch
def _describe(layer: Layer) -> Plain:
    raise NotImplementedError(f"files do not know {type(layer).__name__}.")


@_describe.register
def _(layer: Dense) -> Plain:
    return {"dense": {"sigma_w": layer.sigma_w, "sigma_b": layer.sigma_b, "trainable": layer.trainable}}


@_describe.register
def _(layer: Activation) -> Plain:
    options = dict(layer._options)
    if layer.function is None:
        key = "piecewise_linear" if layer.name == "piecewise_linear" else "activation"
        return {key: layer.name, "parameters": dict(layer.parameters), "options": options}
    with np.errstate(all="ignore"):
        values = [np.asarray(of(_PROBE), np.float64).tobytes() for of in (layer, layer.derivative)]
    return {
        "function": layer.name,
        "code": fingerprint((layer.function, options.pop("derivative", None)))[:32],
        "values": hashlib.sha256(b"".join(values)).hexdigest()[:32],
        "options": options,
    }


def describe_data(x: NDArray[Any]) -> Plain:
    """Samples: their shape, precision and digest."""
    digest = hashlib.sha256()
    step = max(1, 2**24 // max(1, x[:1].nbytes))
    for i in range(0, len(x), step):
        digest.update(np.ascontiguousarray(x[i : i + step]).data)
    return {"shape": list(x.shape), "dtype": x.dtype.name, "sha256": digest.hexdigest()}


def text(entry: Plain) -> str:
    """One layer for people to read."""
    if "function" in entry:
        shown = "".join(f", {name}={value!r}" for name, value in entry["options"].items())
        return f"Activation(<{entry['function']}>{shown}) of code {entry['code'][:8]} and values {entry['values'][:8]}"
    return repr(_layer(entry))


def build(entries: list[Plain]) -> Sequential:
    """Make the network again.

    Raises
    ------
    ValueError
        If one of its layers is a Python function, or unknown to this version.
    """
    from .sequential import Sequential

    layers: list[Layer] = []
    for i, entry in enumerate(entries):
        if isinstance(entry, dict) and "function" in entry:
            raise ValueError(
                f"layer {i} of the network is a Python function, <{entry['function']}>, which a file does not hold: "
                "make the network as it was made at first."
            )
        try:
            layers.append(_layer(entry))
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"layer {i} of the network is not one that this version knows: {error}") from None
    return Sequential(*layers)


def _layer(entry: Plain) -> Layer:
    match entry:
        case {"dense": {"sigma_w": w, "sigma_b": b, "trainable": trainable}}:
            return Dense(w, b, trainable=trainable)
        case {"piecewise_linear": _, "parameters": {"breakpoints": points, "slopes": slopes}}:
            return Activation.piecewise_linear(points, slopes)
        case {"activation": str(name), "parameters": dict(parameters), "options": dict(options)}:
            return Activation(name, **options, **parameters)
    raise ValueError(f"{str(entry)[:80]!r} is no layer.")
