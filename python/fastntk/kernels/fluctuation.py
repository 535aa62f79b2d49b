"""How much the kernel of a network of finite width fluctuates about its limit: the central limit theorem in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._checks.caller import warn
from .._checks.shown import shown
from .._machine.floating import undisturbed
from ..activations import hermite
from ..layers.activation import Activation
from ..layers.alternating import dense_and_activations, widths
from ..layers.base import Layer
from .computation import compute, diagonal

Array = NDArray[np.float64]

#: Terms of a Hermite series. What a kink leaves out falls as their number to the power -3/2, a jump to the power -1/2.
_TERMS = 400

#: Finest panels of the quadrature, beside 0, in standard deviations.
_FINEST = 2.0**-6


@undisturbed
def fluctuation(
    layers: tuple[Layer, ...], X: ArrayLike, width: int | Sequence[int] | None, Y: ArrayLike | None
) -> Array:
    """Standard deviation of every entry of K: `Kernel.fluctuation`, where everything about it is said."""
    dense, activations = dense_and_activations(layers)
    units = widths(width, dense[:-1])
    at = 1 + layers.index(dense[0])
    last = _Limit.of(layers[:at], X, Y)
    _check_range(last)
    cov = _Covariance.zero(last)
    for activation, following, count in zip(activations, dense[1:], units, strict=True):
        at += isinstance(layers[at], Activation)  # there is none between two Dense layers in a row
        behind = _Limit.of(layers[:at], X, Y)
        cov = _behind(activation, last, behind, cov, count).times(following.sigma_w**4)
        at += 1
        last = _Limit.of(layers[:at], X, Y)
        _check_range(last)
        if _jumps(activation) and at < len(layers) and _nearly_the_same(last):
            warn(
                f"{shown(activation)} jumps, and some inputs are nearly the same: there F has no slope, and the "
                "fluctuation of deeper networks is not predicted.",
                RuntimeWarning,
            )
    deviation = np.sqrt(np.maximum(cov.ab_ab, 0))
    if Y is None:  # on the diagonal the three are one
        np.fill_diagonal(deviation, np.sqrt(cov.aa_aa))
    return deviation


def _check_range(k: _Limit) -> None:
    """Refuse kernels whose squares are beyond the range of float64."""
    sizes = np.concatenate((k.aa, k.bb))
    sizes = sizes[sizes > 0]
    if sizes.max(initial=1) > 1e70 or sizes.min(initial=1) < 1e-70:
        raise OverflowError("fourth powers of the outputs are beyond the range of float64: scale the inputs.")


def _jumps(activation: Activation) -> bool:
    """Whether phi is not continuous: then much of it is beyond the terms of the series."""
    series = _Series(activation, np.ones(1))
    left_out = series.of[2][0, 0] - np.sum(series.of[1] ** 2)
    return bool(left_out > 5e-3 * series.of[2][0, 0])


def _nearly_the_same(k: _Limit) -> bool:
    """Whether two different rows are so much correlated that more terms than there are would matter."""
    rho = np.abs(_over(k.ab, np.sqrt(np.multiply.outer(k.aa, k.bb))))
    if k.bb is k.aa:
        np.fill_diagonal(rho, 0)
    return bool(rho.max(initial=0) > 1 - 10 / _TERMS)


class _Limit(NamedTuple):
    """K_aa, K_bb and K_ab of all pairs of rows."""

    aa: Array
    bb: Array
    ab: Array

    @classmethod
    def of(cls, layers: tuple[Layer, ...], X: ArrayLike, Y: ArrayLike | None) -> _Limit:
        """Of a part of a network."""
        a = diagonal(layers, X, "nngp", dtype="float64")
        b = a if Y is None else diagonal(layers, Y, "nngp", dtype="float64")
        (ab,) = compute(layers, X, Y, "nngp", out=None, dtype="float64", progress=False, univariate=True)
        return cls(a, b, ab)


class _Covariance(NamedTuple):
    """Covariances of what K_aa, K_bb and K_ab fluctuate by."""

    aa_aa: Array
    bb_bb: Array
    ab_ab: Array
    aa_ab: Array
    bb_ab: Array
    aa_bb: Array

    @classmethod
    def zero(cls, limit: _Limit) -> _Covariance:
        """Nothing fluctuates: the first layer."""
        nothing = np.zeros_like(limit.ab)
        return cls(np.zeros_like(limit.aa), np.zeros_like(limit.bb), nothing, nothing, nothing, nothing)

    def times(self, factor: float) -> _Covariance:
        """Of kernels times the root of a factor."""
        return _Covariance(*(factor * value for value in self))


@lru_cache(maxsize=1)
def _rule() -> tuple[Array, Array, Array]:
    """Points on the line, weights of the normal density, and those times h_k, of shape (points, terms)."""
    nodes = hermite.half_range(_FINEST, _TERMS)
    orders = np.arange(_TERMS + 2)
    right = hermite.functions(nodes.z, orders) * nodes.root_density / 2
    left = np.where(orders % 2, -1.0, 1.0)[:, None] * right[:, ::-1]
    density = nodes.density / 2
    return (
        np.concatenate((-nodes.z[::-1], nodes.z)),
        np.concatenate((density[::-1], density)),
        np.concatenate((left, right), axis=1).T,
    )


class _Series:
    """Hermite coefficients of powers of phi at the variances of some rows: E[phi(sqrt(q) z)^p h_k(z)]."""

    def __init__(self, activation: Activation, q: Array) -> None:
        z, density, basis = _rule()
        phi = np.asarray(activation(np.sqrt(q)[:, None] * z), np.float64)
        self.of = {power: phi**power @ basis for power in (1, 2, 3)}
        self.variance_of_square = np.maximum(phi**4 @ density - (phi**2 @ density) ** 2, 0)
        # dA_k/dq = (k A_k + sqrt((k+1)(k+2)) A_{k+2}) / 2q, by integration by parts: no derivative of phi is needed
        k = np.arange(_TERMS)
        positive = np.where(q > 0, q, 1.0)[:, None]
        self.slope = {
            power: np.where(
                q[:, None] > 0, (k * a[:, :-2] + np.sqrt((k + 1.0) * (k + 2)) * a[:, 2:]) / (2 * positive), 0.0
            )
            for power, a in self.of.items()
        }


def _behind(activation: Activation, k: _Limit, f: _Limit, old: _Covariance, units: int) -> _Covariance:
    """Behind an activation, by which k becomes f, and a mean over so many units."""
    a = _Series(activation, k.aa)
    b = a if k.bb is k.aa else _Series(activation, k.bb)
    root = np.sqrt(np.multiply.outer(k.aa, k.bb))
    moments = _sums(
        np.clip(_over(k.ab, root), -1, 1),
        {
            "31": (a.of[3], b.of[1]),
            "22": (a.of[2], b.of[2]),
            "13": (a.of[1], b.of[3]),
            "by qa": (a.slope[1], b.of[1]),
            "by qb": (a.of[1], b.slope[1]),
        },
        (a.of[1], b.of[1]),
    )
    by_c = _over(moments["by rho"], root)
    by_qa = moments["by qa"] - _over(by_c * k.ab, 2 * k.aa[:, None])  # at fixed c, not at fixed rho
    by_qb = moments["by qb"] - _over(by_c * k.ab, 2 * k.bb[None, :])
    da, db = a.slope[2][:, 0], b.slope[2][:, 0]  # of F_aa in q_a
    # Covariances of by_c ab + by_qa aa + by_qb bb with aa, with bb, and with ab; then what is new.
    with_aa = by_c * old.aa_ab + by_qa * old.aa_aa[:, None] + by_qb * old.aa_bb
    with_bb = by_c * old.bb_ab + by_qa * old.aa_bb + by_qb * old.bb_bb[None, :]
    with_ab = by_c * old.ab_ab + by_qa * old.aa_ab + by_qb * old.bb_ab
    return _Covariance(
        aa_aa=da**2 * old.aa_aa + a.variance_of_square / units,
        bb_bb=db**2 * old.bb_bb + b.variance_of_square / units,
        ab_ab=by_c * with_ab + by_qa * with_aa + by_qb * with_bb + (moments["22"] - f.ab**2) / units,
        aa_ab=da[:, None] * with_aa + (moments["31"] - f.aa[:, None] * f.ab) / units,
        bb_ab=db[None, :] * with_bb + (moments["13"] - f.bb[None, :] * f.ab) / units,
        aa_bb=np.multiply.outer(da, db) * old.aa_bb + (moments["22"] - np.multiply.outer(f.aa, f.bb)) / units,
    )


def _over(numerator: Array, denominator: Array) -> Array:
    """Quotient, 0 where a row is zero: there nothing fluctuates."""
    whole = np.broadcast_to(denominator, numerator.shape)
    return np.divide(numerator, whole, out=np.zeros_like(numerator), where=whole > 0)


def _sums(rho: Array, pairs: dict[str, tuple[Array, Array]], differentiated: tuple[Array, Array]) -> dict[str, Array]:
    """Mehler's formula: E[f(u) g(v)] = sum over k of f_k g_k rho^k; and one of them differentiated in rho."""
    sums = {name: np.zeros_like(rho) for name in (*pairs, "by rho")}
    power = np.ones_like(rho)
    for k in range(_TERMS):
        for name, (left, right) in pairs.items():
            sums[name] += power * np.multiply.outer(left[:, k], right[:, k])
        sums["by rho"] += (k + 1) * power * np.multiply.outer(differentiated[0][:, k + 1], differentiated[1][:, k + 1])
        power *= rho
    return sums
