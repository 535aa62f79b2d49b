"""A Gaussian process with a Matérn-5/2 kernel, asked as `fastntk.inference.GaussianProcess` is: a peer of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

Array = NDArray[Any]


def kernel(X: Array, Y: Array) -> tuple[Array, Array]:
    """(1 + √5 r + 5 r²/3) exp(-√5 r), r the distances, and its derivative in r²/2."""
    root = 5**0.5 * cdist(X, Y)
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, -5 / 3 * (1 + root) * decay


@dataclass(frozen=True)
class Matern:
    """Of standardised targets, with the most likely constant as its mean; `lengths` are of features, or one of all."""

    X: Array
    y: Array
    lengths: Array
    amplitude: float
    noise: float = 1e-6
    factor: Array = field(init=False)
    values: Array = field(init=False)
    dual: Array = field(init=False)

    def __post_init__(self) -> None:
        scaled = self.X / self.lengths
        K = self.amplitude * kernel(scaled, scaled)[0] + self.noise * np.eye(len(self.y))
        factor, z = cholesky(K, lower=True), (self.y - self.y.mean()) / self.y.std()
        ones = cho_solve((factor, True), np.ones(len(z)))
        values = z - ones @ z / ones.sum()
        for name, value in (("factor", factor), ("values", values), ("dual", cho_solve((factor, True), values))):
            object.__setattr__(self, name, value)

    @classmethod
    def fitted(cls, X: Array, y: Array, *, ard: bool) -> Self:
        """Lengths and amplitude of the largest posterior density, with BoTorch's prior of lengths.

        It is that of its default kernels, for the box [0, 1]^d: log-normal of √2 + log(d)/2 and √3, and the search
        begins at its mode (Hvarfner, Hellsten, Nardi 2024).
        """
        d = X.shape[1]
        centre = 2**0.5 + np.log(d) / 2 + np.log(2)  # our box is twice as wide

        def negative(theta: Array) -> tuple[float, Array]:
            model = cls(X, y, np.exp(theta[:-1]), float(np.exp(theta[-1])))
            value, slope = model.likelihood()
            off = theta[:-1] - centre
            prior = float((theta[:-1] + off**2 / 6).sum())
            return prior - value, np.append(1 + off / 3, 0.0) - slope

        start = np.append(np.full(d if ard else 1, centre - 3), 0.0)
        bounds = [(-4.6, 6.9)] * (len(start) - 1) + [(-4.6, 4.6)]
        theta = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return cls(X, y, np.exp(theta[:-1]), float(np.exp(theta[-1])))

    def likelihood(self) -> tuple[float, Array]:
        """Log marginal likelihood of the standardised targets, and its derivatives in the logarithms of all numbers."""
        n, scaled = len(self.y), self.X / self.lengths
        K, slope = kernel(scaled, scaled)
        value = -0.5 * self.values @ self.dual - np.log(np.diag(self.factor)).sum() - n / 2 * np.log(2 * np.pi)
        G = self.amplitude / 2 * (np.outer(self.dual, self.dual) - cho_solve((self.factor, True), np.eye(n)))
        weights = G * slope  # r² falls by twice its part along a feature if the length of that grows
        along = 2 * (scaled * (weights @ scaled) - weights.sum(axis=1)[:, None] * scaled**2).sum(axis=0)
        in_lengths = along if len(self.lengths) > 1 else along.sum(keepdims=True)
        return float(value), np.append(in_lengths, (G * K).sum())

    def condition(self, X: Array, y: Array) -> Matern:
        """Of more data, with the same lengths and amplitude."""
        X, y = np.concatenate((self.X, X)), np.concatenate((self.y, y))
        return Matern(X, y, self.lengths, self.amplitude, self.noise)

    def predict(self, X: Array, gradient: bool = True) -> tuple[Array, Array, Array, Array]:
        """Mean, deviation, and their gradients in X."""
        del gradient
        x, scaled = X / self.lengths, self.X / self.lengths
        K, slope = (self.amplitude * part for part in kernel(x, scaled))
        half = solve_triangular(self.factor, K.T, lower=True)
        mean, std = K @ self.dual, np.sqrt(np.maximum(self.amplitude - (half**2).sum(axis=0), 1e-12))
        whole = solve_triangular(self.factor, half, lower=True, trans="T").T

        def pulled(weights: Array) -> Array:  # the derivative of r²/2 is (x - x')/length
            G = weights * slope
            return np.asarray((G.sum(axis=1)[:, None] * x - G @ scaled) / self.lengths)

        unit, centre = self.y.std(), self.y.mean() + self.y.std() * self._constant()
        of_mean, of_std = pulled(self.dual), -pulled(whole) / std[:, None]
        return centre + unit * mean, unit * std, unit * of_mean, unit * of_std

    def _constant(self) -> float:
        return float(((self.y - self.y.mean()) / self.y.std() - self.values)[0])
