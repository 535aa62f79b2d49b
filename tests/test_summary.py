"""Tables of what networks do to their kernels, beside the kernels themselves."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import Any

import mpmath
import numpy as np
import pytest

import fastntk
from fastntk import (
    Activation,
    Concat,
    Dense,
    Dropout,
    LayerNorm,
    Product,
    Residual,
    Sequential,
    Sum,
    Summary,
    mlp,
)
from fastntk.layers.base import Signal
from fastntk.networks import summary as module

X = np.random.default_rng(0).normal(size=(50, 6)) * np.geomspace(0.1, 10, 50)[:, None]
NET = Sequential(
    Dense(1.5, 0.1),
    "erf",
    Dense(2.0, trainable=False),
    Activation("tanh"),
    Dense(1.2, 0.3),
    "hard_tanh",
    "relu",
    Dense(),
)
STATISTICS: dict[str, Any] = {"mean": np.mean, "min": np.min, "max": np.max}


#: With branches in branches.
TREE = Sequential(
    Dense(1.2, 0.2),
    Residual(LayerNorm(), "erf", Sum(Dense(0.5), Product(Dense(), Dense(0.7, 0.1))), Dropout(0.2), Dense(0.9)),
    Concat(Dense(1.5), Dense(0.5, 0.5), fractions=[0.25, 0.75]),
    "relu",
    Dense(0.8, 0.1),
)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("net", [NET, TREE])
def test_numbers_are_those_of_the_kernels(net: Sequential, dtype: Any) -> None:
    """Of every prefix of the network, whatever X is."""
    x = np.round(X * 10).astype(dtype)
    table = net.summary(x)
    for i in range(len(net)):
        for kind in ("nngp", "ntk"):
            diagonal = getattr(net[: i + 1], kind).diag(x, dtype="float64")
            for name, statistic in STATISTICS.items():
                np.testing.assert_allclose(getattr(table, f"{kind}_{name}")[i], statistic(diagonal), rtol=1e-13)
    assert table.at_input is not None
    squares = (x.astype(float) ** 2).mean(axis=1)
    wanted = [statistic(squares) for statistic in STATISTICS.values()]
    np.testing.assert_allclose(np.array(table.at_input), wanted, rtol=1e-13)
    assert table.layers == net.layers
    assert table.samples == (50, 6)
    assert table.end == ""


def test_shapes() -> None:
    """Activations keep the shape, Dense has infinitely many units; positions of later layers stay."""
    shapes = Sequential("relu", Dense(), "relu").summary(X).shapes
    assert shapes == ((6,), (math.inf,), (math.inf,))
    images = Signal((28, 28), 3)
    assert Dense().follow(images).shape == (28, 28, math.inf)
    assert Activation("relu").follow(images).shape == (28, 28, 3)


def test_what_is_in_branches_has_no_numbers() -> None:
    """It is drawn below its layer, whose numbers are those behind the branches."""
    for table in (TREE.summary(X), TREE.summary(X)._repr_html_()):
        assert "├─ LayerNorm" in str(table)
    lines = str(TREE.summary(X)).split("\n")[2:]
    numbered = [line.split()[0] for line in lines if line.count("∞")]
    assert numbered == ["0", "1", "2", "3"]  # the activation is in the branches of layer 2
    assert [line.split()[0] for line in lines][1:4] == ["1", "1.0.0", "1.0.1"]


def test_a_network_that_these_samples_do_not_suit() -> None:
    """Its layer is told, with its place."""
    with pytest.raises(ValueError, match=r"^X has .* layer 0, Residual\(.*\): its branches end with 8 and 6 units"):
        Sequential(Residual("relu", Dense(width=8))).summary(X)
    with pytest.raises(ValueError, match=r"^X has .* layer 0, LayerNorm\(.*\): the mean of the raw input"):
        Sequential(LayerNorm(), Dense()).summary(X)


def test_many_samples_go_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """And give the same table."""
    rows = np.random.default_rng(1).normal(size=(1000, 3))
    whole = NET.summary(rows)
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    parts = NET.summary(rows)
    for name in ("nngp_mean", "nngp_min", "nngp_max", "ntk_mean", "ntk_min", "ntk_max"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)


@pytest.mark.parametrize("sigma_w", [8.0, 0.125])
def test_where_a_deep_network_leaves_the_range(sigma_w: float) -> None:
    """K = |x|²/d (sigma_w²/2)^l: shown up to the layer where it leaves, and said; nothing is raised."""
    x = np.full((3, 4), 1.0)
    table = mlp(400, "relu", sigma_w).summary(x)
    side = "beyond" if sigma_w > 1 else "below"
    layer = int(re.fullmatch(rf"After layer (\d+) a kernel is {side} the range of float64\.", table.end)[1])  # type: ignore[index]
    limits = np.finfo(np.float64)
    k, theta, known = mpmath.mpf(1), mpmath.mpf(0), []
    for i in range(801):
        k, theta = (k * sigma_w**2, k * sigma_w**2 + theta * sigma_w**2) if i % 2 == 0 else (k / 2, theta / 2)
        known.append((k, theta))
    inside = [all(limits.tiny <= value <= limits.max for value in both) for both in known]
    assert layer == inside.index(False)
    assert table.nngp_mean is not None
    assert table.ntk_max is not None
    np.testing.assert_allclose(table.nngp_mean[:layer], [float(k) for k, _ in known[:layer]], rtol=1e-13)
    np.testing.assert_allclose(table.ntk_max[:layer], [float(theta) for _, theta in known[:layer]], rtol=1e-13)
    assert np.isnan(table.nngp_mean[layer + 1 :]).all()
    found = [float(values[layer]) for values in (table.nngp_mean, table.ntk_max)]
    assert (math.inf in found) if sigma_w > 1 else (min(found) < limits.tiny)
    assert str(layer) in str(table).split("\n")[-2].split()[0]
    with pytest.raises(ValueError, match="range of float64"):
        mlp(400, "relu", sigma_w)[: layer + 1].ntk(x)


def test_an_activation_that_does_not_accept_a_variance() -> None:
    """Ends the table with its sentence."""
    table = Sequential(Dense(1e4), "tanh", Dense()).summary([[1.0], [0.001]])
    assert re.match(r"Layer 1 does not go on: an input has variance q = 1e\+08 .* accepts up to", table.end)
    assert table.nngp_max is not None
    assert table.nngp_max[0] == pytest.approx(1e8)
    assert np.isnan(table.nngp_max[1:]).all()
    assert str(table).endswith(table.end)


def test_one_sample_of_many_that_leaves() -> None:
    """Ends it for all: no mean is of some of them."""
    x = np.ones((20000, 2))
    x[15000] = 1e100
    table = Sequential(Dense(), *["squared_relu"] * 2, Dense()).summary(x)
    assert table.end == "After layer 1 a kernel is beyond the range of float64."
    assert table.nngp_max is not None
    assert table.nngp_min is not None
    assert table.nngp_max[1] == math.inf
    assert table.nngp_min[1] == pytest.approx(1.5)
    assert np.isnan(table.nngp_min[2])


def test_zero_rows_are_no_underflow() -> None:
    """Their kernels are 0 throughout."""
    table = mlp(2).summary(np.zeros((2, 3)))
    assert table.end == ""
    assert table.nngp_max is not None
    assert (table.nngp_max == 0).all()


class Cells(HTMLParser):
    """Texts of a table's cells."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """A tag; a row begins with it."""
        del attrs
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        """A cell."""
        if self.rows:
            self.rows[-1].append(data)


def test_html() -> None:
    """The same table, with what might be a tag escaped."""
    net = Sequential(Dense(), Activation(np.tanh, name="<script>&"), Dense())
    table = net.summary(X[20:23])
    cells = Cells()
    cells.feed(table._repr_html_())
    assert cells.tags == {"table", "caption", "tr", "th", "td"}
    assert len(cells.rows) == 4
    assert cells.rows[2][:2] == ["1", "Activation(<<script>&>)"]
    for shown, row in zip(str(table).split("\n")[2:], cells.rows[1:], strict=True):
        assert shown.split() == " ".join(row).split()


def test_without_samples() -> None:
    """The layers alone."""
    table = NET.summary()
    assert isinstance(table, Summary)
    assert [table.samples, table.shapes, table.at_input, table.nngp_mean, table.ntk_max] == [None] * 5
    assert str(table).split("\n")[:3] == [
        "Sequential of 8 layers", "   layer", "0  Dense(sigma_w=1.5, sigma_b=0.1)",
    ]  # fmt: skip
    assert "<td" in table._repr_html_()
    assert str(Sequential().summary(X)).startswith("Sequential of 0 layers, 50 samples of 6 features: K(x, x) = ")


@pytest.mark.parametrize("x", [None, X])
def test_deep_tables_are_short(x: Any) -> None:
    """The first and the last, each with its own number, and a row that says that some are left out."""
    net = mlp(1000, "erf", 1.5)
    rows = str(net.summary(x)).split("\n")[2:]
    assert rows.pop(20).strip() == "…"
    numbers = [int(row.split()[0]) for row in rows]
    assert numbers == [*range(20), *range(1981, 2001)]
    for i, row in zip(numbers, rows, strict=True):
        assert str(net[i]) in row


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ([[1.0, np.nan]], r"X contains nan"),
        ([1.0, 2.0], r"X must be a matrix of shape \(n, d\)"),
        (np.ones((0, 3)), r"X has no rows: a summary is of samples; net\.summary\(\) shows the layers alone"),
    ],
)
def test_wrong_samples(x: Any, sentence: str) -> None:
    """Are refused as by the kernels."""
    with pytest.raises(ValueError, match=sentence):
        fastntk.mlp().summary(x)
