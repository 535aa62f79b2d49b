"""scikit-learn's idioms on images, which are rows there: estimators and kernels against regressions by hand."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small_images import FLAT, ROWS, TARGET, X, Y, rows

from fastntk.inference import laplace_posterior


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
    likely = laplace_posterior(K, labels).probability(cross, FLAT.nngp.diag(Y))
    by_laplace = fs.NNGPClassifier(network=ROWS).fit(x, labels)
    np.testing.assert_allclose(by_laplace.predict_proba(y)[:, 1], likely, **close)

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
