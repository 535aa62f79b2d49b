"""A Gaussian process with the NNGP of three hidden ReLU layers, its hyper-parameters fitted."""

from typing import Any

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.kernels import InfiniteWidthBNNKernel
from gpytorch.kernels import ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ZeroMean
from gpytorch.mlls import ExactMarginalLogLikelihood


def fit(x: Any, y: Any) -> Any:
    """Log marginal likelihood, sigma_w, sigma_b, factor of the kernel, noise."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)[:, None]
    kernel, noise = ScaleKernel(InfiniteWidthBNNKernel(3)), GaussianLikelihood()
    model = SingleTaskGP(x, y, likelihood=noise, covar_module=kernel, mean_module=ZeroMean(), outcome_transform=None)
    mll = fit_gpytorch_mll(ExactMarginalLogLikelihood(noise, model)).train()
    with torch.no_grad():
        likelihood = len(x) * mll(model(x), model.train_targets)
    sigma_w, sigma_b = kernel.base_kernel.weight_var**0.5, kernel.base_kernel.bias_var**0.5
    return [float(number) for number in (likelihood, sigma_w, sigma_b, kernel.outputscale, noise.noise)]
