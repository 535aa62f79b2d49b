"""Section of compare.py about branches: what residual blocks cost beside the layers of a stack, and beside a peer.

python bench/compare.py --only residual --peer neural-tangents=PYTHON
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastntk
from interleave import clock, interleave, show_ratio
from peers.client import Peer

DEPTH = 3
CASES = {"relu, no bias": ("relu", 0.0), "relu": ("relu", 0.1), "erf": ("erf", 0.1), "gelu": ("gelu", 0.1)}


def residual(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:
    """NTK of `resmlp` of 3 blocks over that of `mlp` of 3 hidden layers, n = 4096, d = 64; least and median times."""
    n, d = 4096, 64
    x = np.random.default_rng(0).normal(size=(n, d))
    yield "| activation | dtype | univariate | mlp, s | resmlp, s | least / least | ratio |"
    yield "|---|---|---|---|---|---|---|"
    for name, (activation, sigma_b) in CASES.items():
        for dtype in ("float32", "float64"):
            rows, out = x.astype(dtype), np.zeros((n, n), dtype)
            for univariate in (True, False):
                times = interleave(
                    {
                        build.__name__: clock(
                            partial(build(DEPTH, activation, 2**0.5, sigma_b).ntk, rows, out=out, univariate=univariate)
                        )
                        for build in (fastntk.mlp, fastntk.resmlp)
                    },
                    rounds,
                )
                plain, blocks = (min(times.seconds[key]) for key in ("mlp", "resmlp"))
                yield (
                    f"| {name} | {dtype} | {univariate} | {plain:.3f}, {times.median('mlp'):.3f} "
                    f"| {blocks:.3f}, {times.median('resmlp'):.3f} "
                    f"| {blocks / plain:.2f} | {show_ratio(times.ratio('resmlp', 'mlp'))} |"
                )
    if "neural-tangents" in peers:
        yield ""
        yield from against(peers["neural-tangents"], rounds, x.astype("float32"))


def against(peer: Peer, rounds: int, x: np.ndarray[Any, Any]) -> Iterator[str]:
    """One table: the same residual network in neural-tangents, compiled and warm."""
    yield "| float32 | neural-tangents, s | resmlp, s | times fastntk's | difference off the diagonal, n = 512 |"
    yield "|---|---|---|---|---|"
    for name in ("relu, no bias", "relu", "erf"):
        activation, sigma_b = CASES[name]
        net = fastntk.resmlp(DEPTH, activation, 2**0.5, sigma_b)
        case = {"depth": DEPTH, "activation": activation, "sigma_w": 2**0.5, "sigma_b": sigma_b, "dtype": "float32"}
        with tempfile.TemporaryDirectory() as folder:
            path, few, saved = (str(Path(folder) / file) for file in ("x.npy", "few.npy", "k.npy"))
            np.save(path, x)
            np.save(few, x[:512])
            times = interleave(
                {"peer": partial(peer.seconds, x=path, residual=True, **case), "fastntk": clock(partial(net.ntk, x))},
                rounds,
            )
            peer.ask(x=few, residual=True, save=saved, **case)
            theirs = np.load(saved)
        ours = net.ntk(x[:512].astype("float64"))
        difference = np.abs(theirs - ours) / np.sqrt(np.outer(ours.diagonal(), ours.diagonal()))
        np.fill_diagonal(difference, 0)
        yield (
            f"| {name} | {times.median('peer'):.3f} | {times.median('fastntk'):.3f} "
            f"| {show_ratio(times.ratio('peer', 'fastntk'))} | {difference.max():.1e} |"
        )
