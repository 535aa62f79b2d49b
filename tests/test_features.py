"""Random features: their inner products tend to the exact kernels, at the rate of one over a square root."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import Activation, Dense, Sequential

pytest.importorskip("sklearn")
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastntk.sklearn import NTKFeatures

X = np.random.default_rng(0).normal(size=(60, 8))
X[5], X[7] = 0, 3 * X[3]

NETS = {
    "depth 1": fastntk.mlp(1, "relu", 2**0.5),
    "depth 3 with biases": fastntk.mlp(3, "relu", 1.3, 0.4),
    "unequal": Sequential(Dense(1.2, 0.3), Activation("relu"), Dense(0.7), Activation("relu"), Dense(1.5, 0.2)),
    "first frozen": Sequential(
        Dense(1.4, 0.1, trainable=False), Activation("relu"), Dense(1.2, 0.2), Activation("relu"), Dense(1.1)
    ),
    "last frozen": Sequential(Dense(1.4, 0.1), Activation("relu"), Dense(1.2, 0.2, trainable=False)),
    "only last": Sequential(Dense(1.4, 0.1, trainable=False), Activation("relu"), Dense(1.2, 0.2)),
}


@parametrize_with_checks([NTKFeatures(64), NTKFeatures(64, kind="nngp", depth=2)])  # type: ignore[untyped-decorator]
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    """Those of every estimator."""
    check(estimator)


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_estimates_are_unbiased(net: Sequential, kind: Any) -> None:
    """The mean over 400 draws is the exact kernel, within 5 of its standard deviations at every pair."""
    exact = getattr(net, kind)(X)
    draws = np.array(
        [
            z @ z.T
            for seed in range(400)
            for z in [NTKFeatures(64, network=net, kind=kind, random_state=seed).fit_transform(X)]
        ]
    )
    deviation = draws.std(axis=0) / 400**0.5
    assert (np.abs(draws.mean(axis=0) - exact) <= 5 * deviation + 1e-12).all()
    assert deviation.max() < 0.1 * exact.max()


def test_very_few() -> None:
    """Two features are a very rough estimate, and unbiased too."""
    x, net = X[:4], NETS["depth 1"]
    draws = np.array(
        [z @ z.T for seed in range(4000) for z in [NTKFeatures(2, network=net, random_state=seed).fit_transform(x)]]
    )
    assert (np.abs(draws.mean(axis=0) - net.ntk(x)) <= 5 * draws.std(axis=0) / 4000**0.5).all()


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_error_falls_with_the_square_root(kind: Any) -> None:
    """By 4 from 256 to 4,096 features, on the mean of the squares over 10 draws."""
    exact = getattr(NETS["depth 1"], kind)(X)
    errors = []
    for count in (256, 4096):
        squares = [
            np.linalg.norm(z @ z.T - exact) ** 2
            for seed in range(10)
            for z in [NTKFeatures(count, sigma_w=2**0.5, kind=kind, random_state=seed).fit_transform(X)]
        ]
        errors.append(np.sqrt(np.mean(squares)) / np.linalg.norm(exact))
    assert errors[1] < 0.06
    assert 3 < errors[0] / errors[1] < 5.3


def test_precision_seeds_and_chunks() -> None:
    """Of X; one draw is the same every time; rows on their own are the rows of the whole."""
    features = NTKFeatures(32, depth=2, sigma_b=0.1, random_state=3).fit(X.astype(np.float32))
    z = features.transform(X.astype(np.float32))
    assert z.dtype == np.float32
    np.testing.assert_array_equal(
        z, NTKFeatures(32, depth=2, sigma_b=0.1, random_state=3).fit_transform(X.astype(np.float32))
    )
    np.testing.assert_allclose(features.transform(X[17:18].astype(np.float32)), z[17:18], rtol=1e-5, atol=1e-6)
    many = np.tile(X, (1500, 1))
    wide = NTKFeatures(100, random_state=0).fit(many)
    np.testing.assert_allclose(wide.transform(many)[-60:], wide.transform(X), rtol=1e-12, atol=1e-13)
    assert list(features.get_feature_names_out()[:2]) == ["ntkfeatures0", "ntkfeatures1"]


@pytest.mark.parametrize("scale", [1e-140, 1e140])
def test_norms(scale: float) -> None:
    """Features of ReLU networks without biases are in proportion to their inputs."""
    features = NTKFeatures(64, depth=2, random_state=0).fit(X)
    np.testing.assert_allclose(features.transform(scale * X) / scale, features.transform(X), rtol=1e-12, atol=1e-13)


def test_in_a_pipeline() -> None:
    """A linear classifier of digits on them is better than one on the pixels."""
    images, labels = load_digits(return_X_y=True)
    train, test = slice(1200), slice(1200, None)
    plain = RidgeClassifier().fit(images[train], labels[train]).score(images[test], labels[test])
    model = make_pipeline(NTKFeatures(1024, sigma_w=2**0.5, sigma_b=0.1, random_state=0), RidgeClassifier())
    assert model.fit(images[train], labels[train]).score(images[test], labels[test]) > plain + 0.02


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"n_components": 0}, ValueError, r"^n_components must be an integer >= 1, got 0"),
    ({"kind": "both"}, ValueError, r"^kind must be 'nngp' or 'ntk', got 'both'"),
    ({"depth": 0}, ValueError, r"^random features are those of a network with Dense and ReLU layers in turn"),
    ({"network": fastntk.mlp(1, "erf")}, ValueError, r"^random features are those of a network .*'erf'"),
    ({"network": Sequential(Dense(), Activation("relu"))}, ValueError, r"^random features are those"),
    ({"network": "relu"}, TypeError, r"^network must be a fastntk.Sequential"),
    ({"n_components": fastntk.mlp(1)}, TypeError, r"^n_components is a network: .* NTKFeatures\(network=...\)"),
    (
        {"network": Sequential(Dense(trainable=False), Activation("relu"), Dense(trainable=False))},
        ValueError,
        r"^no layer is trainable: the NTK is zero",
    ),
]


@pytest.mark.parametrize(("options", "error", "sentence"), BAD, ids=[sentence[:30] for _, _, sentence in BAD])
def test_bad_input(options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(error, match=sentence):
        NTKFeatures(**options).fit(X)
