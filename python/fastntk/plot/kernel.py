"""Kernel matrices: as images, and their eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inference import Spectrum, spectrum
from .display import Display, numbers


class SpectrumDisplay(Display):
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
            (line,) = ax.loglog(np.arange(1, len(shown) + 1), shown, label=name or None)
            if found.precision >= shown[-1]:
                ax.axhline(found.precision, color=line.get_color(), ls=":", lw=1)  # below it all is rounding
            self.lines_.append(line)
        ax.set(xlabel="rank", ylabel="eigenvalue")
        if any(self.spectra):
            ax.legend(frameon=False)


class KernelDisplay(Display):
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
        matrix = numbers(kernel, "kernel")
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
