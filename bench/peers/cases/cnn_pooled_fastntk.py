"""NTK of three convolutions and GlobalAvgPool."""

import fastntk

kernel = fastntk.cnn(3, "relu", sigma_w=2**0.5, head="gap").ntk
