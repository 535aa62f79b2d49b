"""How fast networks of growing width approach their limit, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._checks.arguments import random_generator, whole_number
from .._checks.progress import Progress, check_progress, portions
from .._checks.shown import shown
from .._machine.floating import undisturbed
from ..kernels.shapes import shaped, start_of
from ..layers.alternating import is_alternating
from ..layers.attention import SelfAttention
from ..layers.base import VARIOUS, Layers, follow_all, walk
from ..layers.flatten import Flatten
from ..layers.pool import GlobalAvgPool
from ..layers.recurrent import Recurrent
from ..layers.weighted import Weighted
from ..networks.sequential import Sequential, checked
from ..samples import Ragged
from .draws import networks
from .parameters import Array, Law
from .tree import chain_of, ending_with


@dataclass(frozen=True, repr=False)
class Convergence:
    """What `convergence` gives. Layers are those with weights that have others before them, in the order of the
    parameters; at positions kernels are the means of K(P, P) and Theta(P, P).

    Attributes
    ----------
    widths : ndarray of shape (w,)
    nngp_errors, ntk_errors : ndarray of shape (w, draws, layers)
        Relative error, in the Frobenius norm, of the empirical K^l and Theta^l of every network.
        NaN where the limit is zero, as Theta^l is if nothing up to that layer is trained.
    nngp_predicted : ndarray of shape (w, layers)
        Root of the mean square that `net.nngp.fluctuation` predicts for that of K^l; NaN where it is not known.
    """

    widths: Array
    nngp_errors: Array
    ntk_errors: Array
    nngp_predicted: Array

    def __repr__(self) -> str:
        widths, draws, _ = self.nngp_errors.shape
        slopes = f"nngp_exponent={self.nngp_exponent[-1]:.3f}, ntk_exponent={self.ntk_exponent[-1]:.3f}"
        return f"Convergence({widths} widths to {self.widths.max():.0f}, {draws} draws; of the output {slopes})"

    @property
    def nngp_error(self) -> Array:
        """Root mean square over the networks, of shape (w, layers)."""
        return np.asarray(np.sqrt(np.mean(self.nngp_errors**2, axis=1)))

    @property
    def ntk_error(self) -> Array:
        """Root mean square over the networks, of shape (w, layers)."""
        return np.asarray(np.sqrt(np.mean(self.ntk_errors**2, axis=1)))

    @property
    def nngp_exponent(self) -> Array:
        """Slope of log error over log width, of every layer; theory says -1/2."""
        return self._slope(self.nngp_error)

    @property
    def ntk_exponent(self) -> Array:
        """Slope of log error over log width, of every layer; theory says -1/2."""
        return self._slope(self.ntk_error)

    def _slope(self, error: Array) -> Array:
        x = np.log(self.widths) - np.log(self.widths).mean()
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(x @ np.log(error) / (x @ x))

    def plot(self, *, ax: Any = None) -> list[Any]:
        """Draw the errors of the outputs' kernels over the width, and the prediction; returns the lines."""
        from ..plot import axes  # of an extra

        ax = axes(ax)
        lines = [
            *ax.loglog(self.widths, self.nngp_error[:, -1], "o", label=f"NNGP, slope {self.nngp_exponent[-1]:.2f}"),
            *ax.loglog(self.widths, self.nngp_predicted[:, -1], "-", color="C0", label="NNGP, predicted"),
            *ax.loglog(
                self.widths, self.ntk_error[:, -1], "s", color="C1", label=f"NTK, slope {self.ntk_exponent[-1]:.2f}"
            ),
        ]
        ax.set(xlabel="width", ylabel="relative error")
        ax.legend()
        return lines


@undisturbed
def convergence(
    net: Sequential,
    X: ArrayLike | Ragged,
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    draws: int = 20,
    *,
    rng: np.random.Generator | int | None = None,
    weights: str | Law | Sequence[str | Law] = "normal",
    progress: Progress = False,
) -> Convergence:
    """Compare the kernels of random networks with their limit, for growing widths.

    Parameters
    ----------
    net : Sequential
        As for `FiniteNetwork`, with at least one hidden layer, and no layer of a width of its own.
    X : array_like of shape (n, d) or (n, *positions, channels), Sequences or Graphs
    widths : sequence of int, at least two
    draws : int >= 1, default 20
        Networks of every width.
    rng, weights
        As for `FiniteNetwork`; what is predicted is for normal ones.
    progress : bool or callable, default False

    Returns
    -------
    Convergence
        With ``plot()`` and fitted exponents.

    Examples
    --------
    >>> import fastntk, numpy as np
    >>> from fastntk.finite import convergence
    >>> X = np.random.default_rng(0).normal(size=(5, 3))
    >>> found = convergence(fastntk.mlp(2, "relu", 2**0.5), X, widths=(32, 128, 512), draws=30, rng=0)
    >>> bool(np.all(np.abs(found.nngp_exponent + 0.5) < 0.1))
    True
    """
    chain = chain_of(checked(net).layers)
    parted = next((layer for _, layer in walk(net.layers) if isinstance(layer, (Recurrent, SelfAttention))), None)
    if parted is not None:
        raise ValueError(
            f"convergence compares layer by layer, and {shown(parted)} has several in one; fastntk.finite.monte_carlo "
            "has the kernels of the whole network."
        )
    own = next((layer for _, layer in walk(net.layers) if isinstance(layer, Weighted) and layer.width), None)
    if own is not None:
        raise ValueError(f"{shown(own)} has one width at all widths: networks of growing width have none of their own.")
    behind = [node.number for top in chain for node in top.weighted() if node.behind_weights]
    if not behind:
        raise ValueError("a network without a hidden layer has no width.")
    count = whole_number(draws, "draws", least=1)
    if np.ndim(widths) != 1:
        raise TypeError(f"widths must be a sequence of numbers, got {shown(widths)}.")
    sizes = np.array([whole_number(width, f"widths[{i}]", least=1) for i, width in enumerate(widths)], float)
    if len(set(sizes)) < 2:
        raise ValueError(f"widths must be at least two different ones, got {shown(widths)}.")
    generators = random_generator(rng, "rng").spawn(len(sizes))
    check_progress(progress)
    x = shaped(net.layers, X, "X")
    parts = [tuple(node.layer for node in ending_with(chain, number)) for number in behind]
    limits = [_whole(part, x).kernels(x, dtype="float64") for part in parts]
    predicted = np.array([_predicted(part, x, limit.nngp) for part, limit in zip(parts, limits, strict=True)])
    errors = np.empty((2, len(sizes), count, len(behind)))
    with portions(int(np.sum(sizes**2)), progress) as portion:
        for w, (size, generator) in enumerate(zip(sizes, generators, strict=True)):
            several = networks(net, int(size), count, generator, weights=weights, progress=portion(int(size**2)))
            for i, network in enumerate(several):
                k = network.empirical_nngp(x)
                for j, (number, limit) in enumerate(zip(behind, limits, strict=True)):
                    theta = network.empirical_ntk(x, layer=number)
                    errors[0, w, i, j] = _relative(k[number] - limit.nngp, limit.nngp)
                    errors[1, w, i, j] = _relative(theta - limit.ntk, limit.ntk)
    return Convergence(sizes, errors[0], errors[1], predicted / np.sqrt(sizes)[:, None])


def _whole(part: Layers, x: Array | Ragged) -> Sequential:
    """The first layers as a network, whose kernel is the mean over positions, or over all pairs of nodes, if it ends
    in those.
    """
    ends = follow_all(part, start_of(x)).positions
    mean = (GlobalAvgPool(),) if ends == (VARIOUS,) else (Flatten(),) if ends else ()
    return Sequential(*part, *mean)


def _predicted(part: Layers, x: Array | Ragged, limit: Array) -> float:
    """Relative error of K at width 1, as far as it is known."""
    known = is_alternating(part) and x.ndim == 2
    return _relative(Sequential(*part).nngp.fluctuation(x, 1), limit) if known else float("nan")


def _relative(matrix: Array, to: Array) -> float:
    size = float(np.linalg.norm(to))
    return float(np.linalg.norm(matrix)) / size if size else float("nan")
