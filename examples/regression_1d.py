"""Regression in one dimension: the Bayesian network (NNGP), and an ensemble in training (NTK) at several times.

python examples/regression_1d.py [--figure regression.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import fastntk
from fastntk.inference import GradientFlow, gp_posterior

NET = fastntk.mlp(depth=2, activation="erf", sigma_w=2.0, sigma_b=1.0)
NOISE = 0.01
TIMES = (0.0, 0.03, 0.3, 3.0, np.inf)


def main(figure: Path | None = None) -> float:
    """Return the root mean square error of the posterior mean."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(16, 1))
    y = np.sin(2 * X[:, 0]) + NOISE**0.5 * rng.normal(size=16)
    grid = np.linspace(-3, 3, 200)[:, None]

    train, cross, test = NET.kernels(X), NET.kernels(grid, X), NET.nngp(grid)
    posterior = gp_posterior(train.nngp, y, cross.nngp, test, noise=NOISE)
    flow = GradientFlow(train.ntk, y, nngp_train=train.nngp, ridge=NOISE)

    inside = np.abs(grid[:, 0]) < 2
    error = float(np.sqrt(np.mean((posterior.mean - np.sin(2 * grid[:, 0]))[inside] ** 2)))
    print(f"NNGP: error {error:.3f}, mean deviation {np.sqrt(posterior.variance[inside]).mean():.3f}")
    for t in TIMES:
        std = np.sqrt(flow.covariance(t, cross.ntk, cross.nngp, np.diag(test)))
        print(f"NTK, t = {t:g}: training loss {flow.loss(t):.4f}, mean deviation {std[inside].mean():.3f}")
    if figure is not None:
        draw(figure, X, y, grid)
    return error


def draw(figure: Path, X: np.ndarray, y: np.ndarray, grid: np.ndarray) -> None:
    """Bands of the NNGP above, the film of training below."""
    import matplotlib.pyplot as plt

    from fastntk.plot import PredictionDisplay, TrainingDisplay

    train, cross, test = NET.kernels(X), NET.kernels(grid, X), NET.nngp(grid)
    picture, axes = plt.subplots(2, len(TIMES), sharex=True, sharey=True, figsize=(13, 5), layout="constrained")
    posterior = gp_posterior(train.nngp, y, cross.nngp, test, noise=NOISE)
    PredictionDisplay(grid, posterior.mean, np.sqrt(posterior.variance), X=X, y=y).plot(axes[0, 0])
    axes[0, 0].set_title("NNGP posterior")
    for ax, sample in zip(axes[0, 1:], posterior.sample(len(TIMES) - 1, rng=0), strict=True):
        PredictionDisplay(grid, sample, X=X, y=y).plot(ax)
        ax.set_title("a sample of it")
    flow = GradientFlow(train.ntk, y, nngp_train=train.nngp, ridge=NOISE)
    TrainingDisplay.from_flow(flow, TIMES, grid, cross.ntk, cross.nngp, test, X=X).plot(axes[1])
    axes[1, 0].set_ylabel("NTK ensemble")
    axes[0, 0].set_ylim(-3.5, 3.5)
    picture.savefig(figure, dpi=90)
    plt.close(picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path)
    main(parser.parse_args().figure)
