"""The tables of a sample are its own: those it has in a program of other samples too, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Activation, Dense, Sequential, _core
from fastntk._machine import runtime
from fastntk.kernels.inputs import Centre, Input
from fastntk.kernels.pairs import Pairs

#: Rows of all sizes: those out of the range of double when they are squared, zero rows, and many of usual ones.
NORMS = np.concatenate((10.0 ** np.random.default_rng(1).uniform(-2, 2, 200), [0.0, 1e-200, 1e100, 1.0]))


def compiled(make: Any, layers: Any, norms: NDArray[np.float64], directions: Any = ()) -> Any:
    """A program for rows of these norms and 3 features."""
    program = make(runtime.instruction_set(), 1, norms, 3, list(directions))
    for layer in layers:
        if isinstance(layer, Activation):
            layer._dual.add_to(program)
        else:
            program.dense(layer.sigma_w, layer.sigma_b, layer.trainable)
    return program


NETWORKS: dict[str, list[Activation | Dense]] = {
    "relu": [Dense(1.4, 0.1), Activation("relu"), Dense(1.4, 0.2), Activation("relu"), Dense(1.0, 0.3)],
    "offset": [Dense(1.0, 0.1), Activation("erf", c=0.5), Dense(1.2), Activation("gelu"), Dense(1.0, 0.1)],
    "sin": [Dense(1.0), Activation("sin"), Dense(1.2, 0.3), Activation("gabor"), Dense(1.0, 0.1)],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_of_some_rows(name: str, dtype: str) -> None:
    """The kernel of some rows has the bits it has among more of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)) * rng.uniform(0.1, 10, (90, 1))
    layers, rows = NETWORKS[name], slice(31, 47)
    make = _core.ProgramFloat32 if dtype == "float32" else _core.ProgramFloat64
    whole = Input(x, "X")
    centre = Centre.of([whole])
    base = compiled(make, layers, whole.norms)
    some = Input(x[rows], "X")
    program = compiled(make, layers, some.norms)
    wanted, found = np.empty((2, 90, 90), dtype), np.empty((2, 16, 16), dtype)
    Pairs(base, whole, None, centre).compute("both", list(wanted), False)
    Pairs(program, some, None, centre).compute("both", list(found), False)
    np.testing.assert_array_equal(found, wanted[:, rows, rows])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("gradient", [False, True])
def test_diagonals_do_not_depend_on_other_samples(name: str, *, gradient: bool) -> None:
    """Not on those that are computed beside them, of whatever size."""
    layers = NETWORKS[name]
    count = sum(isinstance(layer, Dense) for layer in layers)
    directions = np.eye(2 * count).tolist() if gradient else []
    base = compiled(_core.ProgramFloat64, layers, NORMS, directions=directions)
    for rows in (slice(0, 1), slice(100, 204), slice(199, 203)):
        program = compiled(_core.ProgramFloat64, layers, NORMS[rows], directions=directions)
        np.testing.assert_array_equal(program.variance, base.variance[rows])
        np.testing.assert_array_equal(program.ntk, base.ntk[rows])


def test_sequential_is_the_same_network() -> None:
    """The tables above are those of the public interface."""
    x = np.random.default_rng(0).normal(size=(5, 3))
    data = Input(x, "X")
    base = compiled(_core.ProgramFloat64, NETWORKS["relu"], data.norms)
    found = np.empty((5, 5))
    Pairs(base, data, None).compute("ntk", [found], False)
    np.testing.assert_array_equal(found, Sequential(*NETWORKS["relu"]).ntk(x))
