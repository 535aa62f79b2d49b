"""The command line and the demo on images: arrays of three and four axes, and rows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small_images import FLAT, ROWS, TARGET, X, Y, kernel, rows

import fastntk
from fastntk import Reshape, Sequential
from fastntk.__main__ import main

CONV1D = "Sequential(Conv(3, sigma_w=1.4, sigma_b=0.1), 'relu', GlobalAvgPool(), Dense())"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with images, rows of them and sequences."""
    zarr = pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    for name, array in {"X": X, "Y": Y, "S": X[:, 0], "rows": rows(X), "target": TARGET}.items():
        np.save(f"{name}.npy", array)
    np.savetxt("rows.csv", rows(X), delimiter=",", fmt="%.17g")
    zarr.create_array("images.zarr", data=X, chunks=(7, 3, 5, 2))
    return tmp_path


@pytest.mark.parametrize(
    ("files", "net", "data"),
    [
        (["X.npy"], FLAT, (X,)),
        (["images.zarr"], FLAT, (X,)),
        (["X.npy", "Y.npy"], FLAT, (X, Y)),
        (["rows.npy"], ROWS, (X,)),
        (["rows.csv"], ROWS, (X,)),
        (["S.npy"], fastntk.network(CONV1D), (X[:, 0],)),
    ],
)
def test_compute_command(folder: Path, files: list[str], net: Sequential, data: Any) -> None:
    """Of arrays of three and four axes, and of rows; .npy and Zarr, which is gone on with."""
    wanted = kernel(net, "ntk", *data)
    command = ["compute", *files, "--net", repr(net), "--quiet", "--out"]
    assert main([*command, "K.npy"]) == 0
    np.testing.assert_array_equal(np.load("K.npy"), wanted)
    assert main([*command, "K.zarr"]) == 0
    next((folder / "K.zarr" / "c").glob("*/*")).unlink()
    assert main([*command, "K.zarr", "--resume"]) == 0
    np.testing.assert_array_equal(np.asarray(fastntk.store.open("K.zarr")), wanted)


@pytest.mark.parametrize("how", [[], ["--landmarks", "40"], ["--stored", "K.zarr"]])
@pytest.mark.parametrize(("samples", "net"), [("X.npy", FLAT), ("rows.npy", ROWS)])
def test_fit_and_predict_commands(
    folder: Path, samples: str, net: Sequential, how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of images and rows: the regression by hand; what the model says of itself; a wrong shape."""
    del folder
    text = repr(net)
    network = [] if "--stored" in how else ["--net", text]
    if "--stored" in how:
        assert main(["compute", samples, "--net", text, "--out", "K.zarr", "--quiet"]) == 0
    assert main(["fit", samples, "target.npy", *network, *how, "--ridge", "0.1", "--out", "m.npz", "--quiet"]) == 0
    size = "60" if net is ROWS else "6 x 5 x 2"
    assert f"40 rows of {size} features" in capsys.readouterr().out
    assert main(["predict", "m.npz", samples, "--out", "p.npy", "--quiet"]) == 0
    T = FLAT.ntk(X)
    alpha = np.linalg.solve(T + 0.1 * T.diagonal().mean() * np.eye(40), TARGET - TARGET.mean())
    np.testing.assert_allclose(np.load("p.npy"), T @ alpha + TARGET.mean(), rtol=1e-3, atol=1e-3)
    capsys.readouterr()
    assert main(["info", "m.npz"]) == 0
    assert f"rows of {size} features" in capsys.readouterr().out
    assert main(["predict", "m.npz", "S.npy", "--out", "q.npy", "--quiet"]) == 1
    assert f"S.npy has 5 x 2 features, and the model was fitted to {size} features" in capsys.readouterr().err


def test_info_of_a_stored_kernel(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Has the shape of the images."""
    del folder
    assert main(["compute", "X.npy", "--net", repr(FLAT), "--out", "K.zarr", "--quiet"]) == 0
    assert main(["info", "K.zarr"]) == 0
    assert "X: 40 x 6 x 5 x 2, float64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["S.npy", "--net", "cnn(1)"], "X has samples of shape (5, 2): layer 0, Conv((3, 3)"),
        (["X.npy", "--depth", "1"], "the network ends with 6 x 5 positions"),
        (
            ["rows.npy", "--net", "Sequential(Reshape(6, 5, 3), cnn(1))"],
            "X has samples of shape (60,): layer 0, Reshape",
        ),
        (["X.npy", "--net", "Sequential(Conv(3), 'relu')"], "the network ends with 6 x 5 positions"),
        (["X.npy", "--net", "Sequential(Conv2D(3))"], "the text of a network is wrong at character 12"),
    ],
)
def test_wrong_samples_of_commands(
    folder: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and no file."""
    assert main(["compute", *arguments, "--out", "K.npy", "--quiet"]) == 1
    assert capsys.readouterr().err.startswith(f"fastntk: {sentence}")
    assert not (folder / "K.npy").exists()


def test_demo_with_a_convolutional_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Has both networks in its table, and its own figure."""
    pytest.importorskip("matplotlib")
    output = tmp_path / "digits.png"
    assert (
        main(["demo", "--net", "cnn", "--depth", "2", "--train", "200", "--test", "100", "--output", str(output)]) == 0
    )
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "±" in line and "%" in line]
    assert [line.split("  ")[0] for line in lines] == ["MLP NNGP", "MLP NTK", "CNN NNGP", "CNN NTK", "RBF"]
    assert "CNN      cnn(2, 'relu', sigma_w=2**0.5, sigma_b=0.1), float64" in printed
    assert output.stat().st_size > 50_000


def test_which_pixels_are_compared() -> None:
    """A linear network compares equal pixels alone; convolutions with Flatten near ones; a global pool all."""
    pytest.importorskip("matplotlib")
    from fastntk.demo.pixels import shares

    first, second = np.abs(np.random.default_rng(0).normal(size=(2, 64))) + 0.1
    linear = shares(fastntk.mlp(0), first, second, [9, 20])
    products = (first - first.min()) * (second - second.min()) / (first @ second)
    wanted = np.zeros((2, 64))
    wanted[[0, 1], [9, 20]] = products[[9, 20]]
    np.testing.assert_allclose(linear, wanted, atol=1e-14)
    images = Reshape(8, 8, 1)
    near = shares(Sequential(images, *fastntk.cnn(1)), first, second, [27]).reshape(8, 8)
    rows_, columns = np.indices((8, 8))
    far = np.maximum(abs(rows_ - 3), abs(columns - 3)) > 2
    assert np.abs(near[far]).max() < 1e-14 < np.abs(near[3, 3])
    everywhere = shares(Sequential(images, *fastntk.cnn(1, head="gap")), first, second, [27]).reshape(8, 8)
    assert np.abs(everywhere[far]).max() > 1e-6
