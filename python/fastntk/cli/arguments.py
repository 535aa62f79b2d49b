"""Arguments that commands have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any, Literal

from ..networks import text
from ..networks.mlp import mlp
from ..networks.sequential import Sequential
from ..samples import Ragged

Error = Callable[[str], object]


#: Arguments of `mlp`.
_DEFAULTS = {"depth": 1, "activation": "relu", "sigma_w": 1.0, "sigma_b": 0.0}


def add_network(parser: argparse.ArgumentParser) -> None:
    """Which kernel of which network: fully connected with all layers alike, or any, as text."""
    parser.add_argument("--net", metavar="TEXT", help="network as Python shows it, instead of the next four; see below")
    parser.add_argument("--depth", type=at_least(0), metavar="L", help="hidden layers (default: 1)")
    parser.add_argument("--activation", metavar="NAME", help="relu, erf, tanh, ... (default: relu)")
    parser.add_argument("--sigma-w", type=float, metavar="S", help="of the weights (default: 1)")
    parser.add_argument("--sigma-b", type=float, metavar="S", help="of the biases (default: 0)")
    parser.add_argument("--kernel", choices=("ntk", "nngp"), help="default: ntk")


#: What the help of a command says of `--net`.
NETWORKS = """\
--net takes what fastntk.network takes: Dense(sigma_w, sigma_b), Activation("erf", a=2.0) or "relu" for short,
Activation.piecewise_linear([-1, 1], [0, 1, 0]), LayerNorm(), Dropout(0.1), Sum, Product and Concat of branches,
Residual("relu", Dense()), mlp(3, "relu", 2**0.5), resmlp(9, "relu", scale="depth"), Sequential(...) of those,
*[...] * 9 for layers that repeat: the text that print(repr(net)) shows in Python, and fastntk info of a stored kernel.
Scale([1, 0.5]), first of all, has a weight for each feature.
For images and sequences, arrays (n, height, width, channels) and (n, length, channels): Conv(3), AvgPool(2), Flatten(),
GlobalAvgPool(), SelfAttention(), Recurrent("relu") and others, cnn(3, "relu", 2**0.5), myrtle(5), resnet((5, 5, 5)),
cntk(11), transformer(2); with Reshape(28, 28, 1) first they take rows. For graphs: Aggregate("mean"), gcn(2), gntk(2).
"""


def check_network(arguments: argparse.Namespace, error: Error) -> None:
    """Refuse a network that is described twice."""
    if arguments.net is not None and (given := _given(arguments, _DEFAULTS)):
        error(f"the network is that of --net: leave {', '.join(given)} out.")


def given_of_network(arguments: argparse.Namespace) -> list[str]:
    """Those of `add_network` that were given."""
    return _given(arguments, ("net", *_DEFAULTS, "kernel"))


def _given(arguments: argparse.Namespace, names: Iterable[str]) -> list[str]:
    return ["--" + name.replace("_", "-") for name in names if getattr(arguments, name) is not None]


def network(arguments: argparse.Namespace, samples: object) -> tuple[Sequential, Literal["ntk", "nngp"]]:
    """Make the network for these samples, and tell which kernel."""
    kind: Literal["ntk", "nngp"] = arguments.kernel or "ntk"
    if arguments.net is not None:
        return text.network(arguments.net), kind
    if isinstance(samples, Ragged):
        raise ValueError(
            f"samples are {type(samples).__name__}, and without --net the network is one for rows: pass one that reads "
            f"{samples.node}s, --net {' or '.join(map(repr, samples.readers))}."
        )
    chosen: dict[str, Any] = _DEFAULTS | {
        name: getattr(arguments, name) for name in _DEFAULTS if getattr(arguments, name) is not None
    }
    return mlp(**chosen), kind


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Whether to show progress."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def at_least(least: int) -> Callable[[str], int]:
    """Type of an integer."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"must be an integer >= {least}, got {text!r}")
        return number

    return convert
