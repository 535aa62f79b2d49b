"""The kernels in GPyTorch's idiom, for its Gaussian processes and BoTorch's models.

Needs the extra: ``pip install "fastntk[gpytorch]"``. Tensors are those of a CPU, in float32 or float64.

What users call is in `kernels`, modules with parameters; `autograd` has the kernel matrix as a function that PyTorch
differentiates, `sets` divides batches of sets of samples into calls. No kernel and no derivative is computed here.
"""

try:
    import gpytorch  # noqa: F401
except ImportError as error:
    raise ImportError('fastntk.gpytorch needs GPyTorch and PyTorch: pip install "fastntk[gpytorch]".') from error

from .kernels import NNGPKernel, NTKKernel

__all__ = ["NNGPKernel", "NTKKernel"]
