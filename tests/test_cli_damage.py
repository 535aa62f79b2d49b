"""Files that are whole, but not what they say they are: one sentence each, never a traceback or wrong predictions."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.__main__ import main

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 4))
LABELS = {"regression": None, "two": (X[:, 0] > 0).astype(int), "three": np.digitize(X[:, 0], [-0.5, 0.5])}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with samples."""
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    return tmp_path


def parts_of(kind: str) -> dict[str, Any]:
    """What a model holds."""
    labels = LABELS[kind]
    np.save("y.npy", X[:, 0] if labels is None else labels)
    options = [] if labels is None else ["--classify"]
    assert main(["fit", "X.npy", "y.npy", *options, "--quiet", "--out", "model.npz"]) == 0
    assert main(["predict", "model.npz", "X.npy", "--out", "right.npy", "--quiet"]) == 0
    with np.load("model.npz") as model:
        return dict(model)


def damages(parts: dict[str, Any]) -> dict[str, Any]:
    """Parts that are none, by what is wrong."""
    about = json.loads(str(parts["about"]))

    def of(**changes: Any) -> dict[str, Any]:
        return {"about": np.array(json.dumps({**about, **changes}))}

    texts = (
        "{}",
        "[]",
        "3",
        "null",
        "",
        "no JSON",
        "[" * 5000,
        json.dumps({k: about[k] for k in ("format", "version")}),
    )
    wrong: dict[str, Any] = {f"about {text[:20]}": {"about": np.array(text)} for text in texts}
    networks: tuple[Any, ...] = (3, None, [], {}, "relu", [3], [[]], ["Dense", "Dense()"], "Dense(1e400)", "9**9**9")
    wrong |= {f"network {str(n)[:20]}": of(network=n) for n in networks}
    wrong |= {f"kind {k}": of(kind=k) for k in ("NTK", None, 3, ["ntk"])}
    wrong |= {"about of two": {"about": np.array([str(parts["about"])] * 2)}, "about 0": {"about": np.array(0)}}
    for name in ("rows", "coefficients", "offset"):
        array = parts[name]
        bad = np.where(np.arange(array.size) == 0, np.nan, array.ravel()).reshape(array.shape)
        shapes = (array.ravel() if array.ndim == 2 else array[None], array[None], array[:0], array[..., :0], array[0])
        wrong |= {f"{name} of shape {a.shape}, {i}": {name: a} for i, a in enumerate(shapes)}
        wrong |= {f"{name} of nan": {name: bad}, f"{name} of text": {name: array.astype(str)}}
    wrong |= {f"{name} twice": {name: np.concatenate([parts[name]] * 2)} for name in ("rows", "coefficients", "offset")}
    wrong["offset of 3, coefficients of 1"] = {"offset": np.zeros(3), "coefficients": parts["coefficients"][:, :1]}
    classes = (np.arange(5), np.arange(6).reshape(2, 3), np.array(1), np.array(["a"]), np.array([0.5, 1.5, 2.5]))
    return wrong | {f"classes {c.tolist()}": {"classes": c} for c in classes}


@pytest.mark.parametrize("kind", LABELS)
def test_models(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is predicted."""
    parts = parts_of(kind)
    for name, changes in damages(parts).items():
        np.savez("damaged.npz", **{**parts, **changes})
        capsys.readouterr()
        assert main(["predict", "damaged.npz", "X.npy", "--out", "p.npy", "--quiet"]) == 1, name
        error = capsys.readouterr().err
        assert error.startswith("fastntk: damaged.npz "), name
        assert error.count("\n") == 1, error
        assert not Path("p.npy").exists()


def test_labels_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    """A bit of a header that makes them shorter, so that its reader asks for fewer bytes than there are."""
    np.save("y.npy", np.where(X[:, 0] > 0, "abcde", "abcdf"))
    assert main(["fit", "X.npy", "y.npy", "--classify", "--quiet", "--out", "model.npz"]) == 0
    content = Path("model.npz").read_bytes()
    assert content.count(b"'<U5'") == 1
    Path("damaged.npz").write_bytes(content.replace(b"'<U5'", b"'<U4'"))
    capsys.readouterr()
    assert main(["predict", "damaged.npz", "X.npy", "--out", "p.npy", "--quiet"]) == 1
    assert "the checksum of classes.npy is wrong" in capsys.readouterr().err
    assert not Path("p.npy").exists()


def npy(shape: str) -> bytes:
    """A file of that header."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin1")


def npz(field: int, value: int) -> bytes:
    """An archive whose member has another number in its local and central header: flags at 6, compression at 8."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("X.npy", npy("(1, 1)") + bytes(8))
    content = bytearray(stream.getvalue())
    struct.pack_into("<H", content, field, value)
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + field + 2, value)
    return bytes(content)


TABLES = {
    "garbage.npy": npy("((((1,"),
    "token.npy": npy("(1, 2\\"),
    "text.npy": npy('"""'),
    "literal.npy": npy("(1if, 2)"),
    "huge.npy": npy(f"({10**12}, {10**12})"),
    "negative.npy": npy("(-3, 2)"),
    "nested.npy": npy("(" * 90),
    "encrypted.npz": npz(6, 1),
    "compression.npz": npz(8, 77),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As samples and as targets."""
    Path(name).write_bytes(TABLES[name])
    for arguments in ([name, "X.npy"], ["X.npy", name], ["X.npy", name, "--classify"]):
        assert main(["fit", *arguments, "--quiet", "--out", "model.npz"]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"fastntk: {name} cannot be read: ")
        assert error.count("\n") == 1, error


def test_a_zarr_array_with_a_broken_chunk(capsys: pytest.CaptureFixture[str]) -> None:
    """Compressed by default."""
    zarr = pytest.importorskip("zarr")
    zarr.create_array("X.zarr", data=X, chunks=(10, 4))
    chunk = Path("X.zarr/c/1/0")
    chunk.write_bytes(b"no chunk" * 9)
    assert main(["fit", "X.zarr", "X.npy", "--quiet", "--out", "model.npz"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastntk: X.zarr cannot be read: ")
    assert error.count("\n") == 1, error


def test_a_table_of_python_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Is read, and nobody is told how old it is."""
    numbers = np.arange(1.0, 7.0).reshape(3, 2)
    Path("old.npy").write_bytes(npy("(3L, 2L)") + numbers.tobytes())
    assert main(["compute", "old.npy", "--out", "K.npy", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(np.load("K.npy"), fastntk.mlp(1).ntk(numbers))


def test_fuzzing() -> None:
    """A few cases of what `fuzz_files.py` looks for without end."""
    script = Path(__file__).with_name("fuzz_files.py")
    done = subprocess.run(
        [sys.executable, script, "--most", "60"], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 cases of seed 0, 0 wrong" in done.stdout
