"""fastntk: the kernels of infinitely wide neural networks, NNGP and NTK, fast and exact on a CPU.

>>> import numpy as np, fastntk
>>> X, y = np.array([[-1.0], [0.0], [2.0]]), np.array([1.0, 0.0, 1.0])
>>> net = fastntk.mlp(depth=3, activation="relu", sigma_w=2**0.5, sigma_b=0.1)
>>> net.ntk(X).shape  # also net.nngp(X), net.kernels(X, Y)
(3, 3)
>>> flow = fastntk.inference.GradientFlow(net.ntk(X), y)  # a wide network in training ...
>>> bool(abs(flow.mean(float("inf"), net.ntk([[2.0]], X))[0] - 1) < 1e-6)  # ... which ends at the targets
True

A network is a `Sequential` of `Dense(sigma_w, sigma_b)` and `Activation(name)`, or `mlp(depth, activation, sigma_w,
sigma_b)`. `inference` has Gaussian processes and training dynamics, `finite` networks of finite width, `fitting` the
marginal likelihood, `sklearn` kernels and estimators, `plot` pictures; `store`, `solvers` and `dask` are for data that
do not fit in memory. `config()` tells what is running.

The package in one page, for those who read its source. `layers`, `stack`, `derived` and `network` have the user's
objects: Dense, Sequential, mlp; `activations` has Activation; `migration` what users of other libraries write instead.
`registry` names the nonlinearities, `functions` has phi and phi', `duals` tells the core of them: by a closed form, or
by what `expansion` (with `series` and `hermite`), `polynomials` and `pieces` compute of each sample. `univariate` fits
networks that depend on one variable. `kernels` checks the data, compiles the network for them and hands both to the C++
engine (`_core`), which does everything per sample and per pair; `gradients` does so for derivatives in the networks'
hyper-parameters. `blocks` computes kernels that are too large to have in one piece, part by part: `store` to disk
(`description` and `fingerprint` tell what of), `matrix_free` into products with vectors, `dask` on many machines;
`solvers` solves their linear systems. `inference` is what the kernels are for, on matrices alone; `finite` is what they
are the limit of; `fitting` finds hyper-parameters; `sklearn` and `plot` are those libraries' idioms, `cli` the command
line. `reference` is the same mathematics in plain NumPy, for tests. `runtime` tells what is running.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from . import fitting, inference, reference
from ._core import version as __version__
from .activations import Activation
from .interpolation import ToleranceWarning
from .kernels import Kernels
from .layers import Dense
from .migration import instead_of
from .network import Sequential, mlp
from .runtime import config

if TYPE_CHECKING:
    from . import dask as dask
    from . import finite, solvers, store
    from . import plot as plot
    from . import sklearn as sklearn

#: What they need of other libraries takes longer to import than everything else, or is an extra.
_LAZY = ("dask", "finite", "plot", "sklearn", "solvers", "store")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        try:
            return import_module(f".{name}", __name__)
        except ImportError as error:  # of an extra; who asks for an attribute expects an AttributeError
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{instead_of(name)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


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
