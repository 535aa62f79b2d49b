"""Samples with nodes, as many as each likes: what sequences and graphs have in common."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._checks.arrays import any_array, hint_at_sizes, input_array, kernel_dtype
from .._checks.shown import counted, shown
from .._machine.rows import engine_rows

T = TypeVar("T", bound="Ragged")


class Ragged(ABC):
    """Samples of nodes with channels: all nodes one after the other, and where those of each sample begin.

    A list of samples to scikit-learn: it has a length, and an index, a slice, an array of indices or a mask makes one
    of fewer samples. It cannot be changed.

    Attributes
    ----------
    values : ndarray of shape (total, channels), float32 or float64
        Of all nodes of all samples.
    starts : ndarray of int of shape (n + 1,)
        Nodes ``starts[i]`` to ``starts[i + 1]`` are those of sample i.
    """

    __slots__ = ("starts", "values")

    values: NDArray[Any]
    starts: NDArray[np.intp]

    #: What users call a node, and networks that read such, as text.
    node: ClassVar[str]
    readers: ClassVar[tuple[str, ...]]

    def _set(self, **attributes: object) -> None:
        for key, value in attributes.items():
            object.__setattr__(self, key, value)

    def _set_values(self, values: NDArray[Any], lengths: Sequence[int] | NDArray[np.intp]) -> None:
        """Keep nodes, and count how many each sample has."""
        starts = np.concatenate((np.zeros(1, np.intp), np.cumsum(lengths, dtype=np.intp)))
        for array in (values, starts):
            array.flags.writeable = False
        self._set(values=values, starts=starts)

    @property
    def channels(self) -> int:
        """Numbers of a node."""
        return int(self.values.shape[1])

    @property
    def lengths(self) -> NDArray[np.intp]:
        """How many nodes each sample has, of shape (n,)."""
        return np.diff(self.starts)

    @property
    def shape(self) -> tuple[int]:
        """(n,), as of a vector of samples."""
        return (len(self),)

    @property
    def ndim(self) -> int:
        """1, as of a vector of samples."""
        return 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""
        return self.values.dtype

    def astype(self, dtype: Any) -> Self:
        """These in float32 or float64."""
        wanted = kernel_dtype(dtype, self.dtype)
        if self.dtype == wanted:
            return self
        with np.errstate(over="ignore"):
            values = self.values.astype(wanted)
        if not np.isfinite(values).all():
            raise ValueError(f"{self!r} have entries beyond the range of {wanted}.")
        return _made(type(self), values, self.lengths, {name: getattr(self, name) for name in type(self).__slots__})

    def followed_by(self, other: Self) -> Self:
        """These samples, and those of another after them."""
        if type(other) is not type(self) or other.channels != self.channels:
            got = repr(other) if isinstance(other, Ragged) else shown(other)
            raise ValueError(f"samples that follow {self!r} must be alike, got {got}.")
        values = np.concatenate((self.values, other.values))
        return _made(type(self), values, np.concatenate((self.lengths, other.lengths)), self._own_of_both(other))

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that it is: what two of them are compared by, and known by in files."""
        return self.starts, self.values

    @property
    def keys(self) -> list[bytes]:
        """Of each sample some bytes, the same for equal samples alone."""
        return [b"".join((array + 0).tobytes() for array in sample.arrays) for sample in self]  # 0, not -0

    @abstractmethod
    def _own(self, samples: NDArray[np.intp], nodes: NDArray[np.intp]) -> dict[str, Any]:
        """What some samples in some order have beside their nodes, which are these."""

    def _own_of_both(self, other: Self) -> dict[str, Any]:
        """What these samples and others after them have beside their nodes."""
        del other
        return {}

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, key: object) -> Self:
        samples = np.arange(len(self))[_selection(key, self)]
        begin, lengths = self.starts[samples], self.lengths[samples]
        ends = np.cumsum(lengths)
        nodes = np.repeat(begin - ends + lengths, lengths) + np.arange(lengths.sum())
        return _made(type(self), self.values[nodes], lengths, self._own(samples, nodes))

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.dtype == other.dtype and all(map(np.array_equal, self.arrays, other.arrays))

    __hash__ = None  # type: ignore[assignment]

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} are no array, as samples have different shapes; see its values.")

    def __reduce__(self) -> tuple[Any, ...]:
        own = {name: getattr(self, name) for name in type(self).__slots__}
        return _made, (type(self), self.values, self.lengths, own)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed: make new ones with other {key}.")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed.")

    def _text(self) -> str:
        lengths = self.lengths
        least, most = (lengths.min(), lengths.max()) if len(lengths) else (0, 0)
        nodes = f"{least} to {most} {self.node}s" if least < most else counted(most, self.node)
        return f"{len(self)} of {nodes}, {counted(self.channels, 'channel')}, {self.dtype}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._text()}>"


def _made(kind: type[T], values: NDArray[Any], lengths: NDArray[np.intp], own: dict[str, Any]) -> T:
    """One of what has been checked."""
    made = object.__new__(kind)
    made._set_values(values, lengths)
    made._set(**own)
    return made


def joined(first: Any, then: Any) -> Any:
    """Samples and others after them: arrays, or containers."""
    return first.followed_by(then) if isinstance(first, Ragged) else np.concatenate((first, then))


def _selection(key: object, samples: Ragged) -> slice | NDArray[Any]:
    """What an index says of which samples."""
    if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:  # as scikit-learn indexes what has a shape
        key = key[0]
    if isinstance(key, slice):
        return key
    if not isinstance(key, bool):
        try:
            return _within(np.array([operator.index(key)]), samples)  # type: ignore[arg-type]
        except TypeError:
            pass
    numbers = any_array(key, "an index")
    if numbers.dtype != bool and not numbers.size:
        numbers = numbers.astype(np.intp)
    if isinstance(key, tuple) or numbers.ndim != 1 or numbers.dtype.kind not in "biu":
        raise TypeError(
            f"{type(samples).__name__} are indexed by samples: a number, a slice, numbers or a mask; got {shown(key)}."
        )
    if numbers.dtype == bool:
        if len(numbers) != len(samples):
            raise IndexError(f"a mask of {len(numbers)} entries is not one of {counted(len(samples), 'sample')}.")
        return numbers
    return _within(numbers, samples)


def _within(numbers: NDArray[Any], samples: Ragged) -> NDArray[Any]:
    """Numbers of samples that are there, from the front or from the end."""
    beyond = (numbers < -len(samples)) | (numbers >= len(samples))
    if beyond.any():
        raise IndexError(f"there is no sample {numbers[beyond][0]} among {len(samples)}.")
    return numbers


def node_values(samples: object, name: str, node: str, one: str) -> list[NDArray[Any]]:
    """Samples, checked: of each an array of shape (nodes, channels), all of the same precision."""
    if getattr(samples, "ndim", 3) < 3 or isinstance(samples, (str, bytes)) or not hasattr(samples, "__iter__"):
        hint = f"pass list({name})" if hint_at_sizes(samples, name) else f"a single sample is {one}"
        raise TypeError(
            f"{name} must be a list of arrays of shape ({node}s, channels), one for each sample, got {shown(samples)}; "
            f"{hint}."
        )
    samples = list(samples)
    if any(isinstance(sample, Ragged) for sample in samples):
        raise TypeError(f"{name} has containers of samples among them: put these together by a.followed_by(b).")
    arrays = [engine_rows(input_array(sample, f"{name}[{i}]", row=node)) for i, sample in enumerate(samples)]
    if not arrays:
        raise ValueError(f"{name} is empty: of no samples the number of channels is not known.")
    channels = arrays[0].shape[1]
    for i, array in enumerate(arrays):
        if array.shape[1] != channels:
            raise ValueError(
                f"{name}[{i}] has {array.shape[1]} channels and {name}[0] has {channels}; all samples must have as "
                "many."
            )
        if not np.isfinite(array).all():
            at, channel = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(
                f"{name} contains {array[at, channel]} (first in sample {i}, {node} {at}, channel {channel}); every "
                "entry must be finite."
            )
    return arrays
