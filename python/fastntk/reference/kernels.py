"""Both kernels of the reference, as users call them."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import one_of
from .._machine.floating import undisturbed
from ..kernels.computation import Kernels
from ..kernels.shapes import scale_of, shaped
from ..networks.sequential import Sequential, checked
from .forms import Array
from .quadrature import angle
from .recursion import How, Pairs, Rule, State, of_zeros, through


@undisturbed
def kernels(
    net: Sequential, X: ArrayLike, Y: ArrayLike | None = None, *, method: How | None = None, nodes: int = 64
) -> Kernels:
    r"""NNGP and NTK of a network, layer by layer, in plain NumPy.

    Parameters
    ----------
    net : Sequential
        The network.
    X : array_like of shape (n, d) or (n, positions ..., channels)
        Samples; computed in float64 whatever their dtype.
    Y : array_like of shape (m, d) or (m, positions ..., channels), optional
        Other samples of the same shape; without them X.
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
        Not a real array, samples that the layers do not fit, an unknown method, or an activation without the closed
        form that was asked for; LayerNorm without eps where a sample has no variance.

    Notes
    -----
    All is known of every pair of positions p, p' of two samples, of which vectors have one. With s = sqrt(q1 q2),
    cos theta = c / s, F, F' as in `Sequential` and mu the mean over the units of a sample,

    - start: ``K(p, p') = x(p)·y(p') / d``, ``Theta = 0``, N = d units; behind Scale x_j and y_j times its weights
    - Dense: ``K ← sigma_b² + sigma_w² K``, ``Theta ← K_new + sigma_w² Theta`` (``sigma_w² Theta`` if not trainable);
      in the "standard" parametrization ``Theta ← N K + 1 + sigma_w² Theta``, without the 1 if there is no bias
    - Conv: Dense behind ``K ← Σ_o K(s P + r o - l, s P' + r o - l) / k^S``, ``Theta`` alike, over taps inside both
      samples, N the units of all taps
    - pools: ``K ← A K Aᵀ``, ``Theta ← A Theta Aᵀ``, ``mu ← A mu``, with A of 1 / size^S or 1 where a window is
    - Flatten: the mean over p = p'
    - Activation: ``Theta ← F'(K) Theta``, ``K ← F(K)``, ``mu ← E[phi(sqrt(q) z)]``
    - Sum: ``K ← Σ K_i``, ``Theta ← Σ Theta_i``; Concat: ``K ← Σ f_i K_i``, ``Theta ← Σ f_i Theta_i``; mu alike
    - Product: ``K ← Π K_i``, ``Theta ← Σ_i Theta_i Π_(j≠i) K_j``, ``mu ← Π mu_i``
    - LayerNorm: ``K ← (K - mu1 mu2) / r``, ``Theta ← Theta / r``, r² = (q1 - mu1² + eps) (q2 - mu2² + eps); over "all"
      axes q1 - mu1² and q2 - mu2² are means over positions
    - Dropout: on the diagonal, without Y, at the same position ``K ← K / (1 - p)``, ``Theta ← Theta / (1 - p)``;
      elsewhere unchanged

    and q1, q2 the K of a sample with itself at the same position.

    A row x = 0, or a position where all channels are 0, is the limit x → 0 along a direction of its own: its
    correlation, 0 with every other row and 1 with other zero rows, is carried on while a variance is 0, through
    branches as that of a row as good as 0, in windows as that of one as small at all positions.
    (Quadrature takes phi(0) for that limit.)

    Cost: some dozens of NumPy passes over arrays of (n m + n + m) P² numbers per layer, of samples of P positions;
    ``nodes²`` evaluations of phi and of phi' per pair and activation with the tensor rule.

    Accuracy, relative to the diagonals: 1e-14 where rows are well separated, and on the diagonal without Y.
    K is rounded before theta is formed from s - c, so that theta is only good to 1e-16 / theta: where rows
    nearly coincide an NTK loses half its digits (1e-8, and 1e-6 at depth 50), and the NNGP of step and sign a
    square root at every layer. The engine carries 1 - c / s instead. Variances outside 1e-150 ... 1e150 leave
    the range of float64. LayerNorm behind an activation takes differences, which are as much less accurate as they
    are smaller than what is subtracted.

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
    Novak et al., "Bayesian deep convolutional networks with many channels are Gaussian processes", ICLR 2019, eq. 7.
    Sohl-Dickstein, Novak, Schoenholz, Lee, "On the infinite width limit of neural networks with a standard
    parameterization", arXiv:2001.07301.
    Schoenholz, Gilmer, Ganguli, Sohl-Dickstein, "Deep information propagation", ICLR 2017, section 4, of dropout.

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
    scale = scale_of(net.layers)

    def read(samples: ArrayLike, name: str) -> Array:
        given = shaped(net.layers, samples, name).astype(np.float64)
        return given * scale.weights if scale else given

    x = read(X, "X")
    y = x if Y is None else read(Y, "Y")
    if y.shape[1:] != x.shape[1:]:
        raise ValueError(f"X has samples of shape {x.shape[1:]} but Y of {y.shape[1:]}; they must have the same.")
    end = through(net.layers, _start(x, y, same=Y is None), Rule(method, nodes))
    K, Theta = (k[: len(x) * len(y)].reshape(len(x), len(y)) for k in (end.K, end.Theta))
    return Kernels(K, Theta)


def _start(x: Array, y: Array, *, same: bool) -> State:
    """What is known of the samples themselves: all pairs of x and y, and after these each sample with itself."""
    n, m, positions, channels = len(x), len(y), x.shape[1:-1], x.shape[-1]
    u, v = (samples.reshape(len(samples), prod(positions), channels) for samples in (x, y))
    K = np.tensordot(u, v, axes=(2, 2)).swapaxes(1, 2).reshape(n * m, *2 * u.shape[1:2])
    first, second = np.indices((n, m)).reshape(2, -1)
    itself = np.arange(n) * (n + 1)
    if not same:
        second, itself, u = n + second, n * m + np.arange(n + m), np.concatenate((u, v))
        first, second = (np.concatenate((numbers, np.arange(n + m))) for numbers in (first, second))
        K = np.concatenate((K, u @ u.swapaxes(1, 2)))
    state = State(
        K,
        np.zeros_like(K),
        np.zeros_like(K),
        np.zeros(u.shape[:2]),
        channels,
        positions,
        Pairs(first, second, itself),
        np.ones(u.shape[:2], bool),
    )
    q1, q2 = state.of_both((u**2).sum(axis=2) / channels)
    K = np.where(state.same, q1, K / channels)
    return state._replace(K=K, theta=np.where(state.same, 0, angle(K, q1, q2, vanishing=of_zeros(q1, q2))))


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
