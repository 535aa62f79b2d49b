"""Pictures of kernels, predictions and training, in the style of scikit-learn's displays.

A display holds what is to be drawn; ``plot(ax=)`` draws it and returns the display, which then has ``figure_``, ``ax_``
and its artists. Needs the extra: ``pip install "fastntk[plot]"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._checks.arrays import real_array
from ._checks.shown import shown
from .inference import GradientFlow, Spectrum, spectrum
from .layers.activation import Activation

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise ImportError('fastntk.plot needs matplotlib: pip install "fastntk[plot]".') from error

__all__ = [
    "DualDisplay",
    "KernelDisplay",
    "LearningCurveDisplay",
    "PredictionDisplay",
    "SpectrumDisplay",
    "TrainingDisplay",
]

Array = NDArray[np.float64]


def _numbers(value: ArrayLike, name: str) -> Array:
    return real_array(value, name, finite=False).astype(np.float64)


def _together(**given: object) -> None:
    """Refuse one of two without the other."""
    if len({value is None for value in given.values()}) > 1:
        raise ValueError(f"{' and '.join(given)} belong together: pass both, or neither.")


def axes(ax: Any) -> Any:
    """Give the axes, or new ones."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


class _Display:
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


class PredictionDisplay(_Display):
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
        self.x = _numbers(x, "x").ravel()
        self.mean = _numbers(mean, "mean")
        self.std = None if std is None else _numbers(std, "std")
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
        self.times = np.atleast_1d(_numbers(times, "times"))
        centres = _numbers(means, "means")
        spreads: Sequence[Any] | Array = [None] * len(self.times) if stds is None else _numbers(stds, "stds")
        for name, given in (("means", centres), ("stds", spreads)):
            if np.shape(given)[:1] != self.times.shape:
                raise ValueError(f"{name} must have a row for each of {len(self.times)} times, got {np.shape(given)}.")
        self.displays_ = [PredictionDisplay(x, *each, X=X, y=y) for each in zip(centres, spreads, strict=True)]

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
        _together(nngp_cross=nngp_cross, nngp_test=nngp_test)
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


class SpectrumDisplay(_Display):
    """Eigenvalues of one or more kernels against their rank, on logarithmic axes.

    Parameters
    ----------
    spectra : Spectrum, or dict of str to Spectrum
        Results of `fastntk.inference.spectrum`, by name.

    Attributes
    ----------
    lines_
        Artists.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.plot import SpectrumDisplay
    >>> len(SpectrumDisplay.from_kernels({"one": np.eye(3), "two": np.diag([1.0, 2.0])}).plot().lines_)
    2
    """

    def __init__(self, spectra: Spectrum | dict[str, Spectrum]) -> None:
        self.spectra = {"": spectra} if isinstance(spectra, Spectrum) else dict(spectra)

    @classmethod
    def from_kernels(cls, kernels: ArrayLike | dict[str, ArrayLike]) -> SpectrumDisplay:
        """Make it of one matrix, or of several by name."""
        if isinstance(kernels, dict):
            return cls({name: spectrum(kernel) for name, kernel in kernels.items()})
        return cls(spectrum(kernels))

    def _draw(self, ax: Any) -> None:
        self.lines_ = []
        for name, found in self.spectra.items():
            shown = found.eigenvalues[found.eigenvalues > 0]
            if not len(shown):
                raise ValueError(f"{name or 'the kernel'} has no eigenvalue > 0 to draw.")
            (line,) = ax.loglog(np.arange(1, len(shown) + 1), shown, label=name or None)
            if found.precision >= shown[-1]:
                ax.axhline(found.precision, color=line.get_color(), ls=":", lw=1)  # below it all is rounding
            self.lines_.append(line)
        ax.set(xlabel="rank", ylabel="eigenvalue")
        if any(self.spectra):
            ax.legend(frameon=False)


class KernelDisplay(_Display):
    """A kernel matrix as an image.

    Parameters
    ----------
    kernel : array_like of shape (n, m)
        The matrix.
    labels : array_like of shape (n,), optional
        Classes of the samples of a square kernel: it is sorted by them, and lines drawn between them.
    normalize : bool, default False
        Whether to show correlations, K_ij / sqrt(K_ii K_jj).

    Attributes
    ----------
    image_, colorbar_
        Artists.

    Examples
    --------
    >>> import numpy as np
    >>> from fastntk.plot import KernelDisplay
    >>> KernelDisplay(np.eye(3)).plot().image_.get_array().shape
    (3, 3)
    """

    def __init__(self, kernel: ArrayLike, *, labels: ArrayLike | None = None, normalize: bool = False) -> None:
        matrix = _numbers(kernel, "kernel")
        if matrix.ndim != 2:
            raise ValueError(f"kernel must be a matrix, got shape {matrix.shape}.")
        square = matrix.shape[0] == matrix.shape[1]
        if (labels is not None or normalize) and not square:
            raise ValueError(f"labels and normalize are for square kernels, got shape {matrix.shape}.")
        if normalize:
            scale = np.sqrt(matrix.diagonal())
            matrix = np.asarray(matrix / np.outer(scale, scale))
        self.borders: NDArray[Any] = np.empty(0)
        if labels is not None:
            classes = np.asarray(labels)
            if classes.shape != matrix.shape[:1]:
                raise ValueError(f"labels must have shape {matrix.shape[:1]}, got {classes.shape}.")
            order = np.argsort(classes, kind="stable")
            matrix = matrix[np.ix_(order, order)]
            self.borders = np.flatnonzero(classes[order][1:] != classes[order][:-1]) + 0.5
        self.matrix = matrix

    def _draw(self, ax: Any) -> None:
        self.image_ = ax.imshow(self.matrix, interpolation="none")
        self.colorbar_ = ax.figure.colorbar(self.image_, ax=ax)
        for border in self.borders:
            ax.axhline(border, color="w", lw=0.5)
            ax.axvline(border, color="w", lw=0.5)


class DualDisplay(_Display):
    """Dual activations: the correlation after a layer as a function of that before it.

    Parameters
    ----------
    activations : sequence of str or Activation
        Which.
    q : float, default 1.0
        Variance of the inputs.
    derivative : bool, default False
        Whether to draw F' instead, relative to its value at rho = 1.

    Attributes
    ----------
    lines_
        Artists.

    Notes
    -----
    F(q, q, rho q) / F(q, q, q): Daniely, Frostig, Singer, NeurIPS 2016.

    Examples
    --------
    >>> from fastntk.plot import DualDisplay
    >>> len(DualDisplay(["relu", "erf"]).plot().lines_)
    2
    """

    def __init__(self, activations: Sequence[str | Activation], *, q: float = 1.0, derivative: bool = False) -> None:
        self.activations = [a if isinstance(a, Activation) else Activation(a) for a in activations]
        self.q = q
        self.derivative = derivative

    def _draw(self, ax: Any) -> None:
        rho = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 201))  # dense where duals are steep
        self.lines_ = []
        for act in self.activations:
            dual = act.dual_derivative if self.derivative else act.dual
            values = dual(rho * self.q, self.q, self.q)
            self.lines_ += ax.plot(rho, values / values[-1], label=act.name)
        ax.set(xlabel="ρ", ylabel="F'(ρ) / F'(1)" if self.derivative else "F(ρ) / F(1)")
        ax.legend(frameon=False)


class LearningCurveDisplay(_Display):
    """Curves against training time or the number of samples, on logarithmic axes.

    Parameters
    ----------
    x : array_like of shape (points,)
        Times, steps, or sizes.
    curves : dict of str to array_like of shape (points,) or (repeats, points)
        By name; of several repeats the mean is drawn, and a band of one standard deviation.
    xlabel, ylabel : str
        Names of the axes.

    Attributes
    ----------
    lines_, bands_
        Artists.

    Examples
    --------
    >>> from fastntk.plot import LearningCurveDisplay
    >>> len(LearningCurveDisplay([1, 10], {"error": [0.5, 0.1]}).plot().lines_)
    1
    """

    def __init__(
        self, x: ArrayLike, curves: dict[str, ArrayLike], *, xlabel: str = "training samples", ylabel: str = "error"
    ) -> None:
        self.x = _numbers(x, "x")
        if not isinstance(curves, Mapping):
            raise TypeError(f"curves must be a dict of arrays, got {shown(curves)}.")
        self.curves = {
            name: np.atleast_2d(_numbers(values, f"curves[{shown(name)}]")) for name, values in curves.items()
        }
        for name, values in self.curves.items():
            if values.shape[1:] != self.x.shape:
                raise ValueError(f"curve {shown(name)} must have {len(self.x)} points, got shape {values.shape}.")
        self.xlabel, self.ylabel = xlabel, ylabel

    @classmethod
    def from_flow(
        cls,
        flow: GradientFlow,
        times: ArrayLike,
        *,
        ntk_cross: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
    ) -> LearningCurveDisplay:
        """Draw mean squared errors of the mean network during training, and at test samples if they are given."""
        _together(ntk_cross=ntk_cross, y_test=y_test)
        curves: dict[str, ArrayLike] = {"training": 2 * np.asarray(flow.loss(times)) / flow.y.size}
        if ntk_cross is not None and y_test is not None:
            mean, wanted = flow.mean(times, ntk_cross), _numbers(y_test, "y_test")
            if wanted.shape != mean.shape[1:]:
                raise ValueError(f"y_test must have the shape of a prediction, {mean.shape[1:]}, got {wanted.shape}.")
            error = mean - wanted
            curves["test"] = (error.reshape(len(error), -1) ** 2).mean(axis=1)
        return cls(times, curves, xlabel="t", ylabel="mean squared error")

    def _draw(self, ax: Any) -> None:
        self.lines_, self.bands_ = [], []
        for name, repeats in self.curves.items():
            mean = repeats.mean(axis=0)
            (line,) = ax.loglog(self.x, mean, label=name)
            self.lines_.append(line)
            if len(repeats) > 1:
                std = repeats.std(axis=0, ddof=1)
                self.bands_.append(
                    ax.fill_between(self.x, mean - std, mean + std, color=line.get_color(), alpha=0.2, lw=0)
                )
        ax.set(xlabel=self.xlabel, ylabel=self.ylabel)
        ax.legend(frameon=False)
