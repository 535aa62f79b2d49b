"""What the kernels are for: Gaussian-process inference and the training dynamics of wide networks.

Functions of matrices that were computed before; networks are known to `fitting`, which finds the hyper-parameters of
one, to `process`, the models that people keep, and to `derivatives`, where gradients are known or asked for. Cross
kernels are (test, train), as ``net.ntk(X_test, X_train)`` gives them; y is (n,) or (n, k). Everything is computed in
float64 by LAPACK; SciPy is imported where it is used, since that takes longer than all of this.
`posterior` has Bayesian inference, `evidence` how likely the targets are, both by the factors of `cholesky`, and
`laplace` both for labels, with averages of the `logistic` function; `dynamics` gradient flow and (with `descent`)
gradient descent on the squared error, by the `modes` of Theta; `functional` any other loss, `spectrum` the eigenvalues
and what they say, `precision` what float32 leaves unknown.
"""

from .derivatives import DerivativePosterior, derivative_posterior
from .dynamics import GradientFlow
from .evidence import LeaveOneOut, MarginalLikelihood, leave_one_out, log_marginal_likelihood
from .fitting import Fit, FitWarning, fit_marginal_likelihood
from .functional import CrossEntropy, FunctionalFlow, dissipation, functional_flow
from .laplace import LaplacePosterior, laplace_posterior
from .posterior import GPPosterior, gp_posterior
from .precision import PrecisionWarning
from .process import GaussianProcess, JointPrediction, Prediction, PredictionGradient, SampledFunction
from .spectrum import Spectrum, spectrum

__all__ = [
    "CrossEntropy",
    "DerivativePosterior",
    "Fit",
    "FitWarning",
    "FunctionalFlow",
    "GPPosterior",
    "GaussianProcess",
    "GradientFlow",
    "JointPrediction",
    "LaplacePosterior",
    "LeaveOneOut",
    "MarginalLikelihood",
    "PrecisionWarning",
    "Prediction",
    "PredictionGradient",
    "SampledFunction",
    "Spectrum",
    "derivative_posterior",
    "dissipation",
    "fit_marginal_likelihood",
    "functional_flow",
    "gp_posterior",
    "laplace_posterior",
    "leave_one_out",
    "log_marginal_likelihood",
    "spectrum",
]
