"""Input that is unusual but right: no rows, any layout and dtype, extreme sizes; finite numbers or a sentence."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import Activation, Dense, Sequential, mlp

NET = mlp(depth=2, activation="relu", sigma_w=1.4, sigma_b=0.1)
RELU = Activation("relu")
X = np.random.default_rng(0).normal(size=(5, 4))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_rows_are_no_error(dtype: str) -> None:
    """Empty batches give empty kernels, for X, for Y and for both."""
    x, none = X.astype(dtype), X[:0].astype(dtype)
    for net in (NET, mlp(0), mlp(2, "erf"), Sequential()):
        for a, b, shape in ((none, None, (0, 0)), (none, x, (0, 5)), (x, none, (5, 0)), (none, none, (0, 0))):
            for kernel in (net.nngp(a, b), net.ntk(a, b), *net.kernels(a, b)):
                assert kernel.shape == shape
                assert kernel.dtype == dtype
        assert net.nngp.diag(none).shape == net.ntk.diag(none).shape == (0,)
        assert net.ntk(none, out=np.empty((0, 0), dtype)).shape == (0, 0)


def test_no_pairs_have_no_dual() -> None:
    """Empty arguments broadcast like any others."""
    assert RELU.dual([], 1, 1).shape == (0,)
    assert RELU.dual_derivative(np.ones((0, 3)), 1, [2, 3, 4]).shape == (0, 3)
    assert RELU([]).shape == (0,)


class Framed:
    """What pandas and others offer: an object that NumPy can convert."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(X, dtype)


FROZEN = X.copy()
FROZEN.flags.writeable = False
SHIFTED = np.zeros(X.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(X.shape)
SHIFTED[...] = X
SAME_VALUES: dict[str, Any] = {
    "Fortran order": np.asfortranarray(X),
    "negative strides": X[::-1, ::-1].copy()[::-1, ::-1],
    "reversed rows": X[::-1].copy()[::-1],
    "every other row": np.repeat(X, 2, axis=0)[::2],
    "every other column": np.repeat(X, 2, axis=1)[:, ::2],
    "part of wider rows": np.pad(X, 3)[3:-3, 3:-3],
    "read-only": FROZEN,
    "byte-swapped": X.astype(X.dtype.newbyteorder()),
    "misaligned": SHIFTED,
    "list of lists": X.tolist(),
    "list of arrays": list(X),
    "__array__": Framed(),
    "np.matrix": X.view(np.matrix),
    "memoryview": X.data,
}


@pytest.mark.parametrize("value", SAME_VALUES.values(), ids=SAME_VALUES.keys())
def test_any_layout_gives_the_same_bits(value: Any) -> None:
    """A layout is not a value; and inputs are not written to."""
    before = np.array(value).tobytes()
    for result, expected in ((NET.ntk(value), NET.ntk(X)), (NET.ntk(X[:2], value), NET.ntk(X[:2], X))):
        assert type(result) is np.ndarray
        assert result.tobytes() == expected.tobytes()
    assert NET.ntk.diag(value).tobytes() == NET.ntk.diag(X).tobytes()
    assert np.array(value).tobytes() == before


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u4", "i8", "u8", ">i4", "f2", "f4", "f8"])
def test_dtype_of_the_result(kind: str) -> None:
    """Integers and bool are computed in float64, float16 in float32."""
    whole = np.array([[0, 1, 1], [1, 0, 1], [0, 0, 0]])
    expected = np.dtype(np.float32 if kind in ("f2", "f4") else np.float64)
    result = NET.ntk(whole.astype(kind))
    assert result.dtype == expected
    assert result.tobytes() == NET.ntk(whole.astype(expected)).tobytes()


def test_activations_in_a_row_and_on_the_input_are_allowed() -> None:
    """Both treat what they get as a Gaussian of that covariance."""
    erf = Activation("erf")
    for net in (Sequential(), Sequential(RELU), Sequential(RELU, RELU), Sequential(erf, Dense())):
        assert np.isfinite(net.kernels(X)).all()
    assert not Sequential(RELU).ntk(X).any()


ROW = X[0]
EXTREME = {
    "zero": np.zeros((3, 4)),
    "kin": np.array([0 * ROW, ROW, ROW, -ROW, 2 * ROW, ROW * (1 + 1e-12), ROW * 1e-150]),
    "tiny": np.array([[1e-160, 1e-170], [1e-160, 0], [1e-180, 1e-180], [1e-300, 1e-310]]),
    "subnormal": np.array([[5e-324, 0], [1e-323, 5e-324], [0, 0], [1, 1]]),
    "large": np.array([[1e18, 1], [1, 1e18], [1e-20, 0]]),
    "huge": np.array([[1e150, 1], [1, 1e150], [1e-150, 0]]),
}
EXTREME_ACTIVATIONS = [
    *(Activation(name) for name in ("identity", "relu", "leaky_relu", "abs", "step", "sign", "erf")),
    *(Activation("rectified_monomial", degree=degree) for degree in (2, 3)),
    *(Activation("abrelu", a=a, b=b) for a, b in ((0.0, 0.0), (1e100, -1e-100))),
    *(Activation("erf", a=a, b=b, c=c) for a, b, c in ((1, 1, 0.5), (0, 1, 0), (1, 0, 0), (1, 1e100, 0))),
    Activation("erf", a=1e-150, c=1e-150),
]
SIGMAS = [(1.0, 0.0), (2**0.5, 0.1), (0.0, 0.0), (0.0, 1.0), (1e-200, 1e-200), (1e100, 1e-100), (1e3, 0.0)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", EXTREME_ACTIVATIONS, ids=repr)
def test_never_nan(activation: Activation, dtype: str) -> None:
    """Finite data give a finite kernel, whose diagonal is the diagonal, or a sentence about the range."""
    nets = [mlp(depth, activation, *sigmas) for depth in (0, 1, 3) for sigmas in SIGMAS]
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    wrong = []
    for net, (name, x) in itertools.product([*nets, Sequential(activation, activation)], EXTREME.items()):
        try:
            kernels = net.kernels(x, dtype=dtype)
        except ValueError as error:
            assert "range" in str(error) or "overflow" in str(error)  # noqa: PT017
            continue
        for kernel, diagonal in zip(kernels, (net.nngp.diag, net.ntk.diag), strict=True):
            expected = diagonal(x, dtype=dtype)
            allowed = tolerance * expected + 2 * np.finfo(dtype).tiny
            if not (np.isfinite(kernel).all() and (np.abs(kernel.diagonal() - expected) <= allowed).all()):
                wrong.append(f"{name}: {net}: {kernel.diagonal()}, not {expected}")
    assert not wrong
