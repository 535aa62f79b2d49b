"""Scale: through every door the network without it, on the samples times the weights; and what it refuses."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Dense, Dropout, LayerNorm, Residual, Scale, Sequential, reference, solvers
from fastntk.__main__ import main
from fastntk.finite import FiniteNetwork, output_distribution

each_kind = pytest.mark.parametrize("kind", ["nngp", "ntk"])

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 5)), RNG.normal(size=(13, 5))
X[7], X[9] = 0, X[3] * 2
VECTOR, TARGET = RNG.normal(size=(40, 2)), np.sin(X[:, 0]) + X[:, 3]

WEIGHTS = (1.5, 0.3, 0.0, 1.0, 0.7)
SCALED, SCALED_Y = X * WEIGHTS, Y * WEIGHTS

PLAIN = {
    "mlp": fastntk.mlp(2, ["erf", "relu"], 1.4, 0.1),
    "bias-free": fastntk.mlp(3, "relu", 1.4),
    "expansion": fastntk.mlp(1, "tanh", 1.2, 0.3),
    "tree": Sequential(
        *(Dense(1.2, 0.1), Residual(LayerNorm(eps=0.1), "relu", Dropout(0.2), Dense(0.9)), "erf", Dense(1.1, 0.2))
    ),
    "standard": Sequential(Dense(1.2, 0.1, parametrization="standard", width=9), "relu", Dense()),
}
each_net = pytest.mark.parametrize("plain", PLAIN.values(), ids=list(PLAIN))


def with_scale(plain: Sequential) -> Sequential:
    """The network with the weights before it."""
    return Sequential(Scale(WEIGHTS), plain)


@each_net
def test_calls(plain: Sequential, tmp_path: Path) -> None:
    """The same bits: both in one pass, diag, out, a memory map, prepared rows, pickled, in both dtypes, of integers."""
    net = with_scale(plain)
    for kind in ("nngp", "ntk"):
        one, other = getattr(net, kind), getattr(plain, kind)
        K, cross = other(SCALED), other(SCALED, SCALED_Y)
        np.testing.assert_array_equal(one(X), K)
        np.testing.assert_array_equal(one(X, Y), cross)
        np.testing.assert_array_equal(getattr(net.kernels(X), kind), getattr(plain.kernels(SCALED), kind))
        np.testing.assert_array_equal(one.diag(X), other.diag(SCALED))
        np.testing.assert_array_equal(one(X.tolist()), K)
        np.testing.assert_array_equal(one(np.asfortranarray(X)[::-1])[::-1, ::-1], other(SCALED[::-1])[::-1, ::-1])
        out = np.empty_like(cross)
        assert one(X, Y, out=out) is out
        np.testing.assert_array_equal(out, cross)
        maps = [np.memmap(tmp_path / f"{kind}{i}", np.float64, "w+", shape=K.shape) for i in range(2)]
        one(X, out=maps[0])
        other(SCALED, out=maps[1])
        np.testing.assert_array_equal(maps[0], maps[1])
        prepared = pickle.loads(pickle.dumps(one.prepare(X)))
        np.testing.assert_array_equal(prepared(Y), other.prepare(SCALED)(SCALED_Y))
        x = X.astype(np.float32)
        assert one(x).dtype == np.float32
        np.testing.assert_array_equal(one(x), other(x * np.array(WEIGHTS, np.float32)))
        np.testing.assert_array_equal(one(X, dtype="float32"), other(SCALED, dtype="float32"))
        whole = np.round(X * 3).astype(np.int64)
        np.testing.assert_array_equal(one(whole), other(whole * WEIGHTS))
        assert (one(X[:0]).shape, one(X[:0], Y).shape) == ((0, 0), (0, 13))


def test_the_samples_are_left_alone() -> None:
    """None is written to, and they may not be the output."""
    x = X.copy()
    net = with_scale(PLAIN["mlp"])
    net.ntk(x)
    net.ntk.prepare(x)
    np.testing.assert_array_equal(x, X)
    square = RNG.normal(size=(5, 5))
    with pytest.raises(ValueError, match=r"^out overlaps X"):
        net.ntk(square, out=square)


def test_it_is_scaled_once() -> None:
    """Of weights that are powers of 2, a slice, as one polynomial, and a network that is nothing else."""
    X = RNG.normal(size=(700, 5))
    net = Sequential(Scale([2.0, 0.5, 1.0, 4.0, 0.25]), *PLAIN["bias-free"])
    scaled = X * [2.0, 0.5, 1.0, 4.0, 0.25]
    np.testing.assert_array_equal(net.ntk(X), net[1:].ntk(scaled))
    np.testing.assert_array_equal(net[:3].nngp(X), net[1:3].nngp(scaled))
    np.testing.assert_allclose(net[:1].nngp(X), scaled @ scaled.T / 5, rtol=1e-12, atol=1e-13)


@each_net
def test_reference(plain: Sequential) -> None:
    """Has it too, and the engine agrees with it."""
    net = with_scale(plain)
    for found, wanted in (
        (reference.kernels(net, X), reference.kernels(plain, SCALED)),
        (reference.kernels(net, X, Y), reference.kernels(plain, SCALED, SCALED_Y)),
    ):
        np.testing.assert_array_equal(found, wanted)
    if plain is not PLAIN["expansion"]:  # of which the reference has a coarser one
        np.testing.assert_allclose(net.ntk(X, Y), reference.ntk(net, X, Y), rtol=1e-12, atol=1e-12)


@each_kind
@each_net
def test_operator(plain: Sequential, kind: Any) -> None:
    """Its products, entries and diagonal, and a system solved with it."""
    one, other = getattr(with_scale(plain), kind), getattr(plain, kind)
    A, B = one.operator(X), other.operator(SCALED)
    np.testing.assert_array_equal(A @ VECTOR, B @ VECTOR)
    np.testing.assert_array_equal(A.block([3, 9, 5], slice(2, 11)), B.block([3, 9, 5], slice(2, 11)))
    np.testing.assert_array_equal(A.diagonal(), B.diagonal())
    np.testing.assert_array_equal(one.operator(X, Y).T @ VECTOR, other.operator(SCALED, SCALED_Y).T @ VECTOR)
    prepared = [k.prepare(y).operator(x) for k, y, x in ((one, Y, X), (other, SCALED_Y, SCALED))]
    np.testing.assert_array_equal(prepared[0].T @ VECTOR, prepared[1].T @ VECTOR)
    found, wanted = (solvers.pcg(each, TARGET, ridge=0.1, rng=0) for each in (A, B))
    np.testing.assert_allclose(found.x, wanted.x, rtol=1e-9)


@each_kind
def test_nystrom(kind: Any) -> None:
    """Landmarks are samples as they are, chosen or given."""
    plain = PLAIN["mlp"]
    how: Any = {"kind": kind, "ridge": 0.1, "rng": 0}
    for given, scaled in ((12, 12), (X[:9], SCALED[:9])):
        found = solvers.nystrom(with_scale(plain), X, TARGET, landmarks=given, **how)
        wanted = solvers.nystrom(plain, SCALED, TARGET, landmarks=scaled, **how)
        np.testing.assert_array_equal(np.asarray(found.landmarks) * WEIGHTS, wanted.landmarks)
        np.testing.assert_allclose(found.predict(Y), wanted.predict(SCALED_Y), rtol=1e-9)


@each_kind
def test_store(kind: Any, tmp_path: Path) -> None:
    """Gone on with after chunks were lost; of other weights it is another kernel."""
    pytest.importorskip("zarr")
    from fastntk import store

    net, path = with_scale(PLAIN["mlp"]), tmp_path / "K.zarr"
    K = np.asarray(store.compute(net, X, path, kind=kind, chunk=16))
    np.testing.assert_array_equal(K, getattr(PLAIN["mlp"], kind)(SCALED))
    (path / "c" / "0" / "1").unlink()
    np.testing.assert_array_equal(np.asarray(store.compute(net, X, path, kind=kind)), K)
    again = store.open(path)
    assert again.network == net
    assert again.is_of(X)
    assert not again.is_of(SCALED)
    with pytest.raises(ValueError, match="Scale"):
        store.compute(Sequential(Scale([1.0] * 5), PLAIN["mlp"]), X, path, kind=kind)


@each_net
def test_dask(plain: Sequential) -> None:
    """The same kernel whatever the chunks; products; regression over landmarks."""
    pytest.importorskip("dask")
    import dask.array as da

    import fastntk.dask as fd

    net = with_scale(plain)
    lazy, other = da.from_array(X, chunks=(17, 3)), da.from_array(Y, chunks=(5, 2))
    for found, wanted in zip(fd.kernels(net, lazy), plain.kernels(SCALED, univariate=False), strict=True):
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-9, atol=1e-10)
    cross = fd.ntk(net, lazy, other).compute()
    np.testing.assert_allclose(cross, plain.ntk(SCALED, SCALED_Y), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(fd.operator(net, lazy) @ VECTOR, plain.ntk(SCALED) @ VECTOR, rtol=1e-9, atol=1e-9)
    how: Any = {"landmarks": 10, "ridge": 0.1, "rng": 0}
    model = fd.nystrom(net, lazy, da.from_array(TARGET, chunks=11), **how)
    np.testing.assert_allclose(model.predict(Y), solvers.nystrom(net, X, TARGET, **how).predict(Y), rtol=1e-8)
    assert fd.ntk(net, lazy).name == fd.ntk(with_scale(plain), lazy).name
    assert fd.ntk(net, lazy).name != fd.ntk(Sequential(Scale([1.0] * 5), plain), lazy).name


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of a network, for kernels and models."""
    monkeypatch.chdir(tmp_path)
    for name, array in {"X": X, "Y": Y, "target": TARGET}.items():
        np.save(f"{name}.npy", array)
    net = "Sequential(Scale([1.5, 0.3, 0, 1, 0.7]), mlp(2, ['erf', 'relu'], 1.4, 0.1))"
    assert main(["compute", "X.npy", "--net", net, "--quiet", "--out", "K.npy"]) == 0
    T = PLAIN["mlp"].ntk(SCALED)
    np.testing.assert_array_equal(np.load("K.npy"), T)
    for name, how in (("exact", []), ("landmarks", ["--landmarks", "40"])):
        command = [
            "fit",
            "X.npy",
            "target.npy",
            "--net",
            net,
            *how,
            "--ridge",
            "0.1",
            "--out",
            f"{name}.npz",
            "--quiet",
        ]
        assert main(command) == 0
        assert main(["predict", f"{name}.npz", "Y.npy", "--out", f"{name}.npy", "--quiet"]) == 0
        alpha = np.linalg.solve(T + 0.1 * T.diagonal().mean() * np.eye(40), TARGET - TARGET.mean())
        wanted = PLAIN["mlp"].ntk(SCALED_Y, SCALED) @ alpha + TARGET.mean()
        np.testing.assert_allclose(np.load(f"{name}.npy"), wanted, rtol=1e-4, atol=1e-4)


def test_text() -> None:
    """The repr is read back, hashes, compares, pickles; print shows the first of many weights."""
    net = with_scale(PLAIN["tree"])
    assert net == fastntk.network(repr(net)) == pickle.loads(pickle.dumps(net)) == Sequential(*net)
    assert len({net, with_scale(PLAIN["tree"]), PLAIN["tree"]}) == 2
    assert repr(net[0]) == "Scale([1.5, 0.3, 0.0, 1.0, 0.7])"
    assert Scale(np.array(WEIGHTS)) == Scale(WEIGHTS) == Scale(list(WEIGHTS)) != Scale([1.0] * 5)
    assert str(Scale(np.arange(1, 9) / 3)) == "Scale([0.3333, 0.6667, 1, 1.333, 1.667, 2, …])"
    assert "\n0  Scale([1.5, 0.3, 0, 1, 0.7])\n" in str(with_scale(PLAIN["mlp"]))


def test_parameters() -> None:
    """The weights come first, each by name; they are moved as the sigmas are."""
    net = with_scale(PLAIN["bias-free"])
    named = [("0", f"weights[{j}]", weight) for j, weight in enumerate(WEIGHTS)]
    assert net.parameters == [
        *named,
        *((f"{2 * i + 1}", s, v) for i in range(4) for s, v in (("sigma_w", 1.4), ("sigma_b", 0.0))),
    ]
    assert net.with_parameters([value for _, _, value in net.parameters]) == net
    moved = net.with_parameters([1, 2, 3, 4, 5, *[0.5] * 8])
    assert moved[0] == Scale([1, 2, 3, 4, 5])
    assert moved[1:] == net[1:].with_parameters([0.5] * 8)
    assert net.replace(sigma_w=2.0)[0] == net[0]
    with pytest.raises(ValueError, match=r"^weights\[1\] of layer 0 must be >= 0, got -1"):
        net.with_parameters([1, -1, 1, 1, 1, *[0.5] * 8])


@each_net
def test_summary(plain: Sequential) -> None:
    """The rows of the network without it; K of the samples before it and behind it."""
    found, wanted = with_scale(plain).summary(X), plain.summary(SCALED)
    for name in ("nngp_mean", "nngp_min", "nngp_max", "ntk_mean", "ntk_min", "ntk_max"):
        np.testing.assert_allclose(getattr(found, name)[1:], getattr(wanted, name), rtol=1e-13)
    assert found.at_input is not None
    np.testing.assert_allclose(found.at_input, [f((X**2).mean(axis=1)) for f in (np.mean, np.min, np.max)], rtol=1e-12)
    assert found.nngp_mean is not None
    assert found.nngp_mean[0] == pytest.approx((SCALED**2).mean(), rel=1e-12)
    assert found.shapes is not None
    assert found.shapes[0] == (5,)


def test_finite_width() -> None:
    """Outputs, kernels, derivatives and the prediction of the fluctuation, with the same draws."""
    for plain in (PLAIN["mlp"], PLAIN["tree"]):
        width = 9 if plain is PLAIN["tree"] else 20
        found, wanted = FiniteNetwork(with_scale(plain), width, rng=1), FiniteNetwork(plain, width, rng=1)
        np.testing.assert_array_equal(found.forward(X), wanted.forward(SCALED))
        np.testing.assert_array_equal(found.empirical_ntk(X, Y), wanted.empirical_ntk(SCALED, SCALED_Y))
        ones = np.ones((40, found.n_outputs))
        for layers in zip(found.gradient(X, ones), wanted.gradient(SCALED, ones), strict=True):
            np.testing.assert_array_equal(layers[0].W, layers[1].W)
    plain, net = PLAIN["mlp"], with_scale(PLAIN["mlp"])
    np.testing.assert_array_equal(net.nngp.fluctuation(Y, 30), plain.nngp.fluctuation(SCALED_Y, 30))
    np.testing.assert_array_equal(net.nngp.fluctuation(Y, 30, X), plain.nngp.fluctuation(SCALED_Y, 30, SCALED))
    law = output_distribution(net, Y, width=10, draws=20, rng=0)
    np.testing.assert_array_equal(law.samples, output_distribution(plain, SCALED_Y, width=10, draws=20, rng=0).samples)
    assert np.isfinite(law.predicted_kurtosis).all()
    with pytest.raises(ValueError, match=r"there are 5 weights for 4 features"):
        FiniteNetwork(net, 10, n_inputs=4)


def test_estimators() -> None:
    """Of scikit-learn, given such a network; its weights are reason enough for scales that differ."""
    sk = pytest.importorskip("sklearn").__name__ and fastntk.sklearn
    plain, net = PLAIN["mlp"], with_scale(PLAIN["mlp"])
    for make in (
        sk.NNGPRegressor,
        sk.NTKRegressor,
        lambda **how: sk.NystromNTKRegressor(n_landmarks=20, random_state=0, **how),
    ):
        found, wanted = make(network=net).fit(X, TARGET), make(network=plain).fit(SCALED, TARGET)
        np.testing.assert_allclose(found.predict(Y), wanted.predict(SCALED_Y), rtol=1e-9)
    labels = TARGET > 0
    found, wanted = (sk.NTKClassifier(network=each).fit(x, labels) for each, x in ((net, X), (plain, SCALED)))
    np.testing.assert_array_equal(found.predict(Y), wanted.predict(SCALED_Y))
    for kernel in (sk.NNGPKernel, sk.NTKKernel):
        np.testing.assert_array_equal(kernel(network=net)(X, Y), kernel(network=plain)(SCALED, SCALED_Y))
    far = X * [1, 1, 1, 1, 1e3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sk.NTKRegressor(network=Sequential(Scale([1, 1, 1, 1, 1e-3]), plain)).fit(far, TARGET)
    with pytest.warns(UserWarning, match="variances of features differ"):
        sk.NTKRegressor(network=plain).fit(far, TARGET)


CONV = fastntk.cnn(1)
of: Callable[[Any], Scale] = Scale


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: of(2.0), TypeError, r"^weights must be a sequence, one for each feature, such as .*; got 2\.0"),
        (lambda: of("ab"), TypeError, r"^weights must be a sequence"),
        (lambda: Scale([]), ValueError, r"^weights must be one for each feature, not all 0"),
        (lambda: Scale([0, 0.0]), ValueError, r"^weights must be one for each feature, not all 0"),
        (lambda: Scale([1, -0.5]), ValueError, r"^weights\[1\] must be >= 0, got -0\.5"),
        (lambda: Scale([1, np.nan]), ValueError, r"^weights\[1\] must be finite, got nan"),
        (lambda: of(["1", 2]), TypeError, r"^weights\[0\] must be a real number, got '1'"),
        (lambda: Scale(np.ones((2, 2))), TypeError, r"^weights\[0\] must be a real number, got <ndarray \(2,\)"),
        (lambda: Sequential("relu", Scale([1])), ValueError, r"^layer 1, Scale.* the samples themselves, as the first"),
        (lambda: Sequential(Scale([1]), Scale([1])), ValueError, r"^layer 1, Scale.* as the first layer of a network"),
        (lambda: Sequential(fastntk.Identity(), Scale([1])), ValueError, r"^layer 1, Scale.* as the first layer"),
        (lambda: Residual(Scale([1]), Dense()), ValueError, r"^Residual: layer 0\.0, Scale.* as the first layer"),
        (lambda: with_scale(PLAIN["mlp"]) + with_scale(PLAIN["mlp"]), ValueError, r"^layer 6, Scale"),
        (lambda: Sequential(Scale([1, 2]), fastntk.Reshape(2, 1)), ValueError, r"^layer 1, Reshape.* the samples them"),
        (lambda: Sequential(fastntk.Reshape(2, 1), Scale([1])), ValueError, r"^layer 1, Scale.* the samples themselv"),
        (lambda: Sequential(Scale([1, 2]), *CONV), ValueError, r"^layer 1, Conv.* vectors, without positions"),
        (lambda: with_scale(PLAIN["mlp"]).ntk(X[:, :4]), ValueError, r"^X has samples .*5 weights for 4 features"),
        (lambda: with_scale(PLAIN["mlp"]).ntk(X, X[:, :4]), ValueError, r"^Y has samples .*5 weights for 4 features"),
        (lambda: with_scale(PLAIN["mlp"]).ntk(X[:, None]), ValueError, r"^X has samples .* Scale is for vectors"),
        (lambda: with_scale(PLAIN["mlp"]).ntk.prepare(X[:, :4]), ValueError, r"^Y has .*5 weights for 4 features"),
        (lambda: with_scale(PLAIN["mlp"]).ntk.diag(X[:, :4]), ValueError, r"^X has .*5 weights for 4 features"),
        (lambda: reference.ntk(with_scale(PLAIN["mlp"]), X[:, :4]), ValueError, r"^X has .*5 weights for 4 features"),
        (lambda: with_scale(PLAIN["mlp"]).summary(X[:, :4]), ValueError, r"^X has .*5 weights for 4 features"),
        (lambda: with_scale(PLAIN["mlp"]).ntk(X * np.nan), ValueError, r"^X contains nan \(first in row 0, column 0\)"),
        (
            lambda: Sequential(Scale([1e300]), Dense()).ntk([[1.0], [1e200]]),
            ValueError,
            r"^X: row 0 has norm 1e\+300, whose square overflows",
        ),
    ],
)
def test_refused(call: Callable[[], object], error: type[Exception], sentence: str) -> None:
    """In a sentence, before work starts."""
    with pytest.raises(error, match=sentence):
        call()
