"""Fixtures that several test files use."""

import numpy as np
import pytest

# Generators of stored data: they need more than the test extra.
collect_ignore_glob = ["data/*"]


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for every test."""
    return np.random.default_rng(0)
