"""The laboratory of finite width: exponents, fluctuations, training, and what an empirical NTK takes.

python bench/finite.py kernels        # errors against the width, 2^6 to 2^13; a quarter of an hour
python bench/finite.py fluctuation    # deviations of 2,000 networks against their prediction
python bench/finite.py training       # trained networks against their limit
python bench/finite.py speed          # time and memory of an empirical NTK
python bench/finite.py ... --write    # puts the table into bench/README.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastntk
from fastntk.finite import FiniteNetwork, convergence, train
from measured import gib, measured
from tables import run

Array = NDArray[Any]

X = np.random.default_rng(0).normal(size=(10, 5))


def kernels(_: argparse.Namespace) -> Iterator[str]:
    """Relative error of the kernels of networks of finite width: root mean square over 40 draws, two hidden layers.

    In brackets what `net.nngp.fluctuation` predicts. The slope of log error over log width is to be -1/2.
    """
    widths = 2 ** np.arange(6, 14)
    names = ("relu", "tanh")
    found = [convergence(fastntk.mlp(2, name, 1.5, 0.3), X, list(map(int, widths)), 40, rng=0) for name in names]
    yield f"| width | {' | '.join(f'{name}, NNGP | {name}, NTK' for name in names)} |"
    yield "|---" * (1 + 2 * len(names)) + "|"
    for i, width in enumerate(widths):
        cells = [
            f"{one.nngp_error[i, -1]:.4f} ({one.nngp_predicted[i, -1]:.4f}) | {one.ntk_error[i, -1]:.4f}"
            for one in found
        ]
        yield f"| {width} | {' | '.join(cells)} |"
    yield f"| slope | {' | '.join(f'{one.nngp_exponent[-1]:.3f} | {one.ntk_exponent[-1]:.3f}' for one in found)} |"


def fluctuation(_: argparse.Namespace) -> Iterator[str]:
    """Standard deviation of the kernel K of networks of width 1,024, over its prediction: 2,500 draws, four inputs.

    Of all entries. The statistical error of one is 1.4 % (of a standard deviation: one over the root of twice the
    draws).
    """
    yield "| activation | hidden layers | smallest | mean | largest |"
    yield "|---|---|---|---|---|"
    for name, depth in (("relu", 1), ("tanh", 1), ("relu", 2), ("tanh", 2)):
        net = fastntk.mlp(depth, name, 1.5, 0.3)
        sampled = np.array([FiniteNetwork(net, 1024, rng=i).empirical_nngp(X[:4])[-1] for i in range(2500)])
        ratio = sampled.std(axis=0)[np.triu_indices(4)] / net.nngp.fluctuation(X[:4], 1024)[np.triu_indices(4)]
        yield f"| {name} | {depth} | {ratio.min():.3f} | {ratio.mean():.3f} | {ratio.max():.3f} |"


def training(_: argparse.Namespace) -> Iterator[str]:
    """Networks trained on seven samples for 640 steps: root mean square over ten draws and all times.

    Distance of their outputs at 60 inputs from what the limit predicts for the same start, distance from their own
    linear model, drift of the empirical NTK, movement of the first layer's parameters; tanh, two hidden layers.
    """
    x, new = np.linspace(-1, 1, 7)[:, None], np.linspace(-1.3, 1.3, 60)[:, None]
    y, net = np.sin(3 * x[:, 0]), fastntk.mlp(2, "tanh", 1.5, 0.5)
    widths = 2 ** np.arange(6, 12)
    errors, rises = np.empty((len(widths), 4)), 0
    for i, width in enumerate(widths):
        squares = []
        for seed in range(10):
            network = FiniteNetwork(net, int(width), rng=seed)
            run = train(network, x, y, [10, 40, 160, 640], new, learning_rate=0.05)
            rises += int((np.diff(run.loss) >= 0).sum())
            distances = (run.test_outputs - run.test_predicted, run.test_outputs - run.test_linearized)
            squares.append([np.mean(d**2) for d in (*distances, run.ntk_drift, run.movement[:, 0])])
        errors[i] = np.sqrt(np.mean(squares, axis=0))
    slopes = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    yield "| width | from the limit | from the linear model | drift of the NTK | movement |"
    yield "|---|---|---|---|---|"
    for width, row in zip([*widths, "slope"], [*errors, slopes], strict=True):
        yield f"| {width} | {' | '.join(f'{value:.4f}' for value in row)} |"
    yield ""
    yield f"Times at which a loss had not fallen: {rises}."


def empirical(n: int, width: int, outputs: int) -> None:
    """Empirical NTK of three hidden ReLU layers, 100 inputs."""
    network = FiniteNetwork(fastntk.mlp(3, "relu", 2**0.5, 0.1), width, outputs, rng=0, n_inputs=100)
    network.empirical_ntk(np.random.default_rng(0).normal(size=(n, 100)), outputs="trace", max_memory="256 MiB")


def drawn(width: int, outputs: int) -> None:
    """The network alone."""
    FiniteNetwork(fastntk.mlp(3, "relu", 2**0.5, 0.1), width, outputs, rng=0, n_inputs=100)


def speed(_: argparse.Namespace) -> Iterator[str]:
    """Empirical NTK of three hidden ReLU layers, trace over outputs, with max_memory="256 MiB".

    Beside drawing the network, whose time and memory are not in it.
    """
    yield "| samples | width | outputs | time | memory beyond the network |"
    yield "|---|---|---|---|---|"
    for n, width, outputs in ((1000, 1024, 1), (1000, 1024, 10), (4000, 1024, 1), (1000, 4096, 1)):
        base = measured("finite", "drawn", width, outputs)
        whole = measured("finite", "empirical", n, width, outputs)
        yield (
            f"| {n:,} | {width:,} | {outputs} | {whole.seconds - base.seconds:.2f} s | "
            f"{gib(whole.bytes - base.bytes)} |"
        )


SECTIONS = {"kernels": kernels, "fluctuation": fluctuation, "training": training, "speed": speed}


if __name__ == "__main__":
    run("finite", __doc__, SECTIONS)
