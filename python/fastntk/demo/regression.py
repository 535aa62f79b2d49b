"""Kernel ridge regression: the same choice of parameters, fit and test for every kernel."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from threadpoolctl import ThreadpoolController
from tqdm.auto import tqdm

from .._machine.factor import factorise
from ..networks.sequential import Sequential
from .data import Images, stratified_order

Array = NDArray[Any]
Kernel = Callable[[Array, Array | None], Array]

#: Ridges to choose from, as fractions of the mean diagonal of the kernel.
RIDGES = tuple(10.0**exponent for exponent in range(-6, 1))

#: Bandwidths to choose from, as multiples of the median distance between two images.
BANDWIDTHS = tuple(2.0 ** (exponent / 2) for exponent in range(-6, 3))

#: The parameters are chosen on at most so many training images, the predicted and those predicted from.
_MOST_VALIDATION, _MOST_FIT = 2000, 4000

#: A kernel is computed again and again for so long, and its shortest time reported.
_LEAST_SECONDS = 0.3

_blas = ThreadpoolController()


@dataclass(frozen=True)
class Model:
    """A kernel by name, one version per bandwidth (None for a kernel without one)."""

    name: str
    kernels: Mapping[float | None, Kernel]


@dataclass(frozen=True)
class Result:
    """What one model reached, with which parameters, and what its kernel cost."""

    name: str
    accuracy: float
    ridge: float
    bandwidth: float | None
    seconds: float
    pairs: int


def models(networks: Mapping[str, Sequential], images: Images) -> list[Model]:
    """Return the two kernels of each network, and the RBF kernel with its bandwidths as the baseline."""
    some = images.train[stratified_order(images.train_labels, seed=1)[:1000]]
    median = float(np.median(euclidean_distances(some)[np.triu_indices(len(some), 1)]))
    rbf = {h: partial(rbf_kernel, gamma=0.5 / h**2) for h in (factor * median for factor in BANDWIDTHS)}
    kernels = [
        Model(f"{name} {kind}", {None: partial(kernel, progress=True)})
        for name, network in networks.items()
        for kind, kernel in (("NNGP", network.nngp), ("NTK", network.ntk))
    ]
    return [*kernels, Model("RBF", rbf)]


def evaluate(model: Model, images: Images) -> Result:
    """Choose ridge and bandwidth on a part of the training images, fit to all of them, and test."""
    targets = np.eye(len(images.classes), dtype=images.train.dtype)[images.train_labels]
    targets -= 1 / len(images.classes)
    ridge, bandwidth = _choose(model, images.train, targets, images.train_labels)
    kernel = model.kernels[bandwidth]
    sizes = f"{len(images.train):,} training and {len(images.test):,} test images"
    times: list[float] = []
    while sum(times) < _LEAST_SECONDS:
        start = time.perf_counter()
        with _stage(f"{model.name}: kernels of {sizes}"):
            among_train, with_test = kernel(images.train, None), kernel(images.test, images.train)
        times.append(time.perf_counter() - start)
    with _blas_threads(len(images.train)), _stage(f"{model.name}: solving for {len(images.train):,} images"):
        prediction = with_test @ _solve(among_train, ridge, targets)
    accuracy = float(np.mean(prediction.argmax(axis=1) == images.test_labels))
    return Result(model.name, accuracy, ridge, bandwidth, min(times), among_train.size + with_test.size)


def _choose(model: Model, samples: Array, targets: Array, labels: NDArray[np.int64]) -> tuple[float, float | None]:
    """Return the ridge and bandwidth of the best accuracy on held-out images; of equals, the least error."""
    # Cholesky's rounding is up to about n eps of the diagonal: a smaller ridge does not make it succeed.
    rounding = len(samples) * float(np.finfo(samples.dtype).eps)
    ridges = [ridge for ridge in RIDGES if ridge > rounding]
    count = min(_MOST_VALIDATION, len(samples) // 4)
    held_out, fit = np.split(stratified_order(labels, seed=2)[: count + _MOST_FIT], [count])
    scores: dict[tuple[float, float | None], tuple[float, float]] = {}
    bar = tqdm(
        total=len(model.kernels) * len(ridges),
        desc=f"{model.name}: choosing parameters",
        unit="fit",
        delay=1.0,
        leave=False,
    )
    with _blas_threads(len(fit)), bar:
        for bandwidth, kernel in model.kernels.items():
            among_fit, with_held_out = kernel(samples[fit], None), kernel(samples[held_out], samples[fit])
            for ridge in ridges:
                bar.update()
                prediction = with_held_out @ _solve(among_fit.copy(), ridge, targets[fit])
                accuracy = np.mean(prediction.argmax(axis=1) == labels[held_out])
                error = np.mean((prediction - targets[held_out]) ** 2)
                scores[ridge, bandwidth] = float(accuracy), -float(error)
    return max(scores, key=scores.__getitem__)


def _solve(kernel: Array, ridge: float, targets: Array) -> Array:
    """Solve (kernel + ridge · mean diagonal · I) a = targets; the kernel is overwritten."""
    diagonal = np.einsum("ii->i", kernel)
    diagonal += ridge * diagonal.mean()
    if factorise(kernel):
        raise np.linalg.LinAlgError("the kernel and its ridge are not positive definite to working precision.")
    solution: Array = cho_solve((kernel.T, False), targets, check_finite=False)
    return solution


def _blas_threads(samples: int) -> AbstractContextManager[object]:
    """Use one BLAS thread for small systems: on a busy machine several wait for one another."""
    # Measured beside two other processes on 2 cores: 750 samples 1.1 s with two threads, 0.06 s with one.
    limit: AbstractContextManager[object] = _blas.limit(limits=1 if samples < 2000 else None, user_api="blas")
    return limit


@contextmanager
def _stage(message: str) -> Iterator[None]:
    """Say on stderr what is being done if it takes more than half a second."""
    timer = threading.Timer(0.5, print, args=(message,), kwargs={"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
