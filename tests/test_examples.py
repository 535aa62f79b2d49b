"""The examples and the gallery of the documentation run, and come to what they should."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


def module(folder: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script."""
    monkeypatch.syspath_prepend(str(ROOT / folder))
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def test_small_classification(monkeypatch: pytest.MonkeyPatch) -> None:
    """As good as the literature's on these sets."""
    scores = module("examples", "small_classification", monkeypatch).main()
    assert set(scores) == {"iris", "wine", "breast cancer"}
    assert min(scores.values()) > 0.94


def test_gallery(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure is made, by examples, which report what they should."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    for figure in module("docs", "make_gallery", monkeypatch).main(tmp_path):
        assert figure.stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "t = inf: training loss" in printed
    # About the error of a Gaussian process with an RBF kernel, in deviations of the targets.
    errors = [float(line.rsplit(" ", 1)[1]) for line in printed.splitlines() if "test error" in line]
    assert len(errors) == 4
    assert max(errors) < 0.75
    assert module("examples", "regression_1d", monkeypatch).main() < 0.15
    assert module("examples", "images", monkeypatch).main(train=300) > 0.95
    step, by_chance = module("examples", "adversarial", monkeypatch).main(train=300)
    assert step < 0.3
    assert by_chance < 0.05


def test_sensitivity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of diabetes: body mass index and s5 matter most, as in the literature."""
    found = module("examples", "sensitivity", monkeypatch).main()
    first, second, *others = sorted(found, key=lambda name: -found[name])
    assert {first, second} == {"bmi", "s5"}
    assert max(found[name] for name in others) < 0.7 * found[second]


def test_sequences_and_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention finds digits that were moved; neighbours help where labels are few."""
    found = module("examples", "sequences_and_graphs", monkeypatch).main(train=300, test=300)
    assert min(found[name][0] for name in ("all pixels at once", "Recurrent", "SelfAttention")) > 0.93
    assert found["SelfAttention"][1] > 0.15 + max(found[name][1] for name in ("all pixels at once", "row by row"))
    assert found["means over eight steps"][0] > 0.05 + found["each digit alone"][0]


def test_figures_of_finite_width(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Are made, from fewer draws."""
    figures = module("docs", "make_finite", monkeypatch).main(tmp_path, quick=True)
    assert len(figures) == 5
    assert all(figure.stat().st_size > 10_000 for figure in figures)


def test_figure_of_deep_networks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is made, from fewer layers; stacks forget more than residual networks whose branches are scaled."""
    assert module("docs", "make_networks", monkeypatch).main(tmp_path, quick=True).stat().st_size > 10_000
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    apart = {row[0]: float(row[1]) for row in rows}
    for activation in ("erf", "relu"):
        stack, block, scaled = (
            apart[f"| `{kind}`"]
            for kind in (f"mlp, {activation}", f"resmlp, {activation}", f'resmlp, {activation}, scale="depth"')
        )
        assert stack < block / 2 < scaled
    assert all(float(accuracy.split()[0]) > 95 for row in rows for accuracy in row[3:])


def test_figure_of_heads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is made, from fewer digits; the larger the pool, the more of those that were moved by a pixel are found."""
    assert module("docs", "make_images", monkeypatch).main(tmp_path, quick=True).stat().st_size > 10_000
    errors, costs = capsys.readouterr().out.split("\n\n")
    flat, local, whole = (float(line.split(" | ")[2].split()[0]) for line in errors.splitlines()[3:])
    assert flat > 2 * local > 3 * whole
    pairs = [line.split(" | ")[2] for line in costs.splitlines()[2:]]
    assert pairs == ["16", "64", "196", "1,156", "256", "4,096"]  # (4 + 2 * 3 + 2 * 2)², (8 + 2 * 7 + 2 * 6)²
