"""A fit by likelihood follows the units of y over the range of float64, and says where that ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastntk import mlp
from fastntk.inference import fit_marginal_likelihood

NET = mlp(1, "erf", 1.0, 0.5)
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 2))
Y = np.sin(X[:, 0]) + 0.1 * rng.normal(size=40)
FIXED: dict[str, Any] = {"noise_bounds": "fixed"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("exponent", [-490, -300, -20, 30, 300, 500])
@pytest.mark.parametrize("given", [False, True])
def test_units_are_followed(exponent: int, given: bool) -> None:
    """With c y for y: n log c less, c times the scale, c² times the noise; without a warning."""
    c = 2.0**exponent
    one, other = (
        fit_marginal_likelihood(NET, X, k * Y, **({"noise": 0.01 * k * k, **FIXED} if given else {})) for k in (1.0, c)
    )
    np.testing.assert_allclose(other.log_marginal_likelihood + 40 * np.log(c), one.log_marginal_likelihood, rtol=1e-9)
    np.testing.assert_allclose(other.noise / c / c, one.noise, rtol=1e-12)
    np.testing.assert_allclose(other.parameters["output_scale"] / c, one.parameters["output_scale"], rtol=1e-12)
    kernel = one.network.nngp(X)
    root = np.sqrt(kernel.diagonal())
    np.testing.assert_allclose(
        other.network.nngp(X) / c / c / root / root[:, None], kernel / root / root[:, None], atol=1e-12
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("c", [1e-300, 1e-155, 1e155, 1e300])
def test_where_float64_ends(c: float) -> None:
    """One sentence, and no warning before it."""
    with pytest.raises(ValueError, match=r"^the noise .* or the kernel .* leaves the range of float64, with y up to"):
        fit_marginal_likelihood(NET, X, c * Y)
    with pytest.raises(ValueError, match=r"^y leaves the range of float64 when squared, y up to .*: scale y"):
        fit_marginal_likelihood(NET, X, c * Y, output_scale=False)
    with pytest.raises(ValueError, match=r"^noise=1 and y up to .* are too far apart for float64"):
        fit_marginal_likelihood(NET, X, c * Y, noise=1.0, **FIXED)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("c", [1e-150, 1e150])
def test_estimator(c: float) -> None:
    """Predicts in the units that it was given."""
    pytest.importorskip("sklearn")
    from fastntk.sklearn import NNGPRegressor

    one, other = (NNGPRegressor(network=NET, optimizer="lbfgs").fit(X, k * Y) for k in (1.0, c))
    for a, b in zip(one.predict(X[:5] + 0.1, True), other.predict(X[:5] + 0.1, True), strict=True):
        np.testing.assert_allclose(b / c, a, rtol=1e-8)
