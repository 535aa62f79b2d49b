"""Dense: a fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .base import Signal
from .migration import check_dense, refuse
from .weighted import Weighted

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True, init=False)
class Dense(Weighted):
    """A fully connected layer, z = sigma_b b + (sigma_w / sqrt N) W x, with b, W ~ N(0, 1).

    At every position of an image or a sequence it is the same layer, a convolution of one tap.

    Parameters
    ----------
    sigma_w : float, default 1.0
        Standard deviation of the weights, times the square root of the fan-in N.
    sigma_b : float, default 0.0
        Standard deviation of the biases.
    trainable : bool, default True
        Given by name. Whether its weights and biases are trained. If not they contribute to K but not to Theta, as the
        "first fixed layers" of Arora et al., "Harnessing the power of infinitely wide deep nets on small-data tasks",
        ICLR 2020.
    parametrization : {"ntk", "standard"}, default "ntk"
        "standard": z = b + W x with W ~ N(0, sigma_w² / N), b ~ N(0, sigma_b²). The same K, but gradients in W and b
        themselves: Theta' = N K + sigma_w² Theta, and 1 more with a bias, where N is the number of units before the
        layer, or of features (K = x·x'/d at the input).
    width : int, optional
        Number of units of a finite network that this stands for; the next layer needs it, if that is "standard".
    bias : bool, optional
        Whether there is one, by default if sigma_b > 0. True with sigma_b = 0: it starts at 0 and is trained, in the
        "standard" parametrization.

    Raises
    ------
    ValueError, TypeError
        A sigma that is negative or no number; a width where sigma_w is meant. ``Dense(512, 1.5, 0.05)`` of
        neural-tangents is ``Dense(1.5, 0.05)`` here. An integer from 10 on is taken for a width. A
        "standard" layer whose number of inputs is not known; a bias that contradicts sigma_b.

    References
    ----------
    Sohl-Dickstein, Novak, Schoenholz, Lee, "On the infinite width limit of neural networks with a standard
    parameterization", arXiv:2001.07301.

    Examples
    --------
    >>> import fastntk
    >>> fastntk.Dense(1.5, 0.1)
    Dense(sigma_w=1.5, sigma_b=0.1)
    >>> frozen = fastntk.Sequential(fastntk.Dense(trainable=False), fastntk.Activation("relu"), fastntk.Dense())
    >>> K, T = frozen.kernels([[1.0, 0.0], [0.0, 2.0]])  # only the last layer is trained
    >>> bool((T == K).all())
    True
    """

    @refuse(check_dense)
    def __init__(
        self,
        sigma_w: float = 1.0,
        sigma_b: float = 0.0,
        *,
        trainable: bool = True,
        parametrization: Literal["ntk", "standard"] = "ntk",
        width: int | None = None,
        bias: bool | None = None,
    ) -> None:
        self._set_weights(sigma_w, sigma_b, trainable, parametrization, width, bias)

    def __repr__(self) -> str:
        return f"Dense({self._weights_text})"

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine."""
        self._emit_weights(program)

    def follow(self, signal: Signal) -> Signal:
        """Gaussian units, as many as its width, or infinitely many, at the same positions."""
        return self._behind(signal, signal.positions)
