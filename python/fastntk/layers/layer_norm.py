"""LayerNorm: units of mean 0 and variance 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from .._checks.arguments import not_negative, one_of
from .base import VARIOUS, Layer, Signal
from .migration import check_layer_norm, refuse

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True, init=False)
class LayerNorm(Layer):
    r"""Subtract the mean over the units, and divide by their standard deviation.

    K = (K - mu mu') / sqrt((K(x, x) - mu² + eps) (K(x', x') - mu'² + eps)), and Theta divided by the same root; mu is
    the mean of a unit, 0 behind a Dense. In the limit of infinite width no gradient goes through mean and deviation.

    Parameters
    ----------
    axes : {"channels", "all"}, default "channels"
        What mean and deviation are over: the units at one position, or at all positions of a sample too. Samples that
        are vectors have one position, and both are the same.
    eps : float >= 0, default 0.0
        Added to the variance, in squared units of what comes in.

    Raises
    ------
    ValueError
        On the raw input, whose mean over its features is not known of its kernel; where K is 0 whatever the samples
        are, and, as kernels are computed, for a sample whose variance there is 0, such as x = 0 behind a Dense without
        bias: both without eps.

    References
    ----------
    Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450.

    Examples
    --------
    >>> import fastntk
    >>> net = fastntk.Sequential(fastntk.Dense(3.0), fastntk.LayerNorm(), "relu", fastntk.Dense(2**0.5))
    >>> net.nngp.diag([[1.0, 0.0], [100.0, 0.0]]).round(12)
    array([1., 1.])
    """

    needs_mean: ClassVar[bool] = True

    axes: Literal["channels", "all"]
    eps: float

    @refuse(check_layer_norm)
    def __init__(self, axes: Literal["channels", "all"] = "channels", eps: float = 0.0) -> None:
        one_of(axes, "axes", ("channels", "all"))
        object.__setattr__(self, "axes", str(axes))
        object.__setattr__(self, "eps", not_negative(eps, "eps"))

    def __repr__(self) -> str:
        return f"LayerNorm(axes={self.axes!r}, eps={self.eps!r})"

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine."""
        program.layer_norm(self.eps, self.axes == "all")

    def follow(self, signal: Signal) -> Signal:
        """Of mean 0."""
        if signal.mean == "unknowable":
            raise ValueError(
                "the mean of the raw input over its features, or of what was averaged over positions, is not known of "
                "its kernel; put a Dense or a Conv before LayerNorm, or normalise the samples themselves."
            )
        if signal.vanishes and self.eps == 0:
            raise ValueError("what comes in is 0 for all samples, and has no direction to normalise; pass eps > 0.")
        if self.axes == "all" and signal.positions == (VARIOUS,):
            raise ValueError(
                "axes='all' is for samples of one number of positions, and these have different ones; pass "
                "axes='channels'."
            )
        if self.axes == "all" and signal.mean == "known" and signal.positions:
            raise ValueError(
                "behind an activation units have a mean at every position, and what is left of them without that of "
                "all is not known; pass axes='channels', or put a Dense or a Conv before it."
            )
        since = "fresh" if signal.since_fork == "weighted" and signal.alike else signal.since_fork
        return signal._replace(mean="zero", since_fork=since)
