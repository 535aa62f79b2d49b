"""Curves: of learning against time or data, of duals against the correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._checks.shown import shown
from ..layers.activation import Activation
from .display import Display, numbers

if TYPE_CHECKING:
    from ..inference import GradientFlow


class DualDisplay(Display):
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


class LearningCurveDisplay(Display):
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
        self.x = numbers(x, "x")
        if not isinstance(curves, Mapping):
            raise TypeError(f"curves must be a dict of arrays, got {shown(curves)}.")
        self.curves = {
            name: np.atleast_2d(numbers(values, f"curves[{shown(name)}]")) for name, values in curves.items()
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
        curves: dict[str, ArrayLike] = {"training": 2 * np.asarray(flow.loss(times)) / flow.y.size}
        if ntk_cross is not None and y_test is not None:
            error = flow.mean(times, ntk_cross) - np.asarray(y_test)
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
