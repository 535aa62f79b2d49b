"""NTK of three hidden ReLU layers."""

import fastntk

kernel = fastntk.mlp(3, "relu", sigma_w=2**0.5).ntk
