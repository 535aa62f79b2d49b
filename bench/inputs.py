"""Section of compare.py about derivatives in the inputs: what they cost beside the kernel itself.

python bench/compare.py --only inputs
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import fastntk
from interleave import clock, interleave, show_ratio
from peers.client import Peer

NETS = {
    "relu, no bias": fastntk.mlp(3, "relu", 2**0.5),
    "relu": fastntk.mlp(3, "relu", 2**0.5, 0.1),
    "erf": fastntk.mlp(3, "erf", 2**0.5, 0.1),
    "gelu": fastntk.mlp(3, "gelu", 2**0.5, 0.1),
    "tanh": fastntk.mlp(3, "tanh", 2**0.5, 0.1),
    "relu, resmlp": fastntk.resmlp(3, "relu", 2**0.5, 0.1),
}


def inputs(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """Derivative of a weighted sum in all inputs, `vjp(X, G, wrt="inputs")`, over the kernel: n = 4096, d = 64.

    float64; the kernel is computed layer by layer into existing memory, as is what the derivative is of.
    """
    n, d = 4096, 64
    rng = np.random.default_rng(0)
    x, weights, out = rng.normal(size=(n, d)), rng.normal(size=(n, n)), np.zeros((n, n))
    yield "| network | kernel | kernel, s | derivative, s | ratio |"
    yield "|---|---|---|---|---|"
    for name, net in NETS.items():
        for kernel in (net.nngp, net.ntk):
            times = interleave(
                {
                    "kernel": clock(partial(kernel, x, out=out, univariate=False)),
                    "derivative": clock(partial(kernel.vjp, x, weights, wrt="inputs")),
                },
                rounds,
            )
            seconds = f"{times.median('kernel'):.3f} | {times.median('derivative'):.3f}"
            yield f"| {name} | {kernel.kind} | {seconds} | {show_ratio(times.ratio('derivative', 'kernel'))} |"
