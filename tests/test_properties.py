"""What holds for every network, shape, dtype, stride and option: cases are drawn, and made small where one fails.

Some are drawn whenever the suite runs, always the same; ``pytest -m many tests/test_properties.py`` draws others, and
many.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests import images, trees

import fastntk
from fastntk import Activation, Sequential, network, reference

Array = NDArray[Any]
Kind = Literal["nngp", "ntk"]

FEW, MANY = 40, 3000

#: Of float64 and float32, relative to the diagonals, for rows far from each other; and where rows nearly coincide,
#: where angles of the reference are off by the root of a rounding error.
FAR, NEAR = {"float64": 1e-11, "float32": 3e-5}, 1e-5

#: What the engine has for 0, of which there is no logarithm, times other numbers.
NOTHING = {"float64": 1e-150, "float32": 1e-15}

#: Without jumps, which take roots of errors.
SMOOTH = tuple(a for a in trees.CLOSED if a.name not in ("step", "sign"))

each_number = pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.many)])


def holds(examples: int, *drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], None]:
    """Draw so many cases for a function, and call it."""

    def check(claim: Callable[..., None]) -> None:
        settings(
            max_examples=examples,
            deadline=None,
            derandomize=examples == FEW,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )(given(*drawn)(claim))()

    return check


# --- What is drawn


class Row(NamedTuple):
    """A sample by what it is: of its own, or one of those before, times a number, and so far from it."""

    of: int | None
    times: float = 1.0
    away: float = 0.0


new_row = st.builds(Row, st.none(), st.sampled_from([1.0, 1.0, 1.0, 0.0, 0.1, 3.0]), st.just(0.0))
like_another = st.builds(
    Row, st.integers(0, 9), st.sampled_from([1.0, -1.0, 2.0, -0.25]), st.sampled_from([0.0, 1e-9, 1e-4])
)
rows = st.lists(st.one_of(new_row, like_another), min_size=1, max_size=9)

#: How an array lies in memory.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "backwards": lambda x: x[::-1].copy()[::-1],
    "every third row": lambda x: np.repeat(x, 3, axis=0)[::3],
    "every other column": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "columns backwards": lambda x: x[..., ::-1].copy()[..., ::-1],
    "the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "not aligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "a list": lambda x: x.tolist() if x.dtype == np.float64 else x,
}
layouts = st.sampled_from(list(LAYOUTS))


def samples(described: list[Row], features: int, seed: int) -> tuple[Array, Array]:
    """Rows, in numbers of float32, and which of them are of their own, neither zero nor like another."""
    rng = np.random.default_rng([seed, features])
    x, own = np.zeros((len(described), features)), np.zeros(len(described), bool)
    for i, row in enumerate(described):
        fresh = rng.standard_normal(features)
        if row.of is None or i == 0:
            x[i], own[i] = row.times * fresh, row.times != 0
        else:
            other = row.of % i
            x[i] = row.times * (x[other] + row.away * np.linalg.norm(x[other]) * fresh)
    return x.astype(np.float32).astype(np.float64), own


def errors(found: Array, truth: Array, left: Array, right: Array) -> Array:
    """Of every pair, relative to the diagonals; 0 where both have nothing, or next to it."""
    scale = np.sqrt(np.outer(left, right))
    difference = np.abs(found.astype(np.float64) - truth)
    assert difference[scale == 0].max(initial=0) < NOTHING[found.dtype.name]
    return np.asarray(np.divide(difference, scale, out=np.zeros_like(difference), where=scale > 0))


def accepted(call: Callable[[], Any]) -> Any:
    """What it returns; a case is none where samples are refused, as zeros before a LayerNorm are."""
    try:
        return call()
    except ValueError as error:
        assume(not str(error).startswith(("K(x, x) of ", "the kernel of ")))
        raise


networks = st.integers(0, 2**32 - 1).map(lambda seed: trees.random_network(np.random.default_rng(seed), SMOOTH))
dtypes = st.sampled_from(["float64", "float32"])
seeds = st.integers(0, 99)


# --- What holds


@each_number
def test_kernels_are_those_of_the_reference(examples: int) -> None:
    """Of X with itself and with Y, each alone and both at once, layer by layer or as one polynomial."""

    @holds(examples, networks, rows, st.none() | rows, seeds, dtypes, st.booleans())
    def claim(net: Sequential, x: list[Row], y: list[Row] | None, seed: int, dtype: str, univariate: bool) -> None:
        X, own = samples(x, trees.WIDTH, seed)
        Y, others = samples(y, trees.WIDTH, seed + 100) if y else (None, own)
        found = accepted(lambda: net.kernels(X, Y, dtype=dtype, univariate=univariate))
        truth, left = reference.kernels(net, X, Y), reference.kernels(net, X)
        right = left if Y is None else reference.kernels(net, Y)
        far = np.outer(own, others)
        if Y is None:
            np.fill_diagonal(far, True)
        for kind, both in zip(("nngp", "ntk"), found, strict=True):
            ends = [np.diag(getattr(kernels, kind)) for kernels in (left, right)]
            alone = getattr(net, kind)(X, Y, dtype=dtype, univariate=univariate)
            for kernel in (both, alone):
                assert kernel.dtype == dtype
                error = errors(kernel, getattr(truth, kind), *ends)
                assert error[far].max(initial=0) <= FAR[dtype]
                assert error.max(initial=0) <= max(NEAR, FAR[dtype])
            if Y is None:
                assert (both == both.T).all()
                diagonal = getattr(net, kind).diag(X)
                assert np.abs(diagonal - ends[0]).max(initial=0) <= FAR["float64"] * ends[0].max(initial=0)


@each_number
def test_bits_do_not_depend_on_memory(examples: int) -> None:
    """However X, Y and `out` lie in it, and whoever looks on."""

    @holds(examples, networks, rows, rows, seeds, dtypes, layouts, layouts, st.integers(0, 3))
    def claim(
        net: Sequential, x: list[Row], y: list[Row], seed: int, dtype: str, of_x: str, of_y: str, of_out: int
    ) -> None:
        X, Y = (samples(part, trees.WIDTH, seed + k)[0].astype(dtype) for k, part in enumerate((x, y)))
        n, m = len(X), len(Y)
        wanted = accepted(lambda: net.ntk(X, Y))
        laid = LAYOUTS[of_x](X), LAYOUTS[of_y](Y)
        out = (
            np.full((n, m), np.nan, dtype),
            np.full((m, n), np.nan, dtype).T,
            np.full((2 * n, 3 * m), np.nan, dtype)[::2, ::3],
            np.full((n, m), np.nan, dtype)[::-1, ::-1],
        )[of_out]
        seen: list[float] = []
        assert net.ntk(*laid, out=out, dtype=dtype, progress=seen.append) is out
        np.testing.assert_array_equal(out, wanted)
        assert seen == sorted(seen)
        assert seen[-1] == 1
        assert (X.tobytes(), Y.tobytes()) == tuple(np.ascontiguousarray(a, dtype).tobytes() for a in laid)


@each_number
def test_every_door_gives_the_kernel(examples: int) -> None:
    """Prepared rows, products that never store it, text, pickles; and no direction in which it is negative."""

    @holds(examples, networks, rows, rows, seeds, st.sampled_from(["nngp", "ntk"]))
    def claim(net: Sequential, x: list[Row], y: list[Row], seed: int, kind: Kind) -> None:
        (X, own), (Y, _) = (samples(part, trees.WIDTH, seed + k) for k, part in enumerate((x, y)))
        kernel = getattr(net, kind)
        K, S = accepted(lambda: (kernel(X, Y), kernel(X)))
        scale = np.sqrt(np.outer(kernel.diag(X), kernel.diag(Y)))
        v = np.random.default_rng(seed).standard_normal((len(Y), 2))
        np.testing.assert_array_less(np.abs(kernel.prepare(Y)(X) - K), FAR["float64"] * scale + NOTHING["float64"])
        product = kernel.operator(X, Y) @ v
        np.testing.assert_array_less(np.abs(product - K @ v), FAR["float64"] * (scale @ np.abs(v)) + NOTHING["float64"])
        for again in (network(repr(net)), pickle.loads(pickle.dumps(net))):
            assert again == net
            np.testing.assert_array_equal(getattr(again, kind)(X, Y), K)
        lowest = np.linalg.eigvalsh(S[np.ix_(own, own)]).min(initial=0)
        assert lowest >= -1e-11 * np.trace(S)


@each_number
def test_images_are_those_of_the_reference(examples: int) -> None:
    """Of one, two or three axes; among them black ones, copies and negatives."""
    shapes = st.sampled_from(images.SHAPES)

    @holds(max(5, examples // 4), st.integers(0, 2**32 - 1), shapes, st.integers(1, 3), rows, rows, seeds, layouts)
    def claim(
        number: int, shape: tuple[int, ...], channels: int, x: list[Row], y: list[Row], seed: int, layout: str
    ) -> None:
        net = images.random_network(np.random.default_rng(number), shape, channels)
        inputs = [samples(part, int(np.prod(shape)) * channels, seed + k) for k, part in enumerate((x[:4], y[:3]))]
        X, Y = (part.reshape(-1, *shape, channels) for part, _ in inputs)
        found = accepted(lambda: net.kernels(LAYOUTS[layout](X), Y))
        truth, left, right = (reference.kernels(net, *data) for data in ((X, Y), (X,), (Y,)))
        far = np.outer(*(own for _, own in inputs))
        for kernel, wanted, *ends in zip(found, truth, left, right, strict=True):
            error = errors(kernel, wanted, *map(np.diag, ends))
            assert error[far].max(initial=0) <= NEAR * 1e-3
            assert error.max(initial=0) <= NEAR


@each_number
def test_functions_of_users_are_what_they_are_called(examples: int) -> None:
    """A polynomial given as a function has the kernels that it has by name, to the tolerance of an expansion."""
    coefficients = st.lists(st.floats(-1, 1).map(lambda c: round(c, 3)), min_size=2, max_size=4)

    @holds(max(5, examples // 4), coefficients, rows, seeds, st.floats(0.1, 2.0))
    def claim(c: list[float], x: list[Row], seed: int, sigma_w: float) -> None:
        if not any(c[1:]):
            return
        X, _ = samples(x, 5, seed)
        polynomial = np.polynomial.Polynomial(c)
        given_ = Activation(polynomial, polynomial.deriv(), name="mine")
        named = Activation("polynomial", coefficients=c)
        for mine, known in zip(*(fastntk.mlp(1, act, sigma_w, 0.1).kernels(X) for act in (given_, named)), strict=True):
            scale = np.sqrt(np.diag(known))
            assert (np.abs(mine - known) <= 1e-8 * np.outer(scale, scale)).all()
