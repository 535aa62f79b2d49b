"""Where searches for hyper-parameters begin: at the best noise, or scale of outputs, that there is for a network."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from fastntk import mlp
from fastntk.inference.fitting.labels import LabelLikelihood
from fastntk.inference.fitting.likelihood import Likelihood
from fastntk.inference.fitting.sigmas import Sigmas

X = np.random.default_rng(0).normal(size=(60, 3))
SIGMAS = Sigmas(mlp(2, "relu", 1.4, 0.1), None, None, "shared")


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("noise", [1e-4, 0.1, 3.0])
def test_noise(kind: Literal["nngp", "ntk"], scaled: bool, noise: float) -> None:
    """No noise from next to none to far too much is more likely, with the sigmas as they are."""
    y = np.sin(X).sum(axis=1) + np.sqrt(noise) * np.random.default_rng(1).normal(size=60)
    likelihood = Likelihood(SIGMAS, X, y, kind, None, np.ones(60), scaled=scaled)
    start = likelihood.start(np.zeros(len(SIGMAS)))
    values = [likelihood(np.array([*start[:-1], log])).value for log in np.log(np.logspace(-8, 1, 46))]
    best = likelihood(start).value
    assert best >= max(values) - 0.05  # between those that it looks at the likelihood is higher by that
    assert best > min(values) + 5


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("certain", [0.3, 3.0, 30.0])
def test_scale_of_log_odds(outputs: int, certain: float) -> None:
    """None that is as round is more likely, from labels that are nearly drawn to those without doubt."""
    odds = certain * np.sin(2 * X[:, :outputs])
    labels = (np.random.default_rng(2).logistic(size=odds.shape) < odds).astype(float)
    likelihood = LabelLikelihood(SIGMAS, X, labels, scaled=True)
    start = likelihood.start(np.zeros(len(SIGMAS)))
    values = {k: likelihood(np.array([*start[:-1], np.log(10) * k / 2])).value for k in range(-1, 5)}
    assert round(2 * start[-1] / np.log(10)) == max(values, key=lambda k: values[k])
