"""What is no set of samples, by every door: each ends in one sentence of the package, and what is taken is finite."""

from __future__ import annotations

import copy
import pickle
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

import fastntk
import fastntk.sklearn as estimators
from fastntk import (
    Activation,
    Aggregate,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Graphs,
    LayerNorm,
    Residual,
    Sequences,
    Sequential,
    _core,
)
from fastntk.sklearn import NTKClassifier, NTKRegressor

PACKAGE = Path(fastntk.__file__).parent
ONE = np.ones((2, 2))
RNN = fastntk.rnn(1, "relu")
ESTIMATORS = [name for name in estimators.__all__ if hasattr(getattr(estimators, name), "fit")]

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
        assert Path(last).is_relative_to(PACKAGE), f"{last}: {text}"
        assert text.endswith((".", ")")), text
        assert "\n" not in text
    else:
        assert np.isfinite(found.values if isinstance(found, Sequences | Graphs) else found).all()


def arrays(count: int = 2) -> NDArray[Any]:
    """Matrices of different sizes as an array of objects."""
    made = np.empty(count, object)
    made[:] = [np.ones((2 + i, 2)) for i in range(count)]
    return made


@pytest.mark.parametrize("name", ESTIMATORS)
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
    with pytest.raises(AttributeError) as caught:
        _ = model.predict_proba
    assert "pass probability='temperature'" in str(caught.value.__cause__)
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
        with pytest.raises(ValueError, match=r"of X.* is 0 where a LayerNorm divides by it: pass eps > 0, or") as one:
            found.ntk(data)
        assert len(str(one.value)) < 220


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("where", ["X", "y", "predict", "list", "lists"])
def test_masks_are_not_dropped(name: str, where: str) -> None:
    """By any estimator, whatever has the mask."""
    model, X, y = getattr(estimators, name)(), np.random.default_rng(0).normal(size=(8, 2)), np.arange(8) % 2
    masked: Any = np.ma.masked_array(X, X > 0)
    if where == "y":
        if name == "NTKFeatures":
            return  # which does not look at it
        masked = np.ma.masked_array(y, y > 0)
    elif where == "list":
        masked = list(masked)
    elif where == "lists":
        masked = [[np.ma.masked_array([0.5, 1.0], mask=[True, False]), [1.0, 2.0]]] * 8
    call: Callable[..., Any] = model.fit
    given: tuple[Any, ...] = (masked, y)
    if where == "y":
        given = (X, masked)
    elif where == "predict":
        call, given = (model.transform if name == "NTKFeatures" else model.fit(X, y).predict), (masked,)
        model.fit(X, y)
    with pytest.raises(TypeError, match=r"^[Xy] (is a masked array|has masked arrays); fill or drop"):
        call(*given)


@pytest.mark.parametrize("network", [*Sequences.readers, *Graphs.readers])
def test_networks_that_estimators_advise(network: str) -> None:
    """Each can be fitted to what it is advised for, and the advice names it."""
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 2)) for _ in range(6)]
    X: Any = Graphs(values, [ONE[:1, :1] * np.ones((3, 3))] * 6) if network.startswith("g") else Sequences(values)
    with pytest.raises(ValueError, match=re.escape(f"fastntk.{network}")):
        NTKRegressor().fit(X, np.arange(6.0))
    found = NTKRegressor(network=fastntk.network(network)).fit(X, np.arange(6.0)).predict(X)
    assert np.isfinite(found).all()


def test_what_is_beyond_float64() -> None:
    """Is infinite there, which is seen where it is given."""
    large = np.array(["1e400", "1"], np.longdouble)
    with pytest.raises(ValueError, match=r"^y contains inf \(first at \(0,\)\)"):
        fastntk.inference.log_marginal_likelihood(np.eye(2), large)
    with pytest.raises(ValueError, match=r"^adjacency\[0\] contains inf"):
        Graphs([ONE], [np.array([large, large])])
    with pytest.raises(ValueError, match=r"^adjacency\[0\] contains inf \(first at \(0, 1\)\)"):
        Graphs([ONE], [sparse.coo_array(([1e308, 1e308], ([0, 0], [1, 1])), shape=(2, 2))])
    with pytest.raises(ValueError, match="beyond the range of float32"):
        Sequences([1e200 * ONE]).astype("float32")


@pytest.mark.parametrize("dtype", ["int", "f2", "longdouble", "no dtype"])
def test_dtypes_of_samples(dtype: str) -> None:
    """They are float32 or float64."""
    with pytest.raises(TypeError, match=r"^dtype must be float32 or float64"):
        Sequences([ONE]).astype(dtype)


@pytest.mark.parametrize("given", ["users'", "own"])
def test_adjacency_is_left_alone(given: str) -> None:
    """What users give is not changed, and what a container has, also a copy of one, cannot be."""
    twice = sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
    X = Graphs([ONE], [twice])
    if given == "users'":
        assert twice.nnz == 2
        twice.data[:] = 5
        assert X.adjacency[0, 1] == 3
        return
    for one in (X, copy.deepcopy(X), pickle.loads(pickle.dumps(X)), X[:1]):
        with pytest.raises(ValueError, match="read-only"):
            one.adjacency.data[:] = 5
        with pytest.raises(ValueError, match="read-only"):
            one.values[:] = 5
        assert one == X


def test_keys_of_equal_samples() -> None:
    """Are the same: of 0 and -0 too."""
    one, other = Sequences([[[0.0]]]), Sequences([[[-0.0]]])
    assert one == other
    assert one.keys == other.keys
    assert one.keys != Sequences([[[1.0]]]).keys


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (2, "there is no sample 2 among 2"),
        (7, "there is no sample 7 among 2"),
        (-3, "there is no sample -3 among 2"),
        ([0, 9], "there is no sample 9 among 2"),
        (np.array([True]), "a mask of 1 entries is not one of 2 samples"),
    ],
)
def test_samples_that_are_not_there(key: Any, sentence: str) -> None:
    """An IndexError, as of a list, with a sentence."""
    with pytest.raises(IndexError, match=sentence):
        Sequences([ONE, ONE])[key]


@pytest.mark.parametrize("key", [True, False])
def test_a_truth_value_is_no_number(key: bool) -> None:
    """Of a sample."""
    with pytest.raises(TypeError, match="are indexed by samples"):
        Sequences([ONE, ONE])[key]


@pytest.mark.parametrize("y", [["a", 1], np.array(["a", 1], object), np.array(["a", None], object)], ids=str)
@pytest.mark.parametrize("name", ["NTKClassifier", "NNGPClassifier", "NystromNTKClassifier"])
def test_labels_of_several_types(name: str, y: Any) -> None:
    """NumPy cannot sort them."""
    with pytest.raises((TypeError, ValueError), match=r"all be text or all be numbers|contains NaN|None"):
        getattr(estimators, name)().fit(np.eye(2), y)


@pytest.mark.parametrize("name", ["NTKRegressor", "NNGPRegressor", "NystromNTKRegressor"])
@pytest.mark.parametrize("samples", [np.eye(2), Sequences([ONE] * 2)], ids=["rows", "sequences"])
def test_targets_that_are_text(name: str, samples: Any) -> None:
    """Are no numbers."""
    network = None if isinstance(samples, np.ndarray) else RNN
    with pytest.raises((TypeError, ValueError), match="y must hold real numbers, got dtype"):
        getattr(estimators, name)(network=network).fit(samples, np.array(["a", "b"]))


RAGGED: Any = [[1.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("name", "door"),
    [
        ("noise", lambda: estimators.NNGPRegressor(noise=RAGGED).fit(np.eye(2), [0.0, 1.0])),
        ("noise", lambda: fastntk.inference.gp_posterior(np.eye(2), [0, 1], np.eye(2), noise=RAGGED)),
        (
            "samples",
            lambda: fastntk.inference.GaussianProcess(fastntk.mlp(1), np.eye(2), [0, 1]).fantasize(ONE, RAGGED),
        ),
        ("landmarks", lambda: fastntk.solvers.nystrom(fastntk.mlp(1), ONE, [0, 1], landmarks=[ONE, np.ones((3, 2))])),
        ("A", lambda: fastntk.solvers.pcg(RAGGED, [0.0, 1.0])),
        ("y", lambda: fastntk.solvers.nystrom(fastntk.mlp(1), ONE, RAGGED, landmarks=2)),
        ("f0_test", lambda: fastntk.inference.GradientFlow(np.eye(2), [0.0, 1.0]).mean(1.0, f0_test=RAGGED)),
    ],
)
def test_rows_of_different_lengths(name: str, door: Callable[[], Any]) -> None:
    """Where a number or an array may be."""
    with pytest.raises((TypeError, ValueError), match=rf"^{name} must be an array: ") as caught:
        door()
    assert Path(traceback.extract_tb(caught.value.__traceback__)[-1].filename).is_relative_to(PACKAGE)


@pytest.mark.parametrize("values", [np.ones((2, 2, 2, 2)), np.ones(3)], ids=["images", "one row"])
def test_advice_for_padded_sequences(values: NDArray[Any]) -> None:
    """It is not that for rows."""
    with pytest.raises(ValueError, match=r"^lengths are for values of shape \(n, length, channels\), got \d axes\.$"):
        Sequences(values, [1, 1])


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrices_of_other_classes() -> None:
    """np.matrix is solved as the array that it is, where products of another shape were written beyond the end."""
    y = np.arange(3.0)
    np.testing.assert_allclose(fastntk.solvers.cholesky(np.matrix(np.eye(3)), y, ridge=1.0).x, y / 2, rtol=1e-15)
    with pytest.raises(ValueError, match="does not fit"):
        _core.matrix_times("baseline", 1, np.eye(3), False, np.ones((3, 3)), np.empty((1, 3)))


@pytest.mark.parametrize("solve", [fastntk.solvers.cholesky, fastntk.solvers.pcg])
def test_masked_matrices(solve: Callable[..., Any]) -> None:
    """Have no inverse."""
    masked = np.ma.masked_array(np.eye(3), np.eye(3) > 0)
    for given in (masked, list(masked))[: 1 if solve is fastntk.solvers.cholesky else 2]:
        with pytest.raises(TypeError, match="fill or drop the masked entries first"):
            solve(given, np.arange(3.0))


def test_a_dtype_by_its_class() -> None:
    """As NumPy takes it."""
    pivots, _ = fastntk.solvers.random_pivots(
        lambda rows, columns: np.eye(3)[np.ix_(rows, columns)], np.ones(3), 2, np.random.default_rng(0), np.float64
    )
    assert len(pivots) == 2


@pytest.mark.parametrize("parametrized", [Dense(1.0, parametrization="standard", bias=True), Dense(1.0, 0.3)], ids=str)
def test_what_theta_alone_cannot_tell(parametrized: Dense) -> None:
    """At 0 a bias that is 0 at first has a Theta without K: the NNGP kernel is there all the same."""
    net = Sequential(parametrized, "relu", Dense())
    zero = np.zeros((1, 2))
    for kernel in (net.nngp(zero), net.nngp.diag(zero)[None]):
        np.testing.assert_allclose(kernel, fastntk.reference.nngp(net, zero), rtol=1e-14)
    if parametrized.sigma_b == 0:
        for call in (net.ntk, net.kernels, net.ntk.diag):
            with pytest.raises(
                ValueError, match=r"is 0 where a bias or weights that begin at 0 are trained: pass sigma_b > 0\.$"
            ):
                call(zero)
        with pytest.raises(ValueError, match="where a bias or weights that begin at 0 are trained"):
            Sequential(parametrized, LayerNorm(eps=0.1), "relu", Dense()).ntk(zero)


def test_a_direction_that_is_not_known() -> None:
    """Of what is 0 behind branches, where a jump wants it; and zero weights that are trained, without any bias."""
    block = Residual("relu", Dense())
    for net in (Sequential(Dense(), block, "step"), Sequential(Dense(), block, "sign", Dense())):
        with pytest.raises(
            ValueError, match=r"float64, or 0, in the network, where its direction matters \(at the end"
        ):
            net.kernels(np.array([[1.0, 2.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="where a bias or weights that begin at 0 are trained"):
        Sequential(Dense(width=4), Dense(0.0, parametrization="standard"), "relu").ntk(np.ones((1, 2)))


def test_advice_where_rounding_is_left() -> None:
    """Larger data help, a float32's larger precision too, and eps where it is larger."""
    net = Sequential(Dense(), Activation("exp", a=0.5, b=0.7), LayerNorm(eps=0.0), Dense())
    with pytest.raises(ValueError, match=r"nothing but rounding where a layer divides by it: scale the data up"):
        net.nngp(np.full((1, 2), 1e-9))
    assert np.isfinite(net.nngp(np.full((1, 2), 0.5))).all()


BESIDE: dict[str, Any] = {"depth": 5, "activation": "erf", "sigma_w": 2.0, "sigma_b": [0.1, 0.2]}


@pytest.mark.parametrize("parameter", BESIDE)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_parameters_beside_a_network(name: str, parameter: str) -> None:
    """Have no effect, which a search over them would not show."""
    model = getattr(estimators, name)(network=fastntk.mlp(2))
    if parameter in model.get_params():
        with pytest.raises(ValueError, match=rf"^{parameter}=.* has no effect beside network=: leave it out"):
            model.set_params(**{parameter: BESIDE[parameter]}).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(ValueError, match=rf"^{parameter}=.* has no effect beside network="):
        estimators.NNGPKernel(network=fastntk.mlp(2), **{parameter: BESIDE[parameter]})(np.eye(4))


@pytest.mark.parametrize("name", ["NTKRegressor", "NTKClassifier", "NNGPRegressor", "NystromNTKRegressor"])
def test_what_is_larger_than_the_kernel(name: str) -> None:
    """Of a deep network of small sigmas nothing is left beside it."""
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    given = {"n_landmarks": 5} if name.startswith("Ny") else {}
    with pytest.warns(UserWarning, match=r"is larger than the kernel, whose diagonal is .* so that predictions are"):
        getattr(estimators, name)(30, **given).fit(X, y)


def test_targets_of_nodes() -> None:
    """Of one graph go into a kernel between its nodes."""
    with pytest.raises(ValueError, match=r"X is one sample and y has 3 targets.*SVC\(kernel='precomputed'\)"):
        NTKClassifier(network=fastntk.gcn(2)).fit(Graphs([np.eye(3)], [np.ones((3, 3))]), [0, 1, 0])


@pytest.mark.parametrize("name", ["NNGPKernel", "NTKKernel"])
def test_networks_in_the_place_of_a_depth(name: str) -> None:
    """Are seen where a kernel is made."""
    with pytest.raises(TypeError, match=rf"depth is a network: pass it by name, {name}\(network="):
        getattr(estimators, name)(fastntk.mlp(2))
