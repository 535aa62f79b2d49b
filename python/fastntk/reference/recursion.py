"""The slow twin: every network in plain NumPy and float64, each formula once, as the papers print it.

Nothing is shared with the engine: K, q1 and q2 are plain arrays here, not gaps and tables. What an activation
does to a Gaussian pair is either its textbook closed form or a tensor Gauss-Hermite rule on phi and phi'.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy import cos, pi, sin, sqrt
from numpy.typing import ArrayLike, NDArray

from .._checks.arguments import one_of, whole_number
from .._checks.arrays import input_array
from .._machine.floating import undisturbed
from ..kernels.computation import Kernels
from ..layers.activation import Activation
from ..layers.base import Layer
from ..layers.dense import Dense
from ..networks.sequential import Sequential, checked
from .forms import CLOSED_FORMS, Array, Dual, Pair

How = Literal["closed_form", "quadrature"]

#: Stand for a variance that tends to 0: at the first erf(b x) is b x to rounding; at the other x^20 is in range.
_VANISHING = (1e-30, 1e-14)


@undisturbed
def gauss_hermite(
    phi: Callable[[Array], NDArray[Any]], c: ArrayLike, q1: ArrayLike, q2: ArrayLike, nodes: int = 64
) -> Array:
    r"""E[phi(u) phi(v)] for (u, v) ~ N(0, [[q1, c], [c, q2]]) by the tensor Gauss-Hermite rule.

    Parameters
    ----------
    phi : callable
        Any vectorised function.
    c, q1, q2 : array_like
        Covariance and variances, broadcast against each other.
    nodes : int, default 64
        Per dimension; nodes² evaluations of phi per pair.

    Returns
    -------
    ndarray of float64
        Of the broadcast shape.

    Notes
    -----
    With x, y ~ N(0, 1), ``u = sqrt(q1) x`` and ``v = sqrt(q2) (cos(theta) x + sin(theta) y)``: exact for
    polynomials of degree < nodes, and symmetric in u and v to the error of the rule. That is, relative to
    sqrt(F(q1, q1) F(q2, q2)) at q = 1 and 64 nodes: 3e-13 for erf, 4e-3 for ReLU, 5e-2 and more for a jump;
    a larger variance makes phi steeper in x and the rule worse. Scratch: some 50 nodes bytes per pair.

    Examples
    --------
    >>> from fastntk import reference
    >>> print(f"{reference.gauss_hermite(lambda x: x**3, c=0.5, q1=1.0, q2=1.0):.12f}")  # 9 c + 6 c^3
    5.250000000000
    """
    c, q1, q2 = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in (c, q1, q2)))
    return _tensor_rule(phi, Pair(c, q1, q2, _angle(c, q1, q2, vanishing=np.zeros_like(c))), nodes)


def _tensor_rule(phi: Callable[[Array], NDArray[Any]], p: Pair, nodes: int) -> Array:
    # numpy.polynomial.hermite_e.hermegauss overflows beyond some 180 nodes.
    from scipy.special import roots_hermitenorm

    x, weight = roots_hermitenorm(whole_number(nodes, "nodes", least=1))
    weight = weight / weight.sum()
    s1, s2, rho, rest = sqrt(p.q1), sqrt(p.q2)[..., None], cos(p.theta)[..., None], sin(p.theta)[..., None]
    total = np.zeros(np.broadcast_shapes(p.theta.shape, p.q1.shape, p.q2.shape))
    for x_i, weight_i in zip(x, weight, strict=True):
        u = s1 * x_i
        v = s2 * (rho * x_i + rest * x)
        total += weight_i * phi(u) * (phi(v) @ weight)
    return total


def _angle(c: Array, q1: Array, q2: Array, vanishing: Array) -> Array:
    """Angle theta, without the arc cosine that has no slope at 1; `vanishing` where a variance is 0."""
    s = sqrt(q1 * q2)
    return np.where(s > 0, np.arctan2(sqrt(np.maximum((s - c) * (s + c), 0)), c), vanishing)


class _Rule(NamedTuple):
    """How activations act."""

    method: How | None
    nodes: int


@singledispatch
def _behind(layer: Layer, pair: Pair, Theta: Array, rule: _Rule) -> tuple[Pair, Array]:
    """K, q1, q2 and Theta behind a layer; with the angle of variances that vanish."""
    raise NotImplementedError(f"the reference does not know {type(layer).__name__}.")


@_behind.register
def _(layer: Dense, pair: Pair, Theta: Array, _: _Rule) -> tuple[Pair, Array]:
    K, q1, q2 = (layer.sigma_b**2 + layer.sigma_w**2 * k for k in pair[:3])
    return Pair(K, q1, q2, pair.theta), (K if layer.trainable else 0) + layer.sigma_w**2 * Theta


@_behind.register
def _(layer: Activation, pair: Pair, Theta: Array, rule: _Rule) -> tuple[Pair, Array]:
    dual = _dual(layer, *rule)
    K, slope = dual(pair)
    q1, q2 = _variance(dual, pair.q1), _variance(dual, pair.q2)
    vanishing = pair.theta if (q1 * q2).all() else _vanishing_angle(dual, pair)
    return Pair(K, q1, q2, vanishing), slope * Theta


def _dual(layer: Activation, method: How | None, nodes: int) -> Dual:
    # A callable may go by any name.
    form = CLOSED_FORMS.get(layer.name) if layer.function is None else None
    if method == "quadrature" or (method is None and form is None):
        return lambda p: (_tensor_rule(layer, p, nodes), _tensor_rule(layer.derivative, p, nodes))
    if form is None:
        raise ValueError(f"{layer!r} has no closed form here; pass method='quadrature'.")
    return lambda p: form(p, **dict(layer.parameters))


def _variance(dual: Dual, q: Array) -> Array:
    return dual(Pair(q, q, q, np.zeros_like(q)))[0]


def _vanishing_angle(dual: Dual, p: Pair) -> Array:
    """Angle after the activation, of variances that tend to 0 at the angle they have now."""
    vanishing = next(q for q in _VANISHING if _variance(dual, np.array(q)) > 1e-290 or q == _VANISHING[-1])
    q1, q2 = (np.where(q > 0, q, vanishing) for q in (p.q1, p.q2))
    small = Pair(sqrt(q1 * q2) * cos(p.theta), q1, q2, p.theta)
    c, v1, v2 = dual(small)[0], _variance(dual, q1), _variance(dual, q2)
    # Their product may be out of range: powers of 2 are taken out, which is exact.
    e1, e2 = (np.frexp(v)[1] // 2 for v in (v1, v2))
    return _angle(np.ldexp(c, -e1 - e2), np.ldexp(v1, -2 * e1), np.ldexp(v2, -2 * e2), p.theta)


@undisturbed
def kernels(
    net: Sequential, X: ArrayLike, Y: ArrayLike | None = None, *, method: How | None = None, nodes: int = 64
) -> Kernels:
    r"""NNGP and NTK of a network, layer by layer, in plain NumPy.

    Parameters
    ----------
    net : Sequential
        The network.
    X : array_like of shape (n, d)
        Samples; computed in float64 whatever their dtype.
    Y : array_like of shape (m, d), optional
        Other samples; without them X.
    method : {None, "closed_form", "quadrature"}
        How activations act: by textbook formula, or by the tensor rule of `gauss_hermite` applied to
        ``activation`` and ``activation.derivative``. By default each by its formula if it has one here, otherwise
        by the tensor rule.
    nodes : int, default 64
        Of the tensor rule, per dimension.

    Returns
    -------
    Kernels
        ``nngp`` and ``ntk``, float64 arrays of shape (n, m).

    Raises
    ------
    ValueError, TypeError
        Not a real matrix, an unknown method, or an activation without the closed form that was asked for.

    Notes
    -----
    With s = sqrt(q1 q2), cos theta = c / s, and F, F' as in `Sequential`,

    - start: ``K = X Yᵀ / d``, ``Theta = 0``
    - Dense: ``K ← sigma_b² + sigma_w² K``, ``Theta ← K + sigma_w² Theta`` (``sigma_w² Theta`` if not trainable)
    - Activation: ``Theta ← F'(K) Theta``, ``K ← F(K)``

    A row x = 0 is the limit x → 0 along a direction of its own: its correlation, 0 with every other row and 1
    with other zero rows, is carried on while a variance is 0. (Quadrature takes phi(0) for that limit.)

    Cost: a dozen NumPy passes over (n, m) arrays per layer; ``nodes²`` evaluations of phi and of phi' per
    pair and activation with the tensor rule.

    Accuracy, relative to the diagonals: 1e-14 where rows are well separated, and on the diagonal without Y.
    K is rounded before theta is formed from s - c, so that theta is only good to 1e-16 / theta: where rows
    nearly coincide an NTK loses half its digits (1e-8, and 1e-6 at depth 50), and the NNGP of step and sign a
    square root at every layer. The engine carries 1 - c / s instead. Variances outside 1e-150 ... 1e150 leave
    the range of float64.

    References
    ----------
    Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018, eq. 4-5.
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018, theorem 1.
    Cho and Saul, "Kernel methods for deep learning", NeurIPS 2009.
    Williams, "Computing with infinite networks", NeurIPS 1997.
    Lee et al., "Wide neural networks of any depth evolve as linear models", NeurIPS 2019.
    Daniely, Frostig, Singer, "Toward deeper understanding of neural networks", NeurIPS 2016.
    Louart, Liao, Couillet, "A random matrix approach to neural networks", Annals of Applied Probability 2018.
    Tsuchida et al., "Avoiding kernel fixed points: computing with ELU and GELU infinite networks", arXiv:2002.08517.
    Shankar et al., "Neural kernels without tangents", ICML 2020.

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.mlp(depth=1, activation="relu", sigma_w=2**0.5)
    >>> K, T = fastntk.reference.kernels(net, [[1.0, 0.0], [0.0, 2.0]])
    >>> T.round(4)
    array([[2.    , 0.6366],
           [0.6366, 8.    ]])
    """
    checked(net)
    one_of(method, "method", (None, "closed_form", "quadrature"))
    rule = _Rule(method, nodes)
    x = input_array(X, "X").astype(np.float64)
    y = x if Y is None else input_array(Y, "Y").astype(np.float64)
    d = x.shape[1]
    if y.shape[1] != d:
        raise ValueError(f"X has {d} features but Y has {y.shape[1]}; they must have the same number.")
    diagonal = np.eye(len(x), len(y), dtype=bool) if Y is None else np.False_

    q1, q2 = (x**2).sum(axis=1)[:, None] / d, (y**2).sum(axis=1)[None, :] / d
    K = np.where(diagonal, q1, x @ y.T / d)
    Theta = np.zeros_like(K)
    theta = _angle(K, q1, q2, vanishing=np.where(q1 == q2, 0, pi / 2))
    for layer in net.layers:
        (K, q1, q2, vanishing), Theta = _behind(layer, Pair(K, q1, q2, np.where(diagonal, 0, theta)), Theta, rule)
        theta = _angle(K, q1, q2, vanishing)
    return Kernels(K, Theta)


@undisturbed
def nngp(
    net: Sequential, X: ArrayLike, Y: ArrayLike | None = None, *, method: How | None = None, nodes: int = 64
) -> Array:
    """NNGP kernel of a network, of shape (n, m); everything as for `kernels`.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.reference.nngp(fastntk.mlp(depth=0, sigma_b=1.0), [[1.0, 0.0], [0.0, 2.0]])
    array([[1.5, 1. ],
           [1. , 3. ]])
    """
    return kernels(net, X, Y, method=method, nodes=nodes).nngp


@undisturbed
def ntk(
    net: Sequential, X: ArrayLike, Y: ArrayLike | None = None, *, method: How | None = None, nodes: int = 64
) -> Array:
    """Neural tangent kernel of a network, of shape (n, m); everything as for `kernels`.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.reference.ntk(fastntk.mlp(depth=0, sigma_b=1.0), [[1.0, 0.0], [0.0, 2.0]])
    array([[1.5, 1. ],
           [1. , 3. ]])
    """
    return kernels(net, X, Y, method=method, nodes=nodes).ntk
