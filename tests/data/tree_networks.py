"""Networks of `make_tree_tables.py`, and the rows that their kernels are about."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: The kind of a layer, its branches, its keyword arguments.
Layer = tuple[str, list[list[Any]], dict[str, Any]]


def dense(sigma_w: float = 1.0, sigma_b: float = 0.0, **others: Any) -> Layer:
    """A layer of weights."""
    return "Dense", [], {"sigma_w": sigma_w, "sigma_b": sigma_b, **others}


def act(name: str, **parameters: Any) -> Layer:
    """An activation."""
    return "Activation", [], {"activation": name, **parameters}


def norm(eps: float = 0.0) -> Layer:
    """LayerNorm."""
    return "LayerNorm", [], {"eps": eps}


def dropout(p: float) -> Layer:
    """Dropout."""
    return "Dropout", [], {"p": p}


def identity() -> Layer:
    """What comes in."""
    return "Identity", [], {}


def add(*branches: list[Layer]) -> Layer:
    """A sum."""
    return "Sum", list(branches), {}


def residual(*layers: Layer, shortcut: list[Layer] | None = None) -> Layer:
    """A sum with what comes in."""
    return add(list(layers), [identity()] if shortcut is None else shortcut)


def product(*branches: list[Layer]) -> Layer:
    """A product."""
    return "Product", list(branches), {}


def concat(*branches: list[Layer], fractions: Sequence[float] | None = None) -> Layer:
    """Side by side."""
    return "Concat", list(branches), {"fractions": list(fractions or [1 / len(branches)] * len(branches))}


def near() -> NDArray[np.float32]:
    """Duplicates, antipodes and near ones of both, multiples, norms of 1e-3 and 1e3, and 0; numbers of float32.

    The last coordinate of a is 0, so that any separation is representable there.
    """
    rng = np.random.default_rng(20261126)
    a, b, tiny, huge = rng.standard_normal((4, 7)).astype(np.float32)
    a[6] = 0
    last = np.eye(7, dtype=np.float32)[6]
    close = [a + np.float32(separation) * last for separation in (1e-3, 1e-6, 1e-9, 1e-12)]
    far = [-row for row in close]
    return np.array(
        [a, *close, a, -a, *far, 2 * a, b, b * np.float32(1 + 2.0**-20), tiny / 2000, 300 * huge, np.zeros(7)],
        np.float32,
    )


def extreme() -> NDArray[np.float64]:
    """Norms of 1e-100 to 1e100, and near-duplicates there."""
    rng = np.random.default_rng(20261127)
    a, b, c = rng.standard_normal((3, 7))
    last = np.eye(7)[6]
    rows = [a, a + 1e-6 * last, -a - 1e-3 * last, b, c]
    return np.array([*(1e-100 * row for row in rows), *(1e100 * row for row in rows), *rows[:2], 1e-100 * b])


ROWS: dict[str, NDArray[Any]] = {"near": near(), "extreme": extreme()}
NEAR, EXTREME = range(len(ROWS["near"])), range(len(ROWS["extreme"]))
#: Without that of norm 0, without those of other norms than about 2, and few for what is done by quadrature.
NOT_ZERO, ALIKE, FEW = NEAR[:-1], NEAR[:13], (0, 1, 5, 6, 11, 12)


class Network(NamedTuple):
    """A network of the tables."""

    name: str
    layers: list[Layer]
    set: str = "near"
    rows: Sequence[int] = NEAR
    family: str = "relu"


ROOT2 = 2**0.5


def blocks(count: int, *inner: Layer, shortcut: list[Layer] | None = None) -> list[Layer]:
    """A residual net."""
    return [dense(), *[residual(*inner, shortcut=shortcut)] * count, dense()]


def every_layer(phi: Layer, gate: Layer, eps: float) -> list[Layer]:
    """One of each, and some in each other."""
    inner = residual(norm(0.2), phi, dropout(0.1), dense(1.1, 0.1))
    mixed = concat([identity()], [phi, dense(0.8, width=24)], [norm(0.5), phi], fractions=[0.5, 0.3, 0.2])
    return [
        dense(1.2, 0.1, parametrization="standard", width=32),
        residual(phi, dense(0.9, 0.2, parametrization="standard", width=32)),
        residual(inner, phi, dense(0.7, trainable=False), shortcut=[dense(1.3)]),
        phi,
        norm(eps),
        dense(1.1),
        mixed,
        dense(1.0, 0.3),
        product([dense(1.1)], [dense(1.0, 0.5), gate], [dense(0.9, 0.6), residual(phi, dense())]),
        dense(),
        dropout(0.3),
        dense(1.0, 0.1, width=16),
        phi,
        dense(0.9, parametrization="standard", bias=True),
    ]


def homogeneous() -> Iterator[Network]:
    """Networks without bias, whose kernels are as large as their samples are."""
    relu, leak = act("relu"), act("abrelu", a=-0.3, b=1.2)
    nets = {
        "residual 3": blocks(3, relu, dense(ROOT2)),
        "norm": blocks(3, norm(), relu, dense(ROOT2)),
        "norm behind relu": [dense(), relu, norm(), dense(), relu, norm(), dense(0.5)],
        "concat": [dense(), concat([identity()], [leak, dense(1.5)], fractions=[0.25, 0.75]), dense(), relu, dense()],
        "dropout": blocks(2, relu, dropout(0.25), dense(ROOT2)),
        "fan-in": [dense(width=64), residual(relu, dense(width=64)), dense(parametrization="standard")],
    }
    for name, layers in nets.items():
        yield Network(f"extreme {name}", layers, "extreme", EXTREME)


def piecewise_linear() -> Iterator[Network]:
    """The family of ReLU, and jumps."""
    relu, leaky, absolute = act("relu"), act("leaky_relu", alpha=0.1), act("abs")
    bent = act("abrelu", a=-0.5, b=1.2)
    for count in (1, 3, 10, 20):
        yield Network(f"residual {count}", blocks(count, relu, dense(1.0)))
        yield Network(f"residual {count}, bias", blocks(count, relu, dense(1.0, 0.1)))
        yield Network(f"pre-norm {count}", blocks(count, norm(0.01), relu, dense(ROOT2)))
        yield Network(f"pre-norm {count} without eps", blocks(count, norm(), relu, dense(ROOT2)), rows=NOT_ZERO)
    yield Network("deep limit 20", blocks(20, relu, dense(20**-0.5)))
    yield Network("dense shortcut 5", blocks(5, leaky, dense(1.1, 0.1), leaky, dense(), shortcut=[dense(0.7)]))
    yield Network("abs 10", blocks(10, absolute, dense(0.5, 0.1)))
    yield Network("abrelu 10", blocks(10, bent, dense(0.7)))
    yield Network("frozen", blocks(3, relu, dense(1.2, 0.1, trainable=False), relu, dense()))
    post = [dense(ROOT2), norm(0.01), relu]
    yield Network("norm behind dense", [*post * 4, dense()])
    yield Network("norm behind dense with bias", [*[dense(ROOT2, 0.1), norm(), relu] * 4, dense()])
    yield Network("norm behind relu", [*[dense(), relu, norm()] * 3, dense()], rows=NOT_ZERO)
    yield Network("norm behind relu with eps", [*[dense(), relu, norm(0.1)] * 3, dense()])
    yield Network("norm behind abs with bias", [*[dense(1.0, 0.2), absolute, norm()] * 3, dense()])
    yield Network("norm behind a sum", [*[dense(), add([relu], [dense(0.5, 0.1)]), norm()] * 2, dense()])
    both = [[dense(2.0), relu], [dense(0.5, 0.1), absolute], [identity()]]
    yield Network("concat", [dense(), concat(*both, fractions=[0.125, 0.625, 0.25]), dense(), relu, dense()])
    dense_net = [concat([identity()], [relu, dense(1.2, 0.1)], fractions=[0.5, 0.5]), dense()]
    yield Network("concat, nested", [dense(), concat([identity()], [*dense_net, concat([relu], [identity()])])])
    yield Network("norm behind concat", [dense(), concat([relu], [identity()], [bent]), norm(0.1), dense()])
    yield Network("product", [product([dense()], [dense(0.8), relu]), dense(), relu, dense()])
    yield Network(
        "gated by a step", [product([dense()], [dense(1.0, 0.3), act("step")]), dense(), relu, dense()], family="other"
    )
    yield Network("squared by branches", [product([dense()], [dense()], [dense()]), dense()])
    yield Network("norm behind product", [product([dense(), relu], [dense(0.8), absolute]), norm(0.01), dense()])
    yield Network("dropout", [dense(), relu, dropout(0.5), dense(), relu, dropout(0.2), dense()])
    yield Network("dropout 5", blocks(5, relu, dropout(0.1), dense(1.0, 0.1)))
    yield Network("dropout, norm", [dense(), relu, dropout(0.3), norm(0.1), dense(), relu, dense(), dropout(0.1)])
    fan_in: dict[str, Any] = {"parametrization": "standard", "width": 64}
    yield Network("standard", [dense(1.0, **fan_in), *blocks(3, relu, dense(ROOT2, 0.1, **fan_in))[1:]])
    trained = [dense(1.0, bias=True, **fan_in), relu, residual(dense(bias=True, **fan_in), relu, dense(0.5, **fan_in))]
    yield Network("standard with trained biases", trained, rows=NOT_ZERO)
    last = dense(0.9, 0.1, parametrization="standard")
    yield Network(
        "standard behind concat",
        [concat([dense(width=40), relu], [dense(width=24)], fractions=[0.625, 0.375]), last, relu],
    )
    yield Network("standard behind sums", [dense(1.0, **fan_in), residual(dense()), residual(relu, dense(0.7)), last])
    yield Network("standard behind product", [product([dense(width=24)], [dense(0.8), relu]), last, relu])
    inner = residual(residual(relu, dense(0.7)), relu, add([dense()], [relu, dense(0.5, 0.1)]))
    yield Network("branches in branches", [dense(), residual(inner, relu, dense(), shortcut=[inner]), dense(), relu])
    yield Network("every layer", every_layer(relu, act("step"), 0.1))
    yield Network("every layer, abrelu", every_layer(bent, absolute, 0.0))
    yield Network("sign", [dense(1.0, 0.1), concat([act("sign")], [relu]), dense()], family="other")


def others() -> Iterator[Network]:
    """Closed forms, and what has none."""
    sigmoid, wave, bell = (
        act("erf", a=0.8, b=0.7, c=0.3),
        act("sin", a=1.0, b=1.0, c=0.4),
        act("gaussian", a=1.0, b=-0.5),
    )
    plain, gelu, square = act("erf", a=1.0, b=1.0, c=0.0), act("gelu"), act("squared_relu")
    nets: dict[str, tuple[list[Layer], Sequence[int]]] = {
        "erf 3": (blocks(3, plain, dense(0.8)), NEAR),
        "erf 10": (blocks(10, plain, dense(0.8, 0.1)), NEAR),
        "erf 20": (blocks(20, plain, dense(0.5, 0.1)), NEAR),
        "norm, erf": (blocks(5, norm(0.01), sigmoid, dense()), NEAR),
        "norm behind erf": ([*[dense(1.0, 0.3), sigmoid, norm()] * 2, dense()], ALIKE),
        "norm behind erf with eps": ([*[dense(1.0, 0.1), sigmoid, norm(0.1)] * 3, dense()], NEAR),
        "gelu 10": (blocks(10, gelu, dense(0.5, 0.1)), NEAR),
        "norm, gelu 20": (blocks(20, norm(0.1), gelu, dense()), NEAR),
        "norm behind gelu": ([*[dense(), gelu, norm()] * 3, dense()], ALIKE),
        "norm behind gelu with eps": ([*[dense(), gelu, norm(0.1)] * 3, dense()], NEAR),
        "sin 3": (blocks(3, wave, dense(0.5)), ALIKE),
        "norm behind sin": ([*[dense(), wave, norm()] * 2, dense()], ALIKE),
        "gated by erf": ([product([dense()], [dense(1.0, 0.2), sigmoid]), dense(), gelu, dense()], NEAR),
        "gaussian": ([dense(), concat([bell], [plain]), norm(0.1), dense(), residual(bell, dense())], NEAR),
        "exp": ([dense(0.5), norm(0.5), act("exp", a=0.5, b=0.7), norm(), dense(), plain, dense()], ALIKE),
        "squared relu": ([dense(), norm(0.1), square, norm(), dense(), residual(square, dense(0.5))], NOT_ZERO),
        "every layer, erf": (every_layer(sigmoid, act("step"), 0.1), NEAR),
        "every layer, gelu": (every_layer(gelu, sigmoid, 0.1), NEAR),
        "tanh": (blocks(1, act("tanh"), dense(0.8, 0.1)), FEW),
        "norm behind softplus": ([dense(), act("softplus"), norm(), dense()], FEW),
        "silu": ([dense(), residual(norm(0.1), act("silu"), norm(), dense()), dense()], FEW),
        "gated by tanh": ([product([dense()], [dense(0.8), act("tanh")]), dense()], FEW),
        "hard tanh": (blocks(1, act("hard_tanh"), dense(0.8)), FEW),
    }
    for name, (layers, rows) in nets.items():
        yield Network(name, layers, "near", rows, "other")


NETWORKS = [*homogeneous(), *piecewise_linear(), *others()]
