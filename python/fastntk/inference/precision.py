"""What the rounding of kernels in float32 leaves unknown, and the warning of it."""

from __future__ import annotations

import numpy as np

from .._checks.caller import warn
from ._checks import Array

_SINGLE = float(np.finfo(np.float32).eps)

#: Of a float32 kernel's rounding a variance is known to 10 % from so many times it on.
_KNOWN = 10.0


class PrecisionWarning(UserWarning):
    """Kernels in float32 do not determine what was asked for; in float64 they would."""


def is_single(*kernels: object) -> bool:
    """Whether any of the kernels is in float32 (or less), rounded as such."""
    dtypes = [np.asarray(kernel).dtype for kernel in kernels if kernel is not None]
    return any(dtype.kind == "f" and dtype.itemsize <= 4 for dtype in dtypes)


def warn_of_variances(train: Array, weights: Array, prior: Array, variance: Array) -> None:
    """Warn of variances k** - k*ᵀ w, with w = (K + noise I)⁻¹ k* in columns, that the rounding leaves unknown.

    Independent errors e sqrt(k_pp k_qq) of the entries change it by at most e (k** + 2 sum w_i² k_ii) in the root of
    the mean square, to first order.
    """
    error = _SINGLE * (prior + 2 * np.einsum("ij,ij,i->j", weights, weights, train.diagonal()))
    unknown = np.flatnonzero(variance < _KNOWN * error)
    if unknown.size:
        i = int(unknown[0])
        warn(
            f"the kernels are float32, whose rounding leaves {unknown.size} of {len(variance)} variances unknown (at "
            f"test sample {i} {variance[i]:.2g}, with an error of about {error[i]:.2g}): compute the kernels with "
            f"dtype='float64'.",
            PrecisionWarning,
        )


def error_of_eigenvalues(train: Array) -> float:
    """About the error of the eigenvalues of a kernel in float32: the norm of independent errors of its entries."""
    return 2 * _SINGLE * float(np.sqrt(len(train))) * float(train.diagonal().max())


def warn_of_modes(error: float, gain: float) -> None:
    """Warn if eigenvalues with that error leave modes unknown that are learned by so much: at last 1 / eigenvalue."""
    if error * gain > 1 / _KNOWN:
        warn(
            f"ntk_train is float32, with an error of about {error:.2g} in its eigenvalues, and what is learned depends "
            f"on one of about {1 / gain:.2g}: compute it with dtype='float64', or pass ridge= > 0.",
            PrecisionWarning,
        )


def warn_of_eigenvalues(factor: Array, train: Array) -> None:
    """Warn if the rounding leaves the smallest eigenvalues of the matrix with this Cholesky factor unknown."""
    from scipy.linalg import lapack

    # 1 / ‖A⁻¹‖, against the norm of independent errors.
    smallest = float(lapack.dpocon(factor, 1.0, uplo="L")[0])
    error = error_of_eigenvalues(train)
    if smallest < error:
        warn(
            f"k_train is float32, with an error of about {error:.2g} in its eigenvalues, of which with the noise "
            f"the smallest is about {smallest:.2g}: compute it with dtype='float64'.",
            PrecisionWarning,
        )
