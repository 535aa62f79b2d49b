"""Sum and Residual: what independent branches give, added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .activation import Activation
from .base import Layer, Layers, Signal
from .branching import Branch, Branching, as_branches, as_one, mean_of_all, positions_of_all, shown_branch, units_of_all
from .given import Part, chain
from .identity import IDENTITY, Identity

if TYPE_CHECKING:
    from ..activations.duals import Program


class Sum(Branching):
    r"""What its branches make of the same input, added up: K = ΣK_i, Theta = ΣTheta_i.

    Parameters
    ----------
    *branches : layer, str, callable or Sequential
        At least one. A name or a function stands for its Activation.

    Raises
    ------
    ValueError
        No branch, an empty one, branches of different width; or two that are not independent. All but one have to end
        in weights of their own, a `Dense` that nothing but an odd activation, LayerNorm or Dropout follows: else the
        cross terms do not vanish, and the kernels do not add up (x + x has 4 K, not 2 K). Without weights, identities
        and piecewise linear activations are folded into one activation: ``Sum(Identity(), "relu")`` is that of slopes
        1 and 2. Others are refused: write x + phi(x) as an activation.

    Notes
    -----
    The sum is Gaussian if all members are. With a member that is not, the raw input or what an activation gives, its
    second moments are right: a Dense may follow, an activation may not. A shared weight is not made by using
    a layer twice.

    References
    ----------
    Garriga-Alonso, Rasmussen, Aitchison, "Deep convolutional networks as shallow Gaussian processes", ICLR 2019.
    Yang and Schoenholz, "Mean field residual networks: on the edge of chaos", NeurIPS 2017.

    Examples
    --------
    >>> import fastntk
    >>> deep = fastntk.Sequential(fastntk.Dense(), "relu", fastntk.Dense(2.0))
    >>> fastntk.Sequential(fastntk.Sum(fastntk.Dense(2.0), deep)).nngp([[1.0, 0.0]])
    array([[3.]])
    """

    __slots__ = ()

    def __init__(self, *branches: Part) -> None:
        self._set(branches=_folded(as_branches(type(self).__name__, branches)))
        self.check()

    def put_together(self, program: Program, branch: int) -> None:  # noqa: ARG002
        """Let the engine add what a branch gave."""
        program.add(1.0)

    def join(self, signal: Signal, branches: list[Signal]) -> Signal:  # noqa: ARG002
        """Signal of the sum, if its members are independent."""
        dependent = [i for i, member in enumerate(branches) if member.since_fork != "fresh"]
        if len(dependent) > 1:
            raise ValueError(self._why_not(dependent[0], dependent[1], branches))
        if len(branches) == 1:
            return branches[0]
        laws, means = {member.law for member in branches}, {member.mean for member in branches}
        return Signal(
            positions_of_all(branches),
            units_of_all(branches),
            "gaussian" if laws == {"gaussian"} else "unknown" if laws <= {"gaussian", "unknown"} else "other",
            "zero" if means == {"zero"} else mean_of_all(branches),
            branches[dependent[0]].since_fork if dependent else "fresh",
            all(member.vanishes for member in branches),
            all(member.alike for member in branches),
        )

    def _why_not(self, i: int, k: int, members: list[Signal]) -> str:
        one, other = (shown_branch(self.branches[b]) for b in (i, k))
        if all(members[b].since_fork in ("same", "bent") for b in (i, k)):
            return (
                f"branches {i} and {k}, {one} and {other}, have no weights of their own: they are not independent, "
                "and their kernels do not add up. Put a Dense behind one of them, or write both as one activation, "
                "such as fastntk.Activation(lambda x: x + numpy.tanh(x))."
            )
        free = i if members[i].since_fork == "weighted" else k
        return (
            f"branches {i} and {k}, {one} and {other}, have means that may not be 0: their kernels do not add "
            f"up. Put a Dense behind the activation that branch {free} ends with."
        )


class Residual(Sum):
    """A residual block: layers with a shortcut around them, ``Sum(Sequential(*layers), shortcut or Identity())``.

    Parameters
    ----------
    *layers : layer, str, callable or Sequential
        One after the other; they have to end in a `Dense`.
    shortcut : layer, str, callable or Sequential, optional
        What is added; by default what comes in.

    Notes
    -----
    Pre-activation blocks, ``Residual("relu", Dense())``, follow one another without limit: K grows by a factor each,
    1 + sigma_w² / 2 for ReLU. In `fastntk.networks.resmlp` the branches are scaled, so that it stays as it is.

    References
    ----------
    He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016.

    Examples
    --------
    >>> import fastntk
    >>> block = fastntk.Residual("relu", fastntk.Dense(2**0.5))
    >>> net = fastntk.Sequential(fastntk.Dense(), *[block] * 9, fastntk.Dense())
    >>> net.nngp([[1.0]]).round(6)
    array([[512.]])
    """

    __slots__ = ()

    def __init__(self, *layers: Part, shortcut: Part | None = None) -> None:
        inner = chain(layers)
        if not inner:
            raise ValueError("Residual needs layers, such as Residual('relu', Dense()), got none.")
        around = IDENTITY if shortcut is None else chain([shortcut])
        if not around:
            raise ValueError("the shortcut of Residual is empty: leave it out for what comes in as it is.")
        super().__init__(Branch(inner), Branch(around))

    def with_branches(self, branches: Sequence[Layers]) -> Layer:
        """One with other branches."""
        if len(branches) == 1:  # they are folded into one
            return Sum(Branch(branches[0]))
        inner, around = branches
        return Residual(*inner, shortcut=Branch(around))

    @property
    def kind(self) -> type[Branching]:
        """Sum, where all that it was is one activation."""
        return Residual if len(self.branches) > 1 else Sum

    def written(self, branches: list[list[str]]) -> str:
        """Its text, with those of the layers in its branches."""
        if len(branches) == 1:
            return super().written(branches)
        inner, around = branches
        shortcut = "" if self.branches[1] == IDENTITY else f", shortcut={as_one(around)}"
        return f"Residual({', '.join(inner)}{shortcut})"


def _slopes(branch: Layers) -> tuple[float, float] | None:
    """Of a branch that is a piecewise linear function with its kink at 0: left and right."""
    if len(branch) > 1:
        return None
    return (1.0, 1.0) if isinstance(branch[0], Identity) else getattr(branch[0], "slopes", None)


def _folded(branches: tuple[Layers, ...]) -> tuple[Layers, ...]:
    """Branches with all that are piecewise linear functions as one: these are not independent."""
    slopes = [_slopes(branch) for branch in branches]
    several = [pair for pair in slopes if pair is not None]
    if len(several) < 2:
        return branches
    left, right = map(sum, zip(*several, strict=True))
    one: Layers = (Activation("abrelu", a=left, b=right),)
    first = next(i for i, pair in enumerate(slopes) if pair is not None)
    return tuple(one if i == first else branch for i, branch in enumerate(branches) if i == first or slopes[i] is None)
