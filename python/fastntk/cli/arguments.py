"""Arguments that commands have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Literal

from ..networks.mlp import mlp
from ..networks.sequential import Sequential

Error = Callable[[str], object]


_DEFAULTS = {"depth": 1, "activation": "relu", "sigma_w": 1.0, "sigma_b": 0.0, "kernel": "ntk"}


def add_network(parser: argparse.ArgumentParser) -> None:
    """Which kernel of which network: fully connected, all layers alike."""
    parser.add_argument("--depth", type=at_least(0), metavar="L", help="hidden layers (default: 1)")
    parser.add_argument("--activation", metavar="NAME", help="relu, erf, tanh, ... (default: relu)")
    parser.add_argument("--sigma-w", type=float, metavar="S", help="of the weights (default: 1)")
    parser.add_argument("--sigma-b", type=float, metavar="S", help="of the biases (default: 0)")
    parser.add_argument("--kernel", choices=("ntk", "nngp"), help="default: ntk")


def given_of_network(arguments: argparse.Namespace) -> list[str]:
    """Those of `add_network` that were given."""
    return ["--" + name.replace("_", "-") for name in _DEFAULTS if getattr(arguments, name) is not None]


def network(arguments: argparse.Namespace) -> tuple[Sequential, Literal["ntk", "nngp"]]:
    """Make the network, and tell which kernel."""
    given = {name: getattr(arguments, name) for name in _DEFAULTS if getattr(arguments, name) is not None}
    chosen: dict[str, Any] = {**_DEFAULTS, **given}
    kind = chosen.pop("kernel")
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
