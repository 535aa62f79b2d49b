"""A network of finite width, as users hold it: what `propagation` computes, and its `kernels`."""

from __future__ import annotations

from numpy.typing import ArrayLike

from . import kernels
from .linear import Linearized
from .propagation import Propagation


class FiniteNetwork(Propagation):
    """A draw of a network of finite width.

    Parameters
    ----------
    net : Sequential
        Dense layers with at most one Activation between each two, as `fastntk.mlp` makes them.
    width : int or sequence of int
        Units of every hidden layer, or of each.
    n_outputs : int, default 1
    rng : numpy.random.Generator or int, optional
        For the parameters.
    n_inputs : int, optional
        Number of features; by default that of the first samples it sees, and parameters are drawn then.
    parametrization : {"ntk", "standard"}, default "ntk"
        "ntk": z = sigma_b b + sigma_w / sqrt(fan-in) W h with W, b ~ N(0, 1). "standard": z = b + W h with W ~ N(0,
        sigma_w^2 / fan-in), b ~ N(0, sigma_b^2): the same function at the start, but its gradient, and with it the NTK,
        grow with the width.
    weights : str, callable, or a sequence of those, default "normal"
        Law of the weights, of mean 0 and variance 1: "normal", "uniform", "rademacher", "student_t" (5 degrees of
        freedom), "cauchy" (no variance, hence no limit), or a function of (rng, shape). A single one is for all layers
        but the first, which sums over the inputs and is Gaussian for normal weights only; or one for each Dense layer.

    Attributes
    ----------
    parameters : list of (W, b)
        Of every Dense layer, of shapes (fan-out, fan-in) and (fan-out,), float64. They may be changed in place.

    Notes
    -----
    Memory: the parameters, and in every call rows of X are taken in panels that fit into a quarter of what is free.

    References
    ----------
    Neal, "Priors for infinite networks", 1994. Lee et al., "Deep neural networks as Gaussian processes", ICLR 2018.
    Jacot, Gabriel, Hongler, "Neural tangent kernel", NeurIPS 2018.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import FiniteNetwork
    >>> net, X = fastntk.mlp(2, "relu", 2**0.5, 0.1), np.eye(3)
    >>> network = FiniteNetwork(net, width=4096, rng=0)
    >>> network.forward(X).shape
    (3, 1)
    >>> bool(np.allclose(network.empirical_ntk(X), net.ntk(X), rtol=0.1, atol=0.1))
    True
    """

    empirical_nngp = kernels.empirical_nngp
    empirical_ntk = kernels.empirical_ntk

    def linearize(self, X: ArrayLike) -> Linearized:
        """First-order Taylor model in the parameters around these, at samples X of shape (n, d)."""
        return Linearized(self, X)
