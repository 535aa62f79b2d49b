"""Layers with branches: each acts on what comes in, with weights of its own, and what they give is put together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._checks.shown import shown
from .base import Layer, Layers, MisplacedError, Signal, SinceFork, Unchanging, emit_all, follow_all
from .given import Part, chain
from .identity import IDENTITY

if TYPE_CHECKING:
    from ..activations.duals import Program


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
        try:
            self.follow(Signal())
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None

    def with_branches(self, branches: Sequence[Layers]) -> Layer:
        """One with other branches."""
        return type(self)(*map(Branch, branches))

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
                found.append(follow_all(branch, signal._replace(since_fork="same")))
            except MisplacedError as error:
                raise error.inside(str(i)) from None
        joined = self.join(signal, found)
        return joined._replace(since_fork=_behind(signal.since_fork, joined.since_fork))

    def changed(self, change: Callable[[Layer], Layer]) -> Layer:
        """Itself with branches of changed layers."""
        return self.with_branches([tuple(layer.changed(change) for layer in branch) for branch in self.branches])

    def texts(self) -> list[str]:
        """Of its branches."""
        return [
            repr(branch[0]) if len(branch) == 1 else f"Sequential({', '.join(map(repr, branch))})"
            for branch in self.branches
        ]

    @property
    def head(self) -> str:
        """Its text for people, without its branches."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.head}({', '.join(self.texts())})"

    def _key(self) -> tuple[Any, ...]:
        """What makes it equal to another."""
        return self.head, self.branches

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Branching) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token

        return normalize_token(self._key())


def as_branches(name: str, parts: Sequence[Part]) -> tuple[Layers, ...]:
    """Branches of a layer of that name, checked to be some, none of them empty."""
    if not parts:
        raise ValueError(f"{name} needs branches, {name}(branch, branch, ...), got none.")
    branches = tuple(chain([part]) for part in parts)
    for i, branch in enumerate(branches):
        if not branch:
            raise ValueError(f"branch {i} of {name} is empty: write fastntk.Identity() for what comes in as it is.")
    return branches


def shape_of_all(branches: list[Signal]) -> tuple[float, ...]:
    """Their common shape, as far as it is known."""
    known = [signal.shape for signal in branches if 0 < signal.shape[-1] < float("inf")]
    if len(set(known)) > 1:
        widths = " and ".join(f"{shape[-1]:.0f}" for shape in dict.fromkeys(known))
        raise ValueError(f"its branches end with {widths} units, and have to end with as many each.")
    infinite = [signal.shape for signal in branches if signal.shape[-1] == float("inf")]
    return (known or infinite or [branches[0].shape])[0]


def _behind(before: SinceFork, after: SinceFork) -> SinceFork:
    """`since_fork` of two stretches, one after the other."""
    if after == "same":
        return before
    return "weighted" if after == "bent" and before in ("weighted", "fresh") else after


def shown_branch(branch: Layers) -> str:
    """Text of a branch for messages."""
    return shown(branch[0] if len(branch) == 1 else list(branch))
