"""Training a network of finite width by gradient descent or flow, beside what its infinite limit does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from .._checks.arguments import positive
from .._checks.arrays import real_array
from .._checks.caller import warn
from .._checks.progress import Bar, Progress, check_progress
from .._machine.floating import undisturbed
from ..inference import GradientFlow
from .network import FiniteNetwork
from .parameters import Array, Weights
from .propagation import check_finite_network
from .samples import Given, Samples


@dataclass(frozen=True, repr=False)
class Trained:
    """What `train` gives. The first axis of everything is that of the times.

    Attributes
    ----------
    network : FiniteNetwork
        With the parameters of the last time.
    t : ndarray of shape (times,)
        Times, or steps.
    outputs, test_outputs : ndarray of shape (times, n, k) and (times, m, k)
        Of the network.
    linearized, test_linearized : ndarray
        Of its first-order model: kernel regression with its own NTK at the start, from the same outputs.
    predicted, test_predicted : ndarray
        Of the limit: with ``net.ntk``, from the same outputs.
    ensemble_mean, ensemble_deviation : ndarray of shape (times, m, k) and (times, m)
        Of infinitely wide networks over random initialisations, at the test samples.
    movement : ndarray of shape (times, layers)
        Distance of every layer's parameters from where they began, relative to their norm there.
    ntk_drift : ndarray of shape (times,)
        Distance of the empirical NTK of the training samples from that at the start, relative to it.
    """

    network: FiniteNetwork
    t: Array
    outputs: Array
    test_outputs: Array
    linearized: Array
    test_linearized: Array
    predicted: Array
    test_predicted: Array
    ensemble_mean: Array
    ensemble_deviation: Array
    movement: Array
    ntk_drift: Array
    y: Array

    def __repr__(self) -> str:
        first, last = self.loss[[0, -1]]
        return (
            f"Trained({len(self.t)} times to {self.t[-1]:.6g}, loss from {first:.3g} to {last:.3g}, "
            f"ntk_drift={self.ntk_drift[-1]:.3g})"
        )

    @property
    def loss(self) -> Array:
        """½ |f - y|^2 summed over samples and outputs, of shape (times,)."""
        return np.asarray(0.5 * np.sum((self.outputs - self.y) ** 2, axis=(1, 2)))


@undisturbed
def train(
    network: FiniteNetwork,
    X: Given,
    y: ArrayLike,
    t: ArrayLike,
    X_test: Given | None = None,
    *,
    learning_rate: float | None = None,
    progress: Progress = False,
) -> Trained:
    """Train a network on ½ |f - y|^2, all samples at once.

    Dropout leaves out the same units of a sample at all times, of training samples and, others, of test samples: so the
    loss is one function, and the network is what its kernels, with their diagonals, are of.

    Parameters
    ----------
    network : FiniteNetwork
        Left as it is; a copy is trained.
    X : array_like of shape (n, d) or (n, *positions, channels), Sequences or Graphs
    y : array_like of shape (n,) or (n, k)
    t : array_like of shape (times,), ascending
        When to look: times of gradient flow, or numbers of steps if there is a learning rate.
    X_test : as X, of m samples, optional
        Where to predict; X by default.
    learning_rate : float, optional
        Of gradient descent, below 2 over the largest eigenvalue of the NTK at the start: there the linear model
        diverges, and a narrow network may before. Without it gradient flow is integrated (Runge-Kutta 4(5), to 1e-6).
    progress : bool or callable, default False

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If the learning rate is too large: the sentence says how large it may be.
    OverflowError
        If the network diverges nevertheless.

    Warns
    -----
    RuntimeWarning
        If a loss is larger than at the start.

    References
    ----------
    Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", NeurIPS 2019.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import FiniteNetwork, train
    >>> X = np.linspace(-1, 1, 5)[:, None]
    >>> network = FiniteNetwork(fastntk.mlp(1, "tanh", 1.5, 0.5), width=1024, rng=0)
    >>> run = train(network, X, X**2, [0, 10, 100], learning_rate=0.1)
    >>> bool(np.all(np.diff(run.loss) < 0))
    True
    """
    check_progress(progress)
    check_finite_network(network)
    x = network.read(X)
    new = network.read(X if X_test is None else X_test, "X_test")
    target = real_array(y, "y").astype(np.float64)
    if (target[:, None] if target.ndim == 1 else target).shape != (len(x), network.n_outputs):
        raise ValueError(f"y must have shape ({len(x)}, {network.n_outputs}), got {target.shape}.")
    target = target.reshape(len(x), -1)
    times = _times(t, learning_rate)

    theta = network.empirical_ntk(x, outputs="all")
    cross = network.empirical_ntk(new, x, outputs="all")
    f0, f0_new = network.forward(x), network.forward(new)
    flow = GradientFlow(_flat(theta), target.ravel())
    if learning_rate is not None and learning_rate >= flow.max_learning_rate():
        raise ValueError(
            f"learning_rate={learning_rate:.3g} is too large: with this network and these samples gradient descent "
            f"diverges from {flow.max_learning_rate():.3g} on."
        )
    how = {"learning_rate": learning_rate}
    linear = flow.mean(times, f0_train=f0.ravel(), **how)  # type: ignore[arg-type]
    linear_new = flow.mean(times, _flat(cross), f0_train=f0.ravel(), f0_test=f0_new.ravel(), **how)  # type: ignore[arg-type]
    both, across = network.net.kernels(x.given), network.net.kernels(new.given, x.given)
    wide = GradientFlow(both.ntk, target, nngp_train=both.nngp)
    limit = wide.mean(times, f0_train=f0, **how)  # type: ignore[arg-type]
    limit_new = wide.mean(times, across.ntk, f0_train=f0, f0_test=f0_new, **how)  # type: ignore[arg-type]
    ensemble = wide.mean(times, across.ntk, **how)  # type: ignore[arg-type]
    covariance = wide.covariance(times, across.ntk, across.nngp, network.net.nngp(new.given), **how)  # type: ignore[arg-type]
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0))

    trained = network.copy()
    start = _trace(theta)
    outputs, outputs_new, movement, drift = [], [], [], []
    steps = _flow(trained, x, target, times)
    if learning_rate is not None:
        steps = _descent(trained, x, target, times, learning_rate)
    with Bar(len(times), "time", "training") as bar:
        show = progress if callable(progress) else bar if progress else None
        for number, _ in enumerate(steps, start=1):
            outputs.append(trained.forward(x))
            if not np.isfinite(outputs[-1]).all():
                raise OverflowError(
                    f"the network has diverged before t = {times[number - 1]:g}: lower the learning rate."
                )
            outputs_new.append(trained.forward(new))
            movement.append(_movement(network.parameters, trained.parameters))
            now = trained.empirical_ntk(x, outputs="trace")
            drift.append(np.linalg.norm(now - start) / (np.linalg.norm(start) or 1))
            if show is not None:
                show(number / len(times))
    run = Trained(
        trained,
        times,
        np.array(outputs),
        np.array(outputs_new),
        linear.reshape(len(times), *f0.shape),
        linear_new.reshape(len(times), *f0_new.shape),
        limit,
        limit_new,
        ensemble,
        deviation,
        np.array(movement),
        np.array(drift),
        target,
    )
    if (run.loss > 0.5 * np.sum((f0 - target) ** 2) * (1 + 1e-12)).any():
        warn(
            "the loss has risen above that of the start: the learning rate is too large for a network of this width.",
            RuntimeWarning,
        )
    return run


def _times(t: ArrayLike, learning_rate: float | None) -> Array:
    times = np.atleast_1d(real_array(t, "t").astype(np.float64))
    if not times.size:
        raise ValueError("t is empty: at least one time is needed.")
    if times.ndim != 1 or times[0] < 0 or (np.diff(times) < 0).any():
        raise ValueError("t must be numbers >= 0 in ascending order.")
    if learning_rate is not None:
        positive(learning_rate, "learning_rate")
        if (times != np.round(times)).any():
            raise ValueError("with a learning rate t counts steps: it must be whole numbers.")
    return times


def _flat(kernel: Array) -> Array:
    """A kernel of all outputs, (n, m, k, k), as a matrix."""
    n, m, k, _ = kernel.shape
    return kernel.transpose(0, 2, 1, 3).reshape(n * k, m * k)


def _trace(kernel: Array) -> Array:
    return np.asarray(np.trace(kernel, axis1=2, axis2=3))


def _movement(before: list[Weights], after: list[Weights]) -> list[float]:
    def size(w: Array, b: Array) -> float:
        return float(np.sqrt(np.sum(w**2) + np.sum(b**2)))

    return [size(w - w0, b - b0) / (size(w0, b0) or 1) for (w0, b0), (w, b) in zip(before, after, strict=True)]


def _slope(network: FiniteNetwork, x: Samples, target: Array) -> list[Weights]:
    """Gradient of the loss."""
    way = network.propagate(x)
    return network.pull_back(way, way.out - target)


def _descent(network: FiniteNetwork, x: Samples, target: Array, steps: Array, rate: float) -> Iterator[None]:
    """Steps of gradient descent, in place, up to each of these numbers."""
    done = 0
    for step in steps:
        with np.errstate(over="ignore", invalid="ignore"):  # looked for afterwards
            for _ in range(done, int(step)):
                for layer, slope in zip(network.parameters, _slope(network, x, target), strict=True):
                    layer.W[:] -= rate * slope.W
                    layer.b[:] -= rate * slope.b
        done = int(step)
        yield


def _flow(network: FiniteNetwork, x: Samples, target: Array, times: Array) -> Iterator[None]:
    """Gradient flow, in place, up to each of these times."""
    pack, unpack = _packing(network)
    now, state = 0.0, pack(network.parameters)

    def velocity(_: float, parameters: Array) -> Array:
        unpack(parameters)
        return -pack(_slope(network, x, target))

    for time in times:
        if time > now:
            solution = solve_ivp(velocity, (now, time), state, rtol=1e-6, atol=1e-9)
            if not solution.success:
                raise ArithmeticError(f"gradient flow could not be integrated to t = {time:g}: {solution.message}")
            now, state = time, solution.y[:, -1]
        unpack(state)
        yield


def _packing(network: FiniteNetwork) -> tuple[Callable[[list[Weights]], Array], Callable[[Array], None]]:
    """Parameters as one vector, and back into the network."""

    def pack(layers: list[Weights]) -> Array:
        return np.concatenate([part.ravel() for layer in layers for part in layer])

    def unpack(vector: Array) -> None:
        at = 0
        for layer in network.parameters:
            for part in layer:
                part[:] = vector[at : at + part.size].reshape(part.shape)
                at += part.size

    return pack, unpack
