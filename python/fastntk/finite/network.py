"""A network of finite width, as users hold it: what `propagation` computes, and its `kernels`."""

from __future__ import annotations

from . import kernels
from .linear import Linearized
from .propagation import Propagation
from .samples import Given


class FiniteNetwork(Propagation):
    """A draw of a network of finite width.

    Parameters
    ----------
    net : Sequential
        Any nesting of layers, where an activation acts on Gaussians: on what layers with weights give (Dense, Conv),
        sums, norms or averages over positions of it.
    width : int or sequence of int, optional
        Units of every hidden layer with weights, or of each, in the order of ``net.parameters``; of a convolution its
        channels. Not needed where each has a width of its own, ``Dense(width=512)``, which is what it has. `Recurrent`
        and `SelfAttention` are one layer here; queries and values of a head have ``width // heads`` units. One number
        is that of all units of a `Concat`, of which its branches have their fractions.
    n_outputs : int, optional
        Units of the layers with weights that the network ends with. Where it ends with one Dense alone, that has 1 by
        default. Else, with a `Residual` or `GlobalAvgPool`, say, these are units of a hidden layer too, and the limit
        is that of many of them: by default as many as the widest hidden layer has.
    rng : numpy.random.Generator or int, optional
        For the parameters.
    n_inputs : int or tuple of int, optional
        Number of features, or the shape of a sample, (*positions, channels); by default that of the first samples it
        sees, and parameters are drawn then.
    weights : str, callable, or a sequence of those, default "normal"
        Law of the weights, of mean 0 and variance 1: "normal", "uniform", "rademacher", "student_t" (5 degrees of
        freedom), "cauchy" (no variance, hence no limit), or a function of (rng, shape). A single one is for all layers
        but the first, which sum over the inputs and are Gaussian for normal weights only; or one for each layer with
        weights.

    Raises
    ------
    ValueError
        Widths that contradict each other, as those of the members of a sum that are not equal (the raw input has as
        many units as features); a layer where no finite network has the kernels of `net`.

    Attributes
    ----------
    parameters : list of (W, b)
        Of every layer with weights, in the order of ``net.parameters``, of shapes (units, fan-in) and (units,),
        float64; W of a `Conv` has the shape (units, *taps, channels). They may be changed in place. `Recurrent` has
        two: over what comes in, with the bias, and over the state before. `SelfAttention` has those of queries, which
        are keys, too, or with scaling="sqrt" of queries and of keys; those of values; and of the layer over all heads,
        with the bias. Each that sees positions has two more behind it: of their features, and over these.
    weighted : list of Dense and Conv
        These layers, each with its width.

    Notes
    -----
    In the "ntk" parametrization z = sigma_b b + sigma_w / sqrt(fan-in) W h with W, b ~ N(0, 1); "standard" is
    z = b + W h with W ~ N(0, sigma_w^2 / fan-in), b ~ N(0, sigma_b^2). Of a convolution h are the
    channels of all taps, as many as its fan-in, 0 outside; a Dense at positions is one of a single tap.

    `Dropout` has masks of its own for each sample and position, drawn anew in every call that is given X, and one in a
    call, forward and back. Of ``network.read(X)``, in place of X, they are the same in every call.

    The limit of `SelfAttention` is that of many units of a head with scaling="linear", and of many heads with "sqrt".
    Features of positions are drawn for as many as the first samples have at most: longer ones cannot follow.

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

    def linearize(self, X: Given) -> Linearized:
        """First-order Taylor model in the parameters around these, at samples X."""
        return Linearized(self, X)
