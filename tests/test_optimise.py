"""The loops of Bayesian optimisation in examples/, and the peer that bench/ has for their surrogate."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mpmath import log, mp, mpf, ncdf, npdf

ROOT = Path(__file__).resolve().parents[1]


def module(folder: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script."""
    monkeypatch.syspath_prepend(str(ROOT / folder))
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def test_logarithm_of_the_improvement(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in 60 digits, from where it is certain to where it underflows."""
    found = module("examples", "optimise", monkeypatch).log_improvement
    z = np.array([5.0, 0.0, -0.999, -1.001, -3.0, -30.0, -300.0, -3e4])
    with mp.workdps(60):
        truth = [float(log(npdf(mpf(x)) + mpf(x) * ncdf(mpf(x)))) for x in z[:-1].tolist()]
    truth.append(-(z[-1] ** 2) / 2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(-z[-1]))  # the first term of its expansion
    np.testing.assert_allclose(found(z), truth, rtol=1e-11)
    assert np.isfinite(found(np.array([-1e9, -1e150]))).all()


def test_gradient_of_the_acquisition(monkeypatch: pytest.MonkeyPatch) -> None:
    """As central differences."""
    script = module("examples", "optimise", monkeypatch)
    rng = np.random.default_rng(0)
    X, candidates = rng.uniform(-1, 1, (20, 6)), rng.uniform(-1, 1, (5, 6))
    y = script.hartmann6(X)
    model = script.GaussianProcess(script.NET, X, y, noise=1e-4, mean="constant", standardize=True)
    gradient = script.log_expected_improvement(model, y.min(), candidates)[1]
    for j, h in enumerate(1e-5 * np.eye(6)):
        up, down = (script.log_expected_improvement(model, y.min(), candidates + step)[0] for step in (h, -h))
        np.testing.assert_allclose(gradient[:, j], (up - down) / 2e-5, rtol=1e-6, atol=1e-6)


def test_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has its published minimum where it was published."""
    x = np.array([0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573])
    found = module("examples", "optimise", monkeypatch).hartmann6(2 * x[None] - 1)
    np.testing.assert_allclose(found, -3.32237, atol=1e-5)


def test_loop_in_numpy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Gets where 2,000 points at random do not."""
    script = module("examples", "optimise", monkeypatch)
    at_random = script.hartmann6(np.random.default_rng(0).uniform(-1, 1, (2000, 6))).min()
    assert script.main(evaluations=40) < at_random
    assert "after 40 evaluations" in capsys.readouterr().out


def test_loop_in_botorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does better than the points that it begins with."""
    pytest.importorskip("botorch", reason="BoTorch is not installed")
    script = module("examples", "optimise_botorch", monkeypatch)
    assert script.main(evaluations=14) < script.main(evaluations=10)


@pytest.mark.parametrize("lengths", [[0.7, 1.1, 2.0, 3.0], [0.8]])
def test_peer(lengths: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer of bench/ says what scikit-learn's process with the same kernel says; gradients are differences."""
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    kernels = gaussian_process.kernels
    peer = module("bench", "matern", monkeypatch).Matern
    rng = np.random.default_rng(0)
    X, new = rng.uniform(-1, 1, (30, 4)), rng.uniform(-1, 1, (5, 4))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]
    model = peer(X, y, np.array(lengths), 1.5)
    constant = (y - y.mean()) / y.std() - model.values
    kernel = kernels.ConstantKernel(1.5) * kernels.Matern(lengths, nu=2.5)
    theirs = gaussian_process.GaussianProcessRegressor(kernel, alpha=1e-6, optimizer=None).fit(X, model.values)
    value, slopes = theirs.log_marginal_likelihood(theirs.kernel_.theta, eval_gradient=True)
    ours, gradient = model.likelihood()
    np.testing.assert_allclose(ours, value, rtol=1e-9)
    np.testing.assert_allclose(gradient, np.roll(slopes, -1), rtol=1e-5)  # their amplitude is the first
    mean, std = theirs.predict(new, return_std=True)
    found = model.predict(new)
    np.testing.assert_allclose(found[0], y.mean() + y.std() * (mean + constant[0]), rtol=1e-9)
    np.testing.assert_allclose(found[1], y.std() * std, rtol=1e-6)
    for j, h in enumerate(1e-5 * np.eye(4)):
        up, down = model.predict(new + h), model.predict(new - h)
        np.testing.assert_allclose(found[2][:, j], (up[0] - down[0]) / 2e-5, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[3][:, j], (up[1] - down[1]) / 2e-5, rtol=1e-5, atol=1e-6)
