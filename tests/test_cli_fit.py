"""``fastntk fit`` and ``fastntk predict``: the library's own solution, in every format; damaged and wrong files."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.__main__ import main
from fastntk.cli import fit
from fastntk.cli.model import Model
from fastntk.cli.tables import read_labels

rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(120, 4)), rng.normal(size=(30, 4))
Y = np.stack((np.sin(X[:, 0]) + 5, X[:, 1] * X[:, 2]), axis=1)
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]
OPTIONS = ["--depth", "3", "--activation", "erf", "--sigma-w", "1.5", "--sigma-b", "0.3", "--quiet"]
NET = fastntk.mlp(3, "erf", 1.5, 0.3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with samples, targets and labels."""
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    np.save("X_test.npy", X_TEST)
    np.save("y.npy", Y)
    np.save("one.npy", Y[:, :1])
    np.savetxt("X.csv", X, delimiter=",", fmt="%.17g", header="a,b,c,d", comments="")
    np.savetxt("y.csv", Y, delimiter=",", fmt="%.17g", header="first,second", comments="")
    np.save("labels.npy", LABELS)
    np.save("numbers.npy", np.digitize(X[:, 0], [-0.5, 0.5]) * 10)
    Path("labels.csv").write_text("size\n" + "\n".join(LABELS) + "\n")
    Path("plain.csv").write_text("\n".join(LABELS) + "\n")
    Path("numbers.csv").write_text("\n".join(map(str, np.digitize(X[:, 0], [-0.5, 0.5]) * 10)) + "\n")
    return tmp_path


def exact(targets: Any, kind: str = "ntk", ridge: float = 1e-3) -> Any:
    """By NumPy, in float64."""
    kernel = getattr(NET, kind)
    K = kernel(X)
    return kernel(X_TEST, X) @ np.linalg.solve(K + ridge * K.diagonal().mean() * np.eye(120), targets)


def predict(model: str = "model.npz", out: str = "p.npy") -> Any:
    """Predictions for the test samples."""
    assert main(["predict", model, "X_test.npy", "--out", out, "--quiet"]) == 0
    return np.load(out) if out.endswith(".npy") else Path(out).read_text().split()


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize(("x", "y"), [("X.npy", "y.npy"), ("X.csv", "y.csv"), ("X.npy", "one.npy")])
def test_regression(folder: Path, x: str, y: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one target and of several, about their mean."""
    del folder
    assert main(["fit", x, y, *OPTIONS, "--kernel", kind, "--ridge", "0.01", "--out", "model.npz"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    number = "1 target" if y == "one.npy" else "2 targets"
    assert printed.out.startswith(f"model.npz: {kind}, 120 rows of 4 features, {number}, ridge ")
    wanted = exact(Y - Y.mean(axis=0), kind, 0.01) + Y.mean(axis=0)
    wanted = wanted[:, 0] if y == "one.npy" else wanted
    np.testing.assert_allclose(predict(), wanted, rtol=0, atol=1e-9)
    text = predict(out="p.csv")
    np.testing.assert_array_equal(np.loadtxt("p.csv", delimiter=","), np.load("p.npy"))
    assert len(text) == 30


@pytest.mark.parametrize("y", ["labels.npy", "labels.csv", "plain.csv", "numbers.npy", "numbers.csv"])
def test_classification(folder: Path, y: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of labels that are text, with and without a heading, or whole numbers."""
    del folder
    assert main(["fit", "X.npy", y, "--classify", *OPTIONS, "--out", "model.npz"]) == 0
    assert "3 classes" in capsys.readouterr().out
    classes, numbers = np.unique(LABELS if "numbers" not in y else np.load("numbers.npy"), return_inverse=True)
    wanted = classes[exact(np.eye(3)[numbers] - 1 / 3).argmax(axis=1)]
    found = predict()
    assert found.dtype.kind == wanted.dtype.kind
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(predict(out="p.csv"), wanted.astype(str))


def test_two_classes(folder: Path) -> None:
    """The second is where the regression on -1 and 1 is positive: as `NTKClassifier`."""
    np.save(folder / "two.npy", X[:, 0] > 0)
    assert main(["fit", "X.npy", "two.npy", "--classify", *OPTIONS, "--out", "model.npz"]) == 0
    np.testing.assert_array_equal(predict(), exact(np.where(X[:, 0] > 0, 1.0, -1.0)) > 0)


def test_a_store_in_a_folder_of_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the store that is written to where one is gone on with."""
    pytest.importorskip("zarr")
    assert main(["compute", "X.npy", *OPTIONS, "--out", "K.zarr"]) == 0
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))
    assert main(["compute", "X.npy", *OPTIONS, "--out", "K.zarr", "--resume"]) == 0
    assert main(["compute", "X.npy", *OPTIONS, "--out", "other.zarr"]) == 1


def test_labels_with_commas(folder: Path) -> None:  # noqa: ARG001
    """Stand in quotes in predictions: a line a sample, that a reader of CSV takes for one."""
    names = np.array(["a, b", 'the "c"', "plain"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    np.save("names.npy", names)
    assert main(["fit", "X.npy", "names.npy", "--classify", *OPTIONS, "--out", "model.npz"]) == 0
    assert main(["predict", "model.npz", "X.npy", "--quiet", "--out", "p.csv"]) == 0
    with Path("p.csv").open(newline="") as text:
        rows = list(csv.reader(text))
    assert read_labels("p.csv", len(X)).tolist() == [row[0] for row in rows]
    assert [len(row) for row in rows] == [1] * len(X)
    assert np.mean([row[0] == name for row, name in zip(rows, names, strict=True)]) > 0.9


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "float16", ">f8", "float32"])
def test_of_a_stored_kernel_of_other_types(dtype: str, folder: Path) -> None:  # noqa: ARG001
    """The samples are those in the file, whatever the numbers are."""
    pytest.importorskip("zarr")
    np.save("other.npy", np.abs(50 * X).astype(dtype))
    assert main(["compute", "other.npy", *OPTIONS, "--out", "K.zarr"]) == 0
    assert main(["fit", "other.npy", "y.npy", "--stored", "K.zarr", "--quiet", "--out", "model.npz"]) == 0


def test_no_room_for_an_output(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Told before work starts where the folder is not to be written to; with the name of the file where it is full."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
        patch.setattr(fit, "read_samples", None)  # the work
        assert main(["fit", "X.npy", "y.npy", "--quiet", "--out", "model.npz"]) == 1
    assert "cannot use .: Permission denied." in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(Model, "save", lambda *_: os.write(os.open("/dev/full", os.O_WRONLY), b"1"))
        assert main(["fit", "X.npy", "y.npy", "--quiet", "--out", "model.npz"]) == 1
    assert "cannot use model.npz: No space left on device." in capsys.readouterr().err
    assert not (folder / "model.npz").exists()


@pytest.mark.parametrize("half", [False, True])
def test_of_a_stored_kernel(folder: Path, half: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Which says of what network; of other samples it is refused."""
    pytest.importorskip("zarr")
    assert main(["compute", "X.npy", *OPTIONS, *(["--half"] if half else []), "--out", "K.zarr"]) == 0
    assert main(["fit", "X.npy", "y.npy", "--stored", "K.zarr", "--quiet", "--out", "model.npz"]) == 0
    np.testing.assert_allclose(predict(), exact(Y - Y.mean(axis=0)) + Y.mean(axis=0), rtol=0, atol=1e-9)
    np.save("other.npy", X + 1e-12)
    capsys.readouterr()
    assert main(["fit", "other.npy", "y.npy", "--stored", "K.zarr", "--out", "other.npz"]) == 1
    assert "K.zarr is the kernel of other samples than these" in capsys.readouterr().err
    assert not (folder / "other.npz").exists()


@pytest.mark.parametrize("stored", [False, True])
def test_larger_than_memory(folder: Path, stored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By conjugate gradients, on what is stored or never is."""
    del folder
    how = [*OPTIONS]
    if stored:
        pytest.importorskip("zarr")
        assert main(["compute", "X.npy", *OPTIONS, "--out", "K.zarr"]) == 0
        how = ["--stored", "K.zarr", "--quiet"]
    monkeypatch.setattr(fit, "memory_limit", lambda _: 1000)
    assert main(["fit", "X.npy", "y.npy", *how, "--out", "model.npz"]) == 0
    np.testing.assert_allclose(predict(), exact(Y - Y.mean(axis=0)) + Y.mean(axis=0), rtol=0, atol=1e-3)


def test_over_landmarks(folder: Path) -> None:
    """All rows as landmarks are the exact fit; the same seed gives the same model."""
    del folder
    assert main(["fit", "X.npy", "one.npy", *OPTIONS, "--landmarks", "120", "--out", "all.npz"]) == 0
    np.testing.assert_allclose(predict("all.npz"), exact(Y[:, 0] - Y[:, 0].mean()) + Y[:, 0].mean(), atol=0.02)
    for name in ("a", "b"):
        command = ["fit", "X.npy", "labels.csv", "--classify", *OPTIONS, "--landmarks", "20", "--seed", "3"]
        assert main([*command, "--out", f"{name}.npz"]) == 0
    with np.load("a.npz") as a, np.load("b.npz") as b:
        assert a["rows"].shape == (20, 4)
        np.testing.assert_array_equal(a["coefficients"], b["coefficients"])


@pytest.mark.parametrize(("targets", "told"), [("y.npy", "targets: 2"), ("labels.csv", "classes: 3")])
def test_info(folder: Path, targets: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a model, which keeps its network as text."""
    del folder
    how = ["--net", 'Sequential(Dense(1.5), Activation("sin", a=0.5), Dense(1, 0.1))', "--quiet", "--out", "model.npz"]
    assert main(["fit", "X.npy", targets, *(["--classify"] if "classes" in told else []), *how]) == 0
    capsys.readouterr()
    assert main(["info", "model.npz"]) == 0
    net = fastntk.Sequential(fastntk.Dense(1.5), fastntk.Activation("sin", a=0.5), fastntk.Dense(1, 0.1))
    assert capsys.readouterr().out == f"model: ntk, 120 rows of 4 features, float64\n{told}\nnetwork: {net!r}\n"


def test_needs_nothing_else(folder: Path) -> None:
    """But NumPy, SciPy and tqdm: no scikit-learn, no Zarr."""
    import subprocess
    import sys

    code = (
        "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'zarr', 'dask', 'matplotlib']))\n"
        "from fastntk.__main__ import main\n"
        "sys.exit(main(['fit', 'X.npy', 'y.npy', '--out', 'm.npz']) or "
        "main(['predict', 'm.npz', 'X_test.npy', '--out', 'p.npy']))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=folder, capture_output=True).returncode == 0


WRONG: list[tuple[list[str], str]] = [
    (["fit", "X.npy", "Z.npy"], "cannot use Z.npy: No such file or directory."),
    (["fit", "X.npy", "X_test.npy"], "X_test.npy has shape (30, 4), and there are 120 samples."),
    (["fit", "X.npy", "labels.npy"], "labels.npy must hold numbers, got dtype <U6; labels are for --classify."),
    (["fit", "X.npy", "labels.csv"], "labels.csv cannot be read: "),
    (["fit", "X.npy", "none.npy"], "none.npy has shape (120, 0): there are no targets in it."),
    (["fit", "X.npy", "nan.npy"], "nan.npy contains nan (first in row 3)."),
    (["fit", "nan2.npy", "y.npy"], "X contains nan (first in row 3, column 1); every entry must be finite."),
    (["fit", "empty.npy", "y.npy"], "there are no rows to fit."),
    (["fit", "X.npy", "y.npy", "--activation", "foo"], "unknown activation 'foo'."),
    (["fit", "X.npy", "one.npy", "--classify"], "one.npy must hold labels, whole numbers or text, got 5."),
    (["fit", "X.npy", "y.npy", "--classify"], "y.npy has shape (120, 2), and there are 120 samples."),
    (["fit", "X.npy", "nan.npy", "--classify"], "nan.npy must hold labels, whole numbers or text, got nan in row 3"),
    (["fit", "X.npy", "inf.npy", "--classify"], "inf.npy must hold labels, whole numbers or text, got inf in row 5"),
    (["fit", "X.npy", "one.csv", "--classify"], "one.csv must hold labels, whole numbers or text, got 0.25 in row 0"),
    (["fit", "X.npy", "large.csv", "--classify"], "large.csv has the label 1e+20 in row 0, a float that may stand for"),
    (["fit", "X.npy", "gap.csv", "--classify"], "gap.csv has no label in row 7, but NaN; if"),
    (["fit", "X.npy", "hole.npy", "--classify"], "hole.npy has no label in row 9, but nan; if"),
    (["fit", "X.npy", "y.csv", "--classify"], "y.csv cannot be read: line 1, 'first,second', has several columns"),
    (["fit", "X.npy", "same.npy", "--classify"], "a classifier needs at least two classes, got 1 class: 7."),
    (["fit", "twice.npy", "twice_y.npy", "--ridge", "0"], "K + ridge I is not positive definite"),
    (["predict", "Z.npz", "X.npy"], "cannot use Z.npz: No such file or directory."),
    (["predict", "X.npy", "X.npy"], "X.npy is not a whole file that fastntk fit has written: "),
    (["predict", "other.npz", "X.npy"], "other.npz is not a model that fastntk fit has written."),
    (["predict", "future.npz", "X.npy"], "future.npz was written in another format than version"),
    (
        ["predict", "model.npz", "wide.npy"],
        "wide.npy has 5 features, and the model was fitted to 4 features; they must be",
    ),
    (["predict", "model.npz", "nan2.npy"], "X contains nan (first in row 3, column 1); every entry must be finite."),
]


@pytest.mark.parametrize(("command", "sentence"), WRONG, ids=[" ".join(command) for command, _ in WRONG])
def test_wrong_input(folder: Path, command: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 1, and nothing written."""
    holes = np.zeros(120)
    holes[3] = np.nan
    np.save("nan.npy", holes)
    np.save("none.npy", np.ones((120, 0)))
    np.save("inf.npy", np.where(np.arange(120) == 5, np.inf, 1.0))
    Path("one.csv").write_text("\n".join(["0.25", "1"] * 60))
    Path("large.csv").write_text("\n".join(["1.0e20", "2.0e20"] * 60))
    Path("gap.csv").write_text("\n".join(["a" if i != 7 else "NaN" for i in range(120)]))
    np.save("hole.npy", np.where(np.arange(120) == 9, "nan", "a"))
    np.save("nan2.npy", np.where(np.arange(480).reshape(120, 4) == 13, np.nan, X))
    np.save("empty.npy", X[:0])
    np.save("same.npy", np.full(120, 7))
    np.save("wide.npy", np.ones((3, 5)))
    np.save("twice.npy", np.ones((2, 4)))
    np.save("twice_y.npy", np.array([1.0, 2.0]))
    np.savez("other.npz", X)
    assert main(["fit", "X.npy", "y.npy", "--quiet", "--out", "model.npz"]) == 0
    with np.load("model.npz") as model:
        changed = {**model, "about": np.array(json.dumps({**json.loads(str(model["about"])), "format": 99}))}
    np.savez("future.npz", **changed)
    capsys.readouterr()
    before = sorted(folder.rglob("*"))
    assert main([*command, "--quiet", "--out", "m.npz" if command[0] == "fit" else "p.npy"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"fastntk: {sentence}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert sorted(folder.rglob("*")) == before


def test_damaged_models(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut, or with a flipped bit anywhere: the right predictions, or a sentence that names the file."""
    assert main(["fit", "X.npy", "labels.csv", "--classify", *OPTIONS, "--out", "model.npz"]) == 0
    wanted, whole = predict(), Path("model.npz").read_bytes()
    told = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        damaged = bytearray(whole)
        if seed % 4 == 0:
            damaged = damaged[: rng.integers(len(whole))]
        elif seed % 4 == 1:  # in what the archive says of itself
            damaged[-rng.integers(1, 500)] ^= 1 << int(rng.integers(8))
        else:
            damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        Path("damaged.npz").write_bytes(damaged)
        capsys.readouterr()
        if main(["predict", "damaged.npz", "X_test.npy", "--out", "q.npy", "--quiet"]) == 0:
            np.testing.assert_array_equal(np.load("q.npy"), wanted)
            Path("q.npy").unlink()
        else:
            told += 1
            assert capsys.readouterr().err.startswith("fastntk: damaged.npz ")
    assert told > 90
    assert not (folder / "q.npy").exists()


def test_models_without_pickles(folder: Path) -> None:
    """A model that holds one is refused; what fit writes holds none."""
    del folder
    assert main(["fit", "X.npy", "y.npy", "--quiet", "--out", "model.npz"]) == 0
    with np.load("model.npz", allow_pickle=False) as model:
        parts = dict(model)
    assert set(parts) == {"about", "rows", "coefficients", "offset", "classes"}
    assert json.loads(str(parts["about"]))["network"] == repr(fastntk.mlp())
    np.savez("evil.npz", allow_pickle=True, **{**parts, "rows": np.array([Path()], object)})
    with zipfile.ZipFile("evil.npz") as archive:
        assert "rows.npy" in archive.namelist()
    assert main(["predict", "evil.npz", "X_test.npy", "--out", "p.npy"]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "X.npy", "y.npy"], "the following arguments are required: --out"),
        (["fit", "X.npy", "y.npy", "--out", "m.txt"], "--out must end in .npz, got m.txt."),
        (["fit", "X.npy", "y.npy", "--out", "m.npz", "--ridge", "-1"], "--ridge must be a number >= 0, got -1.0."),
        (["fit", "X.npy", "y.npy", "--out", "m.npz", "--ridge", "nan"], "--ridge must be a number >= 0, got nan."),
        (["fit", "X.npy", "y.npy", "--out", "m.npz", "--ridge", "0", "--landmarks", "9"], "--landmarks need a --ridge"),
        (["fit", "X.npy", "y.npy", "--out", "m.npz", "--stored", "K", "--depth", "1"], "leave --depth out."),
        (["fit", "X.npy", "y.npy", "--out", "m.npz", "--stored", "K", "--net", "mlp()"], "leave --net out."),
        (
            ["fit", "X.npy", "y.npy", "--out", "m.npz", "--activation", "erf", "--net", "mlp()"],
            "leave --activation out.",
        ),
        (["fit", "X.npy", "y.npy", "--out", "m.npz", "--stored", "K", "--landmarks", "9"], "that is not stored."),
        (["predict", "m.npz", "X.npy", "--out", "p.txt"], "--out must end in .npy or .csv, got p.txt."),
    ],
)
def test_wrong_usage(arguments: list[str], sentence: str, leave: Any) -> None:
    """Exit code 2."""
    code, _, error = leave(arguments)
    assert code == 2
    assert sentence in error


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_help(command: str, leave: Any) -> None:
    """With examples, that name both commands."""
    code, text, _ = leave([command, "--help"])
    assert code == 0
    assert "fastntk predict model.npz X_test.npy --out predictions.npy" in text
    assert all(len(line) <= 120 for line in text.splitlines())
