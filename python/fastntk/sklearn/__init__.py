"""The kernels in scikit-learn's idioms: for its Gaussian processes and kernel methods, and as estimators.

A file an estimator or two; `parameters` says the parameters of a network for all of them, `base` has what else they
share, `labels`, `weights` and `temperature` what classifiers need. No kernel is computed here, no system solved.

No mathematics of its own: estimators check as scikit-learn does, and ask `fastntk.inference` and `fastntk.solvers`.

Needs the extra: ``pip install "fastntk[sklearn]"``.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError('fastntk.sklearn needs scikit-learn: pip install "fastntk[sklearn]".') from error

from .classifier import NTKClassifier
from .features import NTKFeatures
from .gaussian_process import NNGPRegressor
from .gaussian_process_classifier import NNGPClassifier
from .kernels import NNGPKernel, NTKKernel
from .nystrom import NystromNTKClassifier, NystromNTKRegressor
from .regressor import NTKRegressor

__all__ = [
    "NNGPClassifier",
    "NNGPKernel",
    "NNGPRegressor",
    "NTKClassifier",
    "NTKFeatures",
    "NTKKernel",
    "NTKRegressor",
    "NystromNTKClassifier",
    "NystromNTKRegressor",
]
