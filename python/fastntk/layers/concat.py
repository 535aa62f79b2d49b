"""Concat: what branches give, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._checks.arguments import finite_number
from .._checks.shown import shown
from .activation import Activation
from .base import Layer, Layers, Signal, SinceFork
from .branching import Branch, Branching, as_branches, as_one, mean_of_all, positions_of_all
from .given import Part

if TYPE_CHECKING:
    from ..activations.duals import Program

#: How far fractions may be from 1 together: thirds that were rounded to nine digits.
_ROUNDING = 3e-9

_FROM_WORST: tuple[SinceFork, ...] = ("same", "weighted", "fresh")


class Concat(Branching):
    """The units of its branches side by side: K = Σ f_i K_i, Theta = Σ f_i Theta_i, with f_i their part of all units.

    Parameters
    ----------
    *branches : layer, str, callable or Sequential
        At least one.
    fractions : sequence of float > 0, optional
        Of the units, in all 1; by default as many from each branch.

    Raises
    ------
    ValueError
        No branch, an empty one; fractions that are not as many as there are branches, or not 1 in all.

    Notes
    -----
    Units of different branches have different variances, so an activation that follows acts in each branch:
    ``Sequential(Concat(a, b), "relu")`` is ``Sequential(Concat(Sequential(a, "relu"), Sequential(b, "relu")))``.

    References
    ----------
    Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017, of the architecture.

    Examples
    --------
    >>> import fastntk
    >>> both = fastntk.Concat(fastntk.Dense(1.0), fastntk.Dense(2.0), fractions=[0.25, 0.75])
    >>> fastntk.Sequential(both).nngp([[1.0]])
    array([[3.25]])
    """

    __slots__ = ("fractions",)

    fractions: tuple[float, ...]

    def __init__(self, *branches: Part, fractions: Sequence[float] | None = None) -> None:
        checked = as_branches("Concat", branches)
        count = len(checked)
        if fractions is None:
            shares = (1 / count,) * count
        else:
            try:
                given = list(fractions)
            except TypeError:
                raise TypeError(f"fractions must be a sequence of numbers, got {shown(fractions)}.") from None
            shares = tuple(finite_number(share, f"fractions[{i}]") for i, share in enumerate(given))
            if len(shares) != count:
                raise ValueError(f"fractions must be one for each of {count} branches, got {len(shares)}.")
            if min(shares) <= 0 or abs(math.fsum(shares) - 1) > _ROUNDING:
                raise ValueError(
                    f"fractions must be > 0 and 1 in all, got {shown(shares)}, in all {math.fsum(shares):.9g}."
                )
        self._set(branches=checked, fractions=shares)
        self.check()

    def put_together(self, program: Program, branch: int) -> None:
        """Let the engine add its part of what a branch gave."""
        program.add(self.fractions[branch])

    def with_branches(self, branches: Sequence[Layers]) -> Concat:
        """One with other branches."""
        return Concat(*map(Branch, branches), fractions=self.fractions)

    def with_next(self, layer: Layer) -> Layer | None:
        """An activation that follows acts in every branch."""
        if not isinstance(layer, Activation):
            return None
        return self.with_branches([(*branch, layer) for branch in self.branches])

    def join(self, signal: Signal, branches: list[Signal]) -> Signal:  # noqa: ARG002
        """Signal of all units."""
        if len(branches) == 1:
            return branches[0]
        widths = [member.units for member in branches]
        total = sum(widths)
        if math.isfinite(total) and any(
            abs(width - share * total) >= 1 for width, share in zip(widths, self.fractions, strict=True)
        ):  # of 100 units a third is 33 or 34
            raise ValueError(
                f"its branches end with {' and '.join(f'{width:.0f}' for width in widths)} units, which are not the "
                f"fractions {shown(self.fractions)}: pass fractions=[{', '.join(f'{w / total:.9g}' for w in widths)}]."
            )
        means, kinds = {member.mean for member in branches}, {member.since_fork for member in branches}
        return Signal(
            positions_of_all(branches),
            total,
            "other",
            "zero" if means == {"zero"} else mean_of_all(branches),
            _worst(kinds),
            all(member.vanishes for member in branches),
            alike=False,
        )

    @property
    def head(self) -> str:
        """Its text for people, without its branches."""
        shares = ", ".join(f"{share:.4g}" for share in self.fractions)
        return "Concat" if self._equal else f"Concat(fractions=[{shares}])"

    @property
    def _equal(self) -> bool:
        return set(self.fractions) == {1 / len(self.fractions)}

    def written(self, branches: list[list[str]]) -> str:
        """Its text, with those of the layers in its branches."""
        fractions = "" if self._equal else f", fractions={list(self.fractions)}"
        return f"Concat({', '.join(map(as_one, branches))}{fractions})"


def _worst(kinds: set[SinceFork]) -> SinceFork:
    """Of units side by side: what comes in as it is, beside units that have means, is neither of the two."""
    if "bent" in kinds or {"same", "weighted"} <= kinds:
        return "bent"
    return next(kind for kind in _FROM_WORST if kind in kinds)
