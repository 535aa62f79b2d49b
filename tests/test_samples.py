"""Sequences and Graphs: what they take, what they refuse, and that scikit-learn finds lists of samples in them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from fastntk import Graphs, Sequences, networks
from fastntk.samples import Ragged
from fastntk.sklearn import NNGPRegressor, NTKClassifier, NTKRegressor

Array = NDArray[Any]
Make = Callable[[np.random.Generator], Ragged]


def paths(rng: np.random.Generator) -> Sequences:
    """Six sequences, the second of one step."""
    return Sequences([rng.standard_normal((length, 3)) for length in (4, 1, 7, 2, 4, 3)])


def graphs(rng: np.random.Generator) -> Graphs:
    """Six directed graphs, the second of one node, the third of none; the last without edges."""
    sizes = (4, 1, 0, 5, 3, 4)
    edges = [sparse.coo_array(rng.random((size, size)) * (rng.random((size, size)) < 0.5)) for size in sizes]
    edges[-1] = sparse.coo_array((4, 4))
    return Graphs([rng.standard_normal((size, 3)) for size in sizes], edges)


@pytest.fixture(params=[paths, graphs])
def samples(request: pytest.FixtureRequest, rng: np.random.Generator) -> Ragged:
    """Each kind."""
    make: Make = request.param
    return make(rng)


def parts(samples: Ragged) -> list[tuple[Array, ...]]:
    """Nodes, and edges, of each sample by itself."""
    found: list[tuple[Array, ...]] = []
    for begin, end in zip(samples.starts[:-1], samples.starts[1:], strict=True):
        edges = (samples.adjacency.toarray()[begin:end, begin:end],) if isinstance(samples, Graphs) else ()
        found.append((samples.values[begin:end], *edges))
    return found


def same(found: Ragged, expected: list[tuple[Array, ...]]) -> bool:
    """Whether samples have these nodes and edges, and no others."""
    if isinstance(found, Graphs) and found.adjacency.nnz != sum(np.count_nonzero(edges) for _, edges in expected):
        return False
    pairs = zip(parts(found), expected, strict=True)
    return all(all(map(np.array_equal, one, other)) for one, other in pairs)


def test_index(samples: Ragged) -> None:
    """As a list: by number, slice, numbers in any order, also twice, mask; and as scikit-learn does it."""
    each = parts(samples)
    assert len(samples) == len(each) == 6
    for key, expected in (
        (2, [2]),
        (np.int64(-1), [5]),
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, -2), [5, 3, 1]),
        ([3, 0, 3, 2], [3, 0, 3, 2]),
        (np.array([5, -6]), [5, 0]),
        (range(2), [0, 1]),
        ([], []),
        (np.arange(6) % 2 == 0, [0, 2, 4]),
        ((np.array([4, 1]), ...), [4, 1]),
    ):
        found = samples[key]
        assert type(found) is type(samples)
        assert same(found, [each[i] for i in expected])
        assert found.values.dtype == samples.dtype
    assert [same(one, [part]) for one, part in zip(samples, each, strict=True)] == [True] * 6
    assert same(samples[[3, 0, 3]][1:], [each[0], each[3]])


@pytest.mark.parametrize("key", [6, -7, [0, 6], np.ones(5, bool)])
def test_index_out_of_range(samples: Ragged, key: Any) -> None:
    """As of a list: a loop over them ends."""
    with pytest.raises(IndexError):
        samples[key]


@pytest.mark.parametrize("key", ["a", 1.0, [0.5], None, (0, 1), np.zeros((2, 2), int)])
def test_index_of_no_samples(samples: Ragged, key: Any) -> None:
    """What is no index is refused with a sentence."""
    with pytest.raises(TypeError, match=r"are indexed by samples: a number, a slice, numbers or a mask; got"):
        samples[key]


def test_splits_of_scikit_learn(samples: Ragged) -> None:
    """train_test_split, folds and what GridSearchCV does with them."""
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import KFold, StratifiedKFold, train_test_split
    from sklearn.utils import resample, shuffle
    from sklearn.utils.metaestimators import _safe_split

    each, y = parts(samples), np.arange(6)
    train, test, y_train, y_test = train_test_split(samples, y, test_size=2, random_state=0)
    assert same(train, [each[i] for i in y_train])
    assert same(test, [each[i] for i in y_test])
    for folds in (KFold(3), StratifiedKFold(3)):
        for rows, _ in folds.split(samples, y // 3):
            found, labels = _safe_split(BaseEstimator(), samples, y, rows)
            assert same(found, [each[i] for i in labels])
    for found, labels in (shuffle(samples, y, random_state=0), resample(samples, y, random_state=0)):
        assert same(found, [each[i] for i in labels])


def test_grid_search(samples: Ragged) -> None:
    """An estimator is given samples of the same kind, all of them once for each fold."""
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import GridSearchCV, cross_val_predict

    class Mean(BaseEstimator):  # type: ignore[misc]
        """Mean of what samples have, by a factor."""

        def __init__(self, factor: float = 1.0) -> None:
            self.factor = factor

        def fit(self, X: Ragged, y: Array) -> Mean:
            assert type(X) is type(samples)
            assert len(X) == len(y) == 4
            return self

        def predict(self, X: Ragged) -> Array:
            return np.array([self.factor * one.values.sum() for one in X])

        def score(self, X: Ragged, y: Array) -> float:
            return -float(np.abs(self.predict(X) - y).sum())

    y = np.array([2.0 * one.values.sum() for one in samples])
    search = GridSearchCV(Mean(), {"factor": [1.0, 2.0]}, cv=3, refit=False).fit(samples, y)
    assert search.best_params_ == {"factor": 2.0}
    np.testing.assert_array_equal(cross_val_predict(Mean(2.0), samples, y, cv=3), y)


def test_pickle_and_equality(samples: Ragged, rng: np.random.Generator) -> None:
    """A copy is equal, and another is not."""
    copy = pickle.loads(pickle.dumps(samples))
    assert copy == samples
    assert (copy != samples) is False
    assert not copy.values.flags.writeable
    assert samples[::-1] != samples
    assert samples[1:] != samples
    assert samples != paths(rng)[::-1]
    assert samples.__eq__(list(samples)) is NotImplemented
    with pytest.raises(TypeError, match="unhashable"):
        hash(samples)


def test_edges_are_compared(rng: np.random.Generator) -> None:
    """Not nodes alone."""
    nodes = rng.standard_normal((2, 1))
    one, other = (Graphs([nodes], [edges]) for edges in (np.eye(2), np.ones((2, 2))))
    assert one != other
    assert one == Graphs([nodes], [sparse.csr_matrix(np.eye(2))])


def test_cannot_be_changed(samples: Ragged) -> None:
    """Neither what it has, nor the numbers in it."""
    with pytest.raises(AttributeError, match=r"cannot be changed: make new ones with other values"):
        samples.values = np.ones(3)
    with pytest.raises(AttributeError, match=r"cannot be changed"):
        del samples.starts
    for array in (samples.values, samples.starts, samples[1:].values):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    if isinstance(samples, Graphs):
        with pytest.raises(ValueError, match="read-only"):
            samples.adjacency.data[...] = 0


def test_inputs_are_copied(rng: np.random.Generator) -> None:
    """What users change later is theirs."""
    values, edges = rng.standard_normal((1, 3, 2)), np.eye(3)
    made = Sequences(values), Graphs([values[0]], [edges])
    kept = [one.values.copy() for one in made]
    values[:], edges[:] = 0, 0
    assert all(np.array_equal(one.values, copy) for one, copy in zip(made, kept, strict=True))
    assert made[1].adjacency.nnz == 3


def test_what_they_say(rng: np.random.Generator) -> None:
    """On one line, also of none."""
    assert repr(paths(rng)) == "<Sequences: 6 of 1 to 7 steps, 3 channels, float64>"
    assert repr(paths(rng)[[0, 4]]) == "<Sequences: 2 of 4 steps, 3 channels, float64>"
    assert repr(graphs(rng)[[]]) == "<Graphs: 0 of 0 nodes, 3 channels, float64, 0 edges>"
    assert repr(Graphs([np.ones((2, 1))], [np.ones((2, 2))])) == "<Graphs: 1 of 2 nodes, 1 channel, float64, 4 edges>"
    made = paths(rng)
    assert (made.shape, made.ndim, made.channels) == ((6,), 1, 3)
    assert made.lengths.tolist() == [4, 1, 7, 2, 4, 3]


def test_no_array(samples: Ragged) -> None:
    """NumPy would make a deep one of containers in containers."""
    with pytest.raises(TypeError, match=r"are no array, as samples have different shapes; see its values"):
        np.asarray(samples)


@pytest.mark.parametrize(("given", "kept"), [("f2", "f4"), ("f4", "f4"), (">f8", "f8"), ("i8", "f8"), ("?", "f8")])
def test_precision(given: str, kept: str) -> None:
    """As the engine has it."""
    values = np.ones((2, 3, 1), given)
    assert Sequences(values).dtype == kept
    assert Graphs(list(values), [np.eye(3, dtype=given)] * 2).dtype == kept
    assert Sequences([values[0], np.ones((1, 1))]).dtype == "f8"
    with pytest.raises(ValueError, match=r"^<Sequences: 1 of 1 step, .*> have entries beyond the range of float32"):
        Sequences([[[1e300]]]).astype(np.float32)


def test_padding_is_dropped(rng: np.random.Generator) -> None:
    """Whatever it is."""
    values = rng.standard_normal((3, 5, 2))
    lengths = np.array([5, 1, 3])
    padded = values.copy()
    padded[np.arange(5) >= lengths[:, None]] = np.nan
    assert Sequences(padded, lengths) == Sequences([x[:length] for x, length in zip(values, lengths, strict=True)])
    assert Sequences(values) == Sequences(values, [5, 5, 5])


def test_edges_twice_are_added(rng: np.random.Generator) -> None:
    """As scipy does, in any format; those of weight 0 are none."""
    edges = sparse.coo_array(([1.0, 2.0, 4.0, 0.0], ([0, 0, 1, 1], [1, 1, 0, 1])), shape=(2, 2))
    for matrix in (edges, edges.tocsc(), edges.tocsr(), sparse.coo_matrix(edges), edges.toarray(), [[0, 3], [4, 0]]):
        made = Graphs([rng.standard_normal((2, 1))], [matrix])
        assert made.adjacency.nnz == 2
        np.testing.assert_array_equal(made.adjacency.toarray(), [[0, 3], [4, 0]])


NODES: Any = np.ones((3, 2))
EDGES: Any = np.eye(3)
WRONG: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: Sequences([]), ValueError, r"values is empty: of no samples the number of channels is not known"),
    (lambda: Graphs([], []), ValueError, r"features is empty"),
    (
        lambda: Sequences(NODES),
        TypeError,
        r"values must be a list of arrays of shape \(steps, channels\), one for each",
    ),
    (lambda: Sequences("text"), TypeError, r"values must be a list"),
    (lambda: Graphs(NODES, EDGES), TypeError, r"a single sample is Graphs\(\[features\], \[adjacency\]\)"),
    (lambda: Graphs([NODES], EDGES[0, 0]), TypeError, r"adjacency must be a list of matrices, one for each graph"),
    (lambda: Graphs([NODES], sparse.eye_array(3)), TypeError, r"adjacency must be a list of matrices"),
    (lambda: Graphs([NODES], [EDGES] * 2), ValueError, r"there are 1 graphs in features and 2 in adjacency"),
    (
        lambda: Graphs([NODES, NODES[:2]], [EDGES] * 2),
        ValueError,
        r"adjacency\[1\] has shape \(3, 3\), and features\[1\] has 2 nodes: it must be of shape \(2, 2\)",
    ),
    (lambda: Graphs([NODES], [1j * EDGES]), TypeError, r"adjacency\[0\] must hold real numbers, got dtype complex128"),
    (lambda: Graphs([NODES], [sparse.csr_array(1j * EDGES)]), TypeError, r"adjacency\[0\] must hold real numbers"),
    (
        lambda: Graphs([NODES], [np.where(np.eye(3, k=1), np.inf, 0)]),
        ValueError,
        r"adjacency\[0\] contains inf \(first at \(0, 1\)\); every entry must be finite",
    ),
    (
        lambda: Sequences([NODES, np.ones((1, 3))]),
        ValueError,
        r"values\[1\] has 3 channels and values\[0\] has 2; all samples must have as many",
    ),
    (
        lambda: Graphs([NODES, [[0.0, 1.0], [2.0, np.nan]]], [EDGES, np.eye(2)]),
        ValueError,
        r"features contains nan \(first in sample 1, node 1, channel 1\); every entry must be finite",
    ),
    (lambda: Sequences([[[np.inf]]]), ValueError, r"values contains inf \(first in sample 0, step 0, channel 0\)"),
    (lambda: Sequences([NODES[0]]), ValueError, r"values\[0\] must be a matrix of shape \(n, d\), got shape \(2,\)"),
    (
        lambda: Graphs([NODES[0]], [EDGES]),
        ValueError,
        r"n nodes of one feature are features\[0\]\[:, None\], a single node",
    ),
    (lambda: Sequences([NODES[:, :0]]), ValueError, r"values\[0\] has shape \(3, 0\): steps need at least one"),
    (lambda: Sequences([NODES, NODES[:0]]), ValueError, r"values\[1\] has no steps; a sequence has at least one"),
    (lambda: Sequences([1j * NODES]), TypeError, r"values\[0\] must hold real numbers"),
    (lambda: Graphs([sparse.csr_array(NODES)], [EDGES]), TypeError, r"pass features\[0\]\.toarray\(\)"),
    (lambda: Sequences(NODES, [1, 2]), ValueError, r"lengths are for values of shape \(n, length, channels\)"),
    (lambda: Sequences([NODES], [4]), ValueError, r"lengths must be from 1 to 3, .*; lengths\[0\] is 4"),
    (lambda: Sequences([NODES], [0]), ValueError, r"lengths must be from 1 to 3, .*; lengths\[0\] is 0"),
    (lambda: Sequences([NODES], [1, 2]), ValueError, r"lengths must be 1 integers, one for each sequence"),
    (lambda: Sequences([NODES], [1.0]), ValueError, r"lengths must be 1 integers"),
]


@pytest.mark.parametrize(("make", "error", "sentence"), WRONG)
def test_what_is_refused(make: Callable[[], object], error: type[Exception], sentence: str) -> None:
    """In one sentence, which says where."""
    with pytest.raises(error, match=sentence) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_words_of_one() -> None:
    """One of a kind is not many."""
    one, two = Sequences([np.ones((1, 1))]), Graphs([np.ones((2, 2))] * 2, [np.eye(2, k=1)] * 2)
    assert repr(one) == "<Sequences: 1 of 1 step, 1 channel, float64>"
    assert repr(two) == "<Graphs: 2 of 2 nodes, 2 channels, float64, 2 edges>"
    assert repr(two[:1]) == "<Graphs: 1 of 2 nodes, 2 channels, float64, 1 edge>"
    assert ", 2 samples of any number of nodes, 2 features: K(x, x) = " in str(
        networks.gcn(1, readout="sum").summary(two)
    )
    assert ", 1 sample of any number of nodes, 1 feature: K(x, x) = " in str(networks.rnn(1).summary(one))
    assert ", 1 sample of 1 feature: K(x, x) = " in str(networks.mlp(1).summary(np.ones((1, 1))))


@pytest.mark.parametrize("kind", ["a list", "objects"])
def test_matrices_of_different_sizes(kind: str) -> None:
    """Every door that asks for one array says what a list, or an array of objects, of matrices should be."""
    matrices: list[NDArray[np.float64]] = [np.ones((1, 2)), np.ones((3, 2))]
    X: Any = matrices
    if kind == "objects":
        X = np.empty(2, object)
        X[:] = matrices
    samples = r"list\(X\)" if kind == "objects" else "X"
    hint = rf"Samples of different sizes are fastntk\.Sequences\({samples}\), or fastntk\.Graphs\.$"
    for net in (networks.mlp(1), networks.rnn(1)):
        for door in (net.ntk, net.nngp, net.kernels, net.ntk.diag, net.summary, net.ntk.operator):
            with pytest.raises((TypeError, ValueError), match=hint):
                door(X)
    for estimator in (NTKRegressor(), NTKClassifier(), NNGPRegressor()):
        with pytest.raises(ValueError, match=hint):
            estimator.fit(X, [0, 1])
    if kind == "objects":
        with pytest.raises(TypeError, match=r"pass list\(values\)\.$"):
            Sequences(X)
        with pytest.raises(TypeError, match=r"pass list\(features\)\.$"):
            Graphs(X, [np.eye(1), np.eye(3)])
