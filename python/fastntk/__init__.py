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
sigma_b)`; for images and sequences of `Conv`, `AvgPool`, `Flatten` and their like, or `cnn(depth, ...)`, `myrtle`,
`resnet`, `cntk`; for `Sequences` and `Graphs` of different sizes of `SelfAttention` and `Aggregate`, or
`transformer(blocks, ...)`, `gcn(depth, ...)`, `gntk`; with branches by `Sum`, `Residual`, `Product`, `Concat`, or
`resmlp(depth, ...)`, and with `LayerNorm` and `Dropout`; first of all `Scale`, weights of features. `inference` has
Gaussian processes, training dynamics and the fit of hyper-parameters, `finite` networks of finite width, `sklearn` and
`gpytorch` kernels and estimators, `plot` pictures; `store`, `solvers` and `dask` are for data that do not fit in
memory. `config()` tells what is running.

The package in one page, for those who read its source. Imports go one way, from the first of these rooms to the last:
`cli` and `demo` are the command line; `sklearn`, `gpytorch` and `dask` those libraries' idioms, `pytorch` makes
networks of modules; `store`, `solvers` and `finite` are kernels on disk, linear systems and networks of finite width;
`plot` has pictures, `reference` the same mathematics in plain NumPy, for tests; `inference` is what the kernels are
for, with `fitting` of hyper-parameters. `networks` has Sequential, mlp and its like; `kernels` computes their kernels,
on data, with the C++ engine (`_core`); `samples` are data of different sizes; `layers` has Dense, Activation and all
others; `activations` the nonlinearities and their duals. `_checks` is the edge where input is checked, `_machine`
threads, memory and arithmetic.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from . import networks
from ._core import version as __version__
from ._machine.runtime import config
from ._machine.version import check_core
from .activations.interpolation import ToleranceWarning
from .kernels.computation import Kernels
from .kernels.kernel import Kernel
from .layers import (
    Activation,
    Aggregate,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Identity,
    LayerNorm,
    Product,
    Recurrent,
    Reshape,
    Residual,
    Scale,
    SelfAttention,
    Sum,
    SumPool,
)
from .layers.migration import instead_of
from .networks import (
    Sequential,
    Summary,
    cnn,
    cntk,
    gcn,
    gntk,
    mlp,
    myrtle,
    network,
    resmlp,
    resnet,
    rnn,
    transformer,
)
from .pytorch import from_torch
from .samples import Graphs, Sequences

if TYPE_CHECKING:
    from . import inference, reference

check_core()

#: Rooms that are imported when they are first asked for: kernels do without them, or they need an extra.
_LAZY = ("dask", "demo", "finite", "gpytorch", "inference", "plot", "reference", "sklearn", "solvers", "store")

__all__ = [
    "Activation",
    "Aggregate",
    "AvgPool",
    "Concat",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalSumPool",
    "Graphs",
    "Identity",
    "Kernel",
    "Kernels",
    "LayerNorm",
    "Product",
    "Recurrent",
    "Reshape",
    "Residual",
    "Scale",
    "SelfAttention",
    "Sequences",
    "Sequential",
    "Sum",
    "SumPool",
    "Summary",
    "ToleranceWarning",
    "__version__",
    "cnn",
    "cntk",
    "config",
    "from_torch",
    "gcn",
    "gntk",
    "inference",
    "mlp",
    "myrtle",
    "network",
    "networks",
    "reference",
    "resmlp",
    "resnet",
    "rnn",
    "transformer",
]


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        try:
            return import_module(f".{name}", __name__)
        except ImportError as error:  # of an extra; who asks for an attribute expects an AttributeError
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{instead_of(name)}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY})
