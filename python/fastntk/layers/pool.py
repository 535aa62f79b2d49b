"""AvgPool, SumPool, GlobalAvgPool, GlobalSumPool: what is averaged, or added up, over positions."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import true_or_false
from .base import VARIOUS, Layer, Positions, Signal
from .migration import check_pool, check_whole, refuse
from .nodes import Mixing, matrices, sources_of
from .window import Axis, Padding, PerAxis, behind, padding_of, per_axis, same_axes, window

if TYPE_CHECKING:
    from ..activations.duals import Program


class Pooling(Layer):
    """A layer that takes positions together: u(P) = Π_axes w(P) Σ u(p) over the p of a window."""

    on_positions: ClassVar[bool] = True
    mixes_in_branches: ClassVar[bool] = True  # the engine of planes has averages between stages alone

    __slots__ = ()

    #: Positions that it gives, whatever comes in.
    always: ClassVar[Positions] = None

    @abstractmethod
    def axes(self, positions: Positions) -> tuple[Axis, ...]:
        """Its window along each axis of the positions that come in."""

    @abstractmethod
    def weights(self, axis: Axis) -> NDArray[np.float64]:
        """The factor w of every output position along an axis."""

    @abstractmethod
    def given(self, axes: tuple[Axis, ...]) -> tuple[int, ...]:
        """Positions that it gives."""

    def emit(self, program: Program, like: Any = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine: one whose nodes may be mixed."""
        assert isinstance(program, Mixing)  # elsewhere it is between programs
        given = {grid: self.given(self.axes(grid)) for grid in set(program.grids)}
        program.mix(*matrices(program, self.matrix), [given[grid] for grid in program.grids])

    def matrix(self, grid: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Sources and weights of all outputs, both of shape (outputs, terms); a source of -1 is none."""
        axes = self.axes(grid)
        sources = sources_of(axes)
        factors = np.ones(1)
        for axis in axes:
            factors = np.multiply.outer(factors, self.weights(axis)).ravel()
        return sources, np.broadcast_to(factors[:, None], sources.shape)

    def follow(self, signal: Signal) -> Signal:
        """Gaussian if what comes in is."""
        known = signal.positions is not None
        positions = self.given(self.axes(signal.positions)) if known else self.always
        return signal.taken_together()._replace(positions=positions)


@dataclass(frozen=True, init=False)
class _Windows(Pooling):
    """Windows along each axis."""

    size: PerAxis
    stride: PerAxis
    padding: Padding

    def _set_windows(self, size: PerAxis, stride: PerAxis | None, padding: Padding) -> None:
        extent = per_axis(size, "size")
        for key, value in {
            "size": extent,
            "stride": extent if stride is None else per_axis(stride, "stride"),
            "padding": padding_of(padding),
        }.items():
            object.__setattr__(self, key, value)
        same_axes(size=self.size, stride=self.stride, padding=self.padding)

    @property
    def _text(self) -> str:
        stride = "" if self.stride == self.size else f", stride={self.stride}"
        return f"{self.size}{stride}" + ("" if self.padding == "valid" else f", padding={self.padding!r}")

    def axes(self, positions: Positions) -> tuple[Axis, ...]:
        """Its window along each axis of the positions that come in."""
        return window(positions or (), self.size, self.stride, 1, self.padding)

    def given(self, axes: tuple[Axis, ...]) -> tuple[int, ...]:
        """Positions that it gives."""
        return behind(axes)


@dataclass(frozen=True, init=False)
class AvgPool(_Windows):
    """Average over windows of positions: K(P, P') = size^(-2S) ΣΣ K(p, p'), Theta likewise.

    Parameters
    ----------
    size : int or tuple of int
        Positions of a window along every axis, or along each.
    stride : int or tuple of int, optional
        Of the windows; by default their size, side by side.
    padding : {"valid", "same", "circular"}, int or tuple of int, default "valid"
        As for `Conv`.
    normalize_edges : bool, default False
        Whether windows that reach over the border divide by the number of positions inside, and not by their size.

    Notes
    -----
    All pairs of positions of two windows are needed: (2 size - 1)^S times as many as the layers behind it have. What
    follows is computed in float64, whatever the dtype: of near-duplicates an average keeps half the digits.
    ``AvgPool(c, stride=1)`` before `Flatten` is the local average pooling of Li et al., "Enhanced convolutional neural
    tangent kernels", 2019, which stands for translated training images.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net = fastntk.Sequential(fastntk.Conv(3), "relu", fastntk.AvgPool(2), fastntk.Flatten(), fastntk.Dense())
    >>> net.ntk(np.ones((2, 4, 4, 1))).shape
    (2, 2)
    """

    normalize_edges: bool

    @refuse(check_pool("AvgPool", "size", "stride", "padding", "normalize_edges"))
    def __init__(
        self, size: PerAxis, stride: PerAxis | None = None, padding: Padding = "valid", normalize_edges: bool = False
    ) -> None:
        self._set_windows(size, stride, padding)
        object.__setattr__(self, "normalize_edges", true_or_false(normalize_edges, "normalize_edges"))

    def __repr__(self) -> str:
        return f"AvgPool({self._text}{', normalize_edges=True' if self.normalize_edges else ''})"

    def weights(self, axis: Axis) -> NDArray[np.float64]:
        """One over the size of each window."""
        inside = np.maximum((axis.sources >= 0).sum(axis=1), 1)
        return np.asarray(1.0 / (inside if self.normalize_edges else np.full(axis.outputs, axis.taps)))


@dataclass(frozen=True, init=False)
class SumPool(_Windows):
    """Sum over windows of positions: K(P, P') = ΣΣ K(p, p'), Theta likewise; arguments as for `AvgPool`.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.SumPool(2, stride=1)
    SumPool(2, stride=1)
    """

    @refuse(check_pool("SumPool", "size", "stride", "padding"))
    def __init__(self, size: PerAxis, stride: PerAxis | None = None, padding: Padding = "valid") -> None:
        self._set_windows(size, stride, padding)

    def __repr__(self) -> str:
        return f"SumPool({self._text})"

    def weights(self, axis: Axis) -> NDArray[np.float64]:
        """1 for each window."""
        return np.ones(axis.outputs)


class _Global(Pooling):
    """One window of all positions."""

    always: ClassVar[Positions] = ()

    @refuse(check_whole)
    def __init__(self) -> None:
        """Nothing to choose."""

    def axes(self, positions: Positions) -> tuple[Axis, ...]:
        """Its window along each axis of the positions that come in."""
        return window(positions or (), positions or 1, 1, 1, "valid")

    def given(self, axes: tuple[Axis, ...]) -> tuple[int, ...]:  # noqa: ARG002
        """Positions that it gives: what is left is a vector."""
        return ()

    def follow(self, signal: Signal) -> Signal:
        """A vector, however many positions each sample has."""
        various = signal.positions == (VARIOUS,)
        return super().follow(signal._replace(positions=None) if various else signal)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@dataclass(frozen=True, init=False, repr=False)
class GlobalAvgPool(_Global):
    """Average over all positions: K = P^(-2) ΣΣ K(p, p') over all pairs of positions, Theta likewise.

    Of a graph without nodes it is 0.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net = fastntk.Sequential(fastntk.Conv(3), "relu", fastntk.GlobalAvgPool(), fastntk.Dense())
    >>> net.ntk(np.ones((2, 4, 4, 1))).shape
    (2, 2)
    """

    def weights(self, axis: Axis) -> NDArray[np.float64]:
        """One over the number of positions; of none the mean is 0."""
        return np.asarray(1.0 / np.full(axis.outputs, max(1, axis.taps)))


@dataclass(frozen=True, init=False, repr=False)
class GlobalSumPool(_Global):
    """Sum over all positions: K = ΣΣ K(p, p') over all pairs of positions, Theta likewise.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.GlobalSumPool()
    GlobalSumPool()
    """

    def weights(self, axis: Axis) -> NDArray[np.float64]:
        """1."""
        return np.ones(axis.outputs)
