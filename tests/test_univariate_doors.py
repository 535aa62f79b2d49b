"""Kernels in blocks, on disk and in chunks, of networks that are functions of one variable: computed layer by layer.

A block may be too small to be replaced by a polynomial; the bits of a whole must not depend on its blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastntk
from fastntk import store
from fastntk.kernels import univariate

pytest.importorskip("dask")
import dask.array as da

import fastntk.dask as fd

NET = fastntk.mlp(8, "relu", 1.4)
X = np.random.default_rng(0).normal(size=(40, 6))
Y = X[::-3] + 0.1


def stored(Z: Any, folder: Path) -> Any:
    """All of a kernel on disk, in blocks."""
    return np.asarray(store.compute(NET, X, folder / "K.zarr", Z))


def in_chunks(Z: Any, _: Path) -> Any:
    """By Dask, of uneven chunks."""
    return fd.ntk(NET, da.from_array(X, chunks=(17, 6)), None if Z is None else da.from_array(Z)).compute()


def applied(Z: Any, _: Path) -> Any:
    """By a kernel that is not stored, to vectors of one 1."""
    return NET.ntk.operator(X, Z) @ np.eye(len(X if Z is None else Z))


@pytest.mark.parametrize("door", [stored, in_chunks, applied])
@pytest.mark.parametrize("Z", [None, Y], ids=["alone", "with others"])
def test_not_as_one_variable(
    door: Callable[[Any, Path], Any], Z: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits of a call with univariate=False, at any size."""
    monkeypatch.setattr(univariate, "FEWEST_PAIRS", 1)
    wanted = NET.ntk(X, Z, univariate=False)
    assert not np.array_equal(NET.ntk(X, Z), wanted)
    np.testing.assert_array_equal(door(Z, tmp_path), wanted)
