"""Truth tables for NNGP and NTK kernels: writes ``kernel_tables.npz`` next to this script.

Regenerate (one or two minutes, the same bytes every time) with

    python tests/data/make_kernel_tables.py

The kernels of ``fastntk.mlp(depth, activation, sigma_w, sigma_b)`` are computed in 120-digit arithmetic for
the exact values of the stored rows and sigmas, at least 50 digits of them correct, and rounded once to the
nearest float64. The script shares no code with fastntk. Contents of the file:

``networks``
    JSON list with one object per network and row set: ``set`` (name of the row set), ``prefix`` (where its
    kernels are), ``rows`` (indices of the rows of ``{set}/X`` that the kernels are about), ``activation``
    and ``parameters`` (name and keyword arguments), ``sigma_w``, ``sigma_b``, ``depths``. Two names of one
    function (relu, rectified_monomial of degree 1) share a prefix.
``{set}/X``, ndarray of shape (n, 7)
    ``f64`` and ``f32`` (stored in that dtype): random rows; near-duplicates at relative separations 1e-1
    ... 1e-10, also of exactly equal norm; duplicates, antipodes, near-antipodes, collinear rows, norms 1e-3
    and 1e3, a zero row. ``extreme`` (float64): norms 1e-150 ... 1e150 with near-duplicates.
``{set}/names``, ndarray of str of shape (n,)
    What each row is.
``{prefix}/{depth}/nngp``, ``{prefix}/{depth}/ntk``, float64 ndarray of shape (m (m + 1) / 2,)
    Upper triangle of the kernel of ``X[rows]``, m = len(rows), in the order of ``np.triu_indices(m)``.
    ``prefix`` is ``{set}/{label}/nobias`` or ``{set}/{label}/bias``.

Depths are 1, 3, 10, 50 (``extreme``: 1, 3, 10). Rectified monomials of degree 2 and 3 grow doubly
exponentially: they have depths 1 and 3 only, and only the rows whose diagonals, at every layer up to 3, are
0 or in 1e-250 ... 1e250 (``f32``: 1e-30 ... 1e30). Off the diagonal, tables may hold far smaller numbers.

Step and sign turn a gap 1 - rho into its square root at every layer, so that no tolerance fits nearly
parallel pairs: one rounding error in the rows of ``f64`` moves kernels, relative to their diagonals, by
1e-4 at depth 3 and by 1 at depth 10 and 50 (every other activation: 1e-14 at most).
"""

import json
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations_with_replacement
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

# theta = acos(rho) keeps half the digits of rho where |rho| = 1: 60 of 120.
mp.dps = 120


class Covariance(NamedTuple):
    """Of the Gaussian pair (u, v); ``det`` is q1 q2 - c**2, had without cancellation where that matters."""

    q1: mpf
    q2: mpf
    c: mpf
    det: mpf

    def theta(self) -> mpf:
        """Angle between u and v. A vanishing row is orthogonal to every other row and parallel to its like.

        No more is needed: variances that are still 0 after the first activation belong to activations with
        phi(0) = 0, and there K = Theta = 0 whatever the angle.
        """
        if self.q1 == 0 and self.q2 == 0:
            return mpf(0)
        if self.q1 == 0 or self.q2 == 0:
            return mp.pi / 2
        return mp.atan2(mp.sqrt(self.det), self.c)


# (E[phi(u) phi(v)], E[phi'(u) phi'(v)])
Dual = Callable[[Covariance], tuple[mpf, mpf]]


def rectified_monomial(n: int) -> Dual:
    """max(x, 0)**n: s**n J_n(theta) / 2 pi, the arc-cosine kernels of Cho & Saul (2009) halved."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        s, psi = mp.sqrt(cov.q1 * cov.q2), mp.pi - cov.theta()
        # Not mp.sin(psi): with these, exact antipodes give exactly 0. At s = 0 any value will do.
        sin, cos = (mp.sqrt(cov.det) / s, cov.c / s) if s else (mpf(0), mpf(0))
        j = (
            psi,
            sin + psi * cos,
            3 * sin * cos + psi * (1 + 2 * cos**2),
            4 * sin + 11 * sin * cos**2 + psi * (9 * cos + 6 * cos**3),
        )
        return s**n * j[n] / (2 * mp.pi), n**2 * s ** (n - 1) * j[n - 1] / (2 * mp.pi) if n else mpf(0)

    return dual


def abrelu(a: float, b: float) -> Dual:
    """Slope a for x < 0, b for x > 0."""
    jump, mean_square = (mpf(b) - a) ** 2 / (2 * mp.pi), (mpf(a) ** 2 + mpf(b) ** 2) / 2

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        slope = mean_square - jump * cov.theta()
        return jump * mp.sqrt(cov.det) + cov.c * slope, slope

    return dual


def erf(a: float, b: float, c: float) -> Dual:
    """``a erf(b x) + c``: the kernel of Williams (1997), with an arc tangent for its arc sine."""

    def dual(cov: Covariance) -> tuple[mpf, mpf]:
        a2, b2, c2 = mpf(a) ** 2, mpf(b) ** 2, mpf(c) ** 2
        # (1 + 2 b2 q1)(1 + 2 b2 q2) - (2 b2 c)**2, for variances up to 1e300
        d = mp.sqrt(1 + 2 * b2 * (cov.q1 + cov.q2) + 4 * b2**2 * cov.det)
        return a2 * 2 / mp.pi * mp.atan2(2 * b2 * cov.c, d) + c2, a2 * 4 * b2 / (mp.pi * d)

    return dual


def sign(cov: Covariance) -> tuple[mpf, mpf]:
    """-1 or 1, its derivative 0 almost everywhere."""
    return 1 - 2 * cov.theta() / mp.pi, mpf(0)


def identity(cov: Covariance) -> tuple[mpf, mpf]:
    """Return K unchanged: phi(x) = x."""
    return cov.c, mpf(1)


class Case(NamedTuple):
    """One activation under one of its names; label is the name of its tables."""

    label: str
    activation: str
    parameters: dict[str, float]
    sigma_w: float
    dual: Dual
    depths: tuple[int, ...] = (1, 3, 10, 50)


# sigma_w preserves the variance of piecewise linear activations, keeps erf out of the chaotic phase
# (sigma_w**2 E[phi'**2] is 0.83 to 0.92 at the fixed point), and puts the fixed point of monomials 2 and 3
# where rows of unit variance are.
CASES = [
    Case("relu", "relu", {}, 2**0.5, rectified_monomial(1)),
    Case("relu", "rectified_monomial", {"degree": 1}, 2**0.5, rectified_monomial(1)),
    Case("leaky_relu", "leaky_relu", {"alpha": 0.1}, math.sqrt(2 / 1.01), abrelu(0.1, 1.0)),
    Case("abs", "abs", {}, 1.0, abrelu(-1.0, 1.0)),
    Case("abrelu", "abrelu", {"a": -0.5, "b": 1.2}, math.sqrt(2 / 1.69), abrelu(-0.5, 1.2)),
    Case("step", "step", {}, 1.3, rectified_monomial(0)),
    Case("step", "rectified_monomial", {"degree": 0}, 1.3, rectified_monomial(0)),
    Case("sign", "sign", {}, 1.0, sign),
    Case("rectified_monomial2", "rectified_monomial", {"degree": 2}, 0.9, rectified_monomial(2), (1, 3)),
    Case("rectified_monomial3", "rectified_monomial", {"degree": 3}, 0.72, rectified_monomial(3), (1, 3)),
    Case("erf", "erf", {"a": 1.0, "b": 1.0, "c": 0.0}, 0.85, erf(1.0, 1.0, 0.0)),
    Case("scaled_erf", "erf", {"a": 1.5, "b": 0.7, "c": 0.3}, 0.9, erf(1.5, 0.7, 0.3)),
    Case("identity", "identity", {}, 1.0, identity),
]
EXTREME = ("relu", "leaky_relu", "abs", "erf", "scaled_erf")
SIGMA_B = {"nobias": 0.0, "bias": 0.1}
LARGEST = {"f64": 1e250, "f32": 1e30, "extreme": 1e305}


def cases(set_name: str) -> list[Case]:
    """Networks that are tabulated for a row set."""
    extreme = [case._replace(depths=(1, 3, 10)) for case in CASES if case.label in EXTREME]
    return extreme if set_name == "extreme" else CASES


def ordinary_rows(dtype: type[np.floating[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Rows of norm about sqrt(7), rounded to dtype; what the kernels are about is the rounded row."""
    rng = np.random.default_rng(20240607)
    b, *others = rng.standard_normal((4, 7)).astype(dtype)
    # The last coordinate of a is 0, so that any separation is representable there, in float32 too.
    a = np.append(rng.standard_normal(6), 0).astype(dtype)
    direction, tiny, huge = (v / np.linalg.norm(v) for v in rng.standard_normal((3, 7)))
    norm_a, last = np.linalg.norm(a), np.eye(7)[6]

    yield "b", b
    yield from ((f"random {k}", row) for k, row in enumerate(others))
    yield "a", a
    for separation in (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10):
        yield f"a + {separation:g}", a + separation * norm_a * last
    yield "a - 0.0001, of the norm of a + 0.0001", a - 1e-4 * norm_a * last
    yield "a again", a
    yield "-a", -a
    for separation in (1e-2, 1e-4, 1e-6, 1e-8, 1e-10):
        yield f"-(a + {separation:g})", -(a + separation * norm_a * last)
    yield "-4 (a + 1e-07)", -4 * (a + 1e-7 * norm_a * last)
    yield "b + 1e-05 in every coordinate", b + 1e-5 * np.linalg.norm(b) * direction
    yield from ((f"{factor} b", factor * b.astype(np.float64)) for factor in (2, 3, 1e-3, 1 + 1e-6))
    yield "norm 1e-3", 1e-3 * tiny
    yield "norm 1e3", 1e3 * huge
    yield "zero", np.zeros(7)


def extreme_rows() -> Iterator[tuple[str, NDArray[Any]]]:
    """Rows whose squared norms span the range of float64."""
    rng = np.random.default_rng(20240608)
    for norm, separation in ((1e-150, 1e-6), (1e-100, None), (1.0, 1e-10), (1e100, None), (1e150, 1e-4)):
        direction, other = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 7)))
        yield f"norm {norm:g}", norm * direction
        if separation:
            yield f"norm {norm:g} + {separation:g}", norm * (direction + separation * other)


def stack(
    rows: Iterator[tuple[str, NDArray[Any]]], dtype: type[np.floating[Any]]
) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Names and X."""
    names, x = zip(*rows, strict=True)
    return names, np.array(x).astype(dtype)


def row_sets() -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    """Names and X of every set."""
    return {
        "f64": stack(ordinary_rows(np.float64), np.float64),
        "f32": stack(ordinary_rows(np.float32), np.float32),
        "extreme": stack(extreme_rows(), np.float64),
    }


Pairs = dict[tuple[int, int], Any]


def real(x: Fraction) -> mpf:
    """Round x to 120 digits."""
    return mpf(x.numerator) / x.denominator


def layers(x: NDArray[Any], case: Case, sigma_b: float, depth: int) -> Iterator[tuple[Pairs, Pairs]]:
    """(K, Theta) of the networks of depth 0, 1, ..., depth; keys are the pairs p <= q of rows."""
    w2, b2 = Fraction(case.sigma_w) ** 2, Fraction(sigma_b) ** 2
    rows = [[Fraction(float(entry)) for entry in row] for row in x]
    pairs = list(combinations_with_replacement(range(len(rows)), 2))
    # The first layer is rational, so that its determinants do not cancel.
    gram = {(p, q): b2 + w2 * sum(s * t for s, t in zip(rows[p], rows[q], strict=True)) / x.shape[1] for p, q in pairs}
    k: Pairs = {pair: real(gram[pair]) for pair in pairs}
    det: Pairs = {(p, q): real(gram[p, p] * gram[q, q] - gram[p, q] ** 2) for p, q in pairs}
    theta = k
    yield k, theta

    w2, b2 = real(w2), real(b2)
    for _ in range(depth):
        duals = {(p, q): case.dual(Covariance(k[p, p], k[q, q], k[p, q], det[p, q])) for p, q in pairs}
        k = {pair: b2 + w2 * f for pair, (f, _) in duals.items()}
        theta = {pair: k[pair] + w2 * f_dot * theta[pair] for pair, (_, f_dot) in duals.items()}
        det = {(p, q): max(k[p, p] * k[q, q] - k[p, q] ** 2, mpf(0)) for p, q in pairs}
        yield k, theta


def table(set_name: str, label: str, bias: str) -> tuple[list[int], dict[str, NDArray[np.float64]]]:
    """The rows that are in range, and the two triangles of every depth."""
    case, x = next(case for case in cases(set_name) if case.label == label), row_sets()[set_name][1]
    largest = LARGEST[set_name]
    states = list(layers(x, case, SIGMA_B[bias], max(case.depths)))
    rows = [
        p
        for p in range(len(x))
        if all(v == 0 or 1 / largest < v < largest for k, theta in states for v in (k[p, p], theta[p, p]))
    ]
    return rows, {
        f"{depth}/{kernel}": np.array([float(values[pair]) for pair in combinations_with_replacement(rows, 2)])
        for depth in case.depths
        for kernel, values in zip(("nngp", "ntk"), states[depth], strict=True)
    }


def main() -> None:
    """Write the file."""
    sets = row_sets()
    wanted = [(name, case, bias) for name in sets for case in cases(name) for bias in SIGMA_B]
    jobs = list(dict.fromkeys((name, case.label, bias) for name, case, bias in wanted))
    with Pool() as pool:
        tables = dict(zip(jobs, pool.starmap(table, jobs, chunksize=1), strict=True))

    networks = [
        {"set": name, "prefix": f"{name}/{case.label}/{bias}", "rows": tables[name, case.label, bias][0]}
        | {"activation": case.activation, "parameters": case.parameters}
        | {"sigma_w": case.sigma_w, "sigma_b": SIGMA_B[bias], "depths": case.depths}
        for name, case, bias in wanted
    ]
    arrays: dict[str, Any] = {"networks": np.array(json.dumps(networks))}
    for name, (row_names, x) in sets.items():
        arrays |= {f"{name}/X": x, f"{name}/names": np.array(row_names)}
    for job, (_, kernels) in tables.items():
        arrays |= {"/".join((*job, key)): values for key, values in kernels.items()}
    np.savez_compressed(Path(__file__).with_name("kernel_tables.npz"), **arrays)


if __name__ == "__main__":
    main()
