"""Labels and rows by every door, memory maps, chunks and frames: checked as those of a plain array are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk.solvers import nystrom

pytest.importorskip("sklearn")
from scipy.sparse import csr_array
from sklearn.exceptions import DataConversionWarning

from fastntk.sklearn import NystromNTKClassifier, NystromNTKRegressor

NET = fastntk.mlp(1, "relu", 1.4, 0.1)
rng = np.random.default_rng(0)
X = rng.normal(size=(160, 3))
NUMBERS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


class Frame:
    """A frame whose slices go by its labels, floats that do not begin at 0, as those of pandas before version 3."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype
        self._labels = np.arange(len(values)) / 2 - 10

    def __len__(self) -> int:
        return len(self._values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.array(self._values, dtype)

    def __getitem__(self, key: slice) -> Frame:
        low = -np.inf if key.start is None else key.start
        high = np.inf if key.stop is None else key.stop
        return Frame(self._values[(self._labels >= low) & (self._labels <= high)])


def in_chunks(x: Any, y: Any) -> Callable[[], Iterator[tuple[Any, Any]]]:
    """Uneven ones, empty ones among them."""
    return lambda: ((x[a:b], y[a:b]) for a, b in ((0, 0), (0, 60), (60, 110), (110, 110), (110, len(x))))


def doors(folder: Path, x: NDArray[Any], y: NDArray[Any]) -> Iterator[tuple[str, Any, Any]]:
    """The same rows and labels in every form."""
    store = folder / f"{len(list(folder.iterdir()))}"
    store.mkdir()
    np.save(store / "X.npy", x)
    rows = np.load(store / "X.npy", mmap_mode="r")
    yield "plain", x, y
    yield "list", x.tolist(), y.tolist()
    yield "memory map and array", rows, y
    yield "memory map and list", rows, y.tolist()
    yield "frame", Frame(x), Frame(y)
    yield "memory map and frame", rows, Frame(y)
    yield "chunks", in_chunks(x, y), None
    yield "chunks of frames", lambda: ((Frame(a), Frame(b)) for a, b in in_chunks(x, y)()), None
    yield "chunks and lists", lambda: ((a.tolist() or a, b.tolist()) for a, b in in_chunks(x, y)()), None
    if y.dtype != object:
        np.save(store / "y.npy", y)
        yield "memory maps", rows, np.load(store / "y.npy", mmap_mode="r")
    da = pytest.importorskip("dask.array")
    yield "dask", da.from_array(x, chunks=60), y
    if y.dtype.kind in "if":
        zarr = pytest.importorskip("zarr")
        parts = (zarr.create_array(store / f"{i}.zarr", data=v, chunks=v.shape) for i, v in enumerate((x, y)))
        yield "zarr", *parts


def classifier() -> NystromNTKClassifier:
    """With all rows as landmarks, so that the chunks they come in do not matter."""
    return NystromNTKClassifier(network=NET, n_landmarks=160, random_state=0)


def faulty(kind: str) -> NDArray[Any]:
    """Labels of which one, at random, is not a label."""
    at = int(rng.integers(len(X)))
    y: NDArray[Any]
    if kind in ("nan", "inf", "continuous"):
        y = NUMBERS.astype(float)
        y[at] = {"nan": np.nan, "inf": np.inf, "continuous": 0.5}[kind]
        return y
    if kind == "not a number among names":
        y = np.array(["no", "yes", "perhaps"], object)[NUMBERS]
        y[max(at, 1)] = np.nan
        return y
    if kind == "objects":
        return NUMBERS.astype(object)
    if kind == "two columns":
        return np.stack((NUMBERS, NUMBERS), axis=1)
    if kind == "one class":
        return np.zeros(len(X), int)
    if kind == "short":
        return NUMBERS[:-1]
    return NUMBERS + 1j  # complex


FAULTS = ["nan", "inf", "continuous", "not a number among names", "objects", "two columns", "one class", "short", "1j"]


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_labels(fault: str, tmp_path: Path) -> None:
    """Are refused by every door, as by the plain one."""
    for _ in range(2):
        y = faulty(fault)
        for name, x, labels in doors(tmp_path, X, y):
            if fault == "objects" and ("list" in name):
                continue  # a list of integers is an array of integers
            with pytest.raises(ValueError, match=r"\w") as caught:
                classifier().fit(x, labels)
            assert len(str(caught.value)) < 300 or name in ("plain", "list", "frame"), name


@pytest.mark.parametrize("form", ["numbers", "floats", "bool", "names", "objects"])
def test_the_same_predictions(form: str, tmp_path: Path) -> None:
    """By every door: labels in one dimension, and in a column, with scikit-learn's warning."""
    names = np.array(["no", "yes", "perhaps"])[NUMBERS]
    labels: dict[str, NDArray[Any]] = {
        "numbers": NUMBERS,
        "floats": NUMBERS.astype(float),
        "bool": NUMBERS > 0,
        "names": names,
        "objects": names.astype(object),
    }
    y = labels[form]
    wanted = classifier().fit(X, y).predict(X)
    assert np.mean(wanted == y) > 0.9
    for name, x, given in doors(tmp_path, X, y):
        np.testing.assert_array_equal(classifier().fit(x, given).predict(X), wanted, err_msg=name)
    for name, x, given in doors(tmp_path, X, y[:, None]):
        with pytest.warns(DataConversionWarning, match="column-vector"):
            found = classifier().fit(x, given)
        agreed = np.mean(found.predict(X) == wanted)
        assert agreed == 1, name


def test_labels_of_two_kinds_or_passes() -> None:
    """Numbers in one chunk and text in another; a label that was not there in the first pass; no rows; y as well."""
    names = np.array(["0", "1", "2"])[NUMBERS]
    with pytest.raises(TypeError, match=r"^labels are numbers in one chunk and text in another"):
        classifier().fit(lambda: iter([(X[:80], NUMBERS[:80]), (X[80:], names[80:])]))
    passes = iter(range(1000))
    with pytest.raises(ValueError, match=r"^the label .*3.* was not there when X was first called"):
        classifier().fit(lambda: iter([(X, NUMBERS + (next(passes) > 0))]))
    with pytest.raises(ValueError, match=r"^there are no rows to fit"):
        classifier().fit(lambda: iter([]))
    with pytest.raises(TypeError, match=r"^y must not be given where X is a function"):
        classifier().fit(in_chunks(X, NUMBERS), NUMBERS)
    with pytest.raises(ValueError, match=r"^y in the chunk of rows from 60 on: Input y contains NaN"):
        classifier().fit(in_chunks(X, np.where(np.arange(160) == 77, np.nan, NUMBERS)))
    with pytest.warns(UserWarning, match="160 rows have 160 classes"):
        classifier().fit(in_chunks(X, np.arange(160)))


def test_chunks_that_do_not_match() -> None:
    """Rows of X and y, also where one of them has none."""
    for x, y in ((X[:5], NUMBERS[:4]), (X[:0], NUMBERS[:4]), (X[:4], NUMBERS[:0]), (X[:1], np.float64(1))):
        for fit in (classifier().fit, lambda chunks: nystrom(NET, chunks)):
            with pytest.raises(ValueError, match=r"chunk of rows from 160 on|same number of rows|1d array"):
                fit(lambda x=x, y=y: iter([(X, NUMBERS), (x, y)]))


def test_targets_of_a_regression(tmp_path: Path) -> None:
    """The same coefficients by every door, and the same predictions there."""
    y = np.stack((np.sin(X[:, 0]), X[:, 1]), axis=1)
    wanted = NystromNTKRegressor(network=NET, n_landmarks=40, random_state=0).fit(X, y)
    for name, x, targets in doors(tmp_path, X, y):
        model = NystromNTKRegressor(network=NET, n_landmarks=40, random_state=0).fit(x, targets).model_
        if callable(x):  # what is drawn depends on the chunks
            assert np.sqrt(np.mean((model.predict(X) - y) ** 2)) < 0.3, name
        else:
            np.testing.assert_array_equal(model.coefficients, wanted.model_.coefficients, err_msg=name)
            np.testing.assert_array_equal(model.predict(x), wanted.predict(X), err_msg=name)


def test_frames_elsewhere(tmp_path: Path) -> None:
    """Whatever else goes through rows in blocks takes a frame for the array that it holds."""
    frame, wanted = Frame(X), NET.ntk(X)
    file = np.memmap(tmp_path / "K", np.float64, "w+", shape=(160, 160))
    NET.ntk(frame, out=file)
    np.testing.assert_array_equal(NET.ntk(frame), wanted)
    np.testing.assert_allclose(file, wanted, rtol=1e-13)
    np.testing.assert_allclose(NET.ntk.operator(frame) @ X, wanted @ X, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(
        NET.ntk.operator(frame, frame).block([0, 159], [0, 159])[0, 1], wanted[0, 159], rtol=1e-13
    )
    regressor = NystromNTKRegressor(network=NET, random_state=0).fit(X, X[:, 0])
    np.testing.assert_array_equal(regressor.predict(frame), regressor.predict(X))
    np.testing.assert_array_equal(classifier().fit(X, NUMBERS).predict(frame), classifier().fit(X, NUMBERS).predict(X))


def test_pandas() -> None:
    """A frame with a float index, whose slices go by its labels in versions before 3."""
    pandas = pytest.importorskip("pandas")
    y = np.sin(X[:, 0])
    index = np.arange(160) / 2 - 10
    frame, series = pandas.DataFrame(X, index), pandas.Series(y, index)
    wanted = nystrom(NET, X, y, landmarks=40, rng=0)
    for x, targets in ((frame, series), (X, series), (frame, y)):
        model = nystrom(NET, x, targets, landmarks=40, rng=0)
        np.testing.assert_array_equal(model.coefficients, wanted.coefficients)
        np.testing.assert_array_equal(model.predict(frame), wanted.predict(X))
    named = pandas.DataFrame({"chunks": X[:, 0], "y": X[:, 1], "z": X[:, 2]})
    np.testing.assert_array_equal(nystrom(NET, named, y, landmarks=40, rng=0).coefficients, wanted.coefficients)


def masked(x: NDArray[Any]) -> NDArray[Any]:
    """With one entry masked."""
    return np.ma.masked_array(x, np.arange(x.size).reshape(x.shape) == 5)


SPARSE, MODEL = csr_array(X), nystrom(NET, X, X[:, 0], landmarks=40, rng=0)
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "sparse": (lambda: nystrom(NET, SPARSE, X), r"^X is a sparse matrix; pass X\.toarray\(\)"),
    "sparse y": (lambda: nystrom(NET, X, SPARSE), r"^y is a sparse matrix"),
    "sparse landmarks": (lambda: nystrom(NET, X, X, landmarks=SPARSE), r"^landmarks is a sparse matrix"),
    "sparse chunk": (lambda: nystrom(NET, lambda: iter([(SPARSE, X)])), r"^X is a sparse matrix"),
    "sparse chunk of y": (lambda: nystrom(NET, lambda: iter([(X, SPARSE)])), r"^y is a sparse matrix"),
    "sparse predict": (lambda: MODEL.predict(SPARSE), r"^X is a sparse matrix"),
    "masked": (lambda: nystrom(NET, masked(X), X), r"^X is a masked array"),
    "masked y": (lambda: nystrom(NET, X, masked(X)), r"^y is a masked array"),
    "masked chunk": (lambda: nystrom(NET, lambda: iter([(masked(X), X)])), r"^X is a masked array"),
    "masked predict": (lambda: MODEL.predict(masked(X)), r"^X is a masked array"),
    "sparse labels": (lambda: classifier().fit(lambda: iter([(X, SPARSE)])), r"^y is a sparse matrix"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_array(name: str) -> None:
    """Sparse matrices and masks: one sentence, not an array of objects, nor the numbers under the mask."""
    call, sentence = WRONG[name]
    with pytest.raises(TypeError, match=sentence):
        call()


def test_shapes() -> None:
    """No columns, another number of features."""
    with pytest.raises(ValueError, match=r"^y has no columns"):
        nystrom(NET, X, X[:, :0])
    for x in (X[:, :2], X[:0, :2], X[0], 3.0):
        with pytest.raises(ValueError, match=r"^X must have shape \(n, 3\), got"):
            MODEL.predict(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MODEL.predict(X[:0]).shape == (0,)
