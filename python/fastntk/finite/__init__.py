"""The laboratory of finite width: how far a network of width N is from its limit, and why.

`architecture` has laws of weights, `network` draws a FiniteNetwork and differentiates it, `kernels` has its empirical
NNGP and NTK, `linear` its Taylor model, `training` its way under gradient descent. `convergence` measures how far its
kernel is from the limit, `distribution` looks at the law of its outputs, and `monte_carlo` takes means over many
`draws`.
"""

from .architecture import LAWS
from .convergence import Convergence, convergence
from .distribution import OutputDistribution, output_distribution
from .kernels import empirical_nngp, empirical_ntk
from .linear import Linearized
from .monte_carlo import MonteCarlo, monte_carlo
from .network import FiniteNetwork
from .training import Trained, train

__all__ = [
    "LAWS",
    "Convergence",
    "FiniteNetwork",
    "Linearized",
    "MonteCarlo",
    "OutputDistribution",
    "Trained",
    "convergence",
    "empirical_nngp",
    "empirical_ntk",
    "monte_carlo",
    "output_distribution",
    "train",
]
