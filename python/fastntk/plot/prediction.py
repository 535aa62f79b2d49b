"""Predicted functions with their bands: one, or a film strip of training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import ArrayLike

from .display import Display, numbers

if TYPE_CHECKING:
    from ..inference import GradientFlow


class PredictionDisplay(Display):
    """A predicted function of one variable with bands of its standard deviation.

    Parameters
    ----------
    x : array_like of shape (m,)
        In ascending order.
    mean : array_like of shape (m,)
        Prediction.
    std : array_like of shape (m,), optional
        Its standard deviation.
    X, y : array_like of shape (n,), optional
        Data to mark.
    bands : sequence of float, default (1, 2)
        Half-widths of the bands in standard deviations.
    label : str, optional
        Of the mean.

    Attributes
    ----------
    line_, bands_, points_
        Artists: the mean, a list of bands, the data (or None).

    Examples
    --------
    >>> from fastntk.plot import PredictionDisplay
    >>> len(PredictionDisplay([0.0, 1.0], [0.0, 2.0], [0.1, 0.3]).plot().bands_)
    2
    """

    def __init__(
        self,
        x: ArrayLike,
        mean: ArrayLike,
        std: ArrayLike | None = None,
        *,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        bands: Sequence[float] = (1, 2),
        label: str | None = None,
    ) -> None:
        self.x = numbers(x, "x").ravel()
        self.mean = numbers(mean, "mean")
        self.std = None if std is None else numbers(std, "std")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and values.shape != self.x.shape:
                raise ValueError(f"{name} must have the shape of x, {self.x.shape}, got {values.shape}.")
        if (X is None) != (y is None):
            raise ValueError("X and y belong together: pass both, or neither.")
        self.data = None if X is None or y is None else (np.ravel(X), np.ravel(y))
        self.bands = tuple(bands)
        self.label = label

    def _draw(self, ax: Any) -> None:
        (self.line_,) = ax.plot(self.x, self.mean, label=self.label)
        self.bands_ = []
        if self.std is not None:
            for width in self.bands:
                low, high = self.mean - width * self.std, self.mean + width * self.std
                self.bands_.append(ax.fill_between(self.x, low, high, color=self.line_.get_color(), alpha=0.18, lw=0))
        self.points_ = None
        if self.data is not None:
            (self.points_,) = ax.plot(*self.data, "k.", ms=5, zorder=3)


class TrainingDisplay:
    """A film strip of training: mean and bands over random initialisations, one picture for each time.

    Parameters
    ----------
    x : array_like of shape (m,)
        Where the functions are drawn, in ascending order.
    times : array_like of shape (times,)
        Of the pictures.
    means : array_like of shape (times, m)
        Means.
    stds : array_like of shape (times, m), optional
        Standard deviations.
    X, y : array_like of shape (n,), optional
        Data to mark.

    Attributes
    ----------
    figure_, axes_, displays_
        The figure, one pair of axes and one `PredictionDisplay` for each time.

    Examples
    --------
    >>> from fastntk.plot import TrainingDisplay
    >>> TrainingDisplay([0.0, 1.0], [0.0, 1.0], [[0.0, 0.0], [1.0, 2.0]]).plot().axes_.shape
    (2,)
    """

    def __init__(
        self,
        x: ArrayLike,
        times: ArrayLike,
        means: ArrayLike,
        stds: ArrayLike | None = None,
        *,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> None:
        self.times = np.atleast_1d(numbers(times, "times"))
        spreads: Iterable[Any] = [None] * len(self.times) if stds is None else numbers(stds, "stds")
        self.displays_ = [
            PredictionDisplay(x, mean, std, X=X, y=y)
            for mean, std in zip(numbers(means, "means"), spreads, strict=True)
        ]
        if len(self.displays_) != len(self.times):
            raise ValueError(f"means are {len(self.displays_)}, but times are {len(self.times)}.")

    @classmethod
    def from_flow(
        cls,
        flow: GradientFlow,
        times: ArrayLike,
        x: ArrayLike,
        ntk_cross: ArrayLike,
        nngp_cross: ArrayLike | None = None,
        nngp_test: ArrayLike | None = None,
        *,
        X: ArrayLike | None = None,
    ) -> TrainingDisplay:
        """Make it of a `GradientFlow` with one output; with K (test, train) and K of the test samples, with bands."""
        means = flow.mean(times, ntk_cross)
        stds = None
        if nngp_cross is not None and nngp_test is not None:
            diagonal = np.diag(nngp_test) if np.ndim(nngp_test) == 2 else nngp_test
            stds = np.sqrt(flow.covariance(times, ntk_cross, nngp_cross, diagonal))
        return cls(x, times, means, stds, X=X, y=None if X is None else flow.y)

    def plot(self, ax: Any = None) -> TrainingDisplay:
        """Draw, on as many axes as there are times, by default those of a new figure."""
        count = len(self.times)
        if ax is None:
            size = (3 * count, 3)
            _, ax = plt.subplots(1, count, sharex=True, sharey=True, squeeze=False, figsize=size, layout="constrained")
        self.axes_ = np.ravel(ax)
        if len(self.axes_) != count:
            raise ValueError(f"ax must be {count} axes, one for each time, got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        for axes, time, display in zip(self.axes_, self.times, self.displays_, strict=True):
            display.plot(axes)
            axes.set_title("t = ∞" if np.isinf(time) else f"t = {time:g}")
        return self
