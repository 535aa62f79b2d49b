"""Graphs, sequences and arrays through every door of the package, by layers that mix their nodes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import SVC
from tests.ragged import graphs as hard_graphs
from tests.ragged import sequences as hard_sequences

import fastntk
from fastntk import (
    Aggregate,
    Dense,
    GlobalAvgPool,
    GlobalSumPool,
    Graphs,
    Recurrent,
    Reshape,
    SelfAttention,
    Sequences,
    Sequential,
    reference,
)
from fastntk.__main__ import main
from fastntk.inference import GaussianProcess, derivative_posterior, fit_marginal_likelihood, log_marginal_likelihood
from fastntk.samples import Ragged
from fastntk.samples.ragged import joined
from fastntk.sklearn import (
    NNGPClassifier,
    NNGPKernel,
    NNGPRegressor,
    NTKClassifier,
    NTKFeatures,
    NTKKernel,
    NTKRegressor,
    NystromNTKClassifier,
    NystromNTKRegressor,
)
from fastntk.solvers import nystrom, pcg

N = 24
RNG = np.random.default_rng(0)
LABELS = np.arange(N) % 2
SIZES = RNG.integers(2, 6, N)
NODES = [RNG.normal(size=(size, 3)) + 1.5 * label for size, label in zip(SIZES, LABELS, strict=True)]
EDGES = [np.triu(RNG.random((size, size)) < 0.4, 1) for size in SIZES]
G, S = Graphs(NODES, [half | half.T for half in EDGES]), Sequences(NODES)
A = RNG.normal(size=(N, 4, 3)) + 0.7 * LABELS[:, None, None]
TARGETS = A[:, 0, 0]

READ = ("relu", Dense(1.0, 0.1), GlobalAvgPool(), Dense(1.0, 0.2))
GNN = Sequential(Aggregate(), Dense(), *READ)
ATTENTION = Sequential(SelfAttention(), *READ)
RNN = Sequential(Recurrent("relu", sigma_b=0.1), Dense())
FLAT = Sequential(Reshape(4, 3), *ATTENTION)

ALL = pytest.mark.parametrize(("net", "X"), [(GNN, G), (ATTENTION, S), (RNN, S)], ids=["gnn", "attention", "rnn"])


def dense(net: Sequential, X: Any, Y: Any = None) -> NDArray[np.float64]:
    """The NTK by the reference."""
    return np.asarray(reference.ntk(net, X, Y))


def test_samples_are_indexed_as_rows() -> None:
    """A kernel of samples in another order, some twice, some left out, is that part of the whole."""
    K = GNN.ntk(G)
    order, mask = RNG.permutation(N), LABELS == 1
    for key in (order, mask, [3, 3, 0], slice(None, None, -2)):
        np.testing.assert_allclose(GNN.ntk(G[key]), K[key][:, key], rtol=1e-13)
    np.testing.assert_allclose(GNN.ntk(joined(G[:5], G[5:])), K, rtol=1e-13)
    assert GNN.ntk(G[:0], G).shape == (0, N)
    with pytest.raises(ValueError, match=r"samples that follow <Graphs: .*> must be alike, got <Sequences"):
        joined(G, S)


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (NTKClassifier, {}),
        (NTKClassifier, {"probability": "temperature"}),
        (NNGPClassifier, {}),
        (NNGPRegressor, {}),
        (NNGPRegressor, {"optimizer": "lbfgs"}),
        (NTKRegressor, {}),
        (NystromNTKRegressor, {"n_landmarks": 9, "random_state": 0}),
        (NystromNTKClassifier, {"n_landmarks": 9, "random_state": 0, "choice": "uniform"}),
    ],
)
def test_estimators(estimator: Any, options: dict[str, Any]) -> None:
    """They fit, predict in parts, are cloned and pickled; wrong samples are refused in a sentence."""
    model = estimator(network=GNN, **options).fit(G, LABELS)
    assert model.n_features_in_ == 3
    assert model.score(G, LABELS) > 0.6
    found = model.predict(G)
    np.testing.assert_allclose(model.predict(G[::-1])[::-1], found, rtol=1e-9)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model)).predict(G), found, rtol=1e-9)
    np.testing.assert_allclose(clone(model).fit(G, LABELS).predict(G), found, rtol=1e-9)
    for other, sentence in (
        (Graphs([np.ones((2, 2))], [np.ones((2, 2))]), "X has 2 channels, but .* was fitted to 3"),
        (np.ones((2, 3)), "are no graphs"),
        (G[:0], "no samples"),
    ):
        with pytest.raises(ValueError, match=sentence):
            model.predict(other)


def test_estimators_are_the_textbook() -> None:
    """Kernel ridge regression, and over all samples as landmarks, by the reference's kernel."""
    train, test = slice(0, 16), slice(16, N)
    K = dense(GNN, G)
    expected = K[test, train] @ np.linalg.solve(K[train, train] + 0.1 * np.eye(16), TARGETS[train])
    by_landmarks = NystromNTKRegressor(network=GNN, n_landmarks=16, ridge=0.1, tol=1e-12, random_state=0)
    np.testing.assert_allclose(by_landmarks.fit(G[train], TARGETS[train]).predict(G[test]), expected, rtol=1e-5)
    mean, std = NNGPRegressor(network=GNN, noise=0.1).fit(G[train], TARGETS[train]).predict(G[test], return_std=True)
    K = np.asarray(reference.nngp(GNN, G))
    inverse = np.linalg.inv(K[train, train] + 0.1 * np.eye(16))
    np.testing.assert_allclose(mean, K[test, train] @ inverse @ TARGETS[train], rtol=1e-7)
    left = K[test, test] - K[test, train] @ inverse @ K[train, test]
    np.testing.assert_allclose(std**2, left.diagonal(), rtol=1e-7)


@pytest.mark.parametrize(
    "model",
    [NTKRegressor(network=GNN, ridge=1e-5), NNGPRegressor(network=GNN, noise=1e-5), NNGPClassifier(network=GNN)],
)
def test_kernels_are_float64(model: Any) -> None:
    """Whatever graphs are, as those of rows are."""
    single = G.astype(np.float32)
    found, wanted = (clone(model).fit(x, LABELS) for x in (single, single.astype(np.float64)))
    np.testing.assert_allclose(found.dual_coef_, wanted.dual_coef_, rtol=1e-12)
    np.testing.assert_allclose(found.predict(single), wanted.predict(single), rtol=1e-12)


@ALL
def test_cross_validation(net: Sequential, X: Ragged) -> None:
    """scikit-learn's own splits and searches."""
    assert cross_val_score(NTKClassifier(network=net), X, LABELS, cv=3, error_score="raise").mean() > 0.5
    search = GridSearchCV(NTKClassifier(network=net), {"ridge": [1e-3, 1e-1]}, cv=3, error_score="raise")
    assert search.fit(X, LABELS).best_params_["ridge"] in (1e-3, 1e-1)


def test_scikit_learn_kernels_and_features() -> None:
    """Rows, by Reshape; others where scikit-learn lets them through; no random features."""
    rows = A.reshape(N, -1)
    np.testing.assert_array_equal(NTKKernel(network=FLAT)(rows), ATTENTION.ntk(A))
    assert NTKClassifier(network=FLAT).fit(rows, LABELS).score(rows, LABELS) > 0.9
    process = GaussianProcessRegressor(NNGPKernel(network=FLAT), alpha=0.1, optimizer=None).fit(rows, TARGETS)
    expected = GaussianProcess(ATTENTION, A, TARGETS, noise=0.1).predict(A[:3]).mean
    np.testing.assert_allclose(process.predict(rows[:3]), expected, rtol=1e-8)
    assert SVC(kernel=NTKKernel(network=GNN)).fit(G, LABELS).score(G, LABELS) > 0.6
    with pytest.raises(TypeError, match="Graphs are no array, as samples have different shapes"):
        GaussianProcessRegressor(NNGPKernel(network=GNN)).fit(G, TARGETS)
    with pytest.raises(TypeError, match="random features are those of networks on vectors, got Graphs"):
        NTKFeatures(16).fit(G)
    with pytest.raises(ValueError, match=r"samples are rows, got X of shape \(24, 4, 3\): pass fastntk.Sequences\(X\)"):
        NTKClassifier(network=ATTENTION).fit(A, LABELS)
    assert NTKClassifier(network=ATTENTION).fit(Sequences(A), LABELS).score(Sequences(A), LABELS) > 0.9
    with pytest.raises(ValueError, match=r"rows, got X of shape \(24, 2, 2, 3\): pass X.reshape\(len\(X\), -1\)"):
        NTKClassifier(network=ATTENTION).fit(A.reshape(N, 2, 2, 3), LABELS)


@ALL
def test_operator(net: Sequential, X: Ragged) -> None:
    """Products, blocks and a solution without the matrix; beside prepared samples."""
    K = dense(net, X)
    operator = net.ntk.operator(X, ridge=0.1)
    np.testing.assert_allclose(operator @ TARGETS, K @ TARGETS + 0.1 * TARGETS, rtol=1e-11)
    np.testing.assert_allclose(operator.block([5, 1], slice(3)), K[[5, 1], :3], rtol=1e-11)
    np.testing.assert_allclose(operator.diagonal(), K.diagonal() + 0.1, rtol=1e-12)
    np.testing.assert_allclose(pcg(operator, TARGETS, rank=8).x, pcg(K, TARGETS, ridge=0.1).x, rtol=1e-3, atol=1e-4)
    prepared = net.ntk.prepare(X[:5])
    assert repr(prepared).startswith("PreparedKernel(5 rows")
    np.testing.assert_allclose(prepared.operator(X) @ np.ones(5), K[:, :5].sum(axis=1), rtol=1e-11)


@pytest.mark.parametrize("choice", ["pivoted", "uniform"])
def test_landmarks(choice: Any) -> None:
    """Chunks of graphs; the same graph is no landmark twice; given ones."""
    twice = joined(G, G)
    chunks = [(twice[i : i + 10], np.tile(TARGETS, 2)[i : i + 10]) for i in range(0, 2 * N, 10)]
    with pytest.warns(UserWarning, match="24 landmarks were found, not 30"):
        model = nystrom(GNN, lambda: chunks, landmarks=30, choice=choice, ridge=0.2, tol=1e-12, rng=0)
    K = dense(GNN, G)
    np.testing.assert_allclose(model.predict(G), K @ np.linalg.solve(K + 0.1 * np.eye(N), TARGETS), rtol=1e-4)
    given = nystrom(GNN, G, TARGETS, landmarks=G[:4], ridge=0.1, choice=choice, rng=0)
    assert given.landmarks == G[:4]
    some = K[:, :4]
    expected = some @ np.linalg.solve(some.T @ some + 0.1 * K[:4, :4], some.T @ TARGETS)
    np.testing.assert_allclose(given.predict(G), expected, atol=1e-3)
    with pytest.raises(ValueError, match="X are Sequences, without edges"):
        given.predict(S)
    with pytest.raises(TypeError, match="X are Graphs and Y Sequences"):
        nystrom(ATTENTION, S, TARGETS, landmarks=4, rng=0).predict(G)


@pytest.mark.parametrize(
    ("net", "X", "others"),
    [
        (GNN, G, [(G[::-1], "X had other values"), (G[:5], r"the shape of X was \[24, 3\], not \[5, 3\]")]),
        (ATTENTION, S, [(G, "X had other values"), (A, "the shape of X was"), (S.astype(np.float32), "dtype")]),
        (ATTENTION, A, [(A + 1, "X had other values"), (S, "the shape of X was")]),
    ],
    ids=["graphs", "sequences", "arrays"],
)
def test_store(net: Sequential, X: Any, others: list[tuple[Any, str]], tmp_path: Path) -> None:
    """What is missing is computed to the same bits; stores of other samples are refused; outputs in Zarr."""
    zarr = pytest.importorskip("zarr")
    path, wanted = tmp_path / "K.zarr", net.ntk(X)
    fastntk.store.compute(net, X, path, chunk=10)
    for chunk in list(path.glob("c/*/*"))[::2]:
        chunk.unlink()
    stored = fastntk.store.compute(net, X, path)
    np.testing.assert_array_equal(stored, wanted)
    assert fastntk.store.open(path).network == net
    assert stored.is_of(X)
    assert not stored.is_of(X[::-1])
    for other, sentence in others:
        with pytest.raises(ValueError, match=sentence):
            fastntk.store.compute(net, other, path)
    np.testing.assert_array_equal(stored, wanted)
    out = zarr.create_array(tmp_path / "out.zarr", shape=(N, N), chunks=(7, 7), dtype="float64")
    net.ntk(X, out=out)
    np.testing.assert_array_equal(out[:], wanted)


def test_nodes_of_one_sample(tmp_path: Path) -> None:
    """A kernel between them goes to memory and to files, not to a store."""
    pytest.importorskip("zarr")
    net, one = Sequential(Aggregate(), Dense(), "relu", Dense()), G[[int(SIZES.argmax())]]
    out = np.memmap(tmp_path / "K", np.float64, "w+", shape=(5, 5))
    net.ntk(one, out=out)
    np.testing.assert_allclose(out, dense(net, one), rtol=1e-12)
    with pytest.raises(ValueError, match="between the nodes of one sample is computed as a whole"):
        fastntk.store.compute(net, one, tmp_path / "K.zarr")


@ALL
def test_gaussian_process(net: Sequential, X: Ragged) -> None:
    """More samples later, deviations, covariances, draws, pickles: all of the kernel that the reference has."""
    K = np.asarray(reference.nngp(net, X))
    whole = GaussianProcess(net, X, TARGETS, noise=0.1)
    later = GaussianProcess(net, X[:15], TARGETS[:15], noise=0.1).condition(X[15:], TARGETS[15:])
    inverse = np.linalg.inv(K + 0.1 * np.eye(N))
    for model in (whole, later, pickle.loads(pickle.dumps(later))):
        assert model.X == X
        mean, std = model.predict(X[:6])
        np.testing.assert_allclose(mean, K[:6] @ inverse @ TARGETS, rtol=1e-8)
        covariance = K[:6, :6] - K[:6] @ inverse @ K[:, :6]
        np.testing.assert_allclose(std**2, covariance.diagonal(), rtol=1e-7)
        np.testing.assert_allclose(model.predict(X[:6], covariance=True).covariance, covariance, atol=1e-10)
        expected = log_marginal_likelihood(K, TARGETS, 0.1)
        np.testing.assert_allclose(model.log_marginal_likelihood(), expected, rtol=1e-10)
    assert whole.sample(X[:3], 2, rng=0).shape == (2, 3)
    path = whole.sample_function(rng=0)
    np.testing.assert_allclose(path(X[:3])[1:], path(X[1:3]), atol=1e-3)  # to the jitter of a draw without noise
    assert whole.fantasize(X[:2], 4, rng=0).predict(X[:1]).mean.shape == (1, 4)
    with pytest.raises(ValueError, match="derivatives in the inputs are computed of kernels of vectors"):
        whole.predict(X[:1], gradient=True)
    with pytest.raises((TypeError, ValueError), match=r"X are arrays and Y|no graphs|positions"):
        whole.predict(np.ones((2, 3)))


@ALL
def test_marginal_likelihood(net: Sequential, X: Ragged) -> None:
    """A fit raises it."""
    K = net.nngp(X)
    y = 3 * np.linalg.cholesky(K + 1e-3 * np.eye(N)) @ np.random.default_rng(2).normal(size=N)
    fitted = fit_marginal_likelihood(net, X, y, noise=0.1)
    found = log_marginal_likelihood(reference.nngp(fitted.network, X), y, fitted.noise)
    np.testing.assert_allclose(fitted.log_marginal_likelihood, found, rtol=1e-6)
    assert found > log_marginal_likelihood(K, y, 0.1) + 10


@ALL
def test_derivatives(net: Sequential, X: Ragged) -> None:
    """In sigmas with other samples and without, as differences of the reference; in the inputs none."""
    few, other, step = X[:4], X[4:7], 1e-5
    weights = RNG.normal(size=(4, 3))
    values = [value for _, _, value in net.parameters]
    slopes = net.ntk.gradient(few, other)
    for i, slope in enumerate(slopes):
        if not values[i]:  # K is even in it
            assert not slope.any()
            continue
        near = [
            dense(net.with_parameters([v + sign * step * (k == i) for k, v in enumerate(values)]), few, other)
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(slope, (near[0] - near[1]) / (2 * step), atol=1e-6)
    np.testing.assert_allclose(net.ntk.vjp(few, weights, other), (slopes * weights).sum(axis=(1, 2)), atol=1e-7)
    own = net.ntk.gradient(few)
    np.testing.assert_allclose(own, net.ntk.gradient(few, few), atol=1e-6)
    np.testing.assert_allclose(net.ntk.vjp(few, np.ones((4, 4))), own.sum(axis=(1, 2)), atol=1e-6)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: net.ntk.vjp(few, np.ones((4, 4)), wrt="inputs"),
        lambda: net.ntk.prepare(few).vjp(other, weights.T),
        lambda: net.ntk.input_gradient(np.ones(3), few),
        lambda: net.ntk.prepare(few).input_gradient(np.ones(3)),
        lambda: derivative_posterior(net, few, np.zeros(4), None, few),
    )
    for attempt in attempts:
        with pytest.raises(ValueError, match=r"derivatives in the inputs .* of images, sequences and graphs there are"):
            attempt()


def test_dask() -> None:
    """Arrays of any chunks, to the last bits of what is on the diagonal; containers are refused."""
    da = pytest.importorskip("dask.array")
    import fastntk.dask

    X = da.from_array(A, chunks=(9, 2, 3))
    np.testing.assert_allclose(fastntk.dask.ntk(ATTENTION, X).compute(), ATTENTION.ntk(A), rtol=1e-13, atol=1e-15)
    model = fastntk.dask.nystrom(ATTENTION, X, TARGETS, landmarks=8, rng=0)
    expected = nystrom(ATTENTION, A, TARGETS, landmarks=8, rng=0)
    np.testing.assert_allclose(model.predict(A), expected.predict(A), rtol=1e-9)
    for attempt in (
        lambda: fastntk.dask.ntk(GNN, G),
        lambda: fastntk.dask.nystrom(GNN, G, TARGETS),
        lambda: fastntk.dask.operator(ATTENTION, S),
    ):
        with pytest.raises(TypeError, match=r"X are (Graphs|Sequences), and Dask's arrays have samples of one shape"):
            attempt()


def test_gpytorch() -> None:
    """Rows work by Reshape; containers are refused."""
    pytest.importorskip("gpytorch")
    import torch

    from fastntk.gpytorch import NNGPKernel as Module

    rows = torch.from_numpy(A.reshape(N, -1))
    kernel = Module(FLAT).double()
    found = kernel(rows).to_dense().detach().numpy()
    np.testing.assert_allclose(found, ATTENTION.nngp(A), rtol=1e-6)
    assert {name for name, _ in kernel.named_parameters()} == {
        f"raw_{one.name}" for one in FLAT.parameters if one.value > 0
    }
    (kernel(rows).to_dense() ** 2).sum().backward()
    assert all(raw.grad is not None and bool(raw.grad.abs().max() > 0) for raw in kernel.parameters())
    with pytest.raises(TypeError, match="kernels of GPyTorch are of tensors, got Graphs"):
        Module(GNN)(G)


@pytest.mark.parametrize(
    "net", [ATTENTION, RNN, fastntk.transformer(1), Sequential(SelfAttention(position="sum"), *READ)]
)
def test_command_line(
    net: Sequential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Networks as text, kernels of arrays, what a store says; a regression."""
    pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", A)
    np.save("y.npy", TARGETS)
    command = ["compute", "X.npy", "--net", repr(net), "--quiet", "--out"]
    assert main([*command, "K.npy"]) == 0
    np.testing.assert_array_equal(np.load("K.npy"), net.ntk(A))
    assert main([*command, "K.zarr"]) == 0
    capsys.readouterr()
    assert main(["info", "K.zarr"]) == 0
    said = capsys.readouterr().out
    assert f"network: {net!r}" in said
    assert "X: 24 x 4 x 3, float64" in said
    assert main(["fit", "X.npy", "y.npy", "--net", repr(net), "--ridge", "0.1", "--quiet", "--out", "m.npz"]) == 0
    assert main(["predict", "m.npz", "X.npy", "--quiet", "--out", "f.npy"]) == 0
    K = net.ntk(A)
    ridge = 0.1 * K.diagonal().mean() * np.eye(N)
    expected = TARGETS.mean() + K @ np.linalg.solve(K + ridge, TARGETS - TARGETS.mean())
    np.testing.assert_allclose(np.load("f.npy").ravel(), expected, rtol=1e-6)


def test_info_of_graphs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many there are, and of how many channels."""
    pytest.importorskip("zarr")
    fastntk.store.compute(GNN, G, tmp_path / "K.zarr")
    assert main(["info", str(tmp_path / "K.zarr")]) == 0
    assert "X: 24 x 3, float64" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_samples(dtype: Any) -> None:
    """No node, one, isolated ones, sequences of one step, in both precisions, through an estimator and a store."""
    rng = np.random.default_rng(1)
    for net, X in (
        (Sequential(Aggregate("mean"), Dense(), "relu", Dense(), GlobalSumPool(), Dense(1.0, 0.1)), hard_graphs(rng)),
        (RNN, hard_sequences(rng)),
    ):
        few = X.astype(dtype)
        K = net.ntk(few)
        assert K.dtype == dtype
        np.testing.assert_allclose(K, dense(net, few.astype(np.float64)), rtol=1e-6, atol=1e-12)
        y = np.arange(len(few)) % 2
        assert NTKClassifier(network=net).fit(few, y).predict(few).shape == y.shape
        one = NNGPRegressor(network=net, noise=0.1).fit(few[:1], [1.0])
        variance = net.nngp(few[:1].astype(np.float64))[0, 0]
        np.testing.assert_allclose(one.predict(few[:1]), variance / (variance + 0.1), rtol=1e-6)
        with pytest.raises(ValueError, match="X are no samples"):
            NTKRegressor(network=net).fit(few[:0], [])


@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")
def test_bounds_of_all_weights() -> None:
    """Those of sigma_w are of all standard deviations of weights; those of a Scale of nothing else."""
    rng = np.random.default_rng(0)
    X, y = Sequences(rng.normal(size=(12, 3, 2))), rng.normal(size=12)
    net = fastntk.rnn(1, "relu", sigma_b=0.1)
    fixed: dict[str, Any] = {"sigma_w_bounds": "fixed", "sigma_b_bounds": "fixed", "noise_bounds": "fixed"}
    with pytest.raises(ValueError, match="there is nothing to fit: all sigmas are 0 or fixed"):
        NNGPRegressor(network=net, optimizer="lbfgs", output_scale=False, **fixed).fit(X, y)
    some = NNGPRegressor(network=net, output_scale=False, scale_bounds="fixed", noise_bounds="fixed").fit(X, y)
    assert some.parameters_.keys() == {"sigma_w", "sigma_u", "sigma_b"}
    found = fastntk.inference.fit_marginal_likelihood(net, X, y, sigma_w_bounds=(0.5, 0.6), output_scale=False)
    assert all(0.5 <= found.parameters[name] <= 0.6 for name in ("sigma_w", "sigma_u"))
