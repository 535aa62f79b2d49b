"""The laboratory of finite width: how far a network of width N is from its limit, and why.

`widths` tells how many units layers have, and which networks exist at finite width; `inside` what those with several
matrices of weights are made of; `tree` numbers their layers, `parameters` draws weights, `samples` the masks of
Dropout; `positions` tells how weights and pools act on images and sequences, and `nodes` which rows are those of which
sample, where these have different numbers of nodes. `steps` has the rule of each layer, forward and back, `mixing`
those of layers that mix nodes, and `propagation` what follows for a network: outputs and gradients. `kernels` has the
empirical NNGP and NTK, `linear` the Taylor model, `network` the FiniteNetwork of all these, and `training` its way
under gradient descent. `convergence` measures how far its kernel is from the limit, `distribution` looks at the law of
its outputs, and `monte_carlo` takes means over many `draws`.
"""

from . import mixing  # noqa: F401 -- its rules are registered
from .convergence import Convergence, convergence
from .distribution import OutputDistribution, output_distribution
from .kernels import empirical_nngp, empirical_ntk
from .linear import Linearized
from .monte_carlo import MonteCarlo, monte_carlo
from .network import FiniteNetwork
from .parameters import LAWS
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
