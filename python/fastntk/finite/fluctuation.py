"""How much the kernel of a network of finite width fluctuates about its limit: the central limit theorem in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import hermite
from ..activations import Activation
from ..kernels import Input
from ..network import Sequential
from .architecture import dense_and_activations, widths

Array = NDArray[np.float64]

#: Terms of a Hermite series. What a kink leaves out falls as their number to the power -3/2, a jump to the power -1/2.
_TERMS = 400

#: Finest panels of the quadrature, beside 0, in standard deviations.
_FINEST = 2.0**-6


def nngp_fluctuation(net: Sequential, X: ArrayLike, width: int | Sequence[int], Y: ArrayLike | None = None) -> Array:
    """Predict the standard deviation, over networks of finite width, of every entry of their kernel K.

    Parameters
    ----------
    net : Sequential
        Dense layers with at most one Activation between each two.
    X : array_like of shape (n, d)
    width : int or sequence of int
        Units of every hidden layer, or of each.
    Y : array_like of shape (m, d), optional

    Returns
    -------
    ndarray of shape (n, m)
        Of ``FiniteNetwork(net, width).empirical_nngp(X, Y)[-1]``: exact for one hidden layer, of first order in one
        over the width for more. Proportional to width^(-1/2). Of other layers: ``net[:k]``.

    Raises
    ------
    ValueError, TypeError
        As `FiniteNetwork`, and as ``net.nngp``.

    Notes
    -----
    Given K^{l-1}, K^l is sigma_b^2 + sigma_w^2 times a mean of N independent terms phi(u) phi(v), with covariances
    Cov[phi(u)^i phi(v)^(2-i), phi(u)^j phi(v)^(2-j)] / N. Their sum over the layers, each carried on to the output by
    the derivatives of F in c, q1 and q2, is the covariance of (K_uu, K_uv, K_vv). All moments and derivatives come from
    Hermite coefficients of phi, phi^2, phi^3. Good to a fraction of a percent, to some percent where phi jumps and the
    inputs are nearly the same. Cost: 1,600 multiply-adds a pair and layer.

    References
    ----------
    Neal, "Priors for infinite networks", 1994. Yaida, "Non-Gaussian processes and neural networks at finite widths",
    MSML 2020, section 3.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import nngp_fluctuation
    >>> net = fastntk.mlp(1, "relu", sigma_w=2**0.5)
    >>> x = np.array([[1.0, 1.0]])  # K = 2 E[relu(u)^2] = 2, and Var[relu(u)^2] is 5/4 (2 E[relu(u)^2])^2
    >>> print(nngp_fluctuation(net, x, width=500).round(6))
    [[0.2]]
    """
    dense, activations = dense_and_activations(net)
    units = widths(width, len(activations))
    x = Input(X, "X").x.astype(np.float64)
    y = x if Y is None else Input(Y, "Y").x.astype(np.float64)
    scale = dense[0].sigma_w ** 2 / x.shape[1]
    pair = _Pair.exact(
        dense[0].sigma_b ** 2 + scale * (x**2).sum(axis=1),
        dense[0].sigma_b ** 2 + scale * (y**2).sum(axis=1),
        dense[0].sigma_b ** 2 + scale * x @ y.T,
    )
    for activation, following, count in zip(activations, dense[1:], units, strict=True):
        pair = _behind(activation, pair, count).affine(following.sigma_w**2, following.sigma_b**2)
    deviation = np.sqrt(np.maximum(pair.cov["ab", "ab"], 0))
    if Y is None:  # on the diagonal the three are one
        np.fill_diagonal(deviation, np.sqrt(pair.var_a))
    return deviation


@dataclass(frozen=True)
class _Pair:
    """The limits of (K_aa, K_bb, K_ab) for all pairs of rows, and the covariances of what they fluctuate by."""

    qa: Array
    qb: Array
    c: Array
    var_a: Array
    var_b: Array
    cov: dict[tuple[str, str], Array]

    @classmethod
    def exact(cls, qa: Array, qb: Array, c: Array) -> _Pair:
        """Have no fluctuations: those of the first layer."""
        nothing = {key: np.zeros_like(c) for key in (("ab", "ab"), ("aa", "ab"), ("bb", "ab"), ("aa", "bb"))}
        return cls(qa, qb, c, np.zeros_like(qa), np.zeros_like(qb), nothing)

    def affine(self, scale: float, shift: float) -> _Pair:
        """K becomes shift + scale K."""
        qa, qb, c = (shift + scale * k for k in (self.qa, self.qb, self.c))
        squared = {key: scale**2 * value for key, value in self.cov.items()}
        return _Pair(qa, qb, c, scale**2 * self.var_a, scale**2 * self.var_b, squared)


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


def _behind(activation: Activation, pair: _Pair, units: int) -> _Pair:
    """Behind an activation, and a mean over so many units."""
    a = _Series(activation, pair.qa)
    b = a if np.array_equal(pair.qa, pair.qb) else _Series(activation, pair.qb)
    root = np.sqrt(np.multiply.outer(pair.qa, pair.qb))
    rho = np.clip(_over(pair.c, root), -1, 1)
    moments = _sums(
        rho,
        {
            "31": (a.of[3], b.of[1]),
            "22": (a.of[2], b.of[2]),
            "13": (a.of[1], b.of[3]),
            "by qa": (a.slope[1], b.of[1]),
            "by qb": (a.of[1], b.slope[1]),
        },
        (a.of[1], b.of[1]),
    )
    f = activation.dual(pair.c, pair.qa[:, None], pair.qb[None, :])
    va, vb = a.of[2][:, 0], b.of[2][:, 0]
    by_c = _over(moments["by rho"], root)
    by_qa = moments["by qa"] - _over(by_c * pair.c, 2 * pair.qa[:, None])  # at fixed c, not at fixed rho
    by_qb = moments["by qb"] - _over(by_c * pair.c, 2 * pair.qb[None, :])
    da, db = a.slope[2][:, 0], b.slope[2][:, 0]  # of K_aa in q_a
    old, var_a, var_b = pair.cov, pair.var_a[:, None], pair.var_b[None, :]
    # The covariance of d ab = by_c ab + by_qa aa + by_qb bb with aa, with bb, and with itself; then what is new.
    with_aa = by_c * old["aa", "ab"] + by_qa * var_a + by_qb * old["aa", "bb"]
    with_bb = by_c * old["bb", "ab"] + by_qa * old["aa", "bb"] + by_qb * var_b
    with_ab = by_c * old["ab", "ab"] + by_qa * old["aa", "ab"] + by_qb * old["bb", "ab"]
    return _Pair(
        va,
        vb,
        f,
        da**2 * pair.var_a + a.variance_of_square / units,
        db**2 * pair.var_b + b.variance_of_square / units,
        {
            ("ab", "ab"): by_c * with_ab + by_qa * with_aa + by_qb * with_bb + (moments["22"] - f**2) / units,
            ("aa", "ab"): da[:, None] * with_aa + (moments["31"] - va[:, None] * f) / units,
            ("bb", "ab"): db[None, :] * with_bb + (moments["13"] - vb[None, :] * f) / units,
            ("aa", "bb"): np.multiply.outer(da, db) * old["aa", "bb"]
            + (moments["22"] - np.multiply.outer(va, vb)) / units,
        },
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
