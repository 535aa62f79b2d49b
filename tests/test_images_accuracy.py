"""Convolutional networks against kernels in 120-digit arithmetic; `data/make_image_tables.py` says what is there.

Errors are relative to sqrt(K_pp K_qq), the NTK's to sqrt(Theta_pp Theta_qq), of the kernel of X with itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.images import Float, errors

import fastntk
from fastntk import Activation, Dropout, Sequential, reference
from fastntk.layers import Layer
from fastntk.layers.base import walk
from fastntk.layers.pool import Pooling

pytestmark = pytest.mark.sweep

TABLES = np.load(Path(__file__).parent / "data" / "image_tables.npz")
CASES: list[dict[str, Any]] = json.loads(str(TABLES["networks"]))

#: Largest errors, of dtypes, without and behind averages over positions.
TOLERANCE = {
    ("float64", False): 5e-15,
    ("float32", False): 1e-6,
    ("float64", True): 1e-9,
    ("float32", True): 1e-5,
}

#: Of an activation behind an average: 1 - rho of near-duplicates is a difference of averages, good to the rounding of
#: float64, and the slope of ReLU at that angle to sqrt(2 * 1.1e-16) / pi = 4.7e-9.
BEHIND_AVERAGE = 6e-9


def bound_of(net: Sequential, dtype: str, *, averages: bool) -> float:
    """The largest error that is allowed."""
    bound = TOLERANCE[dtype, averages]
    first = next((i for i, layer in enumerate(net) if isinstance(layer, Pooling)), len(net))
    behind = any(isinstance(layer, Activation) for _, layer in walk(net.layers[first:]))
    return max(bound, BEHIND_AVERAGE) if behind else bound


def identify(case: dict[str, Any]) -> str:
    """Test id."""
    return f"{case['set']}-{case['name']}".replace(" ", "-")


def built(case: dict[str, Any]) -> Sequential:
    """The network."""

    def layer(kind: str, branches: list[Any], options: dict[str, Any]) -> Layer:
        make: Callable[..., Layer] = getattr(fastntk, kind)
        return make(*[Sequential(*[layer(*inner) for inner in branch]) for branch in branches], **options)

    return Sequential(*[layer(*part) for part in case["layers"]])


def images_of(case: dict[str, Any], dtype: str) -> NDArray[Any]:
    """The images that the kernels are about."""
    return np.asarray(TABLES[f"{case['set']}/X"], dtype)


def truth(case: dict[str, Any], kind: str, *, same: bool) -> tuple[Float, Float]:
    """The kernel of X with itself, or with a copy; and the diagonal of the former."""
    name = f"{case['set']}/{case['name']}/{kind}"
    n = len(case["kinds"])
    kernel = np.zeros((n, n))
    kernel[np.triu_indices(n)] = TABLES[name]
    kernel += np.triu(kernel, 1).T
    if same:
        np.fill_diagonal(kernel, TABLES[f"{name}_diagonal"])
    return kernel, TABLES[f"{name}_diagonal"]


def worst(found: NDArray[Any], case: dict[str, Any], kind: str, *, same: bool) -> tuple[float, str]:
    """The largest error, and of which pair of images."""
    expected, diagonal = truth(case, kind, same=same)
    every = errors(found, expected, diagonal, diagonal)
    i, j = divmod(int(every.argmax()), len(every))
    return float(every.max()), f"{kind} of {case['kinds'][i]!r} and {case['kinds'][j]!r}"


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_the_reference(case: dict[str, Any]) -> None:
    """K to rounding; Theta, whose angles are off where patches are nearly parallel, to half the digits."""
    net, X = built(case), images_of(case, "float64")
    given = [(True, reference.kernels(net, X))]
    if any(isinstance(layer, Dropout) for _, layer in walk(net.layers)):  # else a copy is no other sample
        given.append((False, reference.kernels(net, X, X.copy())))
    for same, kernels in given:
        for kind, kernel, bound in zip(("nngp", "ntk"), kernels, (2e-14, 1e-7), strict=True):
            error, where = worst(kernel, case, kind, same=same)
            assert error <= bound, where


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=identify)
def test_kernels(case: dict[str, Any], dtype: str) -> None:
    """Both kernels, of X with itself and with a copy; each kernel alone, and their diagonals."""
    if case["set"] == "double" and dtype == "float32":
        return
    net, X = built(case), images_of(case, dtype)
    bound = bound_of(net, dtype, averages=case["averages"])
    both, copied = net.kernels(X), net.kernels(X, X.copy())
    for kind in ("nngp", "ntk"):
        alone = getattr(net, kind)
        assert getattr(both, kind).dtype == X.dtype
        for same, kernel in ((True, getattr(both, kind)), (False, getattr(copied, kind)), (True, alone(X))):
            error, where = worst(kernel, case, kind, same=same)
            assert error <= bound, where
        np.testing.assert_array_equal(alone(X), alone(X).T)
        np.testing.assert_allclose(alone.diag(X), truth(case, kind, same=True)[1], rtol=bound, atol=0)
