"""A Gaussian process as a surrogate: what a candidate costs, and more data.

python bench/surrogate.py candidate         # one point with gradients of mean and deviation, and what that is made of
python bench/surrogate.py condition         # one more point, beside a refit, by the number of points
python bench/surrogate.py solves            # three ways to a variance: time, and error against 50 digits
python bench/surrogate.py ... --write       # puts the table into bench/README.md
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

import fastntk
from fastntk.inference import GaussianProcess, gp_posterior
from fastntk.inference.cholesky import backward, cholesky, forward
from fastntk.kernels.input_gradients import at_point
from interleave import Run, clock, interleave
from tables import run

Array = NDArray[Any]

D = 20
NETS = {
    "ReLU, depth 3": fastntk.mlp(3, "relu", 2**0.5, 0.1),
    "erf, depth 2": fastntk.mlp(2, "erf", 1.5, 0.5),
    "tanh, depth 2": fastntk.mlp(2, "tanh", 1.5, 0.5),
}


def data(n: int) -> tuple[Array, Array, Array]:
    """Samples, targets, and candidates."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(n + 100, D))
    return x[:n], np.sin(3 * x[:n, 0]) + x[:n, 1] * x[:n, 2], x[n:]


def of_each(ask: Callable[[Array], object], candidates: Array) -> Run:
    """Median time of a call for one of them, on its own."""
    runs = [clock(partial(ask, row[None])) for row in candidates]
    return lambda: statistics.median(one() for one in runs)


def candidate(arguments: argparse.Namespace) -> Iterator[str]:
    """One candidate at n = 1,000, d = 20, in ms: medians over 100 candidates, asked one by one; least and median round.

    Beside it `gp_posterior`, which factorises at every call, and scikit-learn's GaussianProcessRegressor with an RBF.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    x, y, candidates = data(1000)
    yield f"| | {' | '.join(NETS)} |"
    yield f"|{'---|' * (len(NETS) + 1)}"
    rows: dict[str, list[str]] = {}
    peer = GaussianProcessRegressor(RBF(2.0), alpha=1e-4, optimizer=None).fit(x, y)
    for net in NETS.values():
        model, kernel = GaussianProcess(net, x, y, noise=1e-4, standardize=True), net.nngp(x)

        def by_matrices(row: Array, net: Any = net, kernel: Any = kernel) -> object:
            return gp_posterior(kernel, y, net.nngp(row, x), net.nngp.diag(row), noise=1e-4).variance

        seen = model._observed
        column = seen.cross(candidates[:1]).T

        def solves(_: Array, factor: Array = seen.factor, k: Array = column) -> object:
            return backward(factor, forward(factor, k))

        def of_kernel(row: Array, seen: Any = seen) -> object:
            return at_point(seen.net.layers, row[0], seen.cross.rows)

        asked: dict[str, tuple[Callable[[Array], object], Array]] = {
            "mean, deviation and their gradients": (partial(model.predict, gradient=True), candidates),
            "mean and deviation": (model.predict, candidates),
            "mean": (model.posterior_mean, candidates),
            "a row of the kernel": (seen.cross, candidates),
            "a row, its derivative, K(x, x) and its": (of_kernel, candidates),
            "two triangular solves": (solves, candidates),
            "`gp_posterior`, mean and variance": (by_matrices, candidates[:3]),
            "scikit-learn, mean and deviation": (partial(peer.predict, return_std=True), candidates),
        }
        times = interleave({name: of_each(*what) for name, what in asked.items()}, arguments.rounds)
        for name in asked:
            least = min(times.seconds[name])
            rows.setdefault(name, []).append(f"{1e3 * least:.2f}, {1e3 * times.median(name):.2f}")
    for name, cells in rows.items():
        yield f"| {name} | {' | '.join(cells)} |"


def condition(arguments: argparse.Namespace) -> Iterator[str]:
    """`condition` by one point, beside a new process of all, ReLU, depth 3, d = 20: growth with n, and the difference.

    Growth is that of the time from the row above, in powers of n. The difference is of means and deviations of 100
    candidates, over the largest, between 100 points one by one and all at once.
    """
    net = NETS["ReLU, depth 3"]
    yield "| n | condition, ms | growth | new process, ms | growth | times condition's | difference after 100 |"
    yield "|---|---|---|---|---|---|---|"
    before: tuple[float, float] | None = None
    for n in (500, 1000, 2000, 4000):
        x, y, more = data(n)
        values = np.sin(3 * more[:, 0]) + more[:, 1] * more[:, 2]
        make = partial(GaussianProcess, net, noise=1e-4, standardize=True)
        model = make(x, y)
        contenders: dict[str, Run] = {
            "condition": of_each(partial(model.condition, y=values[:1]), more[:20]),
            "new": clock(partial(make, np.concatenate((x, more[:1])), np.append(y, values[0]))),
        }
        times = interleave(contenders, arguments.rounds)
        one, new = (times.median(name) for name in contenders)
        growth = (
            ["", ""] if before is None else [f"{np.log2(b / a):.1f}" for a, b in zip(before, (one, new), strict=True)]
        )
        for row, value in zip(more, values, strict=True):
            model = model.condition(row[None], [value])
        asked = np.random.default_rng(1).uniform(size=(100, D))
        whole = make(np.concatenate((x, more)), np.append(y, values)).predict(asked)
        apart = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(model.predict(asked), whole, strict=True))
        yield (
            f"| {n:,} | {1e3 * one:.1f} | {growth[0]} | {1e3 * new:.1f} | {growth[1]} | {new / one:.0f} | {apart:.0e} |"
        )
        before = one, new


def solves(arguments: argparse.Namespace) -> Iterator[str]:
    """Variance of one point and A⁻¹ k: by two triangular solves, by an inverse of the factor, by that of A.

    Time at n = 1,000; error of the variance against 50 digits at n = 60, erf, depth 1, d = 2, by the noise.
    """
    import mpmath as mp

    x, _, more = data(1000)
    net = NETS["ReLU, depth 3"]
    ways = _ways(net.nngp(x), 1e-4)
    columns = net.nngp(x, more).T  # rows, which are taken as columns
    times = interleave({name: of_each(way, columns) for name, way in ways.items()}, arguments.rounds)
    yield f"| | {' | '.join(ways)} |"
    yield f"|{'---|' * (len(ways) + 1)}"
    yield f"| time, ms | {' | '.join(f'{1e3 * times.median(name):.2f}' for name in ways)} |"
    small, rng = fastntk.mlp(1, "erf", 1.0, 1.0), np.random.default_rng(2)
    x = rng.uniform(-1, 1, size=(60, 2))
    test = np.concatenate((x[:3] + 1e-3, rng.uniform(-1, 1, size=(3, 2))))
    kernel, cross, prior = small.nngp(x), small.nngp(test, x), small.nngp.diag(test)
    for noise in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
        with mp.workdps(50):
            matrix = mp.matrix(kernel.tolist()) + mp.mpf(noise) * mp.eye(60)
            inverse = mp.inverse(matrix)
            rows = [mp.matrix(row.tolist()) for row in cross]
            wanted = [mp.mpf(float(p)) - (row.T * inverse * row)[0] for row, p in zip(rows, prior, strict=True)]
            errors = []
            for way in _ways(kernel, noise).values():
                found = [p - way(row[None])[0] for row, p in zip(cross, prior, strict=True)]
                errors.append(
                    max(abs(float(a - b)) for a, b in zip(wanted, map(mp.mpf, map(float, found)), strict=True))
                )
        condition = np.linalg.cond(kernel + noise * np.eye(60))
        cells = " | ".join(f"{error:.0e}" for error in errors)
        yield f"| error, condition number {condition:.0e}, least variance {float(min(wanted)):.0e} | {cells} |"


def _ways(kernel: Array, noise: float) -> dict[str, Callable[[Array], tuple[Any, Array]]]:
    """Give k A⁻¹ k and A⁻¹ k, of a row k."""
    factor = cholesky(kernel, noise)
    of_factor = np.asfortranarray(np.tril(lapack.dtrtri(factor, lower=1)[0]))
    whole = lapack.dpotri(factor, lower=1)[0]

    def triangular(k: Array) -> tuple[Any, Array]:
        v = forward(factor, k.T)
        return (v.T @ v).item(), backward(factor, v)

    def by_factor(k: Array) -> tuple[Any, Array]:
        v = blas.dtrmv(of_factor, k[0], lower=1)
        return v @ v, blas.dtrmv(of_factor, v, lower=1, trans=1)

    def by_inverse(k: Array) -> tuple[Any, Array]:
        w = blas.dsymv(1.0, whole, k[0], lower=1)
        return k[0] @ w, w

    return {"triangular solves": triangular, "inverse of the factor": by_factor, "inverse of A": by_inverse}


def main() -> None:
    """Run the section asked for."""
    sections = {"candidate": candidate, "condition": condition, "solves": solves}
    run("surrogate", __doc__, sections, rounds={"type": int, "default": 5})


if __name__ == "__main__":
    main()
