"""What is no set of samples, by every door: each ends in one sentence of the package, and what is taken is finite."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

import fastntk
import fastntk.sklearn as estimators
from fastntk import Aggregate, Dense, Flatten, GlobalAvgPool, GlobalSumPool, Graphs, LayerNorm, Sequences, Sequential
from fastntk.sklearn import NTKClassifier, NTKRegressor

ONE = np.ones((2, 2))
RNN = fastntk.rnn(1, "relu")

#: Wrong types, ranks, sizes and numbers; each may be right for one door.
GIVEN: dict[str, Any] = {
    "nothing": None, "number": 1.5, "nan": float("nan"), "text": "ab", "bytes": b"x", "mapping": {1: 2}, "set": {1},
    "empty": [], "list of empty": [[]], "lists of empty": [[[]]], "list of None": [None], "list of text": [["a"]],
    "vector": [np.ones(3)], "deep": [np.ones((2, 2, 2))], "channels differ": [ONE, np.ones((2, 3))],
    "complex": [ONE * 1j], "letters": [np.array([["a", "b"]])], "nans": [np.full((2, 2), np.nan)],
    "infinite": [np.full((2, 2), np.inf)], "huge": [np.full((2, 2), 1e200)], "faint": [np.full((2, 2), 1e-200)],
    "boolean": [ONE > 0], "no nodes": [np.zeros((0, 2))], "no channels": [np.zeros((2, 0))],
    "objects": [np.ones((2, 2), object)], "masked": [np.ma.masked_array(ONE, mask=True)],
    "dates": [np.array([["2020"]], "datetime64[D]")], "long": [ONE.astype(np.longdouble)], "ragged": [[[1, 2], [1]]],
    "sparse": [sparse.eye_array(2)], "one sparse": sparse.eye_array(2), "matrix": ONE, "not square": [np.ones((2, 3))],
    "array": np.ones((2, 2, 2)), "images": np.ones((2, 2, 2, 2)), "no samples": np.zeros((0, 2, 2)),
    "array of arrays": np.array([ONE, np.ones((3, 2)), None], object)[:2],
}  # fmt: skip

DOORS: dict[str, Callable[[Any], Any]] = {
    "Sequences": Sequences,
    "lengths": lambda given: Sequences(np.ones((2, 2, 2)), given),
    "values of lengths": lambda given: Sequences(given, [1, 1]),
    "features": lambda given: Graphs(given, [ONE]),
    "adjacency": lambda given: Graphs([ONE], given),
    "an adjacency": lambda given: Graphs([ONE], [given]),
    "steps": RNN.ntk,
    "rows": fastntk.mlp(2).ntk,
    "made": lambda given: RNN.ntk(Sequences(given)),
    "edges": lambda given: fastntk.gntk(1).ntk(Graphs([ONE], given)),
    "index": lambda given: Sequences([ONE])[given],
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("given", GIVEN)
def test_a_sentence_or_numbers(door: str, given: str) -> None:
    """No internals of NumPy or SciPy, and no numbers that are none."""
    try:
        found = DOORS[door](GIVEN[given])
    except (ValueError, TypeError, IndexError) as error:
        text, last = str(error), traceback.extract_tb(error.__traceback__)[-1].filename
        assert "fastntk" in last, f"{last}: {text}"
        assert text.endswith((".", ")")), text
        assert "\n" not in text
    else:
        assert np.isfinite(found.values if isinstance(found, Sequences | Graphs) else found).all()


def arrays(count: int = 2) -> NDArray[Any]:
    """Matrices of different sizes as an array of objects."""
    made = np.empty(count, object)
    made[:] = [np.ones((2 + i, 2)) for i in range(count)]
    return made


@pytest.mark.parametrize("name", [name for name in estimators.__all__ if hasattr(getattr(estimators, name), "fit")])
def test_every_estimator_says_what_to_make(name: str) -> None:
    """Of arrays of objects and lists of matrices Sequences; of these and graphs a network that reads them."""
    model = getattr(estimators, name)()
    for given, text in ((arrays(), r"Sequences\(list\(X\)\)"), (list(arrays()), r"Sequences\(X\)")):
        with pytest.raises(ValueError, match=text):
            model.fit(given, [0, 1])
    for samples in (Sequences([ONE] * 2), Graphs([ONE] * 2, [ONE] * 2)):
        of_rows = name == "NTKFeatures"
        with pytest.raises((TypeError, ValueError), match="on vectors" if of_rows else rf"{name}\(network=\.\.\.\)"):
            model.fit(samples, [0, 1])


@pytest.mark.parametrize("name", ["NTKRegressor", "NNGPRegressor", "NystromNTKRegressor"])
@pytest.mark.parametrize("samples", [np.eye(2), Sequences([ONE] * 2)], ids=["rows", "sequences"])
def test_targets_that_are_none(name: str, samples: Any) -> None:
    """An array of objects with None is nan as numbers, which gave predictions of nan."""
    with pytest.raises(ValueError, match=r"y contains nan \(first at \(0,"):
        getattr(estimators, name)(network=None if isinstance(samples, np.ndarray) else RNN).fit(
            samples, np.array([None, 1.0])
        )


def test_probabilities_that_are_not_there() -> None:
    """The sentence names the parameter; hasattr asks as scikit-learn does."""
    model = NTKClassifier().fit(np.eye(2), [0, 1])
    assert not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match="pass probability='temperature'"):
        _ = model.predict_proba
    assert hasattr(NTKClassifier(probability="temperature"), "predict_proba")


@pytest.mark.parametrize("first", [Aggregate(), GlobalAvgPool()])
def test_activation_behind_a_sum_of_inputs(first: Any) -> None:
    """Behind a Dense it may stand, which a part of a network cannot know; with samples every door refuses it."""
    part = Sequential(first, "relu", Dense(), *([GlobalSumPool()] if first == Aggregate() else []))
    X = Graphs([ONE] * 2, [ONE] * 2)
    assert Sequential(Dense(), *part.layers).ntk(X).shape == (2, 2)
    doors: list[Callable[[], Any]] = [
        lambda: part.ntk(X), lambda: part.nngp.diag(X), lambda: part.summary(X), lambda: part.ntk.operator(X),
        lambda: fastntk.reference.ntk(part, X), lambda: NTKRegressor(network=part).fit(X, [0.0, 1.0]),
    ]  # fmt: skip
    for door in doors:
        with pytest.raises(ValueError, match=r"layer 1, Activation\('relu'\): an activation acts on Gaussians"):
            door()


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_recurrence_that_overflows(kind: str) -> None:
    """Its kernel is infinite, and said to be so."""
    net = fastntk.rnn(1, "relu", sigma_w=1e30)
    with pytest.raises(ValueError, match=r"sample 0 of X .* \(there NNGP inf, NTK inf\)"):
        getattr(net, kind)(Sequences([np.ones((40, 2)), ONE]))


def test_node_of_zeros_behind_layer_norm() -> None:
    """One sentence, by nodes, positions and rows."""
    net = Sequential(Dense(), LayerNorm(), Dense())
    x = np.ones((2, 3, 2))
    x[1, 2] = 0
    for found, data in (
        (net, x[1]),
        (Sequential(*net.layers, Flatten(), Dense()), x),
        (Sequential(*net.layers, GlobalAvgPool()), Sequences(x)),
    ):
        with pytest.raises(
            ValueError, match=r"of X.* is 0, .* where a LayerNorm divides by it: pass eps > 0, or"
        ) as one:
            found.ntk(data)
        assert len(str(one.value)) < 220


def test_counts_of_one() -> None:
    """Words for one have no s."""
    one = Graphs([[[1.0]]], [[[1.0]]])
    assert repr(one) == "<Graphs: 1 of 1 node, 1 channel, float64, 1 edge>"
    assert repr(Sequences([[[1.0]]])) == "<Sequences: 1 of 1 step, 1 channel, float64>"
    title = "1 sample of any number of nodes, 1 feature:"
    assert title in repr(Sequential(Dense(), GlobalSumPool()).summary(one))
    assert "1 sample of 1 feature:" in repr(Sequential(Dense()).summary([[1.0]]))
    assert "2 samples of 3 features:" in repr(Sequential(Dense()).summary(np.ones((2, 3))))
