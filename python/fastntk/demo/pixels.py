"""The figure of ``--net cnn``: which pairs of pixels of two images networks compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from ..networks.sequential import Sequential
from .data import Images

Array = NDArray[np.float64]

#: Of the images that are compared, the first two of the test set; others, where there are no two of it.
_CLASS = 3

_MARKS = ("#0072b2", "#d55e00", "#009e73")  # of Okabe and Ito: told apart by colour-blind readers


def draw(networks: Mapping[str, Sequential], images: Images) -> Figure:
    """Draw the figure; nothing of matplotlib's global state is used."""
    two = np.argsort(images.test_labels != _CLASS, kind="stable")[:2]
    first, second = images.test[two].astype(np.float64)
    marks = _marks(np.minimum(first, second).reshape(images.shape))
    figure = Figure(figsize=(2.6 * (1 + len(networks)), 8), dpi=150, layout=ConstrainedLayoutEngine(hspace=0.04))
    axes = figure.subplots(len(marks), 1 + len(networks), squeeze=False)
    figure.suptitle("What one pixel is compared with", fontsize=15, fontweight="bold")
    axes[0, 0].set_title(f"a pixel of an image\nof {images.name}", pad=10)
    for row, (mark, colour) in enumerate(zip(marks, _MARKS, strict=True)):
        axes[row, 0].imshow(first.reshape(images.shape), cmap="gray_r")
        _frame(axes[row, 0], mark, images.shape, colour)
    for column, (name, network) in enumerate(networks.items(), start=1):
        parts = shares(network, first, second, marks).reshape(-1, *images.shape)
        largest = np.abs(parts).max() or 1.0
        axes[0, column].set_title(f"{name}:\npixels of another image", pad=10)
        for row, (part, colour) in enumerate(zip(parts, _MARKS, strict=True)):
            norm = TwoSlopeNorm(0, -largest, largest)
            picture = axes[row, column].imshow(part, cmap="PuOr_r", norm=norm)
            axes[row, column].contour(second.reshape(images.shape), levels=[0], colors="0.4", linewidths=0.8)
            _frame(axes[row, column], marks[row], images.shape, colour)
        bar = figure.colorbar(picture, ax=axes[:, column], orientation="horizontal", shrink=0.85, pad=0.02)
        bar.set_label(r"share of $\Theta(x, x')$")
        bar.outline.set_visible(False)
    for each in axes.flat:
        each.set(xticks=[], yticks=[])
        each.spines[:].set_visible(False)
    return figure


def shares(network: Sequential, first: Array, second: Array, marks: list[int]) -> Array:
    """What each pixel of the second image gives Theta(x, x') together with marked pixels of the first.

    The second difference of Theta where both are as dark as the background or as they are, over Theta itself. Of
    x·x'/d it is the product of the two, if they are the same pixel, and 0 for all other pairs.
    """
    theta = network.ntk(_without(first, marks), _without(second, range(len(second))), dtype="float64")
    return np.asarray((theta[1:, 1:] - theta[1:, :1] - theta[:1, 1:] + theta[:1, :1]) / theta[0, 0])


def _without(image: Array, pixels: Any) -> Array:
    """The image, and the image with each of these pixels as its background."""
    several = np.tile(image, (1 + len(pixels), 1))
    several[np.arange(1, len(several)), pixels] = image.min()
    return several


def _marks(image: Array) -> list[int]:
    """The brightest pixel of the upper, of the middle and of the lower rows, by number."""
    parts = np.array_split(np.arange(image.size).reshape(image.shape), len(_MARKS))
    return [int(part.flat[image.ravel()[part].argmax()]) for part in parts]


def _frame(axes: Any, pixel: int, shape: tuple[int, int], colour: str) -> None:
    row, column = divmod(pixel, shape[1])
    edge = np.array([-0.5, 0.5, 0.5, -0.5, -0.5])
    axes.plot(column + edge, row + np.roll(edge, 1), color=colour, linewidth=2.5, clip_on=False)
