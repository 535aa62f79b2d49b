"""Activations: the public face of a nonlinearity, and the table of the names it can have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import finite_number, unknown_name, whole_number
from .duals import Dual, Erf, PiecewiseLinear, RectifiedMonomial, Sign


def _rectified_monomial(degree: int = 1) -> Dual:
    return RectifiedMonomial(whole_number(degree, "degree", least=0, most=3))


#: name -> the family member it stands for, as a function of its parameters and their defaults
REGISTRY: dict[str, Callable[..., Dual]] = {
    "identity": lambda: PiecewiseLinear(1.0, 1.0),
    "relu": lambda: PiecewiseLinear(0.0, 1.0),
    "leaky_relu": lambda alpha=0.01: PiecewiseLinear(finite_number(alpha, "alpha"), 1.0),
    "abs": lambda: PiecewiseLinear(-1.0, 1.0),
    "abrelu": lambda a, b: PiecewiseLinear(finite_number(a, "a"), finite_number(b, "b")),
    "step": lambda: RectifiedMonomial(0),
    "sign": Sign,
    "rectified_monomial": _rectified_monomial,
    "erf": lambda a=1.0, b=1.0, c=0.0: Erf(
        finite_number(a, "a"), finite_number(b, "b"), finite_number(c, "c")
    ),
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
        try:
            bound = inspect.signature(REGISTRY[name]).bind(**parameters)
        except TypeError as error:
            raise TypeError(f"activation {name!r}: {error}.") from None
        bound.apply_defaults()
        if name == "sign":
            bound.arguments.clear()
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_dual", REGISTRY[name](**bound.arguments))
        object.__setattr__(self, "parameters", tuple((key, value) for key, value in bound.arguments.items()))

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
    array = np.asarray(x)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
