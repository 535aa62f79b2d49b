"""Training dynamics: against ODE integration, explicit linear models, and a trained finite network."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import fastntk
from fastntk.inference import CrossEntropy, GradientFlow, dissipation, functional_flow

Array = NDArray[np.float64]

NET = fastntk.mlp(2, "relu", 1.4, 0.3)
rng = np.random.default_rng(0)
X, X_TEST = rng.normal(size=(7, 3)), rng.normal(size=(4, 3))
Y = rng.normal(size=(7, 2))
THETA, THETA_CROSS = NET.ntk(X), NET.ntk(X_TEST, X)
K, K_CROSS, K_TEST = NET.nngp(X), NET.nngp(X_TEST, X), NET.nngp(X_TEST)

#: A linear model f = J theta with the NTK above: its training is what gradient flow predicts.
_ALL = NET.ntk(np.concatenate((X, X_TEST)))
JACOBIAN = np.linalg.cholesky(_ALL)
J, J_TEST = JACOBIAN[:7], JACOBIAN[7:]
START = rng.normal(size=(11, 2))
F0, F0_TEST = START[:7], START[7:]
TIMES = [0.0, 0.01, 0.3, 4.0]


def integrated(ridge: float) -> tuple[Array, Array]:
    """Outputs of the linear model trained on the loss and the penalty, by an ODE solver."""

    def slope(_: float, theta: Array) -> Array:
        way = theta.reshape(11, 2)
        return np.asarray(-(J.T @ (F0 + J @ way - Y) + ridge * way)).ravel()

    found = solve_ivp(slope, (0, TIMES[-1]), np.zeros(22), method="LSODA", t_eval=TIMES, rtol=1e-11, atol=1e-12)
    ways = found.y.T.reshape(-1, 11, 2)
    return F0 + J @ ways, F0_TEST + J_TEST @ ways


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_mean_is_the_solution_of_the_ode(ridge: float) -> None:
    """Train and test samples, several times at once and one by one."""
    flow = GradientFlow(THETA, Y, ridge=ridge)
    train, test = integrated(ridge)
    np.testing.assert_allclose(flow.mean(TIMES, f0_train=F0), train, atol=1e-7)
    np.testing.assert_allclose(flow.mean(TIMES, THETA_CROSS, f0_train=F0, f0_test=F0_TEST), test, atol=1e-7)
    np.testing.assert_array_equal(flow.mean(0.0, f0_train=F0), F0)
    np.testing.assert_allclose(flow.mean(0.3, f0_train=F0), train[2], atol=1e-7)
    loss = 0.5 * ((train - Y) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(flow.loss(TIMES, f0_train=F0), loss, rtol=1e-5)
    np.testing.assert_allclose(flow.mode_losses(TIMES, f0_train=F0).sum(axis=1), loss, rtol=1e-5)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_the_end_of_training_is_kernel_regression(ridge: float) -> None:
    """By a linear solver; and one output is a column of two."""
    flow = GradientFlow(THETA, Y, ridge=ridge)
    weights = np.linalg.solve(THETA + ridge * np.eye(7), Y - F0)
    np.testing.assert_allclose(flow.mean(f0_train=F0), F0 + THETA @ weights, rtol=1e-10)
    found = flow.mean(np.inf, THETA_CROSS, f0_train=F0, f0_test=F0_TEST)
    np.testing.assert_allclose(found, F0_TEST + THETA_CROSS @ weights, rtol=1e-9)
    one = GradientFlow(THETA, Y[:, 0], ridge=ridge)
    np.testing.assert_allclose(one.mean(0.3, THETA_CROSS), flow.mean(0.3, THETA_CROSS)[:, 0], rtol=1e-11)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("t", [0.0, 0.02, 0.7, np.inf])
def test_covariance(t: float, ridge: float) -> None:
    """By the matrix exponential: f_t = f_0 - A f_0(X) + const."""
    flow = GradientFlow(THETA, Y, nngp_train=K, ridge=ridge)
    regularised = THETA + ridge * np.eye(7)
    learned = np.eye(7) - (0 if t == np.inf else expm(-t * regularised))
    gain = np.linalg.solve(regularised, learned)
    a, left = THETA_CROSS @ gain, np.eye(7) - THETA @ gain
    np.testing.assert_allclose(flow.covariance(t), left @ K @ left.T, atol=1e-12)
    wanted = K_TEST - a @ K_CROSS.T - K_CROSS @ a.T + a @ K @ a.T
    found = flow.covariance(t, THETA_CROSS, K_CROSS, K_TEST)
    np.testing.assert_allclose(found, wanted, atol=1e-11)
    variance = flow.covariance([t, t], THETA_CROSS, K_CROSS, np.diag(K_TEST))
    np.testing.assert_allclose(variance, [np.diag(wanted)] * 2, atol=1e-11)
    if t == 0:
        np.testing.assert_array_equal(flow.covariance(t), K)
        np.testing.assert_array_equal(found, K_TEST)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.9])
def test_gradient_descent_is_its_steps(momentum: float, ridge: float) -> None:
    """The linear model, step by step."""
    flow = GradientFlow(THETA, Y, ridge=ridge)
    rate = 0.4 * flow.max_learning_rate(momentum)
    way, velocity = np.zeros((11, 2)), np.zeros((11, 2))
    wanted = []
    for _ in range(41):
        wanted.append((F0 + J @ way, F0_TEST + J_TEST @ way))
        velocity = momentum * velocity - rate * (J.T @ (F0 + J @ way - Y) + ridge * way)
        way = way + velocity
    steps = np.arange(41)
    options: dict[str, Any] = {"learning_rate": rate, "momentum": momentum}
    np.testing.assert_allclose(flow.mean(steps, f0_train=F0, **options), [w[0] for w in wanted], atol=1e-10)
    found = flow.mean(steps, THETA_CROSS, f0_train=F0, f0_test=F0_TEST, **options)
    np.testing.assert_allclose(found, [w[1] for w in wanted], atol=1e-10)
    np.testing.assert_allclose(
        flow.mean(10**6, THETA_CROSS, **options), flow.mean(np.inf, THETA_CROSS, **options), atol=1e-9
    )


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_covariance_of_gradient_descent(momentum: float) -> None:
    """The linear model again, trained on 0 from every unit vector: f_t is that map of f_0."""
    flow = GradientFlow(THETA, Y, nngp_train=K)
    rate = 0.4 * flow.max_learning_rate(momentum)
    start, way, velocity = np.eye(11), np.zeros((11, 11)), np.zeros((11, 11))
    for _ in range(12):
        velocity = momentum * velocity - rate * (J.T @ (start[:7] + J @ way))
        way = way + velocity
    trained = start + JACOBIAN @ way
    wanted = trained @ NET.nngp(np.concatenate((X, X_TEST))) @ trained.T
    options: dict[str, Any] = {"learning_rate": rate, "momentum": momentum}
    np.testing.assert_allclose(flow.covariance(12, **options), wanted[:7, :7], atol=1e-11)
    found = flow.covariance([12, 0], THETA_CROSS, K_CROSS, K_TEST, **options)
    np.testing.assert_allclose(found[0], wanted[7:, 7:], atol=1e-11)
    np.testing.assert_array_equal(found[1], K_TEST)


@pytest.mark.parametrize(("rate", "momentum", "steps"), [(1e-10, 0.0, 10**10), (1e-8, 0.9, 10**7), (0.5, 0.0, 300)])
def test_many_steps_keep_their_digits(rate: float, momentum: float, steps: int) -> None:
    """Of slow modes, and of what is nearly nothing: against the power of the recursion's matrix in 60 digits."""
    with mpmath.workdps(60):
        step = mpmath.matrix([[1 + mpmath.mpf(momentum) - mpmath.mpf(rate), -mpmath.mpf(momentum)], [1, 0]])
        left = sum((step**steps)[0, :])
        wanted, loss = float(1 - left), float(left**2 / 2)
    flow = GradientFlow(np.diag([1.0, rate]), [0.0, 1.0])
    options: dict[str, Any] = {"learning_rate": 1.0, "momentum": momentum}
    np.testing.assert_allclose(flow.mean(steps, np.diag([1.0, rate]), **options)[1], wanted, rtol=1e-14)
    np.testing.assert_allclose(flow.loss(steps, **options), loss, rtol=1e-13)


def test_critical_momentum() -> None:
    """A repeated root, 1/2, step by step."""
    flow = GradientFlow([[0.25]], [1.0])
    left, velocity, wanted = 1.0, 0.0, []
    for _ in range(60):
        wanted.append(1 - left)
        velocity = 0.25 * velocity - 0.25 * left
        left += velocity
    found = flow.mean(np.arange(60), learning_rate=1.0, momentum=0.25)[:, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


@pytest.mark.parametrize(("momentum", "steps"), [(0.0, 4000), (0.9, 1000)])
def test_max_learning_rate(momentum: float, steps: int) -> None:
    """Just below it training converges, just above it diverges."""
    flow = GradientFlow(THETA, Y)
    most = flow.max_learning_rate(momentum)
    below, above = (flow.loss([0, steps], learning_rate=f * most, momentum=momentum) for f in (0.99, 1.01))
    assert below[1] < 1e-3 * below[0]  # type: ignore[index]
    assert above[1] > 1e3 * above[0]  # type: ignore[index]
    with pytest.raises(ValueError, match="does not converge"):
        flow.mean(np.inf, learning_rate=1.01 * most, momentum=momentum)
    with pytest.raises(OverflowError, match="diverges"):
        flow.mean(10**7, learning_rate=1.5 * most, momentum=momentum)


def test_small_steps_are_the_flow() -> None:
    """Time is steps times the learning rate."""
    flow = GradientFlow(THETA, Y)
    steps = flow.mean(100_000, THETA_CROSS, learning_rate=1e-5)
    np.testing.assert_allclose(steps, flow.mean(1.0, THETA_CROSS), atol=1e-4)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_time_to_a_loss(ridge: float) -> None:
    """The inverse of the loss."""
    flow = GradientFlow(THETA, Y, ridge=ridge)
    for t in (1e-3, 0.3, 5.0):
        np.testing.assert_allclose(flow.time_to(flow.loss(t)), t, rtol=1e-9)  # type: ignore[arg-type]
    assert flow.time_to(1e9) == 0
    with pytest.raises(ValueError, match="only falls to"):
        flow.time_to(0.0)


def test_small_modes_do_not_lose_digits() -> None:
    """A mode of rate 1e-14 after t = 1 has moved by 1e-14 of its way."""
    flow = GradientFlow(np.diag([1.0, 1e-14]), [1.0, 1.0])
    np.testing.assert_allclose(flow.mean(1.0, np.diag([1.0, 1.0])), [1 - np.exp(-1), 1.0], rtol=1e-12)


def test_a_small_ridge_keeps_its_digits() -> None:
    """What is left for ever is r / (lambda + r) of a mode, far below the rounding of 1."""
    flow = GradientFlow(np.diag([1.0, 2.0]), [1.0, 1.0], nngp_train=np.diag([3.0, 4.0]), ridge=1e-20)
    np.testing.assert_allclose(flow.mode_losses(np.inf), [0.5e-40, 0.125e-40], rtol=1e-13)
    np.testing.assert_allclose(flow.covariance(), np.diag([3e-40, 1e-40]), rtol=1e-13)


def test_the_end_of_time() -> None:
    """A time whose product with a rate overflows is as good as infinite."""
    np.testing.assert_array_equal(GradientFlow(THETA, Y).mean(1e308), GradientFlow(THETA, Y).mean())


def test_float32_kernels() -> None:
    """Their eigenvalues may be negative by rounding; results are float64."""
    x = np.random.default_rng(1).normal(size=(100, 1))
    net, y = fastntk.mlp(2, "erf", 1.4, 0.2), x[:, 0]
    single = net.ntk(x, dtype="float32")
    assert np.linalg.eigvalsh(single.astype(np.float64))[0] < 0
    found = GradientFlow(single, y).mean(1.0, single[:5])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, GradientFlow(net.ntk(x), y).mean(1.0, net.ntk(x[:5], x)), atol=1e-4)


def test_singular_kernels() -> None:
    """Duplicate samples: any finite time and the training samples are fine, the end of training at others is not."""
    twice = NET.ntk(np.concatenate((X, X[[2]])))
    flow = GradientFlow(twice, np.append(Y[:, 0], Y[2, 0] + 1))
    assert flow.eigenvalues[0] == 0
    np.testing.assert_allclose(flow.eigenvalues[1:], np.linalg.eigvalsh(twice)[1:], rtol=1e-10)
    assert np.isfinite(flow.mean(100.0, twice[:2])).all()
    np.testing.assert_allclose(flow.mean()[[2, 7]], Y[2, 0] + 0.5, atol=1e-9)
    with pytest.raises(np.linalg.LinAlgError, match=r"rows 2 and 7 are duplicates.*ridge="):
        flow.mean(np.inf, twice[:2])


def test_other_losses() -> None:
    """The squared error integrated is the closed form; cross-entropy falls at the rate of the dissipation identity."""
    found = functional_flow(
        THETA, lambda f: f - Y, TIMES, ntk_cross=THETA_CROSS, f0_train=F0, f0_test=F0_TEST, rtol=1e-10, atol=1e-12
    )
    flow = GradientFlow(THETA, Y)
    np.testing.assert_allclose(found.train, flow.mean(TIMES, f0_train=F0), atol=1e-7)
    assert found.test is not None
    np.testing.assert_allclose(found.test, flow.mean(TIMES, THETA_CROSS, f0_train=F0, f0_test=F0_TEST), atol=1e-7)

    at_once = functional_flow(THETA, lambda f: f - Y, [0.0, 0.0, 0.3, 0.3], f0_train=F0, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(at_once.train[:2], [F0, F0])
    np.testing.assert_allclose(at_once.train[2:], [found.train[2]] * 2, atol=1e-8)
    np.testing.assert_array_equal(functional_flow(THETA, lambda f: f - Y, 0.0, f0_train=F0).train, [F0])

    cost = CrossEntropy([0, 1, 2, 0, 1, 2, 0])
    start = np.zeros((7, 3))
    h, times = 1e-4, np.linspace(0.0, 3.0, 7)
    train = functional_flow(THETA, cost.gradient, times, f0_train=start, cost=cost, rtol=1e-10, atol=1e-12)
    assert train.cost is not None
    assert (np.diff(train.cost) < 0).all()
    for f in train.train[:-1]:
        after = functional_flow(THETA, cost.gradient, [h, 2 * h], f0_train=f, cost=cost, rtol=1e-11, atol=1e-13).cost
        assert after is not None
        slope = (4 * after[0] - 3 * cost(f) - after[1]) / (2 * h)
        rate = dissipation(THETA, cost.gradient(f))
        assert rate < 0
        np.testing.assert_allclose(slope, rate, rtol=1e-4)
    f = np.random.default_rng(1).normal(size=(7, 3))
    by_difference = [
        [
            (cost(f + h * e.reshape(7, 3)) - cost(f - h * e.reshape(7, 3))) / (2 * h)
            for e in np.eye(21)[3 * i : 3 * i + 3]
        ]
        for i in range(7)
    ]
    np.testing.assert_allclose(cost.gradient(f), by_difference, atol=1e-7)


def train_finite(width: int, seed: int, times: list[float]) -> tuple[Array, Array]:
    """Outputs of a network with one hidden erf layer, trained by small steps; its f_0 comes first.

    NTK parametrisation: f = (1.5 / sqrt N) W2 erf(z), z = (1.5 / sqrt d) W1 x + 0.5 b.
    """
    from scipy.special import erf

    generator = np.random.default_rng(seed)
    w1, b, w2 = generator.normal(size=(width, 3)), generator.normal(size=width), generator.normal(size=width)
    inputs, goal, rate = np.concatenate((X, X_TEST)), Y[:, 0], 0.005
    recorded, done = [], 0
    for t in times:
        while done < round(t / rate):
            z = 1.5 / np.sqrt(3) * X @ w1.T + 0.5 * b
            a = erf(z)
            error = 1.5 / np.sqrt(width) * a @ w2 - goal
            back = 1.5 / np.sqrt(width) * np.outer(error, w2) * 2 / np.sqrt(np.pi) * np.exp(-(z**2))
            w1 -= rate * 1.5 / np.sqrt(3) * back.T @ X
            b -= rate * 0.5 * back.sum(axis=0)
            w2 -= rate * 1.5 / np.sqrt(width) * a.T @ error
            done += 1
        recorded.append(1.5 / np.sqrt(width) * erf(1.5 / np.sqrt(3) * inputs @ w1.T + 0.5 * b) @ w2)
    path = np.array(recorded)
    return path[:, :7], path[:, 7:]


def test_a_trained_finite_network_follows() -> None:
    """The distance from the prediction for its own f_0 falls as 1 / sqrt(width)."""
    net = fastntk.Sequential(fastntk.Dense(1.5, 0.5), fastntk.Activation("erf"), fastntk.Dense(1.5))
    flow = GradientFlow(net.ntk(X), Y[:, 0])
    cross, times = net.ntk(X_TEST, X), [0.0, 0.25, 1.0, 3.0]
    distance = {}
    for width, seeds in ((128, 6), (2048, 3)):
        errors = []
        for seed in range(seeds):
            train, test = train_finite(width, seed, times)
            steps = np.round(np.array(times) / 0.005)
            predicted = flow.mean(steps, f0_train=train[0], learning_rate=0.005)
            predicted_test = flow.mean(steps, cross, f0_train=train[0], f0_test=test[0], learning_rate=0.005)
            errors.append(np.sqrt(np.mean((train - predicted) ** 2) + np.mean((test - predicted_test) ** 2)))
            assert np.ptp(train[:, 0]) > 0.1  # it did train
        distance[width] = float(np.mean(errors))
    assert distance[2048] < 2 / np.sqrt(2048)
    assert 2 < distance[128] / distance[2048] < 8  # 4 by theory
