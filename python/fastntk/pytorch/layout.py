"""Where the channels of a tensor are, as far as forward has told: samples do not tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Layout:
    """Of a batch of samples: its axes of positions (0 of vectors), where its channels are, and how many."""

    axes: int | None = None
    channels: Literal["first", "last"] | None = None
    units: int | None = None

    @property
    def is_vector(self) -> bool:
        """Whether there are no positions, or those of length 1 that a global pool of PyTorch leaves."""
        return self.axes == 0

    def channels_first(self, axes: int) -> Layout:
        """What a layer over this many axes, with channels before them, takes."""
        if self.is_vector:
            raise ValueError("it acts on positions, and those were taken together before it")
        if self.channels == "last" or self.axes not in (None, axes):
            raise ValueError(
                f"it takes channels first and {axes} axes of positions, and what comes in has "
                f"{'channels last' if self.channels == 'last' else f'{self.axes} axes'}; permute or transpose before it"
            )
        return Layout(axes, "first", self.units)

    def channels_last(self) -> Layout:
        """What a layer over the last axis takes."""
        if self.channels == "first" and not self.is_vector:
            raise ValueError(
                "it acts on the last axis, which is one of positions here, as channels are first; transpose or permute "
                "before it, or flatten"
            )
        return replace(self, channels="last")

    def vector(self) -> Layout:
        """All positions taken together."""
        return self if self.is_vector else Layout(0, "last", None)

    def pooled(self, dims: Iterable[int]) -> Layout:
        """The mean over these axes, if they are all that positions have."""
        given = set(dims)
        if self.axes is None and self.channels != "first" and given in ({1}, {-2}):
            return Layout(0, "last", self.units)  # a sequence, with its features last
        if self.axes is None and given in ({2, 3}, {-1, -2}) and self.channels != "last":
            return Layout(0, "last", self.units)
        if self.axes and self.channels:
            rank = self.axes + 2
            first = 2 if self.channels == "first" else 1
            if {dim % rank for dim in given} == set(range(first, first + self.axes)):
                return Layout(0, "last", self.units)
        raise ValueError("only a mean, or a sum, over all positions and nothing else is a pool")

    def permuted(self, order: tuple[int, ...]) -> Layout:
        """With its axes in another order, if only channels move from first to last, or back."""
        rank = len(order)
        moves: dict[tuple[int, ...], list[tuple[str, Literal["first", "last"]]]] = {}
        moves.setdefault((0, *range(2, rank), 1), []).append(("first", "last"))
        moves.setdefault((0, rank - 1, *range(1, rank - 1)), []).append(("last", "first"))
        ends = [end for start, end in moves.get(order, []) if self.channels in (None, start)]
        if rank < 3 or self.axes not in (None, rank - 2) or not ends:
            raise ValueError("only channels may move, from first to last or back")
        return Layout(rank - 2, ends[0] if len(ends) == 1 else None, self.units)

    def is_channel(self, dim: int) -> bool:
        """Whether an axis is that of the channels."""
        if self.is_vector:
            return dim in (1, -1)
        if self.channels == "first":
            return dim == 1 or (self.axes is not None and dim == -1 - self.axes)
        return self.channels == "last" and (dim == -1 or (self.axes is not None and dim == 1 + self.axes))


def of_all(layouts: list[Layout]) -> Layout:
    """The layout of tensors that are put together, if it can be one."""
    found: dict[str, object] = {}
    for key in ("axes", "channels", "units"):
        known = {getattr(layout, key) for layout in layouts} - {None}
        if len(known) > 1:
            raise ValueError("its branches have different shapes, and broadcasting has no equal")
        found[key] = known.pop() if known else None
    return Layout(**found)  # type: ignore[arg-type]
