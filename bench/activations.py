"""Sections of compare.py about activations: what each costs beside ReLU, and what depth costs.

python bench/compare.py --only activations slow numerical depth
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastntk
from fastntk.activations.registry import REGISTRY
from fastntk.demo import data
from interleave import clock, interleave, show_ratio
from peers.client import Peer

DTYPES = ("float32", "float64")
REQUIRED: dict[str, dict[str, Any]] = {
    "abrelu": {"a": -0.5, "b": 1.2}, "monomial": {"degree": 3}, "hermite": {"degree": 3}, "gaussian": {"b": -0.5},
    "polynomial": {"coefficients": (0.0, 1.0, 0.2, 0.1)}, "exp": {"b": 0.3},
}  # fmt: skip
SLOW = (
    "tanh", "gelu", "elu", "selu", "celu", "softsign", "polynomial", "hard_tanh", "relu6", "hard_sigmoid", "hard_swish",
    "soft_shrink", "hard_shrink",
)  # fmt: skip


def images(count: int, dtype: str) -> tuple[str, np.ndarray[Any, Any]]:
    """Fashion-MNIST, or the digits, repeated with a little noise, where it is absent."""
    try:
        chosen = data.load("fashion-mnist", None, count, 10, dtype)
    except FileNotFoundError:
        chosen = data.load("digits", None, 1000, 797, dtype)
        rng = np.random.default_rng(0)
        rows = np.tile(chosen.train, (-(-count // 1000), 1))[:count]
        return "digits with noise", (rows + 0.1 * rng.normal(size=rows.shape)).astype(dtype)
    return "Fashion-MNIST", np.ascontiguousarray(chosen.train[:count])


def activations(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """Both kernels of 3 hidden layers on 4,096 images of 784 pixels, over the time of ReLU."""
    n = 4096
    name, x = images(n, "float64")
    yield f"Data: {name}; sigma_w = 1.2, sigma_b = 0.1; expansions to a tolerance of 1e-6."
    yield ""
    yield "| activation | float32 | float64 |"
    yield "|---|---|---|"
    ratios: dict[str, dict[str, str]] = {key: {} for key in REGISTRY}
    for dtype in DTYPES:
        rows = x.astype(dtype)
        outs = (np.zeros((n, n), dtype), np.zeros((n, n), dtype))
        for names in (list(REGISTRY)[i : i + 6] for i in range(0, len(REGISTRY), 6)):
            runs = {
                key: fastntk.mlp(3, fastntk.Activation(key, tolerance=1e-6, **REQUIRED.get(key, {})), 1.2, 0.1)
                for key in dict.fromkeys(("relu", *names))
            }
            times = interleave({key: clock(partial(net.kernels, rows, out=outs)) for key, net in runs.items()}, rounds)
            for key in names:
                ratios[key][dtype] = show_ratio(times.ratio(key, "relu"))
    for key, by_dtype in ratios.items():
        yield f"| {key} | {by_dtype['float32']} | {by_dtype['float64']} |"


def slow(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """Both kernels of 3 hidden layers over the time of ReLU where the product is small: 4,096 normal rows, d = 64."""
    n, d = 4096, 64
    yield "sigma_w = 1.2, sigma_b = 0.1; expansions to a tolerance of 1e-6."
    yield ""
    yield "| activation | float32 | float64 |"
    yield "|---|---|---|"
    x = np.random.default_rng(0).normal(size=(n, d))
    ratios: dict[str, dict[str, str]] = {key: {} for key in SLOW}
    for dtype in DTYPES:
        rows, outs = x.astype(dtype), (np.zeros((n, n), dtype), np.zeros((n, n), dtype))
        runs = {
            key: fastntk.mlp(3, fastntk.Activation(key, tolerance=1e-6, **REQUIRED.get(key, {})), 1.2, 0.1)
            for key in ("relu", *SLOW)
        }
        times = interleave({key: clock(partial(net.kernels, rows, out=outs)) for key, net in runs.items()}, rounds)
        for key in SLOW:
            ratios[key][dtype] = show_ratio(times.ratio(key, "relu"))
    for key, by_dtype in ratios.items():
        yield f"| {key} | {by_dtype['float32']} | {by_dtype['float64']} |"


def numerical(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:
    """NTK of 3 hidden tanh layers, n = 1,024, d = 16, against neural-tangents' nodes x nodes rule (compiled and warm).

    The error of each is that of its float64 or float32 kernel against fastntk's in float64 to 1e-12.
    """
    n, d = 1024, 16
    sigma_w, sigma_b = 1.5, 0.1
    x = np.random.default_rng(0).normal(size=(n, d))
    truth = fastntk.mlp(3, fastntk.Activation("tanh", tolerance=1e-12), sigma_w, sigma_b).ntk(x)
    scale = np.sqrt(np.outer(truth.diagonal(), truth.diagonal()))

    def error(kernel: np.ndarray[Any, Any]) -> str:
        return f"{(np.abs(kernel.astype(np.float64) - truth) / scale).max():.0e}"

    yield "| contender | dtype | error | ns per entry | times fastntk's |"
    yield "|---|---|---|---|---|"
    for dtype, cases in (("float32", ((1e-6, 10),)), ("float64", ((1e-4, 25), (1e-10, 25)))):
        rows = x.astype(dtype)
        for tolerance, nodes in cases:
            net = fastntk.mlp(3, fastntk.Activation("tanh", tolerance=tolerance), sigma_w, sigma_b)
            runs = {"fastntk": clock(partial(net.ntk, rows))}
            errors = {"fastntk": error(net.ntk(rows))}
            peer = peers.get("neural-tangents")
            if peer is not None:
                with tempfile.TemporaryDirectory() as folder:
                    path, saved = str(Path(folder) / "x.npy"), str(Path(folder) / "k.npy")
                    np.save(path, rows)
                    case = {
                        "x": path,
                        "depth": 3,
                        "activation": "tanh",
                        "dtype": dtype,
                        "nodes": nodes,
                        "sigma_w": sigma_w,
                        "sigma_b": sigma_b,
                    }
                    peer.ask(save=saved, **case)
                    errors["neural-tangents"] = error(np.load(saved))
                    runs["neural-tangents"] = partial(peer.seconds, **case)
                    times = interleave(runs, rounds)
            else:
                times = interleave(runs, rounds)
            for name in runs:
                label = f"fastntk, tolerance {tolerance:g}" if name == "fastntk" else f"{name}, {nodes} nodes"
                per_entry = times.median(name) / n**2 * 1e9
                ratio = show_ratio(times.ratio(name, "fastntk"))
                yield f"| {label} | {dtype} | {errors[name]} | {per_entry:,.1f} | {ratio} |"


def depth(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """NTK of 50 hidden layers over that of 1, n = 4096, for networks that depend on the angle alone."""
    n = 4096
    yield "| activation | inputs | dtype | d | 50 layers / 1 layer | layer by layer |"
    yield "|---|---|---|---|---|---|"
    for activation, inputs, sigmas in (("relu", "any norm", (2**0.5, 0.0)), ("tanh", "unit norm", (1.5, 0.1))):
        act = fastntk.Activation(activation, tolerance=1e-6)
        for dtype in DTYPES:
            for d in (16, 784):
                x = np.random.default_rng(0).normal(size=(n, d))
                if inputs == "unit norm":
                    x *= (np.sqrt(d) / np.linalg.norm(x, axis=1))[:, None]
                x, out = x.astype(dtype), np.zeros((n, n), dtype)
                shallow, deep = (fastntk.mlp(layers, act, *sigmas) for layers in (1, 50))
                times = interleave(
                    {
                        "shallow": clock(partial(shallow.ntk, x, out=out)),
                        "deep": clock(partial(deep.ntk, x, out=out)),
                        "layers": clock(partial(deep.ntk, x, out=out, univariate=False)),
                    },
                    rounds,
                )
                yield (
                    f"| {activation} | {inputs} | {dtype} | {d} | {show_ratio(times.ratio('deep', 'shallow'))} "
                    f"| {show_ratio(times.ratio('layers', 'shallow'))} |"
                )
