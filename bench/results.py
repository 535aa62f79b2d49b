"""Accuracy on real data, beside what was published.

    python bench/results.py mnist --data FOLDER      # mnist_5k.csv.gz and the t10k files
    python bench/results.py fashion [--data FOLDER]  # the files of Fashion-MNIST
    python bench/results.py uci --data FOLDER        # uci90.npz, the 90 sets of Arora et al. (2020)
    python bench/results.py uci --data FOLDER --most 420   # those of at most 420 samples, in minutes
    python bench/results.py uci --data FOLDER --keep FILE  # keeps every set's result, and goes on from there
    python bench/results.py probability              # log loss of NTKClassifier, with scikit-learn's own data
    python bench/results.py ... --write              # puts the table into bench/README.md

Nothing is tuned here: the sigmas and ridges are fixed in the code, and the UCI protocol tunes on its own splits.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastntk
from fastntk.demo.data import load, read_idx
from fastntk.inference import gp_posterior
from tables import run

Array = NDArray[Any]

RIDGE = 1e-6  # of the mean of the diagonal


def mnist_5k(folder: Path) -> tuple[Array, Array, Array, Array]:
    """500 training images of each digit, and the 10,000 test images; one mean and one scale for all pixels."""
    table = np.loadtxt(folder / "mnist_5k.csv.gz", delimiter=",", dtype=np.float64)
    test = read_idx(folder / "t10k-images-idx3-ubyte.gz").reshape(10_000, -1)
    labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz").astype(np.int64)
    train, train_labels = table[:, :-1], table[:, -1].astype(np.int64)
    mean, scale = train.mean(), train.std()
    return (train - mean) / scale, train_labels, (test - mean) / scale, labels


def images(train: Array, train_labels: Array, test: Array, labels: Array) -> Iterator[str]:
    """Regression on one-hot labels less 0.1: accuracy of both kernels, and the time of everything."""
    targets = np.eye(10)[train_labels] - 0.1
    yield "| depth | kernel | accuracy | kernels | Cholesky and prediction |"
    yield "|---|---|---|---|---|"
    for depth in (1, 3, 7):
        net = fastntk.mlp(depth, "relu", 2**0.5, 0.1)
        for name, kernel in (("NNGP", net.nngp), ("NTK", net.ntk)):
            start = time.perf_counter()
            k_train, k_cross = kernel(train), kernel(test, train)
            made = time.perf_counter()
            noise = RIDGE * float(k_train.diagonal().mean())
            mean = gp_posterior(k_train, targets, k_cross, noise=noise).mean
            done = time.perf_counter()
            accuracy = 100 * np.mean(mean.argmax(axis=1) == labels)
            yield f"| {depth} | {name} | {accuracy:.2f} % | {made - start:.1f} s | {done - made:.1f} s |"


def mnist(arguments: argparse.Namespace) -> Iterator[str]:
    """MNIST, 5,000 training images, 10,000 test images, ReLU, sigma_w² = 2, sigma_b² = 0.01, float64.

    Lee et al. (2018), table 1, ReLU: 92.79 % from 1,000 images (depth 20), 97.65 % from 10,000 (depth 7), both with
    tuned sigmas.
    """
    if arguments.data is None:
        raise SystemExit("mnist needs --data FOLDER, with mnist_5k.csv.gz and the t10k files in it.")
    yield from images(*mnist_5k(arguments.data))


def fashion(arguments: argparse.Namespace) -> Iterator[str]:
    """Fashion-MNIST, the first 10,000 training images, 10,000 test images; the rest as for MNIST."""
    data = load("fashion-mnist", arguments.data, 10_000, 10_000, np.float64)
    yield from images(data.train, data.train_labels, data.test, data.test_labels)


def kernels_of(x: Array) -> Iterator[tuple[tuple[int, int], Array]]:
    """NTK for 1 to 5 Dense layers of which the first 0 to all but one are frozen; sigma_w = 1, no bias, no 1/d."""
    scaled = x.astype(np.float64) * np.sqrt(x.shape[1])
    for layers in range(1, 6):
        for frozen in range(layers):
            yield (layers, frozen), fastntk.mlp(layers - 1, "relu", frozen=frozen).ntk(scaled)


#: Of a support vector machine of two classes, as libsvm has it by itself.
MOST_STEPS = 10_000_000


def score(kernel: Array, y: Array, train: Array, test: Array, c: float) -> float:
    """Accuracy of a support vector machine."""
    from sklearn.svm import SVC

    model = SVC(C=c, kernel="precomputed", cache_size=1000, max_iter=MOST_STEPS)
    model.fit(kernel[np.ix_(train, train)], y[train])
    return float(np.mean(model.predict(kernel[np.ix_(test, train)]) == y[test]))


def one_set(data: dict[str, Array]) -> tuple[float, tuple[int, int], float]:
    """Accuracy over the four folds with what is best on the tuning split (the first of equals), and which that is."""
    best, chosen, chosen_c, chosen_kernel = -1.0, (0, 0), 0.0, np.empty(0)
    for parameters, kernel in kernels_of(data["X"]):
        for c in 10.0 ** np.arange(-2, 5):
            accuracy = score(kernel, data["y"], data["train"], data["val"], c)
            if accuracy > best:
                best, chosen, chosen_c, chosen_kernel = accuracy, parameters, c, kernel
    folds = [(data[f"kf{2 * i}"], data[f"kf{2 * i + 1}"]) for i in range(4)]
    mean = np.mean([score(chosen_kernel, data["y"], train, test, chosen_c) for train, test in folds])
    return 100 * float(mean), chosen, float(chosen_c)


def named_set(name: str, data: dict[str, Array]) -> tuple[str, tuple[float, tuple[int, int], float]]:
    """`one_set`, with its name."""
    return name, one_set(data)


def kept(keep: Path | None) -> dict[str, Any]:
    """Return the results in a file, if they are of this version."""
    found = json.loads(keep.read_text()) if keep and keep.exists() else {}
    return dict(found["sets"]) if found.get("fastntk") == fastntk.__version__ else {}


def uci(arguments: argparse.Namespace) -> Iterator[str]:
    """The 90 UCI sets and splits of Arora et al. (2020): support vector machine on the NTK.

    C from 1e-2 to 1e4, 1 to 5 layers, 0 or more of the first frozen, all chosen on the tuning split. Machines end after
    10 million steps, as libsvm's own do: linear ones at a large C would take hours. They report a mean accuracy of
    about 82 %; their code on the 43 sets of at most 420 samples gives 79.71 % (an independent run).
    """
    if arguments.data is None:
        raise SystemExit("uci needs --data FOLDER, with uci90.npz in it.")
    from joblib import Parallel, delayed

    stored = np.load(arguments.data / "uci90.npz")
    names = sorted({key.rsplit("/", 1)[0] for key in stored.files})
    sizes = {name: len(stored[f"{name}/y"]) for name in names}
    names = [name for name in names if arguments.most is None or sizes[name] <= arguments.most]
    fields = ("X", "y", "train", "val", *(f"kf{i}" for i in range(8)))
    keep: Path | None = arguments.keep
    results = kept(keep)
    left = sorted(set(names) - set(results), key=lambda name: -sizes[name])  # the longest first
    parallel = Parallel(n_jobs=-1, backend="threading", return_as="generator_unordered")
    for name, result in parallel(
        delayed(named_set)(name, {field: stored[f"{name}/{field}"] for field in fields}) for name in left
    ):
        results[name] = result
        print(f"{name} ({sizes[name]}): {result}", file=sys.stderr, flush=True)
        if keep:
            keep.write_text(json.dumps({"fastntk": fastntk.__version__, "sets": results}, indent=1))
    small = [results[name][0] for name in names if sizes[name] <= 420]
    mean = np.mean([results[name][0] for name in names])
    yield f"Mean accuracy of {len(names)} sets {mean:.2f} %;"
    yield f"of the {len(small)} of at most 420 samples {np.mean(small):.2f} %."
    yield ""
    yield "| " + " | ".join(["set", "accuracy"] * 4) + " |"
    yield "|" + "---|" * 8
    cells = [f"{name} | {results[name][0]:.2f}" for name in names]
    for i in range(0, len(cells), 4):
        yield "| " + " | ".join([*cells[i : i + 4], *["|"] * (4 - len(cells[i : i + 4]))]) + " |"


def probability(arguments: argparse.Namespace) -> Iterator[str]:
    """Log loss of the probabilities of NTKClassifier, and the time of a fit, beside scikit-learn's calibrations of it.

    Three data sets of scikit-learn, standardised, 5 folds; ReLU, depth 2, sigma_w² = 2, sigma_b² = 0.01, ridge 0.01.
    Calibrations fit the classifier five more times, on parts of the data.
    """
    del arguments
    from sklearn import datasets
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold, cross_validate
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from fastntk.sklearn import NTKClassifier

    plain = NTKClassifier(2, "relu", 2**0.5, 0.1)
    models = {
        'NTKClassifier(probability="temperature")': NTKClassifier(2, "relu", 2**0.5, 0.1, probability="temperature"),
        "calibration by temperature": CalibratedClassifierCV(plain, method="temperature"),
        "calibration by sigmoid (the default)": CalibratedClassifierCV(plain),
    }
    sets = {"breast cancer": datasets.load_breast_cancer, "digits": datasets.load_digits, "wine": datasets.load_wine}
    yield "| | " + " | ".join(sets) + " | fit, digits |"
    yield "|---" * (len(sets) + 2) + "|"
    for name, model in models.items():
        cells, seconds = [], 0.0
        for load_set in sets.values():
            x, y = load_set(return_X_y=True)
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            found = cross_validate(make_pipeline(StandardScaler(), model), x, y, cv=folds, scoring="neg_log_loss")
            cells.append(f"{-found['test_score'].mean():.3f}")
            seconds = found["fit_time"].mean() if load_set is datasets.load_digits else seconds
        yield f"| {name} | " + " | ".join(cells) + f" | {seconds:.1f} s |"


SECTIONS = {"mnist": mnist, "fashion": fashion, "uci": uci, "probability": probability}


if __name__ == "__main__":
    warnings.simplefilter("ignore", fastntk.ToleranceWarning)
    warnings.filterwarnings("ignore", "Solver terminated early")  # of support vector machines, after MOST_STEPS
    run(
        "results", __doc__, SECTIONS,
        data={"type": Path, "help": "folder with the files"},
        most={"type": int, "help": "of uci: only sets of at most so many samples"},
        keep={"type": Path, "help": "of uci: JSON file of the results so far; sets in it are not run again"},
    )  # fmt: skip
