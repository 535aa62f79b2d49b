"""Fitting hyper-parameters by marginal likelihood, against scikit-learn's Gaussian process and scikit-ntk's kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import fastntk
from fastntk.inference import log_marginal_likelihood
from interleave import clock, interleave, show_ratio
from peers.client import Peer

N, D = 2000, 8


def fitting(rounds: int, peers: dict[str, Peer]) -> Iterator[str]:  # noqa: ARG001
    """Marginal likelihood with gradient in sigma_w, sigma_b and noise, n = 2000, d = 8, float64: one evaluation.

    scikit-learn: GaussianProcessRegressor.log_marginal_likelihood(theta, eval_gradient=True) with Constant * RBF +
    White, which has as many parameters. scikit-ntk, if installed: its kernel with gradient, against ours.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D))
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=N)
    model = GaussianProcessRegressor(ConstantKernel(1.0) * RBF(2.0) + WhiteKernel(0.01), optimizer=None).fit(x, y)
    theirs = partial(model.log_marginal_likelihood, model.kernel_.theta, eval_gradient=True)

    def ours(net: fastntk.Sequential) -> np.ndarray[Any, Any]:
        found = log_marginal_likelihood(net.nngp(x), y, 0.01, gradient=True)
        return np.append(net.nngp.vjp(x, found.kernel_gradient, shared=True), found.noise_gradient)

    yield "| covariance | one evaluation | scikit-learn's time over it |"
    yield "|---|---|---|"
    nets = {
        f"NNGP, {act}, depth {depth}": fastntk.mlp(depth, act, 1.5, 0.3)
        for act, depth in (("relu", 1), ("relu", 3), ("erf", 2), ("tanh", 2))
    }
    runs = interleave(
        {"scikit-learn": clock(theirs), **{name: clock(partial(ours, net)) for name, net in nets.items()}}, rounds
    )
    yield f"| scikit-learn's Constant * RBF + White | {runs.median('scikit-learn'):.3f} s | 1 |"
    for name in nets:
        yield f"| {name} | {runs.median(name):.3f} s | {show_ratio(runs.ratio('scikit-learn', name))} |"

    try:
        from skntk import NeuralTangentKernel
    except ImportError:
        return
    net = fastntk.mlp(3, "relu", 2**0.5, 0.1)
    peer = NeuralTangentKernel(depth=3, bias=0.1)
    weights = np.ones((N, N))
    both = interleave(
        {
            "fastntk": clock(partial(net.ntk.value_and_gradient, x, shared=True)),
            "fastntk, summed with weights": clock(partial(net.ntk.vjp, x, weights, shared=True)),
            "scikit-ntk": clock(partial(peer, x, eval_gradient=True)),
        },
        rounds,
    )
    yield ""
    yield "| NTK of 3 ReLU layers with its gradient | time | over fastntk's |"
    yield "|---|---|---|"
    for name in ("fastntk", "fastntk, summed with weights", "scikit-ntk"):
        ratio = show_ratio(both.ratio(name, "fastntk"))
        yield f"| {name} | {1e3 * both.median(name):.1f} ms | {ratio} |"
