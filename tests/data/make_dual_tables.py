"""Truth tables for dual activations: writes ``dual_tables.npz`` next to this script.

Regenerate (four minutes on two cores, the same bytes every time on one machine) with

    python tests/data/make_dual_tables.py

For (u, v) ~ N(0, [[q1, c], [c, q2]]), c = rho sqrt(q1 q2), the tables hold F = E[phi(u) phi(v)] and
F' = E[phi'(u) phi'(v)], phi' the derivative where there is one. The script shares no code with fastntk, prints
the estimated error of every activation and fails where one is above 1e-12. Errors are relative to
sqrt(F(q1, q1) F(q2, q2)), for F' likewise. There are two kinds of truth:

Closed forms
    60-digit arithmetic, rounded once to float64, and compared with float64 quadrature.
Quadrature
    For activations without one: composite Gauss-Legendre, compared with a coarser rule that has the roles of u and v
    exchanged and, at random points, with adaptive quadrature by mpmath.

Contents of the file:

``cases``
    JSON list with one object per activation: ``name`` and ``parameters`` (its keyword arguments), ``closed_form``
    (which kind of truth).
``q``, ``rho``, float64 ndarrays
    Variances and correlations. sqrt(q1 q2) and c are exact in float64.
``pairs``, int ndarray of shape (21, 2)
    The pairs q1 <= q2 as indices into ``q``.
``{i}/F``, ``{i}/dF``, float64 ndarrays of shape (21, 11)
    F and F' of case i for every pair and every rho. NaN where F(q1, q1) or F(q2, q2) exceeds 1e300.
"""

import json
import math
import random
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray
from scipy.special import expit, ndtr

mp.dps = 60

Array = NDArray[Any]

Q = (4.0**-10, 4.0**-5, 0.25, 1.0, 16.0, 1e4)
RHO = tuple(sorted({sign * r for r in (0.0, 1 / 2, 29 / 32, 127 / 128, 1 - 2.0**-20, 1.0) for sign in (1, -1)}))
PAIRS = tuple(combinations_with_replacement(range(len(Q)), 2))
TOLERANCE = 1e-12
LARGEST = 1e300


class Covariance(NamedTuple):
    """Of the Gaussian pair (u, v)."""

    q1: mpf
    q2: mpf
    rho: mpf

    @property
    def s(self) -> mpf:
        """sqrt(q1 q2)."""
        return mp.sqrt(self.q1 * self.q2)

    @property
    def c(self) -> mpf:
        """E[u v]."""
        return self.rho * self.s


# (F, F')
Dual = Callable[[Covariance], tuple[mpf, mpf]]


class Function(NamedTuple):
    """phi in float64, and what a quadrature has to know about it.

    Features of phi have size 1 in x and are near 0, except for kinks and jumps, at ``kinks``, and for oscillations.
    Integrals over the standard normal z end at +-reach, in panels no wider than width.
    """

    phi: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()
    reach: float = 10.0
    width: float = 2.0
    largest_q: float = math.inf


class Case(NamedTuple):
    """One activation. Truth is ``dual``, or else the quadrature of ``function``, which ``plain`` is in mpmath."""

    name: str
    parameters: dict[str, Any]
    function: Function | None
    dual: Dual | None = None
    plain: Callable[[mpf], mpf] | None = None


def gelu(cov: Covariance) -> tuple[mpf, mpf]:
    """``x Phi(x)``."""
    q1, q2, c = cov.q1, cov.q2, cov.c
    p = (1 + q1) * (1 + q2)
    d = mp.sqrt(p - c**2)
    angle = mp.atan2(c, d) / (2 * mp.pi)
    f = c / 4 + c * angle + (c**2 + q1 * q2 * d**2) / (2 * mp.pi * p * d)
    return f, mpf(1) / 4 + angle + c / (2 * mp.pi * d) * (1 / d**2 + (1 - q1 * q2) / p + 1)


def normal_cdf(b: mpf) -> Dual:
    """Phi(b x)."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        q1, q2, c = b**2 * cov.q1, b**2 * cov.q2, b**2 * cov.c
        d = mp.sqrt((1 + q1) * (1 + q2) - c**2)
        return mpf(1) / 4 + mp.atan2(c, d) / (2 * mp.pi), b**2 / (2 * mp.pi * d)

    return dual


def smoothed_relu(s: float) -> Dual:
    """``x Phi(x / s) + s pdf(x / s)``: the mean of relu(x + s noise), so that variances grow by s**2."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        q1, q2, c = cov.q1 + mpf(s) ** 2, cov.q2 + mpf(s) ** 2, cov.c
        sqrt_det = mp.sqrt(q1 * q2 - c**2)
        slope = (mp.pi - mp.atan2(sqrt_det, c)) / (2 * mp.pi)
        return sqrt_det / (2 * mp.pi) + c * slope, slope

    return dual


def sin(a: float, b: float, phase: mpf) -> Dual:
    """``a sin(b x + phase)``."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        near, far = (mp.exp(-(mpf(b) ** 2) * (cov.q1 + cov.q2 + sign * 2 * cov.c) / 2) for sign in (-1, 1))
        far *= mp.cos(2 * phase)
        return mpf(a) ** 2 * (near - far) / 2, (mpf(a) * b) ** 2 * (near + far) / 2

    return dual


def rbf(gamma: float) -> Dual:
    """sqrt(2) sin(sqrt(2 gamma) x + pi / 4)."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        f = mp.exp(-mpf(gamma) * (cov.q1 + cov.q2 - 2 * cov.c))
        return f, 2 * mpf(gamma) * f

    return dual


def gaussian(a: float, b: float) -> Dual:
    """``a exp(b x**2)``."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        a2, b2 = mpf(a) ** 2, 2 * mpf(b)
        det = (1 - b2 * cov.q1) * (1 - b2 * cov.q2) - (b2 * cov.c) ** 2
        return a2 / mp.sqrt(det), a2 * b2**2 * cov.c / (det * mp.sqrt(det))

    return dual


def gabor(cov: Covariance) -> tuple[mpf, mpf]:
    """exp(-x**2) sin(x)."""
    product, c, total = cov.q1 * cov.q2, cov.c, cov.q1 + cov.q2
    det4 = 4 * (product - c**2)
    n = 2 * total + det4 + 1
    decay, a, b = mp.exp(-(total + det4 + 2 * c) / (2 * n)), 1 + 2 * total + 4 * (c**2 + product), 4 * c
    b *= det4 + 3 * total + 2
    f = decay * mp.expm1(2 * c / n) / (2 * mp.sqrt(n))
    return f, decay * ((a - b) + mp.exp(2 * c / n) * (a + b)) / (2 * n**2 * mp.sqrt(n))


def exp(a: float, b: float) -> Dual:
    """``a exp(b x)``."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        f = mpf(a) ** 2 * mp.exp(mpf(b) ** 2 * (cov.q1 + cov.q2 + 2 * cov.c) / 2)
        return f, mpf(b) ** 2 * f

    return dual


def exp_normalized(gamma: float, shift: float) -> Dual:
    """A kernel of no phi: F is given and F' = dF/dc."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        kappa = mp.exp(mpf(gamma) * (cov.rho + mpf(shift)))
        return cov.s * kappa, mpf(gamma) * kappa

    return dual


def snake(a: float) -> Dual:
    """``x + sin(a x)**2 / a``."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        a2 = 2 * mpf(a) ** 2
        near, far = (mp.exp(-a2 * (cov.q1 + cov.q2 + sign * 2 * cov.c)) / 2 for sign in (-1, 1))
        f = cov.c + (1 - mp.exp(-a2 * cov.q1) - mp.exp(-a2 * cov.q2) + near + far) / (2 * a2)
        return f, 1 + near - far

    return dual


def polynomial(coefficients: Sequence[mpf]) -> Dual:
    """Sum of coefficients[i] x**i."""
    slopes = [i * a for i, a in enumerate(coefficients)][1:]

    def moment(cov: Covariance, m: int, n: int) -> mpf:
        """E[u**m v**n]: j factors u are paired with factors v, the others among themselves."""
        return mp.fsum(
            cov.c**j
            * (cov.q1 / 2) ** ((m - j) // 2)
            * (cov.q2 / 2) ** ((n - j) // 2)
            * mp.factorial(m)
            * mp.factorial(n)
            / (mp.factorial(j) * mp.factorial((m - j) // 2) * mp.factorial((n - j) // 2))
            for j in range(m % 2, min(m, n) + 1, 2)
            if (m - n) % 2 == 0
        )

    def mean(cov: Covariance, a: Sequence[mpf]) -> mpf:
        return mp.fsum(x * y * moment(cov, i, j) for i, x in enumerate(a) for j, y in enumerate(a))

    return lambda cov: (mean(cov, coefficients), mean(cov, slopes))


def hermite_coefficients(k: int) -> list[mpf]:
    """He_k / sqrt(k!), the probabilists' polynomials, lowest order first."""
    below, he = [0], [1]
    for n in range(k):
        below, he = he, [x - n * y for x, y in zip([0, *he], [*below, 0, 0], strict=False)]
    return [mpf(x) / mp.sqrt(mp.factorial(k)) for x in he]


def rectified_monomial(degree: int) -> Dual:
    """max(x, 0)**degree."""

    def moment(rho: mpf, m: int, n: int) -> mpf:
        """E[max(x, 0)**m max(y, 0)**n] at unit variances, 0**0 = 0: by parts, E[x g(x, y)] = E[g_x + rho g_y]."""
        if m < n:
            m, n = n, m
        if m == 0:
            return (mp.pi - mp.acos(rho)) / (2 * mp.pi)
        if m == 1:
            sigma = mp.sqrt((1 - rho) * (1 + rho))
            at_zero = mpf(1) / 2 if n == 0 else sigma / mp.sqrt(2 * mp.pi)
            below = rho * moment(rho, 0, 0) if n else rho / (2 * mp.sqrt(2 * mp.pi))
            return at_zero / mp.sqrt(2 * mp.pi) + below
        return (m - 1) * moment(rho, m - 2, n) + (n * rho * moment(rho, m - 1, n - 1) if n else boundary(rho, m))

    def boundary(rho: mpf, m: int) -> mpf:
        """Derivative of the step y > 0 in the same: rho E[max(x, 0)**(m - 1) delta(y)]."""
        sigma2 = (1 - rho) * (1 + rho)
        absolute = mp.sqrt(mpf(2) ** (m - 1) / mp.pi) * mp.gamma(mpf(m) / 2)
        return rho * sigma2 ** (mpf(m - 1) / 2) * absolute / 2 / mp.sqrt(2 * mp.pi)

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        f = cov.s**degree * moment(cov.rho, degree, degree)
        if degree == 0:
            return f, mpf(0)
        return f, degree**2 * cov.s ** (degree - 1) * moment(cov.rho, degree - 1, degree - 1)

    return dual


def pdf(x: Array) -> Any:
    """Density of the standard normal."""
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def sech2(x: Array) -> Any:
    """1 / cosh(x)**2."""
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


def softplus(x: Array) -> Any:
    """log(1 + exp(x))."""
    return np.logaddexp(0, x)


def wave(f: Callable[[Array], Array], derivative: Callable[[Array], Array]) -> Function:
    """An oscillation: panels everywhere, not just near 0, and so not for the largest q."""
    return Function(f, derivative, width=0.5, largest_q=16.0)


def power(degree: int) -> Function:
    """max(x, 0)**degree."""
    return Function(
        lambda x: np.where(x > 0, x, 0) ** degree * (x > 0),
        lambda x: degree * np.where(x > 0, x, 0) ** max(degree - 1, 0) * (x > 0),
        kinks=(0,),
        reach=13,
    )


def series(coefficients: Sequence[float]) -> Function:
    """Sum of coefficients[i] x**i."""
    p = np.polynomial.Polynomial([float(a) for a in coefficients])
    return Function(p, p.deriv(), reach=13)


def exponential_unit(alpha: float, beta: float = 1.0, scale: float = 1.0) -> Function:
    """``scale x`` for x > 0, else ``scale alpha (exp(beta x) - 1)``."""
    return Function(
        lambda x: scale * np.where(x > 0, x, alpha * np.expm1(beta * np.minimum(x, 0))),
        lambda x: scale * np.where(x > 0, 1, alpha * beta * np.exp(beta * np.minimum(x, 0))),
        kinks=(0,),
    )


def swish(beta: float) -> Function:
    """``x sigmoid(beta x)``."""
    return Function(
        lambda x: x * expit(beta * x),
        lambda x: expit(beta * x) * (1 + beta * x * expit(-beta * x)),
    )


def log_cosh(x: Array) -> Any:
    """log(cosh(x)), accurate near 0 and far away."""
    near = np.log1p(2 * np.sinh(np.minimum(np.abs(x), 1) / 2) ** 2)
    return np.where(np.abs(x) < 1, near, np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - math.log(2))


def mish_derivative(x: Array) -> Any:
    """tanh(softplus(x)) + x sigmoid(x) / cosh(softplus(x))**2."""
    return np.tanh(softplus(x)) + x * expit(x) * sech2(softplus(x))


def gelu_tanh(x: Array) -> Any:
    """0.5 x (1 + tanh(g)) = x sigmoid(2 g)."""
    return x * expit(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def gelu_tanh_derivative(x: Array) -> Any:
    """sigmoid(2 g) + x g' / 2 cosh(g)**2."""
    k = math.sqrt(2 / math.pi)
    g = k * (x + 0.044715 * x**3)
    return expit(2 * g) + x * k * (1 + 3 * 0.044715 * x**2) * sech2(g) / 2


def shrink(threshold: float, pull: float) -> Function:
    """``x - pull sign(x)`` where abs(x) > threshold, else 0. For q = 4**-5, all that matters is around z = 16."""
    return Function(
        lambda x: np.where(np.abs(x) > threshold, x - pull * np.sign(x), 0),
        lambda x: 1.0 * (np.abs(x) > threshold),
        kinks=(-threshold, threshold),
        reach=20,
        width=0.75,
    )


def sigmoid(x: mpf) -> mpf:
    """Logistic sigmoid in mpmath."""
    return 1 / (1 + mp.exp(-x))


def clip(x: mpf, low: int, high: int) -> mpf:
    """Clip in mpmath."""
    return min(max(x, mpf(low)), mpf(high))


SIGMOID_LIKE = 2.4020563531719796
SELU, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def sin_case(name: str, a: float, b: float, c: float) -> Case:
    """``a sin(b x + c)`` or ``a cos(b x + c)``."""
    shift = {"sin": 0, "cos": 1}[name]
    phase = c + shift * math.pi / 2
    function = wave(lambda x: a * np.sin(b * x + phase), lambda x: a * b * np.cos(b * x + phase))
    return Case(name, {"a": a, "b": b, "c": c}, function, sin(a, b, mpf(c) + shift * mp.pi / 2))


def rbf_case(gamma: float) -> Case:
    """sqrt(2) sin(sqrt(2 gamma) x + pi / 4)."""
    b = math.sqrt(2 * gamma)
    function = wave(lambda x: np.sin(b * x) + np.cos(b * x), lambda x: b * (np.cos(b * x) - np.sin(b * x)))
    return Case("rbf", {"gamma": gamma}, function, rbf(gamma))


def snake_case(a: float) -> Case:
    """``x + sin(a x)**2 / a``."""
    function = wave(lambda x: x + np.sin(a * x) ** 2 / a, lambda x: 1 + np.sin(2 * a * x))
    return Case("snake", {"a": a}, function, snake(a))


def gaussian_case(a: float, b: float) -> Case:
    """``a exp(b x**2)``."""
    function = Function(lambda x: a * np.exp(b * x**2), lambda x: 2 * a * b * x * np.exp(b * x**2))
    return Case("gaussian", {"a": a, "b": b}, function, gaussian(a, b))


def exp_case(a: float, b: float) -> Case:
    """``a exp(b x)``: the mass is where x = 2 b q."""
    function = Function(lambda x: a * np.exp(b * x), lambda x: a * b * np.exp(b * x), reach=21)
    return Case("exp", {"a": a, "b": b}, function, exp(a, b))


def smoothed_relu_case(s: float) -> Case:
    """``x Phi(x / s) + s pdf(x / s)``."""
    function = Function(lambda x: x * ndtr(x / s) + s * pdf(x / s), lambda x: ndtr(x / s))
    return Case("smoothed_relu", {"s": s}, function, smoothed_relu(s))


def polynomial_case(name: str, parameters: dict[str, Any], coefficients: Sequence[Any]) -> Case:
    """Polynomials under any name."""
    exact = [mpf(a) for a in coefficients]
    return Case(name, parameters, series(exact), polynomial(exact))


def closed_forms() -> list[Case]:
    """Activations whose truth is a formula."""
    b = math.sqrt(2) / SIGMOID_LIKE
    return [
        Case("gelu", {}, Function(lambda x: x * ndtr(x), lambda x: ndtr(x) + x * pdf(x)), gelu),
        Case("normal_cdf", {}, Function(ndtr, pdf), normal_cdf(mpf(1))),
        Case(
            "sigmoid_like",
            {},
            Function(lambda x: ndtr(b * x), lambda x: b * pdf(b * x)),
            normal_cdf(mp.sqrt(2) / mpf(SIGMOID_LIKE)),
        ),
        *(smoothed_relu_case(s) for s in (1.0, 0.3)),
        *(sin_case(name, *abc) for name in ("sin", "cos") for abc in ((1.0, 1.0, 0.0), (0.7, 1.3, 0.4))),
        rbf_case(0.7),
        *(gaussian_case(*ab) for ab in ((1.0, -1.0), (0.5, -0.3))),
        Case(
            "gabor",
            {},
            Function(
                lambda x: np.exp(-(x**2)) * np.sin(x),
                lambda x: np.exp(-(x**2)) * (np.cos(x) - 2 * x * np.sin(x)),
            ),
            gabor,
        ),
        *(exp_case(*ab) for ab in ((1.0, 1.0), (0.8, -0.05))),
        Case("exp_normalized", {"gamma": 1.3, "shift": -1.0}, None, exp_normalized(1.3, -1.0)),
        *(snake_case(a) for a in (1.0, 0.4)),
        *(polynomial_case("monomial", {"degree": n}, [0] * n + [1]) for n in range(1, 6)),
        *(Case("rectified_monomial", {"degree": n}, power(n), rectified_monomial(n)) for n in range(4)),
        Case("squared_relu", {}, power(2), rectified_monomial(2)),
        polynomial_case("polynomial", {"coefficients": [0.3, -1.0, 0.5, 0.25]}, [0.3, -1.0, 0.5, 0.25]),
        *(polynomial_case("hermite", {"degree": k}, hermite_coefficients(k)) for k in range(6)),
    ]


def softplus_case(beta: float) -> Case:
    """log(1 + exp(beta x)) / beta."""
    function = Function(lambda x: softplus(beta * x) / beta, lambda x: expit(beta * x))
    return Case("softplus", {"beta": beta}, function, plain=lambda x: mp.log(1 + mp.exp(beta * x)) / beta)


def exponential_unit_case(
    name: str, parameters: dict[str, Any], alpha: float, beta: float = 1.0, scale: float = 1.0
) -> Case:
    """ELU and its relatives."""
    return Case(
        name,
        parameters,
        exponential_unit(alpha, beta, scale),
        plain=lambda x: scale * (x if x > 0 else alpha * (mp.exp(beta * x) - 1)),
    )


def expansions() -> list[Case]:
    """Activations whose truth is a quadrature."""
    return [
        Case("tanh", {}, Function(np.tanh, sech2), plain=mp.tanh),
        Case("sigmoid", {}, Function(expit, lambda x: expit(x) * expit(-x)), plain=sigmoid),
        *(softplus_case(beta) for beta in (1.0, 2.5)),
        Case("silu", {}, swish(1.0), plain=lambda x: x * sigmoid(x)),
        Case("swish", {"beta": 1.7}, swish(1.7), plain=lambda x: x * sigmoid(1.7 * x)),
        Case(
            "mish",
            {},
            Function(lambda x: x * np.tanh(softplus(x)), mish_derivative),
            plain=lambda x: x * mp.tanh(mp.log(1 + mp.exp(x))),
        ),
        Case(
            "gelu_tanh",
            {},
            Function(gelu_tanh, gelu_tanh_derivative),
            plain=lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + 0.044715 * x**3))),
        ),
        *(exponential_unit_case("elu", {"alpha": alpha}, alpha) for alpha in (1.0, 0.6)),
        exponential_unit_case("selu", {}, SELU_ALPHA, scale=SELU),
        exponential_unit_case("celu", {"alpha": 0.7}, 0.7, 1 / 0.7),
        Case(
            "hard_tanh",
            {},
            Function(lambda x: np.clip(x, -1, 1), lambda x: 1.0 * (np.abs(x) < 1), kinks=(-1, 1)),
            plain=lambda x: clip(x, -1, 1),
        ),
        Case(
            "relu6",
            {},
            Function(lambda x: np.clip(x, 0, 6), lambda x: 1.0 * (np.abs(x - 3) < 3), kinks=(0, 6)),
            plain=lambda x: clip(x, 0, 6),
        ),
        Case(
            "hard_sigmoid",
            {},
            Function(lambda x: np.clip(x / 6 + 0.5, 0, 1), lambda x: (np.abs(x) < 3) / 6, kinks=(-3, 3)),
            plain=lambda x: clip(x / 6 + mpf(1) / 2, 0, 1),
        ),
        Case(
            "hard_swish",
            {},
            Function(
                lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
                lambda x: np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0),
                kinks=(-3, 3),
            ),
            plain=lambda x: x * clip(x / 6 + mpf(1) / 2, 0, 1),
        ),
        Case(
            "softsign",
            {},
            Function(lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2.0, kinks=(0,)),
            plain=lambda x: x / (1 + abs(x)),
        ),
        Case(
            "soft_shrink",
            {"threshold": 0.5},
            shrink(0.5, 0.5),
            plain=lambda x: mp.sign(x) * max(abs(x) - mpf(0.5), mpf(0)),
        ),
        Case("hard_shrink", {"threshold": 0.5}, shrink(0.5, 0.0), plain=lambda x: x if abs(x) > 0.5 else mpf(0)),
        Case("log_cosh", {}, Function(log_cosh, np.tanh), plain=lambda x: mp.log(mp.cosh(x))),
    ]


CASES = closed_forms() + expansions()


class Rule(NamedTuple):
    """Gauss-Legendre on panels; scale shrinks all of them."""

    points: int
    scale: float

    def nodes(self) -> tuple[Array, Array]:
        """Nodes and weights for the panel (0, 1)."""
        x, w = np.polynomial.legendre.leggauss(self.points)
        return (x + 1) / 2, w / 2


FINE, COARSE = Rule(20, 0.7), Rule(14, 1.0)


def graded(smallest: float, function: Function, rule: Rule) -> Array:
    """Distances 0, h, 2 h, 4 h, ... from a feature of that size, up to any point that matters."""
    count = math.ceil(math.log2(max(2 * function.reach / (smallest * rule.scale), 1)))
    steps = smallest * rule.scale * 2.0 ** np.arange(count)
    return np.concatenate([-steps[::-1], [0], steps])


def even(function: Function, rule: Rule) -> Array:
    """Panels of equal width."""
    return np.linspace(
        -function.reach, function.reach, 1 + math.ceil(2 * function.reach / (function.width * rule.scale))
    )


def line(edges: Array, function: Function, rule: Rule) -> tuple[Array, Array]:
    """Nodes and weights for E[f(z)], z standard normal."""
    edges = np.unique(np.clip(edges, -function.reach, function.reach))
    x, w = rule.nodes()
    width = np.diff(edges)[:, None]
    z = (edges[:-1, None] + width * x).ravel()
    return z, (width * w).ravel() * pdf(z)


def parallel(function: Function, q1: float, q2: float, sign: float, rule: Rule) -> tuple[float, float]:
    """(F, F') for rho = sign = 1 or -1: one integral."""
    a, b = math.sqrt(q1), sign * math.sqrt(q2)
    kinks = [k / slope for k in function.kinks for slope in (a, b)]
    edges = np.concatenate([even(function, rule), graded(1 / max(a, abs(b)), function, rule), kinks])
    z, weight = line(edges, function, rule)
    f, df = (np.sum(weight * g(a * z) * g(b * z)) for g in (function.phi, function.derivative))
    return float(f), float(df)


def orthogonal(function: Function, q1: float, q2: float, rule: Rule) -> tuple[float, float]:
    """(F, F') for rho = 0: products of integrals."""
    f = df = 1.0
    for a in (math.sqrt(q1), math.sqrt(q2)):
        edges = np.concatenate([even(function, rule), graded(1 / a, function, rule), [k / a for k in function.kinks]])
        z, weight = line(edges, function, rule)
        f *= float(np.sum(weight * function.phi(a * z)))
        df *= float(np.sum(weight * function.derivative(a * z)))
    return f, df


def conditional(function: Function, b: float, rho: float, z: Array, rule: Rule) -> tuple[Array, Array]:
    """E[f(b (rho z + sigma t))] over t standard normal, sigma**2 = 1 - rho**2, for f = phi and phi'."""
    sigma = math.sqrt((1 - rho) * (1 + rho))
    shift = -rho * z[:, None] / sigma
    parts = [np.broadcast_to(even(function, rule), (len(z), even(function, rule).size))]
    if 1 / (b * sigma) < 2 * function.reach:
        parts.append(shift + graded(1 / (b * sigma), function, rule))
    if function.kinks:
        parts.append(shift + np.array(function.kinks) / (b * sigma))
    edges = np.sort(np.clip(np.concatenate(parts, axis=1), -function.reach, function.reach), axis=1)
    rows, panels = np.nonzero(np.diff(edges, axis=1))

    x, w = rule.nodes()
    means = np.zeros((2, len(z)))
    for start in range(0, len(rows), 2048):
        row, panel = rows[start : start + 2048], panels[start : start + 2048]
        left = edges[row, panel][:, None]
        width = edges[row, panel + 1][:, None] - left
        t = left + width * x
        y = b * (rho * z[row][:, None] + sigma * t)
        weight = width * w * pdf(t)
        for mean, f in zip(means, (function.phi, function.derivative), strict=True):
            mean += np.bincount(row, np.sum(weight * f(y), axis=1), len(z))
    return means[0], means[1]


def general(function: Function, q1: float, q2: float, rho: float, rule: Rule) -> tuple[float, float]:
    """(F, F') for 0 < abs(rho) < 1: the integral over u of a conditional mean.

    The mean varies where phi does, but over no less than sigma in z.
    """
    a, b = math.sqrt(q1), math.sqrt(q2)
    sigma = math.sqrt((1 - rho) * (1 + rho))
    edges = [
        even(function, rule),
        graded(min(1 / a, max(1 / b, sigma) / abs(rho)), function, rule),
        np.array(function.kinks) / a,
        *(k / (b * rho) + graded(sigma / abs(rho), function, rule) for k in function.kinks),
    ]
    z, weight = line(np.concatenate(edges), function, rule)
    means = conditional(function, b, rho, z, rule)
    f, df = (np.sum(weight * g(a * z) * m) for g, m in zip((function.phi, function.derivative), means, strict=True))
    return float(f), float(df)


def quadrature(function: Function, q1: float, q2: float, rho: float, rule: Rule) -> tuple[float, float]:
    """(F, F')."""
    if abs(rho) == 1:
        return parallel(function, q1, q2, rho, rule)
    if rho == 0:
        return orthogonal(function, q1, q2, rule)
    return general(function, q1, q2, rho, rule)


def table_row(index: int, pair: tuple[int, int]) -> tuple[Array, Array]:
    """F and F' of a case for every rho, shape (2, 11), and the largest error of each, shape (2,)."""
    _, _, function, dual, _ = CASES[index]
    q1, q2 = (Q[k] for k in pair)
    errors = np.zeros(2)
    if dual is not None:
        truth = np.array([[float(x) for x in dual(Covariance(mpf(q1), mpf(q2), mpf(rho)))] for rho in RHO]).T
        diagonals = [dual(Covariance(mpf(q), mpf(q), mpf(1))) for q in (q1, q2)]
        if max(f for f, _ in diagonals) > LARGEST:
            return np.full_like(truth, math.nan), errors
    else:
        assert function is not None
        truth = np.array([quadrature(function, q1, q2, rho, FINE) for rho in RHO]).T
        diagonals = [parallel(function, q, q, 1, FINE) for q in (q1, q2)]
    if function is not None and q2 <= function.largest_q:
        check = np.array([quadrature(function, q2, q1, rho, COARSE) for rho in RHO]).T
        difference = np.max(np.abs(check - truth), axis=1)
        scales = [float(mp.sqrt(x) * mp.sqrt(y)) for x, y in zip(*diagonals, strict=True)]
        errors = np.array([d / s if d else 0.0 for d, s in zip(difference, scales, strict=True)])
    return truth, errors


def adaptive_errors(index: int) -> Array:
    """Errors of F and F' at a random point against nested adaptive quadrature, F' of numerical derivatives."""
    _, _, function, _, plain = CASES[index]
    assert function is not None
    assert plain is not None
    rng = random.Random(index)
    q1, q2, rho = rng.choice(Q[2:5]), rng.choice(Q[2:5]), rng.choice([r for r in RHO if 0 < abs(r) < 0.95])
    truth = quadrature(function, q1, q2, rho, FINE)
    scales = [math.sqrt(x * y) for x, y in zip(*(parallel(function, q, q, 1, FINE) for q in (q1, q2)), strict=True)]

    with mp.workdps(18):
        a, b, sigma, reach = mp.sqrt(q1), mp.sqrt(q2), mp.sqrt((1 - mpf(rho)) * (1 + mpf(rho))), mpf(9)
        kinks = (0, *function.kinks)

        def mean(f: Callable[[mpf], mpf], splits: list[mpf]) -> mpf:
            edges = sorted({min(max(x, -reach), reach) for x in (*range(-9, 10, 2), *splits)})
            return mp.quad(lambda z: mp.npdf(z) * f(z), edges, method="gauss-legendre", maxdegree=4)

        def expectation(f: Callable[[mpf], mpf]) -> mpf:
            def inner(z: mpf) -> mpf:
                return mean(lambda t: f(b * (rho * z + sigma * t)), [(k / b - rho * z) / sigma for k in kinks])

            splits = [k / slope for k in kinks for slope in (a, b * mpf(rho))]
            return mean(lambda z: f(a * z) * inner(z), splits)

        expected = expectation(plain), expectation(lambda x: mp.diff(plain, x))
    return np.array([abs(float(x) - y) / s for x, y, s in zip(expected, truth, scales, strict=True)])


def main() -> None:
    """Write the file."""
    jobs = [(index, pair) for index in range(len(CASES)) for pair in PAIRS]
    numerical = [index for index, case in enumerate(CASES) if case.dual is None]
    with Pool() as pool:
        checks = pool.map_async(adaptive_errors, numerical, chunksize=1)
        rows = dict(zip(jobs, pool.starmap(table_row, jobs, chunksize=1), strict=True))
        adaptive = dict(zip(numerical, checks.get(), strict=True))

    arrays: dict[str, Any] = {"q": np.array(Q), "rho": np.array(RHO), "pairs": np.array(PAIRS)}
    records = []
    worst = 0.0
    for index, case in enumerate(CASES):
        records.append({"name": case.name, "parameters": case.parameters, "closed_form": case.dual is not None})
        arrays[f"{index}/F"], arrays[f"{index}/dF"] = np.stack([rows[index, pair][0] for pair in PAIRS], axis=1)
        errors = np.array([rows[index, pair][1] for pair in PAIRS] + ([adaptive[index]] if index in adaptive else []))
        worst = max(worst, float(errors.max()))
        print(f"{case.name:20} {case.parameters!s:45} {errors[:, 0].max():8.1e} {errors[:, 1].max():8.1e}", end="")
        print("  adaptive {:8.1e} {:8.1e}".format(*adaptive[index]) if index in adaptive else "")
    if not worst <= TOLERANCE:
        raise ArithmeticError(f"The largest error is {worst:.1e}, above {TOLERANCE}: nothing was written.")
    arrays["cases"] = np.array(json.dumps(records))
    np.savez_compressed(Path(__file__).with_name("dual_tables.npz"), **arrays)


if __name__ == "__main__":
    main()
