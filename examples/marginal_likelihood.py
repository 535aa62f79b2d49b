"""Fit sigma_w, sigma_b and the noise by marginal likelihood on a real regression set, scikit-learn's diabetes.

python examples/marginal_likelihood.py [--figure learning.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastntk
from fastntk.inference import fit_marginal_likelihood, gp_posterior, leave_one_out


def main(figure: Path | None = None) -> float:
    """Return the test error of the fitted network, relative to the deviation of the targets."""
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    mean, scale = y_train.mean(), y_train.std()
    y_train, y_test = (y_train - mean) / scale, (y_test - mean) / scale

    errors = {}
    for activation in ("relu", "erf", "tanh"):
        fit = fit_marginal_likelihood(fastntk.mlp(2, activation, 1.5, 0.5), X_train, y_train)
        net = fit.network
        kernel = net.nngp(X_train)
        prediction = gp_posterior(kernel, y_train, net.nngp(X_test, X_train), noise=fit.noise).mean
        errors[activation] = float(np.sqrt(np.mean((prediction - y_test) ** 2)))
        left_out = leave_one_out(kernel, y_train, fit.noise).log_density
        print(
            f"{activation}: {net[0]}, noise {fit.noise:.3f}; log marginal likelihood {fit.log_marginal_likelihood:.1f} "
            f"after {fit.evaluations} evaluations, leave-one-out {left_out:.1f}; test error {errors[activation]:.3f}"
        )
    kernel = ConstantKernel(1.0) * RBF(3.0, (1e-2, 1e3)) + WhiteKernel(0.5)
    model = GaussianProcessRegressor(kernel).fit(X_train, y_train)
    rbf = np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2))
    print(f"RBF: log marginal likelihood {model.log_marginal_likelihood_value_:.1f}; test error {rbf:.3f}")
    if figure is not None:
        draw(figure, fit.network, float(fit.noise), X_train, y_train, X_test, y_test)
    return errors["relu"]


def draw(
    figure: Path,
    net: fastntk.Sequential,
    noise: float,
    X: np.ndarray,
    y: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
) -> None:
    """Learning curve over random subsets of the training samples."""
    import matplotlib.pyplot as plt

    from fastntk.plot import LearningCurveDisplay

    rng = np.random.default_rng(0)
    sizes = np.unique(np.geomspace(10, len(X), 8).astype(int))
    errors = np.empty((10, len(sizes)))
    for repeat in errors:
        order = rng.permutation(len(X))
        for i, n in enumerate(sizes):
            some = X[order[:n]]
            prediction = gp_posterior(net.nngp(some), y[order[:n]], net.nngp(X_test, some), noise=noise).mean
            repeat[i] = np.sqrt(np.mean((prediction - y_test) ** 2))
    display = LearningCurveDisplay(sizes, {"test error": errors}).plot()
    display.figure_.savefig(figure, dpi=90)
    plt.close(display.figure_)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path)
    main(parser.parse_args().figure)
