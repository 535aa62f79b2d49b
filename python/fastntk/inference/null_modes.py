"""Modes of a kernel whose eigenvalue is 0, or rounding: what is known of them, and what nobody knows."""

from __future__ import annotations

import numpy as np

from ._checks import Array
from .spectrum import duplicates, singular

_EPSILON = float(np.finfo(np.float64).eps)

#: What rounding may do to an output, relative to what is to be learned; and what an unknown eigenvalue may.
_HARMLESS, DOUBTFUL = 1e-13, 1e-9

#: Where rounding is a smaller part than this, modes of eigenvalue 0 are told from small ones.
_CLEAN = 1e-10

_LATE = (
    "So late, or with so small a ridge, outputs depend on eigenvalues that are rounding. Pass an earlier t, or a "
    "larger ridge, or drop duplicate rows."
)


def duplicates_apart(theta: Array, eigenvalues: Array, vectors: Array) -> tuple[Array, Array]:
    """Eigenvalues and vectors of a singular kernel with those of duplicates exact: eigenvalue 0, a sum of 0 each."""
    from scipy.linalg import eigh, helmert

    # Those that differ by more than rounding, as at a relative distance of 1e-8, are coupled to other modes.
    root = np.sqrt(np.maximum(theta.diagonal(), 0))
    found = duplicates(theta)
    same = [(np.abs(theta[list(g)] - theta[g[0]]) <= 8 * _EPSILON * root[g[0]] * root).all() for g in found]
    groups = [group for group, exact in zip(found, same, strict=True) if exact]
    if not groups:
        return eigenvalues, vectors
    alone = np.setdiff1d(np.arange(len(theta)), np.concatenate(groups))
    means = np.zeros((len(theta), len(alone) + len(groups)))
    means[alone, np.arange(len(alone))] = 1
    zero: list[Array] = []
    for i, group in enumerate(groups, len(alone)):
        rows, k = list(group), len(group)
        means[rows, i] = k**-0.5
        zero.append(np.zeros((len(theta), k - 1)))
        zero[-1][rows] = helmert(k).T
    values, inner = eigh(means.T @ theta @ means, driver="evd", check_finite=False)
    zeros = np.concatenate(zero, axis=1)
    values = np.concatenate((np.zeros(zeros.shape[1]), values))
    vectors = np.concatenate((zeros, means @ inner), axis=1)
    order = np.argsort(values, kind="stable")
    return values[order], vectors[:, order]


def unresolved(theta: Array, modes: Array, vectors: Array, rounding: float, cross: Array, gain: Array) -> Array:
    """Cross @ vectors * gain for the modes of eigenvalue 0, of shape (m, how many).

    Where an eigenvalue is below tau, rounding, Theta(x, X) v is bounded by the root of tau k(x, x). Where that is
    rounding itself the mode does nothing; where it matters how large the eigenvalue is nobody knows: LinAlgError.
    """
    known = modes > 0
    found, gains = cross @ vectors[:, ~known], gain[~known]
    rows = (np.abs(found * gains) > _HARMLESS).any(axis=1)
    if rows.any():
        size = np.linalg.norm(cross[rows], axis=1)
        coefficients = (cross[rows] @ vectors[:, known]) / modes[known]
        # Vectors of small eigenvalues are known to eps lambda_max / lambda only.
        noise = 8 * _EPSILON * (np.linalg.norm(coefficients, axis=1) * float(modes.max()) + len(theta) ** 0.5 * size)
        nothing = (np.abs(found[rows]) <= noise[:, None]) & (noise <= _CLEAN * size)[:, None]
        found[rows] = np.where(nothing, 0.0, found[rows])
        if (np.abs(found * gains) * np.minimum(1, rounding * np.abs(gains)) > DOUBTFUL).any():
            raise singular("ntk_train", theta, _LATE)
    return np.asarray(found * gains)
