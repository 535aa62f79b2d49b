"""Layers and networks as objects: equal, hashable, immutable, sliced, printed and pickled."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

import fastntk
from fastntk import Activation, Dense, Sequential, mlp

Float = NDArray[np.float64]

RELU, ERF = Activation("relu"), Activation("erf")
NET = Sequential(Dense(1.5, 0.1), RELU, Dense(2.0), ERF, Dense(0.5, 0.25))


def test_defaults() -> None:
    """sigma_w = 1, sigma_b = 0, one hidden ReLU layer."""
    assert Dense() == Dense(1.0) == Dense(1, 0) == Dense(sigma_w=1.0, sigma_b=0.0)
    assert mlp() == mlp(1, "relu", 1.0, 0.0) == Sequential(Dense(), RELU, Dense())
    assert mlp(0) == Sequential(Dense())
    assert Activation("leaky_relu") == Activation("leaky_relu", alpha=0.01)
    assert Activation("erf").parameters == (("a", 1.0), ("b", 1.0), ("c", 0.0))
    assert Activation("relu").parameters == ()


def test_mlp_is_the_spelled_out_network() -> None:
    """Dense, then depth times (Activation, Dense); depth counts nonlinearities."""
    dense, int_like = Dense(1.5, 0.1), cast("int", np.int64(2))
    assert mlp(2, "erf", 1.5, 0.1) == Sequential(dense, ERF, dense, ERF, dense)
    assert mlp(depth=2, activation=ERF, sigma_w=1.5, sigma_b=0.1) == mlp(int_like, "erf", 1.5, 0.1)
    assert sum(isinstance(layer, Activation) for layer in mlp(7)) == 7
    assert len(mlp(7)) == 15


def test_sequential_flattens() -> None:
    """Networks are layers of networks."""
    assert Sequential(NET[:2], Sequential(), Sequential(NET[2], NET[3:])) == NET
    assert Sequential(*NET) == NET
    assert tuple(NET) == NET.layers == (Dense(1.5, 0.1), RELU, Dense(2.0), ERF, Dense(0.5, 0.25))


def test_slices_are_networks() -> None:
    """As of a tuple; an index gives a layer."""
    layers = NET.layers
    for key in (slice(3), slice(-1), slice(None, None, 2), slice(None, None, -1), slice(1, -1), slice(9, 99)):
        assert NET[key] == Sequential(*layers[key])
    assert NET[0] == NET[-5] == Dense(1.5, 0.1)
    assert NET[-1] == Dense(0.5, 0.25)
    assert NET[:] == NET
    assert len(NET[:0]) == 0
    with pytest.raises(IndexError):
        NET[5]


def test_repr_can_be_read_back() -> None:
    """By a reader and by Python, whatever kind of number was given."""
    assert repr(Dense(1.5, 0.1)) == "Dense(sigma_w=1.5, sigma_b=0.1)"
    assert repr(Dense(cast("float", np.float32(1.5)), 1)) == "Dense(sigma_w=1.5, sigma_b=1.0)"
    assert repr(mlp(0)) == "Sequential(Dense(sigma_w=1.0, sigma_b=0.0))"
    assert repr(Activation("leaky_relu", alpha=np.float64(0.1))) == "Activation('leaky_relu', alpha=0.1)"
    assert repr(Activation("erf", a=1)) == repr(ERF)
    squared = Activation("rectified_monomial", degree=cast("int", np.int64(2)))
    assert repr(squared) == "Activation('rectified_monomial', degree=2)"
    for thing in (NET, Sequential()):
        assert eval(repr(thing), vars(fastntk).copy()) == thing


def test_equality_and_hash() -> None:
    """By value, so that networks can be keys."""
    same: list[tuple[object, object]] = [
        (Dense(2), Dense(2.0, 0)),
        (Activation("erf", b=1), Activation("erf")),
        (mlp(3, "relu", 1.5), mlp(3, Activation("relu"), 1.5, 0.0)),
        (NET[:2], Sequential(Dense(1.5, 0.1), RELU)),
    ]
    for one, other in same:
        assert one == other
        assert hash(one) == hash(other)
    different: list[Any] = [
        *(Dense(), Dense(2), Dense(1, 1)),
        *(
            RELU,
            ERF,
            Activation("erf", b=2.0),
            Activation("step"),
            Activation("rectified_monomial", degree=0),
        ),
        *(Sequential(), mlp(0), mlp(1), mlp(2), mlp(2, "erf"), NET),
    ]
    assert len({*different, *map(copy.deepcopy, different)}) == len(different)
    assert not any(a == b for i, a in enumerate(different) for b in [*different[:i], None, "relu", (Dense(),)])


@pytest.mark.parametrize("thing", [Dense(1.5, 0.1), NET, Sequential()], ids=repr)
def test_pickle_and_copy(thing: Any) -> None:
    """A copy is equal and computes the same."""
    copies = [pickle.loads(pickle.dumps(thing, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for again in (*copies, copy.copy(thing), copy.deepcopy(thing)):
        assert again == thing
        assert hash(again) == hash(thing)
        assert repr(again) == repr(thing)
        assert type(again) is type(thing)
    if len(thing.layers if isinstance(thing, Sequential) else ()):
        assert copies[0].ntk([[1.0, 2.0]]) == thing.ntk([[1.0, 2.0]])


def test_pickle_does_not_depend_on_use() -> None:
    """Caches of what was computed are not part of a network: joblib and Dask name results by these bytes."""
    net = mlp(2, "erf", 1.5, 0.1)
    before = pickle.dumps(net)
    net.ntk(np.eye(3))
    assert pickle.dumps(net) == before


@pytest.mark.parametrize("thing", [Dense(), RELU, NET], ids=["Dense", "Activation", "Sequential"])
def test_immutable(thing: Any) -> None:
    """Nothing can be changed, added or deleted."""
    before = repr(thing)
    for name in ("sigma_w", "name", "parameters", "layers", "anything"):
        with pytest.raises(AttributeError):
            setattr(thing, name, 2.0)
        with pytest.raises(AttributeError):
            delattr(thing, name)
    with pytest.raises(TypeError):
        thing[0] = Dense()
    assert repr(thing) == before


def test_replace() -> None:
    """A Dense is a dataclass; its replacement is checked too."""
    assert dataclasses.replace(Dense(2.0, 1.0), sigma_b=0.5) == Dense(2.0, 0.5)
    with pytest.raises(ValueError, match="sigma_w is a standard deviation"):
        dataclasses.replace(Dense(), sigma_w=-1.0)
