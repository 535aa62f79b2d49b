"""Activations: the public face of a nonlinearity, and the table of the names it can have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import finite_number, real_array, unknown_name, whole_number
from .duals import Dual, Erf, PiecewiseLinear, RectifiedMonomial, Sign


@dataclass(frozen=True)
class Family:
    """How a name becomes a dual: its parameters with their defaults (None: required), and what makes it."""

    make: Callable[..., Dual]
    defaults: dict[str, float | None] = field(default_factory=dict)
    check: Callable[[object, str], float] = finite_number


def _degree(value: object, name: str) -> int:
    return whole_number(value, name, least=0, most=3)


#: Every activation that has a name.
REGISTRY: dict[str, Family] = {
    "identity": Family(lambda: PiecewiseLinear(1.0, 1.0)),
    "relu": Family(lambda: PiecewiseLinear(0.0, 1.0)),
    "leaky_relu": Family(lambda alpha: PiecewiseLinear(alpha, 1.0), {"alpha": 0.01}),
    "abs": Family(lambda: PiecewiseLinear(-1.0, 1.0)),
    "abrelu": Family(PiecewiseLinear, {"a": None, "b": None}),
    "step": Family(lambda: RectifiedMonomial(0)),
    "sign": Family(Sign),
    "rectified_monomial": Family(RectifiedMonomial, {"degree": 1}, _degree),
    "erf": Family(Erf, {"a": 1.0, "b": 1.0, "c": 0.0}),
}


class Activation:
    """A layer that applies an activation function to every unit.

    Parameters
    ----------
    name : str
        One of

        ==================== ============================ =====================
        name                 phi(x)                       parameters (default)
        ==================== ============================ =====================
        identity             x
        relu                 max(x, 0)
        leaky_relu           x for x > 0, alpha x below   alpha (0.01)
        abs                  abs(x)
        abrelu               b x for x > 0, a x below     a, b
        step                 1 for x > 0, 0 below
        sign                 sign(x)
        rectified_monomial   max(x, 0)^degree             degree (1), 0 to 3
        erf                  a erf(b x) + c               a (1), b (1), c (0)
        ==================== ============================ =====================
    **parameters : float
        The parameters of that function.

    Raises
    ------
    ValueError
        Unknown name (the nearest are suggested), or a parameter that is not finite.
    TypeError
        Unknown or missing parameter, or one that is not a number.

    Examples
    --------
    >>> import fastntk
    >>> act = fastntk.Activation("leaky_relu", alpha=0.1)
    >>> act
    Activation('leaky_relu', alpha=0.1)
    >>> act([-2.0, 3.0])
    array([-0.2,  3. ])
    >>> print(f"{act.dual(0.0, 1.0, 1.0):.6f}")  # E[phi(u)] E[phi(v)]: independent u, v
    0.128916
    """

    __slots__ = ("_dual", "name", "parameters")

    name: str
    parameters: tuple[tuple[str, float], ...]
    _dual: Dual

    def __init__(self, name: str, **parameters: float) -> None:
        if not isinstance(name, str):
            raise TypeError(f"an activation is given by its name, a string; got {name!r}.")
        if name not in REGISTRY:
            raise unknown_name("activation", name, list(REGISTRY))
        family = REGISTRY[name]
        for key in parameters:
            if key not in family.defaults:
                known = ", ".join(family.defaults) or "none"
                raise TypeError(f"activation {name!r}: no parameter {key!r}; its parameters: {known}.")
        given = {**family.defaults, **parameters}
        missing = [key for key, value in given.items() if value is None and key not in parameters]
        if missing:
            raise TypeError(f"activation {name!r}: missing parameter {' and '.join(map(repr, missing))}.")
        values = {key: family.check(value, key) for key, value in given.items()}
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_dual", family.make(**values))
        object.__setattr__(self, "parameters", tuple(values.items()))

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"an Activation cannot be changed: make a new one with another {key}.")

    def __delattr__(self, key: str) -> None:
        raise AttributeError("an Activation cannot be changed.")

    def __repr__(self) -> str:
        return f"Activation({', '.join([repr(self.name), *(f'{k}={v!r}' for k, v in self.parameters)])})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation):
            return NotImplemented
        return (self.name, self.parameters) == (other.name, other.parameters)

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.name, dict(self.parameters))

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """Evaluate phi(x), elementwise."""
        return self._dual.phi(_floating(x))[()]

    def derivative(self, x: ArrayLike) -> NDArray[Any]:
        """Evaluate phi'(x) almost everywhere, elementwise; at a kink the mean of both slopes."""
        return self._dual.derivative(_floating(x))[()]

    def dual(self, c: ArrayLike, q1: ArrayLike, q2: ArrayLike) -> NDArray[np.float64]:
        r"""Dual activation F(q1, q2, c) = E[phi(u) phi(v)].

        Parameters
        ----------
        c, q1, q2 : array_like
            Covariance and variances of the Gaussian pair (u, v), broadcast against each other.

        Returns
        -------
        ndarray of float64
            Of the broadcast shape.

        Raises
        ------
        ValueError
            If a variance is negative or ``c**2 > q1 * q2`` beyond rounding.

        Notes
        -----
        Evaluated by the C++ core from the gap 1 - c/sqrt(q1 q2). Relative to sqrt(F(q1,q1) F(q2,q2)) the
        result is good to a few 1e-16 *for that gap*; near abs(c) = sqrt(q1 q2) the gap itself is only as
        good as the rounding of the three arguments, which the kernels of a network avoid.

        Examples
        --------
        >>> import fastntk
        >>> print(fastntk.Activation("relu").dual(1.0, 1.0, 1.0))
        0.5
        """
        from .kernels import dual

        return dual(self._dual, c, q1, q2, derivative=False)

    def dual_derivative(self, c: ArrayLike, q1: ArrayLike, q2: ArrayLike) -> NDArray[np.float64]:
        """Dual of the derivative, F'(q1, q2, c) = E[phi'(u) phi'(v)]; arguments as for `dual`.

        Examples
        --------
        >>> import fastntk
        >>> print(fastntk.Activation("relu").dual_derivative(0.0, 1.0, 2.0))
        0.25
        """
        from .kernels import dual

        return dual(self._dual, c, q1, q2, derivative=True)


def _rebuild(name: str, parameters: dict[str, float]) -> Activation:
    return Activation(name, **parameters)


def _floating(x: ArrayLike) -> NDArray[Any]:
    array = real_array(x, "x", finite=False)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
