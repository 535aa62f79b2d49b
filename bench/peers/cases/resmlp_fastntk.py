"""NTK of three residual blocks."""

import fastntk

kernel = fastntk.resmlp(3, "relu", sigma_w=2**0.5, sigma_b=0.1).ntk
