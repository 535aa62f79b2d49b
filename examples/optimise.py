"""Bayesian optimisation in NumPy: a network of infinite width learns a function, and says where to look next.

python examples/optimise.py [--evaluations 60] [--seed 0]

The same loop with BoTorch is examples/optimise_botorch.py; `bench/optimisation.py` measures it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr, ndtr

import fastntk
from fastntk.inference import FitWarning, GaussianProcess

Array = NDArray[np.float64]

NET = fastntk.mlp(3, "relu", 2**0.5, 1.0)


def surrogate(X: Array, y: Array) -> GaussianProcess:
    """A Gaussian process of all that is known, nearly without noise, with sigmas and scale of the outputs fitted."""
    return GaussianProcess(NET, X, y, noise=1e-6, mean="constant", standardize=True).fit(noise_bounds="fixed")


def log_improvement(z: Array) -> Array:
    """Log of E[max(z + u, 0)], u standard normal, for any z: Ament et al. (2023), eq. 9."""
    near, far = np.maximum(z, -1), np.minimum(z, -1)
    improvement = np.exp(-(near**2) / 2) / (2 * np.pi) ** 0.5 + near * ndtr(near)
    mills = (np.pi / 2) ** 0.5 * erfcx(-far / 2**0.5)
    tail = np.maximum(1 + far * mills, 1 / (far**2 + 3))  # a lower bound, and what it tends to
    found: Array = np.where(z > -1, np.log(improvement), np.log(tail) - far**2 / 2 - np.log(2 * np.pi) / 2)
    return found


def log_expected_improvement(model: Any, best: float, X: Array) -> tuple[Array, Array]:
    """How far below `best` the function is expected to be at X, the logarithm, and its gradient in X."""
    mean, std, of_mean, of_std = model.predict(X, gradient=True)
    z = (best - mean) / std
    value = log_improvement(z)
    slope = np.exp(log_ndtr(z) - value)
    return value + np.log(std), (((1 - slope * z) * of_std.T - slope * of_mean.T) / std).T


def propose(model: Any, X: Array, y: Array, rng: np.random.Generator) -> Array:
    """Where most is expected: four climbs from the best of 200 points, half of them near the best that is known."""
    best, d = y.min(), X.shape[1]
    near = X[y.argmin()] + 0.1 * rng.normal(size=(100, d))
    scattered = np.concatenate((rng.uniform(-1, 1, (100, d)), near.clip(-1, 1)))
    starts = scattered[np.argsort(log_expected_improvement(model, best, scattered)[0])[-4:]]

    def negative(points: Array) -> tuple[float, Array]:
        value, gradient = log_expected_improvement(model, best, points.reshape(-1, d))
        return -float(value.sum()), -gradient.ravel()

    box, options = [(-1, 1)] * starts.size, {"maxiter": 20}
    climb = minimize(negative, starts.ravel(), jac=True, method="L-BFGS-B", bounds=box, options=options)
    ends = climb.x.reshape(-1, d)
    found: Array = ends[log_expected_improvement(model, best, ends)[0].argmax()]
    return found


def optimise(
    function: Callable[[Array], Array],
    d: int,
    evaluations: int,
    rng: np.random.Generator,
    fit: Callable[[Array, Array], Any] = surrogate,
) -> tuple[Array, Array]:
    """Points of the box [-1, 1]^d at which a function to be minimised was evaluated, ten at random, and its values."""
    X = rng.uniform(-1, 1, (10, d))
    y = function(X)
    while len(y) < evaluations:
        if len(y) % 5 == 0:
            model = fit(X, y)
        x = propose(model, X, y, rng)[None]
        X, y = np.concatenate((X, x)), np.concatenate((y, function(x)))
        model = model.condition(x, y[-1:])
    return X, y


def hartmann6(X: Array) -> Array:
    """Hartmann's function of six variables, moved from [0, 1] to [-1, 1]; its least value is -3.32237."""
    A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    P = [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
         [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]  # fmt: skip
    squares = ((X[:, None] + 1) / 2 - 1e-4 * np.array(P)) ** 2
    return np.asarray(-np.exp(-(np.array(A) * squares).sum(axis=2)) @ [1.0, 1.2, 3.0, 3.2])


def main(evaluations: int = 60, seed: int = 0) -> float:
    """Return the least value found."""
    warnings.simplefilter("ignore", FitWarning)  # of few points, which say little of the sigmas
    X, y = optimise(hartmann6, 6, evaluations, np.random.default_rng(seed))
    for n in range(10, len(y) + 1, 10):
        print(f"after {n} evaluations: {y[:n].min():.4f}")
    print(f"at {X[y.argmin()].round(3)}; the least value there is: -3.3224")
    return float(y.min())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    main(given.evaluations, given.seed)
