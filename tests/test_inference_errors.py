"""Bad input to `fastntk.inference`: one clear sentence each, before work starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastntk.inference import (
    CrossEntropy,
    GradientFlow,
    dissipation,
    functional_flow,
    gp_posterior,
    leave_one_out,
    log_marginal_likelihood,
    spectrum,
)

K = np.array([[2.0, 0.5, 0.1], [0.5, 2.0, 0.3], [0.1, 0.3, 2.0]])
Y, CROSS = np.array([1.0, 2.0, 3.0]), np.array([[0.5, 0.4, 0.3], [0.1, 0.2, 0.3]])
LOPSIDED = K + np.triu(np.ones((3, 3)), 1)
WITH_NAN = np.where(np.eye(3) > 0, K, np.nan)
RANK_1 = np.outer(Y, Y)
FLOW = GradientFlow(K, Y, nngp_train=K)
FLOW_3 = GradientFlow(K, np.eye(3)).mean
IDENTITY: Callable[[Any], Any] = lambda f: f  # noqa: E731

Case = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any], type[Exception], str]
CASES: dict[str, Case] = {
    "y short": (gp_posterior, (K, Y[:2], CROSS), {}, ValueError, "y must have shape (3,) or (3, k)"),
    "y 3-d": (gp_posterior, (K, np.ones((3, 1, 1)), CROSS), {}, ValueError, "y must have shape (3,) or (3, k)"),
    "y NaN": (gp_posterior, (K, [1, np.nan, 3], CROSS), {}, ValueError, "y contains nan (first at (1,))"),
    "y complex": (gp_posterior, (K, [1j, 2, 3], CROSS), {}, TypeError, "y must hold real numbers"),
    "K rectangular": (gp_posterior, (CROSS, Y, CROSS), {}, ValueError, "k_train must be square, got shape (2, 3)"),
    "K vector": (gp_posterior, (Y, Y, CROSS), {}, ValueError, "k_train must be a matrix"),
    "K empty": (gp_posterior, (np.ones((0, 0)), [], CROSS), {}, ValueError, "k_train is empty"),
    "K asymmetric": (
        gp_posterior,
        (LOPSIDED, Y, CROSS),
        {},
        ValueError,
        "k_train is not symmetric: entry (0, 1) is 1.5",
    ),
    "K NaN": (gp_posterior, (WITH_NAN, Y, CROSS), {}, ValueError, "k_train contains nan (first at (0, 1))"),
    "K negative": (gp_posterior, (-K, Y, CROSS), {}, ValueError, "k_train has a negative diagonal entry, -2 at 0"),
    "cross transposed": (gp_posterior, (K, Y, CROSS.T), {}, ValueError, "It seems to be transposed"),
    "cross vector": (gp_posterior, (K, Y, Y), {}, ValueError, "k_cross must be a matrix"),
    "test shape": (gp_posterior, (K, Y, CROSS, K), {}, ValueError, "k_test must have shape (2, 2), or (2,)"),
    "noise negative": (gp_posterior, (K, Y, CROSS), {"noise": -1.0}, ValueError, "noise must be >= 0"),
    "noise NaN": (gp_posterior, (K, Y, CROSS), {"noise": np.nan}, ValueError, "noise must be finite"),
    "noise text": (gp_posterior, (K, Y, CROSS), {"noise": "a"}, TypeError, "noise must be a real number"),
    "jitter": (gp_posterior, (K, Y, CROSS), {"jitter": "much"}, TypeError, "jitter must be a real number"),
    "jitter array": (gp_posterior, (K, Y, CROSS), {"jitter": np.ones(2)}, TypeError, "jitter must be a real number"),
    "indefinite": (
        gp_posterior,
        (K - 2.5 * np.eye(3) + 1, Y, CROSS),
        {},
        np.linalg.LinAlgError,
        "k_train is not positive definite: the kernel has a negative eigenvalue, -1.03",
    ),
    "singular": (gp_posterior, (RANK_1, Y, CROSS), {}, np.linalg.LinAlgError, "k_train is singular to working preci"),
    "K ragged": (gp_posterior, ([[1.0], [1.0, 2.0]], Y, CROSS), {}, ValueError, "k_train must be an array: setting"),
    "K bool": (
        gp_posterior,
        (np.triu(np.ones((3, 3), bool)), Y, CROSS),
        {},
        ValueError,
        "k_train is not symmetric: entry (0, 1) is 1, entry (1, 0) 0",
    ),
    "K object": (gp_posterior, (K.astype(object), Y, CROSS), {}, TypeError, "k_train must hold real numbers"),
    "sample": (gp_posterior(K, Y, CROSS, np.eye(2)).sample, (-1,), {}, ValueError, "size must be an integer >= 0"),
    "likelihood": (log_marginal_likelihood, (K, Y[:2]), {}, ValueError, "y must have shape"),
    "likelihood noise": (log_marginal_likelihood, (K, Y, -1), {}, ValueError, "noise must be >= 0"),
    "gradient": (log_marginal_likelihood, (K, Y), {"gradient": "yes"}, TypeError, "gradient must be True or False"),
    "left out": (leave_one_out, (LOPSIDED, Y), {}, ValueError, "not symmetric"),
    "spectrum": (spectrum, (CROSS,), {}, ValueError, "kernel must be square"),
    "ridge": (spectrum(K).effective_dimension, (-1,), {}, ValueError, "ridge must be >= 0"),
    "flow ridge": (GradientFlow, (K, Y), {"ridge": -1}, ValueError, "ridge must be >= 0"),
    "flow nngp": (GradientFlow, (K, Y), {"nngp_train": K[:2, :2]}, ValueError, "nngp_train has shape (2, 2), but"),
    "flow indefinite": (GradientFlow, (K - 1.9, Y), {}, ValueError, "ntk_train has a negative eigenvalue"),
    "t negative": (FLOW.mean, (-1.0,), {}, ValueError, "t must be >= 0, got -1.0"),
    "t NaN": (FLOW.mean, ([1.0, np.nan],), {}, ValueError, "t must be >= 0, got nan"),
    "t 2-d": (FLOW.mean, (np.ones((2, 2)),), {}, ValueError, "t must be a number or one-dimensional"),
    "t empty": (FLOW.mean, ([],), {}, ValueError, "t must be a number or one-dimensional and not empty"),
    "t of covariance": (FLOW.covariance, (-1.0,), {}, ValueError, "t must be >= 0, got -1.0"),
    "t text": (FLOW.mean, ("soon",), {}, TypeError, "t must hold real numbers"),
    "steps": (FLOW.mean, (1.5,), {"learning_rate": 0.1}, ValueError, "t counts steps and must be whole, got 1.5"),
    "rate": (FLOW.mean, (1,), {"learning_rate": -0.1}, ValueError, "learning_rate must be > 0"),
    "momentum": (FLOW.mean, (1,), {"learning_rate": 0.1, "momentum": 1}, ValueError, "momentum must be in [0, 1)"),
    "momentum alone": (FLOW.mean, (1,), {"momentum": 0.5}, ValueError, "momentum belongs to gradient descent"),
    "f0": (FLOW.mean, (1.0,), {"f0_train": [1.0, 2.0]}, ValueError, "f0_train must have shape (3,) or be a number"),
    "f0 vector": (FLOW_3, (1.0,), {"f0_train": Y}, ValueError, "f0_train must have shape (3, 3) or be a number"),
    "f0_test": (FLOW.mean, (1.0,), {"f0_test": [1.0]}, ValueError, "pass ntk_cross too"),
    "ntk_cross": (FLOW.mean, (1.0, CROSS.T), {}, ValueError, "ntk_cross must have shape (m, 3), (test, train)"),
    "no nngp": (GradientFlow(K, Y).covariance, (1.0,), {}, ValueError, "pass nngp_train to GradientFlow"),
    "missing": (FLOW.covariance, (1.0, CROSS), {}, ValueError, "needs nngp_cross and nngp_test too"),
    "mismatch": (
        FLOW.covariance,
        (1.0, CROSS, CROSS[:1], K[:2, :2]),
        {},
        ValueError,
        "2 test samples, but nngp_cross 1",
    ),
    "loss": (FLOW.time_to, (np.nan,), {}, ValueError, "loss must be finite"),
    "times": (functional_flow, (K, IDENTITY, [2.0, 1.0]), {"f0_train": Y}, ValueError, "ascending order"),
    "inf": (functional_flow, (K, IDENTITY, np.inf), {"f0_train": Y}, ValueError, "t must be finite"),
    "gradient 3": (functional_flow, (K, 3, 1.0), {"f0_train": Y}, TypeError, "gradient must be a function"),
    "cost": (functional_flow, (K, IDENTITY, 1.0), {"f0_train": Y, "cost": 3}, TypeError, "cost must be a function"),
    "rtol": (functional_flow, (K, IDENTITY, 1.0), {"f0_train": Y, "rtol": 0}, ValueError, "rtol must be from 1e-13"),
    "atol": (functional_flow, (K, IDENTITY, 1.0), {"f0_train": Y, "atol": 0}, ValueError, "atol must be > 0, got 0"),
    "gradient shape": (functional_flow, (K, np.sum, 1.0), {"f0_train": Y}, ValueError, "gradient must return an array"),
    "gradient NaN": (
        functional_flow,
        (K, lambda f: f * np.nan, 1.0),
        {"f0_train": Y},
        ValueError,
        "gradient returned NaN",
    ),
    "labels": (CrossEntropy, ([-1, 0],), {}, ValueError, "labels must be whole numbers >= 0"),
    "classes": (CrossEntropy, ([0, 5], 3), {}, ValueError, "labels must be below classes=3, got 5"),
    "classes 2.5": (CrossEntropy, ([0, 1], 2.5), {}, ValueError, "classes must be an integer >= 1"),
    "outputs": (CrossEntropy([0, 1]), (np.ones((3, 2)),), {}, ValueError, "f must have shape (2, 2)"),
    "dissipation": (dissipation, (K, Y[:2]), {}, ValueError, "gradient must have shape (3,)"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_sentence(name: str) -> None:
    """Each says what was given and what was expected."""
    function, arguments, options, kind, sentence = CASES[name]
    with pytest.raises(kind, match=re.escape(sentence)):
        function(*arguments, **options)


def test_what_a_posterior_does_not_know() -> None:
    """Variance and covariance need k_test."""
    with pytest.raises(ValueError, match="variance needs k_test"):
        _ = gp_posterior(K, Y, CROSS).variance
    with pytest.raises(ValueError, match="needs the whole k_test"):
        _ = gp_posterior(K, Y, CROSS, [2.0, 2.0]).covariance
