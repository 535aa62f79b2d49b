"""Truth tables for derivatives of kernels in their inputs: writes ``input_tables.npz`` next to this script.

Regenerate (some minutes on two cores, the same bytes every time) with

    python -m tests.data.make_input_tables

A kernel of x and y depends on |x|², |y|² and x.y: its derivative in x is of the plane of x and y, and known from the
derivatives along x and along t, at a right angle to it. Both are central differences of the recursions of
`make_tree_tables.py`, with steps of 1e-36 in 200-digit arithmetic: at least 50 digits of them are correct. Those of
tanh are sums of Gaussian expectations of its derivatives, by quadrature in float64, to 13 digits. All are rounded once
to the nearest float64. The script shares no code with fastntk. Contents of the file:

``networks``
    JSON list with one object per network: ``name``, ``layers`` (as in ``tree_tables.npz``) and ``pairs``, of indices.
``X``, float64 ndarray of shape (n, 8)
    The rows. The norms are 1e-3 to 1e3 but for the last, which is 0.
``{name}/nngp``, ``{name}/ntk``, float64 ndarray of shape (pairs, 2, 8)
    The derivatives of the kernel of a pair in its first and in its second row.
"""

import json
from collections.abc import Callable, Sequence
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray
from tests.data.make_tree_tables import State, chain
from tests.data.tree_networks import Layer, act, blocks, concat, dense, dropout, norm, product, residual

FEATURES = 8
# Where rows are parallel, theta = acos(rho) keeps half of the digits, less those of the step.
mp.dps = 200
STEP = mpf(2) ** -120

#: Distances of near-duplicates.
NEAR = (1e-2, 1e-4, 1e-6, 1e-8)

Vector = list[mpf]
Pair = tuple[int, int]
Values = tuple[mpf, mpf]


def rows() -> NDArray[np.float64]:
    """Of a: near-duplicates of its norm, and of others; antipodes; multiples; others, small and large; 0."""
    rng = np.random.default_rng(20261128)
    a, b, c = rng.standard_normal((3, FEATURES))
    small, first = np.eye(FEATURES)[-len(NEAR) :] * np.array(NEAR)[:, None], np.eye(FEATURES)[0]
    a[-len(NEAR) :] = np.array(NEAR) / 2
    flipped = [a - change for change in small]
    near = [a + distance * rng.standard_normal(FEATURES) for distance in NEAR]
    longer = [(1 + 1e-2) * a + 1e-8 * first, (1 + 1e-8) * a + 1e-6 * first]
    opposite = [-a, small[0] - a, small[2] - 1.2 * a, 1e-4 * first - 2 * a]
    others = [2 * a, 1.5 * a + 1e-5 * first, b, c, 1e-3 * b + 1e-6 * c, 1e3 * b + 10 * c, np.zeros(FEATURES)]
    return np.array([a, *flipped, *near, *longer, *opposite, *others])


ROWS = rows()
FLIPPED, NEAREST, LONGER, ANTIPODE, MULTIPLE, OTHER, ZERO = 1, 8, 9, 11, 15, 17, len(ROWS) - 1
AMONG_OTHERS = [(MULTIPLE, MULTIPLE + 1), *((OTHER + i, OTHER + j) for i, j in ((0, 1), (2, 3), (1, 3), (0, 2)))]
NOT_ZERO = [(0, other) for other in range(ZERO)] + AMONG_OTHERS
WITH_ZERO = [*NOT_ZERO, (0, ZERO), (ZERO, OTHER + 1)]
FEW = [(0, other) for other in (0, FLIPPED, FLIPPED + 3, NEAREST - 3, NEAREST, LONGER, LONGER + 1, ANTIPODE, MULTIPLE)]
MODERATE = [pair for pair in WITH_ZERO if OTHER + 3 not in pair]  # variances up to 1e6
FEW += [*AMONG_OTHERS[:2], WITH_ZERO[-1]]


class Network(NamedTuple):
    """A network of the tables."""

    name: str
    layers: list[Layer]
    pairs: list[Pair]


def perceptron(depth: int, phi: Layer, sigma_w: float, sigma_b: float) -> list[Layer]:
    """Layers one after the other."""
    return [dense(sigma_w, sigma_b), *[phi, dense(sigma_w, sigma_b)] * depth]


def networks() -> list[Network]:
    """ReLU, erf, gelu and tanh, with and without branches, of depth 1 to 20."""
    relu, erf, gelu, tanh = act("relu"), act("erf", a=1.0, b=1.0, c=0.0), act("gelu"), act("tanh")
    found = []
    for depth, others, zero in (
        (1, NOT_ZERO, WITH_ZERO),
        (3, NOT_ZERO, WITH_ZERO),
        (10, FEW[:-1], FEW),
        (20, FEW[:-1], FEW),
    ):
        found += [
            Network(f"relu {depth}", perceptron(depth, relu, 2**0.5, 0.0), others),
            Network(f"relu {depth}, bias", perceptron(depth, relu, 1.3, 0.3), zero),
            Network(f"erf {depth}", perceptron(depth, erf, 1.4, 0.2), zero),
            Network(f"gelu {depth}", perceptron(depth, gelu, 1.3, 0.1), zero),
            Network(f"residual {depth}", blocks(depth, relu, dense(0.8, 0.1)), others),
            Network(f"residual {depth}, norm", blocks(depth, norm(0.1), relu, dense(1.2)), others),
        ]
    inner = residual(norm(0.2), gelu, dropout(0.1), dense(1.1, 0.1))
    mixed = concat([dense(1.1)], [erf, dense(0.8)], [norm(0.5), relu], fractions=[0.5, 0.3, 0.2])
    gated = product([dense(1.1)], [dense(1.0, 0.5), erf], [dense(0.9, 0.6), residual(gelu, dense())])
    return [
        *found,
        Network("residual 20, norm, gelu", blocks(20, norm(0.1), gelu, dense()), FEW),
        Network("norm behind relu", [*[dense(1.0, 0.2), relu, norm(0.1)] * 3, dense()], WITH_ZERO),
        Network(
            "every layer",
            [dense(1.2, 0.1), residual(inner, erf, dense(0.9)), mixed, dense(1.0, 0.3), gated, dense()],
            WITH_ZERO,
        ),
        *(Network(f"tanh {depth}", perceptron(depth, tanh, 1.4, 0.2), MODERATE) for depth in (1, 3)),
    ]


def gradient(x: Vector, y: Vector, slope: Callable[[Vector], Values]) -> list[Vector]:
    """In x, of the kernels whose derivative along a vector is known: that along x itself, and that along t.

    What y has at a right angle to x is t. Of parallel rows that is nothing, and the derivative is 0 or, of a cone, the
    mean of those in opposite directions.
    """
    square = mp.fdot(x, x)
    along = mp.fdot(x, y) / square if square else mpf(0)
    across = [b - along * a for a, b in zip(x, y, strict=True)]
    length = mp.sqrt(mp.fdot(across, across))
    moves = [(x, square)] if square else []
    if length > mpf(10) ** -100:
        moves.append(([t / length for t in across], mpf(1)))
    found = [[mpf(0)] * FEATURES for _ in range(2)]
    for way, size in moves:
        for total, value in zip(found, slope(way), strict=True):
            total[:] = [t + value * w / size for t, w in zip(total, way, strict=True)]
    return found


def start(x: Vector, y: Vector) -> State:
    """The pair, and each row with itself."""
    K = {(0, 1, False): (x, y), (0, 0, True): (x, x), (1, 1, True): (y, y)}
    return State(
        {key: mp.fdot(*rows) / FEATURES for key, rows in K.items()},
        dict.fromkeys(K, mpf(0)),
        dict.fromkeys((0, 1), mpf(0)),
        FEATURES,
    )


def by_differences(layers: Sequence[Layer], x: Vector, y: Vector) -> Callable[[Vector], Values]:
    """Of K and Theta of x and y, as x moves along a vector."""

    def moved(way: Vector, step: mpf) -> Values:
        state = chain(layers, start([a + step * w for a, w in zip(x, way, strict=True)], y))
        return state.K[0, 1, False], state.Theta[0, 1, False]

    def slope(way: Vector) -> Values:
        above, below = moved(way, STEP), moved(way, -STEP)
        return (above[0] - below[0]) / (2 * STEP), (above[1] - below[1]) / (2 * STEP)

    return slope


class Moments(NamedTuple):
    """E[f(u) g(v)] of f, g = tanh or a derivative of it, by their orders."""

    value: float
    slope: float
    by_q1: tuple[float, float]
    slope_by_c: float


def tanh_moments(q1: float, q2: float, c: float, sine: float) -> Moments:
    """By the trapezoidal rule, see `tree_duals.expectation`; d/dc E[f g] = E[f' g'], d/dq1 E[f g] = E[f'' g] / 2.

    No term cancels. `sine` is that of the angle between u and v.
    """
    z = np.arange(-240, 241) / 20
    w = np.exp(-(z**2) / 2) / (20 * np.sqrt(2 * np.pi))
    s1, s2 = np.sqrt([q1, q2])
    left = tanh_derivatives(s1 * z)
    right = [f @ w for f in tanh_derivatives(s2 * (c / (s1 * s2) * z[:, None] + sine * z))]
    value, slope, second, third, both = (
        float(np.sum(w * left[i] * right[j])) for i, j in ((0, 0), (1, 1), (2, 0), (3, 1), (2, 2))
    )
    return Moments(value, slope, (second / 2, third / 2), both)


def tanh_derivatives(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Of orders 0 to 3."""
    t, first = np.tanh(x), np.cosh(np.clip(x, -300, 300)) ** -2.0
    return [t, first, -2 * t * first, (6 * t * t - 2) * first]


def by_moments(layers: Sequence[Layer], x: Vector, y: Vector) -> Callable[[Vector], Values]:
    """As `by_differences`, of perceptrons of tanh; in float64, but the angle at the input."""

    def slope(way: Vector) -> Values:
        exact = [mp.fdot(a, b) / FEATURES for a, b in ((x, x), (y, y), (x, y))]
        q1, q2, c = map(float, exact)
        apart = float(exact[0] * exact[1] - exact[2] ** 2)
        moved_q, moved_c = float(2 * mp.fdot(x, way) / FEATURES), float(mp.fdot(y, way) / FEATURES)
        theta = moved_theta = 0.0
        for kind, _, options in layers:
            if kind == "Dense":
                w2, b2 = options["sigma_w"] ** 2, options["sigma_b"] ** 2
                apart = w2 * (w2 * apart + b2 * (q1 + q2 - 2 * c))
                q1, q2, c = (b2 + w2 * k for k in (q1, q2, c))
                moved_q, moved_c = w2 * moved_q, w2 * moved_c
                theta, moved_theta = c + w2 * theta, moved_c + w2 * moved_theta
            else:
                at = tanh_moments(q1, q2, c, np.sqrt(max(apart, 0.0) / (q1 * q2)))
                own, other = (tanh_moments(q, q, q, 0.0) for q in (q1, q2))
                moved_slope = at.by_q1[1] * moved_q + at.slope_by_c * moved_c
                theta, moved_theta = at.slope * theta, moved_slope * theta + at.slope * moved_theta
                moved_c = at.by_q1[0] * moved_q + at.slope * moved_c
                moved_q *= 2 * own.by_q1[0] + own.slope
                q1, q2, c = own.value, other.value, at.value
                apart = q1 * q2 - c * c
        return mpf(moved_c), mpf(moved_theta)

    return slope


def table(net: Network) -> dict[str, NDArray[np.float64]]:
    """Derivatives of one network."""
    slopes = by_moments if net.name.startswith("tanh") else by_differences
    found = np.empty((2, len(net.pairs), 2, FEATURES))
    for number, pair in enumerate(net.pairs):
        x, y = ([mpf(float(value)) for value in ROWS[i]] for i in pair)
        for side, (moving, other) in enumerate(((x, y), (y, x))):
            found[:, number, side] = gradient(moving, other, slopes(net.layers, moving, other))
    return {f"{net.name}/nngp": found[0], f"{net.name}/ntk": found[1]}


def main() -> None:
    """Write the file."""
    nets = networks()
    with Pool(2) as pool:
        tables = pool.map(table, nets, chunksize=1)
    arrays: dict[str, Any] = {"networks": np.array(json.dumps([net._asdict() for net in nets])), "X": ROWS}
    for found in tables:
        arrays |= found
    np.savez_compressed(Path(__file__).with_name("input_tables.npz"), **arrays)


if __name__ == "__main__":
    main()
