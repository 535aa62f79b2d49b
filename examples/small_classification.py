"""Small classification sets as in Arora et al. (2020): a support vector machine on the NTK, tuned by cross-validation.

    python examples/small_classification.py     # iris, wine and breast cancer, from scikit-learn

The whole UCI protocol, with the data of the paper, is `python bench/results.py uci`.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import fastntk
from fastntk.sklearn import NTKClassifier, NTKKernel

SETS = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}

#: 1 to 3 hidden layers; of the last one, the first layer is frozen in a variant.
NETWORKS = [fastntk.mlp(depth, "relu", 2**0.5, frozen=frozen) for depth, frozen in ((1, 0), (2, 0), (3, 0), (3, 1))]


def main() -> dict[str, float]:
    """Return the accuracy of the support vector machine on every set."""
    scores = {}
    for name, load in SETS.items():
        X, y = load(return_X_y=True)
        machine = GridSearchCV(
            make_pipeline(StandardScaler(), SVC()),
            {"svc__kernel": [NTKKernel(network=net) for net in NETWORKS], "svc__C": [0.1, 1.0, 10.0]},
        )
        regression = make_pipeline(StandardScaler(), NTKClassifier(2, "relu", 2**0.5, 0.1))
        baseline = make_pipeline(StandardScaler(), SVC())
        found = [float(np.mean(cross_val_score(model, X, y, cv=4))) for model in (machine, regression, baseline)]
        scores[name] = found[0]
        print(f"{name}: SVC on NTK {found[0]:.3f}, regression on NTK {found[1]:.3f}, SVC on RBF {found[2]:.3f}")
    return scores


if __name__ == "__main__":
    main()
