"""Kernels as means over random networks: where there is no analytic kernel, and as an oracle where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import whole_number
from .._checks.progress import Progress, check_progress
from .._checks.shown import one_line
from .._machine.floating import undisturbed
from ..networks.sequential import Sequential
from ..samples import Ragged
from .draws import networks
from .network import FiniteNetwork
from .parameters import Array, Law
from .samples import Samples
from .widths import ends_with_dense


@one_line
class MonteCarlo(NamedTuple):
    """What `monte_carlo` gives: both kernels, of shape (n, m), and the standard errors of their entries."""

    nngp: Array
    ntk: Array
    nngp_error: Array
    ntk_error: Array


@undisturbed
def monte_carlo(
    net: Sequential,
    X: ArrayLike | Ragged,
    Y: ArrayLike | Ragged | None = None,
    *,
    width: int | Sequence[int] | None = 1024,
    draws: int = 100,
    rng: np.random.Generator | int | None = None,
    weights: str | Law | Sequence[str | Law] = "normal",
    progress: Progress = False,
) -> MonteCarlo:
    """Mean of the empirical kernels of random networks of finite width.

    Parameters
    ----------
    net, width, rng, weights
        As for `FiniteNetwork`.
    X : array_like of shape (n, d) or (n, *positions, channels), Sequences or Graphs
    Y : array_like of shape (m, d) or (m, *positions, channels), Sequences or Graphs, optional
    draws : int >= 2, default 100
    progress : bool or callable, default False

    Returns
    -------
    MonteCarlo
        nngp, ntk, nngp_error, ntk_error. The errors are statistical, 1 / sqrt(draws width); there is a bias of order
        1 / width too, from the second hidden layer on. Where the last layer is no Dense, nngp is of the products of
        outputs, over as many as `FiniteNetwork` has.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import monte_carlo
    >>> net, X = fastntk.mlp(1, "tanh", 1.5), np.eye(2)
    >>> found = monte_carlo(net, X, width=512, draws=200, rng=0)
    >>> bool((np.abs(found.ntk - net.ntk(X)) < 5 * found.ntk_error).all())
    True
    """
    count = whole_number(draws, "draws", least=2)
    check_progress(progress)
    mean = square = np.zeros(())
    for number, network in enumerate(networks(net, width, count, rng, weights=weights, progress=progress), start=1):
        x, y = network.read(X), None if Y is None else network.read(Y, "Y")
        found = np.stack((_nngp(network, x, y), network.empirical_ntk(x, y)))
        step = found - mean
        mean = mean + step / number
        square = square + step * (found - mean)
    error = np.sqrt(square / (count - 1) / count)
    return MonteCarlo(mean[0], mean[1], error[0], error[1])


def _nngp(network: FiniteNetwork, x: Samples, y: Samples | None) -> Array:
    """K of a network: given all that is before its last layer, if that is Dense, or the mean over the outputs."""
    if ends_with_dense(network.net):
        return np.asarray(network.empirical_nngp(x, y)[-1])
    f = network.forward(x)
    return np.asarray(f @ (f if y is None else network.forward(y)).T / network.n_outputs)
