"""Make the figure of docs/networks.md, and print its table: how deep networks tell inputs apart.

python docs/make_networks.py            # half a minute
python docs/make_networks.py --quick    # fewer images and layers, as the tests do
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import fastntk
from fastntk import Sequential
from fastntk.inference import gp_posterior

HERE = Path(__file__).resolve().parent

#: By depth. ReLU stacks are on the edge of chaos, the best place there is for them; erf stacks are not.
NETWORKS: dict[str, Callable[[int], Sequential]] = {
    "mlp, erf": lambda depth: fastntk.mlp(depth, "erf", 1.0, 0.5),
    "resmlp, erf": lambda depth: fastntk.resmlp(depth, "erf", 1.0, 0.5),
    'resmlp, erf, scale="depth"': lambda depth: fastntk.resmlp(depth, "erf", 1.0, 0.5, scale="depth"),
    "mlp, relu": lambda depth: fastntk.mlp(depth, "relu", 2**0.5),
    "resmlp, relu": lambda depth: fastntk.resmlp(depth, "relu", 2**0.5),
    'resmlp, relu, scale="depth"': lambda depth: fastntk.resmlp(depth, "relu", 2**0.5, scale="depth"),
    "resmlp, relu, layer_norm": lambda depth: fastntk.resmlp(depth, "relu", 2**0.5, layer_norm=True),
}
STYLES = ("C0:", "C0--", "C0-", "C3:", "C3--", "C3-", "C1-")

#: Of norm √d: two at right angles, and one at a correlation of 0.9 with the first.
INPUTS = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.19**0.5]]) * 2**0.5


def gaps(net: Sequential) -> tuple[float, float]:
    """1 - correlation of the outputs of both pairs, over random parameters."""
    gram = net.nngp(INPUTS)
    deviations = np.sqrt(np.diag(gram))
    orthogonal, near = (1 - gram[0, i] / (deviations[0] * deviations[i]) for i in (1, 2))
    return orthogonal, near


def digits(train: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Images for training, their labels as numbers, images for tests, their labels."""
    X, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, labels = ((X - X.mean()) / X.std())[order], labels[order]
    return X[:train], np.eye(10)[labels[:train]] - 0.1, X[train:], labels[train:]


def accuracies(net: Sequential, train: int) -> list[float]:
    """Of regression on the labels with the NNGP and with the NTK, and a ridge of 1e-6 of the mean diagonal."""
    X, y, X_test, labels = digits(train)
    found = []
    for K, K_test in zip(net.kernels(X), net.kernels(X_test, X), strict=True):
        mean = gp_posterior(K, y, K_test, noise=1e-6 * np.trace(K) / len(K)).mean
        found.append(float(np.mean(mean.argmax(axis=1) == labels)))
    return found


def main(folder: Path = HERE, *, quick: bool = False) -> Path:
    """Write the figure to a folder, and print the table."""
    depths, train = ((1, 3, 10), 300) if quick else ((1, 3, 10, 30, 100), 1000)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    print(f"| depth {depths[-1]} | 1 − ρ, from 1 | from 0.1 | digits: NNGP | NTK |\n|---|---|---|---|---|")
    for (name, make), style in zip(NETWORKS.items(), STYLES, strict=True):
        many = np.unique(np.geomspace(1, 10 * depths[-1], 24).round().astype(int))
        left.loglog(many, [gaps(make(depth))[0] for depth in many], style, label=name)
        by_depth = [accuracies(make(depth), train) for depth in depths]
        right.loglog(depths, [100 - 100 * ntk for _, ntk in by_depth], style, marker=".")
        apart = " | ".join(f"{gap:.2g}" for gap in gaps(make(depths[-1])))
        print(f"| `{name}` | {apart} | " + " | ".join(f"{100 * found:.1f} %" for found in by_depth[-1]) + " |")
    left.set(xlabel="depth", ylabel="1 − correlation of two orthogonal inputs", ylim=(1e-5, 1.3))
    left.legend(fontsize="small", loc="lower left")
    right.set(xlabel="depth", ylabel="digits, % wrong with the NTK")
    path = folder / "networks.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and layers")
    main(quick=parser.parse_args().quick)
