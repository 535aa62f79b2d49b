"""Trained networks of finite width: against an ODE of their own, their Taylor model, and the limit as width grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Dense
from fastntk.finite import FiniteNetwork, train

X = np.linspace(-1, 1, 6)[:, None] * [1.0, 0.5] + [0.2, -0.4]
Y = np.sin(3 * X[:, 0])
TEST = X[:3] + 0.1
NET = fastntk.mlp(2, "tanh", 1.5, 0.4)
TIMES = [0.0, 0.5, 2.0, 8.0]


def test_at_the_start() -> None:
    """Nothing has moved, and the network given is left as it is."""
    network = FiniteNetwork(NET, 40, rng=0, n_inputs=2)
    before = [part.copy() for layer in network.parameters for part in layer]
    run = train(network, X, Y, TIMES, TEST)
    for part, old in zip((part for layer in network.parameters for part in layer), before, strict=True):
        np.testing.assert_array_equal(part, old)
    for found in (run.outputs, run.linearized, run.predicted):
        np.testing.assert_allclose(found[0], network.forward(X), rtol=1e-12)
    for found in (run.test_outputs, run.test_linearized, run.test_predicted):
        np.testing.assert_allclose(found[0], network.forward(TEST), rtol=1e-12)
    assert not run.movement[0].any()
    assert run.ntk_drift[0] == 0
    assert not run.ensemble_mean[0].any()
    np.testing.assert_allclose(run.ensemble_deviation[0], np.sqrt(NET.nngp.diag(TEST)), rtol=1e-10)
    np.testing.assert_allclose(run.network.forward(X), run.outputs[-1])
    assert (np.diff(run.loss) < 0).all()


def test_flow_is_the_limit_of_small_steps() -> None:
    """Gradient flow to t = 2 beside 4,000 steps of 1/2000, whose error is of first order."""
    network = FiniteNetwork(NET, 30, rng=1, n_inputs=2)
    flow = train(network, X, Y, [2.0])
    steps = [train(network, X, Y, [round(2 / rate)], learning_rate=rate) for rate in (1e-3, 5e-4)]
    errors = [np.abs(run.outputs - flow.outputs).max() for run in steps]
    assert errors[1] < 2e-4
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)


def test_times_on_the_way_change_nothing() -> None:
    """What is looked at in between, of flow and of steps."""
    network = FiniteNetwork(NET, 30, rng=1, n_inputs=2)
    for how, on_the_way in (({}, [0.0, 0.3, 0.3, 1.1, 2.0]), ({"learning_rate": 0.05}, [0, 7, 7, 20, 40])):
        straight, stops = (train(network, X, Y, t, TEST, **how) for t in (on_the_way[-1:], on_the_way))  # type: ignore[arg-type]
        np.testing.assert_allclose(stops.outputs[-1], straight.outputs[-1], rtol=1e-4)
        np.testing.assert_allclose(stops.test_outputs[-1], straight.test_outputs[-1], rtol=1e-4)
        np.testing.assert_array_equal(stops.outputs[1], stops.outputs[2])


def test_wide_networks_are_linear_and_predicted() -> None:
    """Distances along training, of the function and of the NTK, fall with the width: slopes over six draws each."""
    widths = np.array([64, 256, 1024])
    limit, linear, drift = np.zeros((3, len(widths)))
    for i, width in enumerate(widths):
        for seed in range(6):
            run = train(FiniteNetwork(NET, int(width), rng=seed), X, Y, [5, 40], TEST, learning_rate=0.05)
            assert (np.diff(run.loss) < 0).all()
            limit[i] += np.sum((run.test_outputs - run.test_predicted) ** 2)
            linear[i] += np.sum((run.test_outputs - run.test_linearized) ** 2)
            drift[i] += run.ntk_drift[-1] ** 2
    for squares, slope in ((limit, -0.4), (linear, -0.8), (drift, -0.8)):
        assert np.polyfit(np.log(widths), np.log(np.sqrt(squares)), 1)[0] <= slope


def test_many_outputs() -> None:
    """Outputs share hidden layers."""
    y = np.stack((Y, -Y, Y**2), axis=1)
    run = train(FiniteNetwork(NET, 100, 3, rng=0), X, y, [0, 10, 100], learning_rate=0.05)
    assert run.outputs.shape == run.predicted.shape == run.linearized.shape == (3, 6, 3)
    assert np.abs(run.outputs - run.linearized).max() < 0.1 * np.abs(run.outputs).max()


def test_linear_model_of_several_outputs() -> None:
    """Of a narrow network: steps of its Taylor model, its Jacobian by back-propagation, an output at a time."""
    network, y = FiniteNetwork(NET, 4, 3, rng=0, n_inputs=2), np.stack((Y, -Y, Y**2), axis=1)

    def jacobian(x: NDArray[np.float64]) -> NDArray[np.float64]:
        seeds = np.eye(len(x) * 3).reshape(-1, len(x), 3)
        return np.array([np.concatenate([p.ravel() for w in network.gradient(x, g) for p in w]) for g in seeds])

    J, J_test, f0, f0_test = jacobian(X), jacobian(TEST), network.forward(X), network.forward(TEST)
    moved = np.zeros(J.shape[1])
    for _ in range(7):
        moved -= 0.01 * J.T @ (f0.ravel() + J @ moved - y.ravel())
    run = train(network, X, y, [7], TEST, learning_rate=0.01)
    np.testing.assert_allclose(run.linearized[0], f0 + (J @ moved).reshape(f0.shape), rtol=1e-9)
    np.testing.assert_allclose(run.test_linearized[0], f0_test + (J_test @ moved).reshape(f0_test.shape), rtol=1e-9)


def test_the_standard_parametrization() -> None:
    """Starts as the same function, learns faster by the widths, and is predicted by its own kernel."""
    widths = iter((400, 400, 1))
    net = NET.changed(
        lambda layer: (
            layer.with_values(parametrization="standard", width=next(widths)) if isinstance(layer, Dense) else layer
        )
    )
    standard, plain = (FiniteNetwork(each, 400, rng=0) for each in (net, NET))
    np.testing.assert_allclose(standard.forward(X), plain.forward(X), rtol=1e-10)
    run = train(standard, X, Y, [0, 10], TEST, learning_rate=1e-4)
    assert run.loss[1] < 0.9 * run.loss[0]
    assert np.abs(run.outputs - run.predicted).max() < 0.1 * np.abs(run.outputs[1] - run.outputs[0]).max()


def test_frozen_layers_do_not_move() -> None:
    """And the linear model of the rest is followed."""
    net = fastntk.mlp(2, "tanh", 1.5, 0.4, frozen=1)
    run = train(FiniteNetwork(net, 200, rng=0), X, Y, [20], learning_rate=0.05)
    assert run.movement[0, 0] == 0
    assert (run.movement[0, 1:] > 0).all()


def test_progress_and_shapes() -> None:
    """Up to 1; targets of shape (n,) or (n, 1)."""
    seen: list[float] = []
    one = train(FiniteNetwork(NET, 10, rng=0), X, Y, [1, 2], learning_rate=0.01, progress=seen.append)
    assert seen == [0.5, 1.0]
    other = train(FiniteNetwork(NET, 10, rng=0), X, Y[:, None], [1, 2], learning_rate=0.01)
    np.testing.assert_array_equal(one.outputs, other.outputs)


def test_divergence_is_told() -> None:
    """Of narrow networks, below the rate that the linear model allows for."""
    network = FiniteNetwork(fastntk.mlp(3, "identity", 1.5), 16, rng=0)
    rate = 0.8 * 2 / np.linalg.eigvalsh(network.empirical_ntk(X))[-1]
    with pytest.raises(OverflowError, match=r"^the network has diverged before t = 300: lower the learning rate"):
        train(network, X, 100 * Y, [0, 300], learning_rate=rate)
    with pytest.warns(RuntimeWarning, match=r"^the loss has risen above that of the start"):
        train(network, X, 100 * Y, [0, 2], learning_rate=rate)


def small() -> FiniteNetwork:
    """A network to be refused."""
    return FiniteNetwork(NET, 10, rng=0)


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: train(small(), X, Y[:3], [1]), ValueError, r"^y must have shape \(6, 1\), got \(3,\)"),
    (lambda: train(small(), X, Y * np.nan, [1]), ValueError, r"^y contains nan"),
    (lambda: train(small(), X, Y, [2, 1]), ValueError, r"^t must be numbers >= 0 in ascending order"),
    (lambda: train(NET, X, Y, [1]), TypeError, r"^network must be a FiniteNetwork, got Sequential"),  # type: ignore[arg-type]
    (lambda: train(small(), X, Y, []), ValueError, r"^t is empty"),
    (lambda: train(small(), X, Y, [-1]), ValueError, r"^t must be numbers >= 0 in ascending order"),
    (lambda: train(small(), X, Y, [np.inf]), ValueError, r"^t contains inf"),
    (lambda: train(small(), X, Y, [0.5], learning_rate=0.1), ValueError, r"^with a learning rate t counts steps"),
    (lambda: train(small(), X, Y, [1], learning_rate=0), ValueError, r"^learning_rate must be > 0"),
    (
        lambda: train(small(), X, Y, [1], learning_rate=50),
        ValueError,
        r"^learning_rate=50 is too large: .* diverges from",
    ),
    (lambda: train(small(), X, Y, [1], TEST[:, :1]), ValueError, r"^X_test has samples of shape"),
    (lambda: train(small(), X, Y, [1], progress=3), TypeError, r"^progress must be"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "sentence"), BAD, ids=[sentence[:40] for _, _, sentence in BAD])
def test_bad_input(call: Callable[[], Any], error: type[Exception], sentence: str) -> None:
    """One clear sentence."""
    with pytest.raises(error, match=sentence):
        call()


def test_scaled_samples_are_predicted() -> None:
    """Scale acts once, in the network and in its limit."""
    x, weights = np.random.default_rng(0).normal(size=(4, 3)), [3.0, 1.0, 0.1]
    plain = fastntk.mlp(1)
    scaled = fastntk.Sequential(fastntk.Scale(weights), *plain.layers)
    run = train(FiniteNetwork(scaled, 16, rng=0), x, x[:, 0], [0, 5])
    wanted = train(FiniteNetwork(plain, 16, rng=0), x * weights, x[:, 0], [0, 5])
    np.testing.assert_allclose(run.outputs, wanted.outputs, rtol=1e-9)
    np.testing.assert_allclose(run.predicted, wanted.predicted, rtol=1e-9)
