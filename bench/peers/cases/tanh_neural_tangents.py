"""NTK of three hidden tanh layers, by Gauss-Hermite quadrature; its time goes as the square of deg."""

import jax
from neural_tangents import stax

dense = stax.Dense(1, W_std=1.5, b_std=0.1)
tanh = stax.ElementwiseNumerical(jax.numpy.tanh, deg=25)
_, _, kernel_fn = stax.serial(*[dense, tanh] * 3, dense)
kernel = jax.jit(lambda x: kernel_fn(x, None, "ntk"))
