"""Truth tables for convolutional networks: writes ``image_tables.npz`` next to this script.

Regenerate (some minutes on two cores, the same bytes every time) with

    python -m tests.data.make_image_tables

NNGP and NTK are computed in 120-digit arithmetic for the exact values of the stored images and parameters, at least 50
digits of them correct, and rounded once to the nearest float64. The script shares no code with fastntk; of a network
only what its head needs is computed, each number when it is asked for. Contents of the file:

``networks``
    JSON list with one object per network and set of images: ``name``, ``layers`` (a list of lists: the kind of a layer,
    its branches where it has any, and its keyword arguments), ``averages`` (whether it has a pool), ``sets`` that it is
    computed of, and of them this ``set``, ``kinds`` (what each image of the set is).
``{set}/X``, float64 ndarray of shape (n, positions ..., channels)
    The images. Those of all sets but ``double`` are numbers of float32.
``{set}/{name}/nngp``, ``{set}/{name}/ntk``, float64 ndarrays
    Upper triangle, row by row, of the kernel of X with other samples of the same values.
``{set}/{name}/nngp_diagonal``, ``{set}/{name}/ntk_diagonal``, float64 ndarrays
    Of X with itself. It differs from the diagonal of the triangle where there is dropout.

A position where all channels are 0 stands for the limit x -> 0 along a direction of its own: here it is 1e-2000 in a
channel in which the others are 0.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from math import prod
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray
from tests.data.image_networks import NETWORKS, SETS
from tests.data.tree_duals import FUNCTIONS, Covariance, check_closed_forms
from tests.data.tree_networks import Layer

Position = tuple[int, ...]

#: A sample and a position of it.
Place = tuple[int, Position]

#: Of two places, and whether they are of one and the same sample of a symmetric kernel.
Value = Callable[[Place, Place, bool], mpf]


class State(NamedTuple):
    """What is known behind a layer: functions, asked for what is needed."""

    K: Value
    Theta: Value
    units: float
    shape: Position

    def variance(self, p: Place) -> mpf:
        """Of the units at a place."""
        return self.K(p, p, True)


def kept(value: Value) -> Value:
    """Each number once: of p and q as of q and p."""
    once = cache(value)
    return lambda p, q, same: once(*sorted((p, q)), same)


def behind(layer: Layer, state: State) -> State:
    """K, Theta, units and shape behind a layer."""
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
    bias: bool = False,
) -> State:
    w2, b2, extra = mpf(sigma_w) ** 2, mpf(sigma_b) ** 2, 1 if bias or sigma_b > 0 else 0
    K = kept(lambda p, q, same: b2 + w2 * state.K(p, q, same))

    def own(p: Place, q: Place, same: bool) -> mpf:
        if not trainable:
            return mpf(0)
        return state.units * state.K(p, q, same) + extra if parametrization == "standard" else K(p, q, same)

    Theta = kept(lambda p, q, same: own(p, q, same) + w2 * state.Theta(p, q, same))
    return State(K, Theta, float("inf") if width is None else width, state.shape)


def _window(
    length: int, size: int, stride: int = 1, padding: str | int = "valid", dilation: int = 1
) -> list[list[int | None]]:
    """Positions along an axis that each output takes, None outside."""
    span = dilation * (size - 1) + 1
    if padding in ("same", "circular"):
        outputs = -(-length // stride)
        low = max((outputs - 1) * stride + span - length, 0) // 2
    else:
        low = 0 if padding == "valid" else int(padding)
        outputs = (length + 2 * low - span) // stride + 1
    rows = [[stride * P + dilation * o - low for o in range(size)] for P in range(outputs)]
    if padding == "circular":
        return [[i % length for i in row] for row in rows]
    return [[i if 0 <= i < length else None for i in row] for row in rows]


def _taps(state: State, size: int, *window: Any) -> tuple[Position, Callable[[Position], list[Position | None]]]:
    """What windows give, and positions that each takes, None outside."""
    axes = [_window(length, size, *window) for length in state.shape]

    @cache
    def taps(P: Position) -> list[Position | None]:
        places = product(*[axis[i] for axis, i in zip(axes, P, strict=True)])
        return [None if None in place else place for place in places]  # type: ignore[misc]

    return tuple(map(len, axes)), taps


def _conv(
    state: State,
    _: list[State],
    kernel_size: int,
    stride: int = 1,
    padding: str | int = "same",
    dilation: int = 1,
    **weights: Any,
) -> State:
    shape, taps = _taps(state, kernel_size, stride, padding, dilation)
    count = kernel_size ** len(shape)

    def mean(k: Value) -> Value:
        def value(p: Place, q: Place, same: bool) -> mpf:
            pairs = zip(taps(p[1]), taps(q[1]), strict=True)
            return mp.fsum(k((p[0], a), (q[0], b), same) for a, b in pairs if a and b) / count

        return kept(value)

    return _dense(State(mean(state.K), mean(state.Theta), state.units * count, shape), [], **weights)


def _averaged(state: State, shape: Position, taps: Callable[[Position], list[Position]], count: int | None) -> State:
    """Over all pairs of positions of two windows, divided by so many, or by as many as there are."""

    def mean(k: Value) -> Value:
        def value(p: Place, q: Place, same: bool) -> mpf:
            left, right = taps(p[1]), taps(q[1])
            total = mp.fsum(k((p[0], a), (q[0], b), same and a == b) for a in left for b in right)
            return total / (count**2 if count else len(left) * len(right))

        return kept(value)

    return State(mean(state.K), mean(state.Theta), state.units, shape)


def _avg_pool(
    state: State,
    _: list[State],
    size: int,
    stride: int | None = None,
    padding: str | int = "valid",
    normalize_edges: bool = False,
) -> State:
    shape, taps = _taps(state, size, stride or size, padding)
    count = None if normalize_edges else size ** len(shape)
    return _averaged(state, shape, lambda P: [place for place in taps(P) if place], count)


def _global(state: State, _: list[State]) -> State:
    every = list(np.ndindex(state.shape))
    return _averaged(state, (), lambda _: every, None)


def _flatten(state: State, _: list[State]) -> State:
    every = list(np.ndindex(state.shape))

    def mean(k: Value) -> Value:
        return kept(lambda p, q, same: mp.fsum(k((p[0], a), (q[0], a), same) for a in every) / len(every))

    return State(mean(state.K), mean(state.Theta), state.units * prod(state.shape), ())


def _activation(state: State, _: list[State], activation: str, **parameters: Any) -> State:
    function = FUNCTIONS[activation](**parameters)
    numbers = cache(lambda q1, q2, c: function.dual(Covariance(q1, q2, c)))

    def dual(p: Place, q: Place, same: bool) -> tuple[mpf, mpf]:
        value: tuple[mpf, mpf] = numbers(state.variance(p), state.variance(q), state.K(p, q, same))
        return value

    K = kept(lambda p, q, same: dual(p, q, same)[0])
    Theta = kept(lambda p, q, same: dual(p, q, same)[1] * state.Theta(p, q, same))
    return state._replace(K=K, Theta=Theta)


def _norm(state: State, _: list[State], axes: str, eps: float) -> State:
    """Behind weights, of mean 0."""
    every = list(np.ndindex(state.shape))

    @cache
    def root(p: Place) -> mpf:
        variances = [state.variance((p[0], a)) for a in every] if axes == "all" else [state.variance(p)]
        return mp.sqrt(mp.fsum(variances) / len(variances) + mpf(eps))

    def divided(k: Value) -> Value:
        return kept(lambda p, q, same: k(p, q, same) / (root(p) * root(q)))

    return state._replace(K=divided(state.K), Theta=divided(state.Theta))


def _dropout(state: State, _: list[State], p: float) -> State:
    keep = 1 - mpf(p)

    def dropped(k: Value) -> Value:
        return lambda a, b, same: k(a, b, same) / keep if same else k(a, b, same)

    return state._replace(K=dropped(state.K), Theta=dropped(state.Theta))


def _sum(_: State, parts: list[State]) -> State:
    def total(values: list[Value]) -> Value:
        return kept(lambda p, q, same: mp.fsum(value(p, q, same) for value in values))

    return parts[0]._replace(K=total([s.K for s in parts]), Theta=total([s.Theta for s in parts]))


RULES: dict[str, Callable[..., State]] = {
    "Dense": _dense,
    "Conv": _conv,
    "AvgPool": _avg_pool,
    "GlobalAvgPool": _global,
    "Flatten": _flatten,
    "Activation": _activation,
    "LayerNorm": _norm,
    "Dropout": _dropout,
    "Identity": lambda state, _: state,
    "Sum": _sum,
}


def start(X: NDArray[np.float64]) -> State:
    """K of the images, one more channel for positions that are 0."""
    channels = X.shape[-1]

    @cache
    def units(p: Place) -> list[mpf]:
        values = X[p[0]][p[1]]
        return [*map(mpf, map(float, values)), mpf(0) if values.any() else mpf(10) ** -2000]

    K = kept(lambda p, q, _: mp.fdot(units(p), units(q)) / channels)
    return State(K, lambda *_: mpf(0), channels, X.shape[1:-1])


def table(case: tuple[int, str]) -> dict[str, NDArray[np.float64]]:
    """Kernels of one network of one set."""
    net, name = NETWORKS[case[0]], case[1]
    X = np.array(list(SETS[name].values()))
    end = chain(net.layers, start(X))
    upper = zip(*np.triu_indices(len(X)), strict=True)
    pairs = [(int(i), int(j), False) for i, j in upper], [(i, i, True) for i in range(len(X))]
    return {
        f"{name}/{net.name}/{kind}{suffix}": np.array([float(value((i, ()), (j, ()), same)) for i, j, same in wanted])
        for kind, value in (("nngp", end.K), ("ntk", end.Theta))
        for suffix, wanted in zip(("", "_diagonal"), pairs, strict=True)
    }


def main() -> None:
    """Write the file."""
    check_closed_forms()
    cases = [(i, name) for i, net in enumerate(NETWORKS) for name in net.sets]
    with Pool(2) as pool:
        tables = pool.map(table, cases, chunksize=1)
    entries = [NETWORKS[i]._asdict() | {"set": name, "kinds": list(SETS[name])} for i, name in cases]
    arrays: dict[str, Any] = {"networks": np.array(json.dumps(entries))}
    arrays |= {f"{name}/X": np.array(list(images.values())) for name, images in SETS.items()}
    for found in tables:
        arrays |= found
    np.savez_compressed(Path(__file__).with_name("image_tables.npz"), **arrays)


if __name__ == "__main__":
    main()
