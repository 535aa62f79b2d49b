"""Dense: a fully connected layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .._checks.arguments import standard_deviation, true_or_false
from .base import Layer, Shape
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

    Raises
    ------
    ValueError, TypeError
        A sigma that is negative or no number; a width, which an infinitely wide layer does not have. ``Dense(512, 1.5,
        0.05)`` of neural-tangents is ``Dense(1.5, 0.05)`` here. An integer from 10 on is taken for a width.

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

    hyperparameters: ClassVar[tuple[str, ...]] = ("sigma_w", "sigma_b")

    sigma_w: float
    sigma_b: float
    trainable: bool

    @refuse(check_dense)
    def __init__(self, sigma_w: float = 1.0, sigma_b: float = 0.0, *, trainable: bool = True) -> None:
        object.__setattr__(self, "sigma_w", standard_deviation(sigma_w, "sigma_w"))
        object.__setattr__(self, "sigma_b", standard_deviation(sigma_b, "sigma_b"))
        object.__setattr__(self, "trainable", true_or_false(trainable, "trainable"))

    def __repr__(self) -> str:
        frozen = "" if self.trainable else ", trainable=False"
        return f"Dense(sigma_w={self.sigma_w!r}, sigma_b={self.sigma_b!r}{frozen})"

    def emit(self, program: Program, like: object = None) -> None:  # noqa: ARG002
        """Append itself to a program of the engine."""
        program.dense(self.sigma_w, self.sigma_b, self.trainable)

    def shape(self, before: Shape) -> Shape:
        """Infinitely many units, instead of those there were."""
        return (*before[:-1], math.inf)
