"""What a fit computes: every evaluation once, and of a network without sigmas no derivative in any."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastntk import Kernel, Sequential, mlp
from fastntk.inference import fit_marginal_likelihood, log_marginal_likelihood
from fastntk.inference.fitting.likelihood import Likelihood

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
Y = np.maximum(X[:, 0], 0) + 0.3 * rng.normal(size=30)


@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")
def test_evaluations_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is in the history, with restarts and where the search begins again."""
    thetas: list[bytes] = []
    evaluate = Likelihood.__call__

    def counted(self: Likelihood, theta: Any) -> Any:
        thetas.append(theta.tobytes())
        return evaluate(self, theta)

    monkeypatch.setattr(Likelihood, "__call__", counted)
    for most in (1, 2, 200):
        thetas.clear()
        fit = fit_marginal_likelihood(
            mlp(1, "erf", 1.0, 0.5), X, Y, restarts=3, random_state=0, most_evaluations=most, tolerance=1e-9
        )
        assert len(thetas) == len(set(thetas)) == fit.evaluations
        assert fit.evaluations >= 4 * min(most, 3)


@pytest.mark.filterwarnings("ignore:the network has no bias:fastntk.inference.FitWarning")
def test_the_noise_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is found where there is no sigma, or none to move; it is the best of a grid."""
    monkeypatch.setattr(Kernel, "vjp", None)
    for net, fixed in ((Sequential("relu"), None), (mlp(1, "relu", 1.5), "fixed")):
        fit = fit_marginal_likelihood(net, X, Y, output_scale=False, sigma_w_bounds=fixed)  # type: ignore[arg-type]
        assert list(fit.parameters) == ["noise"]
        assert fit.network == net
        assert fit.converged
        kernel = net.nngp(X)
        grid = [log_marginal_likelihood(kernel, Y, level) for level in np.logspace(-4, 1, 500)]
        assert max(grid) <= fit.log_marginal_likelihood < max(grid) + 1e-2


def test_the_estimator_has_the_slope_of_the_noise() -> None:
    """Of a network without sigmas."""
    pytest.importorskip("sklearn")
    from fastntk.sklearn import NNGPRegressor

    model = NNGPRegressor(network=Sequential("relu"), output_scale=False, noise=0.2).fit(X, Y)
    low, high = (model.log_marginal_likelihood(np.log([0.2]) + step) for step in (-1e-5, 1e-5))
    _, slope = model.log_marginal_likelihood(np.log([0.2]), eval_gradient=True)
    np.testing.assert_allclose(slope, [(high - low) / 2e-5], rtol=1e-6)
