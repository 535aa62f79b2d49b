"""Make the figure of docs/images_and_sequences.md, and print its tables: what a head gives, and what it costs.

python docs/make_images.py            # some minutes
python docs/make_images.py --quick    # fewer and smaller images, as the tests do
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import fastntk
from fastntk import AvgPool, Conv, Dense, Flatten, GlobalAvgPool, Sequential
from fastntk.inference import gp_posterior

HERE = Path(__file__).resolve().parent

#: A network is this, a head and Dense.
CONVOLUTIONS = Sequential(*(Conv((3, 3), sigma_w=2**0.5, sigma_b=0.1), "relu") * 3)
LAYERS = 3

#: By their text: how many neighbouring positions, along an axis, a head takes together; 0 stands for all.
HEADS: dict[str, tuple[list[Any], int]] = {
    "Flatten()": ([Flatten()], 1),
    "AvgPool(3, stride=1), Flatten()": ([AvgPool(3, stride=1), Flatten()], 3),
    "GlobalAvgPool()": ([GlobalAvgPool()], 0),
}
COLOURS = ("#0072b2", "#009e73", "#d55e00")  # of Okabe and Ito: told apart by colour-blind readers


def network(head: str) -> Sequential:
    """The convolutions with that head."""
    return Sequential(CONVOLUTIONS, *HEADS[head][0], Dense(2**0.5, 0.1))


def position_pairs(head: str, size: int) -> int:
    """How many pairs of positions of two square images a head needs, in every layer before it.

    Those that one window has both of: along an axis, at distances below the size of the window.
    """
    reach = HEADS[head][1] or size
    return sum(size - abs(distance) for distance in range(1 - reach, reach)) ** 2


def core_time(net: Sequential, size: int, least: float) -> float:
    """Seconds that one core takes for the NTK of a pair of images, in float32: of so many that it takes `least`."""
    images = np.random.default_rng(0).random((4096, size, size, 1), np.float32)
    rows = 16
    while True:
        X, Y = images[:rows], images[-max(64, rows) :]
        with threadpool_limits(1):
            begin = time.process_time()
            net.ntk(X, Y)
            taken = time.process_time() - begin
        if taken > least or rows == 1024:
            return taken / (len(X) * len(Y))
        rows *= 2


def digits(train: int, test: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Images for training, their labels, images for tests and their labels."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.images))
    X, labels = data.images[order, :, :, None].astype(np.float32) / 16, data.target[order]
    return X[:train], labels[:train], X[train : train + test], labels[train : train + test]


def moved(X: NDArray[Any]) -> NDArray[Any]:
    """Images a pixel further to the right."""
    return np.pad(X[:, :, :-1], ((0, 0), (0, 0), (1, 0), (0, 0)))


def errors(net: Sequential, counts: list[int], tests: int) -> NDArray[np.float64]:
    """Share of digits that regression with the NTK gets wrong: as they are, and moved by a pixel; by training size."""
    X, labels, X_test, true = digits(counts[-1], tests)
    y = np.eye(10)[labels] - 0.1
    K = net.ntk(X)
    found = []
    for images in (X_test, moved(X_test)):
        K_test = net.ntk(images, X)
        for n in counts:
            mean = gp_posterior(K[:n, :n], y[:n], K_test[:, :n], noise=1e-4 * np.trace(K) / len(K)).mean
            found.append(np.mean(mean.argmax(axis=1) != true))
    return np.reshape(found, (2, -1))


def draw_pairs(axes: Axes, head: str, colour: str, size: int = 12) -> None:
    """Which pairs of positions of two sequences a head needs."""
    reach = HEADS[head][1] or size
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    axes.imshow(distance < reach, cmap=mpl.colors.ListedColormap(["0.93", colour]), vmin=0, vmax=1)
    axes.set_xticks(np.arange(0.5, size - 1), minor=True)
    axes.set_yticks(np.arange(0.5, size - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0, labelleft=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_title(head.replace(", F", ",\nF"), fontsize="small", color=colour)


def draw(figure: Any, counts: list[int], wrong: dict[str, Any], sizes: list[int], times: dict[str, Any]) -> None:
    """The three parts of the figure."""
    left, middle, right = figure.subfigures(1, 3, width_ratios=[0.5, 1, 1])
    for axes, head, colour in zip(left.subplots(3, 1), HEADS, COLOURS, strict=True):
        draw_pairs(axes, head, colour)
    left.supylabel("position in one sequence", fontsize="small")
    left.supxlabel("position in the other", fontsize="small")
    of_errors, of_time = middle.subplots(), right.subplots()
    for head, colour in zip(HEADS, COLOURS, strict=True):
        for part, style in zip(wrong[head], ("o-", "o--"), strict=True):
            of_errors.loglog(counts, 100 * part, style, color=colour, markersize=4)
        of_time.loglog(sizes, 1e6 * np.array(times[head]), "o-", color=colour, markersize=4)
    of_errors.plot([], [], "-", color="0.3", label="digits as they are")
    of_errors.plot([], [], "--", color="0.3", label="moved by a pixel")
    of_errors.legend(frameon=False)
    of_errors.set_yticks([1, 2, 5, 10, 20, 50])
    of_time.set_yticks([10, 100, 1000, 10000])
    of_errors.set(xlabel="training images", ylabel="test images that are wrong, %")
    of_time.set(xlabel="height and width of an image", ylabel="time of a pair on one core, µs")
    for axes, ticks in ((of_errors, counts), (of_time, sizes)):
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        axes.grid(color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)


def short(number: float) -> str:
    """Two digits, or as many as there are before the point."""
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"


def duration(seconds: float) -> str:
    """In the unit that reads best."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{short(seconds / size)} {unit}"
    return f"{short(seconds)} s"


def print_errors(wrong: dict[str, NDArray[np.float64]], train: int) -> None:
    """A row for each network."""
    print(f"| {train:,} digits to train on | wrong, as they are | moved by a pixel |\n|---|---|---|")
    for name, (as_they_are, a_pixel_on) in wrong.items():
        print(f"| `{name}` | {100 * as_they_are[-1]:.1f} % | {100 * a_pixel_on[-1]:.1f} % |")


def print_times(sizes: list[int], times: dict[str, list[float]]) -> None:
    """A row for each head and size: of a pair, and of n²/2 pairs on several cores."""
    wanted = ((1_000, 2), (10_000, 2), (60_000, 2), (60_000, 1_024))
    print("\n| head | image | pairs of positions | µs a pair | ns a pair of positions and layer", end="")
    print("".join(f" | {n:,} images, {cores:,} cores" for n, cores in wanted) + " |\n" + "|---" * 9 + "|")
    for head in HEADS:
        for size, seconds in zip(sizes, times[head], strict=True):
            count = position_pairs(head, size)
            cells = [f"`{head}`", f"{size} x {size}", f"{count:,}", short(1e6 * seconds)]
            cells += [f"{1e9 * seconds / count / LAYERS:.1f}"]
            cells += [duration(seconds * n * n / 2 / cores) for n, cores in wanted]
            print(f"| {' | '.join(cells)} |")


def main(folder: Path = HERE, *, quick: bool = False) -> Path:
    """Write the figure to a folder, and print the tables."""
    counts, tests, sizes, least = [30, 100, 300, 1000], 797, [8, 14, 20, 28], 0.5
    if quick:
        counts, tests, sizes, least = [50, 100], 100, [4, 8], 0.01
    wrong = {head: errors(network(head), counts, tests) for head in HEADS}
    perceptron = Sequential(Flatten(), fastntk.mlp(LAYERS, "relu", 2**0.5, 0.1))
    print_errors({f"mlp({LAYERS})": errors(perceptron, counts, tests), **wrong}, counts[-1])
    times = {head: [core_time(network(head), size, least) for size in sizes] for head in HEADS}
    print_times(sizes, times)
    figure = plt.figure(figsize=(11, 4.2), layout="constrained")
    draw(figure, counts, wrong, sizes, times)
    path = folder / "images_and_sequences.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller images")
    main(quick=parser.parse_args().quick)
