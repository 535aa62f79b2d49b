"""The parameters of a network, for kernels and estimators alike: their constructors, and what is said of them."""

from __future__ import annotations

import inspect
import re
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TypeVar, dataclass_transform

from .._checks.shown import shown
from ..layers.activation import Activation
from ..networks.mlp import mlp
from ..networks.sequential import Sequential

Class = TypeVar("Class", bound=type)

#: Where a sigma_b of 0 starts that is to be fitted.
_BIAS = 0.1

_TITLE = "Parameters\n----------\n"


@dataclass_transform(eq_default=False, kw_only_default=True, field_specifiers=(field,))
def with_parameters(cls: Class) -> Class:
    """Make what a class declares parameters by keyword, after those it inherits: scikit-learn reads the constructor.

    Its docstring says its own; what it inherits is said where it comes from, and added in the order of the constructor.
    """
    dataclass(eq=False, repr=False, kw_only=True)(cls)
    entries: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        entries |= _entries(inspect.cleandoc(each.__dict__.get("__doc__") or ""))
    place = {name: i for i, name in enumerate(inspect.signature(cls).parameters)}
    first = {names: place.get(names.partition(",")[0], -1) for names in entries}
    text = "\n".join(entries[names] for names in sorted(entries, key=first.__getitem__) if first[names] >= 0)
    head, *sections = re.split(r"\n\n(?=[\w ]+\n---)", inspect.cleandoc(cls.__doc__ or ""))
    others = (section for section in sections if not section.startswith(_TITLE))
    cls.__doc__ = "\n\n".join((head, _TITLE + text, *others))
    return cls


def _entries(doc: str) -> dict[str, str]:
    """Entries of a numpydoc section of parameters, by the names they begin with."""
    section = doc.partition(_TITLE)[2].partition("\n\n")[0]
    return {entry.partition(" :")[0]: entry for entry in re.split(r"\n(?=\S)", section) if entry}


@dataclass(eq=False, repr=False)
class NetworkParameters:
    """Which network.

    Parameters
    ----------
    depth : int, default 1
        Number of hidden layers.
    activation : str or Activation, default "relu"
        Of every hidden layer.
    sigma_w, sigma_b : float, default 1.0 and 0.0
        Standard deviations of weights and biases in every layer, or one for each, as `fastntk.mlp` takes them.
    network : Sequential, optional
        Any other architecture, instead of depth, activation and sigmas. One of images begins with `fastntk.Reshape`:
        rows of X are what scikit-learn passes on. One of sequences or graphs has `fastntk.Sequences` or
        `fastntk.Graphs` for X.
    """

    depth: int = 1
    activation: str | Activation = "relu"
    sigma_w: float = 1.0
    sigma_b: float = 0.0
    _: KW_ONLY
    network: Sequential | None = None

    def _refuse_misplaced(self) -> None:
        for other in fields(self):
            if other.name != "network" and isinstance(vars(self).get(other.name), Sequential):
                raise TypeError(f"{other.name} is a network: pass it by name, {type(self).__name__}(network=...).")

    def _make_network(self) -> Sequential:
        self._refuse_misplaced()
        if self.network is None:
            return mlp(self.depth, self.activation, sigma_w=self.sigma_w, sigma_b=self.sigma_b)
        if not isinstance(self.network, Sequential):
            hint = "; a text of one is fastntk.network(text)" if isinstance(self.network, str) else ""
            raise TypeError(f"network must be a fastntk.Sequential, got {shown(self.network)}{hint}.")
        for name, default in _OF_A_STACK.items():
            value = getattr(self, name)
            if not (isinstance(value, (str, float, int)) and value == default):
                raise ValueError(
                    f"{name}={shown(value)} has no effect beside network=: leave it out, or search over networks, "
                    "{'network': [net.replace(sigma_w=1.5), net.replace(sigma_w=2.0)]}."
                )
        return self.network


#: What there is instead of a network.
_OF_A_STACK = {one.name: one.default for one in fields(NetworkParameters) if one.name != "network"}


def with_a_bias(net: Sequential) -> Sequential:
    """Where no layer has a bias, the network with a small one in all, that a fit can move: 0 has no logarithm."""
    biased = any(value > 0 for _, name, value in net.parameters if name == "sigma_b")
    return net if biased else net.replace(sigma_b=_BIAS)
