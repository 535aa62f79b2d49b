"""A residual convolutional network in neural-tangents: posterior of its Gaussian process, and its trained ensemble."""

import sys
from typing import Any

import jax
import neural_tangents as nt
import numpy as np
from neural_tangents import stax

jax.config.update("jax_enable_x64", True)

rng = np.random.default_rng(0)
x_train, x_test = rng.random((60, 8, 8, 3)), rng.random((20, 8, 8, 3))
y_train = np.eye(10)[rng.integers(10, size=60)] - 0.1


def block(channels: int, strides: tuple[int, int] = (1, 1)) -> Any:
    """Two convolutions with a shortcut around them."""
    conv = stax.serial(
        stax.Relu(), stax.Conv(channels, (3, 3), strides, "SAME", W_std=1.4, b_std=0.1),
        stax.Relu(), stax.Conv(channels, (3, 3), padding="SAME", W_std=1.4, b_std=0.1),
    )  # fmt: skip
    shortcut = stax.Identity() if strides == (1, 1) else stax.Conv(channels, (1, 1), strides, "SAME")
    return stax.serial(stax.FanOut(2), stax.parallel(conv, shortcut), stax.FanInSum())


_, _, kernel_fn = stax.serial(
    stax.Conv(64, (3, 3), padding="SAME", W_std=1.4, b_std=0.1),
    block(64),
    block(128, (2, 2)),
    stax.LayerNorm(),
    stax.Relu(),
    stax.AvgPool((2, 2)),
    stax.Flatten(),
    stax.Dense(10, W_std=1.5, b_std=0.05),
)

k_train = kernel_fn(x_train, None, ("nngp", "ntk"))
k_cross = kernel_fn(x_test, x_train, ("nngp", "ntk"))
k_test = kernel_fn(x_test, None, ("nngp", "ntk"))
predict = nt.predict.gp_inference(k_train, y_train, diag_reg=1e-3)
bayes, trained = (predict(get, k_cross, k_test.nngp) for get in ("nngp", "ntk"))
early = nt.predict.gradient_descent_mse(k_train.ntk, y_train)(100.0, 0.0, 0.0, k_cross.ntk)[1]

np.savez(
    sys.argv[1], nngp=k_train.nngp, ntk=k_train.ntk, posterior_mean=bayes.mean, posterior_covariance=bayes.covariance,
    ensemble_mean=trained.mean, ensemble_covariance=trained.covariance, early_mean=early,
)  # fmt: skip
