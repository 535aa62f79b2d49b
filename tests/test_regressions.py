"""Inputs that once gave a wrong kernel: each stays here with what was wrong."""

from __future__ import annotations

import numpy as np
import pytest

import fastntk

NET = fastntk.mlp(2, "relu", 2**0.5, 0.1)


def test_mixed_dtypes_of_any_strides() -> None:
    """A float32 X of stride 0 beside a float64 Y was read as if its rows were contiguous."""
    rows = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    y = rows.astype(np.float64)[::-1]
    for x in (np.broadcast_to(rows[0], (6, 5)), rows[::-1], rows[::2], np.asfortranarray(rows)):
        expected = fastntk.reference.ntk(NET, np.array(x, np.float64), np.array(y))
        np.testing.assert_allclose(NET.ntk(x, y), expected, rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "sign", "erf"])
def test_parallel_rows_of_very_different_norm(activation: str) -> None:
    """The ratio of norms overflowed: NaN. Without bias relu and erf make kernels of them that are below the range."""
    x = np.array([[1e150, 0, 0], [1e-170, 0, 0], [-1e-200, 0, 0], [0, 1e100, 0], [0, 1e-250, 0]])
    for bias in (0.0, 0.1):
        net = fastntk.mlp(1, activation, 1.0, bias)
        if bias == 0 and activation != "sign":
            with pytest.raises(ValueError, match="row 1 of X with itself is below the range of float64"):
                net.kernels(x)
            continue
        k, t = net.kernels(x)
        assert np.isfinite(k).all()
        assert np.isfinite(t).all()
        assert (k == k.T).all()


def test_the_row_that_overflows_is_named() -> None:
    """It was counted through X and Y."""
    x = np.ones((3, 2), np.float32)
    y = np.array([[1, 1], [1e25, 1]], np.float32)
    with pytest.raises(ValueError, match="row 1 of Y"):
        NET.nngp(x, y)


def test_duals_far_from_one() -> None:
    """Intermediate results left the range of float64."""
    square, cube = (fastntk.Activation("rectified_monomial", degree=n) for n in (2, 3))
    assert square.dual_derivative(1e160, 1e160, 1e160) == pytest.approx(2e160, rel=1e-14)
    assert cube.dual_derivative(1e105, 1e105, 1e105) == pytest.approx(13.5e210, rel=1e-14)
    assert cube.dual_derivative(1e-110, 1e-110, 1e-110) == pytest.approx(1.35e-219, rel=1e-14)


def test_progress_ends_at_one() -> None:
    """A callable was not told of the end."""
    seen: list[float] = []
    NET.ntk(np.eye(5), progress=seen.append)
    assert seen[-1] == 1.0


def test_a_stopped_run_asks_no_more() -> None:
    """With many features it went on packing panel after panel, and calling back, after it was told to stop."""
    calls: list[float] = []

    def refuse(fraction: float) -> None:
        calls.append(fraction)
        raise RuntimeError("enough")

    x = np.random.default_rng(0).normal(size=(3000, 4000)).astype(np.float32)
    with pytest.raises(RuntimeError, match="enough"):
        NET.ntk(x, x[::-1], progress=refuse)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["tanh", "softplus", "cos", "elu", "hard_tanh", "soft_shrink", "gelu", "softsign"])
def test_zero_rows_beside_others(name: str) -> None:
    """Where phi(0) is not 0, phi'(0) drowned in its rounding at a vanishing variance: a warning, and a wrong slope."""
    x = np.random.default_rng(0).normal(size=(6, 4))
    x[2] = 0
    x[3] *= 1e-9
    for bias in (0.0, 0.1):
        net = fastntk.mlp(2, fastntk.Activation(name), 1.1, bias)
        for dtype in ("float32", "float64"):
            if name == "soft_shrink" and not bias:  # of row 3 nothing is left
                with pytest.raises(ValueError, match=f"row 3 of X with itself is below the range of {dtype}"):
                    net.kernels(x, dtype=dtype)
                continue
            k, t = net.kernels(x, dtype=dtype)
            assert np.isfinite(k).all()
            assert np.isfinite(t).all()
            np.testing.assert_allclose(
                np.diag(t), net.ntk.diag(x, dtype=dtype), rtol=2e-5 if dtype == "float32" else 1e-8
            )
        assert net.ntk(x[:0]).shape == (0, 0)


def test_functions_that_are_constant() -> None:
    """1 everywhere, 0 everywhere, and integers."""
    x = np.random.default_rng(0).normal(size=(4, 3))
    one = fastntk.Sequential(fastntk.Activation(lambda v: np.ones_like(v), name="one"), fastntk.Dense(2.0))
    np.testing.assert_allclose(one.nngp(x), 4.0, rtol=1e-12)
    zero = fastntk.Sequential(fastntk.Activation(lambda v: 0 * v, name="zero"), fastntk.Dense(2.0, 0.5))
    np.testing.assert_allclose(zero.ntk(x), 0.25, rtol=1e-12)
    floor = fastntk.Activation(lambda v: np.floor(v).astype(int), kinks=range(-14, 15), tolerance=1e-3)
    assert floor.dual(0.0, 1.0, 1.0) == pytest.approx(0.25, abs=1e-3)
