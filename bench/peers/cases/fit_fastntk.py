"""A Gaussian process with the NNGP of three hidden ReLU layers, its hyper-parameters fitted."""

from typing import Any

import fastntk
from fastntk.inference import fit_marginal_likelihood


def fit(x: Any, y: Any) -> Any:
    """Log marginal likelihood, sigma_w, sigma_b, factor of the kernel, noise."""
    found = fit_marginal_likelihood(fastntk.mlp(3, "relu", sigma_w=1.0, sigma_b=1.0), x, y)
    first, last = found.network[0], found.network[-1]
    scale = (last.sigma_w / first.sigma_w) ** 2
    return found.log_marginal_likelihood, first.sigma_w, first.sigma_b, scale, found.noise
