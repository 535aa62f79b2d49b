"""NTK of three hidden tanh layers."""

import fastntk

kernel = fastntk.mlp(3, "tanh", sigma_w=1.5, sigma_b=0.1).ntk
