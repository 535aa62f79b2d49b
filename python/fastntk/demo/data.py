"""The images of the demo: scikit-learn's digits, and Fashion-MNIST from its idx files."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Labelled = tuple[NDArray[Any], NDArray[np.int64]]  # images, of shape (n, height, width), and their classes

#: Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

_FASHION_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_FASHION_CLASSES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
_UNSIGNED_BYTES = 0x08  # the type code in the third byte of an idx file


@dataclass(frozen=True)
class Images:
    """A training and a test set of images, flattened, their pixels standardised by one mean and one scale."""

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int]
    train: NDArray[Any]
    train_labels: NDArray[np.int64]
    test: NDArray[Any]
    test_labels: NDArray[np.int64]

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.train):,} training and {len(self.test):,} test images "
            f"of {self.shape[0]} x {self.shape[1]} pixels, {len(self.classes)} classes"
        )


def load(name: str, data_dir: Path | None, train: int | None, test: int | None, dtype: DTypeLike) -> Images:
    """Load "digits" or "fashion-mnist", with so many training and test images (None: the default of that data set).

    Raises
    ------
    FileNotFoundError
        If Fashion-MNIST is not where it was looked for.
    ValueError
        If there are fewer images than asked for, or a file is not what its name says.
    """
    return _digits(train, test, dtype) if name == "digits" else _fashion_mnist(data_dir, train, test, dtype)


def stratified_order(labels: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """Return a random permutation of which every piece has the classes in about the same proportions."""
    rng = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(members.size) + rng.random()) / members.size
    return np.argsort(place)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped idx file of unsigned bytes, the format of MNIST and its relatives.

    Raises
    ------
    ValueError
        If the file is damaged or something else.
    """
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a complete gzip file ({error}).") from None
    if len(content) < 4 or content[:3] != bytes((0, 0, _UNSIGNED_BYTES)):
        raise ValueError(f"{path} is not an idx file of unsigned bytes: it begins with {content[:4].hex(' ')}.")
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"{path} announces shape {shape}, that is {math.prod(shape):,} bytes, "
            f"but holds {max(len(content) - start, 0):,}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _digits(train: int | None, test: int | None, dtype: DTypeLike) -> Images:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = digits.images, digits.target
    train = 1000 if train is None else train
    test = max(len(labels) - train, 1) if test is None else test
    if train + test > len(labels):
        raise ValueError(
            f"--train {train} and --test {test} are {train + test:,} images, "
            f"but the digits of scikit-learn are {len(labels):,}; ask for fewer."
        )
    order = stratified_order(labels, seed=0)
    classes = tuple("0123456789")
    parts = [(pixels[some], labels[some]) for some in (order[:train], order[train : train + test])]
    return _standardised("digits", classes, dtype, *parts)


def _fashion_mnist(data_dir: Path | None, train: int | None, test: int | None, dtype: DTypeLike) -> Images:
    folder = data_dir or Path(os.environ.get("FASTNTK_DATA") or DEBIAN_FASHION_MNIST)
    missing = [name for name in _FASHION_FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Fashion-MNIST was looked for in {folder}, which lacks {', '.join(missing)}: install Debian's "
            "package dataset-fashion-mnist, or name the folder that holds them by --data-dir or the "
            "environment variable FASTNTK_DATA."
        )
    parts: list[_Labelled] = []
    for option, wanted, files in (("--train", train, _FASHION_FILES[:2]), ("--test", test, _FASHION_FILES[2:])):
        pixels, labels = (read_idx(folder / name) for name in files)
        if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
            raise ValueError(
                f"{' and '.join(files)} in {folder} hold arrays of shapes {pixels.shape} and {labels.shape}, "
                "expected (n, height, width) and (n,)."
            )
        if labels.max(initial=0) >= len(_FASHION_CLASSES):
            raise ValueError(f"{files[1]} in {folder} has a label {labels.max()}, expected 0 to 9.")
        if wanted is not None and wanted > len(labels):
            raise ValueError(f"{option} {wanted}: Fashion-MNIST in {folder} has {len(labels):,} such images.")
        some = slice(10_000 if wanted is None else wanted)
        parts.append((pixels[some], labels[some].astype(np.int64)))
    return _standardised("Fashion-MNIST", _FASHION_CLASSES, dtype, *parts)


def _standardised(name: str, classes: tuple[str, ...], dtype: DTypeLike, train: _Labelled, test: _Labelled) -> Images:
    mean, scale = train[0].mean(), train[0].std()
    rows = [((part[0] - mean) / scale).astype(dtype).reshape(len(part[0]), -1) for part in (train, test)]
    height, width = train[0].shape[1:]
    return Images(name, classes, (height, width), rows[0], train[1], rows[1], test[1])
