"""The command line: the demo on real images, its data, and the sentences for what can go wrong."""

# ruff: noqa: D103

import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastntk
from fastntk.__main__ import main
from fastntk.demo.data import read_idx, stratified_order
from fastntk.demo.figure import check_output

FASHION_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def accuracies(text: str) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in re.findall(r"^((?:MLP|CNN) NNGP|(?:MLP|CNN) NTK|RBF) +([\d.]+) ±", text, re.MULTILINE)
    }


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """A folder in the layout of Fashion-MNIST, of 60 + 30 images whose class is their bright row."""
    rng = np.random.default_rng(0)
    for kind, count in (("train", 60), ("t10k", 30)):
        labels = np.arange(count) % 10
        images = rng.integers(0, 60, (count, 10, 4))
        images[np.arange(count), labels] += 150
        write_idx(tmp_path / f"{kind}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{kind}-labels-idx1-ubyte.gz", labels)
    return tmp_path


def test_digits_are_classified_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "digits.png"
    assert main(["demo", "--train", "300", "--test", "200", "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "digits: 300 training and 200 test images" in printed
    assert accuracies(printed).keys() == {"MLP NNGP", "MLP NTK", "RBF"}
    assert min(accuracies(printed).values()) > 90
    assert str(fastntk.config()["instruction_set"]) in printed
    assert output.read_bytes().startswith(b"\x89PNG")
    assert output.stat().st_size > 100_000


@pytest.mark.parametrize(("by_environment", "net"), [(False, "mlp"), (True, "cnn")])
def test_fashion_mnist_is_found(
    fashion: Path, by_environment: bool, net: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTNTK_DATA", str(fashion) if by_environment else "/nowhere")
    where = [] if by_environment else ["--data-dir", str(fashion)]
    output = ["--output", str(fashion / "figure.svg")]
    assert main(["demo", "--data", "fashion-mnist", "--net", net, "--dtype", "float32", *where, *output]) == 0
    assert min(accuracies(capsys.readouterr().out).values()) > 90


def test_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(fastntk.config())
    assert f"version: {fastntk.__version__}" in lines


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "required"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--train", "0"], "must be an integer >= 10, got '0'"),
        (["demo", "--test", "many"], "must be an integer >= 10, got 'many'"),
        (["demo", "--dtype", "float16"], "invalid choice: 'float16'"),
        (["demo", "--data-dir", "."], "--data-dir is for --data fashion-mnist"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"]])
def test_help_has_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert "  fastntk demo " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (
            ["--data", "fashion-mnist", "--data-dir", "/nowhere"],
            ("/nowhere", *FASHION_FILES, "dataset-fashion-mnist"),
        ),
        (["--train", "1700", "--test", "200"], ("1,900 images", "are 1,797")),
        (["--train", "1797"], ("are 1,797",)),
        (["--output", "/nowhere/figure.png"], ("/nowhere does not exist",)),
        (["--output", "figure.doc"], ("figure.doc must end in", ".png")),
        (["--output", "/proc/figure.png"], ("cannot use /proc/figure.png: ",)),  # where root may not write either
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str], sentences: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("fastntk: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""  # nor is anything begun
    assert all(sentence in printed.err for sentence in sentences)


def test_an_output_that_is_there_is_checked_as_it_is(tmp_path: Path) -> None:
    for name in ("new.png", "old.png"):
        if name == "old.png":
            (tmp_path / name).write_bytes(b"a figure")
        check_output(tmp_path / name)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old.png", b"a figure")]


def test_too_many_or_damaged_fashion_images(fashion: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "--data", "fashion-mnist", "--data-dir", str(fashion)]
    assert main([*command, "--train", "61"]) == 1
    assert "--train 61" in capsys.readouterr().err
    write_idx(fashion / "t10k-labels-idx1-ubyte.gz", np.arange(29))
    assert main(command) == 1
    assert "shapes (30, 10, 4) and (29,)" in capsys.readouterr().err
    write_idx(fashion / "t10k-labels-idx1-ubyte.gz", np.arange(30))
    assert main(command) == 1
    assert "has a label 29, expected 0 to 9" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_a_missing_extra_is_named(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\nfrom fastntk.__main__ import main; sys.exit(main(['demo']))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert f"needs {package}" in run.stderr
    assert "pip install 'fastntk[demo]'" in run.stderr


def test_the_demo_is_not_imported_with_the_package() -> None:
    code = "import sys, fastntk; print({'sklearn', 'matplotlib', 'fastntk.demo'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "set()\n"


def test_the_package_runs_as_a_module() -> None:
    run = subprocess.run([sys.executable, "-m", "fastntk", "config"], check=True, capture_output=True, text=True)
    assert f"version: {fastntk.__version__}" in run.stdout


def test_idx_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    images = np.arange(24).reshape(2, 3, 4)
    write_idx(path, images)
    np.testing.assert_array_equal(read_idx(path), images)

    whole = path.read_bytes()
    plain = gzip.decompress(whole)
    for content, sentence in (
        (whole[:-9], "is not a complete gzip file"),
        (plain, "is not a complete gzip file"),
        (gzip.compress(plain[:-1]), r"announces shape \(2, 3, 4\), that is 24 bytes, but holds 23"),
        (gzip.compress(plain[:9]), "announces shape"),
        (
            gzip.compress(b"\0\0\x0d" + plain[3:]),
            "is not an idx file of unsigned bytes: it begins with 00 00 0d 03",
        ),
        (gzip.compress(b""), "is not an idx file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=sentence):
            read_idx(path)


def test_every_piece_of_the_order_is_stratified() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [600, 300, 100]))
    order = stratified_order(labels, seed=0)
    assert sorted(order) == list(range(1000))
    for piece in np.split(order, 5):
        np.testing.assert_allclose(np.bincount(labels[piece]), [120, 60, 20], atol=1)
    assert not np.array_equal(order, stratified_order(labels, seed=1))
