"""``fastntk config``: what this installation uses."""

from __future__ import annotations

import argparse

from .._machine import runtime
from .arguments import Error

DESCRIPTION = "Say what this installation uses, one entry per line."
EPILOG = None


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments: none."""
    del parser


def check(arguments: argparse.Namespace, error: Error) -> None:
    """Accept all."""
    del arguments, error


def run(arguments: argparse.Namespace) -> None:
    """Say it."""
    del arguments
    for name, value in runtime.config().items():
        print(f"{name}: {', '.join(value) if isinstance(value, (list, tuple)) else value}")
