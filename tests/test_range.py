"""Kernels out of the range of their dtype are refused, on either side; what is 0, or small beside others, is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Sequential, mlp

Matrix = NDArray[np.floating[Any]]

X = np.random.default_rng(0).normal(size=(5, 4))
BELOW = "the kernel of row 0 of X with itself is below the range of {}"

DOORS: dict[str, Callable[[Sequential, Matrix, Path], Any]] = {
    "nngp": lambda net, x, _: net.nngp(x),
    "ntk": lambda net, x, _: net.ntk(x),
    "kernels": lambda net, x, _: net.kernels(x, np.ones((2, 4), x.dtype)),
    "nngp_diag": lambda net, x, _: net.nngp.diag(x),
    "ntk_diag": lambda net, x, _: net.ntk.diag(x),
    "gradient": lambda net, x, _: net.ntk.value_and_gradient(x),
    "operator": lambda net, x, _: net.ntk.operator(x) @ np.ones(len(x)),
    "memmap": lambda net, x, path: net.nngp(x, out=np.lib.format.open_memmap(path / "k.npy", "w+", x.dtype, (5, 5))),
}


@pytest.mark.parametrize("door", DOORS)
def test_underflow_is_refused(door: str, tmp_path: Path) -> None:
    """ReLU halves K in every layer: at depth 1,100 it is 1e-332, at depth 140 below the normal numbers of float32."""
    for net, x, name in (
        (mlp(1100), X, "float64"),
        (mlp(140), X.astype(np.float32), "float32"),
        (mlp(3), (1e-25 * X).astype(np.float32), "float32"),
    ):
        with pytest.raises(ValueError, match=BELOW.format(name)) as caught:
            DOORS[door](net, x, tmp_path)
        assert ("use dtype='float64'" in str(caught.value)) == (name == "float32")
        assert "scale the data or the parameters up" in str(caught.value)


def test_sums_of_derivatives() -> None:
    """They are float64 whatever X is."""
    with pytest.raises(ValueError, match=BELOW.format("float64")):
        mlp(1100).ntk.vjp(X, np.ones((5, 5)))
    assert np.isfinite(mlp(140).ntk.vjp(X.astype(np.float32), np.ones((5, 5)))).all()


def test_what_float64_can_hold() -> None:
    """The advice helps, and homogeneous networks scale exactly: K(2^k x) = 4^k K(x)."""
    x = (1e-25 * X).astype(np.float32)
    scaled = np.ldexp(x.astype(np.float64), 80)
    for net in (mlp(3), mlp(140), mlp(2, "abs", 0.7)):
        for small, large in zip(net.kernels(x, dtype="float64"), net.kernels(scaled), strict=True):
            np.testing.assert_allclose(np.ldexp(small, 160), large, rtol=1e-14)


def test_homogeneous_networks_at_every_size() -> None:
    """Refused, or as exact as at size 1: at random powers of 2 that data, weights and depth go down or up by."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        dtype = str(rng.choice(["float32", "float64"]))
        widest, digits = (40, 1e-6) if dtype == "float32" else (300, 1e-14)
        data, weight, depth = int(rng.integers(-widest, widest)), int(rng.integers(-4, 5)), int(rng.integers(1, 60))
        name = str(rng.choice(["relu", "leaky_relu", "abs", "identity"]))
        x = X.astype(dtype)
        plain = mlp(depth, name, 1.0).kernels(x, dtype="float64")
        shift = 2 * data + 2 * weight * (depth + 1)
        try:
            found = mlp(depth, name, 2.0**weight).kernels(np.ldexp(x, data))
        except ValueError as error:
            refused += 1
            exponent = np.log2(plain.nngp.max()) + shift, np.log2(plain.ntk.max()) + shift
            least, most = np.log2(float(np.finfo(dtype).tiny)), np.log2(float(np.finfo(dtype).max))
            smallest = np.log2(np.diag(plain.nngp).min()) + shift
            assert "below" in str(error) if smallest < least else exponent[1] > most and "beyond" in str(error)  # noqa: PT017
            continue
        for kernel, truth in zip(found, plain, strict=True):
            s = np.sqrt(np.diag(truth))
            relative = np.abs(np.ldexp(kernel.astype(np.longdouble), -shift) - truth) / np.outer(s, s)
            assert relative.max() <= digits
    assert 20 < refused < 160


def test_zeros_are_no_underflow() -> None:
    """Zero rows, sigma_w = 0, functions that are 0, a Theta that is 0."""
    zero = X.copy()
    zero[1] = 0
    for dtype in ("float32", "float64"):
        nngp, ntk = mlp(3).kernels(zero, dtype=dtype)
        assert not nngp[1].any()
        assert not ntk[:, 1].any()
        for net in (
            mlp(3, "relu", 0.0),
            mlp(2, Activation("abrelu", a=0.0, b=0.0)),
            mlp(2, Activation("polynomial", coefficients=(0.0,))),
            mlp(2, Activation("erf", a=0.0)),
            mlp(2, Activation("hard_shrink"), 0.0),
        ):
            for kernel in net.kernels(zero, dtype=dtype):
                assert not kernel.any()
        assert not mlp(2, "sign")[:-1].ntk(X, dtype=dtype).any()
        assert not mlp(1, "soft_shrink").nngp(0 * X, dtype=dtype).any()
        nearly_orthogonal = np.array([[1.0, 1e-30], [1e-30, 1.0], [0.0, 1.0]], dtype)
        assert mlp(1, "identity").nngp(nearly_orthogonal, dtype=dtype)[0, 2] == pytest.approx(5e-31, rel=1e-6)


def test_small_numbers_inside_a_network() -> None:
    """They do no harm where the result is in range: a large weight or a bias follows."""
    x = (1e-25 * X).astype(np.float32)
    up = Sequential(Dense(), Activation("relu"), Dense(1e25), Activation("relu"), Dense())
    np.testing.assert_allclose(up.ntk(x), up.ntk(x, dtype="float64"), rtol=1e-5)
    # E[phi^2] = 2 E (z s - h)_+^2 is 1e-500 and less before the bias; then K = sigma_w^2 relu(sigma_b) + sigma_b^2
    for name in ("soft_shrink", "hard_shrink"):
        for dtype in ("float32", "float64"):
            net = Sequential(Dense(), Activation(name), Dense(1.0, 0.5), Activation("relu"), Dense(2.0, 1.0))
            nngp, ntk = net.kernels(0.01 * X, dtype=dtype)
            np.testing.assert_allclose(nngp, 1 + 4 * 0.25 / 2, rtol=1e-6)
            np.testing.assert_allclose(ntk, 1.5 + 4 * 0.25 / 2, rtol=1e-6)
            with pytest.raises(ValueError, match="below the range of"):
                mlp(1, name).nngp(0.01 * X, dtype=dtype)
            # a sign makes 1 of whatever size, but nothing is known of its argument any more
            with pytest.raises(ValueError, match="below the range of"):
                Sequential(Dense(), Activation(name), Dense(), Activation("sign"), Dense()).nngp(0.01 * X, dtype=dtype)


@pytest.mark.parametrize("name", ["soft_shrink", "hard_shrink"])
def test_shrinking_functions_in_float32(name: str, error_in_float32: Any) -> None:
    """From where everything is beyond the kinks to where nothing is: as float64, or refused."""
    refused = 0
    for scale in np.geomspace(1e-3, 3, 40):
        x = (scale * X).astype(np.float32)
        for rest in ((Dense(),), (Dense(1.0, 0.1),), (Dense(1e4, 0.0), Activation("erf"), Dense())):
            error = error_in_float32(Sequential(Dense(), Activation(name), *rest), x)
            refused += error is None
            assert error is None or error <= 1e-6
    assert 30 < refused < 90


def test_only_the_kernel_that_is_wanted() -> None:
    """Theta of 70 layers of rbf is 1e62 in float32, K is 4."""
    x = X.astype(np.float32)
    net = mlp(70, "rbf", 2.0)
    np.testing.assert_allclose(np.diag(net.nngp(x)), 4)
    for call in (net.ntk, net.kernels, net.ntk.diag):
        with pytest.raises(ValueError, match=r"row 0 of X with itself is beyond the range of float32"):
            call(x)
    # relative to K, Theta is no number of float32 although both are
    ratio = Sequential(Dense(), Activation("rbf", gamma=1e30), Dense(), Activation("rbf", gamma=1e30), Dense(1e-15))
    with pytest.raises(ValueError, match="beyond the range of float32"):
        ratio.ntk(x)


def test_gradients_in_float32_are_in_range() -> None:
    """They are computed in float64; what is rounded to float32 is refused as everywhere."""
    x = X.astype(np.float32)
    with pytest.raises(ValueError, match="beyond the range of float32"):
        mlp(3, "relu", 1e6).nngp.value_and_gradient(1e10 * x)
    assert np.isfinite(mlp(3, "relu", 1e6).nngp.value_and_gradient(1e10 * x, dtype="float64")[0]).all()


def test_rows_too_small_to_have_a_direction() -> None:
    """Their norms square to less than any number; rows of zeros have their own rule."""
    x = X.copy()
    x[3] *= 1e-300
    for net in (mlp(1, "sign"), mlp(1, "relu", 1.0, 1.0)):
        with pytest.raises(ValueError, match=r"X: row 3 has norm .*e-300, below the range of float64"):
            net.nngp(x)
        with pytest.raises(ValueError, match=r"Y: row 3 has norm"):
            net.nngp(X, x)
    x[3] = 0
    assert np.isfinite(mlp(1, "relu", 1.0, 1.0).nngp(x)).all()
    assert fastntk.mlp(1, "sign").nngp(1e-150 * X)[0, 0] == 1
