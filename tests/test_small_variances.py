"""Duals of smooth closed forms at variances down to 1e-300, against moments of their Taylor series in mpmath."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from fastntk import Activation

mp = pytest.importorskip("mpmath")

ORDER = 6
#: phi, for its Taylor series.
SMOOTH: list[tuple[str, dict[str, Any], Any]] = [
    ("sin", {}, mp.sin),
    ("sin", {"a": 2.0, "b": 3.0, "c": 0.4}, lambda x: 2 * mp.sin(3 * x + mp.mpf(0.4))),
    ("cos", {}, mp.cos),
    ("snake", {}, lambda x: x + mp.sin(x) ** 2),
    ("exp", {}, mp.exp),
    ("gaussian", {}, lambda x: mp.exp(-(x**2))),
    ("gaussian", {"b": 0.1}, lambda x: mp.exp(x**2 * mp.mpf(0.1))),
    ("gelu", {}, lambda x: x * mp.ncdf(x)),
    ("smoothed_relu", {}, lambda x: x * mp.ncdf(x) + mp.npdf(x)),
    ("gabor", {}, lambda x: mp.exp(-(x**2)) * mp.sin(x)),
    ("erf", {}, mp.erf),
    ("log_cosh", {}, lambda x: mp.log(mp.cosh(x))),
]


def even_moment(k: int) -> Any:
    """E[z^k] for even k."""
    return mp.fac2(k - 1) if k > 0 else mp.mpf(1)


def moment(i: int, j: int, q1: Any, q2: Any, c: Any) -> Any:
    """E[u^i v^j]."""
    return mp.fsum(
        mp.factorial(k) * mp.binomial(i, k) * mp.binomial(j, k) * even_moment(i - k) * even_moment(j - k)
        * q1 ** ((i - k) // 2) * q2 ** ((j - k) // 2) * c**k
        for k in range(i % 2, min(i, j) + 1, 2)
    ) if (i + j) % 2 == 0 else mp.mpf(0)  # fmt: skip


def sum_of_moments(p: tuple[Any, ...], q1: Any, q2: Any, c: Any) -> Any:
    """E[p(u) p(v)], of the polynomial with these coefficients."""
    terms = [(i, a) for i, a in enumerate(p) if a]
    return mp.fsum(a * b * moment(i, j, q1, q2, c) for i, a in terms for j, b in terms)


@pytest.mark.parametrize(("name", "arguments", "phi"), SMOOTH, ids=[f"{n}-{a}" for n, a, _ in SMOOTH])
def test_duals(name: str, arguments: dict[str, Any], phi: Any) -> None:
    """F and F', relative to sqrt(F(q1, q1) F(q2, q2)), within the stated bound."""
    act = Activation(name, **arguments)
    bound = 1e-10 if name == "log_cosh" else 2e-14
    with mp.workdps(100):
        small = tuple(a if abs(a) > 1e-25 else mp.mpf(0) for a in mp.taylor(phi, 0, ORDER))
        slope = tuple(i * a for i, a in enumerate(small))[1:]
    with mp.workdps(40):
        exact = cache(lambda a, b, c, p: sum_of_moments(p, *map(mp.mpf, (a, b, c))))
        for size in (1e-6, 1e-12, 1e-16, 1e-40) if name == "log_cosh" else (1e-6, 1e-12, 1e-16, 1e-40, 1e-160, 1e-300):
            for ratio, rho in ((1.0, 1.0), (4.0, 0.5), (1e3, -0.75)):
                q1, q2 = size, min(ratio * size, 1e-6)
                c = rho * float(mp.sqrt(mp.mpf(q1) * q2))
                for dual, p in ((act.dual, small), (act.dual_derivative, slope)):
                    scale = mp.sqrt(exact(q1, q1, q1, p) * exact(q2, q2, q2, p))
                    if scale > 1e-290:
                        error = abs(mp.mpf(float(dual(c, q1, q2))) - exact(q1, q2, c, p)) / scale
                        assert error <= bound, (dual.__name__, q1, q2, rho, float(error))
