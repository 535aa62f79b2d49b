"""Dropout: units that are left out at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._checks.arguments import finite_number
from .._checks.shown import shown
from .base import Layer, Signal
from .migration import check_dropout, refuse

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True, init=False)
class Dropout(Layer):
    """Leave out each unit of each sample with probability p, and divide those that are kept by 1 - p.

    K(x, x) and Theta(x, x) are divided by 1 - p; those of two samples, whose masks are independent, stay.

    Parameters
    ----------
    p : float, 0 <= p < 1
        The probability of dropping a unit, as in Keras and PyTorch.

    Raises
    ------
    ValueError
        p out of its range.

    Notes
    -----
    A sample is the same one where it has the same place in a kernel of X with itself, ``net.ntk(X)``: on its diagonal.
    Rows that are equal, and those of ``net.ntk(X, X)``, are different samples. Units with dropout are no Gaussians: a
    Dense may follow, an activation may not; put Dropout behind it. The kernels average over masks: they are those of
    networks that keep dropping units when they are asked. Of the raw input they are those of many features: an
    activation of a few of them has another mean.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout", JMLR 2014.
    Schoenholz, Gilmer, Ganguli, Sohl-Dickstein, "Deep information propagation", ICLR 2017, section 4.

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.Sequential(fastntk.Dense(), "relu", fastntk.Dropout(0.5), fastntk.Dense())
    >>> net.nngp([[1.0], [1.0]])
    array([[1. , 0.5],
           [0.5, 1. ]])
    """

    p: float

    @refuse(check_dropout)
    def __init__(self, p: float) -> None:
        number = finite_number(p, "p")
        if not 0 <= number < 1:
            raise ValueError(f"p, the probability of dropping a unit, must be from 0 to below 1, got {shown(p)}.")
        object.__setattr__(self, "p", number)

    def __repr__(self) -> str:
        return f"Dropout(p={self.p!r})"

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine."""
        program.dropout(self.p)

    def follow(self, signal: Signal) -> Signal:
        """No Gaussian any more."""
        return signal._replace(law="other") if self.p > 0 else signal
