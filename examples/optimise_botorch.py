"""Bayesian optimisation with BoTorch: a network of infinite width as the covariance of its SingleTaskGP.

python examples/optimise_botorch.py [--evaluations 60] [--seed 0]    # pip install ".[gpytorch]" botorch

The same loop in NumPy is examples/optimise.py.
"""

from __future__ import annotations

import argparse

import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from gpytorch.kernels import ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from optimise import hartmann6

import fastntk
from fastntk.gpytorch import NNGPKernel

NET = fastntk.mlp(3, "relu", 2**0.5, 1.0)


def main(evaluations: int = 60, seed: int = 0) -> float:
    """Return the least value found of Hartmann's function of six variables; the least there is is -3.32237."""
    torch.manual_seed(seed)
    bounds = torch.tensor([[-1.0], [1.0]], dtype=torch.float64).expand(2, 6)
    X = 2 * torch.rand(10, 6, dtype=torch.float64) - 1
    y = -torch.from_numpy(hartmann6(X.numpy()))[:, None]  # BoTorch maximises
    while len(y) < evaluations:
        kernel = ScaleKernel(NNGPKernel(NET))
        model = SingleTaskGP(X, y, torch.full_like(y, 1e-6), covar_module=kernel)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        improvement = LogExpectedImprovement(model, y.max())
        x, _ = optimize_acqf(improvement, bounds, q=1, num_restarts=4, raw_samples=256)
        X, y = torch.cat((X, x)), torch.cat((y, -torch.from_numpy(hartmann6(x.numpy()))[:, None]))
        if len(y) % 10 == 0:
            print(f"after {len(y)} evaluations: {-y.max():.4f}")
    return -float(y.max())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    main(given.evaluations, given.seed)
