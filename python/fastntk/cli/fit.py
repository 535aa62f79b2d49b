"""``fastntk fit``: kernel regression on the rows of a file, into a model."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import finite_number
from .._checks.caller import without
from .._checks.shown import counted
from .._machine.rows import engine_rows
from ..kernels.blocks import memory_limit
from ..kernels.shapes import ends_in_nodes
from ..networks.sequential import Sequential
from ..samples import Ragged
from .arguments import NETWORKS, Error, add_network, add_quiet, at_least, check_network, given_of_network, network
from .model import Model
from .output import check_new, new_file
from .tables import FORMATS, RAGGED, features, read_labels, read_samples, read_targets

if TYPE_CHECKING:
    from ..store import StoredKernel

DESCRIPTION = f"""\
Fit an infinitely wide network to the rows of X and their targets y: kernel ridge regression with the NTK (what a
wide network becomes in training) or the NNGP kernel (the mean of Bayesian inference). With --classify y has labels,
whole numbers or text, and the regression is on one column for each label.

Files may be {FORMATS}; nothing is unpickled.
The model is a .npz file without pickles; fastntk predict applies it.
"""

EPILOG = f"""\
examples:
  fastntk fit X.npy y.npy --depth 3 --sigma-w 1.414 --sigma-b 0.1 --out model.npz
  fastntk fit X.csv labels.csv --classify --activation erf --out model.npz
  fastntk fit X.npy y.npy --depth 3 --landmarks 4000 --out model.npz     for 100,000 rows or more
  fastntk fit X.npy y.npy --stored K.zarr --out model.npz                with a kernel that fastntk compute made of X
  fastntk fit X.npy y.npy --net 'Sequential(Dense(1.4, 0.1), "erf", Dense())' --out model.npz
  fastntk predict model.npz X_test.npy --out predictions.npy

{NETWORKS}
{RAGGED}
Columns of X should be standardised. All rows are fitted exactly, by Cholesky where the kernel fits into a quarter of
the free memory and by conjugate gradients beyond; or over landmarks, some of the rows. The mean of numeric targets is
taken off and added again.
"""

#: What a linear system must be solved to, relative to its right-hand side.
_RESIDUAL = 1e-5


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("X", help="samples, one a row")
    parser.add_argument("y", help="a target or label for each, or several targets in columns")
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL", help="model.npz")
    add_network(parser)
    parser.add_argument("--classify", action="store_true", help="y has labels")
    parser.add_argument(
        "--ridge", type=float, default=1e-3, metavar="R", help="times the kernel's mean diagonal (default: 0.001)"
    )
    parser.add_argument("--landmarks", type=at_least(1), metavar="M", help="fit over so many of the rows")
    parser.add_argument("--stored", type=Path, metavar="K.zarr", help="kernel of X, which says of what network")
    parser.add_argument("--dtype", choices=("float64", "float32"), help="of the kernel (default: float64)")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="S", help="of random choices (default: 0)")
    add_quiet(parser)


def check(arguments: argparse.Namespace, error: Error) -> None:
    """Refuse what does not go together."""
    check_network(arguments, error)
    if arguments.out.suffix != ".npz":
        error(f"--out must end in .npz, got {arguments.out}.")
    if arguments.stored and (arguments.landmarks or arguments.dtype):
        error("--landmarks and --dtype are for a kernel that is not stored.")
    if arguments.stored and (given := given_of_network(arguments)):
        error(f"the network is that of --stored: leave {', '.join(given)} out.")
    if not 0 <= arguments.ridge < float("inf"):
        error(f"--ridge must be a number >= 0, got {arguments.ridge}.")
    if arguments.landmarks and not arguments.ridge:
        error("--landmarks need a --ridge > 0.")


def run(arguments: argparse.Namespace) -> None:
    """Fit."""
    out: Path = arguments.out
    check_new(out)
    start = time.perf_counter()
    x = read_samples(arguments.X)
    if not len(x):
        raise ValueError("there are no rows to fit.")
    kernel = _stored(arguments.stored, x) if arguments.stored else None  # of x as it is in its file
    if not isinstance(x, Ragged):
        x = engine_rows(x.reshape(len(x), -1)).reshape(x.shape)
    net, kind = (kernel.network, kernel.kind) if kernel is not None else network(arguments, x)
    if isinstance(x, Ragged) and len(x) == 1 and ends_in_nodes(net.layers, x):
        raise ValueError(
            f"the network ends with the {x.node}s of one sample, and fastntk fit takes a target for each sample: write "
            f"the kernel between its {x.node}s with fastntk compute, or append a readout, GlobalSumPool()."
        )
    if arguments.classify:
        classes, targets = _one_hot(read_labels(arguments.y, len(x)))
        offset = np.zeros(targets.shape[1:])
    else:
        classes, values = np.empty(0), read_targets(arguments.y, len(x))
        offset = np.asarray(values.mean(axis=0))
        targets = values - offset
    diagonal = getattr(net, kind).diag(x, dtype="float64")
    ridge = arguments.ridge * finite_number(diagonal.mean(), "the mean of the kernel's diagonal")
    progress = not arguments.quiet
    if arguments.landmarks:
        rows, coefficients, how = _over_landmarks(arguments, net, kind, x, targets, ridge, progress)
    else:
        rows, (coefficients, how) = x, _exactly(arguments, net, kind, kernel, x, targets, ridge, progress)
    outputs = offset.size
    model = Model(net, kind, rows, coefficients.reshape(-1, outputs), offset.reshape(outputs), classes)
    with new_file(out) as file:
        model.save(file)
    task = f"{len(classes)} classes" if arguments.classify else counted(outputs, "target")
    seconds = time.perf_counter() - start
    print(
        f"{out}: {kind}, {counted(len(x), 'row')} of {features(x)}, {task}, ridge {ridge:.3g}, {how}, {seconds:.1f} s"
    )


def _one_hot(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Classes, and a column for each less 1/k; of two classes -1 and 1 (as `fastntk.sklearn.NTKClassifier`)."""
    classes, numbers = np.unique(labels, return_inverse=True)
    k = len(classes)
    if k < 2:
        raise ValueError(f"a classifier needs at least two classes, got 1 class: {classes[0]!s}.")
    return classes, np.where(numbers == 1, 1.0, -1.0) if k == 2 else np.eye(k)[numbers] - 1 / k


def _stored(path: Path, x: NDArray[Any] | Ragged) -> StoredKernel:
    """The kernel of these samples that is there."""
    from .. import store

    kernel = store.open(path)
    if not kernel.symmetric or not kernel.is_of(x):
        raise ValueError(f"{path} is the kernel of other samples than these: make it with fastntk compute, of this X.")
    return kernel


def _over_landmarks(
    arguments: argparse.Namespace,
    net: Sequential,
    kind: Any,
    x: NDArray[Any] | Ragged,
    targets: NDArray[np.float64],
    ridge: float,
    progress: bool,
) -> tuple[NDArray[Any] | Ragged, NDArray[np.float64], str]:
    from ..solvers import ConvergenceWarning, nystrom

    with without(ConvergenceWarning):  # said below
        model = nystrom(
            net,
            x,
            targets,
            landmarks=arguments.landmarks,
            kind=kind,
            ridge=ridge,
            dtype=arguments.dtype or "float64",
            rng=arguments.seed,
            progress=progress,
        )
    if not model.converged:
        raise ValueError(
            f"conjugate gradients came to a residual of {model.residuals[-1].max():.1e} only: raise --ridge, or try "
            "--dtype float64."
        )
    return (
        model.landmarks if isinstance(model.landmarks, Ragged) else np.asarray(model.landmarks),
        model.coefficients,
        f"{len(model.landmarks)} landmarks, {model.iterations} passes",
    )


def _exactly(
    arguments: argparse.Namespace,
    net: Sequential,
    kind: Any,
    kernel: Any,
    x: NDArray[Any] | Ragged,
    targets: NDArray[np.float64],
    ridge: float,
    progress: bool,
) -> tuple[NDArray[np.float64], str]:
    from ..solvers import ConvergenceWarning, cholesky, pcg

    dtype = np.dtype(arguments.dtype or "float64") if kernel is None else kernel.dtype
    solution: Any
    if len(x) ** 2 * dtype.itemsize <= memory_limit(None):
        compute = net.ntk if kind == "ntk" else net.nngp
        matrix = compute(x, dtype=dtype, progress=progress) if kernel is None else np.asarray(kernel)
        solution = cholesky(matrix, targets, ridge=ridge)
        how = "Cholesky"
    else:
        operator = getattr(net, kind).operator(x, dtype=dtype) if kernel is None else kernel
        with without(ConvergenceWarning):  # said below
            solution = pcg(operator, targets, ridge=ridge, rtol=_RESIDUAL / 10, rng=arguments.seed, progress=progress)
        how = f"{solution.iterations} passes of conjugate gradients"
    residual = float(solution.residuals[-1].max(initial=0))
    if not residual <= _RESIDUAL:
        raise ValueError(
            f"the linear system could be solved to a residual of {residual:.1e} only: raise --ridge, or compute the "
            "kernel in float64."
        )
    return solution.x, f"{how}, residual {residual:.0e}"
