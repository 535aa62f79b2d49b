"""The laboratory of finite width: how far a network of width N is from its limit, and why.

`architecture` has laws of weights, `propagation` draws parameters and differentiates what is computed with them,
`kernels` has the empirical NNGP and NTK, `linear` the Taylor model, `network` the FiniteNetwork of all these, and
`training` its way under gradient descent. `convergence` measures how far its kernel is from the limit, `distribution`
looks at the law of its outputs, and `monte_carlo` takes means over many `draws`.
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
