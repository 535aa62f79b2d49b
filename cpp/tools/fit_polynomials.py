"""Fit the polynomials of cpp/isa/polynomials.hpp (needs NumPy and mpmath).

    python cpp/tools/fit_polynomials.py    # half a minute; rewrites the header, prints the errors

A polynomial p approximates f on [0, end] with the smallest possible max |p/f - 1|, found by Remez's
exchange in 80-digit arithmetic. Its degree is the smallest for which that error stays below the
rounding error of the type.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

mp.dps = 80
HEADER = Path(__file__).resolve().parents[1] / "isa" / "polynomials.hpp"

Real = Any  # mpmath is untyped
Reals = NDArray[np.object_]


@dataclass(frozen=True)
class Target:
    """A function to approximate on [0, end], and how the header presents it."""

    name: str
    formula: str
    interval: str
    end: Real
    value: Callable[[Real], Real]


def arc_cosine_kernel(order: int, formula: str, obtuse: Callable[..., Real]) -> Target:
    """J_n(pi - theta) / (J_n(0) t^(n + 1/2)), with J_n of Cho & Saul (2009).

    `obtuse` is pi J_n(pi - theta) / J_n(0) as a function of theta, sin theta and cos theta.
    """

    def value(t: Real) -> Real:
        theta, sine, cosine = mp.acos(1 - t), mp.sqrt(t * (2 - t)), 1 - t
        return obtuse(theta, sine, cosine) / (mp.pi * t**order * mp.sqrt(t))

    return Target(f"ArcCosine{order}", formula, "t in [0, 1], cos theta = 1 - t", mpf(1), value)


TARGETS = (
    arc_cosine_kernel(0, "theta / (pi t^(1/2))", lambda a, s, c: a),
    arc_cosine_kernel(1, "(sin theta - theta cos theta) / (pi t^(3/2))", lambda a, s, c: s - a * c),
    arc_cosine_kernel(
        2,
        "(theta (1 + 2 cos^2 theta) - 3 sin theta cos theta) / (3 pi t^(5/2))",
        lambda a, s, c: (a * (1 + 2 * c**2) - 3 * s * c) / 3,
    ),
    arc_cosine_kernel(
        3,
        "(sin theta (4 + 11 cos^2 theta) - theta cos theta (9 + 6 cos^2 theta)) / (15 pi t^(7/2))",
        lambda a, s, c: (s * (4 + 11 * c**2) - a * c * (9 + 6 * c**2)) / 15,
    ),
    Target(
        "ArcTangentExcess",
        "(atan(sqrt z) / sqrt z - 1) / z",
        "z in [0, tan^2(pi/8)]",
        mp.tan(mp.pi / 8) ** 2,
        lambda z: (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
    ),
)


@dataclass(frozen=True)
class FloatType:
    """A C++ type: its name, the suffix of its literals, the bits of its significand."""

    name: str
    suffix: str
    bits: int

    @property
    def budget(self) -> Real:
        """Largest error before rounding: a third of what rounding the result costs anyway."""
        return mpf("0.35") * mpf(2) ** -self.bits

    def round(self, x: Real) -> Real:
        """The nearest number of this type."""
        with mp.workprec(self.bits):
            return +x

    def literal(self, x: Real) -> str:
        """An exact C++ literal of a number of this type."""
        mantissa, exponent = float(x).hex().split("p")
        return f"{mantissa.rstrip('0')}p{exponent}{self.suffix}"


TYPES = (FloatType("float", "F", 24), FloatType("double", "", 53))


class Samples:
    """A target on a Chebyshev grid: within end / size^2 of both ends, clear of the 0/0 at 0."""

    def __init__(self, target: Target, size: int, kind: FloatType | None = None) -> None:
        """With `kind`, the grid is rounded to numbers of that type."""
        grid = [target.end * mp.sin(mp.pi * (i + 0.5) / (2 * size)) ** 2 for i in range(size)]
        self.t: Reals = np.array([kind.round(t) for t in grid] if kind else grid)
        self.f: Reals = np.array([target.value(t) for t in self.t])

    def error(self, c: list[Real]) -> Reals:
        """p/f - 1 of the polynomial itself."""
        return np.asarray(np.polyval(np.array(c[::-1]), self.t) / self.f - 1)

    def horner_error(self, c: list[Real], kind: FloatType) -> Reals:
        """p/f - 1 as `kind` computes p: Horner's rule with one fused multiply-add a step."""
        p = np.full_like(self.t, c[-1])
        for coefficient in c[-2::-1]:
            p = np.array([kind.round(x) for x in p * self.t + coefficient])
        return np.asarray(p / self.f - 1)


def alternation(error: Reals, count: int) -> list[int]:
    """Indices of `count` extrema of alternating sign, the largest among them."""
    runs = np.split(np.arange(error.size), np.flatnonzero(np.diff(error > 0)) + 1)
    peaks = [int(run[np.argmax(abs(error[run]))]) for run in runs]
    while len(peaks) > count:
        peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
    return peaks


def minimax(samples: Samples, degree: int) -> list[Real]:
    """The p of least max |p/f - 1|: the one with p/f - 1 = +-level in turn at degree + 2 points."""
    points = [int(i) for i in np.linspace(0, samples.t.size - 1, degree + 2)]
    while True:
        basis = [[samples.t[i] ** k / samples.f[i] for k in range(degree + 1)] for i in points]
        rows = [[*row, (-1) ** n] for n, row in enumerate(basis)]
        solution: list[Real] = list(mp.lu_solve(mp.matrix(rows), mp.ones(degree + 2, 1)))
        c, level = solution[:-1], solution[-1]
        error = samples.error(c)
        if max(abs(error)) <= abs(level) * mpf("1.0001"):
            return c
        points = alternation(error, degree + 2)


def rounded(samples: Samples, exact: list[Real], kind: FloatType) -> list[Real]:
    """Round from low to high order; the later coefficients make up for each, in least squares.

    Rounding all at once adds up all errors; this leaves little more than that of the first.
    """
    size = len(exact)
    moments = [sum(samples.t**k / samples.f**2) for k in range(2 * size - 1)]
    c: list[Real] = []
    while len(c) < size:
        done, free = range(len(c)), range(len(c), size)
        gram = mp.matrix([[moments[i + j] for j in free] for i in free])
        lost = [sum((moments[i + j] * (exact[j] - c[j]) for j in done), mpf(0)) for i in free]
        c.append(kind.round(exact[len(c)] + mp.lu_solve(gram, mp.matrix(lost))[0]))
    return c


def specialisation(target: Target, kind: FloatType) -> str:
    """Fit, round and measure one polynomial; return its C++ definition."""
    fit_grid, dense = Samples(target, 600), Samples(target, 2501)
    degree = 1
    while max(abs(fit_grid.error(exact := minimax(fit_grid, degree)))) > kind.budget:
        degree += 1
    c = rounded(fit_grid, exact, kind)
    errors = [dense.error(exact), dense.error(c), Samples(target, 2501, kind).horner_error(c, kind)]
    worst = [mp.nstr(max(abs(error)), 3, min_fixed=0, max_fixed=0) for error in errors]
    print(f"{target.name:18}{kind.name:8}{degree:6}", *(f"{error:>11}" for error in worst))
    coefficients = "".join(f"        {kind.literal(x)},\n" for x in c)
    return f"""
// Largest relative error {worst[1]}; {worst[2]} by Horner's rule with fma in {kind.name}.
template <> struct {target.name}<{kind.name}> {{
    static constexpr int degree = {degree};
    static constexpr {kind.name} c[degree + 1] = {{
{coefficients}    }};
}};
"""


def main() -> None:
    print("function          type    degree     minimax     rounded      Horner")
    text = """// Generated by: python cpp/tools/fit_polynomials.py
// Coefficients, low order first, of the polynomials of least relative error. Constants only.
#pragma once

// clang-format off
namespace fastntk::isa {
"""
    for target in TARGETS:
        text += f"\n// {target.formula},  {target.interval}\n"
        text += f"template <class T> struct {target.name};\n"
        text += "".join(specialisation(target, kind) for kind in TYPES)
    text += "\n}  // namespace fastntk::isa\n// clang-format on\n"
    HEADER.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
