"""NTK of three convolutions and GlobalAvgPool."""

import jax
from neural_tangents import stax

conv = stax.Conv(1, (3, 3), padding="SAME", W_std=2**0.5, b_std=None)
head = stax.serial(stax.GlobalAvgPool(), stax.Dense(1, W_std=2**0.5, b_std=None))
_, _, kernel_fn = stax.serial(*[conv, stax.Relu()] * 3, head)
kernel = jax.jit(lambda x: kernel_fn(x, None, "ntk"))
