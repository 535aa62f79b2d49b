"""NTK of three hidden ReLU layers."""

import jax
from neural_tangents import stax

dense = stax.Dense(1, W_std=2**0.5, b_std=None)
_, _, kernel_fn = stax.serial(*[dense, stax.Relu()] * 3, dense)
kernel = jax.jit(lambda x: kernel_fn(x, None, "ntk"))
