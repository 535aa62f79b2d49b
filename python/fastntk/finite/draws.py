"""Many draws of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._checks.arguments import random_generator
from .._checks.progress import Bar, Progress
from ..networks.sequential import Sequential
from .network import FiniteNetwork


def networks(
    net: Sequential,
    width: int | Sequence[int] | None,
    draws: int,
    rng: np.random.Generator | int | None,
    *,
    n_outputs: int | None = None,
    weights: Any = "normal",
    progress: Progress = False,
) -> Iterator[FiniteNetwork]:
    """Independent networks, one after the other."""
    with Bar(draws, "net", "networks") as bar:
        show = progress if callable(progress) else bar if progress else None
        for number, generator in enumerate(random_generator(rng, "rng").spawn(draws), start=1):
            yield FiniteNetwork(net, width, n_outputs, rng=generator, weights=weights)
            if show is not None:
                show(number / draws)
