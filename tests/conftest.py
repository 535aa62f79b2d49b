"""Fixtures that several test files use."""

import os

import numpy as np
import pytest

# Figures are drawn without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# Generators of stored data: they need more than the test extra.
collect_ignore_glob = ["data/*"]


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for every test."""
    return np.random.default_rng(0)
