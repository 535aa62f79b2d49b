"""Truth tables for networks with branches: writes ``tree_tables.npz`` next to this script.

Regenerate (some minutes on two cores, the same bytes every time) with

    python -m tests.data.make_tree_tables

NNGP and NTK are computed in 120-digit arithmetic for the exact values of the stored rows and parameters, at least 50
digits of them correct, and rounded once to the nearest float64; those of tanh, silu and softplus by quadrature, to 20
digits. The script shares no code with fastntk. Contents of the file:

``networks``
    JSON list with one object per network: ``name``, ``layers`` (a list of lists: the kind of a layer, its branches
    where it has any, and its keyword arguments), ``set`` and ``rows`` (name of the row set, and the indices of the rows
    that the kernels are about), ``family`` ("relu" or "other").
``{set}/X``, float32 or float64 ndarray of shape (n, 7)
    The rows. Those of ``near`` are numbers of float32; all but zero are of norm 1e-3 to 1e3.
``{name}/nngp``, ``{name}/ntk``, float64 ndarrays
    Upper triangle, row by row, of the kernel of X with other samples of the same values.
``{name}/nngp_diagonal``, ``{name}/ntk_diagonal``, float64 ndarrays
    Of X with itself. It differs from the diagonal of the triangle where there is dropout.

A row x = 0 stands for the limit x -> 0 along a direction of its own: here it is a row of norm 1e-2000 in a dimension in
which the others are 0.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations_with_replacement
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray
from tests.data.tree_duals import FUNCTIONS, Covariance, check_closed_forms
from tests.data.tree_networks import NETWORKS, ROWS, Layer

#: p, q, and whether it is one and the same sample.
Key = tuple[int, int, bool]
Pairs = dict[Key, mpf]


class State(NamedTuple):
    """What is known behind a layer."""

    K: Pairs
    Theta: Pairs
    mean: dict[int, mpf]
    units: float

    def variance(self, p: int) -> mpf:
        """Of the units of a sample."""
        return self.K[p, p, True]


def behind(layer: Layer, state: State) -> State:
    """K, Theta, means and number of units."""
    kind, branches, options = layer
    return RULES[kind](state, [chain(branch, state) for branch in branches], **options)


def chain(layers: Sequence[Layer], state: State) -> State:
    """Layers one after the other."""
    for layer in layers:
        state = behind(layer, state)
    return state


def _dense(
    state: State,
    _: list[State],
    sigma_w: float,
    sigma_b: float,
    trainable: bool = True,
    parametrization: str = "ntk",
    width: int | None = None,
    bias: bool | None = None,
) -> State:
    w2, b2 = mpf(sigma_w) ** 2, mpf(sigma_b) ** 2
    K = {key: b2 + w2 * k for key, k in state.K.items()}
    own = dict.fromkeys(K, mpf(0))
    if trainable:
        extra = 1 if bias or sigma_b > 0 else 0
        own = {key: state.units * k + extra for key, k in state.K.items()} if parametrization == "standard" else K
    Theta = {key: own[key] + w2 * t for key, t in state.Theta.items()}
    return State(K, Theta, dict.fromkeys(state.mean, mpf(0)), float("inf") if width is None else width)


def _activation(state: State, _: list[State], activation: str, **parameters: Any) -> State:
    function = FUNCTIONS[activation](**parameters)

    @cache
    def dual(q1: mpf, q2: mpf, c: mpf) -> tuple[mpf, mpf]:
        return function.dual(Covariance(q1, q2, c))

    found = {(p, q, same): dual(state.variance(p), state.variance(q), k) for (p, q, same), k in state.K.items()}
    return state._replace(
        K={key: value for key, (value, _) in found.items()},
        Theta={key: found[key][1] * t for key, t in state.Theta.items()},
        mean={p: function.mean(state.variance(p)) for p in state.mean},
    )


def _norm(state: State, _: list[State], eps: float) -> State:
    mean = state.mean
    root = {p: mp.sqrt(state.variance(p) - m**2 + mpf(eps)) for p, m in mean.items()}
    return state._replace(
        K={(p, q, same): (k - mean[p] * mean[q]) / (root[p] * root[q]) for (p, q, same), k in state.K.items()},
        Theta={(p, q, same): t / (root[p] * root[q]) for (p, q, same), t in state.Theta.items()},
        mean=dict.fromkeys(mean, mpf(0)),
    )


def _dropout(state: State, _: list[State], p: float) -> State:
    keep = 1 - mpf(p)
    K, Theta = ({key: k / keep if key[2] else k for key, k in pairs.items()} for pairs in (state.K, state.Theta))
    return state._replace(K=K, Theta=Theta)


def _weighted(parts: list[State], weights: Sequence[float], units: float) -> State:
    def total(values: list[dict[Any, mpf]]) -> dict[Any, mpf]:
        return {key: mp.fsum(mpf(w) * v[key] for w, v in zip(weights, values, strict=True)) for key in values[0]}

    return State(total([s.K for s in parts]), total([s.Theta for s in parts]), total([s.mean for s in parts]), units)


def _product(_: State, parts: list[State]) -> State:
    def multiplied(values: list[dict[Any, mpf]]) -> dict[Any, mpf]:
        return {key: mp.fprod(v[key] for v in values) for key in values[0]}

    Theta = {
        key: mp.fsum(
            s.Theta[key] * mp.fprod(other.K[key] for j, other in enumerate(parts) if j != i)
            for i, s in enumerate(parts)
        )
        for key in parts[0].K
    }
    units = min(s.units for s in parts)
    return State(multiplied([s.K for s in parts]), Theta, multiplied([s.mean for s in parts]), units)


RULES: dict[str, Callable[..., State]] = {
    "Dense": _dense,
    "Activation": _activation,
    "LayerNorm": _norm,
    "Dropout": _dropout,
    "Identity": lambda state, _: state,
    "Sum": lambda _, parts: _weighted(parts, [1.0] * len(parts), min(s.units for s in parts)),
    "Concat": lambda _, parts, fractions: _weighted(parts, fractions, sum(s.units for s in parts)),
    "Product": _product,
}


def start(X: NDArray[Any]) -> State:
    """K of the rows, one more dimension for those that are 0."""
    rows = [[*map(mpf, map(float, row)), mpf(0) if row.any() else mpf(10) ** -2000] for row in X]
    n, d = X.shape
    keys = [(p, q, False) for p, q in combinations_with_replacement(range(n), 2)] + [(p, p, True) for p in range(n)]
    K = {(p, q, same): mp.fdot(rows[p], rows[q]) / d for p, q, same in keys}
    return State(K, dict.fromkeys(keys, mpf(0)), dict.fromkeys(range(n), mpf(0)), d)


def table(index: int) -> dict[str, NDArray[np.float64]]:
    """Kernels of one network."""
    net = NETWORKS[index]
    state = chain(net.layers, start(ROWS[net.set][list(net.rows)]))
    found = {}
    for kind, pairs in (("nngp", state.K), ("ntk", state.Theta)):
        for what, wanted in ((kind, False), (f"{kind}_diagonal", True)):
            found[f"{net.name}/{what}"] = np.array([float(k) for (_, _, same), k in pairs.items() if same == wanted])
    return found


def main() -> None:
    """Write the file."""
    check_closed_forms()
    with Pool(2) as pool:
        tables = pool.map(table, range(len(NETWORKS)), chunksize=1)
    entries = [net._asdict() | {"rows": list(net.rows)} for net in NETWORKS]
    arrays: dict[str, Any] = {"networks": np.array(json.dumps(entries))}
    arrays |= {f"{name}/X": rows for name, rows in ROWS.items()}
    for found in tables:
        arrays |= found
    np.savez_compressed(Path(__file__).with_name("tree_tables.npz"), **arrays)


if __name__ == "__main__":
    main()
