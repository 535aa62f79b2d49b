"""fastntk: the kernels of infinitely wide neural networks, NNGP and NTK, fast and exact on a CPU.

The package in one page. `network` has the user's objects: Dense, Activation, Sequential, mlp. `activations`
names the nonlinearities, `duals` has phi and phi'. `kernels` checks the data, compiles the network for them
and hands both to the C++ engine (`_core`), which does everything per sample and per pair. `reference` is the
same mathematics in plain NumPy, for tests. `runtime` tells what is running.
"""

from . import reference
from ._core import version as __version__
from .activations import Activation
from .kernels import Kernels
from .network import Dense, Sequential, mlp
from .runtime import config

__all__ = ["Activation", "Dense", "Kernels", "Sequential", "__version__", "config", "mlp", "reference"]
