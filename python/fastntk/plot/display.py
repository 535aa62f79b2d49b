"""A drawing on one pair of axes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from matplotlib import pyplot as plt
except ImportError as error:
    raise ImportError('fastntk.plot needs matplotlib: pip install "fastntk[plot]".') from error

from .._checks.arrays import real_array

Array = NDArray[np.float64]


def numbers(value: ArrayLike, name: str) -> Array:
    """What is to be drawn: real numbers, which may be infinite."""
    return real_array(value, name, finite=False).astype(np.float64)


def axes(ax: Any) -> Any:
    """Give the axes, or new ones."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


class Display:
    """A drawing on one pair of axes."""

    figure_: Any
    ax_: Any

    def _draw(self, ax: Any) -> None:
        raise NotImplementedError

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where; by default on a new figure.

        Returns
        -------
        The display itself, with ``ax_``, ``figure_`` and its artists set.
        """
        self.ax_ = axes(ax)
        self.figure_ = self.ax_.figure
        self._draw(self.ax_)
        return self
