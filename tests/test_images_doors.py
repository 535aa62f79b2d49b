"""Every door takes images and sequences: each against the kernel of the same network in memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import fastntk
from fastntk import AvgPool, Conv, Dense, Dropout, Flatten, GlobalAvgPool, Reshape, Residual, Sequential, solvers
from fastntk.__main__ import main
from fastntk.inference import fit_marginal_likelihood, log_marginal_likelihood

Kind = Literal["nngp", "ntk"]
each_kind = pytest.mark.parametrize("kind", ["nngp", "ntk"])

SHAPE = (6, 5, 2)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, *SHAPE)), RNG.normal(size=(13, *SHAPE))
X[5, 1:4], X[7], X[9] = 0, 0, X[3] * 2
TARGET = np.sin(X[:, 0, 0, 0]) + X.mean(axis=(1, 2, 3))
VECTOR = RNG.normal(size=(len(X), 2))

FLAT = Sequential(Conv(3, sigma_w=1.4, sigma_b=0.1), "relu", Conv(2, 2, sigma_b=0.2), "erf", Flatten(), Dense(1.2, 0.1))
NETS = {
    "flat": FLAT,
    "pooled": Sequential(
        Conv(3, sigma_w=1.4, sigma_b=0.1), "relu", AvgPool(2), Conv(3), "relu", GlobalAvgPool(), Dense()
    ),
    "residual": Sequential(
        Conv(3), Residual("relu", Dropout(0.2), Conv(3, sigma_b=0.3)), "relu", Flatten(), Dense(1.1)
    ),
}
each_net = pytest.mark.parametrize("net", NETS.values(), ids=list(NETS))
ROWS = Sequential(Reshape(*SHAPE), *FLAT)


def rows(x: Any) -> Any:
    """One row of numbers a sample."""
    return x.reshape(len(x), -1)


def equal(found: Any, wanted: Any) -> None:
    """To the last bits: which of two formulas a pair of positions is computed by depends on those beside it."""
    np.testing.assert_allclose(found, wanted, rtol=2e-15, atol=1e-15)


def kernel(net: Sequential, kind: Kind, *data: Any) -> Any:
    """In memory, layer by layer."""
    return getattr(net, kind)(*data, univariate=False)


def test_samples_are_what_they_are() -> None:
    """Rows with Reshape are the images; lists, integers, float32 and a single channel too."""
    K = FLAT.ntk(X)
    np.testing.assert_array_equal(ROWS.ntk(rows(X)), K)
    np.testing.assert_array_equal(ROWS.ntk(X), K)
    np.testing.assert_array_equal(FLAT.ntk(X.tolist()), K)
    np.testing.assert_array_equal(FLAT.ntk(np.asfortranarray(X)[::-1][::-1]), K)
    assert FLAT.ntk(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(FLAT.ntk(X.astype(np.float32)), K, rtol=1e-5, atol=1e-6)
    whole = np.round(X * 3).astype(np.int64)
    np.testing.assert_array_equal(FLAT.ntk(whole), FLAT.ntk(whole.astype(float)))
    assert (FLAT.ntk(X[:0]).shape, FLAT.ntk(X[:0], Y).shape) == ((0, 0), (0, 13))


@each_net
def test_calls(net: Sequential, tmp_path: Path) -> None:
    """Both in one pass, diag, out, a memory map, prepared rows, pickled."""
    both = net.kernels(X, univariate=False)
    for kind in ("nngp", "ntk"):
        one = getattr(net, kind)
        K = one(X, univariate=False)
        np.testing.assert_array_equal(getattr(both, kind), K)
        np.testing.assert_array_equal(K, K.T)
        np.testing.assert_allclose(one.diag(X), K.diagonal(), rtol=1e-13, atol=1e-14)
        cross = one(X, Y)
        out = np.empty_like(cross)
        assert one(X, Y, out=out) is out
        np.testing.assert_array_equal(out, cross)
        memory = np.memmap(tmp_path / kind, np.float64, "w+", shape=K.shape)
        one(X, out=memory)
        equal(memory, K)
        prepared = pickle.loads(pickle.dumps(one.prepare(X)))
        np.testing.assert_allclose(prepared(Y), cross.T, rtol=1e-12, atol=1e-13)


@each_kind
@each_net
def test_operator(net: Sequential, kind: Kind) -> None:
    """Its products, entries and diagonal, and a system solved with it."""
    K = kernel(net, kind, X)
    A = getattr(net, kind).operator(X)
    np.testing.assert_allclose(A @ VECTOR, K @ VECTOR, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(A.block([3, 9, 5], slice(2, 11)), K[[3, 9, 5], 2:11], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(A.diagonal(), K.diagonal(), rtol=1e-13)
    B = getattr(net, kind).operator(X, Y)
    np.testing.assert_allclose(B.T @ VECTOR, kernel(net, kind, X, Y).T @ VECTOR, rtol=1e-12, atol=1e-12)
    solution = solvers.pcg(A, TARGET, ridge=0.1, rtol=1e-10, rng=0)
    np.testing.assert_allclose(solution.x, np.linalg.solve(K + 0.1 * np.eye(40), TARGET), rtol=1e-6, atol=1e-7)


@each_kind
def test_nystrom(kind: Kind) -> None:
    """With all samples for landmarks it is the exact regression; of chunks, and with landmarks that are given."""
    K = kernel(FLAT, kind, X)
    keep = np.flatnonzero(K.diagonal() > 0)
    wanted = kernel(FLAT, kind, Y, X) @ np.linalg.solve(K + 0.1 * np.eye(40), TARGET)

    def chunks() -> Iterator[tuple[Any, Any]]:
        yield X[:17], TARGET[:17]
        yield X[17:], TARGET[17:]

    how: Any = {"kind": kind, "ridge": 0.1, "tol": 1e-10, "rng": 0}
    for model in (
        solvers.nystrom(FLAT, X, TARGET, landmarks=40, **how),
        solvers.nystrom(FLAT, chunks, landmarks=40, **how),
        solvers.nystrom(FLAT, X, TARGET, landmarks=X[keep], **how),
        solvers.nystrom(FLAT, X, TARGET, landmarks=40, choice="uniform", **how),
    ):
        assert model.landmarks.shape[1:] == SHAPE
        np.testing.assert_allclose(model.predict(Y), wanted, rtol=1e-5, atol=1e-6)
    of_rows = solvers.nystrom(ROWS, rows(X), TARGET, landmarks=40, **how)
    np.testing.assert_allclose(of_rows.predict(rows(Y)), wanted, rtol=1e-5, atol=1e-6)


def test_nystrom_refuses() -> None:
    """What does not suit, by its shape."""
    model = solvers.nystrom(FLAT, X, TARGET, landmarks=5, rng=0)
    with pytest.raises(ValueError, match=r"^X must have shape \(n, 6, 5, 2\), got \(13, 60\)"):
        model.predict(rows(Y))
    with pytest.raises(ValueError, match=r"^X has samples of shape \(60,\): layer 0, Conv.*vectors, without positions"):
        solvers.nystrom(FLAT, rows(X), TARGET, landmarks=5)
    with pytest.raises(
        ValueError, match=r"^landmarks have samples of shape \(6, 4, 2\) but X has some of .*\(6, 5, 2\)"
    ):
        solvers.nystrom(FLAT, X, TARGET, landmarks=X[:4, :, :4])
    with pytest.raises(ValueError, match=r"^landmarks has samples of shape \(60,\)"):
        solvers.nystrom(FLAT, X, TARGET, landmarks=rows(X[:4]))
    with pytest.raises(ValueError, match=r"^landmarks contains nan"):
        solvers.nystrom(FLAT, X, TARGET, landmarks=X[:4] * np.nan)


@each_kind
@each_net
def test_store(net: Sequential, kind: Kind, tmp_path: Path) -> None:
    """The same bits, gone on with after chunks were lost; of other images it is refused."""
    pytest.importorskip("zarr")
    from fastntk import store

    path = tmp_path / "K.zarr"
    K = np.asarray(store.compute(net, X, path, kind=kind, chunk=16))
    equal(K, kernel(net, kind, X))
    for name in ("0/1", "2/2"):
        (path / "c" / name).unlink()
    np.testing.assert_array_equal(np.asarray(store.compute(net, X, path, kind=kind)), K)
    again = store.open(path)
    assert again.network == net
    assert again.is_of(X)
    assert not again.is_of(X[:, ::-1])
    assert store.about(path)["data"]["X"]["shape"] == [40, *SHAPE]
    with pytest.raises(ValueError, match="X had other values"):
        store.compute(net, X[:, ::-1], path, kind=kind)
    with pytest.raises(ValueError, match=r"the shape of X was \[40, 6, 5, 2\], not \[40, 5, 6, 2\]"):
        store.compute(net, X.swapaxes(1, 2), path, kind=kind)
    other = store.compute(net, X, tmp_path / "half", kind=kind, half=True, chunk=10)
    equal(other[10:30, 5], K[10:30, 5])
    cross = store.compute(net, X, tmp_path / "cross", Y, kind=kind, chunk=20)
    equal(np.asarray(cross), kernel(net, kind, X, Y))


@each_net
def test_dask(net: Sequential) -> None:
    """The same kernel whatever the chunks, of positions too; products; regression over landmarks."""
    pytest.importorskip("dask")
    import dask.array as da

    import fastntk.dask as fd

    lazy, other = da.from_array(X, chunks=(17, 3, 5, 1)), da.from_array(Y, chunks=(5, 6, 2, 2))
    assert fd.ntk(net, lazy).chunks == ((17, 17, 6), (17, 17, 6))
    for kind, found in zip(("nngp", "ntk"), fd.kernels(net, lazy), strict=True):
        equal(np.asarray(found), kernel(net, kind, X))  # type: ignore[arg-type]
    equal(fd.nngp(net, lazy, other).compute(), kernel(net, "nngp", X, Y))
    A = fd.operator(net, lazy)
    np.testing.assert_allclose(A @ VECTOR, kernel(net, "ntk", X) @ VECTOR, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(A.diagonal(), net.ntk.diag(X), rtol=1e-13)
    np.testing.assert_allclose(A.block([3, 20], [0, 39]), kernel(net, "ntk", X)[[3, 20]][:, [0, 39]], rtol=1e-12)
    how: Any = {"landmarks": 10, "ridge": 0.1, "rng": 0}
    model = fd.nystrom(net, lazy, da.from_array(TARGET, chunks=11), **how)
    np.testing.assert_allclose(model.predict(Y), solvers.nystrom(net, X, TARGET, **how).predict(Y), rtol=1e-9)


def test_dask_refuses() -> None:
    """As the kernel in memory does, before anything is computed."""
    pytest.importorskip("dask")
    import dask.array as da

    import fastntk.dask as fd

    net = fastntk.cnn(1)
    with pytest.raises(ValueError, match=r"^X has samples of shape \(6, 5\): layer 0, .* needs X\[..., None\]"):
        fd.ntk(net, da.from_array(X[..., 0]))
    with pytest.raises(ValueError, match=r"^the network ends with 6 x 5 positions"):
        fd.ntk(net[:2], da.from_array(X))
    with pytest.raises(ValueError, match="Y"):
        fd.ntk(net, da.from_array(X), da.from_array(Y[:, :5]))


def test_gradients() -> None:
    """In all sigmas, against differences; contracted with weights."""
    net = FLAT
    gradient = net.ntk.gradient(X[:6])
    values = np.array([parameter.value for parameter in net.parameters])
    for i, slope in enumerate(gradient):
        ends = [net.with_parameters(values + step * (np.arange(len(values)) == i)).ntk(X[:6]) for step in (1e-5, -1e-5)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-7)
    weights = RNG.normal(size=(6, 6))
    np.testing.assert_allclose(net.ntk.vjp(X[:6], weights), (gradient * weights).sum(axis=(1, 2)), rtol=1e-10)


@each_kind
def test_fit(kind: Kind) -> None:
    """The likelihood it says is that of the network it gives; of rows it is the same fit."""
    fit = fit_marginal_likelihood(FLAT, X, TARGET, kind=kind, noise=0.1, sigma_b_bounds="fixed")
    K = kernel(fit.network, kind, X)
    value = log_marginal_likelihood(K, TARGET, noise=fit.noise)
    np.testing.assert_allclose(fit.log_marginal_likelihood, value, rtol=1e-8)
    assert fit.converged
    before = log_marginal_likelihood(kernel(FLAT, kind, X), TARGET, noise=0.1)
    assert fit.log_marginal_likelihood > before
    of_rows = fit_marginal_likelihood(ROWS, rows(X), TARGET, kind=kind, noise=0.1, sigma_b_bounds="fixed")
    np.testing.assert_allclose(of_rows.log_marginal_likelihood, fit.log_marginal_likelihood, rtol=1e-10)
    with pytest.raises(ValueError, match=r"^X has samples of shape \(60,\)"):
        fit_marginal_likelihood(FLAT, rows(X), TARGET)


def test_landmark_estimators_of_images_in_a_file(tmp_path: Path) -> None:
    """Which scikit-learn's checks do not see: images as they are."""
    pytest.importorskip("sklearn")
    from fastntk import sklearn as fs

    memory = np.memmap(tmp_path / "X", np.float64, "w+", shape=X.shape)
    memory[:] = X
    model = fs.NystromNTKRegressor(network=FLAT, ridge=0.1, n_landmarks=20, random_state=0).fit(memory, TARGET)
    assert model.n_features_in_ == 60
    rows_of = fs.NystromNTKRegressor(network=ROWS, ridge=0.1, n_landmarks=20, random_state=0).fit(rows(X), TARGET)
    np.testing.assert_allclose(model.predict(memory), rows_of.predict(rows(X)), rtol=1e-8, atol=1e-9)


def test_estimators() -> None:
    """Of scikit-learn, with Reshape first, are the regressions by hand."""
    pytest.importorskip("sklearn")
    from fastntk import sklearn as fs

    x, y = rows(X), rows(Y)
    K, T = FLAT.nngp(X), FLAT.ntk(X)
    by_nngp = FLAT.nngp(Y, X) @ np.linalg.solve(K + 0.1 * np.eye(40), TARGET)
    by_ntk = FLAT.ntk(Y, X) @ np.linalg.solve(T + 0.1 * np.eye(40), TARGET)
    labels = (TARGET > 0).astype(int)
    signs = FLAT.ntk(Y, X) @ np.linalg.solve(T + 0.1 * np.eye(40), 2.0 * labels - 1)
    close: Any = {"rtol": 1e-7, "atol": 1e-8}

    bayes = fs.NNGPRegressor(network=ROWS, noise=0.1).fit(x, TARGET)
    mean, std = bayes.predict(y, return_std=True)
    np.testing.assert_allclose(mean, by_nngp, **close)
    cross = FLAT.nngp(Y, X)
    variance = FLAT.nngp.diag(Y) - np.einsum("ij,ij->i", cross, np.linalg.solve(K + 0.1 * np.eye(40), cross.T).T)
    np.testing.assert_allclose(std**2, variance, **close)
    trained = fs.NTKRegressor(network=ROWS, ridge=0.1).fit(x, TARGET)
    np.testing.assert_allclose(trained.predict(y), by_ntk, **close)
    assert trained.predict(y, return_std=True)[1].shape == (13,)
    assert trained.X_fit_.shape == x.shape
    classifier = fs.NTKClassifier(network=ROWS, ridge=0.1).fit(x, labels)
    np.testing.assert_allclose(classifier.decision_function(y), signs, **close)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(classifier)).decision_function(y), signs, **close)

    landmarks: Any = {"network": ROWS, "ridge": 0.1, "n_landmarks": 40, "tol": 1e-10, "random_state": 0}
    few = fs.NystromNTKRegressor(**landmarks).fit(x, TARGET)
    np.testing.assert_allclose(few.predict(y), by_ntk, rtol=1e-5, atol=1e-6)
    assert few.n_features_in_ == 60
    some = fs.NystromNTKClassifier(**landmarks).fit(x, labels)
    np.testing.assert_allclose(some.decision_function(y), signs, rtol=1e-5, atol=1e-6)
    likely = fs.NNGPRegressor(network=ROWS, optimizer="lbfgs", sigma_b_bounds="fixed").fit(x, TARGET)
    assert likely.converged_


def test_kernels_of_scikit_learn() -> None:
    """In its Gaussian process and its support vector machine, with hyper-parameters; and by themselves."""
    pytest.importorskip("sklearn")
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.svm import SVC

    from fastntk.sklearn import NNGPKernel, NTKKernel

    x, y = rows(X), rows(Y)
    labels = (TARGET > 0).astype(int)
    np.testing.assert_array_equal(NNGPKernel(network=FLAT)(X, Y), FLAT.nngp(X, Y))
    np.testing.assert_array_equal(NTKKernel(network=ROWS)(x), FLAT.ntk(X))
    np.testing.assert_array_equal(NTKKernel(network=ROWS).diag(x), FLAT.ntk.diag(X))
    process = GaussianProcessRegressor(NNGPKernel(network=ROWS), alpha=0.1, optimizer=None).fit(x, TARGET)
    wanted = FLAT.nngp(Y, X) @ np.linalg.solve(FLAT.nngp(X) + 0.1 * np.eye(40), TARGET)
    np.testing.assert_allclose(process.predict(y), wanted, rtol=1e-8, atol=1e-9)
    machine = SVC(kernel=NTKKernel(network=ROWS)).fit(x, labels)
    given = SVC(kernel="precomputed").fit(FLAT.ntk(X), labels)
    np.testing.assert_allclose(machine.decision_function(y), given.decision_function(FLAT.ntk(Y, X)), rtol=1e-6)
    value, slopes = NNGPKernel(network=ROWS)(x, eval_gradient=True)
    step = NNGPKernel(network=ROWS)
    ends = [step.clone_with_theta(step.theta + sign * 1e-5 * np.eye(len(step.theta))[0])(x) for sign in (1, -1)]
    np.testing.assert_allclose(slopes[..., 0], (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(value, FLAT.nngp(X))


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

    first, second = np.abs(RNG.normal(size=(2, 64))) + 0.1
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
