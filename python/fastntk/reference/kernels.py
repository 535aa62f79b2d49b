"""Both kernels of the reference, as users call them."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import one_of
from .._machine.floating import undisturbed
from ..kernels.computation import Kernels
from ..kernels.shapes import ends_in_nodes, scale_of, shaped
from ..networks.sequential import Sequential, checked
from ..samples import Graphs, Ragged
from .forms import Array
from .quadrature import angle
from .recursion import How, Pairs, Rule, State, of_zeros, through

#: Checked: an array of shape (n, positions ..., channels), or samples of different sizes.
Samples: TypeAlias = Array | Ragged


@undisturbed
def kernels(
    net: Sequential,
    X: ArrayLike | Ragged,
    Y: ArrayLike | Ragged | None = None,
    *,
    method: How | None = None,
    nodes: int = 64,
) -> Kernels:
    r"""NNGP and NTK of a network, layer by layer, in plain NumPy.

    Parameters
    ----------
    net : Sequential
        The network.
    X : array_like of shape (n, d) or (n, positions ..., channels), Sequences or Graphs
        Samples; computed in float64 whatever their dtype. Those of different sizes are padded, which changes nothing.
    Y : array_like of shape (m, d) or (m, positions ..., channels), Sequences or Graphs, optional
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
        ``nngp`` and ``ntk``, float64 arrays of shape (n, m); of one graph, or sequence, and a network that ends in its
        nodes, of shape (nodes, nodes).

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
    - Aggregate: ``K ← M K M'ᵀ``, ``Theta ← M Theta M'ᵀ``, ``mu ← M mu``, with M of each graph, the transpose of its
      adjacency plus 1 on the diagonal, divided as it is said
    - SelfAttention: with s = sigma_o sigma_v, ``K̂ = a K + b R`` and ``G = ζ(sigma_q sigma_k K̂(x, x))`` of each sample,
      ``K ← sigma_b² + s² G K G'ᵀ``, ``Theta ← sigma_b² + s² G (Theta + 2 K) G'ᵀ``; of scaling "sqrt", with
      t = s sigma_q sigma_k and sums < > over p and p', ``K ← sigma_b² + t² <K̂, K> K̂``, ``Theta ← sigma_b² +
      t² ((<K̂, Theta> + <Theta^, K>) K̂ + <K̂, K> (Theta^ + 4 K̂))``
    - Recurrent: ``K_z(t, t') = sigma_w² F(K_z(t-1, t'-1)) + sigma_u² K(t, t') + sigma_b²``, ``Theta_z(t, t') =
      K_z(t, t') + sigma_w² F'(K_z(t-1, t'-1)) Theta_z(t-1, t'-1) + sigma_u² Theta(t, t')``, without the terms of t = 0
      and t' = 0; then phi, and what is read
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
    Hron, Bahri, Sohl-Dickstein, Novak, "Infinite attention", ICML 2020, arXiv:2006.10540.
    Yang, "Tensor programs II: neural tangent kernel for any architecture", arXiv:2006.14548, of recurrence.
    Du et al., "Graph neural tangent kernel", NeurIPS 2019, arXiv:1905.13192.

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

    def read(samples: ArrayLike, name: str) -> Samples:
        given = shaped(net.layers, samples, name)
        if isinstance(given, Ragged):
            return given
        return np.asarray(given, np.float64) * (scale.weights if scale else 1)

    x = read(X, "X")
    y = x if Y is None else read(Y, "Y")
    if type(y) is not type(x) or _shape(y) != _shape(x):
        raise ValueError(f"X has samples of {_text(x)} but Y of {_text(y)}; they must have the same.")
    end = through(net.layers, _start(x, y, same=Y is None), Rule(method, nodes))
    if isinstance(x, Ragged) and isinstance(y, Ragged) and ends_in_nodes(net.layers, x):
        return Kernels(*(k[0, : len(x.values), : len(y.values)] for k in (end.K, end.Theta)))
    K, Theta = (k[: len(x) * len(y)].reshape(len(x), len(y)) for k in (end.K, end.Theta))
    return Kernels(K, Theta)


def _shape(x: Samples) -> tuple[int, ...]:
    return (x.channels,) if isinstance(x, Ragged) else x.shape[1:]


def _text(x: Samples) -> str:
    return f"{x.channels} channels, {type(x).__name__}," if isinstance(x, Ragged) else f"shape {x.shape[1:]}"


def _start(x: Samples, y: Samples, *, same: bool) -> State:
    """What is known of the samples themselves: all pairs of x and y, and after these each sample with itself."""
    valid = adjacency = None
    if isinstance(x, Ragged) and isinstance(y, Ragged):
        several = [x] if same else [x, y]
        positions: tuple[int, ...] = (max(int(some.lengths.max(initial=1)) for some in several),)
        valid = np.concatenate([np.arange(positions[0]) < some.lengths[:, None] for some in several])
        if isinstance(x, Graphs) and isinstance(y, Graphs):
            adjacency = np.concatenate([_filled_edges(some, positions[0]) for some in (x, y)[: len(several)]])
        u, v = (_filled(some, positions[0]) for some in (x, y))
    else:
        positions = x.shape[1:-1]
        u, v = (np.reshape(samples, (len(samples), prod(positions), samples.shape[-1])) for samples in (x, y))
    n, m, channels = len(u), len(v), u.shape[-1]
    K = np.tensordot(u, v, axes=(2, 2)).swapaxes(1, 2).reshape(n * m, *2 * u.shape[1:2])
    first, second = np.indices((n, m)).reshape(2, -1)
    itself = np.arange(n) * (n + 1)
    if not same:
        second, itself, u = n + second, n * m + np.arange(n + m), np.concatenate((u, v))
        first, second = (np.concatenate((numbers, np.arange(n + m))) for numbers in (first, second))
        K = np.concatenate((K, u @ u.swapaxes(1, 2)))
    pairs, mean, zeros = Pairs(first, second, itself), np.zeros(u.shape[:2]), np.zeros_like(K)
    state = State(K, zeros, zeros, mean, channels, positions, pairs, valid, adjacency)
    q1, q2 = state.of_both((u**2).sum(axis=2) / channels)
    K = np.where(state.same, q1, K / channels)
    return state._replace(K=K, theta=np.where(state.same, 0, angle(K, q1, q2, vanishing=of_zeros(q1, q2))))


def _filled(samples: Ragged, positions: int) -> Array:
    """Samples as arrays of one shape, filled up with nodes that no layer finds to be 0."""
    filled = np.ones((len(samples), positions, samples.channels))
    for array, begin, count in zip(filled, samples.starts, samples.lengths, strict=False):
        array[:count] = samples.values[begin : begin + count]
    return filled


def _filled_edges(graphs: Graphs, positions: int) -> Array:
    filled = np.zeros((len(graphs), positions, positions))
    for array, begin, count in zip(filled, graphs.starts, graphs.lengths, strict=False):
        nodes = slice(begin, begin + count)
        array[:count, :count] = graphs.adjacency[nodes, nodes].toarray()
    return filled


@undisturbed
def nngp(
    net: Sequential,
    X: ArrayLike | Ragged,
    Y: ArrayLike | Ragged | None = None,
    *,
    method: How | None = None,
    nodes: int = 64,
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
    net: Sequential,
    X: ArrayLike | Ragged,
    Y: ArrayLike | Ragged | None = None,
    *,
    method: How | None = None,
    nodes: int = 64,
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
