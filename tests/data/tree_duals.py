"""Dual activations of `make_tree_tables.py` in mpmath: closed forms, and quadrature where there is none."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from mpmath import mp, mpf

# theta = acos(rho) keeps half the digits of rho where |rho| = 1: 60 of 120.
mp.dps = 120

#: Of the quadrature of tanh, silu and softplus.
DIGITS = 22


class Covariance(NamedTuple):
    """Of the Gaussian pair (u, v)."""

    q1: mpf
    q2: mpf
    c: mpf

    @property
    def det(self) -> mpf:
        """q1 q2 - c²."""
        return max(self.q1 * self.q2 - self.c**2, mpf(0))

    @property
    def theta(self) -> mpf:
        """Angle between u and v."""
        return mp.atan2(mp.sqrt(self.det), self.c)


class Function(NamedTuple):
    """E[phi(u) phi(v)] and E[phi'(u) phi'(v)] of a pair, and E[phi(u)] of a variance."""

    dual: Callable[[Covariance], tuple[mpf, mpf]]
    mean: Callable[[mpf], mpf]


def abrelu(a: float, b: float) -> Function:
    """Slopes a for x < 0, b for x > 0: the arc-cosine kernel of degree 1, Cho and Saul (2009), and a linear one."""
    bend, square = (mpf(b) - mpf(a)) ** 2 / (2 * mp.pi), (mpf(a) ** 2 + mpf(b) ** 2) / 2

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        slope = square - bend * p.theta
        return bend * mp.sqrt(p.det) + p.c * slope, slope

    return Function(dual, lambda q: (mpf(b) - mpf(a)) * mp.sqrt(q / (2 * mp.pi)))


def step() -> Function:
    """1 for x > 0: the arc-cosine kernel of degree 0."""
    return Function(lambda p: ((mp.pi - p.theta) / (2 * mp.pi), mpf(0)), lambda _: mpf(1) / 2)


def sign() -> Function:
    """2 step - 1."""
    return Function(lambda p: (1 - 2 * p.theta / mp.pi, mpf(0)), lambda _: mpf(0))


def squared_relu() -> Function:
    """max(x, 0)²: the arc-cosine kernel of degree 2."""

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        psi, sine = mp.pi - p.theta, mp.sqrt(p.det)
        second = 3 * sine * p.c + psi * (p.q1 * p.q2 + 2 * p.c**2)
        return second / (2 * mp.pi), 4 * (sine + psi * p.c) / (2 * mp.pi)

    return Function(dual, lambda q: q / 2)


def erf(a: float, b: float, c: float) -> Function:
    """``a erf(b x) + c``, Williams (1997)."""
    a2, b2, c2 = mpf(a) ** 2, mpf(b) ** 2, mpf(c) ** 2

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        root = mp.sqrt(1 + 2 * b2 * (p.q1 + p.q2) + 4 * b2**2 * p.det)
        return 2 * a2 / mp.pi * mp.atan2(2 * b2 * p.c, root) + c2, 4 * a2 * b2 / (mp.pi * root)

    return Function(dual, lambda _: mpf(c))


def gelu() -> Function:
    """``x Phi(x)``: by parts, E[u v Phi(u) Phi(v)] = c P + ... with P = E[Phi(u) Phi(v)]."""

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        total = (1 + p.q1) * (1 + p.q2)
        root = mp.sqrt(1 + p.q1 + p.q2 + p.det)
        both = mpf(1) / 4 + mp.atan2(p.c, root) / (2 * mp.pi)
        value = p.c * both + (p.c**2 / root + p.q1 * p.q2 * root) / (2 * mp.pi * total)
        slope = both + p.c / (2 * mp.pi * root) * (1 / root**2 + 1 / (1 + p.q1) + 1 / (1 + p.q2))
        return value, slope

    return Function(dual, lambda q: q / mp.sqrt(2 * mp.pi * (1 + q)))


def sin(a: float, b: float, c: float) -> Function:
    """``a sin(b x + c)``, by E exp(i w) = exp(-Var(w) / 2)."""
    a2, b2, phase = mpf(a) ** 2, mpf(b) ** 2, mp.cos(2 * mpf(c))

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        minus, plus = (mp.exp(-b2 * (p.q1 + p.q2 + side * 2 * p.c) / 2) for side in (-1, 1))
        return a2 / 2 * (minus - phase * plus), a2 * b2 / 2 * (minus + phase * plus)

    return Function(dual, lambda q: mpf(a) * mp.sin(mpf(c)) * mp.exp(-b2 * q / 2))


def gaussian(a: float, b: float) -> Function:
    """``a exp(b x²)``: a Gaussian integral."""
    a2, b1 = mpf(a) ** 2, mpf(b)

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        d = 1 - 2 * b1 * (p.q1 + p.q2) + 4 * b1**2 * p.det
        return a2 / mp.sqrt(d), 4 * a2 * b1**2 * p.c / d ** (mpf(3) / 2)

    return Function(dual, lambda q: mpf(a) / mp.sqrt(1 - 2 * b1 * q))


def exp(a: float, b: float) -> Function:
    """``a exp(b x)``: E exp(w) = exp(Var(w) / 2)."""
    a2, b2 = mpf(a) ** 2, mpf(b) ** 2

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        value = a2 * mp.exp(b2 * (p.q1 + p.q2 + 2 * p.c) / 2)
        return value, b2 * value

    return Function(dual, lambda q: mpf(a) * mp.exp(b2 * q / 2))


def expectation(f: Callable[[mpf], mpf], p: Covariance, pole: mpf) -> mpf:
    """E[f(u) f(v)] for f without poles closer than `pole` to the real axis, by the trapezoidal rule to DIGITS.

    Its error falls as exp(-2 pi d / h), with d the distance of poles in z = u / sqrt(q1).
    """
    s1, s2 = mp.sqrt(p.q1), mp.sqrt(p.q2)
    sine, cosine = mp.sqrt(p.det) / (s1 * s2), p.c / (s1 * s2)
    with mp.workdps(DIGITS + 10):
        h = min(2 * mp.pi * pole / max(s1, s2) / (DIGITS * mp.log(10)), mpf(1) / 4)
        reach = mp.sqrt(2 * (DIGITS + 10) * mp.log(10))
        z = [k * h for k in range(-int(reach / h), int(reach / h) + 1)]
        w = [h * mp.exp(-(x**2) / 2) / mp.sqrt(2 * mp.pi) for x in z]
        if sine < mpf(10) ** -30:
            side = mp.sign(cosine)
            return mp.fsum(a * f(s1 * x) * f(side * s2 * x) for x, a in zip(z, w, strict=True))
        return mp.fsum(
            a * f(s1 * x) * mp.fsum(b * f(s2 * (cosine * x + sine * y)) for y, b in zip(z, w, strict=True))
            for x, a in zip(z, w, strict=True)
        )


def analytic(phi: Callable[[mpf], mpf], derivative: Callable[[mpf], mpf], pole: mpf) -> Function:
    """A function without closed form."""

    def mean(q: mpf) -> mpf:
        with mp.workdps(DIGITS + 10):
            s, h, n = mp.sqrt(q), mpf(1) / 32, 32 * 13
            return mp.fsum(
                h * mp.exp(-((k * h) ** 2) / 2) / mp.sqrt(2 * mp.pi) * phi(s * k * h) for k in range(-n, n + 1)
            )

    return Function(lambda p: (expectation(phi, p, pole), expectation(derivative, p, pole)), mean)


def _logistic(x: mpf) -> mpf:
    return 1 / (1 + mp.exp(-x))


def tanh() -> Function:
    """Hyperbolic tangent."""
    return analytic(mp.tanh, lambda x: mp.sech(x) ** 2, mp.pi / 2)


def silu() -> Function:
    """The function x sigmoid(x)."""
    return analytic(lambda x: x * _logistic(x), lambda x: _logistic(x) * (1 + x * (1 - _logistic(x))), mp.pi)


def softplus() -> Function:
    """log(1 + exp(x))."""
    return analytic(lambda x: mp.log1p(mp.exp(x)), _logistic, mp.pi)


def hard_tanh() -> Function:
    """Clipping to [-1, 1], relu(x + 1) - relu(x - 1) - 1: over v by hand, over u by Gauss-Legendre rules."""

    def clipped(m: mpf, s: mpf) -> tuple[mpf, mpf]:
        """E[clip(m + s z)], P[|m + s z| < 1]."""

        def relu(t: mpf) -> mpf:
            return t * mp.ncdf(t / s) + s * mp.npdf(t / s)

        return relu(m + 1) - relu(m - 1) - 1, mp.ncdf((1 - m) / s) - mp.ncdf((-1 - m) / s)

    def dual(p: Covariance) -> tuple[mpf, mpf]:
        s1, side = mp.sqrt(p.q1), mp.sqrt(p.det / p.q1)
        with mp.workdps(DIGITS + 10):
            ends = sorted({mpf(-12) * s1, mpf(-1), mpf(0), mpf(1), mpf(12) * s1})

            def both(u: mpf) -> tuple[mpf, mpf]:
                m = p.c / p.q1 * u
                if side > mpf(10) ** -30:
                    return clipped(m, side)
                return max(min(m, mpf(1)), mpf(-1)), mpf(1) if abs(m) < 1 else mpf(0)

            def density(u: mpf) -> mpf:
                return mp.npdf(u / s1) / s1

            points = [e for e in ends if abs(e) <= 12 * s1]
            if side <= mpf(10) ** -30:
                points = sorted({*points, *(t for t in (p.q1 / p.c, -p.q1 / p.c) if abs(t) < 12 * s1)})
            fine = [a + (b - a) * k / 8 for a, b in pairwise(points) for k in range(8)]
            fine.append(points[-1])
            inside = [e for e in fine if abs(e) <= 1]
            value = mp.quad(lambda u: max(min(u, mpf(1)), mpf(-1)) * both(u)[0] * density(u), fine)
            return value, mp.quad(lambda u: both(u)[1] * density(u), inside)

    return Function(dual, lambda _: mpf(0))


FUNCTIONS: dict[str, Callable[..., Function]] = {
    "relu": lambda: abrelu(0.0, 1.0),
    "leaky_relu": lambda alpha: abrelu(alpha, 1.0),
    "abs": lambda: abrelu(-1.0, 1.0),
    "abrelu": abrelu,
    "step": step,
    "sign": sign,
    "squared_relu": squared_relu,
    "erf": erf,
    "gelu": gelu,
    "sin": sin,
    "gaussian": gaussian,
    "exp": exp,
    "tanh": tanh,
    "silu": silu,
    "softplus": softplus,
    "hard_tanh": hard_tanh,
}


def check_closed_forms() -> None:
    """Of smooth functions, against quadrature."""
    rng = random.Random(0)
    phis: dict[str, tuple[dict[str, float], Callable[[mpf], mpf], Callable[[mpf], mpf]]] = {
        "erf": (
            {"a": 1.5, "b": 0.7, "c": 0.3},
            lambda x: 1.5 * mp.erf(mpf(0.7) * x) + 0.3,
            lambda x: 3 * mpf(0.7) / mp.sqrt(mp.pi) * mp.exp(-((mpf(0.7) * x) ** 2)),
        ),
        "gelu": ({}, lambda x: x * mp.ncdf(x), lambda x: mp.ncdf(x) + x * mp.npdf(x)),
        "sin": (
            {"a": 0.7, "b": 1.3, "c": 0.4},
            lambda x: mpf(0.7) * mp.sin(mpf(1.3) * x + mpf(0.4)),
            lambda x: mpf(0.7) * mpf(1.3) * mp.cos(mpf(1.3) * x + mpf(0.4)),
        ),
        "gaussian": ({"a": 1.0, "b": -0.5}, lambda x: mp.exp(-(x**2) / 2), lambda x: -x * mp.exp(-(x**2) / 2)),
        "exp": (
            {"a": 0.5, "b": 0.7},
            lambda x: mp.exp(mpf(0.7) * x) / 2,
            lambda x: mpf(0.7) * mp.exp(mpf(0.7) * x) / 2,
        ),
    }
    for name, (parameters, phi, derivative) in phis.items():
        function = FUNCTIONS[name](**parameters)
        by_quadrature = analytic(phi, derivative, mpf(1))
        q1, q2, rho = mpf(rng.uniform(0.1, 2)), mpf(rng.uniform(0.1, 2)), mpf(rng.uniform(-1, 1))
        p = Covariance(q1, q2, rho * mp.sqrt(q1 * q2))
        found = [*function.dual(p), function.mean(q1)]
        for one, other in zip(found, [*by_quadrature.dual(p), by_quadrature.mean(q1)], strict=True):
            if abs(one - other) > mpf(10) ** -20:
                raise AssertionError(f"{name}: {one} by its formula, {other} by quadrature")
