"""NTK of three residual blocks."""

import jax
from neural_tangents import stax

dense = stax.Dense(1, W_std=2**0.5, b_std=0.1)
branches = stax.parallel(stax.serial(stax.Relu(), dense), stax.Identity())
block = stax.serial(stax.FanOut(2), branches, stax.FanInSum())
_, _, kernel_fn = stax.serial(dense, block, block, block, dense)
kernel = jax.jit(lambda x: kernel_fn(x, None, "ntk"))
