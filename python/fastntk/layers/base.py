"""What every layer is. What is done with layers elsewhere is one `functools.singledispatch` each."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

from .._checks.shown import cut

if TYPE_CHECKING:
    from ..activations.duals import Program

#: Of one sample: (height, width) of an image, (length,) of a sequence, () of a vector; None where it is not known
#: before there are samples.
Positions: TypeAlias = tuple[int, ...] | None

#: Stands for the number of positions along an axis where each sample has one of its own, as graphs and sequences do.
VARIOUS = -1

Mean: TypeAlias = Literal["zero", "known", "unknown", "unknowable"]
SinceFork: TypeAlias = Literal["same", "bent", "weighted", "fresh"]

#: Layers one after the other.
Layers: TypeAlias = "tuple[Layer, ...]"

_LONG_NUMBER = re.compile(r"\d+\.\d{4,}(?:e[+-]?\d+)?")


class Signal(NamedTuple):
    """What is known of what layers pass on, before there are samples."""

    positions: Positions = None

    #: At each position: `math.inf` where a layer is infinitely wide, `math.nan` where it is not known before there are
    #: samples.
    units: float = math.nan

    #: Of a unit, given all before: "given" at the input and behind an activation, which another activation takes for a
    #: Gaussian; "other" where none may.
    law: Literal["gaussian", "given", "other", "unknown"] = "unknown"

    #: Over the units; "unknowable" of the raw input, and of what is averaged over positions.
    mean: Mean = "unknown"

    #: What was done since the last fork: nothing but what acts on all units alike ("same"), activations too ("bent");
    #: or there were weights, so that given what came in it is independent of all else ("weighted"), and of mean 0
    #: ("fresh").
    since_fork: SinceFork = "same"

    #: Whether K is 0, whatever the samples are.
    vanishes: bool = False

    #: Whether all units have one law; behind Concat each branch's have their own, as the samples' features have.
    alike: bool = True

    #: Whether these are the samples themselves, which no layer has acted on.
    raw: bool = True

    @property
    def shape(self) -> tuple[float, ...]:
        """Of one sample, channels last, as far as it is known."""
        return (*(self.positions or ()), self.units)

    def taken_together(self) -> Signal:
        """What sums of units over positions are, as far as that is known."""
        return self._replace(
            law="gaussian" if self.law == "gaussian" else "unknown" if self.law == "unknown" else "other",
            mean="zero" if self.mean == "zero" else "unknown" if self.mean == "unknown" else "unknowable",
            since_fork="bent" if self.since_fork == "same" else self.since_fork,
        )


class Layer(ABC):
    """A map of the kernels: with parameters of its own, and how it becomes an op of the engine.

    The repr of a layer is its text, which `fastntk.network` reads; its str has short numbers, for people.
    """

    __slots__ = ()

    #: Whether the engine has to follow the means of units for it.
    needs_mean: ClassVar[bool] = False

    #: Whether it is for samples that are images or sequences, of several positions.
    on_positions: ClassVar[bool] = False

    #: Whether it multiplies units, which may not be of samples whose features have several laws.
    multiplies: ClassVar[bool] = False

    #: Whether every position of what it gives may depend on all positions of the sample, by way of its own K(x, x) or
    #: of its edges: samples with such layers are whole tiles to the engine.
    mixes: ClassVar[bool] = False

    #: Whether it is so inside of branches.
    mixes_in_branches: ClassVar[bool] = False

    #: Those of its hyper-parameters that kernels are no even functions of.
    signed: tuple[str, ...] = ()

    #: Layers inside of it, one after the other in each branch.
    branches: tuple[Layers, ...] = ()

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Its own numbers that kernels are differentiated in, by name, in the order of the engine."""
        return {}

    @abstractmethod
    def emit(self, program: Program, like: Any = None) -> object:
        """Append itself to a program of the engine; give what was chosen by the variances of its samples, if anything.

        For other samples, `like` these, that is chosen again: so that they can be paired.
        """

    @abstractmethod
    def follow(self, signal: Signal) -> Signal:
        """What it makes of a signal.

        Raises
        ------
        ValueError
            If the kernels behind it would not be those of any network.
        """

    def with_next(self, layer: Layer) -> Layer | None:
        """Itself with the layer that follows it, as one, where that is not the same as one after the other."""
        del layer
        return None

    def changed(self, change: Callable[[Layer], Layer]) -> Layer:
        """Itself, or with what is inside of it, as `change` makes it of each layer without branches."""
        return change(self)

    def with_values(self, **values: float) -> Layer:
        """One with other values of some hyper-parameters."""
        raise TypeError(f"{self} has no hyper-parameters {', '.join(values)}.")

    @property
    def head(self) -> str:
        """Its text for people, without its branches."""
        return str(self)

    @property
    def is_continuous(self) -> bool:
        """Whether it is of known functions, and none jumps."""
        return True

    @property
    def noise(self) -> float:
        """How far its float64 kernel is from being a smooth function, relative to the diagonals."""
        return max((layer.noise for branch in self.branches for layer in branch), default=0.0)

    def __str__(self) -> str:
        return _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.4g}", repr(self))


class Unchanging(Layer):
    """A layer whose attributes cannot be set, once they are."""

    __slots__ = ()

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: make a new one with another {key}.")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed.")

    def _set(self, **attributes: object) -> None:
        for key, value in attributes.items():
            object.__setattr__(self, key, value)


class MisplacedError(ValueError):
    """A layer where it cannot stand: its place, as numbers joined by dots, and why."""

    def __init__(self, place: str, layer: Layer, why: str) -> None:
        super().__init__(f"layer {place}, {cut(str(layer))}: {why}")
        self.place, self.layer, self.why = place, layer, why

    def __reduce__(self) -> tuple[Any, ...]:
        return MisplacedError, (self.place, self.layer, self.why)

    def inside(self, place: str) -> MisplacedError:
        """The same, seen from further out."""
        return MisplacedError(f"{place}.{self.place}", self.layer, self.why)


def shown_positions(positions: tuple[int, ...]) -> str:
    """Positions for messages: 8 x 8, or that each sample has its own."""
    return " x ".join("as many as a sample has" if one == VARIOUS else str(one) for one in positions) or "one"


def follow_all(layers: Sequence[Layer], signal: Signal) -> Signal:
    """What layers make of a signal one after the other; raises as `follow_each`."""
    for last in follow_each(layers, signal):
        signal = last
    return signal


def follow_each(layers: Sequence[Layer], signal: Signal) -> Iterator[Signal]:
    """What comes out of each of layers, one after the other.

    Raises
    ------
    MisplacedError
        Naming the layer that is wrong.
    """
    for i, layer in enumerate(layers):
        try:
            signal = layer.follow(signal)
        except MisplacedError as error:
            raise error.inside(str(i)) from None
        except ValueError as error:
            raise MisplacedError(str(i), layer, str(error)) from None
        if signal.raw:
            signal = signal._replace(raw=False)
        yield signal


def emit_all(layers: Sequence[Layer], program: Program, like: Any = None) -> tuple[object, ...] | None:
    """Append layers to a program, one after the other; give their choices, if there are any."""
    given = like or (None,) * len(layers)
    choices = [layer.emit(program, choice) for layer, choice in zip(layers, given, strict=True)]
    return None if choices.count(None) == len(choices) else tuple(choices)


def emit_network(layers: Sequence[Layer], program: Program, like: Any = None) -> tuple[object, ...] | None:
    """Append all layers of a network to an empty program, as `emit_all` does."""
    if True in [layer.needs_mean for layer in layers]:
        program.follow_means()
    return emit_all(layers, program, like)


def walk(layers: Sequence[Layer], place: str = "") -> Iterator[tuple[str, Layer]]:
    """Layers without branches, in the order of the engine, each with its place: numbers joined by dots.

    "2.0.1" is layer 1 of branch 0 of layer 2.
    """
    for i, layer in enumerate(layers):
        if not layer.branches:
            yield f"{place}{i}", layer
        for b, branch in enumerate(layer.branches):
            yield from walk(branch, f"{place}{i}.{b}.")
