"""Parameters of estimators and kernels: what their docstrings say is what their constructors take."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone

import fastntk.sklearn
from fastntk.sklearn import NTKFeatures, NTKRegressor

CLASSES = [getattr(fastntk.sklearn, name) for name in fastntk.sklearn.__all__]

#: By position everywhere: how large the network is, and its sigmas.
OF_A_NETWORK = ["depth", "activation", "sigma_w", "sigma_b"]


def documented(cls: Any) -> list[str]:
    """Names in the section Parameters of a numpydoc docstring."""
    section = inspect.getdoc(cls).split("Parameters\n----------\n")[1].split("\n\n")[0]  # type: ignore[union-attr]
    return [name for entry in re.findall(r"^(\S.*?) : ", section, re.M) for name in entry.split(", ")]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_parameter_is_documented(cls: Any) -> None:
    """Those of the constructor and no others, in its order but that entries of several names stay together."""
    names, taken = documented(cls), list(inspect.signature(cls).parameters)
    assert sorted(names) == sorted(taken)
    assert [name for name in names if "sigma" not in name] == [name for name in taken if "sigma" not in name]
    assert {"network", "depth", "sigma_w", "sigma_b"} <= set(names)
    assert inspect.getdoc(cls).count("Parameters\n---") == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_is_taken_by_position(cls: Any) -> None:
    """The first four, or how many features; all else by keyword."""
    parameters = inspect.signature(cls).parameters.values()
    by_position = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert by_position == (["n_components"] if cls is NTKFeatures else OF_A_NETWORK)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_parameters_are_attributes(cls: Any) -> None:
    """As they were given, in the instance, and in a clone; a wrong name is an error."""
    given = {name: object() for name in inspect.signature(cls).parameters}
    made = cls(**given)
    assert vars(made) == given == made.get_params(deep=False)
    assert vars(clone(cls())) == vars(cls())
    with pytest.raises(TypeError, match="dept"):
        cls(dept=3)


def test_others_inherit_them() -> None:
    """A subclass without a constructor has that of its base; two estimators are not equal by their parameters."""

    class Mine(NTKRegressor):
        pass

    assert Mine(2, ridge=0.5).get_params() == NTKRegressor(2, ridge=0.5).get_params()
    assert NTKRegressor() != NTKRegressor()
    assert len({NTKRegressor(), NTKRegressor()}) == 2
