"""Adversarial examples for a kernel machine: the smallest steps after which it sees another digit.

python examples/adversarial.py [--figure adversarial.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import fastntk
from fastntk.solvers import cholesky

Array = NDArray[np.float64]

NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)


class Classifier:
    """Ridge regression on one-hot labels with the NTK."""

    def __init__(self, X: Array, labels: NDArray[np.int64]) -> None:
        kernel = NET.ntk(X)
        self.similarity = NET.ntk.prepare(X)
        self.dual = cholesky(kernel, np.eye(10)[labels] - 0.1, ridge=1e-4 * float(kernel.diagonal().mean())).x

    def outputs(self, X: Array) -> Array:
        """One of each class, (n, 10)."""
        return self.similarity(X) @ self.dual

    def slopes(self, X: Array) -> Array:
        """Their derivatives in the pixels, (n, 10, pixels): one product with the derivatives of the kernel a class."""
        ones = np.ones((len(X), 1))
        return np.stack([self.similarity.vjp(X, ones * weights) for weights in self.dual.T], axis=1)


def fooled(model: Classifier, X: Array, steps: int = 20) -> Array:
    """Images nearby of another class: steps to the nearest boundary, linearised (Moosavi-Dezfooli et al. 2016)."""
    before = model.outputs(X).argmax(axis=1)
    rows, moved = np.arange(len(X)), X.copy()
    for _ in range(steps):
        outputs, slopes = model.outputs(moved), model.slopes(moved)
        same = outputs.argmax(axis=1) == before
        if not same.any():
            break
        margins = outputs[rows, before, None] - outputs  # of the class it is over each of the others
        walls = slopes[rows, before, None] - slopes
        lengths = np.linalg.norm(walls, axis=2)
        lengths[rows, before] = 1.0
        distances = margins / lengths
        distances[rows, before] = np.inf
        near = distances.argmin(axis=1)
        step = (distances[rows, near] / lengths[rows, near])[:, None] * walls[rows, near]
        moved -= 1.02 * same[:, None] * step
    return moved


def main(figure: Path | None = None, train: int = 1000) -> tuple[float, float]:
    """Return the median step that changes the class, over the norm of the image, and how often a random one does."""
    X, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, labels = X[order] / 16, labels[order]
    model = Classifier(X[:train], labels[:train])
    seen = model.outputs(X[train:]).argmax(axis=1)
    right = np.flatnonzero(seen == labels[train:])[:200] + train
    original, classes = X[right], labels[right]

    moved = fooled(model, original)
    sizes = np.linalg.norm(moved - original, axis=1)
    changed = model.outputs(moved).argmax(axis=1) != classes
    noise = np.random.default_rng(1).normal(size=original.shape)
    noise *= (sizes / np.linalg.norm(noise, axis=1))[:, None]
    by_chance = float(np.mean(model.outputs(original + noise).argmax(axis=1) != classes))
    relative = float(np.median(sizes / np.linalg.norm(original, axis=1)))
    print(f"{100 * np.mean(seen == labels[train:]):.1f} % of the digits are right; of 200 of them,")
    print(
        f"{100 * changed.mean():.0f} % are another class after a step of {100 * relative:.0f} % of their norm (median),"
    )
    print(f"{100 * by_chance:.1f} % after a random step as long.")
    if figure is not None:
        first = [int(np.flatnonzero(classes == digit)[0]) for digit in range(10)]
        draw(figure, original[first], moved[first], model)
    return relative, by_chance


def draw(figure: Path, original: Array, moved: Array, model: Classifier) -> None:
    """Images, the steps, and where they lead."""
    import matplotlib.pyplot as plt

    rows = (original, moved - original, moved)
    picture, axes = plt.subplots(3, len(original), figsize=(8, 2.9), layout="constrained")
    for line, images in zip(axes, rows, strict=True):
        most = np.abs(images).max()
        for ax, image in zip(line, images, strict=True):
            ax.imshow(image.reshape(8, 8), cmap="RdBu_r", vmin=-most, vmax=most)
            ax.set_axis_off()
    for line, images in ((axes[0], original), (axes[2], moved)):
        for ax, digit in zip(line, model.outputs(images).argmax(axis=1), strict=True):
            ax.set_title(str(digit), fontsize="medium")
    picture.savefig(figure, dpi=90)
    plt.close(picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path)
    main(parser.parse_args().figure)
