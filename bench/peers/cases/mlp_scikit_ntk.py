"""NTK of three hidden ReLU layers; scikit-ntk's is divided by 4 layers, and not by the number of features."""

from typing import Any

from skntk import NeuralTangentKernel

ntk = NeuralTangentKernel(depth=3, bias=0.0)


def kernel(x: Any) -> Any:
    """In the units of the others."""
    return ntk(x) * (2 * 4 / x.shape[1])
