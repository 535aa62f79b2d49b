"""The slow twin: every network in plain NumPy and float64, each formula once, as the papers print it.

Nothing is shared with the engine: K, q1 and q2 are plain arrays here, not gaps and tables. What an activation
does to a Gaussian pair is either its textbook closed form or a tensor Gauss-Hermite rule on phi and phi'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy import cos, pi, sin, sqrt
from numpy.typing import ArrayLike, NDArray

from ._validation import input_array, whole_number
from .activations import Activation
from .kernels import Kernels

if TYPE_CHECKING:
    from .network import Sequential

__all__ = ["gauss_hermite", "kernels", "nngp", "ntk"]

Array = NDArray[np.float64]
How = Literal["closed_form", "gauss_hermite"]

#: Stands for a variance that tends to 0: erf(b x) is b x to rounding there, and its cube is in range.
_VANISHING = 1e-30


class _Pair(NamedTuple):
    """A Gaussian pair: (u, v) ~ N(0, [[q1, c], [c, q2]]), and the angle theta with cos theta = c / s."""

    c: Array
    q1: Array
    q2: Array
    theta: Array

    @property
    def s(self) -> Array:
        return np.asarray(sqrt(self.q1 * self.q2))


#: pair -> (E[phi(u) phi(v)], E[phi'(u) phi'(v)])
_Dual = Callable[[_Pair], tuple[Array, Array]]


def _abrelu(p: _Pair, a: float, b: float) -> tuple[Array, Array]:
    """For phi = b max(x, 0) + a min(x, 0).

    Cho and Saul (2009), eq. 3 and 6, for ReLU. In general phi = (a + b)/2 x + (b - a)/2 |x|, whose cross
    terms vanish, and |x| = relu(x) + relu(-x).
    """
    mean_square, bend = (a**2 + b**2) / 2, (a - b) ** 2 / (2 * pi)
    return bend * p.s * sin(p.theta) + p.c * (mean_square - bend * p.theta), mean_square - bend * p.theta


def _rectified_monomial(p: _Pair, degree: float) -> tuple[Array, Array]:
    """For phi = max(x, 0)^n: half the arc-cosine kernel of degree n, Cho and Saul (2009), eq. 3-7."""
    n, theta = int(degree), p.theta
    j = (
        pi - theta,
        sin(theta) + (pi - theta) * cos(theta),
        3 * sin(theta) * cos(theta) + (pi - theta) * (1 + 2 * cos(theta) ** 2),
        15 * sin(theta) - 11 * sin(theta) ** 3 + (pi - theta) * (9 * cos(theta) + 6 * cos(theta) ** 3),
    )
    slope = n**2 * p.s ** (n - 1) * j[n - 1] / (2 * pi) if n > 0 else np.zeros_like(j[0])
    return p.s**n * j[n] / (2 * pi), slope


def _sign(p: _Pair) -> tuple[Array, Array]:
    """For phi = sign(x): Sheppard (1899), P[u v < 0] = theta / pi. The derivative is 0 almost everywhere."""
    return 1 - 2 * p.theta / pi, np.zeros_like(p.theta)


def _erf(p: _Pair, a: float, b: float, c: float) -> tuple[Array, Array]:
    """For phi = a erf(b x) + c: Williams (1997), eq. 11; the derivative: Lee et al. (2019), appendix C.

    asin(x / y) is written atan2(x, D), D^2 = y^2 - x^2 = (1 + 2 b^2 q1)(1 + 2 b^2 q2) - (2 b^2 c)^2, and
    q1 q2 - c^2 in it as (s sin theta)^2, which is exact on the diagonal.
    """
    d = sqrt(1 + 2 * b**2 * (p.q1 + p.q2) + (2 * b**2 * p.s * sin(p.theta)) ** 2)
    return a**2 * 2 / pi * np.arctan2(2 * b**2 * p.c, d) + c**2, a**2 * 4 * b**2 / (pi * d)


#: name -> closed form, as a function of the pair and the parameters of the activation
_CLOSED_FORMS: dict[str, Callable[..., tuple[Array, Array]]] = {
    "identity": lambda p: (p.c, np.ones_like(p.c)),
    "relu": lambda p: _abrelu(p, 0, 1),
    "leaky_relu": lambda p, alpha: _abrelu(p, alpha, 1),
    "abs": lambda p: _abrelu(p, -1, 1),
    "abrelu": _abrelu,
    "step": lambda p: _rectified_monomial(p, 0),
    "sign": _sign,
    "rectified_monomial": _rectified_monomial,
    "erf": _erf,
}


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
    return _tensor_rule(phi, _Pair(c, q1, q2, _angle(c, q1, q2, vanishing=np.zeros_like(c))), nodes)


def _tensor_rule(phi: Callable[[Array], NDArray[Any]], p: _Pair, nodes: int) -> Array:
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


def _dual(layer: Activation, method: How, nodes: int) -> _Dual:
    if method == "gauss_hermite":
        return lambda p: (_tensor_rule(layer, p, nodes), _tensor_rule(layer.derivative, p, nodes))
    if method != "closed_form":
        raise ValueError(f"method must be 'closed_form' or 'gauss_hermite', got {method!r}.")
    if layer.name not in _CLOSED_FORMS:
        raise ValueError(f"{layer!r} has no closed form here; pass method='gauss_hermite'.")
    form = _CLOSED_FORMS[layer.name]
    return lambda p: form(p, **dict(layer.parameters))


def _variance(dual: _Dual, q: Array) -> Array:
    return dual(_Pair(q, q, q, np.zeros_like(q)))[0]


def _vanishing_angle(dual: _Dual, p: _Pair) -> Array:
    """Angle after the activation, of variances that tend to 0 at the angle they have now."""
    q1, q2 = (np.where(q > 0, q, _VANISHING) for q in (p.q1, p.q2))
    small = _Pair(sqrt(q1 * q2) * cos(p.theta), q1, q2, p.theta)
    return _angle(dual(small)[0], _variance(dual, q1), _variance(dual, q2), p.theta)


def kernels(
    net: Sequential, X: ArrayLike, Y: ArrayLike | None = None, *, method: How = "closed_form", nodes: int = 64
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
    method : {"closed_form", "gauss_hermite"}
        How activations act: by textbook formula, or by the tensor rule of `gauss_hermite` applied to
        ``activation`` and ``activation.derivative``.
    nodes : int, default 64
        Of the tensor rule, per dimension.

    Returns
    -------
    Kernels
        ``nngp`` and ``ntk``, float64 arrays of shape (n, m).

    Raises
    ------
    ValueError, TypeError
        Not a real matrix, an unknown method, or an activation without closed form.

    Notes
    -----
    With s = sqrt(q1 q2), cos theta = c / s, and F, F' as in `Sequential`,

    - start: ``K = X Yᵀ / d``, ``Theta = 0``
    - Dense: ``K ← sigma_b² + sigma_w² K``, ``Theta ← K + sigma_w² Theta``
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

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.mlp(depth=1, activation="relu", sigma_w=2**0.5)
    >>> K, T = fastntk.reference.kernels(net, [[1.0, 0.0], [0.0, 2.0]])
    >>> T.round(4)
    array([[2.    , 0.6366],
           [0.6366, 8.    ]])
    """
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
        pair = _Pair(K, q1, q2, np.where(diagonal, 0, theta))
        if isinstance(layer, Activation):
            dual = _dual(layer, method, nodes)
            K, slope = dual(pair)
            Theta = slope * Theta
            q1, q2 = _variance(dual, q1), _variance(dual, q2)
            vanishing = pair.theta if (q1 * q2).all() else _vanishing_angle(dual, pair)
        else:
            sigma_w, sigma_b = layer.sigma_w, layer.sigma_b
            K, q1, q2 = (sigma_b**2 + sigma_w**2 * k for k in (K, q1, q2))
            Theta = K + sigma_w**2 * Theta
            vanishing = pair.theta
        theta = _angle(K, q1, q2, vanishing)
    return Kernels(K, Theta)


def nngp(
    net: Sequential, X: ArrayLike, Y: ArrayLike | None = None, *, method: How = "closed_form", nodes: int = 64
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


def ntk(
    net: Sequential, X: ArrayLike, Y: ArrayLike | None = None, *, method: How = "closed_form", nodes: int = 64
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
