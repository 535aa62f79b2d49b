"""A Gaussian process with a squared-exponential kernel, its hyper-parameters fitted."""

from typing import Any

from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel


def fit(x: Any, y: Any) -> Any:
    """Log marginal likelihood, factor of the kernel, length scale, noise."""
    model = GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel()).fit(x, y)
    kernel = model.kernel_
    factor, length = kernel.k1.k1.constant_value, kernel.k1.k2.length_scale
    return model.log_marginal_likelihood_value_, factor, length, kernel.k2.noise_level
