"""Layers with weights: what a Dense layer and a convolution have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from .._checks.arguments import one_of, standard_deviation, true_or_false, whole_number
from .base import Layer, Signal

if TYPE_CHECKING:
    from ..activations.duals import Program


@dataclass(frozen=True, init=False)
class Weighted(Layer):
    """Gaussian weights and biases, of standard deviations sigma_w / sqrt(fan-in) and sigma_b."""

    sigma_w: float
    sigma_b: float
    trainable: bool
    parametrization: Literal["ntk", "standard"]
    width: int | None
    bias: bool

    #: Names of what its class has beside these.
    own: ClassVar[tuple[str, ...]] = ()

    def _set_weights(
        self,
        sigma_w: float,
        sigma_b: float,
        trainable: bool,
        parametrization: Literal["ntk", "standard"],
        width: int | None,
        bias: bool | None,
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

    @property
    def _weights_text(self) -> str:
        frozen = "" if self.trainable else ", trainable=False"
        standard = "" if self.parametrization == "ntk" else ", parametrization='standard'"
        width = "" if self.width is None else f", width={self.width}"
        bias = ", bias=True" if self.bias and self.sigma_b == 0 else ""
        return f"sigma_w={self.sigma_w!r}, sigma_b={self.sigma_b!r}{frozen}{standard}{width}{bias}"

    def with_values(self, **values: Any) -> Self:
        """One with other values of some parameters; a bias that comes with sigma_b goes with it."""
        names = (*self.own, "sigma_w", "sigma_b", "trainable", "parametrization", "width")
        kept = {name: getattr(self, name) for name in names}
        return type(self)(**{**kept, "bias": True if self.bias and self.sigma_b == 0 else None, **values})

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Its standard deviations."""
        return {"sigma_w": self.sigma_w, "sigma_b": self.sigma_b}

    def _emit_weights(self, program: Program) -> None:
        """Append weights and biases to a program of the engine, at every position by itself."""
        if self.parametrization == "standard":
            program.dense_standard(self.sigma_w, self.sigma_b, self.trainable, self.bias)
        else:
            program.dense(self.sigma_w, self.sigma_b, self.trainable)
        if self.width is not None:
            program.set_width(self.width)

    def _behind(self, signal: Signal, positions: tuple[int, ...] | None) -> Signal:
        """Gaussian units at these positions, as many as its width, or infinitely many."""
        if self.parametrization == "standard" and math.isinf(signal.units):
            raise ValueError(
                "parametrization='standard' needs the number of units it sums over: give the layer with weights before "
                f"it a width, {type(self).__name__}(..., width=512)."
            )
        width = math.inf if self.width is None else self.width
        vanishes = self.sigma_b == 0 and (self.sigma_w == 0 or signal.vanishes)
        return Signal(positions, width, "gaussian", "zero", "fresh", vanishes)
