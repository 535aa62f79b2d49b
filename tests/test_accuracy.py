"""The engine against kernels in 120-digit arithmetic; `data/make_kernel_tables.py` says what is in the tables.

Errors are relative to sqrt(K_pp K_qq), the NTK's to sqrt(Theta_pp Theta_qq), of the kernel of X itself.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import fastntk
from fastntk import Activation, Sequential

pytestmark = pytest.mark.sweep

Matrix = NDArray[np.floating[Any]]

TABLES = np.load(Path(__file__).parent / "data" / "kernel_tables.npz")
PIECEWISE_LINEAR = ("identity", "relu", "leaky_relu", "abs", "abrelu", "rectified_monomial(degree=1)")
JUMPS = ("step", "sign", "rectified_monomial(degree=0)")


class Case(NamedTuple):
    """One network of the tables at one depth."""

    name: str
    rows: str
    selected: tuple[int, ...]
    prefix: str
    net: Sequential

    def __str__(self) -> str:
        return f"{self.name}-{self.prefix.replace('/', '-')}"

    @property
    def X(self) -> Matrix:  # noqa: N802
        """The rows that the kernels are about."""
        return np.asarray(TABLES[f"{self.rows}/X"][list(self.selected)])

    @property
    def tolerance(self) -> float:
        """What the engine promises."""
        if self.rows == "f32":
            return 1e-6
        return 5e-15 if self.name in PIECEWISE_LINEAR else 1e-14

    def table(self, kind: str) -> NDArray[np.float64]:
        """The true kernel, from its upper triangle."""
        n = len(self.selected)
        kernel = np.zeros((n, n))
        kernel[np.triu_indices(n)] = TABLES[f"{self.prefix}/{kind}"]
        return np.where(kernel == 0, kernel.T, kernel)

    def well_conditioned(self) -> NDArray[np.bool_]:
        """Which pairs a tolerance fits; for jumps at depth > 1 those that are not nearly parallel.

        A jump turns the gap of a pair into its square root in every layer, so that nothing but separated rows
        and exact duplicates would survive one rounding of the input.
        """
        n = len(self.selected)
        hidden = sum(isinstance(layer, Activation) for layer in self.net)
        if self.name not in JUMPS or hidden == 1:
            return np.ones((n, n), dtype=bool)
        first_layer = fastntk.reference.nngp(self.net[:1], self.X)
        s = np.sqrt(np.diag(first_layer))
        cosine = np.divide(first_layer, np.outer(s, s), out=np.zeros((n, n)), where=np.outer(s, s) > 0)
        duplicates = (self.X[:, None] == self.X[None, :]).all(axis=-1)
        return np.asarray(duplicates | (np.abs(cosine) < 0.999))


@cache
def cases() -> list[Case]:
    """Every network of the tables, at every depth."""

    def each() -> Iterator[Case]:
        for entry in json.loads(str(TABLES["networks"])):
            activation = Activation(entry["activation"], **entry["parameters"])
            named = entry["activation"] == "rectified_monomial"
            for depth in entry["depths"]:
                yield Case(
                    f"rectified_monomial(degree={entry['parameters']['degree']})" if named else activation.name,
                    entry["set"],
                    tuple(entry["rows"]),
                    f"{entry['prefix']}/{depth}",
                    fastntk.mlp(depth, activation, entry["sigma_w"], entry["sigma_b"]),
                )

    return list(each())


def error(actual: Matrix, case: Case, kind: str) -> NDArray[np.float64]:
    """Error of every pair, relative to the diagonals; where those are 0, only 0 will do."""
    truth = case.table(kind)
    s = np.sqrt(np.diag(truth))
    scale, difference = np.outer(s, s), np.abs(actual.astype(np.float64) - truth)
    assert not difference[scale == 0].any()
    relative: NDArray[np.float64] = np.divide(difference, scale, out=np.zeros_like(difference), where=scale > 0)
    return relative


@pytest.mark.parametrize("case", cases(), ids=str)
def test_kernels(case: Case) -> None:
    """Both kernels, of X with itself and with a copy; the diagonals; each kernel alone."""
    X, fits = case.X, case.well_conditioned()
    both, copied = case.net.kernels(X), case.net.kernels(X, X.copy())
    for kind in ("nngp", "ntk"):
        kernel = getattr(both, kind)
        assert kernel.dtype == X.dtype
        assert error(kernel, case, kind)[fits].max() <= case.tolerance
        assert error(getattr(copied, kind), case, kind)[fits].max() <= case.tolerance
        np.testing.assert_array_equal(kernel, kernel.T)
        np.testing.assert_array_equal(kernel, getattr(case.net, kind)(X))
        np.testing.assert_array_equal(getattr(copied, kind), getattr(case.net, kind)(X, X.copy()))


@pytest.mark.parametrize("case", cases(), ids=str)
def test_prepared_kernels(case: Case) -> None:
    """Of X with some of its rows, prepared: the centre and all means are theirs, not those of the rest."""
    X, some = case.X, slice(1, None, 3)
    for kind in ("nngp", "ntk"):
        kernel = case.table(kind)
        kernel[:, some] = getattr(case.net, kind).prepare(X[some])(X)
        assert error(kernel, case, kind)[case.well_conditioned()].max() <= case.tolerance


@pytest.mark.parametrize("case", cases(), ids=str)
def test_diagonals(case: Case) -> None:
    """nngp_diag and ntk_diag: the rounding of the norms and that of the result.

    Monomials of degree 2 and 3 raise the norms, and with them their rounding, to the power degree^depth.
    """
    powers = case.name in ("rectified_monomial(degree=2)", "rectified_monomial(degree=3)")
    tolerance = case.tolerance if powers else 2 * np.finfo(case.X.dtype).eps
    diagonals = {"nngp": case.net.nngp.diag(case.X), "ntk": case.net.ntk.diag(case.X)}
    for kind, diagonal in diagonals.items():
        assert diagonal.dtype == case.X.dtype
        truth = np.diag(case.table(kind))
        assert (np.abs(diagonal.astype(np.float64) - truth) <= tolerance * truth).all()


def test_float32_kernels_of_images_with_duplicates_are_positive_semidefinite() -> None:
    """203 of 2,000 images twice, to 1e-6 of the largest eigenvalue: no jitter needed."""
    images = load_digits().data.astype(np.float32)
    X = np.concatenate((images, images[:203]))
    for kernel in fastntk.mlp(3, "relu", 2**0.5, 0.1).kernels(X):
        eigenvalues = np.linalg.eigvalsh(kernel.astype(np.float64))
        assert eigenvalues[0] >= -1e-6 * eigenvalues[-1]
