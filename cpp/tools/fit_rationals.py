"""Fit the rational functions of cpp/isa/rationals.hpp (needs NumPy and mpmath).

    python cpp/tools/fit_rationals.py    # seconds; rewrites the header, prints the errors

With cos theta = 1 - t, t in [0, 1], the two functions

    P0 = theta / (pi t^(1/2)),    P1 = (sin theta - theta cos theta) / (pi t^(3/2))

have the same branch cut, t > 2, so that one denominator serves both: N0 / D and N1 / D. The variable is
cos theta, in which all coefficients of D are positive and nothing cancels (in t, D loses four bits).

Linearised least squares in 70 digits at Chebyshev nodes, weighted by 1 / (last D) (Sanathanan and Koerner) and
by the last error (Lawson), for a nearly minimax relative error; then D is rounded and the numerators refitted,
coefficient by coefficient.
"""

from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

mp.dps = 70
HEADER = Path(__file__).resolve().parents[1] / "isa" / "rationals.hpp"
DEGREES = (7, 7)
DENOMINATOR_DEGREE = 6

Reals = NDArray[np.object_]  # of mpf, which is untyped


def rounded(x: Any) -> Any:
    """The nearest double."""
    with mp.workprec(53):
        return +x


def evaluate(coefficients: Reals, x: Reals) -> Reals:
    """Polynomial, low order first."""
    return np.asarray(np.polyval(coefficients[::-1], x))


def powers(x: Reals, degree: int) -> Reals:
    """Vandermonde matrix, low order first."""
    return np.array([x**k for k in range(degree + 1)]).T


class Nodes:
    """Both functions at Chebyshev nodes in t; x = cos theta."""

    def __init__(self, size: int) -> None:
        t = np.array([mp.sin(mp.pi * (i + mpf(1) / 2) / (2 * size)) ** 2 for i in range(size)])
        self.x: Reals = 1 - t
        theta = np.array([mp.acos(c) for c in self.x])
        sine = np.array([mp.sqrt(s * (2 - s)) for s in t])
        root = np.array([mp.sqrt(s) for s in t])
        self.f: tuple[Reals, Reals] = (theta / (mp.pi * root), (sine - theta * self.x) / (mp.pi * t * root))

    def errors(self, numerators: list[Reals], denominator: Reals) -> list[Reals]:
        """N / D / P - 1 of both."""
        d = evaluate(denominator, self.x)
        return [evaluate(n, self.x) / d / f - 1 for n, f in zip(numerators, self.f, strict=True)]


def least_squares(a: Reals, b: Reals, weights: Reals) -> Reals:
    """Minimise sum w (a x - b)^2."""
    aw = a * weights[:, None]
    return np.array(list(mp.lu_solve(mp.matrix((aw.T @ a).tolist()), mp.matrix((aw.T @ b).tolist()))))


def lawson(weights: Reals, errors: Reals) -> Reals:
    """Weights that move a least-squares fit towards the minimax one."""
    weights = weights * abs(errors)
    return np.asarray(weights / sum(weights) + mpf("1e-6") / len(weights))


def fit_denominator(nodes: Nodes) -> Reals:
    """D with D(0) = 1, from a fit of N0, N1 and D together."""
    size = len(nodes.x)
    first, second = (degree + 1 for degree in DEGREES)
    denominator = np.array([mpf(1)] + [mpf(0)] * DENOMINATOR_DEGREE)
    weights = np.array([mpf(1)] * (2 * size))
    best, best_error = denominator, mpf("inf")
    for step in range(18):
        rows, targets = [], []
        for i, f in enumerate(nodes.f):
            scale = 1 / (evaluate(denominator, nodes.x) * f)
            blocks = [np.full((size, count), mpf(0)) for count in (first, second)]
            blocks[i] = powers(nodes.x, DEGREES[i]) * scale[:, None]
            rows.append(np.hstack([*blocks, -powers(nodes.x, DENOMINATOR_DEGREE)[:, 1:] * (scale * f)[:, None]]))
            targets.append(scale * f)
        x = least_squares(np.vstack(rows), np.concatenate(targets), weights)
        denominator = np.concatenate([[mpf(1)], x[first + second :]])
        errors = np.concatenate(nodes.errors([x[:first], x[first : first + second]], denominator))
        if step >= 4:
            weights = lawson(weights, errors)
        if max(abs(errors)) < best_error:
            best, best_error = denominator, max(abs(errors))
    return np.array([rounded(c) for c in best])


def fit_numerator(nodes: Nodes, which: int, denominator: Reals) -> Reals:
    """N for a given D: coefficients are rounded from low to high order, the later ones refitted."""
    degree = DEGREES[which]
    basis = powers(nodes.x, degree) / (evaluate(denominator, nodes.x) * nodes.f[which])[:, None]
    weights = np.array([mpf(1)] * len(nodes.x))
    done: list[Any] = []
    for k in range(degree + 1):
        rest = np.array([mpf(1)] * len(nodes.x)) - (basis[:, :k] @ np.array(done) if k else 0)
        best, best_error = rest, mpf("inf")
        for _ in range(3 if k else 10):
            x = least_squares(basis[:, k:], rest, weights)
            errors = basis[:, k:] @ x - rest
            if max(abs(errors)) < best_error:
                best, best_error = x, max(abs(errors))
            if k == 0:
                weights = lawson(weights, errors)
        done.append(rounded(best[0]))
    return np.array(done)


def definition(name: str, comment: str, coefficients: Reals) -> str:
    """One C++ struct, with exact literals."""
    lines = "".join(f"        {float(c).hex()},\n" for c in coefficients)
    degree = len(coefficients) - 1
    return f"""
// {comment}
struct {name} {{
    static constexpr int degree = {degree};
    static constexpr double c[degree + 1] = {{
{lines}    }};
}};
"""


def main() -> None:
    nodes = Nodes(40)
    denominator = fit_denominator(nodes)
    numerators = [fit_numerator(nodes, i, denominator) for i in (0, 1)]
    worst = [mp.nstr(max(abs(e)), 3) for e in Nodes(301).errors(numerators, denominator)]
    print("largest relative error of the rounded coefficients:", *worst)
    formulas = ("theta / (pi t^(1/2))", "(sin theta - theta cos theta) / (pi t^(3/2))")
    parts = [
        definition(
            f"ArcCosineNumerator{i}", f"N{i} / D = {formulas[i]}; largest relative error {worst[i]}", numerators[i]
        )
        for i in (0, 1)
    ]
    parts.append(definition("ArcCosineDenominator", "D", denominator))
    text = f"""// Generated by: python cpp/tools/fit_rationals.py
// Coefficients, low order first, of rational functions of c = cos theta = 1 - t, t in [0, 1]. Constants only.
#pragma once

// clang-format off
namespace fastntk::isa {{
{"".join(parts)}
}}  // namespace fastntk::isa
// clang-format on
"""
    HEADER.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
