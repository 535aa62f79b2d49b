"""The table of what a network does to images, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastntk import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    LayerNorm,
    Reshape,
    SelfAttention,
    Sequences,
    Sequential,
    SumPool,
    cnn,
    myrtle,
    resnet,
)

Array = NDArray[Any]

IMAGES = np.random.default_rng(16).normal(size=(3, 8, 8, 2))


@pytest.mark.parametrize(
    "net",
    [
        *(myrtle(5), resnet((1, 2)), cnn(2, "tanh", 1.5, 0.1)),
        Sequential(
            Conv(3), LayerNorm(axes="all"), "erf", SumPool(2, 1, "same"), Conv(2, 2), Flatten(), Dense(0.5, 0.1)
        ),
        Sequential(Conv(3, sigma_b=0.1), Concat("relu", Dense()), AvgPool(2), GlobalSumPool(), Dense(), "abs", Dense()),
    ],
    ids=["myrtle", "resnet", "tanh", "norm", "concat"],
)
def test_summary_has_means_over_positions(net: Sequential) -> None:
    """Behind each layer: what Flatten there makes of them, which is the mean over positions."""
    table = net.summary(IMAGES)
    assert table.end == ""
    for i in range(len(net)):
        part = net[: i + 1]
        part = Sequential(*part, Flatten()) if table.shapes and len(table.shapes[i]) > 1 else part
        for kind in ("nngp", "ntk"):
            diagonal = getattr(part, kind).diag(IMAGES)
            for name, statistic in (("mean", np.mean), ("min", np.min), ("max", np.max)):
                np.testing.assert_allclose(getattr(table, f"{kind}_{name}")[i], statistic(diagonal), rtol=1e-12)


def test_summary_of_sequences() -> None:
    """Each has the mean over its own positions, however many."""
    nodes = [np.random.default_rng(n).normal(size=(n, 2)) for n in (1, 4, 3)]
    table = Sequential(Dense(1.3), SelfAttention(), "relu", GlobalAvgPool(), Dense()).summary(Sequences(nodes))
    means = [1.3**2 * (x**2).sum(axis=1).mean() / 2 for x in nodes]
    for name, statistic in (("mean", np.mean), ("min", np.min), ("max", np.max)):
        np.testing.assert_allclose(getattr(table, f"nngp_{name}")[0], statistic(means), rtol=1e-12)
        diagonal = Sequential(Dense(1.3), SelfAttention(), "relu", GlobalAvgPool(), Dense()).ntk.diag(Sequences(nodes))
        np.testing.assert_allclose(getattr(table, f"ntk_{name}")[-1], statistic(diagonal), rtol=1e-12)


def test_summary_where_kernels_end() -> None:
    """Beyond the range of float64, and where an activation does not accept a variance."""
    table = Sequential(Conv(3, sigma_w=1e90), "relu", Conv(3, sigma_w=1e90), "relu", Flatten(), Dense()).summary(IMAGES)
    assert table.end == "After layer 2 a kernel is beyond the range of float64."
    assert table.nngp_mean is not None
    assert np.isinf(table.nngp_mean[2])
    assert np.isnan(table.nngp_mean[3:]).all()


def test_summary_has_shapes() -> None:
    """Of images and rows of them; without samples the layers alone."""
    net = Sequential(Conv((3, 3), 2), "relu", AvgPool(2), Flatten(), Dense())
    table = net.summary(IMAGES)
    inf = np.inf
    shapes = ((4, 4, inf), (4, 4, inf), (2, 2, inf), (inf,), (inf,))
    assert table.shapes == shapes
    assert table.samples == IMAGES.shape
    lines = str(table).splitlines()
    assert lines[0].startswith("Sequential of 5 layers, 3 samples of 8 x 8 x 2 features: K(x, x) = ")
    assert lines[1].split()[:2] == ["layer", "shape"]
    assert ["4 x 4 x ∞" in lines[2], "4 x 4 x ∞" in lines[3], "2 x 2 x ∞" in lines[4], " x ∞" in lines[5]] == [
        1,
        1,
        1,
        0,
    ]
    assert table.at_input is not None
    np.testing.assert_allclose(
        np.array(table.at_input), [f((IMAGES**2).mean(axis=(1, 2, 3))) for f in (np.mean, np.min, np.max)]
    )
    rows = Sequential(Reshape(8, 8, 2), *net).summary(IMAGES.reshape(3, -1))
    assert rows.shapes == ((8, 8, 2), *shapes)
    assert "8 x 8 x 2" in rows._repr_html_()
    assert len(str(net.summary()).splitlines()) == 7
