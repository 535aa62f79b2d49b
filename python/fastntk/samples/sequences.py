"""Sequences: samples of steps, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.arrays import axes_of, input_array, real_array
from .ragged import Ragged, node_values


class Sequences(Ragged):
    """Sequences of different lengths: text, series, paths.

    Parameters
    ----------
    values : list of array_like of shape (length, channels), or array_like of shape (n, length, channels)
        The steps of each; the lengths may differ in a list.
    lengths : array_like of int of shape (n,), optional
        Of an array how many steps of each sequence are some: from 1 to all. What is beyond is dropped, whatever it is.

    Raises
    ------
    ValueError, TypeError
        No sequences, one without steps, other numbers of channels, entries that are not finite; lengths out of their
        range.

    Notes
    -----
    Nothing is padded: neither time nor memory depends on the longest one.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> X = fastntk.Sequences([np.ones((3, 2)), np.zeros((5, 2))])
    >>> X
    <Sequences: 2 of 3 to 5 steps, 2 channels, float64>
    >>> padded = np.stack([np.ones((5, 2)), np.zeros((5, 2))])
    >>> X == fastntk.Sequences(padded, lengths=[3, 5])
    True
    """

    __slots__ = ()

    node: ClassVar[str] = "step"
    readers: ClassVar[tuple[str, ...]] = ("rnn(1)", "transformer(1)")

    def __init__(self, values: ArrayLike | Sequence[ArrayLike], lengths: ArrayLike | None = None) -> None:
        samples: Any = values
        if lengths is not None:
            axes = axes_of(values, "values")
            if axes != 3:
                hint = "; of one channel they are values[..., None]" if axes == 2 else ""
                raise ValueError(f"lengths are for values of shape (n, length, channels), got {axes} axes{hint}.")
            array = input_array(values, "values", most_axes=3)
            samples = [sample[:length] for sample, length in zip(array, _lengths(lengths, array), strict=True)]
        arrays = node_values(samples, "values", self.node, "Sequences([values])")
        for i, array in enumerate(arrays):
            if not len(array):
                raise ValueError(f"values[{i}] has no steps; a sequence has at least one.")
        self._set_values(np.concatenate(arrays), [len(array) for array in arrays])

    def _own(self, samples: NDArray[np.intp], nodes: NDArray[np.intp]) -> dict[str, Any]:  # noqa: ARG002
        return {}


def _lengths(value: ArrayLike, array: NDArray[Any]) -> NDArray[np.intp]:
    """Lengths, checked to be from 1 to that of the array."""
    lengths = real_array(value, "lengths")
    if lengths.dtype == bool and lengths.shape == array.shape[:2]:
        raise TypeError("lengths are numbers of steps, got a mask: where steps come first they are mask.sum(axis=1).")
    if lengths.shape != array.shape[:1] or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"lengths must be {len(array)} integers, one for each sequence, got {lengths.dtype} {lengths.shape}."
        )
    wrong = np.flatnonzero((lengths < 1) | (lengths > array.shape[1]))
    if wrong.size:
        i = int(wrong[0])
        raise ValueError(
            f"lengths must be from 1 to {array.shape[1]}, the steps that there are; lengths[{i}] is {lengths[i]}."
        )
    return lengths.astype(np.intp)
