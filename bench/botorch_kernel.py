"""The NNGP of ReLU beside BoTorch's InfiniteWidthBNNKernel, both as kernels of GPyTorch.

python bench/botorch_kernel.py speed --peer PYTHON    # of the kernel, and of a backward pass
python bench/botorch_kernel.py errors --peer PYTHON   # near duplicates, against 60-digit arithmetic
python bench/botorch_kernel.py ... --write            # puts the table into bench/README.md
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import acos, mp, mpf, pi, sqrt
from numpy.typing import NDArray

from interleave import Run, interleave, show_ratio
from peers.client import Peer
from tables import run

Array = NDArray[Any]

DEPTH, FEATURES, SIGMA_W, SIGMA_B = 3, 20, 2**0.5, 0.1
CASE = {"kernel": "nngp", "depth": DEPTH, "sigma_w": SIGMA_W, "sigma_b": SIGMA_B}

#: What is differentiated beside the kernel, a word of peers/README.md, and the ratio to reach from 1,000 samples on.
PASSES = {
    "": ("kernel", 20),
    "parameters": ("and backward to its parameters", 15),
    "inputs": ("and backward to the inputs", 15),
    "all": ("and backward to both", 15),
}


def peers_of(arguments: argparse.Namespace) -> dict[str, Peer]:
    """Start BoTorch's kernel and ours, each in a process of its own."""
    if arguments.peer is None:
        raise SystemExit("--peer PYTHON is that of an environment with botorch and fastntk (peers/README.md).")
    return {name: Peer(name, arguments.peer) for name in ("botorch", "fastntk.gpytorch")}


def speed(arguments: argparse.Namespace) -> Iterator[str]:
    """NNGP of 3 hidden ReLU layers beside BoTorch's, float64, d = 20, both as modules of GPyTorch.

    The backward pass is that of the sum of all entries: to the parameters as a model is fitted, to the inputs as an
    acquisition function is maximised. BoTorch's parameters are variances, ours standard deviations.
    """
    peers = peers_of(arguments)
    yield "| n | what | BoTorch, s | fastntk, s | ratio | wanted |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "x.npy")
        for n in (200, 1000, 4000):
            np.save(path, np.random.default_rng(0).normal(size=(n, FEATURES)))
            for derivatives, (what, wanted) in PASSES.items():
                contenders: dict[str, Run] = {
                    name: partial(peer.seconds, x=path, derivatives=derivatives, **CASE) for name, peer in peers.items()
                }
                times = interleave(contenders, int(arguments.rounds or 5))
                seconds = " | ".join(f"{times.median(name):.2g}" for name in contenders)
                ratio = show_ratio(times.ratio("botorch", "fastntk.gpytorch"))
                yield f"| {n:,} | {what} | {seconds} | {ratio} | {wanted if n >= 1000 else ''} |"
    for peer in peers.values():
        peer.close()


def errors(arguments: argparse.Namespace) -> Iterator[str]:
    """Errors of both near duplicates, float64: a normal sample of 20 features and one that is so far from it.

    Of K(x, x') relative to sqrt(K(x, x) K(x', x')); of the variance of f(x) - f(x'), K(x, x) - 2 K(x, x') + K(x', x'),
    relative to itself; and the largest of the derivative of all entries' sum in both, relative to its largest.
    """
    peers = peers_of(arguments)
    what = ("K", "variance of the difference", "derivative")
    yield f"| distance over norm | {' | '.join(f'{name}, BoTorch | fastntk' for name in what)} |"
    yield f"|---|{'---|---|' * len(what)}"
    rng = np.random.default_rng(0)
    base, direction = rng.normal(size=(2, FEATURES))
    direction *= np.linalg.norm(base) / np.linalg.norm(direction)
    with tempfile.TemporaryDirectory() as folder, mp.workdps(60):
        path, saved = (str(Path(folder) / file) for file in ("x.npy", "k.npy"))
        for distance in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 0.0):
            x = np.stack((base, base + distance * direction))
            np.save(path, x)
            truth, slopes = exact_kernel(x), exact_derivative(x)
            found: list[list[float]] = []
            for peer in peers.values():
                peer.ask(x=path, save=saved, **CASE)
                kernel = np.load(saved)
                peer.ask(x=path, save=saved, derivatives="inputs", **CASE)
                found.append([*errors_of(kernel, truth), relative(np.load(saved), slopes)])
            cells = " | ".join(f"{theirs:.0e} | {ours:.0e}" for theirs, ours in zip(*found, strict=True))
            yield f"| {distance:g} | {cells} |"
    for peer in peers.values():
        peer.close()


def errors_of(kernel: Array, truth: Array) -> tuple[float, float]:
    """Errors of K(x, x'), and of the variance of the difference."""
    variance, true_variance = (k[0, 0] - 2 * k[0, 1] + k[1, 1] for k in (kernel.astype(object), truth))
    off_diagonal = abs(kernel[0, 1] - truth[0, 1]) / sqrt(truth[0, 0] * truth[1, 1])
    return float(off_diagonal), float(abs(variance - true_variance) / true_variance) if true_variance else 0.0


def relative(found: Array, truth: Array) -> float:
    """Largest error relative to the largest entry."""
    return float(np.abs(found - truth).max() / np.abs(truth).max())


def exact_kernel(x: Array, sigma_w: Any = SIGMA_W, sigma_b: Any = SIGMA_B) -> Array:
    """Textbook recursion in all digits: Cho and Saul (2009), eq. 6."""
    rows = [[mpf(number) for number in row] for row in x.tolist()]
    k: Array = np.array([[sum(a * b for a, b in zip(u, v, strict=True)) / x.shape[1] for u in rows] for v in rows])
    for layer in range(DEPTH + 1):
        k = mpf(sigma_b) ** 2 + mpf(sigma_w) ** 2 * (k if layer == 0 else relu(k))
    return k


def relu(k: Array) -> Array:
    """E[relu(u) relu(v)] of every pair."""
    scale: Array = np.array([[sqrt(p * q) for p in k.diagonal()] for q in k.diagonal()])
    rho = np.minimum(k / scale, mpf(1))
    sine = np.array([[sqrt(1 - r * r) for r in row] for row in rho])
    angle = np.array([[acos(r) for r in row] for row in rho])
    dual: Array = scale * (sine + (pi - angle) * rho) / (2 * pi)
    return dual


def exact_derivative(x: Array) -> Array:
    """Derivative of the sum of the kernel's entries in x, by central differences of 1e-20 in 60 digits."""
    h = mpf(10) ** (-mp.dps // 3)
    x = np.array([[mpf(number) for number in row] for row in x.tolist()])
    slopes = np.empty(x.shape, object)
    for place in np.ndindex(x.shape):
        sums = []
        for step in (h, -h):
            moved = x.copy()
            moved[place] += step
            sums.append(exact_kernel(moved).sum())
        slopes[place] = (sums[0] - sums[1]) / (2 * h)
    return slopes


SECTIONS = {"speed": speed, "errors": errors}


if __name__ == "__main__":
    run(
        "botorch_kernel", __doc__, SECTIONS,
        rounds={"type": int, "help": "of speed: how often each runs, 5 by itself"},
        peer={"type": str, "help": "Python of an environment with botorch and fastntk"},
    )  # fmt: skip
