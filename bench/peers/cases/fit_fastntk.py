"""A Gaussian process with the NNGP of three hidden ReLU layers, its hyper-parameters fitted."""

from typing import Any

import fastntk
from fastntk.inference import fit_marginal_likelihood


def fit(x: Any, y: Any) -> Any:
    """Log marginal likelihood, sigma_w, sigma_b, factor of the kernel, noise."""
    found = fit_marginal_likelihood(fastntk.mlp(3, "relu", sigma_w=1.0, sigma_b=1.0), x, y)
    sigma_w, sigma_b, *_, last, _ = (parameter.value for parameter in found.network.parameters)
    return found.log_marginal_likelihood, sigma_w, sigma_b, (last / sigma_w) ** 2, found.noise
