"""Product: what independent branches give, multiplied unit by unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Signal
from .branching import Branching, as_branches, mean_of_all, positions_of_all, shown_branch, units_of_all
from .given import Part

if TYPE_CHECKING:
    from ..activations.duals import Program


class Product(Branching):
    """What its branches make of the same input, multiplied unit by unit: K = ΠK_i, Theta = Σ_i Theta_i Π_(j≠i) K_j.

    Parameters
    ----------
    *branches : layer, str, callable or Sequential
        At least one.

    Raises
    ------
    ValueError
        No branch, an empty one, branches of different width; or two without weights of their own, which are not
        independent (x² does not have the kernel K²), or two with a Concat that nothing mixes afterwards: units of
        different variances do not meet at random. So are the features of samples, if nothing mixes them before.

    Notes
    -----
    A product is not Gaussian: a Dense may follow, an activation may not. A gated linear unit is
    ``Product(Dense(), Sequential(Dense(), "sigmoid"))``.

    References
    ----------
    Dauphin, Fan, Auli, Grangier, "Language modeling with gated convolutional networks", ICML 2017, of the unit.

    Examples
    --------
    >>> import fastntk
    >>> gated = fastntk.Sequential(fastntk.Product(fastntk.Dense(), fastntk.Sequential(fastntk.Dense(), "step")))
    >>> gated.nngp([[1.0, 1.0]]).round(6)
    array([[0.5]])
    """

    __slots__ = ()

    def __init__(self, *branches: Part) -> None:
        self._set(branches=as_branches("Product", branches))
        self.check()

    @property
    def multiplies(self) -> bool:  # type: ignore[override]
        """What it is for."""
        return True

    def put_together(self, program: Program, branch: int) -> None:  # noqa: ARG002
        """Let the engine multiply by what a branch gave."""
        program.multiply()

    def join(self, signal: Signal, branches: list[Signal]) -> Signal:  # noqa: ARG002
        """Signal of the product, if its members are independent."""
        free = [i for i, member in enumerate(branches) if member.since_fork in ("same", "bent")]
        if len(free) > 1:
            one, other = (shown_branch(self.branches[i]) for i in free[:2])
            raise ValueError(
                f"branches {free[0]} and {free[1]}, {one} and {other}, have no weights of their own: they are not "
                "independent, and their kernels do not multiply. Put a Dense into one of them."
            )
        if len(branches) == 1:
            return branches[0]
        parted = [i for i, member in enumerate(branches) if not member.alike]
        if len(parted) > 1:
            one, other = (shown_branch(self.branches[i]) for i in parted[:2])
            raise ValueError(
                f"branches {parted[0]} and {parted[1]}, {one} and {other}, both have units of several laws side by "
                "side, as the features of samples are, so that their kernels do not multiply. Put the products inside "
                "of the Concat."
            )
        means = [member.mean for member in branches]
        fresh = any(member.since_fork == "fresh" for member in branches)
        return Signal(
            positions_of_all(branches),
            units_of_all(branches),
            "other",
            "zero" if "zero" in means else mean_of_all(branches),
            "fresh" if fresh else "bent" if free else "weighted",
            any(member.vanishes for member in branches),
            all(member.alike for member in branches),
        )
