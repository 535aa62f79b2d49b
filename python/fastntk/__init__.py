"""fastntk: the kernels of infinitely wide neural networks, NNGP and NTK, fast and exact on a CPU.

The package in one page. `layers`, `stack`, `derived` and `network` have the user's objects: Dense, Sequential, mlp;
`activations` has Activation. `registry` names the nonlinearities, `functions` has phi and phi', `duals` tells the
core of them: by a closed form, or by what `expansion` (with `series` and `hermite`), `polynomials` and `pieces`
compute of each sample. `univariate` fits networks that depend on one variable. `kernels` checks the data, compiles
the network for them and hands both to the C++ engine (`_core`), which does everything per sample and per pair;
`gradients` does so for derivatives in the networks' hyper-parameters. `blocks` computes kernels that are too large to
have in one piece, part by part: `store` to disk (`description` and `fingerprint` tell what of), `matrix_free` into
products with vectors, `dask` on many machines; `solvers` solves their linear systems. `inference` is what the kernels
are for, on matrices alone; `finite` is what they are the limit of; `fitting` finds hyper-parameters; `sklearn` and
`plot` are those libraries' idioms, `cli` the command line. `reference` is the same mathematics in plain NumPy, for
tests. `runtime` tells what is running.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from . import fitting, inference, reference
from ._core import version as __version__
from .activations import Activation
from .expansion import ToleranceWarning
from .kernels import Kernels
from .layers import Dense
from .network import Sequential, mlp
from .runtime import config

if TYPE_CHECKING:
    from . import finite, solvers, store


def __getattr__(name: str) -> ModuleType:
    # What they need of SciPy takes longer to import than everything else.
    if name in ("finite", "solvers", "store"):
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Activation",
    "Dense",
    "Kernels",
    "Sequential",
    "ToleranceWarning",
    "__version__",
    "config",
    "finite",
    "fitting",
    "inference",
    "mlp",
    "reference",
    "solvers",
    "store",
]
