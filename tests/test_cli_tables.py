"""What a CSV file says of samples and labels: nothing is dropped, shifted, or read as something else."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastntk.__main__ import main
from fastntk.cli.tables import read_labels, read_table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: Text of labels of four samples, and what of it are classes, or why not.
LABELS_OF_FOUR: list[tuple[str, Any]] = [
    ("name\n0\n1\n1\n0\n", [0, 1]),
    ("0\n1\n1\n0\n\n", [0, 1]),
    ("1.0\n0.0\n1.0\n0.0", [0, 1]),
    ("1.000e+00\n0.000e+00\n1.000e+00\n0.000e+00", [0, 1]),
    ("b\na\nb\nb", ["a", "b"]),
    ('"b"\n"a, c"\nb\n"b"', ["a, c", "b"]),
    ("cats; dogs\ncats\ndogs\ncats", ["cats", "cats; dogs", "dogs"]),
    ("007\n7\n010\n10", ["007", "010", "10", "7"]),
    ("1_1\n11\n1_1\n11", ["11", "1_1"]),
    ("1e5\n2e3\n1e5\n2e3", ["1e5", "2e3"]),
    ("-0\n0\n-0\n0", ["-0", "0"]),
    ("+1\n-1\n-1\n+1", ["+1", "-1"]),
    ("label\na\n\nb\na\n", "cannot be read: line 3 is empty."),
    ("0\n0\n1\n1\n0\n", "has 5 lines for 4 samples: remove the first, '0', if it is a name."),
    ("a\na\nb\nb\na\n", "has 5 lines for 4 samples: remove the first, 'a', if it is a name."),
    ("a\na\nb\nb\na\nb\n", "has shape (6,), and there are 4 samples."),
    ("label\n0\n1\n0\n", "begins with 'label', and all other labels are numbers: if that is a name, a label is"),
    ("0.25\n1e-05\n0.5\n1", "must hold labels, whole numbers or text, got 0.25 in row 0;"),
    ("1\n.5\n0\n1", "must hold labels, whole numbers or text, got 0.5 in row 1;"),
    ("1.0\ninf\n0\n1", "must hold labels, whole numbers or text, got inf in row 1;"),
    ("1.0\n-nan\n0\n1", "must hold labels, whole numbers or text, got nan in row 1;"),
    ("a\nNA\nb\na", "has no label in row 1, but NA; if it is one, give it another name."),
    ("a\nNAN\nb\na", "has no label in row 1, but NAN;"),
    ("a\n?\nb\na", "has no label in row 1, but ?;"),
    ("1;a\n2;b\n3;a\n4;b", "cannot be read: line 1, '1;a', has several columns, and labels have one."),
    ("1\ta\n2\tb\n3\ta\n4\tb", "cannot be read: line 1, '1\\ta', has several columns, and labels have one."),
    ("a\nb\na,b\na", "cannot be read: line 3, 'a,b', has several columns, and labels have one."),
]


@pytest.mark.parametrize(("text", "expected"), LABELS_OF_FOUR, ids=[repr(text) for text, _ in LABELS_OF_FOUR])
def test_labels_are_what_the_file_says(text: str, expected: Any, folder: Path) -> None:
    """Of each sample its own: none is dropped, shifted, or another number than it is written as, packed or not."""
    (folder / "four.csv").write_text(text)
    (folder / "four.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("four.csv", "four.csv.gz"):
        if isinstance(expected, list):
            assert sorted(set(read_labels(name, 4).tolist())) == expected
            continue
        with pytest.raises(ValueError, match=r"^four\.csv") as error:
            read_labels(name, 4)
        assert str(error.value).startswith(f"{name} {expected}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x\n1\n\n2\n3\n4\n", "line 3 is empty."),
        ("NA,NA\n1,2\n3,4\n", "in line 1, column 1, 'NA' is not a number."),
        (",\n1,2\n3,4\n", "in line 1, column 1, '' is not a number."),
        ("a,b\n1_0,2\n", "in line 2, column 1, '1_0' is not a number."),
        ("0,1,2\n1.5,2.5,3.5\n", "line 1 is 0,1,2,..., as pandas names columns: write it without, header=False, or, "),
    ],
)
def test_samples_are_what_the_file_says(text: str, sentence: str, folder: Path) -> None:
    """A line that is no sample, or half of one, is not passed over."""
    (folder / "X.csv").write_text(text)
    with pytest.raises(ValueError, match=r"^X\.csv cannot be read: ") as error:
        read_table("X.csv")
    assert str(error.value).startswith(f"X.csv cannot be read: {sentence}")


def test_empty_lines_of_tables(folder: Path) -> None:
    """Are no samples where these have several columns, as some programs write one after each line."""
    (folder / "X.csv").write_bytes(b"a,b\r\r\n1,2\r\r\n3,4\r\r\n")
    np.testing.assert_array_equal(read_table("X.csv"), [[1, 2], [3, 4]])


@pytest.mark.parametrize("digits", [17, 18, 19, 30])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("digit", ["1", "9"])
def test_long_labels(digits: int, sign: str, digit: str, folder: Path) -> None:  # noqa: ARG001
    """Each another class: whole numbers as int64, and those that it has not as text."""
    labels = [sign + digit * (digits - 1) + last for last in "12"]
    np.save("X.npy", np.random.default_rng(0).normal(size=(120, 4)))
    Path("long.csv").write_text("\n".join(labels * 60))
    assert main(["fit", "X.npy", "long.csv", "--classify", "--quiet", "--out", "model.npz"]) == 0
    assert main(["predict", "model.npz", "X.npy", "--quiet", "--out", "p.csv"]) == 0
    assert set(Path("p.csv").read_text().split()) <= set(labels)
    with np.load("model.npz") as model:
        assert sorted(map(str, model["classes"])) == sorted(labels)
