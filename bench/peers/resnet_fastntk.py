"""The network of resnet_neural_tangents.py, and what it predicts, as docs/from_neural_tangents.md translates them."""

import sys

import numpy as np

from fastntk import AvgPool, Conv, Dense, Flatten, LayerNorm, Residual, Sequential
from fastntk.inference import GradientFlow, gp_posterior

rng = np.random.default_rng(0)
x_train, x_test = rng.random((60, 8, 8, 3)), rng.random((20, 8, 8, 3))
y_train = np.eye(10)[rng.integers(10, size=60)] - 0.1


def block(stride: int = 1) -> Residual:
    """One of its blocks."""
    first, second = Conv((3, 3), stride, sigma_w=1.4, sigma_b=0.1), Conv((3, 3), sigma_w=1.4, sigma_b=0.1)
    return Residual("relu", first, "relu", second, shortcut=None if stride == 1 else Conv((1, 1), stride))


net = Sequential(
    Conv((3, 3), sigma_w=1.4, sigma_b=0.1),
    block(),
    block(2),
    LayerNorm(eps=1e-12),
    "relu",
    AvgPool((2, 2), stride=1),
    Flatten(),
    Dense(1.5, 0.05),
)

train, cross, test = net.kernels(x_train), net.kernels(x_test, x_train), net.nngp(x_test)
noise, ridge = 1e-3 * train.nngp.diagonal().mean(), 1e-3 * train.ntk.diagonal().mean()
bayes = gp_posterior(train.nngp, y_train, cross.nngp, test, noise=noise)
trained = GradientFlow(train.ntk, y_train, nngp_train=train.nngp, ridge=ridge)
early = GradientFlow(train.ntk, y_train).mean(100.0 / y_train.size, cross.ntk)

np.savez(
    sys.argv[1], nngp=train.nngp, ntk=train.ntk, posterior_mean=bayes.mean, posterior_covariance=bayes.covariance,
    ensemble_mean=trained.mean(np.inf, cross.ntk), early_mean=early,
    ensemble_covariance=trained.covariance(np.inf, cross.ntk, cross.nngp, test),
)  # fmt: skip
