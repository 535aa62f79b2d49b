"""The examples in the docstrings of the installed package; those that need PyTorch are in the tests that do."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import fastntk

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fastntk.__path__, "fastntk.")
    if not module.name.endswith(("_core", "__main__")) and "torch" not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    """Every example prints what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    """The public objects have examples at all, so that the test above tests something."""
    finder = doctest.DocTestFinder()
    for item in (fastntk.Dense, fastntk.Activation, fastntk.Sequential, fastntk.mlp, fastntk.config):
        assert any(test.examples for test in finder.find(item)), item
