"""Bayesian optimisation with a network of infinite width beside a Matérn-5/2 kernel: regret on standard functions.

python bench/optimisation.py regret                           # a quarter of an hour; killed, it goes on
python bench/optimisation.py regret --plot docs/optimise.png  # and draws it
python bench/optimisation.py regret --write                   # puts the table into bench/README.md

Every run is a file in --results. The loop and its acquisition function are those of examples/optimise.py, the same for
all surrogates, as are the points that they begin with.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import fastntk
from fastntk.inference import FitWarning, GaussianProcess, log_marginal_likelihood
from matern import Matern
from tables import run

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))

from optimise import NET, hartmann6, optimise

Array = NDArray[Any]

EVALUATIONS, STARTS = 60, 20
SHOWN = (20, 40, 60)
BASELINE = "Matérn, ARD"


class Function(NamedTuple):
    """To be minimised in [-1, 1]^d."""

    d: int
    least: float
    of_start: Callable[[np.random.Generator], Callable[[Array], Array]]


def ackley(centre: Array, X: Array) -> Array:
    """Ackley's function of a box that is 15 wide, with its minimum 0 at a centre."""
    x = 7.5 * (X - centre)
    bowl = np.exp(-0.2 * np.sqrt((x**2).mean(axis=1)))
    return np.asarray(20 + np.e - 20 * bowl - np.exp(np.cos(2 * np.pi * x).mean(axis=1)))


#: The minimum of Ackley's is elsewhere in every start: at 0 networks would have it for nothing.
FUNCTIONS = {
    "Hartmann-6": Function(6, -3.32236801, lambda _: hartmann6),
    "Ackley-10": Function(10, 0.0, lambda rng: partial(ackley, rng.uniform(-0.5, 0.5, 10))),
    "Hartmann-6 in 50": Function(50, -3.32236801, lambda _: lambda X: hartmann6(X[:, :6])),
}

NETS = {"ReLU": NET, "erf": fastntk.mlp(3, "erf", 1.5, 1.0)}


def network(net: fastntk.Sequential, X: Array, y: Array) -> GaussianProcess:
    """As the surrogate of the example, of any network."""
    return GaussianProcess(net, X, y, noise=1e-6, mean="constant", standardize=True).fit(noise_bounds="fixed")


def relevance(net: fastntk.Sequential, X: Array, y: Array) -> GaussianProcess:
    """With a weight for each feature: the largest posterior density, where all numbers have a log-normal prior.

    It is about those of the network, and as wide as the peer's of lengths, with the deviation √3. The scale of the
    inputs is among them: kernels see x·x'/d.
    """
    net = fastntk.Sequential(fastntk.Scale([1.0] * X.shape[1]), *net.layers)
    start = np.array([parameter.value for parameter in net.parameters])

    def model(theta: Array) -> GaussianProcess:
        there = net.with_parameters((start * np.exp(theta)).tolist())
        return GaussianProcess(there, X, y, noise=1e-6, mean="constant", standardize=True)

    def negative(theta: Array) -> tuple[float, Array]:
        here = model(theta)
        z, kernel = (y - here.constant) / here.scale, here.net.nngp
        found = log_marginal_likelihood(kernel(X), z, 1e-6, gradient=True)
        slope = kernel.vjp(X, found.kernel_gradient) * start * np.exp(theta)
        return float(theta @ theta) / 6 - found.value, theta / 3 - slope

    bounds = [(-6.9, 6.9)] * len(start)
    options = {"maxiter": 30}
    return model(minimize(negative, 0 * start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)


SURROGATES: dict[str, Callable[[Array, Array], Any] | None] = {
    **{f"NNGP, {name}": partial(network, net) for name, net in NETS.items()},
    "NNGP, erf, ARD": partial(relevance, NETS["erf"]),
    "Matérn": partial(Matern.fitted, ard=False),
    BASELINE: partial(Matern.fitted, ard=True),
    "random search": None,
}


def values(function: Function, fit: Callable[[Array, Array], Any] | None, start: int) -> Array:
    """What a run evaluates, one after the other."""
    f = function.of_start(np.random.default_rng(1000 + start))
    rng = np.random.default_rng(start)
    if fit is None:
        return f(rng.uniform(-1, 1, (EVALUATIONS, function.d)))
    return optimise(f, function.d, EVALUATIONS, rng, fit)[1]


def ran(folder: Path, name: str, title: str, start: int) -> list[float]:
    """Values of a run: of its file, or run now."""
    path = folder / f"{name} {title} {start}.json".replace(", ", "-").replace(" ", "_")
    if not path.exists():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(values(FUNCTIONS[name], SURROGATES[title], start).tolist()), encoding="utf-8")
        part.replace(path)  # whole or not there
    return list(json.loads(path.read_text(encoding="utf-8")))


def regret(arguments: argparse.Namespace) -> Iterator[str]:
    """Bayesian optimisation: simple regret, the median of all starts and their quartiles, after so many evaluations.

    Inputs in [-1, 1], ten points at random, then log expected improvement, climbed by L-BFGS from four points; refitted
    every five evaluations, with a constant mean, standardised targets and a noise variance of 1e-6. NNGP: three hidden
    layers, sigmas and scale by marginal likelihood; ARD: and a weight for each feature, with a log-normal prior of
    deviation √3 on all numbers. Matérn-5/2: one length, or one for each feature, with BoTorch's log-normal prior of the
    same deviation, and an amplitude. Ackley's minimum is in the middle half of a box that is 15 wide, elsewhere in
    every start; Hartmann's function in 50 dimensions is of the first six. Below: in how many of the starts a
    surrogate ends below Matérn with ARD.
    """
    arguments.results.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", FitWarning)
    runs: dict[tuple[str, str], list[list[float]]] = {pair: [] for pair in product(FUNCTIONS, SURROGATES)}
    starts = arguments.starts or STARTS
    for start in range(starts):
        for (name, title), found in runs.items():
            found.append(ran(arguments.results, name, title, start))
        print(f"start {start + 1} of {starts}", file=sys.stderr, flush=True)
    curves = {
        (name, title): np.minimum.accumulate(found, axis=1) - FUNCTIONS[name].least
        for (name, title), found in runs.items()
    }
    yield f"{starts} starts.\n"
    yield f"| function | surrogate | {' | '.join(map(str, SHOWN))} | below |"
    yield "|---" * (len(SHOWN) + 3) + "|"
    for (name, title), curve in curves.items():
        cells = (np.quantile(curve[:, n - 1], (0.5, 0.25, 0.75)) for n in SHOWN)
        quartiles = " | ".join(f"{median:.2g} ({low:.2g} to {high:.2g})" for median, low, high in cells)
        below = int((curve[:, -1] < curves[name, BASELINE][:, -1]).sum())
        yield f"| {name} | {title} | {quartiles} | {below if title != BASELINE else ''} |"
    if arguments.plot:
        draw(curves, arguments.plot)


def draw(curves: dict[tuple[str, str], Array], path: Path) -> None:
    """Medians, and quartiles as bands."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(FUNCTIONS), figsize=(11, 3.6), layout="constrained")
    evaluations = np.arange(1, EVALUATIONS + 1)
    styles = (("C3", "-"), ("C1", "-"), ("C1", "--"), ("C0", "-"), ("C0", "--"), ("0.5", ":"))
    for ax, name in zip(axes, FUNCTIONS, strict=True):
        for title, (colour, line) in zip(SURROGATES, styles, strict=True):
            low, median, high = np.quantile(curves[name, title], (0.25, 0.5, 0.75), axis=0)
            ax.semilogy(evaluations, median, color=colour, linestyle=line, label=title)
            ax.fill_between(evaluations, low, high, color=colour, alpha=0.08, linewidth=0)
        ax.set(title=name, xlabel="evaluations")
    axes[0].set_ylabel("simple regret, median and quartiles")
    axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


SECTIONS = {"regret": regret}


if __name__ == "__main__":
    run(
        "optimisation", __doc__, SECTIONS,
        starts={"type": int, "help": f"how many, {STARTS} by itself"},
        results={"type": Path, "default": Path(__file__).with_suffix(""), "help": "folder of the runs"},
        plot={"type": Path, "help": "file for a figure"},
    )  # fmt: skip
