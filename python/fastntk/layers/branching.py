"""Layers with branches: each acts on what comes in, with weights of its own, and what they give is put together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from .._checks.shown import shown
from .base import (
    Layer,
    Layers,
    Mean,
    MisplacedError,
    Positions,
    Signal,
    SinceFork,
    Unchanging,
    emit_all,
    follow_all,
    shown_positions,
)
from .given import Part, chain
from .identity import IDENTITY

if TYPE_CHECKING:
    from ..activations.duals import Program


T = TypeVar("T")

#: Layers with branches one in the other: what follows them, here and elsewhere, is recursion.
_DEEPEST = 200


@dataclass(frozen=True)
class Branch:
    """Layers one after the other, as one part."""

    layers: Layers


class Branching(Unchanging):
    """A layer with branches."""

    __slots__ = ("branches",)

    branches: tuple[Layers, ...]

    @abstractmethod
    def __init__(self, *branches: Part) -> None: ...

    @abstractmethod
    def join(self, signal: Signal, branches: list[Signal]) -> Signal:
        """What it makes of what its branches give; `signal` is what came in."""

    @abstractmethod
    def put_together(self, program: Program, branch: int) -> None:
        """Let the engine put what a branch gave to what it has of those before."""

    def check(self) -> None:
        """Refuse branches that do not go together, whatever comes in; said of the layer, which is not in any yet."""
        if folded(self, _depth) > _DEEPEST:
            raise ValueError(
                f"{type(self).__name__}: layers are nested more than {_DEEPEST} deep; put some one after the other, in "
                "a Sequential."
            )
        try:
            self.follow(Signal())
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None

    def with_branches(self, branches: Sequence[Layers]) -> Layer:
        """One with other branches."""
        return type(self)(*map(Branch, branches))

    @property
    def needs_mean(self) -> bool:  # type: ignore[override]
        """Whether a layer in one of its branches does."""
        return any(layer.needs_mean for branch in self.branches for layer in branch)

    @property
    def on_positions(self) -> bool:  # type: ignore[override]
        """Whether a layer in one of its branches is for samples of several positions."""
        return any(layer.on_positions for branch in self.branches for layer in branch)

    @property
    def multiplies(self) -> bool:  # type: ignore[override]
        """Whether a layer in one of its branches does."""
        return any(layer.multiplies for branch in self.branches for layer in branch)

    @property
    def mixes(self) -> bool:  # type: ignore[override]
        """Whether a layer in one of its branches does."""
        return any(layer.mixes or layer.mixes_in_branches for branch in self.branches for layer in branch)

    def emit(self, program: Program, like: Any = None) -> tuple[object, ...] | None:
        """Append itself to a program of the engine; give the choices of its branches, if there are any."""
        given = like or (None,) * len(self.branches)
        choices: list[object] = [None] * len(self.branches)
        program.fork()
        # What came in is at hand first: then it need not be kept a second time.
        for i in sorted(range(len(self.branches)), key=lambda i: self.branches[i] != IDENTITY):
            choices[i] = emit_all(self.branches[i], program, given[i])
            self.put_together(program, i)
        program.join()
        return tuple(choices) if any(choice is not None for choice in choices) else None

    def follow(self, signal: Signal) -> Signal:
        """What its branches make of a signal, put together."""
        found = []
        for i, branch in enumerate(self.branches):
            try:
                found.append(follow_all(branch, signal._replace(since_fork="same", raw=False)))
            except MisplacedError as error:
                raise error.inside(str(i)) from None
        joined = self.join(signal, found)
        return joined._replace(since_fork=_behind(signal.since_fork, joined.since_fork))

    def changed(self, change: Callable[[Layer], Layer]) -> Layer:
        """Itself with branches of changed layers."""
        return self.with_branches([tuple(layer.changed(change) for layer in branch) for branch in self.branches])

    @property
    def kind(self) -> type[Branching]:
        """Its class, or that of what it is the same as."""
        return type(self)

    @property
    def head(self) -> str:
        """Its text for people, without its branches."""
        return self.kind.__name__

    def written(self, branches: list[list[str]]) -> str:
        """Its text, with those of the layers in its branches."""
        return f"{self.kind.__name__}({', '.join(map(as_one, branches))})"

    def __repr__(self) -> str:
        return folded(self, _written)

    def __eq__(self, other: object) -> bool:
        return _flat(self) == _flat(other) if isinstance(other, Branching) else NotImplemented

    def __hash__(self) -> int:
        return hash(_flat(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return _raised, (_flat(self),)

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token

        return normalize_token(_flat(self))


def folded(layer: Layer, of: Callable[[Layer, list[list[T]]], T]) -> T:
    """What `of` makes of a layer and of what it made of those in its branches: no recursion, so at any depth."""
    order, left = [], [layer]
    while left:
        order.append(left.pop())
        left += (inner for branch in order[-1].branches for inner in branch)
    made: list[T] = []
    for one in reversed(order):  # those in branches come before it, in their order
        parts: list[list[T]] = []
        for branch in reversed(one.branches):
            parts.insert(0, made[-len(branch) :])
            del made[-len(branch) :]
        made.append(of(one, parts))
    return made[0]


def as_one(texts: list[str]) -> str:
    """Text of layers one after the other, as one."""
    return texts[0] if len(texts) == 1 else f"Sequential({', '.join(texts)})"


def _written(layer: Layer, branches: list[list[str]]) -> str:
    return layer.written(branches) if isinstance(layer, Branching) else repr(layer)


def _depth(layer: Layer, branches: list[list[int]]) -> int:
    return max((max(depths) for depths in branches), default=0) + bool(layer.branches)


def _flat(layer: Layer) -> tuple[object, ...]:
    """A tree as a row: of each layer with branches what it is and their lengths, and then all that is in them."""
    row: list[object] = []
    left = [layer]
    while left:
        one = left.pop()
        if isinstance(one, Branching):
            own = tuple((name, getattr(one, name)) for name in type(one).__slots__)
            row.append((one.kind, own, tuple(map(len, one.branches))))
            left += reversed([inner for branch in one.branches for inner in branch])
        else:
            row.append(one)
    return tuple(row)


def _raised(row: tuple[Any, ...]) -> Layer:
    """The tree of a row."""
    made: list[Layer] = []
    for one in reversed(row):
        if isinstance(one, Layer):
            made.append(one)
            continue
        kind, own, lengths = one
        layer = object.__new__(kind)
        layer._set(branches=tuple(tuple(made.pop() for _ in range(length)) for length in lengths), **dict(own))
        made.append(layer)
    return made[0]


def as_branches(name: str, parts: Sequence[Part]) -> tuple[Layers, ...]:
    """Branches of a layer of that name, checked to be some, none of them empty."""
    if not parts:
        raise ValueError(f"{name} needs branches, {name}(branch, branch, ...), got none.")
    branches = tuple(chain([part]) for part in parts)
    for i, branch in enumerate(branches):
        if not branch:
            raise ValueError(f"branch {i} of {name} is empty: write fastntk.Identity() for what comes in as it is.")
    return branches


def positions_of_all(branches: list[Signal]) -> Positions:
    """Their common positions, as far as they are known."""
    known = list(dict.fromkeys(signal.positions for signal in branches if signal.positions is not None))
    if len(known) > 1:
        shapes = " and ".join(map(shown_positions, known))
        raise ValueError(
            f"its branches end with {shapes} positions, and have to end with the same: a Conv of kernel size 1 with "
            "the strides of the other branch brings a shortcut there."
        )
    return known[0] if known else None


def units_of_all(branches: list[Signal]) -> float:
    """Their common number of units, as far as it is known."""
    known = [signal.units for signal in branches if 0 < signal.units < float("inf")]
    if len(set(known)) > 1:
        widths = " and ".join(f"{units:.0f}" for units in dict.fromkeys(known))
        raise ValueError(f"its branches end with {widths} units, and have to end with as many each.")
    infinite = [signal.units for signal in branches if signal.units == float("inf")]
    return (known or infinite or [branches[0].units])[0]


def mean_of_all(branches: list[Signal]) -> Mean:
    """What is known of the mean of branches together, where it is not 0."""
    means = {signal.mean for signal in branches}
    return "unknowable" if "unknowable" in means else "unknown" if "unknown" in means else "known"


def _behind(before: SinceFork, after: SinceFork) -> SinceFork:
    """`since_fork` of two stretches, one after the other."""
    if after == "same":
        return before
    return "weighted" if after == "bent" and before in ("weighted", "fresh") else after


def shown_branch(branch: Layers) -> str:
    """Text of a branch for messages."""
    return shown(branch[0] if len(branch) == 1 else list(branch))
