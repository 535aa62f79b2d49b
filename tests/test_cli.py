"""The command line: kernels from files into files, in every format, wrong in every way, interrupted, gone on with."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.__main__ import main

zarr = pytest.importorskip("zarr")

X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.random.default_rng(1).normal(size=(30, 4))
OPTIONS = ["--depth", "3", "--activation", "erf", "--sigma-w", "1.414", "--sigma-b", "0.1"]
NET = fastntk.mlp(3, "erf", 1.414, 0.1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the samples in every format."""
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    np.save("Y.npy", Y)
    np.savez("one.npz", X)
    np.savez("two.npz", X=X, Y=Y)
    np.savetxt("X.csv", X, delimiter=",", fmt="%.17g")
    Path("semicolons.csv").write_text("a;b;c;d\n" + Path("X.csv").read_text().replace(",", ";"))
    Path("names.csv").write_text("a,b,c,#d\n" + Path("X.csv").read_text())
    Path("excel.csv").write_text("\n" + Path("X.csv").read_text(), encoding="utf-8-sig")
    with gzip.open("X.csv.gz", "wt") as file:
        file.write(Path("X.csv").read_text())
    zarr.create_array("X.zarr", data=X)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("X.npy", "one.npz", "two.npz:X", "X.zarr", "../X.npy"),
        *("X.csv", "names.csv", "excel.csv", "semicolons.csv", "X.csv.gz"),
    ],
)
def test_inputs(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every format give the same kernel."""
    if name.startswith(".."):
        (folder / "sub").mkdir()
        monkeypatch.chdir(folder / "sub")
    assert main(["compute", name, *OPTIONS, "--out", "K.npy"]) == 0
    np.testing.assert_array_equal(np.load("K.npy"), NET.ntk(X, univariate=False))


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
@pytest.mark.parametrize("out", ["K.npy", "K.zarr"])
@pytest.mark.parametrize("dtype", ["float32", "float64", None])
def test_outputs(folder: Path, out: str, kernel: str, dtype: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Both kernels, of one set of samples and of two, in both precisions."""
    del folder
    how = [*OPTIONS, "--kernel", kernel, *(["--dtype", dtype] if dtype else [])]
    assert main(["compute", "Y.npy", "X.npy", *how, "--out", out, "--quiet"]) == 0
    assert main(["compute", "X.npy", *how, "--out", "square-" + out, "--quiet"]) == 0
    printed = capsys.readouterr()
    assert f"{out}: {kernel}, 30 x 60, {dtype or 'float64'}" in printed.out
    assert printed.err == ""
    for name, y in ((out, Y), ("square-" + out, X)):
        found = np.load(name) if out == "K.npy" else np.asarray(fastntk.store.open(name))
        wanted = getattr(NET, kernel)(y, None if y is X else X, dtype=dtype, univariate=False)
        np.testing.assert_array_equal(found, wanted)


def test_half_and_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a store tells, finished and not."""
    assert main(["compute", "X.npy", *OPTIONS, "--half", "--out", "K.zarr"]) == 0
    capsys.readouterr()
    assert main(["info", "K.zarr"]) == 0
    text = capsys.readouterr().out
    for line in (
        "kernel: ntk, 60 x 60, float64",
        "finished: yes",
        "stored: chunks on and above the diagonal",
        f"network: {NET!r}",
        "X: 60 x 4, float64, sha256 ",
        f"made by: fastntk {fastntk.__version__}, instruction set ",
    ):
        assert line in text
    (folder / "K.zarr/c/0/0").unlink()
    assert main(["info", "K.zarr"]) == 0
    assert "finished: no, 0 of 1 chunks are there" in capsys.readouterr().out
    assert main(["compute", "X.npy", *OPTIONS, "--half", "--out", "K.zarr", "--resume"]) == 0
    np.testing.assert_array_equal(fastntk.store.open("K.zarr"), NET.ntk(X, univariate=False))


def test_chunk(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The side of the chunks; what is there goes on with its own, and another one is refused."""
    del folder
    command = ["compute", "X.npy", *OPTIONS, "--out", "K.zarr", "--quiet"]
    assert main([*command, "--chunk", "25"]) == 0
    stored = fastntk.store.open("K.zarr")
    assert (stored.chunks, fastntk.store.count("K.zarr")) == ((25, 25), (9, 9))
    np.testing.assert_array_equal(stored, NET.ntk(X, univariate=False))
    assert main([*command, "--resume"]) == 0
    capsys.readouterr()
    assert main([*command, "--resume", "--chunk", "20"]) == 1
    assert "K.zarr has chunks of shape (25, 25), not of chunk=20: leave it out" in capsys.readouterr().err
    assert main([*command[:-3], "--out", "L.zarr", "--chunk", "9000", "--max-memory", "64 MiB"]) == 1
    assert "chunk=9000 needs more than max_memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        'Sequential(Dense(2**0.5, trainable=False), "erf", Dense(1.5, 0.5), "relu")',
        'Sequential(Dense(), Residual("relu", Dense()), Dense())',
        'Sequential(Dense(1.2, 0.3), Sum(Product(Dense(), Sequential(Dense(), "step")), LayerNorm()), resmlp(2))',
    ],
)
def test_networks_as_text(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any network is computed, and what info shows of it is such a text."""
    del folder
    net = eval(text, vars(fastntk).copy())
    assert main(["compute", "X.npy", "--net", text, "--kernel", "nngp", "--quiet", "--out", "K.zarr"]) == 0
    stored = fastntk.store.open("K.zarr")
    assert stored.network == net
    np.testing.assert_array_equal(stored, net.nngp(X, univariate=False))
    capsys.readouterr()
    assert main(["info", "K.zarr"]) == 0
    shown = next(line for line in capsys.readouterr().out.split("\n") if line.startswith("network: "))
    assert main(["compute", "X.npy", "--net", shown.removeprefix("network: "), "--out", "K.npy"]) == 0
    np.testing.assert_array_equal(np.load("K.npy"), net.ntk(X, univariate=False))
    capsys.readouterr()
    assert main(["info", "K.npy"]) == 0
    assert capsys.readouterr().out == "array: 60 x 60, float64\n"


def test_existing_outputs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Are never written over; --resume goes on with a store, of the same kernel only."""
    del folder
    for out, hint in (("K.npy", "remove it first"), ("K.zarr", "pass --resume to go on with it, or remove it")):
        assert main(["compute", "X.npy", "--out", out]) == 0
        capsys.readouterr()
        assert main(["compute", "X.npy", "--out", out]) == 1
        assert capsys.readouterr().err == f"fastntk: {out} exists: {hint}.\n"
    assert main(["compute", "X.npy", "--out", "K.zarr", "--resume"]) == 0
    assert main(["compute", "X.npy", "--depth", "2", "--out", "K.zarr", "--resume"]) == 1
    assert "K.zarr is the store of another kernel" in capsys.readouterr().err


class Evil:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harm"),)


WRONG: list[tuple[list[str], str]] = [
    (["compute", "Z.npy"], "cannot use Z.npy: No such file or directory."),
    (["compute", "X.txt"], "X.txt is not a table that can be read: it must be .npy, .npz"),
    (["compute", "two.npz"], "two.npz cannot be read: which array of it? Write two.npz:NAME with one of X, Y."),
    (["compute", "two.npz:Z"], "two.npz:Z cannot be read: it has no 'Z', but X, Y."),
    (["compute", "cut.npy"], "cut.npy cannot be read: "),
    (["compute", "cut.npz"], "cut.npz cannot be read: "),
    (["compute", "pickled.npy"], "pickled.npy cannot be read: "),
    (["compute", "words.csv"], "words.csv cannot be read: in line 2, column 2, 'four' is not a number."),
    (["compute", "ragged.csv"], "ragged.csv cannot be read: line 2 has 3 columns, and the first 2."),
    (["compute", "gap.csv"], "gap.csv cannot be read: in line 1, column 2, 'NA' is not a number."),
    (["compute", "empty.csv"], "empty.csv cannot be read: there are no samples in it."),
    (["compute", "cut.csv.gz"], "cut.csv.gz cannot be read: "),
    (["compute", "complex.npy"], "X must hold real numbers"),
    (["compute", "stored.zarr"], "stored.zarr cannot be read: it is a kernel that fastntk has stored, not samples."),
    (["compute", "sub"], "sub cannot be read: the folder is not a Zarr array."),
    (["compute", "nan.npy"], "X contains nan (first in row 41, column 2); every entry must be finite."),
    (["compute", "vector.npy"], "X must be a matrix of shape (n, d), got shape (4,)."),
    (["compute", "X.npy", "vector.npy"], "Y must be a matrix of shape (n, d), got shape (4,)."),
    (["compute", "X.npy", "wide.npy"], "X has 4 features but Y has 5"),
    (["compute", "X.npy", "--activation", "foo"], "unknown activation 'foo'. Known are"),
    (["compute", "X.npy", "--sigma-w", "nan"], "sigma_w must be finite, got nan."),
    (["compute", "X.npy", "--sigma-b", "-1"], "sigma_b is a standard deviation and must be >= 0, got -1.0."),
    (["compute", "X.npy", "--max-memory", "much"], "max_memory must be a number of bytes"),
    (["info", "nothing.zarr"], "cannot use nothing.zarr: no such store."),
    (["info", "X.zarr"], "X.zarr is not a kernel that fastntk has stored."),
    (["info", "X.csv"], "X.csv is not a kernel that fastntk has stored."),
    (["info", "two.npz"], "two.npz is not a model that fastntk fit has written."),
    (["info", "cut.npy"], "cut.npy cannot be read: "),
    (["compute", "X.npy", "--net", "Sequential(Dens())"], "the text of a network is wrong at character 12, 'Dens())':"),
    (["compute", "X.npy", "--net", "9**9**9"], "the text of a network is wrong at character 1, '9**9**9': exponents"),
    (["compute", "points.csv"], "points.csv cannot be read: in line 1, column 2, '2,5' is not a number."),
]


@pytest.mark.parametrize("out", ["K.npy", "K.zarr"])
@pytest.mark.parametrize(("command", "sentence"), WRONG, ids=[" ".join(command) for command, _ in WRONG])
def test_wrong_input(
    folder: Path, command: list[str], sentence: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, exit code 1, and nothing written."""
    (folder / "X.txt").write_text("1 2")
    (folder / "cut.npy").write_bytes((folder / "X.npy").read_bytes()[:500])
    (folder / "cut.npz").write_bytes((folder / "two.npz").read_bytes()[:500])
    np.save("pickled.npy", np.array([Evil()], object), allow_pickle=True)
    (folder / "words.csv").write_text("1,2\n3,four\n")
    (folder / "ragged.csv").write_text("1,2\n3,4,5\n")
    (folder / "gap.csv").write_text("1,NA,3\n4,5,6\n")
    (folder / "empty.csv").write_text("a,b\n\n")
    (folder / "points.csv").write_text("1;2,5\n3;4\n")
    damaged = bytearray((folder / "X.csv.gz").read_bytes())
    damaged[100:120] = bytes(20)
    (folder / "cut.csv.gz").write_bytes(damaged)
    np.save("complex.npy", X.astype(complex))
    (folder / "sub").mkdir()
    fastntk.store.compute(NET, X, "stored.zarr")
    np.save("nan.npy", np.where(np.arange(240).reshape(60, 4) == 41 * 4 + 2, np.nan, X))
    np.save("vector.npy", X[0])
    np.save("wide.npy", np.ones((3, 5)))
    before = sorted(folder.rglob("*"))
    assert main([*command, "--out", out] if command[0] == "compute" else command) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"fastntk: {sentence}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compute", "X.npy"], "the following arguments are required: --out"),
        (["compute", "X.npy", "--out", "K.txt"], "--out must end in .npy or .zarr, got K.txt."),
        (["compute", "X.npy", "--out", "K.npy", "--resume"], "--resume, --half and --chunk are for --out K.zarr."),
        (["compute", "X.npy", "--out", "K.npy", "--chunk", "9"], "--resume, --half and --chunk are for --out K.zarr."),
        (["compute", "X.npy", "--out", "K.zarr", "--chunk", "0"], "--chunk: must be an integer >= 1, got '0'"),
        (["compute", "X.npy", "X.npy", "--out", "K.zarr", "--half"], "--half is for the kernel of X with itself."),
        (["compute", "X.npy", "--out", "K.npy", "--depth", "-1"], "must be an integer >= 0, got '-1'"),
        (["compute", "X.npy", "--out", "K.npy", "--kernel", "both"], "invalid choice: 'both'"),
        (["compute", "X.npy", "--out", "K.npy", "--sigma-w", "x"], "invalid float value: 'x'"),
        ([], "the following arguments are required: {compute,info,fit,predict,demo,config}"),
        (["info"], "the following arguments are required: FILE"),
        (
            ["compute", "X.npy", "--out", "K.npy", "--net", "Dense()", "--depth", "2", "--sigma-b", "0"],
            "the network is that of --net: leave --depth, --sigma-b out.",
        ),
    ],
)
def test_wrong_usage(arguments: list[str], sentence: str, leave: Any) -> None:
    """Exit code 2."""
    code, _, error = leave(arguments)
    assert code == 2
    assert sentence in error


@pytest.mark.parametrize("command", ["compute", "info"])
def test_help_teaches(command: str, leave: Any) -> None:
    """With examples that work."""
    code, text, _ = leave([command, "--help"])
    assert code == 0
    assert "K.zarr" in text
    if command == "compute":
        assert "fastntk compute X.npy --out K.npy" in text
        assert all(len(line) <= 120 for line in text.splitlines())


def test_no_such_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the output is named."""
    del folder
    assert main(["compute", "X.npy", "--out", "nowhere/K.npy"]) == 1
    assert capsys.readouterr().err == "fastntk: cannot use nowhere: No such file or directory.\n"


def test_without_zarr(folder: Path) -> None:
    """Says which extra has it."""
    code = (
        "import sys; sys.modules['zarr'] = None\nfrom fastntk.__main__ import main\n"
        "sys.exit(main(['compute', 'X.npy', '--out', 'K.zarr']))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert process.returncode == 1
    assert (
        process.stderr == "fastntk: this needs zarr, which is not here; install it with pip install 'fastntk[store]'.\n"
    )
    assert not (folder / "K.zarr").exists()
