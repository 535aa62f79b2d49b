"""The figure of the demo: the NTK of real images, and both kernels as functions of an angle."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from ..networks.mlp import mlp
from ..networks.sequential import Sequential
from .data import Images

_MOST_IMAGES = 1000
_DEPTHS = {1: "#56b4e9", 3: "#0072b2", 10: "#d55e00"}  # of Okabe and Ito: told apart by colour-blind readers


def check_output(path: Path) -> None:
    """Raise if no figure can be written there, before minutes are spent on what it shows.

    Raises
    ------
    ValueError
        If the suffix is not that of a format, or the folder does not exist.
    OSError
        If it cannot be written to.
    """
    formats = sorted(Figure().canvas.get_supported_filetypes())
    if path.suffix[1:].lower() not in formats:
        raise ValueError(f"--output {path} must end in one of {', '.join('.' + name for name in formats)}.")
    if not path.parent.is_dir():
        raise ValueError(f"--output {path}: the folder {path.parent} does not exist; make it first.")
    if path.is_dir():
        raise ValueError(f"--output {path} is a folder; name a file.")
    try:
        with path.open("ab") if path.exists() else TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def draw(network: Sequential, depth: int, images: Images) -> Figure:
    """Draw the figure; nothing of matplotlib's global state is used."""
    some = slice(_MOST_IMAGES)
    ntk = network.ntk(images.test[some])
    deviation = np.sqrt(np.einsum("ii->i", ntk))
    similarity = ntk / np.outer(deviation, deviation)
    figure = Figure(figsize=(13.5, 6), dpi=150, layout=ConstrainedLayoutEngine(wspace=0.06))
    left, right = figure.subplots(1, 2)
    figure.suptitle("Kernels of infinitely wide ReLU networks", fontsize=15, fontweight="bold")
    left.set_title(f"NTK of {len(ntk):,} test images of {images.name}, depth {depth}", pad=10)
    _draw_matrix(figure, left, similarity, images.test_labels[some], images.classes)
    right.set_title("NTK and NNGP of two inputs at an angle", pad=10)
    _draw_angles(right)
    _draw_histogram(right, images.test[some], images.test_labels[some], images.name)
    return figure


def _order(similarity: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """Sort by class, and within a class by the leading eigenvector of the centred block: like beside like."""
    order = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        block = similarity[np.ix_(members, members)]
        mean = block.mean(axis=0)
        leading = np.linalg.eigh(block - mean - mean[:, None] + mean.mean()).eigenvectors[:, -1]
        order.append(members[np.argsort(leading * np.sign(leading @ mean))])
    return np.concatenate(order)


def _draw_matrix(
    figure: Figure, axes: Axes, similarity: NDArray[Any], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> None:
    order = _order(similarity, labels)
    low, high = np.quantile(similarity, (0.01, 0.99))
    picture = axes.imshow(similarity[np.ix_(order, order)], cmap="magma", vmin=low, vmax=high)
    edges = np.searchsorted(labels[order], np.arange(len(classes) + 1))
    for edge in edges[1:-1]:
        axes.axhline(edge - 0.5, color="white", linewidth=0.6, alpha=0.7)
        axes.axvline(edge - 0.5, color="white", linewidth=0.6, alpha=0.7)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    axes.set_xticks(middles, classes)
    axes.set_yticks(middles, classes)
    if max(map(len, classes)) > 2:
        axes.tick_params(axis="x", labelrotation=45)
        for label in axes.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.set(xlabel="class of x'", ylabel="class of x")
    bar = figure.colorbar(picture, ax=axes, shrink=0.85, pad=0.02, extend="both")
    bar.set_label(r"$\Theta(x, x')\,/\,\sqrt{\Theta(x, x)\,\Theta(x', x')}$")
    bar.outline.set_visible(False)


def _draw_angles(axes: Axes) -> None:
    degrees = np.linspace(0, 180, 361)
    circle = np.sqrt(2) * np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
    for depth, colour in _DEPTHS.items():
        network = mlp(depth, "relu", sigma_w=2**0.5, sigma_b=0.1)
        nngp, ntk = network.kernels(circle[:1], circle)
        for kernel, symbol, style, shift in ((nngp[0], "$K$", "--", 0.013), (ntk[0], r"$\Theta$", "-", -0.013)):
            curve = kernel / kernel[0]
            axes.plot(degrees, curve, style, color=colour, linewidth=2)
            label = f"{symbol}  depth {depth}"
            axes.text(183, curve[-1] + shift, label, color=colour, verticalalignment="center")
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.xaxis.set_major_locator(MultipleLocator(30))
    axes.xaxis.set_major_formatter("{x:.0f}°")
    axes.set(xlim=(0, 180), xlabel="angle between two inputs with $|x|^2 = d$")
    axes.set_ylabel(r"$\Theta$ (NTK, solid) and $K$ (NNGP, dashed), relative to angle 0")
    axes.grid(color="0.88", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_histogram(axes: Axes, samples: NDArray[Any], labels: NDArray[np.int64], name: str) -> None:
    unit = samples / np.linalg.norm(samples, axis=1, keepdims=True)
    pairs = np.triu_indices(len(unit), 1)
    angles = np.degrees(np.arccos(np.clip((unit @ unit.T)[pairs], -1, 1)))
    same = (labels[:, None] == labels)[pairs]
    for group, colour, text in ((same, "0.72", "same class"), (~same, "0.86", "different classes")):
        counts, edges = np.histogram(angles[group], bins=90, range=(0, 180), density=True)
        axes.stairs(6 * counts, edges, fill=True, color=colour, alpha=0.6, label=text, zorder=0)
    axes.legend(title=f"pairs of {name}", loc="center right", bbox_to_anchor=(1, 0.68), frameon=False)
