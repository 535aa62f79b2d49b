"""Accuracy of convolutional kernels on real images, with time and memory, beside what was published.

    python bench/image_results.py digits                   # scikit-learn's digits, all heads
    python bench/image_results.py pooling --data FOLDER    # 1,000 MNIST images of 14x14, all heads
    python bench/image_results.py mnist --data FOLDER      # 5,000 images, published networks
    python bench/image_results.py fashion [--data FOLDER]  # 10,000 images of Fashion-MNIST
    python bench/image_results.py labels --data FOLDER     # MNIST by label solve; labels-fashion: Fashion-MNIST
    python bench/image_results.py ... --most 500           # at most so many training images, and as many test images
    python bench/image_results.py ... --keep KERNELS       # kernels stay in that folder: stopped, it goes on from there
    python bench/image_results.py ... --write              # puts the table into bench/README.md

FOLDER has mnist_5k.csv.gz and the t10k files, or the four files of Fashion-MNIST. Nothing is tuned here: networks and
ridges are fixed in the code.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

import fastntk
from fastntk import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Sequential
from fastntk.demo.data import load, stratified_order
from fastntk.inference import gp_posterior
from fastntk.layers.base import Layer
from measured import gib, measured
from results import mnist_5k
from tables import run

Array = NDArray[Any]

RIDGE = 1e-4  # of the mean of the diagonal: float32, whose rounding is below it
SOLVE_RIDGE = 1e-6  # of label solve, as published

#: Test rows of a kernel that is kept: some minutes.
ROWS = 2500

#: Draws of label solve, and images of each class.
DRAWS, PER_CLASS = 5, (1, 10, 50)
CLASSES = 10


class Labelled(NamedTuple):
    """Images (n, H, W, 1), float32, standardised by one mean and one scale, and their classes; in a mixed order."""

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array

    def most(self, count: int | None) -> Labelled:
        """Return at most so many of each."""
        return Labelled(*(part[:count] for part in self))


def images_of(name: str, folder: str | None) -> Labelled:
    """Return digits (1,000 and 797 images), MNIST (5,000 and 10,000) or Fashion-MNIST (10,000 and 10,000)."""
    if name == "mnist":
        if folder is None:
            raise SystemExit("MNIST needs --data FOLDER, with mnist_5k.csv.gz and the t10k files in it.")
        train, labels, test, test_labels = mnist_5k(Path(folder))
        order = stratified_order(labels, seed=0)
        side, train, labels = 28, train[order], labels[order]
    else:
        sizes = (1000, 797) if name == "digits" else (10_000, 10_000)
        data = load(name, Path(folder) if folder else None, *sizes, np.float64)
        side, train, labels = data.shape[0], data.train, data.train_labels
        test, test_labels = data.test, data.test_labels
    train, test = (rows.reshape(-1, side, side, 1).astype(np.float32) for rows in (train, test))
    return Labelled(train, labels, test, test_labels)


def halved(data: Labelled) -> Labelled:
    """Means of 2x2 pixels."""

    def means(x: Array) -> Array:
        return np.asarray(x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, 1).mean(axis=(2, 4)))

    return data._replace(train=means(data.train), test=means(data.test))


def from_0_to_1(data: Labelled) -> Labelled:
    """Pixels as PyTorch has them."""
    low, high = data.train.min(), data.train.max()
    return data._replace(train=(data.train - low) / (high - low), test=(data.test - low) / (high - low))


PIXELS = {"standardised": lambda data: data, "halved": halved, "from 0 to 1": from_0_to_1}


def kept(keep: str | None, of: tuple[object, ...], make: Callable[[], ArrayLike]) -> tuple[Array, float]:
    """Return what `make` returns and the seconds it took; of an earlier run where `keep` has them."""
    name = hashlib.sha256(repr((*of, fastntk.__version__)).encode()).hexdigest()[:16]
    path = Path(keep) / f"{name}.npz" if keep else None
    if path is not None and path.exists():
        with np.load(path) as earlier:
            return earlier["kernel"], float(earlier["seconds"])
    start = time.perf_counter()
    kernel = np.asarray(make())
    seconds = time.perf_counter() - start
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = path.with_name(f"begun-{path.name}")
        np.savez(begun, kernel=kernel, seconds=seconds)
        begun.replace(path)
    return kernel, seconds


def regress(net: str, name: str, folder: str | None, most: int | None, pixels: str, keep: str | None) -> list[float]:
    """Regression on one-hot labels less 0.1: accuracy of NNGP and NTK; seconds of both kernels, of both solutions."""
    network, data = fastntk.networks.network(net), PIXELS[pixels](images_of(name, folder)).most(most)
    what = net, name, most, pixels
    pieces = [kept(keep, (*what, "train"), partial(network.kernels, data.train))]
    for first in range(0, len(data.test), ROWS):
        make = partial(network.kernels, data.test[first : first + ROWS], data.train)
        pieces.append(kept(keep, (*what, first), make))
    kernels, seconds = zip(*pieces, strict=True)
    train, cross = kernels[0], np.concatenate(kernels[1:], axis=1)
    start = time.perf_counter()
    targets = np.eye(CLASSES)[data.train_labels] - 0.1
    found = []
    for k_train, k_cross in zip(train, cross, strict=True):
        mean = gp_posterior(k_train, targets, k_cross, noise=RIDGE * float(k_train.diagonal().mean())).mean
        found.append(accuracy(mean, data.test_labels))
    return [*found, sum(seconds), time.perf_counter() - start]


def accuracy(predicted: Array, labels: Array) -> float:
    """Per cent of rows whose largest number is that of their class."""
    return 100 * float(np.mean(predicted.argmax(axis=1) == labels))


def data_and_keep(arguments: argparse.Namespace) -> list[str | None]:
    """Both folders of the command line, as JSON has them."""
    return [str(folder) if folder else None for folder in (arguments.data, arguments.keep)]


def table(
    nets: dict[str, Sequential], name: str, arguments: argparse.Namespace, pixels: str = "standardised"
) -> Iterator[str]:
    """One line for each network."""
    folder, keep = data_and_keep(arguments)
    yield "| network | NNGP | NTK | both kernels | both solutions | peak memory |"
    yield "|---|---|---|---|---|---|"
    for title, net in nets.items():
        (nngp, ntk, kernels, solutions), _, peak = measured(
            "image_results", "regress", repr(net), name, folder, arguments.most, pixels, keep
        )
        yield f"| {title} | {nngp:.2f} % | {ntk:.2f} % | {kernels:.1f} s | {solutions:.1f} s | {gib(peak)} |"


def with_heads(depth: int) -> dict[str, Sequential]:
    """3x3 convolutions with ReLU and each head; sigma_w² = 2, sigma_b² = 0.01."""
    conv = Conv((3, 3), sigma_w=2**0.5, sigma_b=0.1)
    heads: dict[str, tuple[Layer, ...]] = {
        "`Flatten()`": (Flatten(),),
        "`AvgPool(2), Flatten()`": (AvgPool((2, 2)), Flatten()),
        "`AvgPool(4, stride=1), Flatten()`": (AvgPool((4, 4), stride=1), Flatten()),
        "`GlobalAvgPool()`": (GlobalAvgPool(),),
    }
    return {name: Sequential(*(conv, "relu") * depth, *head, Dense(2**0.5, 0.1)) for name, head in heads.items()}


def digits(arguments: argparse.Namespace) -> Iterator[str]:
    """Digits, 8x8: 1,000 training images, 797 test images, 5 convolutions and each head, float32.

    ReLU, 3x3, sigma_w² = 2, sigma_b² = 0.01. The mlp of 3 hidden layers is beside them.
    """
    layers = Flatten(), *fastntk.mlp(3, "relu", 2**0.5, 0.1)
    yield from table({"mlp": Sequential(*layers), **with_heads(5)}, "digits", arguments)


def pooling(arguments: argparse.Namespace) -> Iterator[str]:
    """MNIST at 14x14, means of 2x2 pixels: 1,000 training and test images, 3 convolutions and each head, float32.

    ReLU, 3x3, sigma_w² = 2, sigma_b² = 0.01.
    """
    arguments.most = arguments.most or 1000
    yield from table(with_heads(3), "mnist", arguments, "halved")


def mnist(arguments: argparse.Namespace) -> Iterator[str]:
    """MNIST, 5,000 training images, 10,000 test images, published networks without pooling, float32.

    Garriga-Alonso et al. (2019) have the NNGP of 50,000 training images: 98.97 % of the 7 convolutions, 99.16 % of
    ResNet-32. Pixels from 0 to 1, as there.
    """
    convolutional = fastntk.cnn(7, "relu", [7 * 2.79**0.5] * 7 + [2.79**0.5], 7.86**0.5, kernel_size=(7, 7))
    nets = {"7 convolutions of 7x7": convolutional, "ResNet-32": fastntk.networks.resnet()}
    yield from table(nets, "mnist", arguments, "from 0 to 1")


def fashion(arguments: argparse.Namespace) -> Iterator[str]:
    """Fashion-MNIST, the first 10,000 training images, 10,000 test images, 7 convolutions, Flatten, float32.

    ReLU, 3x3, sigma_w² = 2, sigma_b² = 0.01.
    """
    net = fastntk.cnn(7, "relu", 2**0.5, 0.1)
    yield from table({"7 convolutions": net}, "fashion-mnist", arguments)


#: Label solve of Nguyen et al. (2021), table 1, by images of a class.
PUBLISHED = {"mnist": (73.4, 96.4, 98.3), "fashion-mnist": (65.3, 80.8, 86.9)}


def solve_labels(
    name: str, folder: str | None, most: int | None, keep: str | None, draws: int
) -> tuple[list[list[float]], float]:
    """Accuracy for each of `PER_CLASS`: published; by label solve, mean and standard deviation; by their true labels.

    And the seconds of the kernels.

    The labels of few images that predict those of the training images best; then regression on the few.
    """
    net, data = fastntk.cnn(3, "relu", 2**0.5, 0.1, pool=2), images_of(name, folder)
    some = data.most(most)
    targets = np.eye(CLASSES) - 0.1
    of_class = [np.flatnonzero(data.train_labels == label) for label in range(CLASSES)]
    solved, true = np.empty((2, draws, len(PER_CLASS)))
    total = 0.0
    for draw in range(draws):
        # Of one draw the few are among the many, so that one kernel does for all; draws have no image in common.
        first = draw * max(PER_CLASS)
        chosen = np.concatenate([members[first : first + max(PER_CLASS)] for members in of_class])
        support, labels = data.train[chosen], data.train_labels[chosen]
        made = [
            kept(keep, (net, name, most, draw, i), partial(net.ntk, *images))
            for i, images in enumerate([(support,), (some.train, support), (some.test, support)])
        ]
        (k_ss, k_ts, k_us), seconds = zip(*made, strict=True)
        total += sum(seconds)
        for i, count in enumerate(PER_CLASS):
            few = np.flatnonzero(np.arange(len(chosen)) % max(PER_CLASS) < count)
            k = k_ss[np.ix_(few, few)]
            inverse = np.linalg.inv(k + SOLVE_RIDGE * k.diagonal().mean() * np.eye(len(few)))
            best = np.linalg.lstsq(k_ts[:, few] @ inverse, targets[some.train_labels])[0]
            for found, y in ((solved, best), (true, targets[labels[few]])):
                found[draw, i] = accuracy(k_us[:, few] @ inverse @ y, some.test_labels)
    columns = PUBLISHED[name], solved.mean(0), solved.std(0), true.mean(0), true.std(0)
    return [list(map(float, row)) for row in zip(*columns, strict=True)], total


def solve(name: str, arguments: argparse.Namespace) -> Iterator[str]:
    """One line for each number of images of a class."""
    folder, keep = data_and_keep(arguments)
    (rows, seconds), _, peak = measured("image_results", "solve_labels", name, folder, arguments.most, keep, DRAWS)
    yield "| images of a class | label solve | published | true labels |"
    yield "|---|---|---|---|"
    for count, (published, mean, spread, true_mean, true_spread) in zip(PER_CLASS, rows, strict=True):
        yield f"| {count} | {mean:.1f} ± {spread:.1f} % | {published:.1f} % | {true_mean:.1f} ± {true_spread:.1f} % |"
    yield ""
    yield f"Kernels in {seconds:,.0f} s, peak memory {gib(peak)}."


def labels(arguments: argparse.Namespace) -> Iterator[str]:
    """MNIST by label solve: mean and standard deviation of 5 draws, float32.

    Labels are solved for on 5,000 training images, and tested on 10,000, or on --most of each. NTK of 3 times
    [convolution, ReLU, AvgPool(2)], Flatten; sigma_w² = 2, sigma_b² = 0.01; published from 60,000.
    """
    yield from solve("mnist", arguments)


def labels_fashion(arguments: argparse.Namespace) -> Iterator[str]:
    """Fashion-MNIST by label solve: on 10,000 training images, or --most; the rest as for MNIST."""
    yield from solve("fashion-mnist", arguments)


SECTIONS = {
    "digits": digits,
    "pooling": pooling,
    "mnist": mnist,
    "fashion": fashion,
    "labels": labels,
    "labels-fashion": labels_fashion,
}


if __name__ == "__main__":
    run(
        "image_results", __doc__, SECTIONS,
        data={"type": Path, "help": "folder with the files"},
        keep={"type": Path, "help": "folder for kernels, that a later run goes on with"},
        most={"type": int, "help": "at most so many training images, and as many test images"},
    )  # fmt: skip
