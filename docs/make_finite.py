"""Make the figures of docs/finite.md.

python docs/make_finite.py            # a minute or two
python docs/make_finite.py --quick    # fewer draws and smaller widths, as the tests do
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import fastntk
from fastntk.finite import FiniteNetwork, convergence, output_distribution, train

HERE = Path(__file__).resolve().parent
INPUTS = np.random.default_rng(0).normal(size=(6, 4))


def priors(quick: bool) -> Figure:
    """Draws of networks with one hidden layer of tanh, step and erf units, of one input and of two."""
    width = 200 if quick else 4000
    line = np.linspace(-1, 1, 101 if quick else 401)[:, None]
    side = np.linspace(-1, 1, 31 if quick else 121)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    figure, axes = plt.subplots(2, 3, figsize=(9, 5.5), layout="constrained")
    for seed, ((above, below), name) in enumerate(zip(axes.T, ("tanh", "step", "erf"), strict=True)):
        net = fastntk.Sequential(fastntk.Dense(4.0, 4.0), fastntk.Activation(name), fastntk.Dense(1.0))
        above.plot(line, FiniteNetwork(net, width, 4, rng=seed).forward(line))
        above.set_title(f"{name}, {width:,} units")
        values = FiniteNetwork(net, width, rng=10 + seed).forward(plane).reshape(len(side), -1)
        below.imshow(values, extent=(-1, 1, -1, 1), origin="lower", cmap="RdBu")
    return figure


def central_limit(quick: bool) -> Figure:
    """Outputs at one input against N(0, K), and their kurtosis against its prediction."""
    net, draws = fastntk.mlp(1, "relu", 2**0.5, 0.1), 200 if quick else 40_000
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    for ax, width in zip(axes, (1, 16), strict=False):
        found = output_distribution(net, INPUTS[:1], width, draws, rng=0)
        found.plot(ax=ax)
        distance, p = (values[0] for values in found.kolmogorov_smirnov())
        ax.set_title(f"width {width}: distance {distance:.3f}, p = {p:.2g}")
    widths = np.array([1, 2, 4, 8, 16, 32])
    several = [output_distribution(net, INPUTS[:1], int(width), draws, n_outputs=8, rng=1) for width in widths]
    axes[2].loglog(widths, [one.excess_kurtosis[0] for one in several], "o", label="sampled")
    axes[2].loglog(widths, [one.predicted_kurtosis[0] for one in several], label="3 Var[K] / K²")
    axes[2].set(xlabel="width", ylabel="excess kurtosis")
    axes[2].legend()
    return figure


def concentration(quick: bool) -> Figure:
    """Errors of both kernels against the width, and the deviation of every entry against its prediction."""
    net = fastntk.mlp(3, "relu", 2**0.5, 0.1)
    widths = (16, 32, 64, 128) if quick else (64, 128, 256, 512, 1024)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
    convergence(net, INPUTS, widths, 10 if quick else 40, rng=0).plot(ax=left)
    width, draws = (64, 100) if quick else (256, 2000)
    sampled = np.array([FiniteNetwork(net, width, rng=i).empirical_nngp(INPUTS)[-1] for i in range(draws)])
    predicted = net.nngp.fluctuation(INPUTS, width)
    right.plot(predicted.ravel(), sampled.std(axis=0).ravel(), "o")
    right.axline((0, 0), slope=1, color="k", linewidth=1)
    right.set(xlabel="predicted deviation of K", ylabel=f"of {draws:,} networks of width {width}")
    return figure


def training(quick: bool) -> Figure:
    """Networks in training beside the limit, the drift of their NTK, and their loss."""
    x = np.linspace(-1, 1, 7)[:, None]
    y, new = np.sin(3 * x[:, 0]), np.linspace(-1.3, 1.3, 60)[:, None]
    net, steps = fastntk.mlp(2, "tanh", 1.5, 0.5), [0, 10, 40, 160, 640]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    widths = (16, 64, 256) if quick else (32, 128, 512, 2048)
    for number, width in enumerate(widths):
        run = train(FiniteNetwork(net, width, rng=3), x, y, steps, new, learning_rate=0.05)
        if width == widths[-1]:
            left.plot(new, run.test_outputs[-1, :, 0], label=f"width {width:,}")
            left.plot(new, run.test_predicted[-1, :, 0], "k--", label="limit, same start")
            mean, deviation = run.ensemble_mean[-1, :, 0], run.ensemble_deviation[-1]
            left.fill_between(new[:, 0], mean - 2 * deviation, mean + 2 * deviation, alpha=0.2, label="ensemble, 2 σ")
        middle.loglog(steps[1:], run.ntk_drift[1:], "o-", color=f"C{number}", label=f"width {width:,}")
        right.loglog(np.array(steps) + 1, run.loss, color=f"C{number}")
    left.plot(x, y, "k.")
    left.legend(fontsize="small")
    middle.set(xlabel="steps", ylabel="drift of the NTK")
    middle.legend(fontsize="small")
    right.set(xlabel="1 + steps", ylabel="loss")
    return figure


def laws(quick: bool) -> Figure:
    """Outputs of networks whose weights are not Gaussian: the same limit, but for Cauchy's."""
    net, draws, width = fastntk.mlp(2, "erf", 1.5, 0.3), 100 if quick else 10_000, 64
    figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
    for ax, law in zip(axes, ("uniform", "rademacher", "student_t", "cauchy"), strict=True):
        found = output_distribution(net, INPUTS[:1], width, draws, rng=0, weights=law)
        found.plot(ax=ax)
        ax.set_title(f"{law}: distance {found.kolmogorov_smirnov()[0][0]:.3f}")
    return figure


FIGURES = {"priors": priors, "limit": central_limit, "concentration": concentration, "training": training, "laws": laws}


def main(folder: Path = HERE, *, quick: bool = False) -> list[Path]:
    """Write all figures to a folder."""
    paths = []
    for name, make in FIGURES.items():
        paths.append(folder / f"finite_{name}.png")
        figure = make(quick)
        figure.savefig(paths[-1], dpi=110)
        plt.close(figure)
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer draws and smaller widths")
    main(quick=parser.parse_args().quick)
