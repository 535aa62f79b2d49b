"""What a process is asked: predictions of new targets, and arguments as other libraries have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk.inference import GaussianProcess


@pytest.mark.parametrize("outputs", [1, 2])
def test_noise_of_new_targets(outputs: int) -> None:
    """In the units of y, in deviations, covariances and gradients; it covers what is drawn anew."""
    rng = np.random.default_rng(0)
    X, new = rng.uniform(-2, 2, size=(200, 1)), rng.uniform(-2, 2, size=(2000, 1))
    scales = np.array([50.0, 0.3])[:outputs]

    def drawn(x: Any) -> Any:
        return (100 + scales * (np.sin(2 * x) + 0.1 * rng.normal(size=(len(x), outputs)))).squeeze()

    net = fastntk.mlp(1, "erf", 2.0, 1.0)
    model = GaussianProcess(net, X, drawn(X), noise=0.01, mean="constant", standardize=True).fit()
    mean, std = model.predict(new, include_noise=True)
    covered = np.mean(np.abs(drawn(new) - mean) < 2 * std)
    assert 0.93 < covered < 0.97
    few = new[:3]
    joint = model.predict(few, covariance=True, include_noise=True).covariance
    np.testing.assert_allclose(np.sqrt(np.einsum("ii...->i...", joint)), std[:3], rtol=1e-10)
    slopes = model.predict(few, gradient=True, include_noise=True)
    np.testing.assert_array_equal(slopes.std, std[:3])
    step = 1e-5
    up, down = (model.predict(few + s, include_noise=True).std for s in (step, -step))
    np.testing.assert_allclose(slopes.std_gradient[..., 0], (up - down) / (2 * step), rtol=1e-4, atol=1e-6 * std.max())
    each = GaussianProcess(net, X, drawn(X), noise=np.full(200, 0.01))
    with pytest.raises(ValueError, match="include_noise=True needs one noise for all"):
        each.predict(few, include_noise=True)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda model: model.fit(np.eye(3), [1, 2, 3]), r"^fit takes no data: .*GaussianProcess\(net, X, y\)\.fit\(\)"),
        (lambda model: model.fit(rng=0), "^a fit has no argument 'rng': it is random_state"),
        (lambda model: model.fit(maxiter=3), "it is most_evaluations"),
        (lambda model: model.predict(np.eye(3), return_std=True), "^predict gives mean and std by itself"),
        (lambda model: model.predict(np.eye(3), return_cov=True), "return_cov=True is covariance=True here"),
    ],
)
def test_arguments_of_other_libraries(call: Any, sentence: str) -> None:
    """Are answered with what they are here."""
    with pytest.raises(TypeError, match=sentence):
        call(GaussianProcess(fastntk.mlp(1), np.eye(3), [0.0, 1.0, 2.0]))
