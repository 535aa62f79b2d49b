"""Training of singular kernels for any time: against 60 digits, with duplicates, low rank and small ridges."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk.inference import GradientFlow, functional_flow

pytest.importorskip("sklearn")
from fastntk.sklearn import NTKRegressor

Array = NDArray[np.float64]
NET = fastntk.mlp(1, "relu", 1.5, 0.3)
TIMES = [0.0, 1e-3, 1.0, 1e4, 1e8, 1e12, 1e16, 1e20, 1e100]


def problem(seed: int) -> tuple[Array, Array, Array]:
    """Samples with duplicates, in any order, targets that contradict one another, and test samples."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(int(rng.integers(3, 7)), 3))
    x = np.concatenate((x, x[rng.integers(len(x), size=int(rng.integers(1, 6)))]))
    x = x[rng.permutation(len(x))]
    return x, rng.normal(size=len(x)), np.concatenate((rng.normal(size=(4, 3)), x[:2]))


def exact(x: Array, others: Array, y: Array, gain: Any, net: Any = NET) -> tuple[Array, Array, Array]:
    """Mean and covariances after training, in 60 digits: of each mode gain(rate) is learned, over rate.

    Theta is that of the samples without their duplicates: means of their targets, each as often as it is there.
    """
    once, first, place, count = np.unique(x, axis=0, return_index=True, return_inverse=True, return_counts=True)
    place = place.ravel()  # of NumPy 2.0 it is a column
    del once
    root = [mpmath.sqrt(int(c)) for c in count]
    g = len(first)
    with mpmath.workdps(60):
        theta, k = (mpmath.matrix(m(x[first]).tolist()) for m in (net.ntk, net.nngp))
        scaled = mpmath.matrix(g, g)
        for i in range(g):
            for j in range(g):
                scaled[i, j] = root[i] * theta[i, j] * root[j]
        values, vectors = mpmath.eigsy(scaled)
        gains = mpmath.diag([gain(v) for v in values])
        inner = vectors * gains * vectors.T  # what is learned over rate, of weighted means
        scale = mpmath.diag(root)
        inner = scale * inner * scale
        means = mpmath.matrix([mpmath.fsum(map(mpmath.mpf, y[place == i])) / int(count[i]) for i in range(g)])
        cross, k_cross = (mpmath.matrix(m(others, x[first]).tolist()) for m in (net.ntk, net.nngp))
        test = mpmath.matrix(net.nngp(others).tolist())
        a = cross * inner
        mean = a * means
        covariance = test - a * k_cross.T - k_cross * a.T + a * k * a.T
        b = mpmath.eye(g) - theta * inner
        train = b * k * b.T

    def numbers(m: Any) -> Array:
        return np.array(m.tolist(), float)

    return numbers(mean)[:, 0], numbers(covariance), numbers(train)[np.ix_(place, place)]


@pytest.mark.parametrize("ridge", [0.0, 1e-30, 1e-18, 1e-3])
@pytest.mark.parametrize("seed", range(4))
def test_gradient_flow(seed: int, ridge: float) -> None:
    """Duplicates with targets that contradict one another, at any finite time."""
    x, y, others = problem(seed)
    flow = GradientFlow(NET.ntk(x), y, nngp_train=NET.nngp(x), ridge=ridge)
    crosses = NET.ntk(others, x), NET.nngp(others, x)
    test = NET.nngp(others)
    variances = flow.covariance(TIMES, *crosses, test.diagonal())
    for t, mean, covariance, train, variance in zip(
        TIMES,
        flow.mean(TIMES, crosses[0]),
        flow.covariance(TIMES, *crosses, test),
        flow.covariance(TIMES),
        variances,
        strict=True,
    ):
        with mpmath.workdps(60):
            wanted = exact(x, others, y, lambda v, t=t: -mpmath.expm1(-(v + ridge) * t) / (v + ridge))
        np.testing.assert_allclose(mean, wanted[0], atol=1e-9, err_msg=str(t))
        np.testing.assert_allclose(covariance, wanted[1], atol=1e-8)
        np.testing.assert_allclose(variance, wanted[1].diagonal(), atol=1e-8)
        if ridge != 1e-3:  # with a ridge duplicates forget their start
            np.testing.assert_allclose(train, wanted[2], atol=1e-9)
        for matrix in (covariance, train):
            np.testing.assert_array_equal(matrix, matrix.T)
            assert (matrix.diagonal() >= 0).all()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_descent(seed: int, momentum: float) -> None:
    """Up to 1e18 steps, whose end is that of gradient flow."""
    x, y, others = problem(seed)
    flow = GradientFlow(NET.ntk(x), y, nngp_train=NET.nngp(x))
    rate = 0.5 * flow.max_learning_rate(momentum)
    options: dict[str, Any] = {"learning_rate": rate, "momentum": momentum}
    with mpmath.workdps(60):
        wanted = exact(x, others, y, lambda v: 1 / v)
    crosses = NET.ntk(others, x), NET.nngp(others, x), NET.nngp(others)
    for steps in (10**6, 10**12, 10**18):
        np.testing.assert_allclose(flow.mean(steps, crosses[0], **options), wanted[0], atol=1e-9)
        np.testing.assert_allclose(flow.covariance(steps, *crosses, **options), wanted[1], atol=1e-8)
        train = flow.covariance(steps, **options)
        np.testing.assert_array_equal(train, train.T)
        assert (train.diagonal() >= 0).all()


def test_estimator() -> None:
    """Predictions after a long training with duplicates."""
    x, y, others = problem(1)
    with mpmath.workdps(60):
        wanted = exact(x, others, y, lambda v: 1 / v)
    model = NTKRegressor(network=NET, t=1e16, ridge=0.0).fit(x, y)
    mean, covariance = model.predict(others, return_cov=True)
    np.testing.assert_allclose(mean, wanted[0], atol=1e-9)
    np.testing.assert_allclose(model.predict(others), wanted[0], atol=1e-9)
    np.testing.assert_allclose(covariance, wanted[1], atol=1e-8)
    np.testing.assert_allclose(NET.ntk(others, x) @ model.dual_coef_, wanted[0], atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_any_cost(seed: int) -> None:
    """The squared error integrated, to its tolerance."""
    x, y, others = problem(seed)
    with mpmath.workdps(60):
        wanted = exact(x, others, y, lambda v: 1 / v)
    for t in (1e4, 1e8):
        found = functional_flow(NET.ntk(x), lambda f: f - y, t, ntk_cross=NET.ntk(others, x), f0_train=0 * y)
        assert found.test is not None
        np.testing.assert_allclose(found.test[-1], wanted[0], atol=1e-4)


def test_low_rank() -> None:
    """A linear network on more samples than features: what it cannot learn stays, at any time."""
    rng = np.random.default_rng(0)
    net, x, others = fastntk.mlp(0), rng.normal(size=(9, 3)), rng.normal(size=(4, 3))
    y = rng.normal(size=9)
    wanted = others @ np.linalg.lstsq(x, y)[0]
    for t in (1e4, 1e8, 1e16, 1e30):
        np.testing.assert_allclose(GradientFlow(net.ntk(x), y).mean(t, net.ntk(others, x)), wanted, atol=1e-9)


@pytest.mark.parametrize("distance", [1e-9, 1e-8, 1e-7])
def test_near_duplicates(distance: float) -> None:
    """Are not taken for duplicates: what their small difference does is there, while t is early enough to be known."""
    rng = np.random.default_rng(0)
    x, others = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    x = np.concatenate((x, x[[2]] + distance))
    theta, cross, y = NET.ntk(x), NET.ntk(others, x), rng.normal(size=6)
    y[5] = y[2] + 100
    for t in (1.0, 1e3):
        with mpmath.workdps(60):
            values, vectors = mpmath.eigsy(mpmath.matrix(theta.tolist()))
            gains = mpmath.diag([-mpmath.expm1(-v * t) / v for v in values])
            weights = vectors * gains * vectors.T * mpmath.matrix(y.tolist())
            wanted = np.array((mpmath.matrix(cross.tolist()) * weights).tolist(), float)[:, 0]
        np.testing.assert_allclose(GradientFlow(theta, y).mean(t, cross), wanted, atol=1e-11 * max(1, t))


def test_coupling_of_near_duplicates() -> None:
    """What contradictory targets of two samples, an angle of 1e-8 apart, do to a third one: a matrix of rank 2."""
    features = np.array([[1.0, 0.0], [np.cos(1e-8), np.sin(1e-8)], [0.0, 1.0]])
    t, theta, y = np.array([0.5, 1.0, 3.0]), features @ features.T, np.array([1e8, -1e8, 0.0])
    for ask in ((), (theta,)):
        np.testing.assert_allclose(GradientFlow(theta, y).mean(t, *ask)[:, 2], np.expm1(-t), rtol=1e-6)


@pytest.mark.parametrize("distance", [1e-9, 1e-8, 3e-8])
def test_what_nobody_knows(distance: float) -> None:
    """Samples so near that the eigenvalue of their difference is rounding: exact while it does not matter."""
    theta = np.array([[1.0, 1.0], [1.0, 1.0]])
    flow, cross = GradientFlow(theta, [1.0, -1.0]), np.array([[0.5, 0.5 - distance]])
    # v = (1, -1) / sqrt 2 has an eigenvalue in [0, 4e-16], and the cross kernel distance / sqrt 2 with it
    for t in (1.0, 1e3):
        np.testing.assert_allclose(flow.mean(t, cross), [distance * t], rtol=1e-6, atol=1e-12)
    with pytest.raises(np.linalg.LinAlgError, match=r"rows 0 and 1 are duplicates.*earlier t, or a larger ridge"):
        flow.mean(1e16, cross)


def test_covariance_of_kernels_that_do_not_belong_together() -> None:
    """Is refused, not cut off at 0."""
    flow = GradientFlow(np.eye(2), [0.0, 0.0], nngp_train=np.eye(2))
    with pytest.raises(ValueError, match=r"^the variance at sample 0 is -\d.*not those of one network"):
        flow.covariance(np.inf, [[1.0, 1.0]], [[1.0, 1.0]], [0.5])
    indefinite = GradientFlow(np.eye(2), [0.0, 0.0], nngp_train=[[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match=r"^the variance at sample"):
        indefinite.covariance(1.0, [[0.5, -0.5]], [[0.0, 0.0]], [0.0])
