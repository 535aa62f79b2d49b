"""Gaussian-process classification beside scikit-learn's, on the same data in one run.

python bench/classifier.py fit            # minutes, nearly all of them scikit-learn's
python bench/classifier.py fit --write    # puts the table into bench/README.md
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastntk
from fastntk.sklearn import NNGPClassifier, NNGPKernel, NTKClassifier
from interleave import Rounds, clock, show_ratio
from tables import run

Array = NDArray[Any]
NET: dict[str, Any] = {"depth": 2, "activation": "erf", "sigma_w": 1.0, "sigma_b": 1.0}


def split(load: Callable[..., tuple[Array, Array]]) -> tuple[Array, Array, Array, Array]:
    """Three quarters to fit, by which all is standardised, and the rest."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, y = load(return_X_y=True)
    train, test, labels, others = train_test_split(x, y, random_state=0, stratify=y)
    scale = StandardScaler().fit(train)
    return scale.transform(train), labels, scale.transform(test), others


def contenders() -> dict[str, Any]:
    """Models by name; the first is what the times are measured by."""
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    scale = ConstantKernel(1.0, (1e-6, 1e6))
    return {
        'NNGPClassifier(optimizer="lbfgs")': NNGPClassifier(**NET, optimizer="lbfgs"),
        "scikit-learn, the same kernel": GaussianProcessClassifier(scale * NNGPKernel(**NET)),
        "scikit-learn, RBF": GaussianProcessClassifier(scale * RBF(5.0)),
        'NTKClassifier(probability="temperature")': NTKClassifier(**NET, probability="temperature"),
    }


def fit(arguments: argparse.Namespace) -> Iterator[str]:
    """Gaussian-process classification: a fit with its hyper-parameters, and what it says of the rest of the data.

    Three quarters of the rows, standardised. Kernel: a scale times the NNGP of erf, depth 2, with sigma_w and sigma_b
    for all layers, both from 1; of three classes scikit-learn fits a kernel each. Log likelihood: the mean over the
    rest. The last row is no Gaussian process: regression on labels, nothing fitted but a temperature.
    """
    from sklearn import datasets

    yield "| data | model | fit | over the first | log marginal likelihood | accuracy | log likelihood |"
    yield "|---|---|---|---|---|---|---|"
    for name, load in (("breast cancer", datasets.load_breast_cancer), ("wine", datasets.load_wine)):
        train, labels, test, others = split(load)
        models = contenders()
        first = next(iter(models))
        seconds: dict[str, list[float]] = {title: [] for title in models}
        for _ in range(arguments.rounds or 1):
            for title, model in models.items():
                model.fit(train[::8], labels[::8])  # whatever is loaded at first
                seconds[title].append(clock(partial(model.fit, train, labels))())
        runs = Rounds(seconds)
        for title, model in models.items():
            likelihood = getattr(model, "log_marginal_likelihood_value_", np.nan)
            if title.startswith("scikit-learn") and len(model.classes_) > 2:
                likelihood *= len(model.classes_)  # it has the mean over classes
            given = np.log(model.predict_proba(test)[np.arange(len(test)), np.searchsorted(model.classes_, others)])
            yield (
                f"| {name}, {len(train)} rows | {title} | {runs.median(title):.2f} s "
                f"| {show_ratio(runs.ratio(title, first))} | {'' if np.isnan(likelihood) else f'{likelihood:.2f}'} "
                f"| {100 * model.score(test, others):.1f} % | {given.mean():.3f} |"
            )


SECTIONS = {"fit": fit}


if __name__ == "__main__":
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", fastntk.ToleranceWarning)
    run("classifier", __doc__, SECTIONS, rounds={"type": int, "help": "fits of each, by turns"})
