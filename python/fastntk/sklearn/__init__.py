"""The kernels in scikit-learn's idioms: `kernels` for its Gaussian processes and kernel methods, and `estimators`.

No mathematics of its own: estimators check as scikit-learn does, and ask `fastntk.inference` and `fastntk.solvers`.

Needs the extra: ``pip install "fastntk[sklearn]"``.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError('fastntk.sklearn needs scikit-learn: pip install "fastntk[sklearn]".') from error

from .classifier import NTKClassifier
from .estimators import NTKRegressor
from .features import NTKFeatures
from .gaussian_process import NNGPRegressor
from .kernels import NNGPKernel, NTKKernel
from .nystrom import NystromNTKClassifier, NystromNTKRegressor

__all__ = [
    "NNGPKernel",
    "NNGPRegressor",
    "NTKClassifier",
    "NTKFeatures",
    "NTKKernel",
    "NTKRegressor",
    "NystromNTKClassifier",
    "NystromNTKRegressor",
]
