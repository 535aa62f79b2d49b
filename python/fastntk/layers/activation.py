"""Activations: the public face of a nonlinearity."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._checks.arguments import finite_number, unknown_name, whole_number
from .._checks.arrays import ascending, real_array, variance_array
from .._checks.shown import shown
from .._machine.floating import undisturbed
from ..activations import functions
from ..activations.duals import Dual, Expanded, PiecewiseLinear, PiecewisePolynomial, Program, Quadrature
from ..activations.evaluation import dual
from ..activations.registry import REGISTRY, Value
from .base import Signal, SinceFork, Unchanging

#: What an expansion can be asked for.
_SMALLEST_TOLERANCE = 1e-13


class Activation(Unchanging):
    """A layer that applies an activation function to every unit.

    Parameters
    ----------
    activation : str or callable
        A name, or any vectorised function of a NumPy array.

        Names with a closed form (error 2e-14 in float64, of the last six 2e-15 q more at variance q):

        ==================== ================================ ===============================
        name                 phi(x)                           parameters (default)
        ==================== ================================ ===============================
        identity             x
        relu                 max(x, 0)
        leaky_relu           x for x > 0, alpha x below       alpha (0.01)
        abs                  abs(x)
        abrelu               b x for x > 0, a x below         a, b
        step                 1 for x > 0, 0 below
        sign                 sign(x)
        squared_relu         max(x, 0)^2
        rectified_monomial   max(x, 0)^degree                 degree (1), 0 to 3
        erf                  a erf(b x) + c                   a (1), b (1), c (0)
        normal_cdf           Phi(x)
        sigmoid_like         erf(x / 2.402...) / 2 + 1/2
        gelu                 x Phi(x)
        smoothed_relu        x Phi(x / s) + s pdf(x / s)      s (1)
        sin, cos             a sin(b x + c), a cos(b x + c)   a (1), b (1), c (0)
        snake                x + sin(a x)^2 / a               a (1)
        rbf                  kernel exp(-gamma (u - v)^2)     gamma (1)
        exp                  a exp(b x)                       a (1), b (1)
        exp_normalized       kernel s exp(gamma (rho+shift))  gamma (1), shift (-1)
        gaussian             a exp(b x^2)                     a (1), b (-1)
        gabor                exp(-x^2) sin(x)
        monomial             x^degree                         degree, 0 to 20
        polynomial           sum of coefficients[i] x^i       coefficients, degree 0 to 20
        hermite              He_degree(x) / sqrt(degree!)     degree, 0 to 20
        hard_tanh            x clipped to [-1, 1]
        relu6                x clipped to [0, 6]
        hard_sigmoid         x/6 + 1/2 clipped to [0, 1]
        hard_swish           x hard_sigmoid(x)
        soft_shrink          x moved by threshold towards 0   threshold (0.5)
        hard_shrink          x where abs(x) > threshold       threshold (0.5)
        ==================== ================================ ===============================

        Names that are expanded, to `tolerance`:

        ==================== ================================ ===============================
        tanh, sigmoid
        softplus             log(1 + exp(beta x)) / beta      beta (1)
        silu, swish          x sigmoid(beta x)                beta (1), of swish
        mish                 x tanh(log(1 + exp(x)))
        gelu_tanh            the tanh approximation of gelu
        elu, celu            x for x > 0, alpha (exp(x) - 1)  alpha (1); in celu exp(x / alpha)
        selu                 scaled elu, self-normalising
        softsign             x / (1 + abs(x))
        log_cosh             log(cosh(x))
        ==================== ================================ ===============================
    derivative : callable, optional
        phi' of a callable; without it, finite differences of phi, good to some 1e-11.
    kinks : sequence of float, default ()
        Where a callable or one of its derivatives jumps: there its quadratures are split. A kink that is not named
        costs accuracy near abs(rho) = 1, and is reported if that exceeds the tolerance; a jump that is not named leaves
        no bound. F' is that of the derivative almost everywhere, whatever jumps.
    name : str, optional
        What to call a callable, in its repr.
    tolerance : float, optional
        Error of an expansion: of F relative to sqrt(F(q1, q1) F(q2, q2)), and of F' likewise, for every
        correlation. By default 1e-10 where the kernel is float64, 1e-6 where it is float32.
    method : {None, "quadrature"}
        "quadrature" takes the direct Gauss-Hermite rule of ``nodes`` x ``nodes`` points for every pair: slow, an
        independent check. Of named activations only.
    nodes : int, optional
        Of that rule; 64 by default.
    **parameters : float
        The parameters of a named function.

    Raises
    ------
    ValueError
        Unknown name (the nearest are suggested), or a parameter that is not finite or out of its range.
    TypeError
        Unknown or missing parameter, or one that is not a number.

    Warns
    -----
    ToleranceWarning
        When kernels are computed, if an expansion cannot reach the tolerance; the message has what it reaches.

    Notes
    -----
    An expansion is in Hermite polynomials: F = sum_k A_k(q1) A_k(q2) rho^k with A_k(q) = E[phi(sqrt(q) z) h_k(z)]
    (Mehler's formula), its length chosen from what is left out. It accepts variances q up to 1e6.

    References
    ----------
    Daniely, Frostig, Singer, "Toward deeper understanding of neural networks", NeurIPS 2016, section 4.
    Han, Zandieh, Lee, Novak, Xiao, Karbasi, "Fast neural kernel embeddings for general activations", NeurIPS 2022.

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
    >>> import numpy as np
    >>> mine = fastntk.Activation(lambda x: x * np.exp(-x * x), name="wavelet", tolerance=1e-8)
    >>> mine
    Activation(<wavelet>, tolerance=1e-08)
    >>> print(f"{mine.dual(0.5, 1.0, 1.0):.8f}")  # c / (9 - 4 c^2)^(3/2)
    0.02209709
    """

    __slots__ = ("_dual", "_options", "function", "name", "parameters")

    name: str
    parameters: tuple[tuple[str, Value], ...]
    function: Callable[[NDArray[Any]], NDArray[Any]] | None
    _dual: Dual
    _options: tuple[tuple[str, Any], ...]

    def __init__(
        self,
        activation: str | Callable[[NDArray[Any]], NDArray[Any]],
        derivative: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        kinks: Iterable[float] = (),
        name: str | None = None,
        *,
        tolerance: float | None = None,
        method: str | None = None,
        nodes: int | None = None,
        **parameters: Any,
    ) -> None:
        options: dict[str, Any] = {} if tolerance is None else {"tolerance": _tolerance(tolerance)}
        if isinstance(activation, str):
            activation = str(activation)  # of NumPy's, which shows itself otherwise
            if derivative is not None or ascending(kinks, "kinks") or name is not None:
                raise TypeError("derivative, kinks and name are for a callable; a named activation has its own.")
            values = _named_parameters(activation, parameters)
            dual = REGISTRY[activation].make(**values)
            label, function = activation, None
        elif callable(activation) and not isinstance(activation, (type, Activation)):
            if parameters:
                raise TypeError(f"a callable takes no parameters, got {', '.join(parameters)}.")
            if derivative is not None and not callable(derivative):
                raise TypeError(f"derivative must be a callable or None, got {shown(derivative)}.")
            values, points = {}, ascending(kinks, "kinks")
            label = name if isinstance(name, str) else _called(activation)
            if name is not None and not isinstance(name, str):
                raise TypeError(f"name must be a string, got {shown(name)}.")
            function = activation
            dual = Expanded(functions.of_callable(activation, derivative, points, label), None)
            options |= {"derivative": derivative} if derivative is not None else {}
            options |= {"kinks": points} if points else {}
        else:
            raise TypeError(f"an activation is given by its name, a string, or as a callable; got {shown(activation)}.")
        if "tolerance" in options and isinstance(dual, Expanded):
            dual = replace(dual, tolerance=options["tolerance"])
        if method is not None or nodes is not None:
            if method != "quadrature":
                raise ValueError(f"method must be None or 'quadrature' (which nodes are for), got {shown(method)}.")
            if function is not None:
                raise ValueError(
                    "method='quadrature' is for named activations; fastntk.reference has it for callables."
                )
            if not _core.has_scalar_function(label):
                raise ValueError(f"method='quadrature': {label!r} is a kernel without a known activation function.")
            count = 64 if nodes is None else whole_number(nodes, "nodes", least=1, most=2000)
            options |= {"method": method, "nodes": count}
            arguments = values.get("coefficients", tuple(values.values()))
            dual = Quadrature(dual, label, arguments, count)
        for key, value in {
            "name": label, "parameters": tuple(values.items()), "function": function,
            "_dual": dual, "_options": tuple(options.items()),
        }.items():  # fmt: skip
            object.__setattr__(self, key, value)

    @classmethod
    def piecewise_linear(cls, breakpoints: Iterable[float], slopes: Iterable[float]) -> Activation:
        """Make a continuous, piecewise linear function with phi(0) = 0, exactly.

        Parameters
        ----------
        breakpoints : sequence of k floats, ascending
            Where the slope changes.
        slopes : sequence of k + 1 floats
            Left of the first breakpoint, between each two, right of the last.

        Examples
        --------
        >>> import fastntk
        >>> ramp = fastntk.Activation.piecewise_linear([-1, 1], [0, 1, 0])  # hard_tanh
        >>> ramp([-3.0, 0.5, 3.0])
        array([-1. ,  0.5,  1. ])
        >>> print(f"{ramp.dual(0.5, 1.0, 1.0) - fastntk.Activation('hard_tanh').dual(0.5, 1.0, 1.0):.1f}")
        0.0
        """
        points = ascending(breakpoints, "breakpoints")
        steps = tuple(finite_number(slope, f"slopes[{i}]") for i, slope in enumerate(slopes))
        if len(steps) != len(points) + 1:
            raise ValueError(
                f"slopes must be one more than breakpoints ({len(points)}), one for each interval; got {len(steps)}."
            )
        self = object.__new__(cls)
        for key, value in {
            "name": "piecewise_linear", "parameters": (("breakpoints", points), ("slopes", steps)), "function": None,
            "_dual": PiecewisePolynomial(functions.piecewise_linear(points, steps)), "_options": (),
        }.items():  # fmt: skip
            object.__setattr__(self, key, value)
        return self

    @property
    def tolerance(self) -> float | None:
        """Tolerance that was asked for; None for the default of the kernel's precision."""
        return dict(self._options).get("tolerance")

    def __repr__(self) -> str:
        if self.name == "piecewise_linear" and self.function is None:
            return f"Activation.piecewise_linear({', '.join(repr(list(value)) for _, value in self.parameters)})"  # type: ignore[arg-type]
        first = repr(self.name) if self.function is None else f"<{self.name}>"
        given = ((k, f"<{_called(v)}>" if callable(v) else repr(v)) for k, v in (*self.parameters, *self._options))
        return f"Activation({', '.join([first, *(f'{k}={v}' for k, v in given)])})"

    def _key(self) -> tuple[Any, ...]:
        return self.name, self.parameters, self.function, self._options

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Activation) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))  # functions, as those of numpy.polynomial, need not have one

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._key()

    def __dask_tokenize__(self) -> Any:
        from dask.base import normalize_token

        return normalize_token(self._key())

    def emit(self, program: Program, like: object = None) -> object:
        """Append itself to a program of the engine."""
        return self._dual.add_to(program, like)

    def follow(self, signal: Signal) -> Signal:
        """Units whose mean is not 0, unless phi is odd."""
        if signal.law == "other":
            raise ValueError(
                "an activation acts on Gaussians; what comes in, a sum, a product, units behind dropout, averages of "
                "activations or the units of several positions side by side, is none: put a Dense or a Conv before it."
            )
        odd = signal.mean == "zero" and _is_odd(self)
        since: SinceFork = "bent" if signal.since_fork == "same" else signal.since_fork
        if since == "fresh" and not odd:
            since = "weighted"
        vanishes = signal.vanishes and not self.dual(0.0, 0.0, 0.0)
        return signal._replace(law="given", mean="zero" if odd else "known", since_fork=since, vanishes=bool(vanishes))

    @property
    def slopes(self) -> tuple[float, float] | None:
        """Left and right of 0, if it is linear on both sides."""
        return (self._dual.a, self._dual.b) if isinstance(self._dual, PiecewiseLinear) else None

    @property
    def is_continuous(self) -> bool:
        """Whether phi is known, and does not jump."""
        return self._dual.is_continuous

    @property
    def noise(self) -> float:
        """How far its float64 kernel is from being a smooth function: expansions are as smooth as their error."""
        return self._dual.noise

    @undisturbed
    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """Evaluate phi(x), elementwise."""
        return self._dual.phi(_floating(x))[()]

    @undisturbed
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
        Evaluated by the C++ core from the gap 1 - c/sqrt(q1 q2). Relative to sqrt(F(q1,q1) F(q2,q2)) a closed form
        is good to 2e-14 (see `error_bound`), an expansion to its tolerance, *for that gap*; near abs(c) = sqrt(q1 q2)
        the gap itself is only as good as the rounding of the three arguments, which the kernels of a network avoid.

        Examples
        --------
        >>> import fastntk
        >>> print(fastntk.Activation("relu").dual(1.0, 1.0, 1.0))
        0.5
        """
        return dual(self._dual, c, q1, q2, derivative=False)

    def dual_derivative(self, c: ArrayLike, q1: ArrayLike, q2: ArrayLike) -> NDArray[np.float64]:
        """Dual of the derivative, F'(q1, q2, c) = E[phi'(u) phi'(v)]; arguments as for `dual`.

        Examples
        --------
        >>> import fastntk
        >>> print(fastntk.Activation("relu").dual_derivative(0.0, 1.0, 2.0))
        0.25
        """
        return dual(self._dual, c, q1, q2, derivative=True)

    @undisturbed
    def error_bound(self, q1: ArrayLike, q2: ArrayLike) -> NDArray[np.float64]:
        """Bound the error in float64 beforehand, for any correlation.

        Parameters
        ----------
        q1, q2 : array_like
            Variances, broadcast against each other.

        Returns
        -------
        ndarray of float64
            Of the broadcast shape: of F relative to sqrt(F(q1, q1) F(q2, q2)) and of F' relative to
            sqrt(F'(q1, q1) F'(q2, q2)). 2e-14 for closed forms (piecewise polynomials: 2e-15 q more, as large parts
            cancel); for an expansion its tolerance, or what is reached where that is more (inf: nothing is known).

        Examples
        --------
        >>> import fastntk
        >>> tanh = fastntk.Activation("tanh", tolerance=1e-6)
        >>> bool(tanh.error_bound(1.0, 4.0) <= 1e-6)
        True
        """
        first, second = np.broadcast_arrays(variance_array(q1, "q1"), variance_array(q2, "q2"))
        bound = self._dual.error_bound(np.concatenate((first.ravel(), second.ravel())))
        n = first.size
        return np.asarray(np.sqrt(bound[:n] * bound[n:]).reshape(first.shape))[()]


def _called(function: object) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _named_parameters(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    if name not in REGISTRY:
        raise unknown_name("activation", name, list(REGISTRY))
    family = REGISTRY[name]
    for key in parameters:
        if key not in family.parameters:
            known = ", ".join(family.parameters) or "none"
            raise TypeError(f"activation {name!r}: no parameter {key!r}; its parameters: {known}.")
    given = {key: parameters.get(key, parameter.default) for key, parameter in family.parameters.items()}
    missing = [key for key, value in given.items() if value is None and key not in parameters]
    if missing:
        raise TypeError(f"activation {name!r}: missing parameter {' and '.join(map(repr, missing))}.")
    return {key: family.parameters[key].check(value, key) for key, value in given.items()}


@lru_cache(maxsize=256)
def _is_odd(activation: Activation) -> bool:
    return activation._dual.is_odd


def _tolerance(value: object) -> float:
    number = finite_number(value, "tolerance")
    if not _SMALLEST_TOLERANCE <= number < 1:
        raise ValueError(f"tolerance must be from {_SMALLEST_TOLERANCE:g} to 1, got {shown(value)}.")
    return number


def _rebuild(name: str, parameters: Any, function: Any, options: Any) -> Activation:
    if function is not None:
        return Activation(function, name=name, **dict(options))
    if name == "piecewise_linear":
        return Activation.piecewise_linear(**dict(parameters))
    return Activation(name, **dict(parameters), **dict(options))


def _floating(x: ArrayLike) -> NDArray[Any]:
    array = real_array(x, "x", finite=False)
    return array if array.dtype.kind == "f" else array.astype(np.float64)
