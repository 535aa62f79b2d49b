"""Where the microseconds of small and lopsided calls go.

    OMP_NUM_THREADS=1 python bench/small_calls.py profile [--write]

Steps are timed by the functions that the call itself consists of.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

import fastntk
from fastntk._checks.arrays import kernel_dtype, new_output
from fastntk.kernels.compilation import compile_program
from fastntk.kernels.inputs import Centre, read_inputs
from fastntk.kernels.pairs import Pairs
from fastntk.kernels.prepared import PreparedRows
from tables import run

Call = Callable[[], object]

CALLS, ROUNDS = 20, 200

FLOAT64 = np.dtype(np.float64)

TABLES, WHOLE = "program, tables, range", "the whole call"


def profile(_: argparse.Namespace) -> Iterator[str]:
    """A small kernel, and one point against 1,000 rows, depth 3: microseconds of each step, on one thread.

    The least of many rounds, of steps and of whole calls in turn; "the rest" is what a whole call takes beyond its
    steps. The program has the tables of every layer and sample; the engine's time is that of its calls, with packing,
    scratch and what it takes to get there from Python.
    """
    rng = np.random.default_rng(0)
    few, one, many = (rng.standard_normal(shape) for shape in ((10, 16), (1, 64), (1000, 64)))
    plain, biased, erf = (fastntk.mlp(3, *how) for how in (("relu", 1.5), ("relu", 1.5, 0.1), ("erf", 1.5, 0.1)))
    prepared = biased.ntk.prepare(many)
    cases = {
        "n = 10, d = 16, ReLU": steps(plain, few, None, lambda: plain.ntk(few)),
        "with bias": steps(biased, few, None, lambda: biased.ntk(few)),
        "erf, with bias": steps(erf, few, None, lambda: erf.ntk(few)),
        "1 x 1,000, d = 64, ReLU with bias": steps(biased, one, many, lambda: biased.ntk(one, many)),
        "against prepared rows": steps(biased, one, prepared.rows, lambda: prepared(one)),
    }
    columns = [least(case) for case in cases.values()]
    yield f"| step | {' | '.join(cases)} |"
    yield f"|---|{'--:|' * len(cases)}"
    for name in columns[0]:
        yield f"| {name} | {' | '.join(f'{column[name]:.1f}' for column in columns)} |"
    rests = [2 * column[WHOLE] - sum(column.values()) for column in columns]
    yield f"| the rest | {' | '.join(f'{max(rest, 0):.1f}' for rest in rests)} |"


def steps(
    net: fastntk.Sequential, X: NDArray[np.float64], Y: NDArray[np.float64] | PreparedRows | None, whole: Call
) -> dict[str, Call]:
    """The steps of a call of the NTK, each as the call makes it, and the whole."""
    left, right = read_inputs(net.layers, X, Y)
    shape = len(left.x), len((right or left).x)
    out = np.empty(shape)
    if isinstance(right, PreparedRows):
        rows, own = right, right.beside(left, FLOAT64)
        pairs = Pairs(own[0], left, rows, rows.centre, own[1])
        further: dict[str, Call] = {"centre": lambda: rows.centre, TABLES: lambda: rows.beside(left, FLOAT64)}
    else:
        inputs = [left] if right is None else [left, right]
        pairs = Pairs(compile_program(net.layers, inputs, "ntk", FLOAT64), left, right)
        further = {
            "centre": lambda: Centre.of(inputs),
            TABLES: lambda: compile_program(net.layers, inputs, "ntk", FLOAT64),
        }
    return {
        "validation, norms": lambda: read_inputs(net.layers, X, Y),
        **further,
        "allocation of the result": lambda: new_output(shape, kernel_dtype(None, left.x), 1),
        "engine": lambda: pairs.compute("ntk", [out], False),
        WHOLE: whole,
    }


def least(calls: dict[str, Call]) -> dict[str, float]:
    """Microseconds of each, the least of some rounds in turn."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name] = min(found[name], timeit.timeit(call, number=CALLS) / CALLS * 1e6)
    return found


if __name__ == "__main__":
    run("small_calls", __doc__, {"profile": profile})
