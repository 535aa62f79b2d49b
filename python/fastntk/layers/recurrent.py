"""Recurrent: a layer that reads the steps of a sequence one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .._checks.arguments import one_of, standard_deviation, true_or_false, whole_number
from .activation import Activation
from .base import Layer, Signal
from .given import as_activation
from .migration import check_recurrent, refuse

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Readout = Literal["last", "mean"] | None


@dataclass(frozen=True, init=False)
class Recurrent(Layer):
    r"""A recurrent layer, h_t = phi(z_t), z_t = (sigma_w / sqrt N) W h_(t-1) + (sigma_u / sqrt d) U x_t + sigma_b b.

    W, U, b ~ N(0, 1) are those of all steps; before the first h is 0. With (K, Theta) at a pair of steps t, t' of what
    comes in, and F, F' of phi as in `Sequential`,

    * K_z(t, t') = sigma_w² F(K_z(t-1, t'-1)) + sigma_u² K(t, t') + sigma_b²,
    * Theta_z(t, t') = K_z(t, t') + sigma_w² F'(K_z(t-1, t'-1)) Theta_z(t-1, t'-1) + sigma_u² Theta(t, t'),

    without the terms of a step before the first; behind phi they are F(K_z) and F'(K_z) Theta_z.

    Parameters
    ----------
    activation : str, callable or Activation, default "tanh"
        phi.
    sigma_w : float >= 0, default 1.0
        Standard deviation of the weights of the state, times the square root of the N units.
    sigma_u : float >= 0, default 1.0
        Standard deviation of the weights of what comes in, times the square root of its d units.
    sigma_b : float >= 0, default 0.0
        Standard deviation of the biases.
    readout : {"last", "mean"} or None, default "last"
        What is passed on: the state after all steps, the mean of all states, or, for a layer that needs steps, every
        state at its step.
    reverse : bool, default False
        Whether it begins with the last step of each sequence and ends with the first.
    width : int, optional
        Number of units of a finite network that this stands for, as for `Dense`.

    Raises
    ------
    ValueError, TypeError
        A sigma that is negative or no number, an activation that is none; images, vectors and graphs, which have no
        order of steps.

    Notes
    -----
    The recursion goes along diagonals t - t'. That of two last states begins with the first step of the shorter
    sequence: sequences of different lengths are compared aligned at their ends.

    Both directions are two layers with weights of their own side by side,
    ``Concat(Recurrent(), Recurrent(reverse=True))``. The mean of states is no Gaussian: a Dense or another Recurrent
    may follow, an activation may not.

    That weights are the same at all steps adds no terms to Theta: gradients at steps of different distance from the
    state that is read are uncorrelated in the limit, for the weights that read it have mean 0. The mean has one readout
    for all steps, and so all pairs of them; the code of Alemohammad et al. has pairs of the same step alone, as of
    readouts with weights of their own, and a random state before the first step, which is 0 here.

    References
    ----------
    Yang, "Tensor programs II: neural tangent kernel for any architecture", arXiv:2006.14548, of both readouts.
    Alemohammad, Wang, Balestriero, Baraniuk, "The recurrent neural tangent kernel", ICLR 2021, arXiv:2006.10246.
    Alemohammad, Balestriero, Wang, Baraniuk, "Enhanced recurrent neural tangent kernels for non-time-series data",
    arXiv:2012.04859, of averages and both directions.

    Examples
    --------
    >>> import fastntk
    >>> layer = fastntk.Recurrent("relu", sigma_w=2**0.5, readout="mean")
    >>> print(layer)
    Recurrent(Activation('relu'), sigma_w=1.414, sigma_u=1.0, sigma_b=0.0, readout='mean')
    >>> net = fastntk.Sequential(layer, fastntk.Dense())
    >>> fastntk.reference.nngp(net, [[[1.0], [1.0]], [[0.0], [1.0]]]).round(4)  # two sequences of two numbers
    array([[0.6421, 0.2585],
           [0.2585, 0.125 ]])
    """

    on_positions: ClassVar[bool] = True
    mixes: ClassVar[bool] = True

    activation: Activation
    sigma_w: float
    sigma_u: float
    sigma_b: float
    readout: Readout
    reverse: bool
    width: int | None

    @refuse(check_recurrent)
    def __init__(
        self,
        activation: str | Activation | Callable[[NDArray[Any]], NDArray[Any]] = "tanh",
        sigma_w: float = 1.0,
        sigma_u: float = 1.0,
        sigma_b: float = 0.0,
        *,
        readout: Readout = "last",
        reverse: bool = False,
        width: int | None = None,
    ) -> None:
        one_of(readout, "readout", ("last", "mean", None))
        for key, value in {
            "activation": as_activation(activation, "activation"),
            "sigma_w": standard_deviation(sigma_w, "sigma_w"),
            "sigma_u": standard_deviation(sigma_u, "sigma_u"),
            "sigma_b": standard_deviation(sigma_b, "sigma_b"),
            "readout": None if readout is None else str(readout),
            "reverse": true_or_false(reverse, "reverse"),
            "width": None if width is None else whole_number(width, "width", least=1),
        }.items():
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        sigmas = ", ".join(f"{key}={value!r}" for key, value in self.hyperparameters.items())
        reverse = ", reverse=True" if self.reverse else ""
        width = "" if self.width is None else f", width={self.width}"
        return f"Recurrent({self.activation!r}, {sigmas}, readout={self.readout!r}{reverse}{width})"

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Its standard deviations."""
        return {"sigma_w": self.sigma_w, "sigma_u": self.sigma_u, "sigma_b": self.sigma_b}

    def with_values(self, **values: Any) -> Recurrent:
        """One with other standard deviations, or another width."""
        kept = {**self.hyperparameters, "readout": self.readout, "reverse": self.reverse, "width": self.width}
        return Recurrent(self.activation, **{**kept, **values})

    @property
    def is_continuous(self) -> bool:
        """Whether phi is known, and does not jump."""
        return self.activation.is_continuous

    @property
    def noise(self) -> float:
        """That of phi."""
        return self.activation.noise

    def emit(self, program: Any, like: Any = None) -> object:
        """Append itself to a program of the engine; give what phi chose."""
        starts, grids = program.starts, program.grids
        backwards = _backwards(starts)
        if self.reverse:
            program.window(backwards, starts, grids)
        choice = program.recur(self.activation, self.sigma_w, self.sigma_u, self.sigma_b, like)
        if self.width is not None:
            program.set_width(self.width)
        if self.readout == "last":
            program.window(starts[None, 1:] - 1, np.arange(len(starts)), [()] * len(grids))
        elif self.readout == "mean":
            program.mix(_means(starts), np.arange(len(starts)))
        elif self.reverse:
            program.window(backwards, starts, grids)
        return choice

    def follow(self, signal: Signal) -> Signal:
        """What phi makes of Gaussians; the mean of states is none."""
        positions = signal.positions
        if positions is not None and len(positions) != 1:
            raise ValueError(
                "it reads the steps of sequences: Sequences, or samples of shape (n, L, C); what comes in has "
                f"{len(positions) or 'no'} axes of positions."
            )
        vanishes = self.sigma_b == 0 and (self.sigma_u == 0 or signal.vanishes)
        units = math.inf if self.width is None else self.width
        states = self.activation.follow(Signal(positions, units, "gaussian", "zero", "fresh", vanishes))
        if self.readout is None:
            return states
        return (states if self.readout == "last" else states.taken_together())._replace(positions=())


def _backwards(starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The steps of each sequence, from the last to the first: of a window of one tap."""
    ends = np.repeat(starts[:-1] + starts[1:] - 1, np.diff(starts))
    return (ends - np.arange(len(ends)))[None]


def _means(starts: NDArray[np.intp]) -> csr_array:
    """Of each sequence the mean of its steps."""
    from scipy.sparse import csr_array

    lengths, total = np.diff(starts), starts[-1]
    return csr_array((np.repeat(1 / lengths, lengths), np.arange(total), starts), shape=(len(lengths), total))
