"""Displays: what they draw is what they were given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import fastntk

pytest.importorskip("matplotlib")
import matplotlib.pyplot as plt

from fastntk.inference import GradientFlow
from fastntk.plot import (
    DualDisplay,
    KernelDisplay,
    LearningCurveDisplay,
    PredictionDisplay,
    SpectrumDisplay,
    TrainingDisplay,
)

NET = fastntk.mlp(1, "relu", 1.5, 0.5)
X, Y = np.linspace(-1, 1, 6)[:, None], np.array([0.0, 1.0, 0.0, -1.0, 0.0, 1.0])
GRID = np.linspace(-2, 2, 21)[:, None]
FLOW = GradientFlow(NET.ntk(X), Y, nngp_train=NET.nngp(X))


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """After every test."""
    yield
    plt.close("all")


def test_prediction() -> None:
    """Mean, bands and data, on the axes given."""
    _, ax = plt.subplots()
    mean, std = GRID[:, 0] ** 2, np.full(21, 0.5)
    display = PredictionDisplay(GRID, mean, std, X=X, y=Y, bands=(2,)).plot(ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    np.testing.assert_array_equal(display.line_.get_ydata(), mean)
    (band,) = display.bands_
    np.testing.assert_allclose(band.get_paths()[0].get_extents().ymax, 5.0)
    assert display.points_ is not None
    np.testing.assert_array_equal(display.points_.get_ydata(), Y)
    with pytest.raises(ValueError, match="std must have the shape of x"):
        PredictionDisplay(GRID, mean, std[:3])
    with pytest.raises(ValueError, match="X and y belong together"):
        PredictionDisplay(GRID, mean, X=X)


def test_training() -> None:
    """One picture for each time, of the flow's mean and deviation."""
    times = [0.0, 1.0, np.inf]
    cross = NET.kernels(GRID, X)
    display = TrainingDisplay.from_flow(FLOW, times, GRID, cross.ntk, cross.nngp, NET.nngp(GRID), X=X).plot()
    assert [ax.get_title() for ax in display.axes_] == ["t = 0", "t = 1", "t = ∞"]
    np.testing.assert_array_equal(display.displays_[1].line_.get_ydata(), FLOW.mean(1.0, cross.ntk))
    variance = FLOW.covariance(1.0, cross.ntk, cross.nngp, NET.nngp.diag(GRID))
    std = display.displays_[1].std
    assert std is not None
    np.testing.assert_allclose(std, np.sqrt(variance), rtol=1e-10)
    with pytest.raises(ValueError, match="ax must be 3 axes"):
        display.plot(plt.subplots(1, 2)[1])


def test_spectrum_and_kernel() -> None:
    """Eigenvalues; a matrix sorted by its labels, as correlations."""
    kernel = NET.ntk(X)
    display = SpectrumDisplay.from_kernels({"ntk": kernel, "nngp": NET.nngp(X)}).plot()
    np.testing.assert_allclose(display.lines_[0].get_ydata(), np.linalg.eigvalsh(kernel)[::-1], rtol=1e-9)
    image = KernelDisplay(kernel, labels=[1, 0, 1, 0, 1, 0], normalize=True).plot().image_.get_array()
    np.testing.assert_allclose(np.diag(image), 1)
    np.testing.assert_allclose(image[0, 1], kernel[1, 3] / np.sqrt(kernel[1, 1] * kernel[3, 3]))
    with pytest.raises(ValueError, match="for square kernels"):
        KernelDisplay(kernel[:2], normalize=True)
    with pytest.raises(ValueError, match="labels must have shape"):
        KernelDisplay(kernel, labels=[0, 1])


def test_duals() -> None:
    """Through (1, 1), and known values between."""
    relu, step = DualDisplay(["relu", fastntk.Activation("step")], q=2.0).plot().lines_
    rho, values = relu.get_xdata(), relu.get_ydata()
    np.testing.assert_allclose(values[-1], 1)
    np.testing.assert_allclose(np.interp(0, rho, values), 1 / np.pi, rtol=1e-6)
    np.testing.assert_allclose(np.interp(0, rho, step.get_ydata()), 0.5, rtol=1e-6)
    assert DualDisplay(["erf"], derivative=True).plot().ax_.get_ylabel() == "F'(ρ) / F'(1)"


def test_learning_curves() -> None:
    """The loss of a flow, and means over repeats."""
    times = np.array([0.1, 1.0, 10.0])
    display = LearningCurveDisplay.from_flow(FLOW, times, ntk_cross=NET.ntk(X, X), y_test=Y).plot()
    train, test = (line.get_ydata() for line in display.lines_)
    np.testing.assert_allclose(train, 2 * np.asarray(FLOW.loss(times)) / 6)
    np.testing.assert_allclose(test, train, rtol=1e-9)
    repeated = LearningCurveDisplay([1, 2], {"a": [[1.0, 2.0], [3.0, 4.0]]}).plot()
    np.testing.assert_array_equal(repeated.lines_[0].get_ydata(), [2.0, 3.0])
    assert len(repeated.bands_) == 1
    with pytest.raises(ValueError, match="curve 'a' must have 2 points"):
        LearningCurveDisplay([1, 2], {"a": [1.0]})
    for wrong in (Y[:, None], Y[:1], Y[0]):
        with pytest.raises(ValueError, match=r"^y_test must have the shape of a prediction, \(6,\), got \("):
            LearningCurveDisplay.from_flow(FLOW, times, ntk_cross=NET.ntk(X, X), y_test=wrong)


def test_halves() -> None:
    """One of two that belong together is not ignored; a kernel that is 0 has nothing to draw."""
    cross = NET.ntk(X, X)
    with pytest.raises(ValueError, match=r"^ntk_cross and y_test belong together"):
        LearningCurveDisplay.from_flow(FLOW, [1.0], ntk_cross=cross)
    for half in ({"nngp_cross": cross}, {"nngp_test": cross}):
        with pytest.raises(ValueError, match=r"^nngp_cross and nngp_test belong together"):
            TrainingDisplay.from_flow(FLOW, [1.0], GRID[:, 0], cross, **half)
    with pytest.raises(ValueError, match=r"^the kernel has no eigenvalue > 0 to draw"):
        SpectrumDisplay.from_kernels(np.zeros((3, 3))).plot()


def test_one_kernel_and_no_name() -> None:
    """A spectrum by itself needs no legend; a display of training one mean a time."""
    display = SpectrumDisplay.from_kernels(NET.ntk(X)).plot()
    assert display.ax_.get_legend() is None
    assert len(display.lines_) == 1
    for wrong in ({"means": np.zeros((1, 21))}, {"means": np.zeros((2, 21)), "stds": np.ones(21)}):
        with pytest.raises(ValueError, match=r"^(means|stds) must have a row for each of 2 times, got \(\d+,"):
            TrainingDisplay(GRID[:, 0], [0.0, 1.0], **wrong)
