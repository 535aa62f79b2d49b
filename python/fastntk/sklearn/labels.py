"""Labels of a classifier: checked wherever they come from, and what a regression makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import type_of_target

from .._checks.arrays import any_array, refuse_weights_out_of_range, sample_weights
from .._checks.caller import warn
from ..solvers.chunks import split

Array = NDArray[Any]


def array_of(y: Any) -> Array:
    """Labels as an array: of a list of text and NaN, or None, NumPy would make text."""
    labels = any_array(y, "y")
    if labels.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: labels must be integers, text or bool, got {labels.dtype}.")
    mixed = isinstance(y, (list, tuple)) and labels.dtype.kind == "U" and not all(isinstance(v, (str, list)) for v in y)
    labels = np.asarray(y, object) if mixed else labels
    if labels.dtype == object:  # NaN and None are refused as such
        text = [label for label in labels.ravel() if isinstance(label, str)]
        numbers = [label for label in labels.ravel() if isinstance(label, Real) and label == label]
        if text and numbers:
            raise TypeError(f"labels must all be text or all be numbers, got {text[0]!r} and {numbers[0]!r}.")
    return labels


def checked(y: Any) -> Array:
    """Labels of shape (n,), as scikit-learn checks them: a column with a warning; no NaN, nothing continuous."""
    labels: Array = column_or_1d(array_of(y), warn=True)
    assert_all_finite(labels, input_name="y")
    kind = type_of_target(labels, input_name="y")
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"Unknown label type: {kind}. A classifier needs discrete classes, such as integers or strings; for "
            "continuous targets take a regressor."
        )
    return labels


def classes_of(labels: Array) -> tuple[Array, Array]:
    """The classes, two at least, and the number of each label among them."""
    classes, numbers = np.unique(labels, return_inverse=True)
    return _several(classes), numbers


def classes_in(chunks: Iterable[tuple[Any, ...]]) -> tuple[Array, Array]:
    """Classes of labels that come in chunks, of rows with a weight, and sums of the weights of each."""
    found: list[tuple[Array, Array]] = []
    rows = some = 0
    for _, y, weights in _checked_chunks(chunks):
        rows += len(y)
        some += int(np.count_nonzero(weights))
        here, numbers = np.unique(y[weights > 0], return_inverse=True)
        if len(here):
            found = [_added(*found, (here, np.bincount(numbers, weights[weights > 0])))]
    if not rows:
        raise ValueError("there are no rows to fit.")
    if not found:
        raise ValueError("weights are 0 for all rows: there is nothing to fit.")
    classes, sums = found[0]
    if some > 20 and len(classes) > some / 2:
        warn(f"{some} rows have {len(classes)} classes: y could be the targets of a regression.", UserWarning)
    return _several(classes), sums


def targets(numbers: Array, k: int) -> Array:
    """-1 and 1 for two classes, one-hot less 1/k for more."""
    return 2.0 * numbers - 1 if k == 2 else np.eye(k)[numbers] - 1 / k


def chosen(outputs: Array, classes: Array) -> Array:
    """The class of the largest output; of two by the sign of the one there is."""
    return np.asarray(classes[(outputs > 0).astype(int) if outputs.ndim == 1 else outputs.argmax(axis=1)])


def numbers_of(labels: Array, classes: Array) -> tuple[Array, Array]:
    """The number of each label among the classes, and whether it is one of them."""
    numbers = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return numbers, classes[numbers] == labels


def weighted(weights: Array, of_classes: Array) -> Array:
    """Weights of samples times those of their classes."""
    products: Array = weights * of_classes
    refuse_weights_out_of_range(products[products > 0], "sample_weight times class_weight")
    return products


def encoded(
    chunks: Callable[[], Iterable[tuple[Any, ...]]], classes: Array, of_class: Array
) -> Iterator[tuple[Any, Array, Array]]:
    """Chunks with targets instead of labels, and weights times those of classes."""
    for x, y, weights in _checked_chunks(chunks()):
        numbers, known = numbers_of(y, classes)
        new = y[~known & (weights > 0)]
        if len(new):
            raise ValueError(
                f"the label {new[0]!r} was not there when X was first called: it must give the same chunks each time."
            )
        yield x, targets(numbers, len(classes)), weighted(weights, of_class[numbers])


def _checked_chunks(chunks: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, Array, Array]]:
    first = 0
    for chunk in chunks:
        x, y, given = split(chunk)
        try:
            labels = checked(y)
        except ValueError as error:
            raise ValueError(f"y in the chunk of rows from {first} on: {error}") from None
        n = len(labels)
        yield x, labels, np.ones(n) if given is None else sample_weights(given, "weights", n, first=first)
        first += n


def _added(*parts: tuple[Array, Array]) -> tuple[Array, Array]:
    """Classes of several chunks, and sums of their weights."""
    if len({classes.dtype.kind in "biuf" for classes, _ in parts}) > 1:  # NumPy would make text of both
        raise TypeError("labels are numbers in one chunk and text in another.")
    classes, numbers = np.unique(np.concatenate([classes for classes, _ in parts]), return_inverse=True)
    return classes, np.bincount(numbers, np.concatenate([sums for _, sums in parts]))


def _several(classes: Array) -> Array:
    if len(classes) < 2:
        raise ValueError(f"a classifier needs at least two classes, got 1 class: {classes.tolist()[0]!r}.")
    return classes
