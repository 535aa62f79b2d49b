"""Which features a fitted model listens to: mean squared derivatives of its predictions, on scikit-learn's diabetes.

python examples/sensitivity.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

import fastntk
from fastntk.inference import GaussianProcess


def main() -> dict[str, float]:
    """Return the root mean squared derivative in every feature, in deviations of the target for one of the feature."""
    table = load_diabetes()
    X, y = StandardScaler().fit_transform(table.data), (table.target - table.target.mean()) / table.target.std()
    model = GaussianProcess(fastntk.mlp(2, "erf", 1.5, 0.5), X, y, mean="constant").fit()
    slopes = model.predict(X, gradient=True).mean_gradient  # (patients, features)
    linear = LinearRegression().fit(X, y).coef_
    sensitivity = np.sqrt(np.mean(slopes**2, axis=0))
    print("feature  derivative: root mean square  mean    of a linear model")
    for j in np.argsort(-sensitivity):
        print(f"{table.feature_names[j]:7}  {sensitivity[j]:28.3f}  {slopes[:, j].mean():6.3f}  {linear[j]:6.3f}")
    return dict(zip(table.feature_names, sensitivity.tolist(), strict=True))


if __name__ == "__main__":
    main()
