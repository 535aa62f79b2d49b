"""Results on one line, wrong values short in errors, and both for whatever the package exports."""

from __future__ import annotations

import copy
import doctest
import inspect
import math
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import finite, inference, reference, solvers, store
from fastntk._checks.shown import shown
from fastntk.finite import FiniteNetwork
from fastntk.inference import fitting

mpl.use("agg")
plots, estimators = fastntk.plot, fastntk.sklearn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
Y = X[:, 0].copy()
NET, RELU = fastntk.mlp(1, "erf"), fastntk.mlp(1)
K, THETA = NET.kernels(X)
NETWORK = FiniteNetwork(NET, 8, rng=0, n_inputs=3)
OPERATOR = NET.ntk.operator(X)
TANH = fastntk.Activation("tanh")
FOLDER = tempfile.TemporaryDirectory()


def posterior() -> inference.GPPosterior:
    """Of six samples at themselves."""
    return inference.gp_posterior(K, Y, K, K, noise=0.1)


def process() -> inference.GaussianProcess:
    """Of six samples."""
    return inference.GaussianProcess(NET, X, Y, noise=0.1, mean="constant")


def stored() -> store.StoredKernel:
    """Of six samples, in a folder that lasts as long as the tests."""
    return store.compute(NET, X, FOLDER.name + "/K")


#: A call that makes one, for every class of results that is exported.
RESULTS: dict[type, Any] = {
    fastntk.Activation: lambda: TANH,
    fastntk.AvgPool: lambda: fastntk.AvgPool(2),
    fastntk.Conv: lambda: fastntk.Conv(3),
    fastntk.Flatten: lambda: fastntk.Flatten(),
    fastntk.GlobalAvgPool: lambda: fastntk.GlobalAvgPool(),
    fastntk.GlobalSumPool: lambda: fastntk.GlobalSumPool(),
    fastntk.Reshape: lambda: fastntk.Reshape(8, 8, 1),
    fastntk.Scale: lambda: fastntk.Scale([2, 1]),
    fastntk.Aggregate: lambda: fastntk.Aggregate("mean"),
    fastntk.Recurrent: lambda: fastntk.Recurrent("relu"),
    fastntk.SelfAttention: lambda: fastntk.SelfAttention(),
    fastntk.Graphs: lambda: fastntk.Graphs([np.eye(2)], [np.eye(2)]),
    fastntk.Sequences: lambda: fastntk.Sequences([np.eye(2), np.eye(3, 2)]),
    fastntk.SumPool: lambda: fastntk.SumPool(2),
    fastntk.Concat: lambda: fastntk.Concat("relu", fastntk.Dense()),
    fastntk.Dense: lambda: fastntk.Dense(),
    fastntk.Dropout: lambda: fastntk.Dropout(0.1),
    fastntk.Identity: lambda: fastntk.Identity(),
    fastntk.LayerNorm: lambda: fastntk.LayerNorm(eps=1e-5),
    fastntk.Product: lambda: fastntk.Product("relu", fastntk.Dense()),
    fastntk.Residual: lambda: fastntk.Residual("relu", fastntk.Dense()),
    fastntk.Sum: lambda: fastntk.Sum("relu", fastntk.Dense()),
    fastntk.Kernels: lambda: NET.kernels(X),
    fastntk.Sequential: lambda: NET,
    fastntk.Summary: lambda: NET.summary(X),
    finite.Convergence: lambda: finite.convergence(NET, X, widths=range(4, 40), draws=2, rng=0),
    finite.FiniteNetwork: lambda: NETWORK,
    finite.Linearized: lambda: NETWORK.linearize(X),
    finite.MonteCarlo: lambda: finite.monte_carlo(NET, X, width=4, draws=2, rng=0),
    finite.OutputDistribution: lambda: finite.output_distribution(NET, X, width=4, draws=3, rng=0),
    finite.Trained: lambda: finite.train(NETWORK, X, Y, np.arange(50), learning_rate=0.01),
    inference.CrossEntropy: lambda: inference.CrossEntropy([0, 1] * 100),
    inference.DerivativePosterior: lambda: inference.derivative_posterior(NET, X, Y, X, X, noise=0.1),
    inference.FunctionalFlow: lambda: inference.functional_flow(THETA, lambda f: f - Y, [0, 1], f0_train=0 * Y),
    inference.GPPosterior: posterior,
    inference.GaussianProcess: process,
    inference.JointPrediction: lambda: process().predict(X, covariance=True),
    inference.Prediction: lambda: process().predict(X),
    inference.PredictionGradient: lambda: process().predict(X, gradient=True),
    inference.SampledFunction: lambda: process().sample_function(rng=0),
    inference.GradientFlow: lambda: inference.GradientFlow(THETA, Y, nngp_train=K),
    inference.LaplacePosterior: lambda: inference.laplace_posterior(K, Y > 0),
    inference.LeaveOneOut: lambda: inference.leave_one_out(K, Y, 0.1),
    inference.MarginalLikelihood: lambda: inference.log_marginal_likelihood(K, Y, 0.1, gradient=True),
    inference.Spectrum: lambda: inference.spectrum(K),
    store.StoredKernel: stored,
    solvers.CholeskySolution: lambda: solvers.cholesky(K + np.eye(6), Y),
    solvers.NystromModel: lambda: solvers.nystrom(RELU, X, Y, landmarks=3),
    solvers.Solution: lambda: solvers.pcg(K, Y, ridge=0.1),
    type(OPERATOR): lambda: OPERATOR,
    fastntk.Kernel: lambda: NET.ntk,
    type(NETWORK.parameters[0]): lambda: NETWORK.parameters[0],
    fitting.Fit: lambda: fitting.fit_marginal_likelihood(fastntk.mlp(20), X, Y, noise=0.1),
    plots.DualDisplay: lambda: plots.DualDisplay(["relu"]),
    plots.KernelDisplay: lambda: plots.KernelDisplay(K),
    plots.LearningCurveDisplay: lambda: plots.LearningCurveDisplay([1, 2], {"a": [1, 2]}),
    plots.PredictionDisplay: lambda: plots.PredictionDisplay(X[:, 0], Y),
    plots.SpectrumDisplay: lambda: plots.SpectrumDisplay(inference.spectrum(K)),
    plots.TrainingDisplay: lambda: plots.TrainingDisplay([1, 2], [1], [[1, 2]]),
}


def public(*modules: ModuleType) -> Iterator[Any]:
    """What modules export, by __all__ or as their own."""
    for module in modules:
        for name in getattr(module, "__all__", dir(module)):
            item = getattr(module, name)
            if not name.startswith("_") and (hasattr(module, "__all__") or inspect.getmodule(item) is module):
                yield item


def test_every_result_has_its_line() -> None:
    """The table above has every exported class but estimators (whose repr is scikit-learn's) and warnings."""
    modules = (fastntk, finite, inference, reference, solvers, store, plots)
    classes = {item for item in public(*modules) if isinstance(item, type) and not issubclass(item, Warning)}
    assert classes <= set(RESULTS), classes - set(RESULTS)


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_reprs_are_one_line(kind: type) -> None:
    """Short, named by the class, without the contents of arrays; results unpack and go through pickle and copies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = RESULTS[kind]()
    text = repr(result)
    if kind is fastntk.Summary:  # a table
        assert all(len(line) < 200 for line in text.split("\n"))
        text, _, _ = text.partition("\n")
    assert "\n" not in text
    assert len(text) < 200
    assert (kind.__name__ if kind is not fastntk.Summary else "Sequential of 3 layers") in text
    if kind is not fastntk.Scale:  # the text of a layer is all of it
        assert not re.search(r"array\(|\[ *-?\d+\.", text)
    if isinstance(result, tuple):
        assert len([*result]) == len(result._fields)  # type: ignore[attr-defined]
    if kind.__module__.endswith(("plot", "operator")):
        return
    for again in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert type(again) is kind
        assert repr(again) == repr(result)


@pytest.mark.parametrize("weights", ["normal", "uniform", "rademacher", "student_t", "cauchy"])
@pytest.mark.parametrize("n_inputs", [None, 3])
def test_finite_networks_pickle(weights: str, n_inputs: int | None) -> None:
    """A copy is the same network, drawn or not, and one of its own."""
    network = FiniteNetwork(NET, (5,), rng=1, weights=weights, n_inputs=n_inputs)
    copies = [pickle.loads(pickle.dumps(network)), copy.deepcopy(network), network.copy()]
    outputs = network.forward(X)
    for again in copies:
        assert np.array_equal(again.forward(X), outputs)
        again.parameters[0].W[:] = 0
    assert np.array_equal(network.forward(X), outputs)


def test_a_drawn_network_pickles_whatever_its_law() -> None:
    """A lambda does not, but is done with once the parameters are drawn."""
    network = FiniteNetwork(NET, 5, rng=1, weights=lambda rng, shape: rng.normal(size=shape), n_inputs=3)
    assert np.array_equal(pickle.loads(pickle.dumps(network)).forward(X), network.forward(X))


#: Valid arguments of everything that is called. Each parameter is then given what no one would.
CALLS: list[tuple[Any, dict[str, Any]]] = [
    (fastntk.Dense, {}),
    (fastntk.Sequential, {}),
    (fastntk.Activation, {"activation": "tanh"}),
    (fastntk.Activation, {"activation": np.tanh}),
    (fastntk.Activation.piecewise_linear, {"breakpoints": [0], "slopes": [0, 1]}),
    (fastntk.mlp, {}),
    (NET.replace, {}),
    (NET.summary, {"X": X}),
    (fastntk.network, {"text": "mlp()"}),
    *((door, {"X": X}) for door in (NET.nngp, NET.kernels, NET.ntk.operator, NET.ntk.diag, NET.ntk.gradient)),
    (NET.ntk.vjp, {"X": X, "G": K}),
    (NET.nngp.fluctuation, {"X": X, "width": 5}),
    (TANH, {"x": 1.0}),
    (TANH.derivative, {"x": 1.0}),
    (TANH.dual, {"c": 0.1, "q1": 1, "q2": 1}),
    (TANH.error_bound, {"q1": 1, "q2": 1}),
    (inference.gp_posterior, {"k_train": K, "y": Y, "k_cross": K, "k_test": K, "noise": 0.1}),
    (inference.leave_one_out, {"k_train": K, "y": Y, "noise": 0.1}),
    (inference.log_marginal_likelihood, {"k_train": K, "y": Y, "noise": 0.1}),
    (inference.spectrum, {"kernel": K}),
    (inference.GradientFlow, {"ntk_train": THETA, "y": Y, "nngp_train": K}),
    (inference.GradientFlow(THETA, Y, nngp_train=K).mean, {"t": 1.0}),
    (inference.GradientFlow(THETA, Y, nngp_train=K).covariance, {"t": 1.0}),
    (
        inference.functional_flow,
        {"ntk_train": THETA, "gradient": lambda f: f - Y, "t": [0, 1.0], "f0_train": np.zeros(6)},
    ),
    (inference.CrossEntropy, {"labels": [0, 1]}),
    (inference.dissipation, {"ntk_train": THETA, "gradient": Y}),
    (posterior().sample, {}),
    (inference.GaussianProcess, {"net": NET, "X": X, "y": Y, "noise": 0.1}),
    *((door, {"X": X}) for door in (process().predict, process().sample, process().sample_function())),
    (process().condition, {"X": X, "y": Y}),
    (process().fantasize, {"X": X}),
    (solvers.pcg, {"A": K, "b": Y, "ridge": 0.1}),
    (solvers.cholesky, {"K": K + np.eye(6), "b": Y}),
    (solvers.nystrom, {"net": RELU, "X": X, "y": Y, "landmarks": 3}),
    (finite.FiniteNetwork, {"net": NET, "width": 8, "n_inputs": 3}),
    (finite.train, {"network": NETWORK, "X": X, "y": Y, "t": [0, 1.0]}),
    (finite.convergence, {"net": RELU, "X": X, "widths": (4, 8), "draws": 2}),
    (finite.monte_carlo, {"net": NET, "X": X, "width": 4, "draws": 2}),
    (finite.output_distribution, {"net": NET, "X": X, "width": 4, "draws": 3}),
    (finite.empirical_ntk, {"network": NETWORK, "X": X}),
    (finite.empirical_nngp, {"network": NETWORK, "X": X}),
    (finite.Linearized, {"network": NETWORK, "X": X}),
    (NETWORK.gradient, {"X": X, "cotangents": np.ones((6, 1))}),
    (reference.kernels, {"net": RELU, "X": X}),
    (plots.DualDisplay, {"activations": ["relu"]}),
    (plots.KernelDisplay, {"kernel": K}),
    (plots.LearningCurveDisplay, {"x": [1, 2], "curves": {"a": [1, 2]}}),
    (plots.PredictionDisplay, {"x": [1, 2], "mean": [1, 2]}),
    (plots.SpectrumDisplay, {"spectra": inference.spectrum(K)}),
    (plots.TrainingDisplay, {"x": [1, 2], "times": [1], "means": [[1, 2]]}),
]

#: Whatever is shown of these whole is a page.
HOSTILE: dict[str, Any] = {
    "matrix": np.ones((16, 16)),
    "cube": RNG.normal(size=(10, 4, 4)),
    "vector": RNG.normal(size=500),
    "NaN": np.full((20, 20), np.nan),
    "complex": 1j * np.ones(300),
    "records": np.zeros(300, [("a", "f8"), ("b" * 300, "f8")]),
    "objects": np.array([object()] * 300),
    "integers": list(range(-1, 2000)),
    "text": "x" * 20_000,
    "texts": ["y" * 1000] * 50,
    "bytes": b"z" * 5000,
    "nested": [[[["a"] * 20] * 20] * 5] * 5,
    "mapping": {"k" * 500: "v" * 500},
    "huge": 10**5000,
    "function": lambda *_: "q" * 1000,
    "class": dict,
    "network": fastntk.mlp(6),
    "negative": -1.5,
    "None": None,
}


def complaint(call: Any, label: str) -> str:
    """What is wrong about how a call refuses its arguments, or nothing."""
    try:
        call()
    except (TypeError, ValueError) as error:
        text = re.sub(r" Known are .*", "", str(error))
        return f"{label}: {len(text)} characters: {text[:100]!r}" if len(text) > 400 or "\n" in text else ""
    except Exception as error:
        return f"{label}: {type(error).__name__}: {str(error)[:100]!r}"
    return ""


@pytest.mark.parametrize(("function", "valid"), CALLS, ids=lambda value: getattr(value, "__qualname__", ""))
def test_wrong_values_are_not_printed_whole(function: Any, valid: dict[str, Any]) -> None:
    """Everything for every parameter: taken, or refused by a TypeError or ValueError of a line or three."""
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(**valid)
        for name, parameter in inspect.signature(function).parameters.items():
            for label, value in HOSTILE.items():
                if parameter.kind is parameter.VAR_POSITIONAL:
                    wrong.append(complaint(lambda v=value: function(v), f"{name}, {label}"))
                elif parameter.kind is not parameter.VAR_KEYWORD:
                    arguments = {**valid, name: value}
                    wrong.append(complaint(lambda a=arguments: function(**a), f"{name}, {label}"))
    assert not list(filter(None, wrong))


@pytest.mark.parametrize("name", fastntk.sklearn.__all__)
def test_wrong_parameters_of_estimators_are_not_printed_whole(name: str) -> None:
    """Likewise; random_state is scikit-learn's to check."""
    estimator = getattr(estimators, name)
    small = {"n_components": 4} if name == "NTKFeatures" else {"n_landmarks": 3} if "Nystrom" in name else {}
    labels = Y > 0 if "Classifier" in name else Y

    def use(parameters: dict[str, Any]) -> None:
        made = estimator(**{**small, **parameters})
        made(X) if "Kernel" in name else made.fit(X, labels)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use({})
        wrong = [
            complaint(lambda given={parameter: value}: use(given), f"{parameter}, {label}")
            for parameter in inspect.signature(estimator).parameters
            for label, value in HOSTILE.items()
            if parameter != "random_state"
        ]
    assert not list(filter(None, wrong))


def test_shown() -> None:
    """One line of at most 120 characters; short values are as Python writes them."""
    for value in (1, -0.5, "relu", None, True, [1, 2], (1.0,), {"a": 1}, 1j, slice(1, 2), np.float64(2.0)):
        assert shown(value) == repr(value)
    assert shown(np.ones((3, 4), np.float32)) == "<ndarray (3, 4) float32>"
    assert shown([np.ones(3)]) == "[<ndarray (3,) float64>]"
    assert shown(10**5000) == "an integer of 16610 bits"
    assert shown(dict) == "the class dict"
    for value in HOSTILE.values():
        assert len(shown(value)) <= 120
        assert "\n" not in shown(value)


def scalar_relu(x: Any) -> Any:
    """A function of one number."""
    return x if x > 0 else 0.0


@pytest.mark.parametrize("function", [math.tanh, math.erf, math.log1p, scalar_relu], ids=lambda f: f.__name__)
def test_functions_of_one_number(function: Any) -> None:
    """They are told from functions that fail, and work as np.vectorize of it."""
    with pytest.raises(TypeError, match=r"must take an array; .* one number at a time.*np.tanh for math.tanh"):
        fastntk.mlp(1, function).ntk(X)
    if function is math.log1p:
        with pytest.raises(ValueError, match=r"^math domain error$"):
            fastntk.mlp(1, np.vectorize(function)).ntk(X)
    else:
        kinks = [0.0] if function is scalar_relu else []
        name = {"tanh": "tanh", "erf": "erf", "scalar_relu": "relu"}[function.__name__]
        found = fastntk.Activation(np.vectorize(function, otypes=[float]), kinks=kinks).dual(0.5, 1.0, 1.0)
        np.testing.assert_allclose(found, fastntk.Activation(name).dual(0.5, 1.0, 1.0), rtol=1e-8)


def test_functions_that_fail_keep_their_error() -> None:
    """The user's own mistake is not explained away."""

    def broken(_: NDArray[Any]) -> NDArray[Any]:
        raise ValueError("a mistake of mine")

    with pytest.raises(ValueError, match=r"^a mistake of mine$"):
        fastntk.mlp(1, broken).ntk(X)


def test_kernels_of_scikit_learn_compare() -> None:
    """Bounds may be arrays."""
    from sklearn.base import clone

    for kind in (estimators.NNGPKernel, estimators.NTKKernel):
        bounds: Any = np.array([0.1, 10.0])
        kernel = kind(sigma_w_bounds=bounds)
        assert kernel == clone(kernel)
        assert kernel == kind(sigma_w_bounds=(0.1, 10.0))
        assert kernel != kind(sigma_w_bounds=(0.1, 11.0))
        assert kernel != kind(sigma_w_bounds="fixed")
        assert kind(network=NET) == kind(network=fastntk.mlp(1, "erf"))
        assert kind(network=NET) != kind(network=RELU)


def python(code: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_parts_load_lazily() -> None:
    """They are listed, and imported when asked for; nothing heavy comes with the package itself."""
    parts = ("dask", "finite", "plot", "sklearn", "solvers")
    assert set(parts) <= set(dir(fastntk))
    found = python(
        "import sys, fastntk\n"
        "heavy = ('matplotlib', 'dask', 'sklearn', 'scipy.sparse', 'torch', 'zarr')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        f"for part in {parts}: print(getattr(fastntk, part).__name__)"
    )
    assert found.split("\n") == [
        "[]",
        *(f"fastntk.{part}" for part in ("dask", "finite", "plot", "sklearn", "solvers")),
    ]


def test_missing_extras_get_their_sentence() -> None:
    """The same by attribute and by import; and what merely looks around goes on."""
    found = python(
        "import inspect, sys\n"
        "sys.modules.update(dict.fromkeys(('dask', 'gpytorch', 'matplotlib', 'sklearn')))\n"
        "import fastntk\n"
        "for part in ('dask', 'gpytorch', 'plot', 'sklearn'):\n"
        "    try: getattr(fastntk, part)\n"
        "    except AttributeError as error: print(error)\n"
        "    try: exec(f'from fastntk import {part}')\n"
        "    except ImportError as error: print(error)\n"
        "print('Dense' in dict(inspect.getmembers(fastntk)))"
    ).split("\n")
    for part, by_attribute, by_import in zip(
        ("dask", "gpytorch", "plot", "sklearn"), found[0::2], found[1::2], strict=False
    ):
        assert re.fullmatch(rf'fastntk.{part} needs .*: pip install "fastntk\[{part}\]"\.', by_attribute)
        assert by_import == by_attribute
    assert found[8:] == ["True"]


def test_missing_packages_of_a_store_get_their_sentence() -> None:
    """Which is imported without them, as what is in a folder can be said without."""
    packages = ("zarr", "filelock", "google_crc32c")
    found = python(
        "import sys, fastntk\n"
        f"for package in {packages}:\n"
        "    sys.modules[package] = None\n"
        "    for call in (lambda store: store.compute(fastntk.mlp(1), [[1.0]], 'K'), lambda store: store.open('K')):\n"
        "        try: call(fastntk.store)\n"
        "        except ImportError as error: print(error)\n"
        "    del sys.modules[package]"
    )
    assert found.split("\n") == [
        f'fastntk.store needs {package}: pip install "fastntk[store]".' for package in packages for _ in range(2)
    ]


def test_help_opens_with_an_example() -> None:
    """What it is, then an example that runs."""
    assert fastntk.__doc__ is not None
    first, second = fastntk.__doc__.split("\n\n")[:2]
    assert "kernels of infinitely wide neural networks" in first
    assert second.startswith(">>> ")
    found = doctest.testmod(fastntk)
    assert found.attempted >= 5
    assert not found.failed
