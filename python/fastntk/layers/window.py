"""Which positions a convolution or a pool takes together, along each axis of an image or a sequence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import one_of, whole_number
from .._checks.shown import shown
from .base import VARIOUS, Positions

#: One number for all axes, or one for each.
PerAxis: TypeAlias = int | tuple[int, ...]
Padding: TypeAlias = Literal["same", "valid", "circular"] | PerAxis

#: Axes of positions that the engine has.
MOST_AXES = 3


@dataclass(frozen=True)
class Axis:
    """A window along one axis: output position P takes stride P + dilation o - low, for each tap o.

    ``sources`` has these positions, of shape (outputs, taps), and -1 where there is none.
    """

    inputs: int
    outputs: int
    taps: int
    stride: int
    dilation: int
    low: int
    circular: bool

    @property
    def sources(self) -> NDArray[np.int64]:
        """Input positions of each tap of each output position; -1 outside."""
        at = self.stride * np.arange(self.outputs)[:, None] + self.dilation * np.arange(self.taps) - self.low
        return at % self.inputs if self.circular else np.where((at >= 0) & (at < self.inputs), at, -1)


def per_axis(value: object, name: str, *, least: int = 1) -> PerAxis:
    """An integer, or a tuple of one for each axis."""
    if isinstance(value, (tuple, list)):
        if not 1 <= len(value) <= MOST_AXES:
            raise ValueError(
                f"{name} must be an integer or one for each of up to {MOST_AXES} axes, got {shown(value)}."
            )
        return tuple(whole_number(one, f"{name}[{i}]", least=least) for i, one in enumerate(value))
    return whole_number(value, name, least=least)


def padding_of(value: object) -> Padding:
    """A way to pad: a name, or how many positions on both sides."""
    if isinstance(value, str):
        one_of(value, "padding", ("same", "valid", "circular"))
        return str(value)  # type: ignore[return-value]
    return per_axis(value, "padding", least=0)


def same_axes(**values: object) -> None:
    """Refuse tuples of different lengths."""
    lengths = {name: len(value) for name, value in values.items() if isinstance(value, tuple)}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"{' and '.join(lengths)} must be for as many axes, got {' and '.join(map(str, lengths.values()))}."
        )


def window(
    positions: tuple[int, ...], size: PerAxis, stride: PerAxis, dilation: PerAxis, padding: Padding
) -> tuple[Axis, ...]:
    """The windows along the axes of these positions.

    Raises
    ------
    ValueError
        If there are none or more than three axes, not those that were meant, or no window fits.
    """
    count = len(positions)
    if count == 0:
        raise ValueError(
            "what comes in are vectors, without positions (Flatten and a global pool leave none): images are arrays "
            "(samples, height, width, channels) and sequences (samples, length, channels); X[..., None] has one "
            "channel, and a first layer fastntk.Reshape(height, width, channels) makes images of rows."
        )
    if VARIOUS in positions:
        raise ValueError(
            "its windows are for images and sequences of one size, and these samples have different numbers of "
            "positions; fastntk.SelfAttention, fastntk.Aggregate and global pools take any."
        )
    if count > MOST_AXES:
        raise ValueError(f"there are {count} axes of positions, {shown(positions)}, and at most {MOST_AXES} are known.")
    for name, value in (("size", size), ("stride", stride), ("dilation", dilation), ("padding", padding)):
        if isinstance(value, tuple) and len(value) != count:
            raise ValueError(
                f"its {name} {value} is for {len(value)} axes, and what comes in has {count}, {shown(positions)}; an "
                "array without channels needs X[..., None]."
            )
    return tuple(
        _axis(length, *(value[i] if isinstance(value, tuple) else value for value in (size, stride, dilation, padding)))  # type: ignore[arg-type]
        for i, length in enumerate(positions)
    )


def _axis(
    length: int, taps: int, stride: int, dilation: int, padding: Literal["same", "valid", "circular"] | int
) -> Axis:
    span = dilation * (taps - 1) + 1
    if padding in ("same", "circular"):
        outputs = -(-length // stride)
        low = max((outputs - 1) * stride + span - length, 0) // 2
    else:
        low = 0 if padding == "valid" else int(padding)
        outputs = (length + 2 * low - span) // stride + 1
    if outputs < 1:
        raise ValueError(
            f"a window over {span} positions does not fit into the {length} that come in: use larger samples, fewer "
            "pools and strides before it, or padding='same', which adds zeros."
        )
    return Axis(length, outputs, taps, stride, dilation, low, padding == "circular")


def behind(axes: Sequence[Axis]) -> tuple[int, ...]:
    """Positions that windows give."""
    return tuple(axis.outputs for axis in axes)


def count(positions: Positions) -> float:
    """How many positions there are."""
    return math.nan if positions is None else math.prod(positions)
