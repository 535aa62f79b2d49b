"""What bench/peers/cases has of ours, which bench/side_by_side.py times and counts, gives what it is compared with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CASES = Path(__file__).parents[1] / "bench" / "peers" / "cases"
TRUTH = CASES.parent / "truth.npz"
OURS = sorted(CASES.glob("*_fastntk.py"))


def load(path: Path) -> Any:
    """A file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_case_has_ours() -> None:
    """And a truth, but for a fit, whose truth is made for what it finds."""
    with np.load(TRUTH) as truth:
        known = {key.partition("/")[0] for key in truth}
    cases = {path.stem.removesuffix("_fastntk") for path in OURS}
    assert cases == known | {"fit"}
    assert all(any(path.stem.startswith(case) for case in cases) for path in CASES.glob("*.py"))


@pytest.mark.parametrize("path", [path for path in OURS if path.stem != "fit_fastntk"], ids=lambda path: path.stem)
@pytest.mark.parametrize(("dtype", "most"), [("float32", 2e-6), ("float64", 1e-6)])
def test_ours_give_the_kernel(path: Path, dtype: str, most: float) -> None:
    """To 50 digits rounded, relative to the diagonal, or to the largest entry of a gradient."""
    module, case = load(path), path.stem.removesuffix("_fastntk")
    with np.load(TRUTH) as arrays:
        x, truth = arrays[f"{case}/x"].astype(dtype), arrays[f"{case}/truth"]
    found = module.gradient(x) if case == "gradient" else module.kernel(x)
    scale = abs(truth).max() if case == "gradient" else np.sqrt(np.outer(truth.diagonal(), truth.diagonal()))
    assert found.shape == truth.shape
    assert (abs(found - truth) / scale).max() < most


@pytest.mark.filterwarnings("ignore::fastntk.inference.FitWarning")  # wherever the search ends
def test_our_fit_is_that_of_its_numbers() -> None:
    """The likelihood that it returns is that of the network of the sigmas, the factor and the noise it returns."""
    import fastntk
    from fastntk.inference import log_marginal_likelihood

    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    y = np.sin(x[:, 0]) + 0.1 * rng.normal(size=30)
    likelihood, sigma_w, sigma_b, factor, noise = load(CASES / "fit_fastntk.py").fit(x, y)
    kernel = factor * fastntk.mlp(3, "relu", sigma_w, sigma_b).nngp(x)
    assert float(log_marginal_likelihood(kernel, y, noise)) == pytest.approx(likelihood, rel=1e-9)
