"""Conv: a convolution over the positions of an image or a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from .base import Positions, Signal
from .migration import check_conv, refuse
from .nodes import Mixing, windows
from .weighted import Weighted
from .window import Axis, Padding, PerAxis, behind, padding_of, per_axis, same_axes, window

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True, init=False)
class Conv(Weighted):
    r"""A convolution, z(P) = sigma_b b + (sigma_w / sqrt(N k^S)) Σ_o W_o x(s P + r o - l), with b, W ~ N(0, 1).

    K(P, P') = sigma_b² + sigma_w² / k^S Σ_o K(s P + r o - l, s P' + r o - l), over the taps o of which both positions
    are inside; the divisor k^S stays at borders. Theta as for Dense.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Taps k along every axis of positions, or along each: images have two axes, sequences one.
    stride : int or tuple of int, default 1
        Of the output positions.
    padding : {"same", "valid", "circular"}, int or tuple of int, default "same"
        "same": as many positions as come in, divided by the stride and rounded up, with zeros around; of an odd number
        of zeros one more at the end, as in Keras. "valid": none. "circular": the other side of the image, by
        as many positions as "same". An integer: so many zeros on both sides, as in PyTorch.
    dilation : int or tuple of int, default 1
        Distance r of the taps. By name, as all that follows.
    sigma_w, sigma_b : float, default 1.0 and 0.0
        Standard deviation of the weights, times the square root of the fan-in N k^S, and of the biases.
    trainable, parametrization, width, bias
        As for `Dense`. "standard": Theta' = N k^S K̃ + sigma_w² Theta~, with K̃ the mean over the taps.

    Raises
    ------
    ValueError, TypeError
        As for `Dense`; sizes that are no whole numbers; as kernels are computed, positions that do not fit.

    Notes
    -----
    Channels come last: images are arrays (n, height, width, channels), sequences (n, length, channels). From a shape
    nobody can tell: grey images of shape (n, 28, 28) are read as sequences of 28 steps with 28 channels, pass
    ``X[..., None]``; those of shape (n, 1, 28, 28), channels first as in PyTorch, as images of 1 x 28 pixels with 28
    channels, pass ``np.moveaxis(X, 1, -1)``. ``Conv((3, 3))`` refuses the former.

    With kernel size 1 it is `Dense` at every position. Cost: of every pair of samples some nanoseconds for each pair of
    positions that the end of the network needs: those at the same place for `Flatten`, all for `GlobalAvgPool`.

    References
    ----------
    Novak et al., "Bayesian deep convolutional networks with many channels are Gaussian processes", ICLR 2019, eq. 7.
    Arora, Du, Hu, Li, Salakhutdinov, Wang, "On exact computation with an infinitely wide neural net", NeurIPS 2019.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> net = fastntk.Sequential(fastntk.Conv(3), "relu", fastntk.Flatten(), fastntk.Dense())
    >>> X = np.ones((2, 4, 4, 1))  # two images
    >>> net.nngp(X).shape
    (2, 2)
    """

    on_positions: ClassVar[bool] = True

    own: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding", "dilation")

    kernel_size: PerAxis
    stride: PerAxis
    padding: Padding
    dilation: PerAxis

    @refuse(check_conv)
    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: Padding = "same",
        *,
        dilation: PerAxis = 1,
        sigma_w: float = 1.0,
        sigma_b: float = 0.0,
        trainable: bool = True,
        parametrization: Literal["ntk", "standard"] = "ntk",
        width: int | None = None,
        bias: bool | None = None,
    ) -> None:
        for key, value in {
            "kernel_size": per_axis(kernel_size, "kernel_size"),
            "stride": per_axis(stride, "stride"),
            "padding": padding_of(padding),
            "dilation": per_axis(dilation, "dilation"),
        }.items():
            object.__setattr__(self, key, value)
        same_axes(kernel_size=self.kernel_size, stride=self.stride, padding=self.padding, dilation=self.dilation)
        self._set_weights(sigma_w, sigma_b, trainable, parametrization, width, bias)

    def __repr__(self) -> str:
        stride = "" if self.stride == 1 else f", stride={self.stride}"
        padding = "" if self.padding == "same" else f", padding={self.padding!r}"
        dilation = "" if self.dilation == 1 else f", dilation={self.dilation}"
        return f"Conv({self.kernel_size}{stride}{padding}{dilation}, {self._weights_text})"

    def axes(self, positions: Positions) -> tuple[Axis, ...]:
        """Its window along each axis of the positions that come in."""
        return window(positions or (), self.kernel_size, self.stride, self.dilation, self.padding)

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine."""
        if isinstance(program, Mixing):
            program.window(*windows(program, self.axes), [behind(self.axes(grid)) for grid in program.grids])
            self._emit_weights(program)
            return
        axes = self.axes(tuple(program.positions))
        sources = [axis.sources for axis in axes]
        standard = self.parametrization == "standard"
        program.conv(sources, self.sigma_w, self.sigma_b, self.trainable, standard, standard and self.bias)
        if self.width is not None:
            program.set_width(self.width)

    def follow(self, signal: Signal) -> Signal:
        """Gaussian units at the positions that its windows give."""
        positions = None if signal.positions is None else behind(self.axes(signal.positions))
        return self._behind(signal, positions)
