"""Derivative of the sum of the entries of an NNGP in the samples."""

import jax
from neural_tangents import stax

dense = stax.Dense(1, W_std=2**0.5, b_std=0.1)
_, _, kernel_fn = stax.serial(*[dense, stax.Relu()] * 3, dense)
gradient = jax.jit(jax.grad(lambda x: kernel_fn(x, None, "nngp").sum()))
