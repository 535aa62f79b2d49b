"""Checks of samples and targets that the estimators share, beside scikit-learn's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks.arrays import hint_at_sizes
from .._checks.caller import warn
from ..inference.process.targets import ROUNDING
from ..kernels.shapes import scale_of
from ..networks.sequential import Sequential
from ..samples import Ragged

#: Ratio of variances from which the smaller feature is as good as absent from inner products.
_MOST_RATIO = 1e4


def refuse_positions(X: Any) -> None:
    """Refuse images and sequences that are no rows, with what makes rows of them."""
    if hint := hint_at_sizes(X, "X"):
        raise ValueError(f"scikit-learn's samples are rows, got {len(X)} matrices.{hint}")
    shape = getattr(X, "shape", ())
    if len(shape) > 2:
        sequences = "pass fastntk.Sequences(X) if they are sequences; or " if len(shape) == 3 else ""
        raise ValueError(
            f"scikit-learn's samples are rows, got X of shape {tuple(shape)}: {sequences}pass X.reshape(len(X), -1), "
            f"and put fastntk.Reshape({', '.join(map(str, shape[1:]))}) before the other layers of the network."
        )


def warn_of_scales(x: NDArray[Any] | Ragged, network: object) -> None:
    """Warn, in one line, where the variances of features differ so much that the kernel sees the largest alone.

    Not where the network has weights for them.
    """
    if isinstance(network, Sequential) and scale_of(network.layers):
        return
    if isinstance(x, Ragged):
        x = x.values
    with np.errstate(all="ignore"):  # a variance beyond float64 is refused elsewhere
        means, variances = x.mean(axis=0, dtype=np.float64), x.var(axis=0, dtype=np.float64)
    # Constant features have no scale: their variance is 0, or rounding.
    varies = np.flatnonzero(variances > (ROUNDING * np.finfo(x.dtype).eps * means) ** 2)
    if not varies.size:
        return
    small, large = (int(varies[pick(variances[varies])]) for pick in (np.argmin, np.argmax))
    spans = np.ptp(x[:, [small, large]], axis=0).astype(np.float64)
    # A feature that seldom differs, as pixels at the border of images do, has a small variance, but no other scale.
    if variances[large] > _MOST_RATIO * variances[small] and spans[1] ** 2 > _MOST_RATIO * spans[0] ** 2:
        warn(
            f"the variances of features differ by more than {_MOST_RATIO:.0e}, from {variances[small]:.3g} (column "
            f"{small}) to {variances[large]:.3g} (column {large}), so that the kernel hardly sees the small ones: "
            f"standardise first, make_pipeline(StandardScaler(), ...).",
            UserWarning,
        )


def warn_of_size(diagonal: NDArray[Any], added: float, name: str) -> None:
    """Warn where a kernel is smaller than what is added to it: little of the targets is left then."""
    mean = float(np.mean(diagonal))
    if 0 < mean < added:
        warn(
            f"the {name}, {added:.3g}, is larger than the kernel, whose diagonal is {mean:.2g} in the mean, so that "
            "predictions are nearly constant: pass larger sigmas (with sigma_w=2**0.5 the NNGP of relu is as large "
            f"behind every layer), or a smaller {name}.",
            UserWarning,
        )
