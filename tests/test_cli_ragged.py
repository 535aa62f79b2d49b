"""Sequences and graphs in files, by the command line: kernels, models, and sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Graphs, Sequences
from fastntk.__main__ import main
from fastntk.cli.ragged import arrays_of
from fastntk.samples import Ragged

RNG = np.random.default_rng(0)
NODES = [RNG.normal(size=(size, 3)) for size in (4, 1, 3, 5, 2, 3, 4, 2)]
HALVES = [np.triu(RNG.random((len(x), len(x))) < 0.6, 1) * RNG.random((len(x), len(x))) for x in NODES]

SEQUENCES, GRAPHS = Sequences(NODES), Graphs(NODES, HALVES)
RNN, GNN = fastntk.rnn(1, "relu", sigma_b=0.1), fastntk.gntk(1)

BOTH = pytest.mark.parametrize(("net", "X"), [(RNN, SEQUENCES), (GNN, GRAPHS)], ids=["sequences", "graphs"])

FLAT: dict[str, NDArray[Any]] = {
    "features": np.concatenate(NODES), "nodes": np.array([len(x) for x in NODES]), "edges": np.array([[0, 1], [1, 2]]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory."""
    monkeypatch.chdir(tmp_path)


def save(file: str, arrays: Mapping[str, Any]) -> None:
    """Write what is to be read."""
    np.savez(file, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]


def compute(*files: str, net: Any = RNN) -> NDArray[Any]:
    """The kernel that the command line writes."""
    Path("K.npy").unlink(missing_ok=True)
    assert main(["compute", *files, "--net", repr(net), "--quiet", "--out", "K.npy"]) == 0
    return np.asarray(np.load("K.npy"))


def test_what_files_have() -> None:
    """As written by hand: padded, one after the other, with directions and weights, and without."""
    padded = np.full((8, 5, 3), np.nan)
    for row, x in zip(padded, NODES, strict=True):
        row[: len(x)] = x
    lengths = FLAT["nodes"]
    np.savez("padded.npz", values=padded, lengths=lengths)
    np.savez("flat.npz", values=FLAT["features"], lengths=lengths)
    for file in ("padded.npz", "flat.npz"):
        np.testing.assert_array_equal(compute(file), RNN.ntk(SEQUENCES))
    starts = np.cumsum(lengths) - lengths
    rows, columns = np.concatenate([np.argwhere(half) + at for half, at in zip(HALVES, starts, strict=True)]).T
    weights = np.concatenate([half[half != 0] for half in HALVES])
    save("graphs.npz", {**FLAT, "edges": np.stack((rows, columns)), "weights": weights})
    np.testing.assert_array_equal(compute("graphs.npz", net=GNN), GNN.ntk(GRAPHS))
    save("plain.npz", {**FLAT, "edges": np.stack((rows, columns))})
    np.testing.assert_array_equal(compute("plain.npz", net=GNN), GNN.ntk(Graphs(NODES, [half != 0 for half in HALVES])))


@BOTH
def test_kernels(net: Any, X: Ragged) -> None:
    """With others, and into a store that knows what it is of."""
    pytest.importorskip("zarr")
    save("X.npz", arrays_of(X))
    save("Y.npz", arrays_of(X[:3]))
    np.testing.assert_array_equal(compute("X.npz", "Y.npz", net=net), net.ntk(X, X[:3]))
    assert main(["compute", "X.npz", "--net", repr(net), "--quiet", "--out", "K.zarr"]) == 0
    assert fastntk.store.open("K.zarr").is_of(X)


@BOTH
@pytest.mark.parametrize(
    "how", [[], ["--landmarks", "8"], ["--stored", "K.zarr"]], ids=["exact", "landmarks", "stored"]
)
def test_models(net: Any, X: Ragged, how: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Fitted, written, told of and applied: what kernel ridge regression gives."""
    y = np.arange(8.0)
    save("X.npz", arrays_of(X))
    np.save("y.npy", y)
    command = ["--net", repr(net)]
    if "--stored" in how:
        pytest.importorskip("zarr")
        assert main(["compute", "X.npz", *command, "--quiet", "--out", "K.zarr"]) == 0
        command = []
    assert main(["fit", "X.npz", "y.npy", *command, *how, "--ridge", "0.1", "--quiet", "--out", "m.npz"]) == 0
    assert main(["predict", "m.npz", "X.npz", "--quiet", "--out", "f.npy"]) == 0
    K = net.ntk(X)
    expected = y.mean() + K @ np.linalg.solve(K + 0.1 * K.diagonal().mean() * np.eye(8), y - y.mean())
    np.testing.assert_allclose(np.load("f.npy").ravel(), expected, rtol=1e-3)
    capsys.readouterr()
    assert main(["info", "m.npz"]) == 0
    node = "step" if net is RNN else "node"
    assert f"model: ntk, 8 rows of 3 channels at each {node}, float64" in capsys.readouterr().out


def test_classes() -> None:
    """Labels of sequences."""
    labels = np.array(["a", "b"] * 4)
    save("X.npz", arrays_of(SEQUENCES))
    np.save("y.npy", labels)
    assert main(["fit", "X.npz", "y.npy", "--classify", "--net", repr(RNN), "--quiet", "--out", "m.npz"]) == 0
    assert main(["predict", "m.npz", "X.npz", "--quiet", "--out", "f.npy"]) == 0
    np.testing.assert_array_equal(np.load("f.npy"), labels)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"lengths": [1], "steps": np.ones((1, 2))}, "it has lengths, steps and no values: values, lengths are needed"),
        ({"features": FLAT["features"], "edges": FLAT["edges"]}, "and no nodes: features, nodes, edges are needed"),
        ({"features": FLAT["features"], "nodes": FLAT["nodes"]}, "and no edges: features, nodes, edges are needed"),
        ({**FLAT, "weight": np.ones(2)}, "it has weight beside features, nodes, edges, and nobody knows what that is"),
        ({"values": np.ones((3, 2)), "lengths": [3], "weights": [1.0]}, "it has weights beside values, lengths"),
        ({"values": np.ones((3, 2)), "lengths": [1, 1]}, "lengths must be integers >= 0 whose sum is 3"),
        ({"values": np.ones((3, 2)), "lengths": [3, 0]}, r"values\[1\] has no steps"),
        ({"values": np.ones((3, 2)), "lengths": [1.5, 1.5]}, "lengths must be integers, got dtype float64"),
        ({"values": [[1.0], [np.nan]], "lengths": [1, 1]}, r"values contains nan \(first in sample 1, step 0"),
        ({"values": np.ones((2, 3, 2)), "lengths": [4, 1]}, "lengths must be from 1 to 3"),
        ({"values": np.ones((0, 2)), "lengths": np.ones(0, int)}, "values is empty"),
        ({"values": np.array([None]), "lengths": [1]}, "allow_pickle=False"),
        ({**FLAT, "nodes": [20, 3]}, "nodes must be integers >= 0 whose sum is 24, the rows of features; it is 23"),
        ({**FLAT, "edges": np.ones((3, 3), int)}, r"edges must have shape \(2, m\), got \(3, 3\)"),
        ({**FLAT, "edges": [[0], [24]]}, "edges must be between nodes 0 and 23, got 0 to 24"),
        ({**FLAT, "edges": [[1], [4]]}, "edge 0, from node 1 to 4, is between two graphs"),
        ({**FLAT, "weights": np.ones(3)}, r"weights must have shape \(2,\), one for each of the edges, got \(3,\)"),
        ({**FLAT, "weights": [1.0, np.inf]}, "contains inf"),
    ],
)
def test_sentences(arrays: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a file lacks, or has that does not fit, before work starts."""
    save("X.npz", arrays)
    assert main(["compute", "X.npz", "--net", "gntk(1)", "--quiet", "--out", "K.npy"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastntk: X.npz cannot be read: ")
    assert error.count("\n") == 1
    assert re.search(sentence, error), error
    assert not Path("K.npy").exists()


def test_other_samples(capsys: pytest.CaptureFixture[str]) -> None:
    """A model of sequences is not applied to rows, to graphs, or to other channels; a kernel is not of both."""
    save("X.npz", arrays_of(SEQUENCES))
    save("G.npz", arrays_of(GRAPHS))
    np.save("rows.npy", np.ones((8, 3)))
    np.savez("two.npz", values=np.ones((3, 2)), lengths=[1, 2])
    np.save("y.npy", np.arange(8.0))
    assert main(["fit", "X.npz", "y.npy", "--net", repr(RNN), "--quiet", "--out", "m.npz"]) == 0
    for file, has in (
        ("G.npz", "3 channels at each node"),
        ("rows.npy", "3 features"),
        ("two.npz", "2 channels at each step"),
    ):
        assert main(["predict", "m.npz", file, "--quiet", "--out", "f.npy"]) == 1
        assert f"{file} has {has}, and the model was fitted to 3 channels at each step" in capsys.readouterr().err
    assert main(["compute", "X.npz", "G.npz", "--net", "transformer(1)", "--out", "K.npy"]) == 1
    assert "X are Sequences and Y Graphs" in capsys.readouterr().err
    one = {**FLAT, "nodes": np.array([24])}
    save("one.npz", one)
    assert main(["fit", "one.npz", "y.npy", "--net", "Sequential(Aggregate(), Dense())", "--out", "n.npz"]) == 1
    assert "fastntk fit takes a target for each sample" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["values", "lengths", "edges", "weights"])
def test_damaged_models(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence of a model whose samples are cut short, or are of another format than it says."""
    X, net = (SEQUENCES, RNN) if name in ("values", "lengths") else (GRAPHS, GNN)
    save("X.npz", arrays_of(X))
    np.save("y.npy", np.arange(8.0))
    assert main(["fit", "X.npz", "y.npy", "--net", repr(net), "--quiet", "--out", "m.npz"]) == 0
    with np.load("m.npz") as model:
        parts = dict(model)
    assert json.loads(str(parts["about"]))["format"] == 3
    save("n.npz", {**parts, name: parts[name][:, 1:] if name == "edges" else parts[name][1:]})
    assert main(["predict", "n.npz", "X.npz", "--quiet", "--out", "f.npy"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastntk: n.npz is damaged: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(("samples", "text"), [(SEQUENCES, "<Sequences: 8 of"), (GRAPHS, "<Graphs: 8 of")])
def test_info_of_samples(samples: Ragged, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a file has; one that has less is no model, in a sentence."""
    save("X.npz", arrays_of(samples))
    assert main(["info", "X.npz"]) == 0
    assert capsys.readouterr().out.startswith(f"samples: {text}")
    save("X.npz", dict(list(arrays_of(samples).items())[1:]))
    assert main(["info", "X.npz"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_fit_takes_no_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    """A target for each node of one graph: the kernel between nodes is what there is."""
    save("X.npz", arrays_of(GRAPHS[:1]))
    np.save("y.npy", np.arange(4.0))
    net = 'Sequential(Aggregate(), Dense(), "relu", Dense())'
    assert main(["fit", "X.npz", "y.npy", "--net", net, "--out", "m.npz"]) == 1
    assert "write the kernel between its nodes with fastntk compute" in capsys.readouterr().err
    assert compute("X.npz", net=fastntk.network(net)).shape == (4, 4)


@pytest.mark.parametrize(("samples", "reader"), [(SEQUENCES, "'rnn(1)'"), (GRAPHS, "'gntk(2)'")])
@pytest.mark.parametrize("command", ["fit", "compute"])
def test_without_a_network(samples: Ragged, reader: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The usual one is for rows; what reads such samples is said."""
    save("X.npz", arrays_of(samples))
    np.save("y.npy", np.arange(8.0))
    given = ["X.npz", "y.npy", "--out", "m.npz"] if command == "fit" else ["X.npz", "--out", "K.npy"]
    assert main([command, *given]) == 1
    error = capsys.readouterr().err
    assert f"--net {reader}" in error
    assert error.count("\n") == 1


def test_info_of_other_archives(capsys: pytest.CaptureFixture[str]) -> None:
    """What they could have been."""
    np.savez("other.npz", np.eye(2))
    assert main(["info", "other.npz"]) == 1
    assert "Nor has it sequences (values, lengths) or graphs (features, nodes, edges) alone." in capsys.readouterr().err
