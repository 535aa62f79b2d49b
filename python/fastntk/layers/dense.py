"""Dense: a fully connected layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .._checks.arguments import one_of, standard_deviation, true_or_false, whole_number
from .base import Layer, Signal
from .migration import check_dense, refuse

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True, init=False)
class Dense(Layer):
    """A fully connected layer, z = sigma_b b + (sigma_w / sqrt N) W x, with b, W ~ N(0, 1).

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

    sigma_w: float
    sigma_b: float
    trainable: bool
    parametrization: Literal["ntk", "standard"]
    width: int | None
    bias: bool

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
        one_of(parametrization, "parametrization", ("ntk", "standard"))
        standard = parametrization == "standard"
        deviation = standard_deviation(sigma_b, "sigma_b")
        biased = deviation > 0 if bias is None else true_or_false(bias, "bias")
        if biased != (deviation > 0) and not (biased and standard):
            raise ValueError(
                f"bias={biased} contradicts sigma_b={deviation:g}; bias=True with sigma_b=0 is for "
                "parametrization='standard', where a bias that starts at 0 is trained."
            )
        for key, value in {
            "sigma_w": standard_deviation(sigma_w, "sigma_w"),
            "sigma_b": deviation,
            "trainable": true_or_false(trainable, "trainable"),
            "parametrization": str(parametrization),
            "width": None if width is None else whole_number(width, "width", least=1),
            "bias": biased,
        }.items():
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        frozen = "" if self.trainable else ", trainable=False"
        standard = "" if self.parametrization == "ntk" else ", parametrization='standard'"
        width = "" if self.width is None else f", width={self.width}"
        bias = ", bias=True" if self.bias and self.sigma_b == 0 else ""
        return f"Dense(sigma_w={self.sigma_w!r}, sigma_b={self.sigma_b!r}{frozen}{standard}{width}{bias})"

    def with_values(self, **values: Any) -> Dense:
        """One with other values of some parameters; a bias that comes with sigma_b goes with it."""
        kept = {name: getattr(self, name) for name in ("sigma_w", "sigma_b", "trainable", "parametrization", "width")}
        return Dense(**{**kept, "bias": True if self.bias and self.sigma_b == 0 else None, **values})

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """Its standard deviations."""
        return "sigma_w", "sigma_b"

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine."""
        if self.parametrization == "standard":
            program.dense_standard(self.sigma_w, self.sigma_b, self.trainable, self.bias)
        else:
            program.dense(self.sigma_w, self.sigma_b, self.trainable)
        if self.width is not None:
            program.set_width(self.width)

    def follow(self, signal: Signal) -> Signal:
        """Gaussian units, as many as its width, or infinitely many."""
        if self.parametrization == "standard" and math.isinf(signal.shape[-1]):
            raise ValueError(
                "parametrization='standard' needs the number of units it sums over: give the Dense before it a width, "
                "Dense(..., width=512)."
            )
        width = math.inf if self.width is None else self.width
        vanishes = self.sigma_b == 0 and (self.sigma_w == 0 or signal.vanishes)
        return Signal((*signal.shape[:-1], width), "gaussian", "zero", "fresh", vanishes)
