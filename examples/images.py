"""Regression on the labels of images: accuracy of both kernels, and what their spectra look like.

    python examples/images.py                              # scikit-learn's digits
    python examples/images.py --data fashion-mnist --train 5000   # Fashion-MNIST, where it is installed
    python examples/images.py --figure spectra.png

MNIST and Fashion-MNIST at the sizes of the literature are `python bench/results.py mnist` and `fashion`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import fastntk
from fastntk.demo.data import load
from fastntk.inference import GradientFlow, spectrum


def main(name: str = "digits", train: int = 1000, figure: Path | None = None) -> float:
    """Return the accuracy of the trained NTK ensemble."""
    data = load(name, None, train, None, np.float64)
    print(data)
    net = fastntk.mlp(depth=3, activation="relu", sigma_w=2**0.5, sigma_b=0.1)
    kernels, cross = net.kernels(data.train), net.kernels(data.test, data.train)
    targets = np.eye(10)[data.train_labels] - 0.1
    accuracy = 0.0
    # The NNGP kernel is the NTK of a network whose last layer alone is trained.
    for kind, kernel, k_cross in (("NNGP", kernels.nngp, cross.nngp), ("NTK", kernels.ntk, cross.ntk)):
        flow = GradientFlow(kernel, targets, ridge=1e-6 * float(kernel.diagonal().mean()))
        print(f"{kind}: {spectrum(kernel)}")
        for t in (1e-3, 1e-1, np.inf):
            accuracy = float(np.mean(flow.mean(t, k_cross).argmax(axis=1) == data.test_labels))
            print(f"  t = {t:g}: training loss {flow.loss(t):.3g}, test accuracy {100 * accuracy:.2f} %")
    if figure is not None:
        draw(figure, kernels, data.train_labels)
    return accuracy


def draw(figure: Path, kernels: fastntk.Kernels, labels: np.ndarray) -> None:
    """Spectra, and the NTK sorted by classes."""
    import matplotlib.pyplot as plt

    from fastntk.plot import KernelDisplay, SpectrumDisplay

    picture, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    SpectrumDisplay.from_kernels({"NNGP": kernels.nngp, "NTK": kernels.ntk}).plot(axes[0])
    KernelDisplay(kernels.ntk, labels=labels, normalize=True).plot(axes[1])
    axes[1].set_title("NTK, images sorted by class")
    picture.savefig(figure, dpi=90)
    plt.close(picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("digits", "fashion-mnist"), default="digits")
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    main(given.data, given.train, given.figure)
